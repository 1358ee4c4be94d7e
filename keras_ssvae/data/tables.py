"""Numbers <-> what the network reads: a kind of likelihood for every column, scaling, missing cells, and the way back."""

import copy
import dataclasses

import numpy as np

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.schema import Identifiers, Levels
from keras_ssvae.registry import register

__all__ = ["KINDS", "ColumnGroup", "TablePreprocessor", "choose_kind"]

COUNTS = ("poisson", "negative_binomial")
UNIT = ("bernoulli", "beta", "continuous_bernoulli")
CODES = ("categorical", "ordinal")
FAR = 1e15  # of encoded values: their squares are finite
SUPPORT = {  # kind -> range of the encoded values; of codes, up to the last level
    **dict.fromkeys(("gaussian", "student_t", "constant"), (-FAR, FAR)),
    "log_normal": (1 / FAR, FAR),
    **dict.fromkeys((*UNIT, "discretized"), (0.0, 1.0)),
    **dict.fromkeys((*COUNTS, *CODES), (0.0, FAR)),
}
KINDS = tuple(kind for kind in SUPPORT if kind != "constant")  # what a user may ask for
GREY_LEVELS = 256  # of discretized values
BLOCK_CELLS = 2**17  # at a time in double precision: memory is for what is encoded


@register
@dataclasses.dataclass
class ColumnGroup:
    """A run of encoded columns with one kind of likelihood.

    Attributes
    ----------
    kind : str
        A key of `keras_ssvae.likelihoods.columns.LIKELIHOODS`.
    start, stop : int
        Encoded columns.
    n_levels : int
        Levels of each column, 0 where the kind has none.
    """

    kind: str
    start: int
    stop: int
    n_levels: int = 0


