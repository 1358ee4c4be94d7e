"""Training on more rows than memory holds.

A `SourceSummary` counts the rows and their labels and keeps some in memory: the labelled rows, where they fit into the buffer,
and a uniform sample of the others. From these the columns, scales and classes are learned, with weights that say how many rows
each stands for. Batches are then made of labelled rows in memory and of rows that stream by, shuffled in a pool as large as the
buffer.
"""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import BatchSampler, Stratum, draw_weights, labeled_rows_per_batch, strata_by_class
from keras_ssvae.data.shares import Share
from keras_ssvae.data.sources import BLOCK_ROWS, Source, resized

__all__ = []

EMPTY_PASSES = 100  # that a worker may have after the other: its part of the source holds no row that streams by


@dataclasses.dataclass
class RowStream:
    """A source as the network reads it, and how many of its rows each row in memory stands for."""

    source: Source
    prepare: Callable  # (X, y) -> PreparedRows, with "y" among their arrays
    buffer_size: int  # rows of the pool in which they are shuffled
    rows: PreparedRows  # those in memory
    stands_for: np.ndarray  # (n_kept,): rows of the source that each of them stands for
    weight: np.ndarray  # (n_kept,): `stands_for` times the weight of the row's class
    error: Exception | None = None  # what reading the source for training came to

    def count(self, labeled: bool) -> int:
        """Rows of the source with a label, or without."""
        return round(self.stands_for[(self.rows.y >= 0) == labeled].sum())

    def class_weights(self) -> np.ndarray:
        """Weight of a row of each class, and, last, of one without a label."""
        factors = np.ones(self.rows.y.max(initial=0) + 2)
        factors[self.rows.y] = self.weight / self.stands_for
        return factors

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Raise what reading the source came to, and not what TensorFlow makes of it."""
        try:
            yield
        except tf.errors.OpError:
            if self.error is None:
                raise
            raise self.error from None


class StreamingSampler(BatchSampler):
    """Training rows of one stage as an endless stream of chunks, most of them read from a source as they are needed.

    Labelled rows are drawn as in `BatchSampler`, from those in memory; where a class does not fit into it, its rows take each
    other's places as they stream by. The rest of a batch are unlabelled rows that stream by. Where the labelled rows do not fit
    into memory and are no scarcer than they should be in a batch of rows drawn alike, all rows stream alike.

    A pass gives each row once, in the order that a pool of `buffer_size` rows makes: rows that enter take the places of
    random others, which leave it. It is filled up to whole chunks by rows of its own end.

    `rows` and `weight` are those of the training rows in memory. The others that `stream` has in memory are held out, and left
    out where they stream by. `n_labeled` is 0 where all rows stream alike.

    Of several workers each has the same labelled rows in memory and draws its `share` of them. What streams by, each reads for
    itself: a part of the source in every pass, as large as those of others, which are all of it together.
    """

    def __init__(
        self, stream: RowStream, rows: PreparedRows, weight: np.ndarray, batch_size: int, labeled_batch_size: int | str | None,
        seed: int, augment: Callable | None = None, share: slice = slice(None),
    ):  # fmt: skip
        self._stream, self._seed, self._augment, self._share = stream, seed, augment, share
        self._arrays, self._weight, self._batch_size, y = rows.arrays, weight, batch_size, rows.y
        self._held_out = np.setdiff1d(stream.rows.keys(), rows.keys())
        order, known = rows.order(), stream.rows.y >= 0
        labeled, others = order[y[order] >= 0], order[y[order] < 0]
        n_labeled, n_others = (
            stream.count(kind) - int((known == kind).sum() - len(group)) for kind, group in ((True, labeled), (False, others))
        )
        self.n_labeled = 0
        if labeled_batch_size is not None:
            wanted = labeled_rows_per_batch(n_labeled, n_labeled + n_others, batch_size, labeled_batch_size)
            alike = round(batch_size * n_labeled / (n_labeled + n_others))
            self.n_labeled = 0 if stream.count(True) > known.sum() and wanted <= alike else wanted
        if self.n_labeled:
            passing = np.unique(stream.rows.y[known & (stream.stands_for > 1)])
            self._passing = {k: np.flatnonzero(y == k) for k in passing}
            self._strata = strata_by_class(labeled, y, weight, self.n_labeled)
            self._streamed = batch_size - self.n_labeled
            self._row_weight = draw_weights([*self._strata, (Stratum(others, weight[others]), self._streamed)])
            groups = [(n_labeled, self.n_labeled), (n_others, self._streamed)]
        else:
            self._passing, self._strata, self._streamed, self._row_weight = {}, [], batch_size, np.ones(batch_size)
            groups = [(n_labeled + n_others, batch_size)]
        self.steps_per_epoch = max(math.ceil(count / size) for count, size in groups if size >= batch_size / 2)
        self._pool_size = max(stream.buffer_size, batch_size)
        self.max_chunk_bytes = min(self.max_chunk_bytes, self._batch_bytes() * self._pool_size // (4 * batch_size))
        of_batch, of_labeled = (len(range(size)[share]) for size in (batch_size, self.n_labeled))
        self._own_streamed = of_batch - of_labeled

    def sample(self) -> PreparedRows:
        """Rows among which each kind has its share of all rows: as many as are in memory, drawn by what they stand for."""
        rows = Stratum(np.arange(len(self._weight)), self._weight).draw(len(self._weight), np.random.RandomState(self._seed))
        return PreparedRows(**self._arrays)[np.sort(rows)]

    def close(self) -> None:
        super().close()
        del self._stream

    def joint_epochs(self, epochs: int) -> int:
        """An epoch is large: one."""
        return 1

    def _chunks(self, epochs, chunk_epochs):
        count, steps = self.chunks()
        row_weight, class_weights = self._row_weight[self._share], self._stream.class_weights()
        rng, own_rng, share = np.random.RandomState(self._seed), None, None
        if self._share.step is not None:
            rank = self._share.start
            share = Share(rank, self._share.step, np.random.RandomState([self._seed, 1]))
            own_rng = np.random.RandomState([self._seed, 2, rank])
        memory = {name: values.copy() for name, values in self._arrays.items()} if self._passing else self._arrays
        draws = [self._draws(stratum, size, count, steps, rng) for stratum, size in self._strata]
        n_chunks = None if epochs is None else epochs * count
        pieces = self._read(steps * self._own_streamed, memory, rng if own_rng is None else own_rng, share)
        for streamed in itertools.islice(pieces, n_chunks):
            parts = [_rows(memory, np.concatenate([next(rows) for rows in draws], axis=1)[:, self._share])] if draws else []
            parts.append({name: v.reshape(steps, self._own_streamed, *v.shape[1:]) for name, v in streamed.items()})
            chunk = {name: np.concatenate([part[name] for part in parts], axis=1) for name in memory}
            weight = np.broadcast_to(row_weight, chunk["y"].shape) if self._strata else class_weights[chunk["y"]]
            yield {**chunk, "weight": weight.astype(np.float32)}

    def _draws(self, stratum, size, count, steps, rng):
        """Chunk after chunk (steps, size) of indices; rows have their shares over an epoch, or as much of it as is bounded."""
        chunks = min(count, math.ceil(max(len(stratum.rows), self._pool_size) / (steps * size)))
        while True:
            yield from stratum.draw(chunks * steps * size, rng).reshape(chunks, steps, size)

    def _read(self, n_rows, memory, rng, share):
        """Pass after pass in pieces of `n_rows` rows."""
        stream, empty = self._stream, 0
        try:
            while empty < (1 if share is None else EMPTY_PASSES):
                empty += 1
                for piece in resized(self._shuffled(n_rows, memory, rng, share), n_rows):
                    empty = 0
                    yield piece
            raise ValueError("X gave no row for training in a later pass, unlike in the first one.")
        except Exception as error:
            stream.error = error
            raise

    def _shuffled(self, n_rows, memory, rng, share):
        """One pass in random order, and some rows from the end of it again to make a multiple of `n_rows`."""
        pool, filled, left = None, 0, 0
        for block in self._streaming(memory, rng, share):
            if pool is None:
                pool = {name: np.empty((self._pool_size, *v.shape[1:]), v.dtype) for name, v in block.items()}
            entering = min(self._pool_size - filled, len(block["y"]))
            leaving = rng.permutation(filled)[: len(block["y"]) - entering]
            places = np.append(np.arange(filled, filled + entering), leaving)
            if len(leaving):
                yield _rows(pool, leaving)
            for name, values in pool.items():
                values[places] = block[name]
            filled, left = filled + entering, left + len(leaving)
        if not filled:
            return
        again = np.resize(rng.permutation(filled), -(left + filled) % n_rows)
        yield _rows(pool, np.append(rng.permutation(filled), again))

    def _streaming(self, memory, rng, share):
        """One pass over the rows that stream by, as they come; labelled ones may go to the memory instead."""
        for X, y in self._stream.source.blocks(int(np.clip(self._pool_size // 8, 1, BLOCK_ROWS)), rng, share):
            prepared = self._stream.prepare(X, y)
            wanted = np.ones(len(prepared), bool)
            if len(self._held_out):
                wanted = ~np.isin(prepared.keys(), self._held_out)
            if "observed" not in memory and prepared.observed is not None:  # the network was made for rows without gaps
                wanted &= prepared.observed.all(axis=1)
            elif "observed" in memory and prepared.observed is None:
                prepared = prepared.joined(observed=np.ones_like(prepared.x))
            block = {name: prepared.arrays[name] for name in memory}
            if self._strata:
                for k, places in self._passing.items():
                    new = np.flatnonzero(wanted & (prepared.y == k))[: len(places)]
                    taken = rng.permutation(places)[: len(new)]
                    for name, values in memory.items():
                        values[taken] = block[name][new]
                wanted &= prepared.y < 0
            yield _rows(block, np.flatnonzero(wanted))


def _rows(arrays, rows):
    return {name: values[rows] for name, values in arrays.items()}
