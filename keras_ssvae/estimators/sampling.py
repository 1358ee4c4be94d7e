"""Rows that a model makes up, also such that meet conditions."""

import numbers
import typing
import weakref
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from keras_ssvae._compat.tensorflow import check_runtime
from keras_ssvae.data.schema import as_frame
from keras_ssvae.data.schema_columns import Levels
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.seeding import derive_seeds

__all__ = ["SamplingMixin"]

MOST_TRIES = 1000  # rows made up for each that is to meet conditions
MOST_ROWS = 20_000  # made up at a time
N_REFERENCE = 2000  # rows that tell how the model's own columns are distributed
REFERENCES: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # network -> these rows, the same whoever asks


class SamplingMixin:
    """Draws from the model: for estimators with `_draw`."""

    @consistent
    def sample(
        self: typing.Any, n_samples: int = 1, y: typing.Any = None, random_state: typing.Any = None,
        conditions: dict | None = None,
    ) -> tuple[typing.Any, np.ndarray]:  # fmt: skip
        """Draw rows from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; with an array `y`, one row an entry.
        y : label or array-like, default=None
            The class of the rows, of a regressor their target; by default drawn from its prior.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        conditions : dict of column to value, list or (low, high), default=None
            What the rows are to be: a value of the column, one of a list, or a value from low to high (None: no end). Columns
            have their name, those of an array their position. Rows are drawn until enough of them meet all conditions, so that
            they, and their classes unless `y` names them, are draws of the model given the conditions.

        Returns
        -------
        X : array or DataFrame of n_samples rows
            In the columns, dtypes and units of the fit. Grey pixels are means, all other values draws. Numbers of a table are
            distributed as those of the fit, column by column: what the model says of a row is where in its columns it stands.
        y : (n_samples,) array
            The labels; -1 throughout where the model knows no class. Of a regressor the targets; NaN where it was given none.

        Raises
        ------
        ValueError
            If `conditions` cannot be read, or hardly a row of the model meets them: not one in 1000.
        """
        return self._sample(n_samples, y, random_state, conditions)

    def _sample(self, n_samples, y, random_state, conditions=None, **given):
        """`sample`, with what a family is given for its own `_draw`."""
        check_is_fitted(self)
        check_runtime()
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
        if y is not None and np.ndim(y) == 1:
            if n_samples not in (1, len(y)):
                raise ValueError(f"n_samples={n_samples} does not match the {len(y)} labels in y.")
            n_samples = len(y)
        rng = np.random.RandomState(derive_seeds(random_state, 1)[0])
        asked = None if y is None else self._codec.indices_of(y, n_samples)
        reference = self._reference_rows()

        def draw(rows, **given):
            y_index = self._draw_labels(len(rows), rng) if asked is None else asked[rows]
            values = self.table_.numbers(self._draw(y_index, rng, **given))
            return values if reference is None else self._marginals.followed(values, reference, rng), y_index

        if conditions is None:
            values, y_index = draw(np.arange(n_samples), **given)
        else:
            values, y_index = _meeting(Conditions(conditions, self.table_), draw, n_samples, given)
        return _written(self.table_, values), self._codec.decode(y_index)

    def _reference_rows(self):
        """Rows of the model by which its columns are compared with those of the data, as numbers; None where they are not."""
        marginals, rows = self._marginals, REFERENCES.get(self.network_)
        if marginals is None or not len(marginals.columns):
            return None
        if rows is None:
            rng, shares = np.random.RandomState(0), marginals.class_shares
            y_index = self._draw_labels(N_REFERENCE, rng) if shares is None else rng.choice(len(shares), N_REFERENCE, p=shares)
            rows = REFERENCES[self.network_] = self.table_.numbers(self._draw(y_index, rng))
        return rows


