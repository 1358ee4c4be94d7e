"""What the entries of y mean: which rows are unlabelled, which classes there are, and the index of each."""

import numbers
import typing
import warnings

import numpy as np
import pandas as pd
from numpy import typing as npt
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from keras_ssvae.registry import register, require, require_keys

__all__ = ["UNLABELED", "LabelCodec", "UnlabeledWarning", "distinct_labels", "is_unlabeled"]

UNLABELED = -1
"""The index of an unlabelled row, and the default of every parameter ``unlabeled``."""


class UnlabeledWarning(UserWarning):
    """A label looks like the text of a missing value, but will be learned as a class."""


def is_unlabeled(y: npt.ArrayLike, unlabeled: object = UNLABELED) -> np.ndarray:
    """Tell which entries of y carry no label.

    An entry is unlabelled if it equals `unlabeled`, and always if it is None, NaN, ``pd.NA`` or ``NaT``. Truth values are not
    numbers here: -1, 0 and 1 never equal True or False. Text is not a number either: "-1" is not -1.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any kind. A column of shape (n_samples, 1) is flattened, with a warning.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label", besides the missing values.

    Returns
    -------
    mask : ndarray of shape (n_samples,), dtype bool
        True where the label is unknown.

    Raises
    ------
    ValueError
        If y is not one column, or `unlabeled` is not a scalar.

    Examples
    --------
    >>> from keras_ssvae.data.labels import is_unlabeled
    >>> is_unlabeled(["cat", -1, None, "dog"])
    array([False,  True,  True, False])
    >>> is_unlabeled(["cat", "?"], unlabeled="?")
    array([False,  True])
    """
    return ~_is_known(column_of(y, "y"), unlabeled)


def distinct_labels(y: npt.ArrayLike, unlabeled: object = UNLABELED) -> tuple[np.ndarray, np.ndarray]:
    """The labels that occur in y, each once, and which of them each row has.

    Parameters
    ----------
    y, unlabeled
        As in `is_unlabeled`.

    Returns
    -------
    labels : ndarray of shape (n_labels,)
        In the order in which they come.
    positions : ndarray of shape (n_samples,)
        Positions in `labels`, -1 where there is no label.

    Raises
    ------
    ValueError
        If y is not one column of labels.

    Examples
    --------
    >>> from keras_ssvae.data.labels import distinct_labels
    >>> distinct_labels([5, None, 3, 5])
    (array([5, 3]), array([ 0, -1,  1,  0]))
    """
    labels, known = _labels(column_of(y, "y"), unlabeled, "y")
    positions = np.full(len(known), -1)
    positions[known], labels = _factorize(labels, "y")
    return labels, positions


