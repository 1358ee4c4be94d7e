"""X as numbers, and weights of rows, checked."""

import typing

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array

from keras_ssvae._compat.sklearn import check_sample_weight
from keras_ssvae.data.schema import Schema, as_frame

__all__ = ["check_X", "check_weight"]


def check_X(X: typing.Any, schema: Schema, estimator: typing.Any = None) -> np.ndarray:
    """X as numbers: NaN is allowed, infinity is not.

    Parameters
    ----------
    X : array-like or DataFrame
        Rows, or images of three or four dimensions.
    schema : Schema
        Reads the columns of a DataFrame.
    estimator : estimator or None, default=None
        Named in messages.

    Returns
    -------
    float array (n, d), or (n, height, width[, channels]) of images

    Raises
    ------
    ValueError
        If X holds infinity, no row, or no column.
    """
    frame = as_frame(X)
    if frame is not None:
        X = schema.read(frame)
    ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if ndim in (3, 4):
        X = check_array(X, allow_nd=True, ensure_2d=False, input_name="X", ensure_all_finite="allow-nan")
        if 0 in X.shape:
            raise ValueError(f"X must hold at least one image with at least one pixel; got shape {X.shape}.")
        return X
    dtype = [np.float64, np.float32]
    return check_array(X, dtype=dtype, ensure_all_finite="allow-nan", input_name="X", estimator=estimator)


def check_weight(sample_weight: npt.ArrayLike | None, values: np.ndarray) -> np.ndarray:
    """How often each row counts: numbers from 0 on.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
        None: once.
    values : (n, ...) array
        The rows.

    Returns
    -------
    (n,) float64 array
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, len(values))  # one number in memory
    return check_sample_weight(sample_weight, values, dtype=np.float64, ensure_non_negative=True, ensure_same_device=False)
