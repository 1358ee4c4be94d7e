"""The user's columns <-> a matrix of numbers: dtypes, categories, dates, and the way back.

Nothing is scaled here. Numbers and truth values stay what they are, a category becomes its position among the levels, a date
the seconds since 1970; what is missing, and a category that the fit did not see, becomes NaN.
"""

import numbers
import typing

import numpy as np
import pandas as pd
import scipy.sparse as sparse

from keras_ssvae.data.column_base import Column
from keras_ssvae.data.columnwise import Columns
from keras_ssvae.data.number_columns import Numbers, TruthValues, cast, has_long_integers
from keras_ssvae.data.schema_columns import Levels, learn_column
from keras_ssvae.registry import register, require, require_keys

__all__ = ["Schema"]

SHORT = 2048  # positions up to which a float16 has all


@register
class Schema:
    """The container and the columns of X.

    Attributes
    ----------
    container : {"array", "frame", "polars"}
        What X was.
    dtype : dtype or None
        dtype of an array.
    names : Index or None
        Column names of a frame.
    columns : list or None
        One object a column; None for an array of numbers.
    """

    def fit(self, X: typing.Any) -> "Schema":
        """Learn the columns of X: a DataFrame, an array, or a list of rows."""
        self.dtype, self.names, self.columns = None, None, None
        self.container = "polars" if _is_polars(X) else "frame" if isinstance(X, pd.DataFrame) else "array"
        if self.container == "array":
            self.dtype = getattr(X, "dtype", np.dtype(float))
        frame = as_frame(X)
        if frame is None and has_long_integers(X):
            frame = pd.DataFrame(X)
        if frame is not None:
            names = range(frame.shape[1]) if self.container == "array" else frame.columns
            self.columns = [learn_column(frame.iloc[:, j], name) for j, name in enumerate(names)]
            self.names = None if self.container == "array" else frame.columns
            if not hasattr(X, "dtype") and not all(isinstance(column, Numbers) for column in self.columns):
                self.dtype = np.dtype(object)
        return self

    def read(self, X: typing.Any) -> np.ndarray:
        """X as float64 (n, d), NaN where missing; an array of numbers as it is."""
        return X if self.columns is None and as_frame(X) is None else np.asarray(self.read_columns(X))

    def read_columns(self, X: typing.Any) -> np.ndarray | Columns:
        """The same of what has columns, without a copy of those of numbers; zeros where X has no rows, or other columns."""
        frame = as_frame(X)
        frame = pd.DataFrame(np.asarray(X)) if frame is None else frame
        columns = self.columns or [Numbers(dtype, False) for dtype in frame.dtypes]
        if frame.shape[1] != len(columns) or 0 in frame.shape:
            return np.zeros(frame.shape)
        return Columns([self._read_column(column, j, frame.iloc[:, j]) for j, column in enumerate(columns)])

    def _read_column(self, column, j, series):
        """Numbers of a column, in the smallest dtype that holds those of levels, and in their own where they are numbers."""
        name = j if self.names is None else self.names[j]
        if type(column) is Numbers and not column.offset and isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
            return series.to_numpy()
        if series.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {name!r} has dtype {series.dtype}.")
        try:
            values = column.numbers(series)
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"column {name!r} holds other values than in the fit: {error}.") from error
        is_short = isinstance(column, TruthValues) or isinstance(column, Levels) and len(column.levels) <= SHORT
        return values.astype(np.float16) if is_short else values

    def write(self, values: np.ndarray, index: pd.Index | None = None) -> typing.Any:
        """Numbers (n, d), or images -> the user's container, with the index of the rows they belong to, if any."""
        if self.columns is None:
            return cast(values, self.dtype)
        return self._wrap(self._frame(values, index))

    def fill(self, X: typing.Any, values: np.ndarray) -> typing.Any:
        """X with numbers (n, d) in its missing cells, and every other cell as it was."""
        given = as_frame(X)
        if given is None and self.columns is None:
            X = X.toarray() if sparse.issparse(X) else np.array(X)
            missing = np.isnan(X) if X.dtype.kind == "f" else np.zeros(X.shape, bool)
            X[missing] = self.write(values).reshape(X.shape)[missing]
            return X
        given = pd.DataFrame(np.asarray(X)) if given is None else given  # an array, for the columns of a frame
        if self.columns is None:
            filled = pd.DataFrame(self.write(values), given.index, given.columns)
        else:
            filled = self._frame(values, given.index).set_axis(given.columns, axis=1)
        columns = [_fill(given.iloc[:, j], filled.iloc[:, j]) for j in range(given.shape[1])]
        result = pd.concat(columns, axis=1).set_axis(given.columns, axis=1)
        if isinstance(X, pd.DataFrame):
            return result
        return self._wrap(result) if _is_polars(X) else result.to_numpy(dtype=getattr(X, "dtype", self.dtype))

    @property
    def _entry_names(self):
        """What errors of `save` call the columns."""
        names = self.names if self.names is not None else range(len(self.columns or ()))
        return {} if self.columns is None else {"columns": [f"X[{name!r}]" for name in names]}

    def _check_loaded(self):
        require_keys("Schema", vars(self), {"container", "dtype", "names", "columns"})
        is_array, names, columns = self.container == "array", self.names, self.columns
        require(is_array or self.container in ("frame", "polars"), f"{self.container!r:.60} is no container")
        if columns is None:
            require(is_array and names is None and isinstance(self.dtype, np.dtype), "an array has columns or no dtype")
            require(self.dtype.kind in "biufO", f"{self.dtype} is no dtype of an array of numbers")
            return
        require(isinstance(columns, list) and all(isinstance(column, Column) for column in columns), "columns are none")
        require((names is None) == is_array, "a frame has no names of columns, or an array has")
        require(names is None or isinstance(names, pd.Index) and len(names) == len(columns), "columns have other names")
        require(self.dtype is None or isinstance(self.dtype, np.dtype), "the dtype is none")
        if columns:
            again = self.read(self._frame(np.zeros((1, len(columns))), None))
            require(again.shape == (1, len(columns)), "columns do not hold values as they should")

    def _frame(self, values, index):
        columns = [
            pd.Series(column.values(values[:, j])).astype(column.dtype).set_axis(range(len(values)))
            for j, column in enumerate(self.columns)
        ]
        frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(len(values)))
        if self.names is not None:
            frame.columns = self.names
        return frame if index is None else frame.set_axis(index)

    def _wrap(self, frame):
        """A DataFrame as the user's container."""
        if self.container == "array":
            return frame.to_numpy(dtype=self.dtype)
        if self.container == "polars":
            import polars

            return polars.from_pandas(frame)
        return frame