class Conditions:
    """What columns of a fitted `TablePreprocessor` are to hold; see `SamplingMixin.sample`."""

    def __init__(self, conditions: typing.Any, table: typing.Any):
        if not isinstance(conditions, Mapping):
            raise ValueError(f"conditions must be a dict of columns; got {type(conditions).__name__}.")
        if len(table.row_shape_) != 1:
            raise ValueError("conditions must be None: they are of columns, and X holds images.")
        self.table, self.wanted = table, {name: _asked(name, wanted) for name, wanted in conditions.items()}
        schema = table.schema_
        self._names = list(range(table.row_shape_[0]) if schema.names is None else schema.names)
        for name, wanted in self.wanted.items():
            if name not in self._names:
                raise ValueError(f"conditions names {name!r}, which is no column of X; it has {self._names[:20]}.")
            column = None if schema.columns is None else schema.columns[self._names.index(name)]
            if isinstance(column, Levels) and not isinstance(wanted, tuple):
                _check_levels(name, wanted, list(column.levels))

    def met(self, values: np.ndarray) -> np.ndarray:
        """Which rows of numbers meet all conditions, (n,) bool."""
        X = _written(self.table, values)
        frame = as_frame(X)
        met = np.ones(len(values), bool)
        for name, wanted in self.wanted.items():
            at = self._names.index(name)
            met &= _is_met(name, X[:, at] if frame is None else frame.iloc[:, at], wanted)
        return met


def _written(table, values):
    """X of rows of numbers."""
    return table.schema_.write(values.reshape(-1, *table.row_shape_))


def _asked(name, wanted):
    """A range as a pair, values to choose from as a list, and one value as it is."""
    if isinstance(wanted, tuple) and len(wanted) != 2 or isinstance(wanted, Mapping):
        raise ValueError(f"conditions[{name!r}] must be a value, a list of values, or (low, high); got {wanted!r}.")
    several = isinstance(wanted, (list, set, frozenset)) or not isinstance(wanted, tuple) and np.ndim(wanted) == 1
    values = list(wanted) if several else [end for end in wanted if end is not None] if isinstance(wanted, tuple) else [wanted]
    if any(pd.api.types.is_scalar(value) and pd.isna(value) for value in values):
        raise ValueError(f"conditions[{name!r}] asks for a missing value, which no made-up row has; got {wanted!r}.")
    return values if several else wanted


def _check_levels(name, wanted, levels):
    unknown = [value for value in (wanted if isinstance(wanted, list) else [wanted]) if value not in levels]
    if unknown:
        raise ValueError(f"conditions[{name!r}] asks for {unknown}, of the column's values {levels[:20]}.")


def _is_met(name, values, wanted):
    if isinstance(wanted, tuple):
        low, high = wanted
        try:
            above, below = (True if low is None else values >= low), (True if high is None else values <= high)
        except TypeError:
            raise ValueError(f"conditions[{name!r}]={wanted!r} is a range, but the column has no such order.") from None
        return np.asarray(above & below)
    if isinstance(wanted, list):
        return np.any([np.zeros(len(values), bool), *(values == value for value in wanted)], axis=0)
    return np.asarray(values == wanted)


def _meeting(conditions: Conditions, draw: Callable, n: int, given: dict) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers that meet conditions, (n, d), and their labels: for each the first of those that are drawn for it."""
    for name, value in given.items():
        if np.ndim(value) == 1 and len(value) != n:
            raise ValueError(f"{name} has {len(value)} entries for {n} rows.")
    found: dict[int, tuple] = {}
    wanting, tries, each = np.arange(n), 0, 10
    while len(wanting):
        each = min(each, MOST_TRIES - tries, max(1, MOST_ROWS // len(wanting)))
        if not each:
            raise ValueError(
                f"conditions={conditions.wanted!r} are met by hardly a row that the model makes up: for {len(wanting)} of {n} "
                f"none of {MOST_TRIES} did. Widen them; a number with decimals is met by a range alone."
            )
        rows = np.repeat(wanting, each)
        values, y_index = draw(rows, **{k: np.asarray(v)[rows] if np.ndim(v) == 1 else v for k, v in given.items()})
        met = conditions.met(values).reshape(len(wanting), each)
        for i in np.flatnonzero(met.any(axis=1)):
            at = i * each + met[i].argmax()
            found[int(wanting[i])] = values[at], y_index[at]
        wanting, tries, each = wanting[~met.any(axis=1)], tries + each, 2 * each
    values, y_index = zip(*(found[i] for i in range(n)), strict=True)
    return np.stack(values), np.stack(y_index)
