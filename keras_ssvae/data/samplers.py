"""PreparedRows arrays -> chunks of batches: shuffling, weights as sampling rates, labelled rows in every batch.

Rows are drawn, not weighted: an epoch is a set of evenly spaced positions on the cumulative weight of the rows, in random
order. With equal weights that is a shuffle in which the last batch is filled from the epoch's own rows; a row of weight 2 is
drawn exactly as often as two rows of weight 1, and a row of weight 0 never. Rows are put in an order of their own content
first, so the order in which the user's rows come does not matter.
"""

import itertools
import math

import numpy as np
import tensorflow as tf

from keras_ssvae.data.tables import PreparedRows

__all__ = [
    "BatchSampler",
    "Stratum",
    "canonical_order",
    "draw_weights",
    "labeled_rows_per_batch",
    "named_arrays",
    "row_keys",
    "strata_by_class",
    "untuned",
]

BLOCK = 2**16  # cells at a time where each needs several numbers: memory is for x


def named_arrays(encoded, codes):
    """Rows by the names that they have in a batch: "x", "y", and "observed" where cells are missing.

    Parameters
    ----------
    encoded : PreparedRows
        Rows.
    codes : (n,) int32 array
        Class codes.
    """
    arrays = {"x": encoded.x, "y": codes}
    return arrays if encoded.observed is None else {**arrays, "observed": encoded.observed}


