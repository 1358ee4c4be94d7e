"""Rows that do not lie in memory, in blocks: a folder of files, an array on disk, a tf.data.Dataset, a function.

A source is read from its start as often as somebody asks for its rows; only a block of them is in memory at a time.
"""

import os
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import numpy as np
import pandas as pd
import scipy.sparse as sparse
import tensorflow as tf
from pandas.api.types import union_categoricals

from keras_ssvae._compat.tensorflow import is_endless
from keras_ssvae.data.containers import as_text, opened
from keras_ssvae.data.endings import Repetition
from keras_ssvae.data.files import csv_blocks, files_of, parquet_dataset
from keras_ssvae.data.schema import as_frame
from keras_ssvae.data.shares import Share

__all__ = ["Source", "open_source"]

BLOCK_ROWS = 8192  # rows that are read and encoded at a time, where the buffer is not smaller still


class Source:
    """Rows in blocks, read from the start at every pass.

    Parameters
    ----------
    read : function
        (rows, rng) -> iterator of elements X, or tuples (X, y). `rows` is a wish; with a generator of random numbers, `rng`,
        the parts of the source may come in random order. Where it has an attribute `ranged`, (rows, rng, `Share`) -> the
        elements of a share, which it can find without reading the others. Where its attribute `may_not_end` is true, a pass
        in order raises if the same elements come again and again.
    label, ignore : str, default=None
        Names of the column of the labels, and of one that is left out where it occurs.
    block_rows : int, default=8192
        Rows of a block, unless others are asked for.
    """

    def __init__(
        self, read: Callable[[int, np.random.RandomState | None], Iterator], label: str | None = None,
        ignore: str | None = None, block_rows: int = BLOCK_ROWS,
    ) -> None:  # fmt: skip
        self._read, self._label, self._ignore, self._block_rows = read, label, ignore, block_rows
        self._columns = None

    def blocks(
        self, rows: int | None = None, rng: np.random.RandomState | None = None, share: Share | None = None
    ) -> Iterator[tuple]:
        """One pass: (X, y) of `rows` rows each, the last of fewer; X of one kind, and with the same columns, throughout.

        Parameters
        ----------
        rows : int, default=None
            Rows a block; None takes `block_rows`.
        rng : RandomState, default=None
            Where the source has parts that can be told apart (files, groups of rows), they come in the random order of `rng`.
        share : Share, default=None
            Only the rows of one of several workers, which may be none.

        Yields
        ------
        X, y : array or DataFrame, array or Series
            Rows and their labels; None for rows that came without.
        """
        rows, total = rows or self._block_rows, 0
        for block in resized(self._given(rows, rng, share), rows):
            total += len(block["X"])
            yield block["X"], block["y"]
        if total == 0 and share is None:
            raise ValueError("X gave no row. Rows are read several times: a function must return a new iterator at each call.")

    def _given(self, rows, rng, share):
        """The user's blocks, all of one kind."""
        total, ranged = 0, getattr(self._read, "ranged", None)
        repetition = Repetition() if getattr(self._read, "may_not_end", False) and rng is None and share is None else None
        dealt = share is not None and ranged is None  # all read all, and each pass deals the rows out anew
        first = (share.rank + share.rng.randint(share.size)) if dealt else 0
        elements = self._read(rows, share.rng if dealt else rng) if share is None or dealt else ranged(rows, rng, share)
        for element in elements:
            X, y = self._checked(element, total)
            if repetition is not None:
                repetition.see(X)
            own = slice((first - total) % share.size, None, share.size) if dealt else slice(None)
            total += len(X)
            yield {"X": take(X, own), "y": take(y, own)} if dealt else {"X": X, "y": y}

    def _checked(self, element, start):
        """(X, y) of an element of the user's; `start` is the number of rows before it."""
        X, y = element, None
        if isinstance(element, tuple):
            if len(element) != 2:
                raise ValueError(f"X must give blocks X or (X, y); got a tuple of {len(element)}. It cannot hold row weights.")
            X, y = element
        X = opened(X)
        frame = None if isinstance(X, np.ndarray) else as_frame(X)
        X = as_text(_array(X)) if frame is None else frame
        if X.ndim < 2:
            raise ValueError(f"X must give blocks of rows, of two dimensions at least; got shape {X.shape}. Is it batched?")
        if frame is not None:
            X, y = self._without_labels(X, y)
            if X.index.equals(pd.RangeIndex(len(X))):  # rows are numbered through
                X = X.set_axis(pd.RangeIndex(start, start + len(X)))
        elif self._label is not None:
            raise ValueError(f"y={self._label!r} names a column, but X gives arrays without names.")
        if y is not None and len(y) != len(X):
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: a block has {len(X)} rows and {len(y)} labels."
            )
        return self._alike(X), np.full(len(X), None) if y is None else _labels(y)

    def _without_labels(self, X, y):
        """The columns of a frame but that of the labels, which becomes y."""
        if self._label is not None:
            if y is not None:
                raise ValueError(f"y was given twice: y={self._label!r} names a column, and X gives blocks (X, y).")
            if self._label not in X.columns:
                raise ValueError(f"y={self._label!r} names no column of X; its columns are {list(X.columns)[:20]}.")
            y = X[self._label]
        left_out = [name for name in (self._label, self._ignore) if name is not None]
        return X.drop(columns=left_out, errors="ignore"), y

    def _alike(self, X):
        """X with the columns of the first block in their order; raises if they are others."""
        columns = list(X.columns) if isinstance(X, pd.DataFrame) else X.shape[1:]
        if self._columns is None:
            self._columns = columns
        if columns == self._columns:
            return X
        if not isinstance(columns, list) or not isinstance(self._columns, list):
            kind, first = ("names" if isinstance(c, list) else f"rows of shape {c}" for c in (columns, self._columns))
            raise ValueError(f"All blocks of X must have the same columns; one has {kind} where the first had {first}.")
        if set(columns) != set(self._columns):
            odd = sorted(set(map(str, columns)) ^ set(map(str, self._columns)))
            raise ValueError(f"All blocks of X must have the same columns; not in all of them are {odd[:20]}.")
        return X[self._columns]


