"""What reaches a fit or a question: X as finite numbers or gaps, and a weight for every row."""

import typing

import numpy as np
import pandas as pd
import scipy.sparse as sparse
from numpy import typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_array

from keras_ssvae._compat.sklearn import check_sample_weight
from keras_ssvae.data.columnwise import Columns, ranges
from keras_ssvae.data.schema import Schema, as_frame

__all__ = []

REACH = 60  # powers of two between weights


def check_X(X: typing.Any, schema: Schema, estimator: BaseEstimator | None = None) -> np.ndarray | Columns:
    """X as floats, (n, d), or images, (n, height, width[, channels]), in the dtype that they have; NaN where missing. A sparse
    matrix is made dense.

    `schema` reads what has columns of their own dtypes; messages mention the name of `estimator`. Raises a ValueError if X is
    empty, has other than two to four dimensions, or holds infinity or what is no number.
    """
    frame = as_frame(X)
    if frame is None and not sparse.issparse(X):
        X = _as_array(X)
    if frame is None and schema.columns is not None and X.ndim == 2 and X.dtype.kind in "biuf":
        frame = pd.DataFrame(X.toarray() if sparse.issparse(X) else X)
    if frame is not None:
        X = schema.read_columns(frame)
    if isinstance(X, Columns):
        _check_finite(X, schema)
        return X
    ndim = X.ndim
    if ndim > 4:
        raise ValueError(f"X must be rows, (n, d), or images, (n, height, width[, channels]); got {ndim} dimensions.")
    if ndim in (3, 4):
        images = check_array(X, allow_nd=True, ensure_2d=False, input_name="X", ensure_all_finite="allow-nan")
        if 0 in images.shape:
            raise ValueError(f"X must hold at least one image with at least one pixel; got shape {images.shape}.")
        return images
    dtype = [np.float64, np.float32]
    values = check_array(X, accept_sparse="csr", dtype=dtype, ensure_all_finite=False, input_name="X", estimator=estimator)
    values = values.toarray() if sparse.issparse(values) else values
    _check_finite(values, schema)
    return values


def _check_finite(values, schema):
    low, high = ranges(values)
    infinite = np.isinf(low) | np.isinf(high)
    if infinite.any():
        names = np.arange(len(infinite)) if schema.names is None or len(schema.names) != len(infinite) else schema.names
        columns = names[infinite][:20].tolist()
        raise ValueError(f"Input X contains infinity or a value too large for {values.dtype!r}, in columns {columns}.")


def _as_array(X):
    """An array as it is, with its class, of which scikit-learn may have something to say."""
    try:
        values = np.asanyarray(X)
    except ValueError as error:
        raise ValueError(f"X must hold rows of one length, all of numbers or all of columns of their own; {error}") from error
    if values.ndim == 0:
        raise TypeError(f"X must be an array, a list of rows, a DataFrame or a source as `fit` says; got {X!r}.")
    return values


def check_weight(sample_weight: npt.ArrayLike | None, values: np.ndarray | Columns) -> np.ndarray:
    """How often each of the n rows of `values` counts, (n,) float64, from one number, n numbers, or None for once.

    Not to be written to: of None it is one number in memory. Weights that are extreme, beyond 2**+-60, are brought to one by a
    common factor, and those that are smaller than the largest by 2**60 count as that small. Raises a ValueError if weights are
    of another shape, negative, missing or infinite, or if all of them are zero, and a TypeError if they are no numbers.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, len(values))
    if np.ma.is_masked(sample_weight):
        raise ValueError("sample_weight has cells under a mask; fill them, with 0 where a row is not to count.")
    try:
        given = np.asarray(sample_weight)
        is_real = not np.iscomplexobj(given)
        sample_weight = given.astype(float) if is_real else given
    except (TypeError, ValueError) as error:
        raise TypeError(f"sample_weight must be None, a number or one number for each row; got {sample_weight!r}.") from error
    if not is_real:
        raise TypeError(f"sample_weight must hold real numbers; got {sample_weight.dtype}.")
    if sample_weight.ndim == 0:
        sample_weight = np.full(len(values), sample_weight)
    weight = check_sample_weight(sample_weight, values, dtype=np.float64, ensure_non_negative=True, ensure_same_device=False)
    largest = weight.max()
    if not largest > 0:
        raise ValueError("sample_weight must be positive for at least one row; all weights are zero.")
    if not 2.0**-REACH <= largest <= 2.0**REACH:  # sums of such weights leave the range of floats
        weight = np.ldexp(weight, -int(np.frexp(largest)[1]))
    return np.where(weight > 0, np.maximum(weight, weight.max() * 2.0**-REACH), 0.0)
