"""Rows and labels as a user gives them, and the same with generated ones below: in the same containers and dtypes."""

import copy
import numbers

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone

from keras_ssvae.data.labels import UNLABELED, LabelCodec
from keras_ssvae.data.schema import Schema, cast
from keras_ssvae.estimators.base import _check_X

__all__ = ["Rows", "seeded"]


class Rows:
    """Rows and labels as they were given, and the codes of the labels for an estimator that may be one of `classes`."""

    def __init__(self, X, y, estimator, classes):
        if y is None:
            raise ValueError("Generating rows of classes requires y to be passed, but the target y is None.")
        self.X, self.y = _container(X), _container(y)
        if np.ndim(self.X) == 0 and not sparse.issparse(X):
            raise TypeError(f"X must be rows in memory, an array or a DataFrame; got {type(X).__name__}.")
        if classes is not None and not isinstance(classes, numbers.Integral) and len(classes) == 0:
            raise ValueError(f"estimator was fitted without a label, so this {type(estimator).__name__} knows no class.")
        n_rows = len(_check_X(X, Schema().fit(X)))
        self.codec = LabelCodec(classes, getattr(estimator, "unlabeled", UNLABELED)).fit(self.y, n_rows)
        self._y_is_frame = isinstance(y, pd.DataFrame)
        if np.ndim(self.y) == 2:  # a column, of which the codec has warned
            self.y = self.y.iloc[:, 0] if hasattr(self.y, "iloc") else np.ravel(self.y)
        self.codes = self.codec.encode(self.y, n_rows)

    @property
    def counts(self):
        """Label -> number of rows that have it, in the order of the classes; 0 of classes that are only declared."""
        known = self.codes[self.codes >= 0]
        numbers_ = np.bincount(known, minlength=len(self.codec.classes_)).tolist()
        return dict(zip(self.codec.classes_.tolist(), numbers_, strict=True))

    def fit(self, estimator, seed):
        """A clone of the estimator, fitted to all rows."""
        return seeded(clone(estimator), seed).fit(self.X, self.y)

    def indices_of(self, numbers_):
        """The codes of the rows to be generated, of which `numbers_` is label -> number."""
        return np.repeat(np.arange(len(self.codec.classes_)), [numbers_.get(c, 0) for c in self.codec.classes_.tolist()])

    def extended(self, generator, numbers_, seed):
        """(X, y) with so many rows of each label."""
        labels = self.codec.decode(self.indices_of(numbers_))
        if len(labels) == 0:
            X, y = copy.deepcopy((self.X, self.y))
        else:
            drawn, _ = generator.sample(len(labels), y=labels, random_state=seed)
            X, y = _stacked(self.X, _rows_like(self.X, drawn)), _stacked(self.y, _labels_like(self.y, labels))
        return X, y.to_frame() if self._y_is_frame else y


def seeded(estimator, seed):
    """The estimator, with a random state wherever it has None."""
    unset = [
        name
        for name, value in estimator.get_params().items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    if unset:
        estimator.set_params(**dict.fromkeys(unset, seed))
    return estimator


# Containers


def _container(values):
    """Values in a container that can be cut and stacked: the user's own, or an array of them."""
    if isinstance(values, tuple):
        return list(values)
    kept = isinstance(values, (list, np.ndarray)) or hasattr(values, "iloc") or _is_polars(values)
    return values if kept or pd.api.types.is_extension_array_dtype(values) else np.asarray(values)


def _is_polars(values):
    return hasattr(values, "to_pandas")


def _rows_like(X, drawn):
    """Generated rows in the container, columns and dtypes of X, which may differ from those of the estimator's fit."""
    if len(np.shape(drawn)) != len(np.shape(X)) or np.shape(drawn)[1:] != np.shape(X)[1:]:
        raise ValueError(f"X has rows of shape {np.shape(X)[1:]}; estimator was fitted to rows of shape {np.shape(drawn)[1:]}.")
    names = getattr(drawn, "columns", None)
    if names is not None and hasattr(X, "columns") and list(names) != list(X.columns):
        raise ValueError(f"X has the columns {list(X.columns)}; estimator was fitted to {list(names)}.")
    if _is_polars(X):
        frame = drawn if _is_polars(drawn) else type(X)(np.asarray(drawn), schema=X.columns)
        return frame.cast(dict(X.schema))
    if _is_polars(drawn):
        drawn = drawn.to_pandas()
    if isinstance(X, pd.DataFrame):
        columns = pd.DataFrame(np.asarray(drawn) if names is None else drawn).set_axis(X.columns, axis=1)
        return columns if list(columns.dtypes) == list(X.dtypes) else columns.astype(X.dtypes)
    drawn = np.asarray(drawn)
    if isinstance(X, list):
        return drawn.tolist() if isinstance(X[0], (list, tuple)) else list(drawn)
    return cast(drawn, X.dtype) if drawn.dtype.kind in "biuf" and drawn.dtype != X.dtype else drawn


def _labels_like(y, labels):
    """Labels of generated rows in the container and dtype of y."""
    if isinstance(y, list):
        return labels.tolist()
    if _is_polars(y) and not hasattr(y, "iloc"):
        return type(y)(y.name, labels.tolist(), dtype=y.dtype)
    if not isinstance(y, np.ndarray):
        new = pd.Series(labels, dtype=y.dtype)
        new = new if new.notna().all() else pd.Series(labels, dtype=object)  # a class that is no category of y
        return new.rename(getattr(y, "name", None))
    return labels.astype(str if y.dtype.kind == "U" else y.dtype)  # text may be longer than any in y


def _stacked(given, new):
    """What was given and, below it, generated rows or labels of the same kind."""
    if isinstance(given, list):
        return [*given, *new]
    if isinstance(given, np.ma.MaskedArray):
        return np.ma.concatenate([given, new])
    if isinstance(given, np.ndarray):
        return np.concatenate([given, new])
    if isinstance(given, (pd.DataFrame, pd.Series)):
        return pd.concat([given, new.set_axis(_numbered_on(given.index, len(new)))])
    if isinstance(given, pd.api.extensions.ExtensionArray):
        return pd.concat([pd.Series(given), pd.Series(new)], ignore_index=True).array
    return given.clone().extend(new)  # polars


def _numbered_on(index, count):
    """The index of `count` generated rows below those of `index`: labels that it does not have, of its kind where possible."""
    whole = len(index) > 0 and pd.api.types.is_integer_dtype(index.dtype)
    start = index.max() + 1 if whole else len(index)
    numbered = pd.RangeIndex(start, start + count, name=index.name)
    is_text = not isinstance(index, pd.MultiIndex) and pd.api.types.infer_dtype(index) == "string"
    return "generated " + numbered.astype(str).astype(index.dtype) if is_text else numbered
