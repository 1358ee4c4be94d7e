"""Rows and labels as a user gives them, and the same with generated ones below: in the same containers and dtypes."""

from __future__ import annotations

import copy
import numbers
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, clone, is_classifier

from keras_ssvae._compat.sklearn import is_fitted
from keras_ssvae.data.containers import opened
from keras_ssvae.data.labels import UNLABELED, LabelCodec
from keras_ssvae.data.number_columns import cast
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.validation import check_X
from keras_ssvae.models import SemiSupervisedVAE
from keras_ssvae.seeding import seeded

__all__ = ["Amount"]

Amount = int | Literal["balanced"] | dict[Any, int] | None
"""How many rows to generate: `n_samples` of `augment`."""


class Rows:
    """Rows and labels as they were given, and the same with generated ones below; X, y and estimator as in `augment`.

    With `use_fitted` an estimator that is fitted is used as it is, rather than a fitted clone. `codec` holds the classes, and
    `y_index` (n,) the positions of the labels among them, -1 of rows without one.
    """

    def __init__(self, X: ArrayLike, y: ArrayLike, estimator: BaseEstimator | None, use_fitted: bool = False) -> None:
        if estimator is None:
            estimator = SemiSupervisedVAE()
        if isinstance(estimator, type) or not (hasattr(estimator, "sample") and is_classifier(estimator)):
            raise TypeError(
                "estimator must be None or an instance of a generative model that draws rows of a class, as SemiSupervisedVAE "
                f"does; got {estimator!r}."
            )
        if y is None:
            raise ValueError("Generating rows of classes requires y to be passed, but the target y is None.")
        self._estimator, self._is_ready = estimator, use_fitted and is_fitted(estimator)
        if sparse.issparse(X):
            raise TypeError("Sparse data was passed for X, but dense data is required.")
        self._X, self._y = _container(X), _container(y)
        if np.ndim(self._X) == 0:
            raise TypeError(f"X must be rows in memory, an array or a DataFrame; got {type(X).__name__}.")
        classes = estimator.classes_ if self._is_ready else getattr(estimator, "classes", None)
        if classes is not None and not isinstance(classes, numbers.Integral) and len(classes) == 0:
            raise ValueError(f"estimator was fitted without a label, so this {type(estimator).__name__} knows no class.")
        read = opened(self._X)
        n_rows = len(check_X(read, Schema().fit(read)))
        self.codec = LabelCodec(classes, getattr(estimator, "unlabeled", UNLABELED)).fit(self._y, n_rows)
        self._y_is_frame = isinstance(y, pd.DataFrame)
        if np.ndim(self._y) == 2:  # a column, of which the codec has warned
            self._y = self._y.iloc[:, 0] if hasattr(self._y, "iloc") else np.ravel(self._y)
        self.y_index = self.codec.encode(self._y, n_rows)

    @property
    def counts(self) -> dict[Any, int]:
        """Label -> number of rows that have it, in the order of the classes; 0 of classes that are only declared."""
        known = self.y_index[self.y_index >= 0]
        n_rows = np.bincount(known, minlength=len(self.codec.classes_)).tolist()
        return dict(zip(self.codec.classes_.tolist(), n_rows, strict=True))

    def to_generate(self, n_samples: Amount) -> dict[Any, int]:
        """Label -> number of rows to generate, from `n_samples` as in `augment`; a ValueError if it cannot be read."""
        counts = self.counts
        if isinstance(n_samples, dict):
            unknown = [label for label in n_samples if label not in counts]
            if unknown:
                raise ValueError(f"n_samples names labels that are not among the classes: {unknown} of {list(counts)}.")
            if not all(_is_number(number) for number in n_samples.values()):
                raise ValueError(f"n_samples must hold whole numbers from 0 on; got {n_samples!r}.")
            return {label: int(n_samples[label]) for label in counts if label in n_samples}
        known = {label: count for label, count in counts.items() if count > 0}
        if not known:
            raise ValueError("y holds no label, so there is no class to generate rows of; n_samples may name declared classes.")
        if n_samples is None:
            return known
        if isinstance(n_samples, str) and n_samples == "balanced":
            return {label: max(known.values()) - count for label, count in known.items()}
        if _is_number(n_samples):
            shares = np.cumsum(list(known.values())) / sum(known.values())
            shared_out = np.diff(np.rint(n_samples * shares).astype(int), prepend=0).tolist()
            return dict(zip(known, shared_out, strict=True))
        raise ValueError(f'n_samples must be None, "balanced", a whole number from 0 on or a dict; got {n_samples!r}.')

    def generator(self, n_new: dict[Any, int], seed: int) -> BaseEstimator | None:
        """The estimator, fitted to all rows unless it is used as it is; None if there is nothing to generate. The seed is that
        of the fit, unless the estimator has one."""
        if not any(n_new.values()):
            return None
        return self._estimator if self._is_ready else seeded(clone(self._estimator), seed).fit(self._X, self._y)

    def extended(self, generator: BaseEstimator | None, n_new: dict[Any, int], seed: int) -> tuple[Any, Any, np.ndarray]:
        """X and y with generated rows below, and the `y_index` of both; no generator leaves them as they are."""
        drawn_index = np.repeat(np.arange(len(self.codec.classes_)), [n_new.get(c, 0) for c in self.codec.classes_.tolist()])
        if generator is None:
            X, y = copy.deepcopy((self._X, self._y))
        else:
            labels = self.codec.decode(drawn_index)
            drawn, _ = generator.sample(len(labels), y=labels, random_state=seed)
            X, y = _stacked(self._X, _rows_like(self._X, drawn)), _stacked(self._y, _labels_like(self._y, labels))
        return X, y.to_frame() if self._y_is_frame else y, np.concatenate([self.y_index, drawn_index])


def _is_number(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 0


# Containers


def _container(values):
    """Values in a container that can be cut and stacked: the user's own, or an array of them."""
    if isinstance(values, tuple):
        return list(values)
    kept = isinstance(values, (list, np.ndarray)) or hasattr(values, "iloc") or _is_polars(values)
    if kept or pd.api.types.is_extension_array_dtype(values):
        return values
    values = opened(values)  # tensors, tables of Arrow
    return values if isinstance(values, pd.DataFrame) else np.asarray(values)


def _is_polars(values):
    return type(values).__module__.partition(".")[0] == "polars" and hasattr(values, "to_pandas")


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
