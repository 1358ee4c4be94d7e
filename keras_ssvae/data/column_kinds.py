"""Which likelihoods there are for the columns of X, which one "auto" chooses, and how a column of each is scaled."""

import numpy as np

from keras_ssvae.data.columnwise import Columns
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import ColumnGroup, ColumnKind

__all__ = []

WIDEST = 8.0  # spread of logarithms: e to the power of some of them, and its square, are still floats
BLOCK_CELLS = 2**18  # at a time in double precision: what is freed stays with the process


def kind_names(images: bool = False) -> tuple[str, ...]:
    """What a user may ask for by `likelihood`, of images or of the columns of a table, besides "auto"; new kinds, too."""
    kinds = {name: likelihood.kind for name, likelihood in LIKELIHOODS.items()}
    return tuple(name for name, kind in kinds.items() if (kind.for_images if images else kind.by_name))


def choose_kind(values: np.ndarray, weight: np.ndarray, is_integer: bool, n_levels: int, is_ordered: bool) -> str:
    """The kind of likelihood that "auto" stands for: of one column of n floats, NaN where missing, with weights for its rows.

    - no value, or one: "constant"; two: "bernoulli";
    - categories: "categorical", "ordinal" where the levels are ordered;
    - whole numbers from 0 on, skewed to the right (skewness above 1): counts, "poisson" where the variance is about the mean
      and "negative_binomial" where it is larger;
    - positive, skewed to the right, and less skewed on a log scale: "log_normal";
    - heavy tails (excess kurtosis above 6, and no value that a twentieth of the rows share): "student_t";
    - anything else: "gaussian".

    `is_integer` says that the values are whole by nature; `n_levels` is the number of categories, 0 for numbers.
    """
    known = ~np.isnan(values)
    distinct, inverse = np.unique(values[known], return_inverse=True)
    if len(distinct) <= 1:
        return "constant"
    if n_levels > 2:
        return "ordinal" if is_ordered else "categorical"
    if len(distinct) == 2:
        return "bernoulli"
    shares = np.bincount(inverse, weight[known])
    shares = shares / shares.sum()
    scaled = distinct / max(np.abs(distinct).max(), 1e-300)
    skewness, kurtosis = _shape(scaled, shares)
    if distinct[0] >= 0 and skewness > 1:
        if is_integer:
            mean = (shares * distinct).sum()
            variance = (shares * np.square(distinct - mean)).sum()
            return "poisson" if variance < 1.2 * mean else "negative_binomial"
        if distinct[0] > 0 and abs(_shape(np.log(distinct), shares)[0]) < skewness / 2:
            return "log_normal"
    return "student_t" if kurtosis > 6 and shares.max() < 0.05 else "gaussian"


def _shape(values, shares):
    """Skewness and excess kurtosis of a discrete distribution."""
    centered = values - (shares * values).sum()
    variance = (shares * np.square(centered)).sum()
    if variance <= 0:
        return 0.0, 0.0
    return (shares * centered**3).sum() / variance**1.5, (shares * centered**4).sum() / variance**2 - 3.0


def scale_column(kind: ColumnKind, values: np.ndarray, weight: np.ndarray, standard: tuple[float, float]) -> tuple[float, ...]:
    """How a column of a table is scaled, by the `scaling` of its kind.

    - "standard": as `standardisation` says;
    - "none": as it is;
    - "two values": the two that occur become 0 and 1, other columns are as they are;
    - "log": divided by the exponential of the mean logarithm, and the link's scale is the spread of the logarithms;
    - "log1p": as it is, and the link is the standardisation of log(1 + x);
    - "lowest": shifted by the lowest value.

    `values` are n floats, NaN where missing; `standard` are the center and scale of `standardisation`. What comes back are
    center, scale, link_center and link_scale as in `TablePreprocessor`.
    """
    if kind.scaling == "standard":
        return *standard, 0.0, 1.0
    if kind.scaling in ("log", "log1p"):
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log1p(values[:, None]) if kind.scaling == "log1p" else np.log(values[:, None])
        (center,), (scale,) = standardisation(logs, weight)
        scale = min(scale, WIDEST)
        return (0.0, 1.0, center, scale) if kind.scaling == "log1p" else (0.0, np.exp(center), 0.0, scale)
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    if kind.scaling == "two values" and (low < 0 or high > 1 or len(np.unique(values[~np.isnan(values)])) == 2):
        return low, min(float(high) - float(low), np.finfo(float).max) or 1.0, 0.0, 1.0
    return 0.0 if kind.scaling != "lowest" or np.isnan(low) else low, 1.0, 0.0, 1.0


