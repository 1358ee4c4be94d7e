"""What one pass over rows on disk tells: how many rows and labels there are, and some rows that stand for all."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_ssvae.data.sources import Source, stack_blocks, take

__all__ = []


def fair_limit(counts: np.ndarray | Sequence[int], capacity: int) -> int:
    """The largest number of rows, at least 1, that every group may keep, so that all together keep no more than the capacity.

    `counts` are the rows of each group.
    """
    for i, count in enumerate(sorted(counts)):
        fair = capacity // (len(counts) - i)
        if count > fair:
            return max(int(fair), 1)
        capacity -= count
    return max(int(max(counts)), 1)


class Reservoir:
    """A uniform sample of the rows of each group, as large as a capacity for all groups allows; small groups are kept whole.

    Every row draws a random key, and those with the smallest keys stay. `counts` are the rows of each group that were added.
    """

    def __init__(self, capacity: int, rng: np.random.RandomState):
        self._capacity, self._rng = capacity, rng
        self._pieces: list[dict] = []
        self._largest = np.empty(0)  # of each group, the largest key that may still stay
        self.counts = np.empty(0, int)

    def add(self, groups: np.ndarray, **columns: object) -> None:
        """Offer k rows: the group of each, from 0, and what belongs to them, arrays, Series or DataFrames of k rows."""
        if not len(groups):
            return
        missing = max(groups.max() + 1 - len(self.counts), 0)
        self.counts = np.append(self.counts, np.zeros(missing, int))
        self._largest = np.append(self._largest, np.full(missing, np.inf))
        self.counts += np.bincount(groups, minlength=len(self.counts))
        rows = {"group": groups, "key": self._rng.random_sample(len(groups)), **columns}
        stay = np.flatnonzero(rows["key"] <= self._largest[groups])
        if not len(stay):  # most blocks of a long source
            return
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

    def rows(self) -> dict | None:
        """{"group", "weight", and the names of the columns}: the rows that stayed, in the order in which they were added.

        The weight is the number of rows of the group that a row stands for.
        """
        if not self._pieces:
            return None
        self._thin()
        rows = {name: values for name, values in self._pieces[0].items() if name != "key"}
        return {**rows, "weight": (self.counts / np.bincount(rows["group"], minlength=len(self.counts)))[rows["group"]]}


class SourceSummary:
    """What one pass over a source tells: `n_rows` and `n_labeled`, and some rows, `X` and `y`, in order, that stand for all.

    At most `buffer_size` labelled and so many other rows are kept. `weight` says how many rows each stands for, (n_kept,),
    labelled rows for those of their class; None if all rows are kept. `distinct` reads labels as
    `keras_ssvae.data.labels.distinct_labels` does.
    """

    def __init__(self, source: Source, buffer_size: int, distinct: Callable, seed: int):
        rng = np.random.RandomState([seed, 1])
        labeled, others = Reservoir(buffer_size, rng), Reservoir(buffer_size, rng)
        numbers, self.n_rows = dict[object, int](), 0
        for X, y in source.blocks():
            _check_finite(X)
            labels, positions = distinct(y)
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
        columns = {name: take(values, order) for name, values in stack_blocks(kept).items()}
        self.X, self.y = columns["X"], columns["y"]
        self.weight = columns["weight"] if len(order) < self.n_rows else None
        if self.weight is not None:
            next(source.blocks())  # raises if X cannot be read a second time


def _check_finite(X):
    """Rows that are not kept are seen by nobody else before training."""
    values = X if isinstance(X, np.ndarray) else X.select_dtypes("float").to_numpy(dtype=float, na_value=np.nan)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("Input X contains infinity or a value too large for its dtype.")