@register
class LabelCodec:
    """Translate between the user's labels and the indices 0, 1, ... of the classes, with -1 for unlabelled rows.

    Numbers are compared by value (1, 1.0 and True are one label), everything else as it is. Floats are labels if they are whole
    numbers. If a float column has missing entries, pandas and NumPy could not have kept integers, so its classes become
    integers; without missing entries they stay floats.

    Parameters
    ----------
    classes : None, int or array-like of shape (n_classes,), default=None
        All classes, in any order. An int k means the labels 0 ... k - 1. None takes the labels found in y or, if y is a
        pandas categorical, its categories. Declared classes need no labelled row.
    unlabeled : number, str, bool, None or NaN, default=-1
        What stands for "no label" in y. None, NaN, ``pd.NA`` and ``NaT`` always do as well.

    Attributes
    ----------
    classes_ : ndarray of shape (n_labels,)
        The sorted labels; never `unlabeled`. Empty if there is neither a label nor a declared class.

    Examples
    --------
    >>> from keras_ssvae.data.labels import LabelCodec
    >>> codec = LabelCodec().fit(["dog", None, "cat", -1], n_rows=4)
    >>> codec.classes_
    array(['cat', 'dog'], dtype=object)
    >>> codec.encode(["dog", None, "cat", -1], n_rows=4)
    array([ 1, -1,  0, -1], dtype=int32)
    >>> codec.decode([0, 1])
    array(['cat', 'dog'], dtype=object)
    """

    def __init__(self, classes: npt.ArrayLike | None = None, unlabeled: object = UNLABELED) -> None:
        self.classes = classes
        self.unlabeled = unlabeled

    @property
    def n_classes(self) -> int:
        """Number of classes of the model: without any label there is one class, which has no name."""
        return max(1, len(self.classes_))

    def fit(self, y: npt.ArrayLike | None, n_rows: int) -> "LabelCodec":
        """Learn the classes.

        Parameters
        ----------
        y : array-like of shape (n_rows,) or None
            Labels; None if no row is labelled.
        n_rows : int
            Number of rows of X.

        Raises
        ------
        ValueError
            If y is not one column of `n_rows` labels (numbers that are not whole are none) or is a float column without a
            single number, if its labels cannot be sorted or are not among `classes`, or if `classes` or `unlabeled` is invalid.

        Warns
        -----
        UnlabeledWarning
            If a class not declared in `classes` reads like a missing value, as "-1" or "nan" do.
        """
        if self.classes is not None:
            self.classes_ = self._declared_classes()
            self.encode(y, n_rows)
        else:
            self._check_not_lost(y)
            self.classes_ = self._observed_classes(y, n_rows)
        return self

    def arrays(self, y: npt.ArrayLike | None, n_rows: int) -> dict[str, np.ndarray]:
        """What a batch has of y: "y", as `encode` gives it."""
        return {"y": self.encode(y, n_rows)}

    def encode(self, y: npt.ArrayLike | None, n_rows: int) -> np.ndarray:
        """Class indices of labels: (n_rows,) positions in `classes_` of dtype int32, -1 for unlabelled rows.

        Parameters
        ----------
        y, n_rows
            As in `fit`.

        Raises
        ------
        ValueError
            If y is not one column of `n_rows` labels, or a label is not among `classes_`.
        """
        y_index = np.full(n_rows, UNLABELED, dtype=np.int32)
        if y is None:
            return y_index
        labels, known = self._read(y, n_rows)
        positions, uniques = _factorize(labels, "y")
        index_of = {label: index for index, label in enumerate(self.classes_.tolist())}
        index_of_unique = np.array([index_of.get(label, UNLABELED) for label in uniques.tolist()], dtype=np.int32)
        strangers = uniques[index_of_unique < 0]
        if len(strangers):
            raise ValueError(
                f"y holds labels that are not among the classes: {_listed(strangers)}. Classes: "
                f"{_listed(self.classes_)}; unlabelled rows: unlabeled={self.unlabeled!r} or missing values."
            )
        y_index[known] = index_of_unique[positions]
        return y_index

    def decode(self, y_index: npt.ArrayLike) -> np.ndarray:
        """Labels of class indices: of the dtype of `classes_`, or object if a row is unlabelled and it cannot hold `unlabeled`.

        Parameters
        ----------
        y_index : array-like of int
            Positions in `classes_`, of any shape, which the labels have too. -1 is an unlabelled row, and so is every index if
            there are no classes.
        """
        y_index = np.asarray(y_index, dtype=int)
        known = (y_index >= 0) & (len(self.classes_) > 0)
        if known.all():
            return self.classes_[y_index]
        labels = np.full(y_index.shape, self.unlabeled, dtype=_dtype_with(self.classes_.dtype, self.unlabeled))
        labels[known] = self.classes_[y_index[known]]
        return labels

    def indices_of(self, y: npt.ArrayLike, n_rows: int) -> np.ndarray:
        """Class indices, (n_rows,), of classes that were asked for, for example by ``sample(n_rows, y="cat")``.

        Parameters
        ----------
        y : label or array-like of shape (n_rows,)
            One label for all rows, or one for each.
        n_rows : int
            Number of rows asked for.

        Raises
        ------
        ValueError
            If an entry of y is unlabelled or not among `classes_`, or if there are not `n_rows` labels.
        """
        if np.ndim(y) == 0:
            return np.repeat(self.indices_of([np.asarray(y).item()], 1), n_rows)
        y_index = self.encode(y, n_rows)
        if (y_index < 0).any():
            raise ValueError(
                f"y must name a class for every row, got {np.count_nonzero(y_index < 0)} unlabelled entries. "
                f"The classes are {_listed(self.classes_)}."
            )
        return y_index

    def _check_loaded(self):
        require_keys(type(self).__name__, vars(self), {"classes", "unlabeled", "classes_"})
        labels = self.classes_
        require(isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "biufUO", "classes_ are no labels")
        is_once = len(pd.unique(labels)) == len(labels) and not is_unlabeled(labels, self.unlabeled).any()
        require(is_once, "classes_ hold a label twice, or a missing one")
        require((np.argsort(labels) == np.arange(len(labels))).all(), "classes_ are not sorted")

    def _read(self, y, n_rows):
        values = column_of(y, "y")
        if len(values) != n_rows:
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: [{n_rows}, {len(values)}]. y needs one "
                f"entry for each of the {n_rows} rows, got {len(values)}."
            )
        return _labels(values, self.unlabeled, "y")

    def _check_not_lost(self, y):
        is_float = isinstance(y, (np.ndarray, pd.Series)) and getattr(y.dtype, "kind", "O") == "f"
        if is_float and not pd.isna(self.unlabeled) and len(y) and pd.isna(y).all():
            raise ValueError(
                "y contains NaN only, as a join that found nothing leaves it. If really no row has a label, pass y=None, "
                "unlabeled=float('nan'), or the classes by classes=[...]."
            )

    def _observed_classes(self, y, n_rows):
        if y is None:
            return np.empty(0, dtype=int)
        labels, _ = self._read(y, n_rows)
        if isinstance(getattr(y, "dtype", None), pd.CategoricalDtype):
            labels, _ = _labels(column_of(y.dtype.categories, "y"), self.unlabeled, "y")
        classes = _sorted(_factorize(labels, "y")[1], "y")
        self._warn_of_written_gaps(classes)
        return classes

    def _declared_classes(self):
        if isinstance(self.classes, numbers.Integral) and not isinstance(self.classes, bool):
            if self.classes < 1:
                raise ValueError(f"classes must be None, an int >= 1 or the labels themselves, got {self.classes}.")
            values = np.arange(self.classes)
        else:
            values = column_of(list(self.classes) if isinstance(self.classes, set) else self.classes, "classes")
        labels, known = _labels(values, self.unlabeled, "classes")
        if not known.all():
            raise ValueError(
                f"classes must not hold unlabeled={self.unlabeled!r} nor missing values, got "
                f"{_listed(values[~known])}. Remove them: rows without a label need no class."
            )
        uniques = _factorize(labels, "classes")[1]
        if not 0 < len(uniques) == len(labels):
            raise ValueError(f"classes must hold at least one label, and each only once, got {_listed(values)}.")
        return _sorted(uniques, "classes")

    def _warn_of_written_gaps(self, classes):
        # NumPy writes these by itself when text meets a number: np.array(["cat", -1]) and np.array(["cat", np.nan]).
        gaps_as_text = {str(UNLABELED), str(self.unlabeled), "nan", "<NA>"}
        for label in classes.tolist():
            if isinstance(label, str) and label in gaps_as_text:
                message = (
                    f"y holds the text {label!r}, which will be learned as a class. If it marks unlabelled rows, pass "
                    f"unlabeled={label!r}; if it is a class, name all classes by classes=[...]."
                )
                warnings.warn(message, UnlabeledWarning, stacklevel=4)


