"""What the entries of y mean where they are numbers: which rows have a target, and its value in standard units."""

import math
import typing

import numpy as np
import pandas as pd
from numpy import typing as npt

from keras_ssvae.data.labels import UnreadLabels, column_of
from keras_ssvae.registry import register, require, require_keys

__all__ = ["TargetCodec"]

FAR = 1e6  # standard deviations up to which a target counts as what it is: its square is a number in single precision


def distinct_targets(y: npt.ArrayLike, unlabeled: object = None) -> tuple[np.ndarray, np.ndarray]:
    """As `keras_ssvae.data.labels.distinct_labels`, where all targets are one kind: 0, once, and (n,) positions, 0 or -1."""
    _, known = _targets(y)
    return np.zeros(int(known.any())), np.where(known, 0, -1)


@register
class TargetCodec(UnreadLabels):
    """Translate between targets in the user's units and standard ones, of mean 0 and variance 1.

    Attributes
    ----------
    classes_ : (0,) array
        Empty.
    center_, scale_ : float or None
        Mean and standard deviation of the targets, 1 where they are all alike; None as long as none is known.

    Examples
    --------
    >>> import numpy as np
    >>> from keras_ssvae.data.targets import TargetCodec
    >>> codec = TargetCodec().fit_weighted([1.0, None, 3.0], np.ones(3))
    >>> codec.arrays([1.0, None, 3.0], n_rows=3)["target"]
    array([-1.,  0.,  1.], dtype=float32)
    >>> codec.decode([0.5])
    array([2.5])
    """

    center_: float | None = None
    scale_: float | None = None

    def fit_weighted(self, y: npt.ArrayLike | None, weight: np.ndarray) -> "TargetCodec":
        """Learn the scale of the targets of n rows, each of which counts as often as `weight`, (n,), says.

        Raises
        ------
        ValueError
            If y is not one column of n finite numbers, NaN, None or pd.NA, or is a float column without a single number.
        """
        self.fit(y, len(weight))
        self.center_ = self.scale_ = None
        values, known = self._read(y, len(weight))
        if isinstance(y, (np.ndarray, pd.Series)) and y.dtype.kind == "f" and len(y) and not known.any():
            raise ValueError(
                "y contains NaN only, as a join that found nothing leaves it. If really no target is known, pass y=None."
            )
        weight = weight[known]
        if not weight.any():
            return self
        unit = 2.0 ** np.frexp(np.abs(values).max() or 1.0)[1]  # or squares might leave the range of floats
        center = np.average(values / unit, weights=weight)
        spread = math.sqrt(np.average(np.square(values / unit - center), weights=weight))
        scale = float(np.float32(spread)) if spread > 1e-12 else 1.0 / unit
        center = round(center / scale * 2.0**20) * 2.0**-20 * scale  # both are rounded, so that no bit depends on the order
        self.center_, self.scale_ = float(center * unit), float(scale * unit)
        return self

    def encode(self, y: typing.Any, n_rows: int) -> np.ndarray:
        """Where a target is known: (n_rows,) int32, 0 there and -1 elsewhere."""
        return np.where(self._read(y, n_rows)[1], 0, -1).astype(np.int32)

    def arrays(self, y: typing.Any, n_rows: int) -> dict[str, np.ndarray]:
        """What a batch has of y: "y" as `encode` says, and "target", (n_rows,) float32 in standard units, 0 where unknown."""
        values, known = self._read(y, n_rows)
        target = np.zeros(n_rows, np.float32)
        target[known] = self.standardised(values)
        return {"y": np.where(known, 0, -1).astype(np.int32), "target": target}

    def known(self, y: npt.ArrayLike) -> np.ndarray:
        """The known targets, float64."""
        return _targets(y)[0]

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Targets in standard units, those beyond `FAR` as that far; as they are if none is known."""
        if self.scale_ is None or self.center_ is None:
            return values
        return np.clip((values - self.center_) / self.scale_, -FAR, FAR)

    def decode(self, target: npt.ArrayLike) -> np.ndarray:
        """Targets in the user's units, NaN if none is known there."""
        target = np.asarray(target, float)
        return (
            np.full(target.shape, np.nan)
            if self.scale_ is None or self.center_ is None
            else target * self.scale_ + self.center_
        )

    def indices_of(self, y: npt.ArrayLike, n_rows: int) -> np.ndarray:
        """Targets that were asked for, one for all rows or one for each, in standard units: (n_rows,)."""
        values, known = self._read([y] * n_rows if np.ndim(y) == 0 else y, n_rows)
        if not known.all():
            raise ValueError(f"y must have a target for every row; got {np.count_nonzero(~known)} missing ones.")
        standard = self.standardised(values)
        far = values[np.abs(standard) >= FAR]
        if len(far):
            raise ValueError(f"y must lie within {FAR:.0e} standard deviations of the known targets; got {far[0]}.")
        return standard

    def _read(self, y, n_rows):
        if y is None:
            return np.empty(0), np.zeros(n_rows, bool)
        values, known = _targets(y)
        if len(known) != n_rows:
            raise ValueError(
                f"Found input variables with inconsistent numbers of samples: [{n_rows}, {len(known)}]. y needs one "
                f"entry for each of the {n_rows} rows, got {len(known)}."
            )
        return values, known

    def _check_loaded(self):
        require_keys(type(self).__name__, vars(self), {"classes", "unlabeled", "classes_", "center_", "scale_"})
        require(isinstance(self.classes_, np.ndarray) and self.classes_.shape == (0,), "targets have classes")
        scales = self.center_, self.scale_
        none = scales == (None, None)
        require(none or all(isinstance(s, float) and math.isfinite(s) for s in scales), "the scale of targets is none")
        require(self.scale_ is None or self.scale_ > 0, "the scale of targets is not positive")


def _targets(y):
    """The known targets, float64, and the mask of the rows that have one."""
    values = column_of(y, "y")
    if values.dtype.kind == "c":
        raise ValueError("Complex data not supported: y holds complex numbers.")
    known = ~pd.isna(values)
    values = values[known]
    if values.dtype.kind not in "biufO":
        raise ValueError(f"y must hold numbers, and NaN, None or pd.NA where they are unknown; got {values[:1].tolist()}.")
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must hold numbers, and NaN, None or pd.NA where they are unknown; {error}.") from error
    if np.isinf(values).any():
        raise ValueError(f"Input y contains infinity or a value too large for {values.dtype!r}.")
    return values, known
