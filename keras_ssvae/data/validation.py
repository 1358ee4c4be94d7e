"""What reaches a fit or a question: X as finite numbers or gaps, and a weight for every row."""

import numpy as np
import scipy.sparse as sparse
from numpy import typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_array

from keras_ssvae._compat.sklearn import check_sample_weight
from keras_ssvae.data.schema import Schema, as_frame

__all__ = []


def check_X(X: object, schema: Schema, estimator: BaseEstimator | None = None) -> np.ndarray:
    """X as floats, (n, d), or images, (n, height, width[, channels]), in the dtype that they have; NaN where missing. A sparse
    matrix is made dense.

    `schema` reads what has columns of their own dtypes; messages mention the name of `estimator`. Raises a ValueError if X is
    empty, has other than two to four dimensions, or holds infinity or what is no number.
    """
    frame = as_frame(X)
    if frame is not None:
        X = schema.read(frame)
    ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if ndim in (3, 4):
        images = check_array(X, allow_nd=True, ensure_2d=False, input_name="X", ensure_all_finite="allow-nan")
        if 0 in images.shape:
            raise ValueError(f"X must hold at least one image with at least one pixel; got shape {images.shape}.")
        return images
    dtype = [np.float64, np.float32]
    values = check_array(
        X, accept_sparse="csr", dtype=dtype, ensure_all_finite="allow-nan", input_name="X", estimator=estimator
    )
    return values.toarray() if sparse.issparse(values) else values


def check_weight(sample_weight: npt.ArrayLike | None, values: np.ndarray) -> np.ndarray:
    """How often each of the n rows of `values` counts, (n,) float64, from one number, n numbers, or None for once.

    Not to be written to: of None it is one number in memory. Raises a ValueError if weights are of another shape, negative,
    missing or infinite, or if all of them are zero.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, len(values))
    weight = check_sample_weight(sample_weight, values, dtype=np.float64, ensure_non_negative=True, ensure_same_device=False)
    if not (weight > 0).any():
        raise ValueError("sample_weight must be positive for at least one row; all weights are zero.")
    return weight
