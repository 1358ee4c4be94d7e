"""Training on more rows than memory holds, and answers about them.

One pass over a source counts the rows and their labels and keeps some in memory: the labelled rows, where they fit into the
buffer, and a uniform sample of the others. From these the columns, scales and classes are learned, with weights that say how
many rows each stands for. Batches are then made of labelled rows in memory and of rows that stream by, shuffled in a pool as
large as the buffer.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np
import tensorflow as tf
from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.labels import distinct_labels
from keras_ssvae.data.samplers import (
    BatchSampler,
    Stratum,
    canonical_order,
    draw_weights,
    labeled_rows_per_batch,
    named_arrays,
    row_keys,
    strata_by_class,
)
from keras_ssvae.data.sources import BLOCK_ROWS, resized, stack, stack_blocks, take
from keras_ssvae.data.tables import PreparedRows
from keras_ssvae.training import trainer

__all__ = ["RowStream", "Reservoir", "StreamingSampler", "SourceSummary", "blockwise", "fair_limit"]


def blockwise(method):
    """Let a method that answers row by row answer for a source too: block by block, the answers one below the other.

    Parameters
    ----------
    method : function
        (estimator, X, ...) -> array or DataFrame of as many rows as X.
    """

    @functools.wraps(method)
    def answer(self, X, *args, **kwargs):
        source = self._source(X)
        if source is None:
            return method(self, X, *args, **kwargs)
        check_is_fitted(self)
        return stack([method(self, block, *args, **kwargs) for block, _ in source.blocks()])

    return answer


# The first pass


def fair_limit(counts, capacity):
    """The largest number of rows that every group may keep, so that all groups together keep no more than the capacity.

    Parameters
    ----------
    counts : (n_groups,) int array
        Rows of each group.
    capacity : int
        Rows in all.

    Returns
    -------
    int
        At least 1.
    """
    for i, count in enumerate(sorted(counts)):
        fair = capacity // (len(counts) - i)
        if count > fair:
            return max(int(fair), 1)
        capacity -= count
    return max(int(max(counts)), 1)


class Reservoir:
    """A uniform sample of the rows of each group, as large as a capacity for all groups allows; small groups are kept whole.

    Every row draws a random key, and those with the smallest keys stay.

    Parameters
    ----------
    capacity : int
        Rows in all.
    rng : RandomState
        Source of the keys.

    Attributes
    ----------
    counts : (n_groups,) int array
        Rows of each group that were added.
    """

    def __init__(self, capacity, rng):
        self._capacity, self._rng = capacity, rng
        self._pieces = []
        self._largest = np.empty(0)  # of each group, the largest key that may still stay
        self.counts = np.empty(0, int)

    def add(self, groups, **columns):
        """Offer rows.

        Parameters
        ----------
        groups : (k,) int array
            ColumnGroup of each row, from 0.
        **columns : arrays, Series or DataFrames of k rows
            What belongs to the rows.
        """
        if not len(groups):
            return
        missing = max(groups.max() + 1 - len(self.counts), 0)
        self.counts = np.append(self.counts, np.zeros(missing, int))
        self._largest = np.append(self._largest, np.full(missing, np.inf))
        self.counts += np.bincount(groups, minlength=len(self.counts))
        rows = {"group": groups, "key": self._rng.random_sample(len(groups)), **columns}
        stay = np.flatnonzero(rows["key"] <= self._largest[groups])
        self._pieces.append({name: take(values, stay) for name, values in rows.items()})
        if sum(len(piece["key"]) for piece in self._pieces) > 1.25 * self._capacity:
            self._thin()

    def _thin(self):
        rows = stack_blocks(self._pieces)
        counts = np.bincount(rows["group"], minlength=len(self.counts))
        limit = fair_limit(counts[counts > 0], self._capacity)
        order = np.lexsort((rows["key"], rows["group"]))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        last = order[rank == limit - 1]
        self._largest[rows["group"][last]] = rows["key"][last]
        stay = np.sort(order[rank < limit])
        self._pieces = [{name: take(values, stay) for name, values in rows.items()}]

    def rows(self):
        """{"group", "weight", and the names of the columns}: the rows that stayed, in the order in which they were added.

        The weight is the number of rows of the group that a row stands for.
        """
        if not self._pieces:
            return None
        self._thin()
        rows = {name: values for name, values in self._pieces[0].items() if name != "key"}
        return {**rows, "weight": (self.counts / np.bincount(rows["group"], minlength=len(self.counts)))[rows["group"]]}


class SourceSummary:
    """What one pass over a source tells: how many rows and labels there are, and some rows that stand for all.

    Parameters
    ----------
    source : Source
        The rows.
    buffer_size : int
        At most so many labelled and so many other rows are kept.
    unlabeled : scalar
        What stands for "no label".
    seed : int
        Seed of the choice.

    Attributes
    ----------
    X, y : array or DataFrame, array or Series
        The rows kept, in their order.
    weight : (n_kept,) array or None
        How many rows each stands for, labelled rows for those of their class; None if all rows are kept.
    n_rows, n_labeled : int
        Numbers of all rows and of those with a label.
    """

    def __init__(self, source, buffer_size, unlabeled, seed):
        rng = np.random.RandomState([seed, 1])
        labeled, others = Reservoir(buffer_size, rng), Reservoir(buffer_size, rng)
        numbers, self.n_rows = {}, 0
        for X, y in source.blocks():
            _check_finite(X)
            labels, positions = distinct_labels(y, unlabeled)
            groups = np.array([*(numbers.setdefault(label, len(numbers)) for label in labels.tolist()), -1])[positions]
            position = np.arange(self.n_rows, self.n_rows + len(X))
            self.n_rows += len(X)
            for reservoir, chosen in ((labeled, groups >= 0), (others, groups < 0)):
                rows = np.flatnonzero(chosen)
                columns = {"X": take(X, rows), "y": take(y, rows), "position": position[rows]}
                reservoir.add(np.maximum(groups[rows], 0), **columns)
        self.n_labeled = int(labeled.counts.sum())
        kept = [rows for rows in (labeled.rows(), others.rows()) if rows is not None]
        order = np.argsort(np.concatenate([rows["position"] for rows in kept]))
        rows = {name: take(values, order) for name, values in stack_blocks(kept).items()}
        self.X, self.y = rows["X"], rows["y"]
        self.weight = rows["weight"] if len(order) < self.n_rows else None
        if self.weight is not None:
            next(source.blocks())  # raises if X cannot be read a second time


def _check_finite(X):
    """Rows that are not kept are seen by nobody else before training."""
    values = X if isinstance(X, np.ndarray) else X.select_dtypes("float").to_numpy(dtype=float, na_value=np.nan)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("Input X contains infinity or a value too large for its dtype.")


# Training


@dataclasses.dataclass
class RowStream:
    """A source as the network reads it, and how many of its rows each row in memory stands for.

    Attributes
    ----------
    source : Source
        The rows.
    encode : function
        (X, y) -> (PreparedRows, codes).
    buffer_size : int
        Rows of the pool in which they are shuffled.
    encoded : PreparedRows
        The rows in memory.
    codes : (n_kept,) int array
        Their class codes.
    stands_for : (n_kept,) array
        Rows of the source that each stands for.
    weight : (n_kept,) array
        `stands_for` times the weight of the row's class.
    error : Exception or None
        What reading the source for training came to.
    """

    source: object
    encode: object
    buffer_size: int
    encoded: PreparedRows
    codes: np.ndarray
    stands_for: np.ndarray
    weight: np.ndarray
    error: Exception | None = None

    def count(self, labeled):
        """Rows of the source with a label, or without."""
        return round(self.stands_for[(self.codes >= 0) == labeled].sum())

    def class_weights(self):
        """Weight of a row of each class, and, last, of one without a label."""
        factors = np.ones(self.codes.max(initial=0) + 2)
        factors[self.codes] = self.weight / self.stands_for
        return factors

    def train(self, *args):
        """As `training.trainer.train`, on all rows of the source."""
        try:
            return trainer.train(*args, make_feed=functools.partial(StreamingSampler, self))
        except tf.errors.OpError:
            if self.error is None:
                raise
            raise self.error from None  # and not what TensorFlow makes of it


class StreamingSampler(BatchSampler):
    """Training rows of one stage as an endless stream of chunks, most of them read from a source as they are needed.

    Labelled rows are drawn as in `BatchSampler`, from those in memory; where a class does not fit into it, its rows take each
    other's places as they stream by. The rest of a batch are unlabelled rows that stream by. Where the labelled rows do not fit
    into memory and are no scarcer than they should be in a batch of rows drawn alike, all rows stream alike.

    A pass gives each row once, in the order that a pool of `buffer_size` rows makes: rows that enter take the places of
    random others, which leave it. It is filled up to whole chunks by rows of its own end.

    Parameters
    ----------
    stream : RowStream
        The source.
    encoded, codes, weight, batch_size, labeled_batch_size, seed, augment
        As in `BatchSampler`, for rows in memory. The others in memory are held out, and left out where they stream by.

    Attributes
    ----------
    steps_per_epoch : int
        As in `BatchSampler`.
    n_labeled : int
        Labelled rows in each batch; 0 where all rows stream alike.
    """

    def __init__(self, stream, encoded, codes, weight, batch_size, labeled_batch_size, seed, augment=None):
        self._stream, self._seed, self._augment = stream, seed, augment
        self._arrays, self._weight = named_arrays(encoded, codes), weight
        kept, used = (row_keys(e.x, c, e.observed) for e, c in ((stream.encoded, stream.codes), (encoded, codes)))
        self._held_out = np.setdiff1d(kept, used)
        order = canonical_order(encoded.x, codes, encoded.observed)
        labeled, others = order[codes[order] >= 0], order[codes[order] < 0]
        n_labeled, n_others = (
            stream.count(known) - int(((stream.codes >= 0) == known).sum() - len(rows))
            for known, rows in ((True, labeled), (False, others))
        )
        self.n_labeled = 0
        if labeled_batch_size is not None:
            wanted = labeled_rows_per_batch(n_labeled, n_labeled + n_others, batch_size, labeled_batch_size)
            alike = round(batch_size * n_labeled / (n_labeled + n_others))
            self.n_labeled = 0 if stream.count(True) > (stream.codes >= 0).sum() and wanted <= alike else wanted
        if self.n_labeled:
            passing = np.unique(stream.codes[(stream.codes >= 0) & (stream.stands_for > 1)])
            self._passing = {code: np.flatnonzero(codes == code) for code in passing}
            self._strata = strata_by_class(labeled, codes, weight, self.n_labeled)
            self._streamed = batch_size - self.n_labeled
            self._row_weight = draw_weights([*self._strata, (Stratum(others, weight[others]), self._streamed)])
            groups = [(n_labeled, self.n_labeled), (n_others, self._streamed)]
        else:
            self._passing, self._strata, self._streamed, self._row_weight = {}, [], batch_size, np.ones(batch_size)
            groups = [(n_labeled + n_others, batch_size)]
        self.steps_per_epoch = max(math.ceil(count / size) for count, size in groups if size >= batch_size / 2)
        self._pool_size = max(stream.buffer_size, batch_size)
        self.max_chunk_bytes = min(self.max_chunk_bytes, self._batch_bytes() * self._pool_size // (4 * batch_size))

    def sample(self):
        """Rows among which each kind has its share of all rows: as many as are in memory, drawn by what they stand for."""
        rows = Stratum(np.arange(len(self._weight)), self._weight).draw(len(self._weight), np.random.RandomState(self._seed))
        return PreparedRows(self._arrays["x"], self._arrays.get("observed"))[np.sort(rows)]

    def close(self):
        super().close()
        self._stream = None

    def joint_epochs(self, epochs):
        """An epoch is large: one."""
        return 1

    def dataset(self, epochs=None, chunk_epochs=1):
        """As `BatchSampler.dataset`, with one epoch in a chunk at most."""
        count, steps = self.chunks()
        shape = (steps, len(self._row_weight))
        class_weights = self._stream.class_weights()

        def chunks():
            rng = np.random.RandomState(self._seed)
            memory = {name: values.copy() for name, values in self._arrays.items()} if self._passing else self._arrays
            draws = [self._draws(stratum, size, count, steps, rng) for stratum, size in self._strata]
            n_chunks = None if epochs is None else epochs * count
            for streamed in itertools.islice(self._read(steps * self._streamed, memory, rng), n_chunks):
                parts = [_rows(memory, next(rows)) for rows in draws]
                parts.append({name: v.reshape(steps, self._streamed, *v.shape[1:]) for name, v in streamed.items()})
                chunk = {name: np.concatenate([part[name] for part in parts], axis=1) for name in memory}
                weight = np.broadcast_to(self._row_weight, shape) if self._strata else class_weights[chunk["y"]]
                yield {**chunk, "weight": weight.astype(np.float32)}

        return self._stream_of(chunks, shape)

    def _draws(self, stratum, size, count, steps, rng):
        """Chunk after chunk (steps, size) of indices; rows have their shares over an epoch, or as much of it as is bounded."""
        chunks = min(count, math.ceil(max(len(stratum.rows), self._pool_size) / (steps * size)))
        while True:
            yield from stratum.draw(chunks * steps * size, rng).reshape(chunks, steps, size)

    def _read(self, n_rows, memory, rng):
        """Pass after pass in pieces of `n_rows` rows."""
        stream = self._stream
        try:
            while True:
                yield from resized(self._shuffled(n_rows, memory, rng), n_rows)
        except Exception as error:
            stream.error = error
            raise

    def _shuffled(self, n_rows, memory, rng):
        """One pass in random order, and some rows from the end of it again to make a multiple of `n_rows`."""
        pool, filled, left = None, 0, 0
        for block in self._streaming(memory, rng):
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
            raise ValueError("X gave no row for training in a later pass, unlike in the first one.")
        again = np.resize(rng.permutation(filled), -(left + filled) % n_rows)
        yield _rows(pool, np.append(rng.permutation(filled), again))

    def _streaming(self, memory, rng):
        """One pass over the rows that stream by, as they come; labelled ones may go to the memory instead."""
        for X, y in self._stream.source.blocks(int(np.clip(self._pool_size // 8, 1, BLOCK_ROWS)), rng):
            encoded, codes = self._stream.encode(X, y)
            wanted = np.ones(len(codes), bool)
            if len(self._held_out):
                wanted = ~np.isin(row_keys(encoded.x, codes, encoded.observed), self._held_out)
            if "observed" not in memory and encoded.observed is not None:  # the network was made for rows without gaps
                wanted &= encoded.observed.all(axis=1)
                encoded = PreparedRows(encoded.x)
            elif "observed" in memory and encoded.observed is None:
                encoded = PreparedRows(encoded.x, np.ones_like(encoded.x))
            block = named_arrays(encoded, codes)
            if self._strata:
                for code, places in self._passing.items():
                    new = np.flatnonzero(wanted & (codes == code))[: len(places)]
                    taken = rng.permutation(places)[: len(new)]
                    for name, values in memory.items():
                        values[taken] = block[name][new]
                wanted &= codes < 0
            yield _rows(block, np.flatnonzero(wanted))


def _rows(arrays, rows):
    return {name: values[rows] for name, values in arrays.items()}