def _array(X):
    """A block that is no frame as an array, of a sparse matrix too; raises a ValueError where its rows differ in length."""
    try:
        return X.toarray() if sparse.issparse(X) else np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"X must give blocks X or tuples (X, y); got a {type(X).__name__} that is no array: {error}"
        ) from error


def _labels(y):
    """Labels in a container that can be cut and stacked, none of them changed."""
    if isinstance(y, (list, tuple)):
        return np.fromiter(y, dtype=object, count=len(y))
    if isinstance(y, pd.Series) or pd.api.types.is_extension_array_dtype(y):
        return pd.Series(y).reset_index(drop=True)
    return as_text(np.asarray(y))


# From what the user passes to a source


def open_source(X: object, y: object = None, buffer_size: int = BLOCK_ROWS, ignore: str | None = None) -> Source | None:
    """The source that X stands for, or None if X is an array, a DataFrame or a list: rows in memory.

    Parameters
    ----------
    X : object
        What the user passed: a folder or file (path, or address as "s3://bucket/rows"), a tf.data.Dataset, a PyDataset of
        Keras, a pyarrow Dataset, a function without arguments that returns an iterator of blocks, a numpy.memmap.
    y : object, default=None
        Labels of the rows of a memmap; else None or the name of a column.
    buffer_size : int, default=8192
        A memmap of at most so many rows is an array as any other; no block has more rows.
    ignore : str, default=None
        Name of a column that is left out where it occurs.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or no file in it that could be read.
    TypeError
        If X can be read once only.
    ValueError
        If y does not suit X, or X holds files of both formats or is a dataset without end.
    ImportError
        If pyarrow is needed and not installed.
    """
    block_rows = min(buffer_size, BLOCK_ROWS)
    if isinstance(X, np.memmap) and X.ndim > 1:
        return Source(_of_memmap(X, y), block_rows=block_rows) if len(X) > buffer_size else None
    read = _reader(X)
    if read is None:
        return None
    if y is not None and not isinstance(y, str):
        raise ValueError(
            "y must be None or the name of a column: X is read in blocks, which bring their labels themselves, as (X, y) or in "
            f"that column. Got y of type {type(y).__name__}."
        )
    return Source(read, y, ignore, block_rows)