@register
class UnreadLabels(LabelCodec):
    """The labels of a model without classes: whatever y holds, no row has a label."""

    def fit(self, y: object, n_rows: int) -> "UnreadLabels":
        """There are no classes; y is not read."""
        self.classes_ = np.empty(0)
        return self

    def encode(self, y: object, n_rows: int) -> np.ndarray:
        """Return the index of an unlabelled row, as often as there are rows; y is not read."""
        return np.full(n_rows, UNLABELED, np.int32)


def column_of(y: typing.Any, name: str) -> np.ndarray:
    """y, `name` in errors, as a 1-d array that still has the user's values: nothing is cast to text, or from int to float."""
    if sparse.issparse(y):
        raise ValueError(f"{name} should be a 1d array, got a sparse matrix of shape {y.shape} instead.")
    if isinstance(y, np.ma.MaskedArray):
        y = np.where(np.ma.getmaskarray(y), np.array(None), y.data)
    has_objects = isinstance(y, (list, tuple)) or pd.api.types.is_extension_array_dtype(y)
    values = np.asarray(y, dtype=object if has_objects else None)
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected. Please change the shape of {name} to "
            "(n_samples,), for example using ravel().",
            DataConversionWarning,
            stacklevel=4,
        )
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"{name} should be a 1d array, got an array of shape {values.shape} instead.")
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return values.astype(object) if values.dtype.kind == "T" else values