@register
class TablePreprocessor:
    """The schema of X, the likelihood and scaling of each column, and both directions between X and a float matrix.

    The columns of the matrix stand in groups of one kind of likelihood.

    Parameters
    ----------
    likelihood : str or dict
        As in `SemiSupervisedVAE`.

    Attributes
    ----------
    schema_ : Schema
        The user's columns.
    kinds_ : list of str
        Kind of likelihood of each column of X; of an image, of its pixels.
    groups_ : list of ColumnGroup
        The same for the columns of the matrix.
    image_shape_ : tuple (height, width, channels) or None
        Shape of one image; None for a table.
    n_columns_ : int
        Number of columns of the matrix.
    center_, scale_ : (n_columns_,) arrays
        ``x = (X - center_) / scale_``.
    link_center_, link_scale_ : (n_columns_,) arrays
        Centre and spread of a column where its likelihood's location lives: of log x for counts and log-normal columns.
    minimum_, maximum_ : (n_columns_,) arrays
        Range of what the model gives back: the range of the training rows.
    incomplete_ : (n_columns_,) bool array
        Columns with missing cells among the training rows.
    graded_ : (n_columns_,) bool array
        Columns of grey values under a Bernoulli likelihood: `sample` shows their means, and draws all others.
    """

    def __init__(self, likelihood="auto"):
        self.likelihood = likelihood

    # The way there

    def fit(self, values, schema, weight):
        """Learn kinds and scaling.

        Parameters
        ----------
        values : (n, d) or (n, height, width[, channels]) float array
            Numbers, NaN where missing.
        schema : Schema
            The user's columns.
        weight : (n,) array
            Row weights.
        """
        self.schema_ = schema
        self.row_shape_ = values.shape[1:]
        self.image_shape_ = None if values.ndim == 2 else (*values.shape[1:3], values.shape[3] if values.ndim == 4 else 1)
        flat = values.reshape(len(values), -1)
        self.n_columns_ = flat.shape[1]
        self.incomplete_ = np.isnan(flat).any(axis=0)
        self.minimum_, self.maximum_ = np.fmin.reduce(flat, axis=0), np.fmax.reduce(flat, axis=0)
        if self.image_shape_:
            self._fit_image(flat, weight)
        else:
            self._fit_columns(flat, weight)
        return self

    def _fit_image(self, flat, weight):
        kind = "bernoulli" if self.likelihood == "auto" else self.likelihood
        if not isinstance(kind, str) or kind not in ("gaussian", "bernoulli", "continuous_bernoulli", "discretized"):
            raise ValueError(
                "likelihood of images must be 'auto', 'gaussian', 'bernoulli', 'continuous_bernoulli' or 'discretized'; got "
                f"{self.likelihood!r}."
            )
        self.kinds_, self._order = [kind], None
        self.groups_ = [ColumnGroup(kind, 0, self.n_columns_, _group_levels(kind, 0))]
        low, high = self._pixel_range()
        if kind == "gaussian":
            center, scale = standardisation(flat, weight, together=True)
        else:
            center, scale = np.full(self.n_columns_, low), np.full(self.n_columns_, high - low if high > low else 1.0)
        self._set_scales(center, scale, np.zeros(self.n_columns_), np.ones(self.n_columns_))
        ends = center[0], center[0] + scale[0]
        is_grey = kind == "bernoulli" and not np.isin(flat[~np.isnan(flat)], ends).all()
        self.graded_ = np.full(self.n_columns_, is_grey)
        self.minimum_[:], self.maximum_[:] = np.fmin.reduce(self.minimum_), np.fmax.reduce(self.maximum_)
        if kind != "gaussian":
            self.minimum_[:], self.maximum_[:] = ends

    def _pixel_range(self):
        low, high = float(np.fmin.reduce(self.minimum_)), float(np.fmax.reduce(self.maximum_))
        if np.isnan(low) or 0 <= low and high <= 1:
            return 0.0, 1.0
        return (0.0, 255.0) if self.schema_.dtype == np.uint8 else (low, high)

    def _fit_columns(self, flat, weight):
        stored = self.schema_.columns or [None] * self.n_columns_
        wanted = self._wanted()
        self.kinds_, levels = [], np.zeros(self.n_columns_, int)
        for j, column in enumerate(stored):
            levels[j] = len(column.levels) if isinstance(column, Levels) else 0
            is_integer = self.schema_.dtype.kind in "iub" if column is None else column.is_integer
            kind = wanted.get(j, "auto")
            if kind == "auto" or isinstance(column, Identifiers):
                kind = choose_kind(flat[:, j], weight, is_integer, levels[j], column is not None and column.is_ordered)
            if kind in CODES and not levels[j]:
                levels[j] = self._count_levels(flat[:, j], j)
            if kind in CODES and levels[j] < 2:
                kind = "constant"
            self._check_kind(kind, flat[:, j], j, isinstance(column, Levels) and not column.is_ordered and levels[j] > 2)
            self.kinds_.append(kind)
        if set(self.kinds_) == {"constant"}:  # one row: what the next ones hold is still to come
            self.kinds_ = ["gaussian"] * self.n_columns_
        centers, scales = standardisation(flat, weight)
        links = np.zeros(self.n_columns_), np.ones(self.n_columns_)
        with np.errstate(invalid="ignore", divide="ignore"):
            for j, kind in enumerate(self.kinds_):
                low, high = self.minimum_[j], self.maximum_[j]
                if kind == "bernoulli" and (low < 0 or high > 1 or _is_two_valued(flat[:, j])):
                    centers[j], scales[j] = low, float(high) - float(low) or 1.0
                elif kind in (*UNIT, *COUNTS, *CODES):
                    centers[j], scales[j] = 0.0, 1.0
                elif kind == "constant":
                    centers[j], scales[j] = (0.0 if np.isnan(low) else low), 1.0
                if kind in (*COUNTS, "log_normal"):
                    logs = np.log1p(flat[:, j : j + 1]) if kind in COUNTS else np.log(flat[:, j : j + 1])
                    (links[0][j],), (links[1][j],) = standardisation(logs, weight)
                if kind == "log_normal":
                    centers[j], scales[j], links[0][j] = 0.0, np.exp(links[0][j]), 0.0
        self._set_groups(levels)
        self.minimum_, self.maximum_, self.incomplete_ = map(self._grouped, (self.minimum_, self.maximum_, self.incomplete_))
        self._set_scales(*map(self._grouped, (centers, scales, *links)))
        self.graded_ = self._grouped(
            np.array(
                [kind == "bernoulli" and _is_grey((flat[:, j] - centers[j]) / scales[j]) for j, kind in enumerate(self.kinds_)]
            )
        )

    def _wanted(self):
        """Column number -> kind, for what the user asked for by name."""
        if isinstance(self.likelihood, str):
            if self.likelihood == "auto":
                return {}
            columns = self.schema_.columns or [None] * self.n_columns_
            return {j: self.likelihood for j, column in enumerate(columns) if not isinstance(column, (Levels, Identifiers))}
        names = list(range(self.n_columns_)) if self.schema_.names is None else list(self.schema_.names)
        unknown = [name for name in self.likelihood if name not in names]
        if unknown:
            raise ValueError(f"likelihood names columns that X does not have: {unknown}; X has {names[:20]}.")
        for name, kind in self.likelihood.items():
            if kind not in ("auto", *KINDS):
                raise ValueError(f"likelihood of column {name!r} must be 'auto' or one of {KINDS}; got {kind!r}.")
        return {j: self.likelihood[name] for j, name in enumerate(names) if name in self.likelihood}

    def _name(self, j):
        return repr(j if self.schema_.names is None else self.schema_.names[j])

    def _count_levels(self, values, j):
        high = np.fmax.reduce(values) if len(values) else 0.0
        known = values[~np.isnan(values)]
        if len(known) and (known.min() < 0 or (known != np.rint(known)).any() or high > 255):
            raise ValueError(
                f"likelihood of column {self._name(j)} needs whole numbers from 0 to at most 255; the column has values from "
                f"{known.min():g} to {high:g}."
            )
        return int(high) + 1 if len(known) else 1

    def _check_kind(self, kind, values, j, is_nominal):
        known = values[~np.isnan(values)]
        if is_nominal and kind not in (*CODES, "constant"):
            raise ValueError(f"likelihood of column {self._name(j)} must be 'categorical' or 'ordinal'; got {kind!r}.")
        if not len(known) or kind == "bernoulli" and len(np.unique(known)) <= 2:
            return
        low, high = known.min(), known.max()
        support = {
            **dict.fromkeys((*UNIT, "discretized"), ("values between 0 and 1", 0 <= low and high <= 1)),
            **dict.fromkeys(COUNTS, ("whole numbers from 0", low >= 0 and bool(np.all(known % 1 == 0)))),
            "log_normal": ("values above 0", low > 0),
        }
        accepts, good = support.get(kind, ("", True))
        if not good:
            raise ValueError(
                f"likelihood={kind!r} accepts {accepts}; column {self._name(j)} of X has values from {low:g} to {high:g}."
            )

    def _set_groups(self, levels):
        """Columns of one kind and number of levels side by side."""
        keys = [(kind, _group_levels(kind, int(n))) for kind, n in zip(self.kinds_, levels, strict=True)]
        distinct = sorted(set(keys))
        number = np.array([distinct.index(key) for key in keys], int)
        order = np.argsort(number, kind="stable")
        self._order = None if (order == np.arange(len(order))).all() else order
        ends = np.cumsum([0, *np.bincount(number, minlength=len(distinct))])
        self.groups_ = [ColumnGroup(kind, int(ends[i]), int(ends[i + 1]), n) for i, (kind, n) in enumerate(distinct)]

    def _set_scales(self, center, scale, link_center, link_scale):
        self.center_, self.scale_, self.link_center_, self.link_scale_ = center, scale, link_center, link_scale
        # values are put into the support: a row from far outside is strange, and no error
        self._low = self._by_column(lambda g: SUPPORT[g.kind][0])
        self._high = self._by_column(lambda g: g.n_levels - 1.0 if g.kind in CODES else SUPPORT[g.kind][1])
        # what stands in a missing cell: nobody reads it, but its logarithm must be a number
        self._filler = self._by_column(lambda g: float(g.kind == "log_normal"))
        self._is_code = self._by_column(lambda g: g.kind in (*CODES, *COUNTS))

    def _by_column(self, of_group):
        """What a function says of each group, for each of its columns."""
        return np.concatenate([np.full(g.stop - g.start, of_group(g)) for g in self.groups_])

    def _grouped(self, values):
        """Columns of X, on the last axis, in the order of the matrix."""
        return values if self._order is None else values[..., self._order]

    def widened(self, values):
        """The same table with the range of more rows: what comes back may lie in either."""
        flat = self._grouped(values.reshape(len(values), self.n_columns_))
        known = ~np.isnan(self.minimum_)  # a column that had no value in the fit is not part of the model
        wider = copy.copy(self)
        wider.minimum_ = np.where(known, np.fmin(self.minimum_, np.fmin.reduce(flat, axis=0)), np.nan)
        wider.maximum_ = np.where(known, np.fmax(self.maximum_, np.fmax.reduce(flat, axis=0)), np.nan)
        return wider

    def encode(self, values):
        """Float array as `Schema.read` and validation give it -> `PreparedRows`."""
        flat = values.reshape(len(values), self.n_columns_)
        arrays = {"x": np.empty(flat.shape, np.float32)}
        step = max(1, BLOCK_CELLS // self.n_columns_)
        for start in range(0, len(flat), step):
            self._encode_block(flat, slice(start, start + step), arrays)
        return PreparedRows(**arrays)

    def _encode_block(self, flat, rows, arrays):
        """Write some rows, in double precision, into what is encoded so far."""
        with np.errstate(over="ignore"):
            x = np.subtract(self._grouped(flat[rows]), self.center_)
            x /= self.scale_
        np.clip(x, self._low, self._high, out=x)
        if self._is_code.any():
            x[:, self._is_code] = np.rint(x[:, self._is_code])
        arrays["x"][rows] = x
        missing = np.isnan(x) | np.isnan(self.minimum_)  # a value where the fit saw none says nothing either
        if missing.any():
            if "observed" not in arrays:
                arrays["observed"] = np.ones_like(arrays["x"])
            arrays["observed"][rows] = ~missing
            arrays["x"][rows] = np.where(missing, self._filler, arrays["x"][rows])

    def indicators(self, x):
        """Encoded rows for a distance: as `x`, but categories as one column of zeros and ones for each level."""
        blocks = [
            np.eye(g.n_levels, dtype=np.float32)[x[:, g.start : g.stop].astype(int)].reshape(len(x), -1)
            if g.kind == "categorical"
            else x[:, g.start : g.stop]
            for g in self.groups_
        ]
        return np.concatenate(blocks, axis=1)

    # The way back

    def decode(self, x, index=None):
        """Matrix -> X in the user's container, columns, dtypes, units and ranges; of the rows of `index`, if any."""
        return self.schema_.write(self.numbers(x).reshape(-1, *self.row_shape_), index)

    def numbers(self, x):
        """Matrix -> numbers in the user's units, as `Schema.read` gives them."""
        flat = np.asarray(x, float) * self.scale_ + self.center_
        flat = np.fmax(np.fmin(flat, self.maximum_), self.minimum_)
        flat[:, np.isnan(self.minimum_)] = np.nan  # of a column without a value nothing is known
        if self._order is None:
            return flat
        given = np.empty_like(flat)
        given[:, self._order] = flat
        return given


def _group_levels(kind, n_levels):
    """Levels of the columns of a group: those of the column for codes, of the grid for grey values, 0 for other kinds."""
    return GREY_LEVELS if kind == "discretized" else n_levels if kind in CODES else 0


def choose_kind(values, weight, is_integer, n_levels, is_ordered):
    """The kind of likelihood of one column, from its dtype and values.

    - no value, or one: "constant"; two: "bernoulli";
    - categories: "categorical", "ordinal" where the levels are ordered;
    - whole numbers from 0 on, skewed to the right (skewness above 1): counts, "poisson" where the variance is about the mean
      and "negative_binomial" where it is larger;
    - positive, skewed to the right, and less skewed on a log scale: "log_normal";
    - heavy tails (excess kurtosis above 6, and no value that a twentieth of the rows share): "student_t";
    - anything else: "gaussian".

    Parameters
    ----------
    values : (n,) float array
        The column, NaN where missing.
    weight : (n,) array
        Row weights.
    is_integer : bool
        Whether the values are whole by nature.
    n_levels : int
        Number of categories, 0 for numbers.
    is_ordered : bool
        Whether the order of the categories means something.

    Returns
    -------
    str
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
    shares /= shares.sum()
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


def _is_grey(values):
    return not (np.isnan(values) | np.isin(values, (0.0, 1.0))).all()


def _is_two_valued(values):
    return len(np.unique(values[~np.isnan(values)])) == 2


def standardisation(flat, weight, together=False):
    """Weighted mean and standard deviation of each column, far outliers drawn in.

    Values further from the middle nine tenths of a column than thrice their width count as lying there. The result does not
    depend on the order of the rows, and a weight of two is a row given twice.

    Parameters
    ----------
    flat : (n, d) float array
        Values, NaN where missing.
    weight : (n,) array
        Row weights.
    together : bool, default=False
        One mean and deviation for all columns.

    Returns
    -------
    center, scale : (d,) arrays
        The scale of a constant column is 1.
    """
    if together:
        return _standardisation(flat, weight, together)
    step = max(1, 8 * BLOCK_CELLS // len(flat))
    parts = [_standardisation(flat[:, j : j + step], weight, together) for j in range(0, flat.shape[1], step)]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


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
    unit = np.exp2(np.ceil(np.log2(unit)))
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
    scale = np.ldexp(fraction.astype(np.float32).astype(float), exponent)
    grain = np.maximum(scale, np.abs(offset + mean) * 2.0**-40) * 2.0**-20
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
    width = edges[1] - edges[0]
    reach = np.where(width > 0, 3 * width, np.inf)  # nine tenths of one value say nothing about the others
    return np.clip(flat, edges[0] - reach, edges[1] + reach)