def _reader(X):
    """The function that reads X, or None if X is no source."""
    if isinstance(X, (str, os.PathLike)):
        return _of_files(*files_of(X))
    if isinstance(X, tf.data.Dataset):
        return _of_tensors(X)
    if isinstance(X, keras.utils.PyDataset):
        return _of_batches(X)
    if _is_arrow_dataset(X):
        return _of_arrow(X)
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read once only, and several passes over the rows are made. Pass the "
            "function that makes it, without calling it: X=blocks, not X=blocks()."
        )
    if callable(X) and not hasattr(X, "__array__") and not hasattr(X, "shape"):
        return _of_function(X)
    return None


def _of_tensors(dataset):
    if is_endless(dataset):
        raise ValueError("X is a dataset without end; leave out its `repeat()`.")

    def read(rows, rng):
        return dataset.as_numpy_iterator()

    read.may_not_end = dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
    return read


def _of_batches(dataset):
    if dataset.num_batches is None:
        raise ValueError("X is a PyDataset without end; its `num_batches` must be a number.")

    def read(rows, rng):
        numbers = range(dataset.num_batches)
        yield from (dataset[int(i)] for i in (numbers if rng is None else rng.permutation(numbers)))

    return read


def _of_function(function):
    def read(rows, rng):
        blocks = function()
        if not isinstance(blocks, Iterable) or hasattr(blocks, "shape") or isinstance(blocks, (str, dict)):
            raise TypeError(
                f"The function X must return an iterator of blocks X or (X, y); it returned {type(blocks).__name__}."
            )
        yield from blocks

    read.may_not_end = True
    return read


def _of_memmap(X, y):
    if isinstance(y, str):
        raise ValueError(f"y={y!r} names a column, but X is an array without names.")
    if y is not None and len(y) != len(X):
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{len(X)}, {len(y)}].")

    def read(rows, rng):
        starts = range(0, len(X), rows)
        for start in starts if rng is None else rng.permutation(starts):
            part = slice(start, start + rows)
            yield np.array(X[part]), None if y is None else take(y, part)

    return read


def _of_files(folder, names, kind):
    return _of_csv(folder, names) if kind == "csv" else _of_arrow(parquet_dataset(folder, names))


def _of_csv(folder, names):
    def read(rows, rng):
        for i in range(len(names)) if rng is None else rng.permutation(len(names)):
            for block in csv_blocks(folder, names[i], rows):
                yield block.reset_index(drop=True)

    return read


def _is_arrow_dataset(X):
    if type(X).__module__.partition(".")[0] != "pyarrow":
        return False
    import pyarrow.dataset

    return isinstance(X, pyarrow.dataset.Dataset)


def _of_arrow(dataset):
    import pyarrow

    def batches_of(part, rows):
        schema = {} if part is dataset else {"schema": dataset.schema}
        try:
            yield from part.to_batches(**schema, batch_size=rows, batch_readahead=2, fragment_readahead=1)
        except pyarrow.ArrowInvalid as error:
            several = _of_several_types(dataset)
            if not several:
                raise
            raise ValueError(f"X has columns of several types, which not all values fit: {several}. {error}") from error

    def read(rows, rng):
        parts = [dataset] if rng is None else _fragments(dataset)
        for i in range(len(parts)) if rng is None else rng.permutation(len(parts)):
            for batch in batches_of(parts[i], rows):
                yield batch.to_pandas()

    def ranged(rows, rng, share):
        parts = _fragments(dataset)
        ranges = share.ranges([_count(part) for part in parts])
        for i in rng.permutation(len(ranges)):
            part, start, stop = ranges[i]
            at = 0
            for batch in batches_of(parts[part], rows):
                own = batch.slice(max(start - at, 0), max(min(stop, at + len(batch)) - max(start, at), 0))
                at += len(batch)
                if len(own):
                    yield own.to_pandas()
                if at >= stop:
                    break

    read.ranged = ranged
    return read