def is_unordered(group: ColumnGroup) -> bool:
    """Whether the columns of a group hold codes of levels that have no order: what a distance reads as an indicator each."""
    kind = LIKELIHOODS[group.kind].kind
    return kind.is_code and not kind.is_ordered


def standardisation(flat: np.ndarray | Columns, weight: np.ndarray, together: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation, (d,) each, of (n, d) values, NaN where missing; far outliers are drawn in.

    Values further from the middle nine tenths of a column than thrice their width count as lying there. The result does not
    depend on the order of the rows, and a weight of two is a row given twice. The scale of a constant column is 1; `together`
    gives all columns one mean and deviation, and draws nothing in.
    """
    if together:
        return _standardisation(flat, weight, together)
    step = max(1, BLOCK_CELLS // len(flat))
    parts = [_standardisation(flat[:, j : j + step], weight, together) for j in range(0, flat.shape[1], step)]
    return np.concatenate([center for center, _ in parts]), np.concatenate([scale for _, scale in parts])


def _standardisation(flat, weight, together):
    known = ~np.isnan(flat)
    if not together:
        flat = _draw_in(flat, known, weight)
    share = weight[:, None] * known
    total = share.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    offset = np.where(known.any(axis=0), np.fmin.reduce(flat, axis=0), 0.0)  # far from zero, a plain sum loses digits
    unit = np.where(known.any(axis=0), np.fmax.reduce(flat, axis=0), 0.0).astype(float) / 2 - offset / 2
    if together:
        offset[:] = offset.min()
        unit[:] = unit.max()
    unit[unit == 0] = 1.0
    unit = np.exp2(np.minimum(np.ceil(np.log2(unit)), 1023))
    offset = offset.astype(float)
    mean = (share * np.where(known, flat / unit - offset / unit, 0.0)).sum(axis=0) / safe
    if together:
        mean[:] = (mean * total).sum() / safe.sum()
    square = np.square(np.where(known, flat / unit - offset / unit - mean, 0.0))
    scale = np.sqrt((share * square).sum(axis=0) / safe)
    if together:
        scale[:] = np.sqrt((np.square(scale) * total).sum() / safe.sum())
    scale, mean = scale * unit, mean * unit
    # a spread that is rounding error is none: 1e9 + 0 and 1e9 + 1e-7 are one value
    scale[scale <= 1e-12 * np.abs(offset + mean)] = 1.0
    # rounded, so that rows in another order, or a weight of two for a row given twice, give the very same scaling
    fraction, exponent = np.frexp(scale)
    largest = np.where(exponent > 1023, np.nextafter(np.float32(1), np.float32(0)), np.float32(1))  # or it leaves the floats
    scale = np.ldexp(np.minimum(fraction.astype(np.float32), largest).astype(float), exponent)
    grain = np.maximum(np.maximum(scale, np.abs(offset + mean) * 2.0**-40) * 2.0**-20, np.finfo(float).smallest_subnormal)
    return np.round((offset + mean) / grain) * grain, scale


def _draw_in(flat, known, weight):
    """Columns with far outliers moved to three widths of the middle nine tenths beyond them."""
    edges = np.full((2, flat.shape[1]), np.nan)
    for j in range(flat.shape[1]):
        rows = np.flatnonzero(known[:, j])
        if len(rows):
            order = rows[np.argsort(flat[rows, j], kind="stable")]
            share = np.cumsum(weight[order])
            at = np.searchsorted(share, np.array([0.05, 0.95]) * share[-1])
            edges[:, j] = flat[order[at], j]
    with np.errstate(over="ignore"):
        width = edges[1] - edges[0]
        reach = np.where(width > 0, 3 * width, np.inf)  # nine tenths of one value say nothing about the others
        return np.clip(flat, edges[0] - reach, edges[1] + reach)
