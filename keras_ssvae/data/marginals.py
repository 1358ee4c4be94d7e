"""How the numbers of each column are distributed, and columns of a model that are to be distributed so."""

import dataclasses
import typing

import numpy as np

from keras_ssvae.data.columnwise import Columns
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.registry import register, require

__all__ = ["Marginals"]

SHARES = np.linspace(0, 1, 101)
MAX_ROWS = 20_000  # whose quantiles are taken
MAX_COLUMNS = 1000  # above, nobody looks at one by one


@register
@dataclasses.dataclass(frozen=True)
class Marginals:
    """The quantiles of the columns of numbers of a table.

    Attributes
    ----------
    columns : (k,) integer array
        Where they stand in X, rising.
    quantiles : (k, 101) float array
        In the user's units, from the least to the largest value.
    class_shares : (n_classes,) array or None
        How often each class is there; None where nobody knows better than the model.
    """

    columns: np.ndarray
    quantiles: np.ndarray
    class_shares: np.ndarray | None = None

    @classmethod
    def of(cls, table: typing.Any, values: np.ndarray | Columns, weight: np.ndarray) -> "Marginals":
        """Those of rows as a fitted `TablePreprocessor` is fitted to them, and of their weights, (n,): of no image, and of no
        column of categories, of truth values, or of one value."""
        found = {}
        if table.image_shape_ is None and table.n_columns_ <= MAX_COLUMNS:
            rows = np.linspace(0, len(values) - 1, min(len(values), MAX_ROWS)).astype(int)
            for j, name in enumerate(table.kinds_):
                kind = LIKELIHOODS[name].kind
                x = values[rows, j] if not kind.is_code and kind.scaling != "two values" else np.array([])
                known = ~np.isnan(x)
                if known.any() and np.ptp(x[known]) > 0:
                    found[j] = np.quantile(x[known], SHARES, weights=weight[rows][known], method="inverted_cdf")
        return cls(np.array(list(found), int), np.array(list(found.values()), float).reshape(-1, len(SHARES)))

    def followed(self, values: np.ndarray, reference: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Rows of a model with the distributions of the columns, (n, d).

        Each value becomes the quantile of the column that it is among the model's own values: what a column has in common with
        the others stays, what is its own comes from the data. Each row is mapped by itself.

        Parameters
        ----------
        values : (n, d) array
            Rows that the model made up.
        reference : (m, d) array
            Other such rows, of classes as the data has them.
        rng : RandomState
            Draws where among equal values a value stands.
        """
        values = values.copy()
        for j, quantiles in zip(self.columns, self.quantiles, strict=True):
            ordered = np.sort(reference[:, j])
            below, not_above = (np.searchsorted(ordered, values[:, j], side) for side in ("left", "right"))
            place = below + rng.random_sample(len(values)) * np.maximum(not_above - below, 1)
            values[:, j] = np.interp(place / (len(ordered) + 1), SHARES, quantiles)
        return values

    def check(self, n_columns: int, n_classes: int) -> None:
        """Raise a ValueError unless columns and classes are some of a table with so many."""
        require(not len(self.columns) or self.columns[-1] < n_columns, "marginals are those of other columns")
        require(self.class_shares is None or len(self.class_shares) == n_classes, "marginals are those of other classes")

    def _check_loaded(self):
        columns, quantiles = self.columns, self.quantiles
        whole = isinstance(columns, np.ndarray) and columns.ndim == 1 and columns.dtype.kind == "i"
        require(whole and (np.diff(columns) > 0).all() and (columns >= 0).all(), "columns of marginals are none")
        shaped = (
            isinstance(quantiles, np.ndarray) and quantiles.dtype == float and quantiles.shape == (len(columns), len(SHARES))
        )
        require(shaped and np.isfinite(quantiles).all(), "quantiles of marginals are no numbers")
        require((np.diff(quantiles, axis=1) >= 0).all(), "quantiles of marginals are not in order")
        shares = self.class_shares
        if shares is not None:
            numbers = isinstance(shares, np.ndarray) and shares.ndim == 1 and shares.dtype == float
            require(numbers and (shares >= 0).all() and np.isclose(shares.sum(), 1), "shares of classes are none")
