"""Encoded arrays -> chunks of batches: shuffling, weights as sampling rates, labelled rows in every batch.

Rows are drawn, not weighted: an epoch is a set of evenly spaced positions on the cumulative weight of the rows, in random
order. With equal weights that is a shuffle in which the last batch is filled from the epoch's own rows; a row of weight 2 is
drawn exactly as often as two rows of weight 1, and a row of weight 0 never. Rows are put in an order of their own content
first, so the order in which the user's rows come does not matter.
"""

import math

import numpy as np
import tensorflow as tf

__all__ = ["Feed", "Stratum", "canonical_order", "labeled_rows_per_batch"]


def canonical_order(x, codes, observed=None):
    """An order of rows that depends on what they hold and not on where they stand.

    Parameters
    ----------
    x : (n, n_columns) float32 array
        Encoded rows.
    codes : (n,) int array
        Class codes.
    observed : (n, n_columns) array or None
        0 where a cell is missing.

    Returns
    -------
    (n,) int array
        Indices; equal rows stand side by side.
    """
    factors = np.random.RandomState(0).randint(1, 2**63 - 1, size=x.shape[1] + 1, dtype=np.uint64) | np.uint64(1)
    key = codes.astype(np.int64).view(np.uint64) * factors[-1]
    for start in range(0, len(x), 8192):  # bounded memory: the bits of a block as 64-bit integers, hashed modulo 2**64
        bits = np.ascontiguousarray(x[start : start + 8192], np.float32).view(np.uint32).astype(np.uint64)
        if observed is not None:  # a missing cell holds zero, but is not zero
            bits = np.where(observed[start : start + 8192] > 0, bits, np.uint64(2**32))
        key[start : start + 8192] += ((bits ^ (bits << np.uint64(29))) * factors[:-1]).sum(axis=1, dtype=np.uint64)
    return np.argsort(key, kind="stable")


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
        edges = np.cumsum(weight, dtype=np.float64)
        self._edges = edges / edges[-1]

    def draw(self, count, rng):
        """`count` row indices: each row's share of the draws is its share of the weight, to within one draw."""
        positions = (rng.permutation(count) + rng.random_sample()) / count
        return self.rows[np.searchsorted(self._edges, positions, side="right").clip(max=len(self.rows) - 1)]


class Feed:
    """Training rows of one stage as an endless stream of chunks.

    Parameters
    ----------
    encoded : Encoded
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

    max_chunk_bytes = 64 * 2**20

    def __init__(self, encoded, codes, weight, batch_size, labeled_batch_size, seed, augment=None):
        self._arrays = {"x": encoded.x, "y": codes}
        if encoded.observed is not None:
            self._arrays["observed"] = encoded.observed
        self._augment = augment
        self._rng = np.random.RandomState(seed)
        order = canonical_order(encoded.x, codes, encoded.observed)
        if labeled_batch_size is None:
            groups, sizes = [order], [batch_size]
            self.n_labeled = 0
        else:
            labeled = order[codes[order] >= 0]
            unlabeled = order[codes[order] < 0]
            self.n_labeled = labeled_rows_per_batch(len(labeled), len(order), batch_size, labeled_batch_size)
            groups, sizes = [labeled, unlabeled], [self.n_labeled, batch_size - self.n_labeled]
        self._strata = [(Stratum(rows, weight[rows]), size) for rows, size in zip(groups, sizes, strict=True) if size]
        self.steps_per_epoch = max(math.ceil(len(s.rows) / size) for s, size in self._strata if size >= batch_size / 2)
        total = sum(s.total for s, _ in self._strata)
        # what a draw from each group stands for: the weighted mean over a batch has the mean over all rows as expectation
        self._row_weight = np.concatenate([np.full(size, s.total / total * batch_size / size) for s, size in self._strata])

    def chunks(self):
        """(chunks an epoch, steps a chunk): equal chunks, as few as memory allows."""
        row_bytes = sum(values[:1].nbytes for values in self._arrays.values()) + 4
        fit = max(1, self.max_chunk_bytes // (row_bytes * len(self._row_weight)))
        count = math.ceil(self.steps_per_epoch / fit)
        return count, math.ceil(self.steps_per_epoch / count)

    def dataset(self):
        """tf.data.Dataset of chunks {"x": (steps, rows, n_columns), "y": (steps, rows), "weight": (steps, rows)}, endless."""
        count, steps = self.chunks()
        shape = (steps, len(self._row_weight))

        def indices():
            while True:
                drawn = [s.draw(count * steps * size, self._rng).reshape(-1, size) for s, size in self._strata]
                epoch = np.concatenate(drawn, axis=1).astype(np.int32)
                yield from epoch.reshape(count, *shape)

        arrays = {name: tf.constant(values) for name, values in self._arrays.items()}
        weight = tf.constant(np.broadcast_to(self._row_weight, shape), tf.float32)

        def gather(rows):
            chunk = {
                name: tf.ensure_shape(tf.gather(values, rows), (*shape, *values.shape[1:])) for name, values in arrays.items()
            }
            if self._augment is not None:
                flat = self._augment(tf.reshape(chunk["x"], (-1, chunk["x"].shape[-1])))
                chunk["x"] = tf.ensure_shape(tf.reshape(flat, tf.shape(chunk["x"])), chunk["x"].shape)
            return {**chunk, "weight": weight}

        signature = tf.TensorSpec(shape, tf.int32)
        stream = tf.data.Dataset.from_generator(indices, output_signature=signature)
        return stream.map(gather).prefetch(2)