def row_keys(x, codes, observed=None):
    """A number for each row that depends on what it holds and not on where it stands.

    Parameters
    ----------
    x : (n, n_columns) float32 array
        PreparedRows rows.
    codes : (n,) int array
        Class codes.
    observed : (n, n_columns) array or None
        0 where a cell is missing.

    Returns
    -------
    (n,) uint64 array
        Equal rows have equal keys.
    """
    factors = np.random.RandomState(0).randint(1, 2**63 - 1, size=x.shape[1] + 1, dtype=np.uint64) | np.uint64(1)
    key = codes.astype(np.int64).view(np.uint64) * factors[-1]
    step = max(1, BLOCK // x.shape[1])
    for start in range(0, len(x), step):  # the bits of a block as 64-bit integers, hashed modulo 2**64
        rows = slice(start, start + step)
        bits = np.ascontiguousarray(x[rows], np.float32).view(np.uint32).astype(np.uint64)
        if observed is not None:  # a missing cell holds zero, but is not zero
            bits = np.where(observed[rows] > 0, bits, np.uint64(2**32))
        key[rows] += ((bits ^ (bits << np.uint64(29))) * factors[:-1]).sum(axis=1, dtype=np.uint64)
    return key


def canonical_order(x, codes, observed=None):
    """An order of rows that depends on what they hold and not on where they stand.

    Parameters
    ----------
    x, codes, observed
        As in `row_keys`.

    Returns
    -------
    (n,) int array
        Indices; equal rows stand side by side.
    """
    return np.argsort(row_keys(x, codes, observed), kind="stable").astype(_index_dtype(len(x)), copy=False)


def _index_dtype(count):
    """What indices below a number need."""
    return np.int32 if count <= 2**31 else np.int64


def labeled_rows_per_batch(n_labeled, n_rows, batch_size, requested="auto"):
    """How many rows of a batch carry a label.

    "auto" is the share they have among all rows, but at least a third of the batch, and no more than there are.

    Parameters
    ----------
    n_labeled, n_rows : int
        Labelled rows and all rows.
    batch_size : int
        Rows a batch.
    requested : int or "auto"
        The user's choice.
    """
    if n_labeled in (0, n_rows):
        return n_labeled and batch_size
    if requested != "auto":
        return min(int(requested), batch_size - 1)
    share = round(batch_size * n_labeled / n_rows)
    return min(max(share, min(max(batch_size // 3, 1), n_labeled)), batch_size - 1)


class Stratum:
    """Rows that are drawn together, in proportion to their weights.

    Parameters
    ----------
    rows : (k,) int array
        Indices of the rows, in canonical order.
    weight : (k,) array
        Their weights, positive.
    """

    def __init__(self, rows, weight):
        self.rows = rows
        self.total = float(weight.sum())
        self._edges = None  # of equal weights, which need none
        if weight.min() < weight.max():
            self._edges = np.cumsum(weight, dtype=np.float64)
            self._edges /= self._edges[-1]

    def draw(self, count, rng):
        """`count` row indices: each row's share of the draws is its share of the weight, to within one draw."""
        return self._at(rng.permutation(np.arange(count, dtype=_index_dtype(count))), rng.random_sample())

    def spread(self, count):
        """As `draw`, without chance, in canonical order."""
        return self._at(np.arange(count, dtype=_index_dtype(count)), 0.5)

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


def strata_by_class(rows, codes, weight, size):
    """One stratum a class, so that the rarest is in every batch too; one for all where a batch cannot hold every class.

    Parameters
    ----------
    rows : (k,) int array
        Indices of rows, in canonical order.
    codes, weight : (n,) arrays
        Class codes and weights of all rows.
    size : int
        Rows of these in a batch.

    Returns
    -------
    list of (Stratum, int)
        With the rows that each gives to a batch, `size` together.
    """
    classes = np.unique(codes[rows])
    if not 1 < len(classes) <= size:
        return [(Stratum(rows, weight[rows]), size)]
    strata = [Stratum(rows[codes[rows] == k], weight[rows[codes[rows] == k]]) for k in classes]
    ideal = np.array([s.total for s in strata]) * size / sum(s.total for s in strata)
    counts = np.maximum(np.floor(ideal), 1).astype(int)
    while counts.sum() != size:  # the rest goes where most is missing; what single rows of rare classes took, to the largest
        step = 1 if counts.sum() < size else -1
        counts[np.argmax(step * (ideal - counts) - 1e9 * (counts + step < 1))] += step
    return list(zip(strata, counts, strict=True))


def draw_weights(strata):
    """What a draw from each stratum stands for: the weighted mean over a batch has the mean over all rows as expectation.

    Parameters
    ----------
    strata : list of (Stratum, int)
        With the rows that each gives to a batch.

    Returns
    -------
    (batch_size,) array
        Weights of the rows of a batch; their mean is one.
    """
    total, batch_size = sum(s.total for s, _ in strata), sum(size for _, size in strata)
    return np.concatenate([np.full(size, s.total / total * batch_size / size) for s, size in strata])


def untuned(dataset):
    """A dataset that is not tuned while it runs.

    TensorFlow's tuner sleeps twice as long each time, up to a minute, and the end of an iterator waits until it wakes: a fit
    could take twice its time.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Any.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


class BatchSampler:
    """Training rows of one stage as an endless stream of chunks.

    Parameters
    ----------
    encoded : PreparedRows
        Training rows.
    codes : (n,) int32 array
        Class codes, negative where unlabelled.
    weight : (n,) array
        Row weights, positive.
    batch_size : int
        Rows a batch.
    labeled_batch_size : int, "auto" or None
        Labelled rows a batch; None draws all rows alike.
    seed : int
        Seed of the order.
    augment : function or None
        (rows, n_columns) tensor -> the same shape: random changes that a row survives.

    Attributes
    ----------
    steps_per_epoch : int
        Batches until the group that fills most of a batch, labelled or unlabelled rows, has been seen once. Weights do not
        make an epoch longer.
    n_labeled : int
        Labelled rows in each batch.
    """

    max_chunk_bytes = 16 * 2**20
    min_chunk_bytes = 2 * 2**20  # below, calls cost more than memory
    max_joint_bytes = 4 * 2**20  # of a chunk of several epochs
    max_joint_steps = 500
    max_sample = 20_000

    def __init__(self, encoded, codes, weight, batch_size, labeled_batch_size, seed, augment=None):
        self._arrays = named_arrays(encoded, codes)
        self._augment = augment
        self._rng = np.random.RandomState(seed)
        order = canonical_order(encoded.x, codes, encoded.observed)
        labeled, unlabeled = order[codes[order] >= 0], order[codes[order] < 0]
        self._order, self._weight = order, weight
        if labeled_batch_size is None:
            self.n_labeled, groups = 0, [(order, batch_size)]
            self._strata = [(Stratum(order, weight[order]), batch_size)]
        else:
            self.n_labeled = labeled_rows_per_batch(len(labeled), len(order), batch_size, labeled_batch_size)
            groups = [(labeled, self.n_labeled), (unlabeled, batch_size - self.n_labeled)]
            self._strata = [part for rows, size in groups if size for part in strata_by_class(rows, codes, weight, size)]
        self.steps_per_epoch = max(math.ceil(len(rows) / size) for rows, size in groups if size >= batch_size / 2)
        self._row_weight = draw_weights(self._strata)

    def sample(self):
        """Rows of which each is there as often as its weight says: all of them, or `max_sample` spread over them."""
        everything = Stratum(self._order, self._weight[self._order])
        rows = everything.spread(min(max(len(self._order), round(everything.total)), self.max_sample))
        return PreparedRows(self._arrays["x"], self._arrays.get("observed"))[rows]

    def close(self):
        """Let go of the rows: TensorFlow keeps the generator of a dataset, and what it refers to, until the process ends."""
        self._arrays, self._strata, self._order, self._weight = {}, [], None, None

    def chunks(self):
        """(chunks an epoch, steps a chunk): equal chunks, as few as memory allows; a few of them are there at a time."""
        share = max(sum(values.nbytes for values in self._arrays.values()) // 32, self.min_chunk_bytes)
        fit = max(1, min(self.max_chunk_bytes, share) // self._batch_bytes())
        count = math.ceil(self.steps_per_epoch / fit)
        return count, math.ceil(self.steps_per_epoch / count)

    def joint_epochs(self, epochs):
        """How many of these epochs to give in one chunk: a divisor of their number, 1 unless they are small."""
        fit = min(self.max_joint_bytes, self.max_chunk_bytes) // self._batch_bytes()
        most = min(self.max_joint_steps, fit) // self.steps_per_epoch
        return next((n for n in range(min(most, epochs), 1, -1) if epochs % n == 0), 1)

    def _batch_bytes(self):
        return (sum(values[:1].nbytes for values in self._arrays.values()) + 4) * len(self._row_weight)

    def dataset(self, epochs=None, chunk_epochs=1):
        """Chunks of batches as a tf.data.Dataset.

        Parameters
        ----------
        epochs : int, default=None
            Epochs after which it ends; None: never.
        chunk_epochs : int, default=1
            Epochs in a chunk, a divisor of their number, where an epoch is not more than one chunk.

        Returns
        -------
        tf.data.Dataset
            Of {"x": (steps, rows, n_columns), "y": (steps, rows), "weight": (steps, rows)}.
        """
        count, steps = self.chunks()
        shape = (chunk_epochs * steps, len(self._row_weight))

        def draw_epoch():
            drawn = [s.draw(count * steps * size, self._rng).reshape(-1, size) for s, size in self._strata]
            return np.concatenate(drawn, axis=1)

        def chunks():
            weight = np.broadcast_to(self._row_weight, shape).astype(np.float32)
            for _ in itertools.count() if epochs is None else range(epochs // chunk_epochs):
                drawn = np.concatenate([draw_epoch() for _ in range(chunk_epochs)]) if chunk_epochs > 1 else draw_epoch()
                for rows in drawn.reshape(-1, *shape):
                    yield {**{name: values.take(rows, axis=0) for name, values in self._arrays.items()}, "weight": weight}

        return self._stream_of(chunks, shape)

    def _stream_of(self, chunks, shape):
        """The chunks of a generator, a function without arguments, as a tf.data.Dataset."""
        arrays = {**self._arrays, "weight": np.empty(0, np.float32)}
        signature = {name: tf.TensorSpec((*shape, *values.shape[1:]), values.dtype) for name, values in arrays.items()}
        stream = tf.data.Dataset.from_generator(chunks, output_signature=signature)
        return untuned((stream if self._augment is None else stream.map(self._augmented)).prefetch(1))

    def _augmented(self, chunk):
        """A chunk with two views of each row: what one says of the class, the other should say too."""
        flat = tf.reshape(chunk["x"], (-1, chunk["x"].shape[-1]))
        views = {name: tf.reshape(self._augment(flat), chunk["x"].shape) for name in ("x", "view")}
        return {**chunk, **views}