def _of_several_types(dataset):
    """{column: types} of those that are of another type in a file than in the dataset."""
    schemas = [getattr(part, "physical_schema", dataset.schema) for part in _fragments(dataset)]
    fields = {(field.name, field.type) for schema in schemas for field in schema}
    names = {name for name, kind in fields if kind != dataset.schema.field(name).type}
    return {name: sorted(str(kind) for other, kind in fields if other == name) for name in sorted(names)}


def _count(part):
    """The rows of a part; pyarrow's own count of a group of rows is that of its file."""
    return sum(group.num_rows for group in part.row_groups) if hasattr(part, "row_groups") else part.count_rows()


def _fragments(dataset):
    """The groups of rows of Parquet files, or the files; the dataset itself where it cannot be told apart."""
    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # filtered by the user
        return [dataset]
    return [part for f in fragments for part in (f.split_by_row_group() if hasattr(f, "split_by_row_group") else [f])]


# Blocks cut, and one below the other


def take(values: typing.Any, rows: slice | np.ndarray) -> typing.Any:
    """The rows at some positions of an array, a Series, a DataFrame, or a list, which takes slices only."""
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def stack(parts: Sequence) -> np.ndarray | pd.Series | pd.DataFrame:
    """Arrays, Series or DataFrames, at least one, one below the other in one container of their kind.

    Arrays of numbers and of text together give objects, so that no label changes its type; categories are united.
    """
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], pd.DataFrame):
        frames = [pd.DataFrame(part) for part in parts]
        for name in frames[0].columns[[isinstance(dtype, pd.CategoricalDtype) for dtype in frames[0].dtypes]]:
            if any(frame[name].dtype != frames[0][name].dtype for frame in frames):
                columns = _united([frame[name] for frame in frames])
                frames = [frame.assign(**{name: column}) for frame, column in zip(frames, columns, strict=True)]
        return pd.concat(frames, ignore_index=all(frame.index.equals(pd.RangeIndex(len(frame))) for frame in frames))
    if any(isinstance(part, pd.Series) or pd.api.types.is_extension_array_dtype(part) for part in parts):
        return pd.concat(_united([pd.Series(part) for part in parts]), ignore_index=True)
    kinds = {"text" if part.dtype.kind in "US" else "number" for part in parts if part.dtype != object}
    return np.concatenate(parts if len(kinds) <= 1 else [part.astype(object) for part in parts])


def _united(columns):
    """Columns of categories with the categories of all of them; other columns, and orders that differ, as they are."""
    dtypes = [column.dtype for column in columns]
    if all(dtype == dtypes[0] for dtype in dtypes) or not all(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes):
        return columns
    if any(dtype.ordered for dtype in dtypes):
        return [column.astype(object) for column in columns]
    dtype = union_categoricals(columns).dtype
    return [column.astype(dtype) for column in columns]


def resized(blocks: Iterable[dict], rows: int) -> Iterator[dict]:
    """Blocks of `rows` rows, the last of fewer, with the same rows in the same order.

    A block is a dict: name -> array, Series or DataFrame, each with the rows of the block.
    """
    waiting, count = [], 0
    for block in blocks:
        start, size = 0, len(next(iter(block.values())))
        while start < size:
            stop = min(start + rows - count, size)
            waiting.append({name: take(values, slice(start, stop)) for name, values in block.items()})
            start, count = stop, count + stop - start
            if count == rows:
                yield stack_blocks(waiting)
                waiting, count = [], 0
    if waiting:
        yield stack_blocks(waiting)


def stack_blocks(blocks: Sequence[dict]) -> dict:
    """Blocks, as in `resized`, of the same names one below the other."""
    return {name: stack([block[name] for block in blocks]) for name in blocks[0]}