def _fill(given, filled):
    """A column with its gaps filled; one without gaps stays as it is."""
    missing = given.isna()
    if given.dtype.kind == "f":  # Arrow, as polars, tells NaN from a gap
        missing |= np.isnan(given.to_numpy(dtype=np.float64, na_value=np.nan))
    if not (missing & filled.notna()).any():
        return given
    if given.dtype != filled.dtype:
        both = pd.concat([given, filled]).dtype
        given, filled = given.astype(both), filled.astype(both)
    return given.where(~missing, filled)


def _is_polars(X):
    return type(X).__module__.partition(".")[0] == "polars" and type(X).__name__ == "DataFrame"


def as_frame(X: typing.Any) -> pd.DataFrame | None:
    """X as a DataFrame if it has columns of their own dtypes, None if it is an array of numbers."""
    if isinstance(X, pd.DataFrame):
        return X
    if _is_polars(X):
        return X.to_pandas(use_pyarrow_extension_array=True)
    if hasattr(X, "dtype"):
        if np.ndim(X) == 2 and X.dtype.kind in "OSU":
            return pd.DataFrame(np.asarray(X), dtype=object)
        return pd.DataFrame(np.asarray(X)) if np.ndim(X) == 2 and X.dtype.kind in "Mm" else None
    if isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], (list, tuple)) and len(X[0]):
        if any(not isinstance(v, numbers.Number) for row in X if isinstance(row, (list, tuple)) for v in row):
            return pd.DataFrame(list(X), dtype=object)
    return None
