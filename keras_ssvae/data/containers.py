"""The door for X: containers that others fill, as arrays or DataFrames, and the column of a frame that holds the labels.

What else the package reads is left as it is: arrays, sparse matrices, lists, frames of pandas and polars, and sources.
"""

import typing
from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sparse

__all__ = []

# by the package that a container comes from; other objects of it are left as they are
CONTAINERS: dict[str, tuple[tuple[str, ...], typing.Callable]] = {
    "_duckdb": (("DuckDBPyRelation",), lambda X: X.df()),
    "datasets": (("Dataset",), lambda X: X.with_format("arrow")[:].to_pandas()),
    "duckdb": (("DuckDBPyRelation",), lambda X: X.df()),
    "keras": (("Variable",), lambda X: X.numpy()),
    "narwhals": (("DataFrame", "LazyFrame"), lambda X: opened(X.to_native())),
    "polars": (("LazyFrame",), lambda X: X.collect()),
    "pyarrow": (("RecordBatch", "Table"), lambda X: X.to_pandas()),
    "tensorflow": (("EagerTensor", "ResourceVariable"), lambda X: X.numpy()),
    "torch": (("Parameter", "Tensor"), lambda X: X.detach().cpu().numpy()),
}
# packages whose data lie elsewhere, or are not there yet, and what brings them here
ELSEWHERE = {
    "datasets": "one of its datasets, as X['train'], or with rows in memory, Dataset.from_list(list(X))",
    "dask": "X.compute()",
    "ibis": "X.to_pandas()",
    "pyspark": "X.toPandas()",
    "cupy": "X.get()",
    "cudf": "X.to_pandas()",
}
UNREADABLE = {
    "KerasTensor": "it has no values; pass an array",
    "RaggedTensor": "its rows differ in length; pass rows of one length, as X.to_tensor().numpy()",
    "SparseTensor": "pass tf.sparse.to_dense(X).numpy()",
    "SymbolicTensor": "it has no values inside a tf.function; call the estimator outside of it, on an array",
}


def opened(X: typing.Any) -> typing.Any:
    """X as an array or a frame where it is a tensor, a dict of columns, a list of dicts, a pyarrow Table, a lazy frame of
    polars, a relation of DuckDB, a Dataset of Hugging Face, a frame of narwhals, anything else that hands its columns out as
    Arrow does, a masked array or a list of masked rows (cells under the mask are missing), or a structured array; other objects
    as they are.

    Raises a TypeError, which says what to call, where X is not in memory, and a ValueError where a frame has two columns of one
    name, or the columns of a dict do not fit.
    """
    package, name = type(X).__module__.partition(".")[0], type(X).__name__
    names, convert = CONTAINERS.get(package, ((), None))
    if convert is not None and name in names:
        X = convert(X)
    elif package in ELSEWHERE:
        raise TypeError(
            f"X is a {name} of {package}, whose rows are not in memory as an array or a DataFrame; pass {ELSEWHERE[package]}."
        )
    elif name in UNREADABLE and package in ("keras", "tensorflow"):
        raise TypeError(f"X is a {name}, which cannot be read: {UNREADABLE[name]}.")
    elif isinstance(X, Mapping) and not sparse.issparse(X):  # a matrix by the keys of its cells is one, too
        X = pd.DataFrame(_columns(X))
    elif isinstance(X, np.ma.MaskedArray):
        X = _unmasked(X)
    elif isinstance(X, (list, tuple)):
        X = _of_list(X)
    elif hasattr(X, "__arrow_c_stream__") and package not in ("pandas", "polars", "pyarrow"):
        import pyarrow

        X = pyarrow.table(X).to_pandas()
    if isinstance(X, np.ndarray) and X.dtype.names is not None:
        X = pd.DataFrame(X.astype(X.dtype.newbyteorder("=")))
    if isinstance(X, np.ndarray) and X.dtype.kind == "T":  # text of any length
        X = X.astype(object)
    if isinstance(X, pd.DataFrame) and not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise ValueError(f"X must have unique column names; duplicates are {twice[:20]}.")
    return X


def split_labels(X: typing.Any, y: typing.Any, known: str | None = None, argument: str = "y") -> tuple[typing.Any, typing.Any]:
    """X without its column of labels, and y, which is that column where it was its name; `argument` is what errors call it.

    Where y is no name, the column `known`, if X has it, is left out. Sources, which read such a column themselves, stay as they
    are. Raises a ValueError if y names no column of X.
    """
    is_frame = isinstance(X, pd.DataFrame) or type(X).__module__.partition(".")[0] == "polars"
    if not isinstance(y, str):
        return (_without(X, known) if is_frame and has_column(X, known) else X), y
    if is_frame:
        if y not in X.columns:
            raise ValueError(f"{argument}={y!r} names no column of X; its columns are {list(X.columns)[:20]}.")
        return _without(X, y), X[y]
    if isinstance(X, (np.ndarray, list, tuple)) or hasattr(X, "tocsr"):
        kind = "a list of rows" if isinstance(X, (list, tuple)) else "an array"
        raise ValueError(f"{argument}={y!r} names a column, but X is {kind} without names.")
    return X, y


def has_column(X: typing.Any, name: str | None) -> bool:
    """Whether X is a frame with a column of this name."""
    return name is not None and hasattr(X, "columns") and name in X.columns


def _without(X, name):
    return X.drop(columns=name) if isinstance(X, pd.DataFrame) else X.drop(name)


def _columns(X):
    """The columns of a dict, all of one length."""
    columns = {name: _column(values, name) for name, values in X.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Columns of X must have one length; got {lengths}.")
    return columns


def _column(values, name):
    """One column of a dict of columns: (rows,) values."""
    if isinstance(values, pd.Series):
        return values.array
    values = _unmasked(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"Column {name!r} of X must have the shape (rows,); got {values.shape}. Is the dataset batched?")
    return as_text(values)


def as_text(values: np.ndarray) -> np.ndarray:
    """An array with text where it has bytes, which TensorFlow's text is."""
    if values.dtype != object:
        return values
    flat = [v.decode() if isinstance(v, bytes) else v for v in values.ravel()]
    texts = np.empty(len(flat), dtype=object)
    texts[:] = flat
    return texts.reshape(values.shape)


def _of_list(rows):
    """A frame of dicts, an array of masked rows; another list or tuple as it is."""
    if len(rows) and all(isinstance(row, Mapping) for row in rows):
        return pd.DataFrame(list(rows))
    if any(isinstance(row, np.ma.MaskedArray) and row.ndim for row in rows):
        return _unmasked(np.ma.stack(rows))
    return rows


def _unmasked(X):
    """The values of a masked array with gaps in the cells under its mask."""
    if X.dtype.names is not None:
        raise TypeError("X is a masked array of records; pass a DataFrame, with gaps in the cells under the mask.")
    mask = np.ma.getmaskarray(X)
    if not mask.any():
        return X.data
    if X.dtype.kind in "Mm":
        return X.filled(np.array("NaT", X.dtype))
    if X.dtype.kind in "biuf":
        dtype = X.dtype if X.dtype.kind == "f" else np.float64
        return X.astype(dtype).filled(np.nan)
    values = X.data.astype(object)
    values[mask] = None
    return values