def _is_known(values, unlabeled):
    if not pd.api.types.is_scalar(unlabeled):
        raise ValueError(f"unlabeled must be a number, a str, a bool, None or NaN, got {unlabeled!r}.")
    known = ~pd.isna(values)
    if not pd.isna(unlabeled):
        # Missing values are left out: pd.NA == -1 is pd.NA, which is neither true nor false.
        known[known] = ~_equals(values[known], unlabeled)
    return known


def _equals(values, unlabeled):
    """Compare with the sentinel, but tell text from numbers, and numbers from truth values (True == 1 in Python)."""
    if values.dtype.kind != "O" and not _same_kind(values.dtype, unlabeled):
        return np.zeros(len(values), dtype=bool)
    equal = np.asarray(values == unlabeled, dtype=bool)
    if values.dtype.kind == "O" and not isinstance(unlabeled, str) and unlabeled in (0, 1):
        equal[equal] = [_is_bool(value) == _is_bool(unlabeled) for value in values[equal]]
    return equal


def _same_kind(dtype, scalar):
    if _is_bool(scalar):
        return dtype.kind == "b"
    if isinstance(scalar, numbers.Real):
        return dtype.kind in "iuf"
    return isinstance(scalar, str) and dtype.kind == "U"


def _is_bool(value):
    return isinstance(value, (bool, np.bool_))


def _dtype_with(dtype, unlabeled):
    """A dtype that holds labels of `dtype` as they are, and `unlabeled`."""
    if not _same_kind(dtype, unlabeled):
        return np.dtype(object)
    if dtype.kind == "U":
        return np.result_type(dtype, np.asarray(unlabeled).dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = isinstance(unlabeled, numbers.Integral) and limits.min <= unlabeled <= limits.max
        return dtype if fits else np.dtype(object)
    return dtype


def _labels(values, unlabeled, name):
    """Return the known labels, in the plainest dtype that keeps them, and the mask of the rows that have one."""
    known = _is_known(values, unlabeled)
    labels = values[known]
    if not len(labels):
        return np.empty(0, dtype=int), known
    if labels.dtype.kind == "O":
        labels = _plain(labels, name)
    if labels.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} holds complex numbers such as {labels[0]}.")
    if labels.dtype.kind not in "biufUO":
        raise ValueError(
            f"Unknown label type: {name} of dtype {labels.dtype}. Accepted are whole numbers, bools, text and objects."
        )
    if labels.dtype.kind == "f":
        labels = _whole_numbers(labels, name, has_gaps=bool(pd.isna(values).any()))
    return labels, known


def _plain(labels, name):
    inferred = pd.api.types.infer_dtype(labels, skipna=False)
    if inferred == "mixed-integer":
        raise ValueError(f"{name} mixes labels of different types: {_listed_types(labels)}. Use one type for all.")
    if inferred in {"boolean", "integer", "floating", "mixed-integer-float", "complex", "bytes"}:
        return np.asarray(labels.tolist())
    return labels


def _whole_numbers(labels, name, has_gaps):
    if np.isinf(labels).any():
        raise ValueError(f"Input {name} contains infinity or a value too large for {labels.dtype!r}. Labels must be finite.")
    is_fraction = labels != np.floor(labels)
    if is_fraction.any():
        raise ValueError(
            f"Unknown label type: continuous. {name} holds numbers such as {labels[is_fraction][0]}; accepted "
            "are whole numbers, bools, text and objects, one value a class."
        )
    fits_int64 = float(np.abs(labels).max()) < 2.0**63
    return labels.astype(np.int64) if has_gaps and fits_int64 else labels


def _factorize(labels, name):
    try:
        return pd.factorize(labels)
    except TypeError as error:
        raise ValueError(f"Unknown label type: {name} holds {_listed_types(labels)}, not hashable labels.") from error


def _sorted(uniques, name):
    try:
        return uniques[np.argsort(uniques)]
    except TypeError as error:
        raise ValueError(
            f"{name} mixes labels of types that cannot be sorted: {_listed_types(uniques)}. Use one type for all."
        ) from error


def _listed(labels, limit=5):
    shown = ", ".join(repr(label) for label in labels[:limit].tolist())
    return f"[{shown}{', ...' if len(labels) > limit else ''}]"


def _listed_types(labels):
    return ", ".join(sorted({type(label).__name__ for label in labels}))
