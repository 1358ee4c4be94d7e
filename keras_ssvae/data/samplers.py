"""Prepared rows -> chunks of batches: shuffling, weights as sampling rates, labelled rows in every batch.

Rows are drawn, not weighted: an epoch is a set of evenly spaced positions on the cumulative weight of the rows, in random
order. With equal weights that is a shuffle in which the last batch is filled from the epoch's own rows; a row of weight 2 is
drawn exactly as often as two rows of weight 1, and a row of weight 0 never. Rows are put in an order of their own content
first, so the order in which the user's rows come does not matter.
"""

import concurrent.futures
import itertools
import math
from collections.abc import Callable, Generator

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import BLOCK, PreparedRows, index_dtype

__all__ = []


def labeled_rows_per_batch(n_labeled: int, n_rows: int, batch_size: int, requested: int | str = "auto") -> int:
    """How many rows of a batch carry a label, where `n_labeled` of all `n_rows` do.

    "auto" is the share they have among all rows, but at least a third of the batch, and no more than there are.
    """
    if n_labeled in (0, n_rows):
        return n_labeled and batch_size
    if requested != "auto":
        return min(int(requested), batch_size - 1)
    share = round(batch_size * n_labeled / n_rows)
    return min(max(share, min(max(batch_size // 3, 1), n_labeled)), batch_size - 1)


class Stratum:
    """Rows that are drawn together: k indices in canonical order, in proportion to their k positive weights."""

    def __init__(self, rows: np.ndarray, weight: np.ndarray):
        self.rows = rows
        self.total = float(weight.sum())
        self._edges = None  # of equal weights, which need none
        if weight.min() < weight.max():
            self._edges = np.cumsum(weight, dtype=np.float64)
            self._edges /= self._edges[-1]

    def draw(self, count: int, rng: np.random.RandomState) -> np.ndarray:
        """`count` row indices: each row's share of the draws is its share of the weight, to within one draw."""
        return self._at(rng.permutation(np.arange(count, dtype=index_dtype(count))), rng.random_sample())

    def spread(self, count: int) -> np.ndarray:
        """As `draw`, without chance, in canonical order."""
        return self._at(np.arange(count, dtype=index_dtype(count)), 0.5)

    def _at(self, places, shift):
        """The rows at ``(places + shift) / len(places)`` of the weight."""
        rows = np.empty(len(places), self.rows.dtype)
        for start in range(0, len(places), BLOCK):
            position = places[start : start + BLOCK] + shift
            if self._edges is None:
                index = (position * len(self.rows) / len(places)).astype(np.intp)
            else:
                index = np.searchsorted(self._edges, position / len(places), side="right")
            rows[start : start + BLOCK] = self.rows[index.clip(max=len(self.rows) - 1)]
        return rows


def strata_by_class(rows: np.ndarray, y: np.ndarray, weight: np.ndarray, size: int) -> list[tuple[Stratum, int]]:
    """One stratum a class, so that the rarest is in every batch too; one for all where a batch cannot hold every class.

    `rows` are indices in canonical order, `y` and `weight` belong to all rows. Each stratum comes with the number of rows that
    it gives to a batch, `size` together.
    """
    classes = np.unique(y[rows])
    if not 1 < len(classes) <= size:
        return [(Stratum(rows, weight[rows]), size)]
    strata = [Stratum(rows[y[rows] == k], weight[rows[y[rows] == k]]) for k in classes]
    ideal = np.array([s.total for s in strata]) * size / sum(s.total for s in strata)
    counts = np.maximum(np.floor(ideal), 1).astype(int)
    while counts.sum() != size:  # the rest goes where most is missing; what single rows of rare classes took, to the largest
        step = 1 if counts.sum() < size else -1
        counts[np.argmax(step * (ideal - counts) - 1e9 * (counts + step < 1))] += step
    return list(zip(strata, counts, strict=True))


def draw_weights(strata: list[tuple[Stratum, int]]) -> np.ndarray:
    """Weights of the rows of a batch, (batch_size,), of mean one, for strata with the rows that each gives to it.

    With them, the weighted mean over a batch has the mean over all rows as expectation.
    """
    total, batch_size = sum(s.total for s, _ in strata), sum(size for _, size in strata)
    return np.concatenate([np.full(size, s.total / total * batch_size / size) for s, size in strata])


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset that is not tuned while it runs.

    TensorFlow's tuner sleeps twice as long each time, up to a minute, and the end of an iterator waits until it wakes: a fit
    could take twice its time.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


class BatchSampler:
    """Training rows of one stage, with "y" among their arrays and positive weights, as an endless stream of chunks.

    - `labeled_batch_size`: as in `labeled_rows_per_batch`; None draws all rows alike.
    - `augment`: (rows, n_columns) tensor -> the same shape: random changes that a row survives.
    - `share`: which rows of each batch this sampler gives: ``slice(rank, None, size)`` where `size` workers share every batch.

    `steps_per_epoch` is the number of batches until the group that fills most of a batch, labelled or unlabelled rows, has been
    seen once; weights do not make an epoch longer. `n_labeled` are the labelled rows, the first of each batch of all workers.
    """

    max_chunk_bytes = 16 * 2**20
    min_chunk_bytes = 2 * 2**20  # below, calls cost more than memory
    max_joint_bytes = 4 * 2**20  # of a chunk of several epochs
    max_joint_steps = 500
    max_sample = 20_000

    def __init__(
        self, rows: PreparedRows, weight: np.ndarray, batch_size: int, labeled_batch_size: int | str | None, seed: int,
        augment: Callable | None = None, share: slice = slice(None),
    ):  # fmt: skip
        self._arrays, self._weight, self._augment, self._share = rows.arrays, weight, augment, share
        self._batch_size = batch_size  # of all workers, whose chunks hold as many steps
        self._rng = np.random.RandomState(seed)
        self._order = order = rows.order()
        labeled, unlabeled = order[rows.y[order] >= 0], order[rows.y[order] < 0]
        if labeled_batch_size is None:
            self.n_labeled, groups = 0, [(order, batch_size)]
            self._strata = [(Stratum(order, weight[order]), batch_size)]
        else:
            self.n_labeled = labeled_rows_per_batch(len(labeled), len(order), batch_size, labeled_batch_size)
            groups = [(labeled, self.n_labeled), (unlabeled, batch_size - self.n_labeled)]
            self._strata = [part for group, size in groups if size for part in strata_by_class(group, rows.y, weight, size)]
        self.steps_per_epoch = max(math.ceil(len(group) / size) for group, size in groups if size >= batch_size / 2)
        self._row_weight = draw_weights(self._strata)[share]

    def sample(self) -> PreparedRows:
        """Rows of which each is there as often as its weight says: all of them, or `max_sample` spread over them."""
        everything = Stratum(self._order, self._weight[self._order])
        rows = everything.spread(min(max(len(self._order), round(everything.total)), self.max_sample))
        return PreparedRows(**self._arrays)[rows]

    def close(self) -> None:
        """Let go of the rows: TensorFlow keeps the generator of a dataset, and what it refers to, until the process ends."""
        self._arrays, self._strata, self._order, self._weight = {}, [], np.empty(0, int), np.empty(0)

    def chunks(self) -> tuple[int, int]:
        """(chunks an epoch, steps a chunk): equal chunks, as few as memory allows; a few of them are there at a time."""
        share = max(sum(values.nbytes for values in self._arrays.values()) // 32, self.min_chunk_bytes)
        fit = max(1, min(self.max_chunk_bytes, share) // self._batch_bytes())
        count = math.ceil(self.steps_per_epoch / fit)
        return count, math.ceil(self.steps_per_epoch / count)

    def joint_epochs(self, epochs: int) -> int:
        """How many of these epochs to give in one chunk: a divisor of their number, 1 unless they are small."""
        fit = min(self.max_joint_bytes, self.max_chunk_bytes) // self._batch_bytes()
        most = min(self.max_joint_steps, fit) // self.steps_per_epoch
        return next((n for n in range(min(most, epochs), 1, -1) if epochs % n == 0), 1)

    def _batch_bytes(self):
        return (sum(values[:1].nbytes for values in self._arrays.values()) + 4) * self._batch_size

    def dataset(self, epochs: int | None = None, chunk_epochs: int = 1) -> tf.data.Dataset:
        """For Keras' `fit`, chunks: the arrays of the rows by name, (steps, rows, ...), and "weight", (steps, rows).

        It ends after `epochs`, or never; `chunk_epochs`, a divisor, are in a chunk where an epoch is not more than one chunk.
        """
        arrays = {**self._arrays, "weight": np.empty(0, np.float32)}
        shape = chunk_epochs * self.chunks()[1], len(range(self._batch_size)[self._share])
        signature = {name: tf.TensorSpec((*shape, *values.shape[1:]), values.dtype) for name, values in arrays.items()}
        chunks = tf.data.Dataset.from_generator(lambda: self._chunks(epochs, chunk_epochs), output_signature=signature)
        return untuned((chunks if self._augment is None else chunks.map(self._augmented)).prefetch(1))

    def stream(self, epochs: int, chunk_epochs: int = 1) -> Generator[dict]:
        """The chunks of `dataset` one after the other, with less around them; the next is drawn while one is in use."""
        if self._augment is not None:
            yield from self.dataset(epochs, chunk_epochs)
            return
        chunks = self._chunks(epochs, chunk_epochs)
        if epochs == chunk_epochs and self.chunks()[0] == 1:  # nothing to draw ahead
            yield next(chunks)
            return
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(next, chunks, None)
            while (chunk := ahead.result()) is not None:
                ahead = pool.submit(next, chunks, None)
                yield chunk

    def _chunks(self, epochs, chunk_epochs):
        """The chunks as arrays."""
        count, steps = self.chunks()
        shape = (chunk_epochs * steps, len(self._row_weight))
        weight = np.broadcast_to(self._row_weight, shape).astype(np.float32)

        def draw_epoch():
            drawn = [s.draw(count * steps * size, self._rng).reshape(-1, size) for s, size in self._strata]
            return np.concatenate(drawn, axis=1)[:, self._share]

        for _ in itertools.count() if epochs is None else range(epochs // chunk_epochs):
            drawn = np.concatenate([draw_epoch() for _ in range(chunk_epochs)]) if chunk_epochs > 1 else draw_epoch()
            for rows in drawn.reshape(-1, *shape):
                yield {**{name: values.take(rows, axis=0) for name, values in self._arrays.items()}, "weight": weight}

    def _augmented(self, chunk):
        """A chunk with two views of each row: what one says of the class, the other should say too."""
        flat = tf.reshape(chunk["x"], (-1, chunk["x"].shape[-1]))
        views = {name: tf.reshape(self._augment(flat), chunk["x"].shape) for name in ("x", "view")}
        return {**chunk, **views}
