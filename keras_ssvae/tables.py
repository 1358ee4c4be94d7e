"""Columns <-> matrix: what the network reads of X, and the way back to the user's columns, dtypes and units."""

import dataclasses

import numpy as np
import pandas as pd

__all__ = ["Encoded", "Table"]


@dataclasses.dataclass
class Encoded:
    """X as the network reads it.

    Attributes
    ----------
    x : (n, n_columns) float32 array
        Scaled values, 0 where missing.
    observed : (n, n_columns) float32 array or None
        1 where a value was given, 0 where it is missing; None where nothing is missing.
    """

    x: np.ndarray
    observed: np.ndarray | None = None

    def __getitem__(self, rows):
        return Encoded(self.x[rows], None if self.observed is None else self.observed[rows])


class Table:
    """The schema of X, its scaling, and both directions between X and a float matrix.

    Parameters
    ----------
    likelihood : {"auto", "gaussian", "bernoulli"}
        "auto" is bernoulli for images and where every value is 0 or 1, and gaussian elsewhere.

    Attributes
    ----------
    likelihood_ : str
        The likelihood in use.
    image_shape_ : tuple (height, width, channels) or None
        Shape of one image; None for a table.
    n_columns_ : int
        Number of columns of the matrix.
    center_, scale_ : (n_columns,) arrays
        ``x = (X - center_) / scale_``.
    """

    def __init__(self, likelihood="auto"):
        self.likelihood = likelihood

    def fit(self, X, original, weight):
        """Learn the schema.

        Parameters
        ----------
        X : (n, d) or (n, height, width[, channels]) float array
            Validated values, NaN where missing.
        original : object
            What the user passed: an array, a list or a DataFrame.
        weight : (n,) array
            Row weights.
        """
        self.row_shape_ = X.shape[1:]
        self.image_shape_ = None if X.ndim == 2 else (*X.shape[1:3], X.shape[3] if X.ndim == 4 else 1)
        flat = X.reshape(len(X), -1)
        self.n_columns_ = flat.shape[1]
        frame = isinstance(original, pd.DataFrame)
        self.columns_ = original.columns if frame else None
        self.dtypes_ = list(original.dtypes) if frame else [getattr(original, "dtype", np.dtype(float))]
        low, high = float(np.fmin.reduce(flat, axis=None)), float(np.fmax.reduce(flat, axis=None))
        if self.likelihood == "auto":
            binary = np.all((flat == 0) | (flat == 1) | np.isnan(flat)) and low < high
            self.likelihood_ = "bernoulli" if self.image_shape_ or binary else "gaussian"
        else:
            self.likelihood_ = self.likelihood
        if self.likelihood_ == "bernoulli":
            self._fit_unit_interval(low, high)
        else:
            self._fit_standard(flat, weight)
        ends = self.center_[0], self.center_[0] + self.scale_[0]
        self.is_binary_ = self.likelihood_ == "bernoulli" and bool(np.isin(flat[~np.isnan(flat)], ends).all())
        return self

    def _fit_unit_interval(self, low, high):
        if self.image_shape_ is None:
            if low < 0 or high > 1:
                raise ValueError(
                    f"likelihood='bernoulli' accepts values between 0 and 1; X has values from {low:g} to {high:g}."
                )
            low, high = 0.0, 1.0
        elif np.isnan(low) or 0 <= low and high <= 1:
            low, high = 0.0, 1.0
        elif self.dtypes_[0] == np.uint8:
            low, high = 0.0, 255.0
        self.center_ = np.full(self.n_columns_, float(low))
        self.scale_ = np.full(self.n_columns_, float(high - low) if high > low else 1.0)

    def _fit_standard(self, flat, weight):
        known = ~np.isnan(flat)
        share = weight[:, None] * known
        total = share.sum(axis=0)
        safe = np.where(total > 0, total, 1.0)
        offset = np.where(known.any(axis=0), np.fmin.reduce(flat, axis=0), 0.0)  # far from zero, a plain sum loses digits
        unit = np.where(known.any(axis=0), np.fmax.reduce(flat, axis=0), 0.0).astype(float) / 2 - offset / 2
        if self.image_shape_:
            offset[:] = offset.min()
            unit[:] = unit.max()
        unit[unit == 0] = 1.0
        unit = np.exp2(np.ceil(np.log2(unit)))
        offset = offset.astype(float)
        mean = (share * np.where(known, flat / unit - offset / unit, 0.0)).sum(axis=0) / safe
        if self.image_shape_:
            mean[:] = (mean * total).sum() / safe.sum()
        square = np.square(np.where(known, flat / unit - offset / unit - mean, 0.0))
        scale = np.sqrt((share * square).sum(axis=0) / safe)
        if self.image_shape_:
            scale[:] = np.sqrt((np.square(scale) * total).sum() / safe.sum())
        scale, mean = scale * unit, mean * unit
        # a spread that is rounding error is none: 1e9 + 0 and 1e9 + 1e-7 are one value
        scale[scale <= 1e-12 * np.abs(offset + mean)] = 1.0
        # rounded, so that rows in another order, or a weight of two for a row given twice, give the very same scaling
        fraction, exponent = np.frexp(scale)
        self.scale_ = np.ldexp(fraction.astype(np.float32).astype(float), exponent)
        grain = np.maximum(self.scale_, np.abs(offset + mean) * 2.0**-40) * 2.0**-20
        self.center_ = np.round((offset + mean) / grain) * grain

    def encode(self, X):
        """Validated float array -> `Encoded`."""
        flat = X.reshape(len(X), self.n_columns_)
        # in the support, or with finite squares: a row from far outside is strange, and no error
        bounds = (0.0, 1.0) if self.likelihood_ == "bernoulli" else (-1e15, 1e15)
        with np.errstate(over="ignore"):
            x = ((flat - self.center_) / self.scale_).clip(*bounds).astype(np.float32)
        missing = np.isnan(x)
        if not missing.any():
            return Encoded(x)
        x[missing] = 0.0
        return Encoded(x, (~missing).astype(np.float32))

    def decode(self, x):
        """Matrix -> X in the user's container, columns, dtypes and units."""
        flat = np.asarray(x, float) * self.scale_ + self.center_
        if self.columns_ is not None:
            columns = [pd.Series(self._cast(flat[:, j], dtype)).astype(dtype) for j, dtype in enumerate(self.dtypes_)]
            frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(len(flat)))
            frame.columns = self.columns_
            return frame
        return self._cast(flat, self.dtypes_[0]).reshape(-1, *self.row_shape_)

    @staticmethod
    def _cast(values, dtype):
        if isinstance(dtype, pd.CategoricalDtype):
            known = dtype.categories.to_numpy(float)
            return pd.Categorical.from_codes(np.abs(values[:, None] - known).argmin(axis=1), dtype=dtype)
        kind = getattr(dtype, "kind", "O")
        if kind == "b":
            return values >= 0.5
        if kind in "iu":
            info = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
            whole = np.rint(values)
            inside = np.where(whole >= float(info.max), 0, whole.clip(min=info.min)).astype(info.dtype)
            return np.where(whole >= float(info.max), info.dtype.type(info.max), inside)
        return values.astype(getattr(dtype, "numpy_dtype", dtype)) if kind == "f" else values
