"""Numbers <-> the matrix that the network reads: scaling, missing cells, and the way back."""

import copy
import warnings

import numpy as np
import pandas as pd

from keras_ssvae.data.column_base import ColumnWarning
from keras_ssvae.data.column_kinds import choose_kind, is_unordered, kind_names, scale_column, standardisation
from keras_ssvae.data.columnwise import Columns, incomplete, ranges
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.schema_columns import Identifiers, Levels
from keras_ssvae.data.table_checks import check_table
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import FAR, ColumnGroup
from keras_ssvae.registry import register, require_keys

__all__ = ["ExtremeValueWarning", "TablePreprocessor"]

N_QUANTILES = 9
MAX_QUANTILE_COLUMNS = 64
ATTRIBUTES = {  # of a fitted table
    "likelihood", "schema_", "row_shape_", "image_shape_", "n_columns_", "incomplete_", "minimum_", "maximum_", "kinds_",
    "_order", "groups_", "center_", "scale_", "link_center_", "link_scale_", "_low", "_high", "_filler", "_is_code",
    "graded_", "quantiles_",
}  # fmt: skip
BLOCK_CELLS = 2**17  # at a time in double precision: memory is for what is encoded
REACH = 1e3  # standard deviations up to which a value counts as what it is: ordinary columns end far below
MAX_NAMED = 20  # columns that a warning lists
FLOATS = np.finfo(float)


class ExtremeValueWarning(ColumnWarning):
    """Cells of X are so far from all others that the model reads them as if they were nearer, in the same order."""


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
    quantiles_ : (n_columns_, N_QUANTILES) array
        Of the scaled values of each column, from the least to the largest, once `learn_quantiles` was called; else NaN.
    graded_ : (n_columns_,) bool array
        Columns of grey values under a Bernoulli likelihood: `sample` shows their means, and draws all others.
    """

    def __init__(self, likelihood: str | dict = "auto") -> None:
        self.likelihood = likelihood

    # The way there

    def fit(self, values: np.ndarray | Columns, schema: Schema, weight: np.ndarray) -> "TablePreprocessor":
        """Learn kinds and scaling.

        Parameters
        ----------
        values : (n, d) or (n, height, width[, channels]) float array, or Columns
            Numbers, NaN where missing.
        schema : Schema
            The user's columns.
        weight : (n,) array
            Row weights.
        """
        self.schema_ = schema
        self.row_shape_ = values.shape[1:]
        self.image_shape_ = None if values.ndim == 2 else (*values.shape[1:3], values.shape[3] if values.ndim == 4 else 1)
        flat = _flat(values)
        self.n_columns_ = flat.shape[1]
        self.incomplete_, (self.minimum_, self.maximum_) = incomplete(flat), ranges(flat)
        if self.image_shape_:
            self._fit_image(flat, weight)
        else:
            self._fit_columns(flat, weight)
        self.quantiles_ = self._no_quantiles()
        return self

    def _no_quantiles(self):
        return np.full((self.n_columns_, N_QUANTILES), np.nan, np.float32)

    def _fit_image(self, flat, weight):
        name, accepted = "bernoulli" if self.likelihood == "auto" else self.likelihood, kind_names(images=True)
        if not isinstance(name, str) or name not in accepted:
            raise ValueError(f"likelihood of images must be {_listed('auto', *accepted)}; got {self.likelihood!r}.")
        kind = LIKELIHOODS[name].kind
        self.kinds_, self._order = [name], None
        self.groups_ = [ColumnGroup(name, 0, self.n_columns_, kind.group_levels(0))]
        low, high = self._pixel_range()
        if kind.is_bounded:
            center, scale = np.full(self.n_columns_, low), np.full(self.n_columns_, high - low if high > low else 1.0)
        else:
            center, scale = standardisation(flat, weight, together=True)
        self._set_scales(center, scale, np.zeros(self.n_columns_), np.ones(self.n_columns_))
        ends = center[0], center[0] + scale[0]
        is_grey = kind.scaling == "two values" and not np.isin(flat[~np.isnan(flat)], ends).all()
        self.graded_ = np.full(self.n_columns_, is_grey)
        if not kind.is_bounded:
            ends = np.fmin.reduce(self.minimum_), np.fmax.reduce(self.maximum_)
        self.minimum_[:], self.maximum_[:] = ends

    def _pixel_range(self):
        low, high = float(np.fmin.reduce(self.minimum_)), float(np.fmax.reduce(self.maximum_))
        if np.isnan(low) or 0 <= low and high <= 1:
            return 0.0, 1.0
        return (0.0, 255.0) if self.schema_.dtype == np.uint8 else (low, high)

    def _fit_columns(self, flat, weight):
        levels = self._fit_kinds(flat, weight)
        kinds = [LIKELIHOODS[name].kind for name in self.kinds_]
        standard = zip(*standardisation(flat, weight), strict=True)
        scales = [scale_column(kind, flat[:, j], weight, s) for j, (kind, s) in enumerate(zip(kinds, standard, strict=True))]
        scales = np.array(scales, float).T.copy()
        graded = [
            kind.scaling == "two values" and _is_grey(flat[:, j], center, scale)
            for j, (kind, center, scale) in enumerate(zip(kinds, *scales[:2], strict=True))
        ]
        self._set_groups(levels)
        self.minimum_, self.maximum_, self.incomplete_ = map(self._grouped, (self.minimum_, self.maximum_, self.incomplete_))
        self._set_scales(*self._grouped(scales))
        self.graded_ = self._grouped(np.array(graded))
        self._warn_of_extremes(flat)

    def _fit_kinds(self, flat, weight):
        """Learn the kinds; the number of levels of each column, 0 for numbers."""
        stored = self.schema_.columns or [None] * self.n_columns_
        wanted = self._wanted()
        self.kinds_, levels = [], np.zeros(self.n_columns_, int)
        for j, column in enumerate(stored):
            levels[j] = len(column.levels) if isinstance(column, Levels) else 0
            is_integer = self.schema_.dtype.kind in "iub" if column is None else column.is_integer
            kind = wanted.get(j, "auto")
            if kind == "auto" or isinstance(column, Identifiers):
                kind = choose_kind(flat[:, j], weight, is_integer, levels[j], column is not None and column.is_ordered)
            if LIKELIHOODS[kind].kind.is_code:
                levels[j] = levels[j] or self._count_levels(kind, flat[:, j], j)
                kind = kind if levels[j] > 1 else "constant"
            self._check_kind(kind, flat[:, j], j, isinstance(column, Levels) and not column.is_ordered and levels[j] > 2)
            self.kinds_.append(kind)
        if set(self.kinds_) == {"constant"}:  # one row: what the next ones hold is still to come
            self.kinds_ = ["gaussian"] * self.n_columns_
        return levels

    def _wanted(self):
        """Column number -> kind, for what the user asked for by name."""
        accepted = ("auto", *kind_names())
        if isinstance(self.likelihood, str):
            if self.likelihood not in accepted:
                raise ValueError(f"likelihood must be 'auto' or one of {accepted[1:]}; got {self.likelihood!r}.")
            columns = self.schema_.columns or [None] * self.n_columns_
            return {j: self.likelihood for j, column in enumerate(columns) if not isinstance(column, (Levels, Identifiers))}
        names = list(range(self.n_columns_)) if self.schema_.names is None else list(self.schema_.names)
        unknown = [name for name in self.likelihood if name not in names]
        if unknown:
            raise ValueError(f"likelihood names columns that X does not have: {unknown}; X has {names[:20]}.")
        for name, kind in self.likelihood.items():
            if kind not in accepted:
                raise ValueError(f"likelihood of column {name!r} must be 'auto' or one of {accepted[1:]}; got {kind!r}.")
        return {j: self.likelihood[name] for j, name in enumerate(names) if name in self.likelihood}

    def _name(self, j):
        return repr(int(j) if self.schema_.names is None else self.schema_.names[j])

    def _count_levels(self, name, values, j):
        known, kind = values[~np.isnan(values)], LIKELIHOODS[name].kind
        if not len(known):
            return 1
        if not kind.admits(known):
            raise ValueError(
                f"likelihood of column {self._name(j)} needs {kind.accepts}; the column has values from {known.min():g} to "
                f"{known.max():g}."
            )
        return int(known.max()) + 1

    def _check_kind(self, name, values, j, is_nominal):
        known, kind = values[~np.isnan(values)], LIKELIHOODS[name].kind
        if is_nominal and kind.by_name and not kind.is_code:
            accepted = _listed(*(name for name in kind_names() if LIKELIHOODS[name].kind.is_code))
            raise ValueError(f"likelihood of column {self._name(j)} must be {accepted}; got {name!r}.")
        if not len(known) or kind.is_code or kind.scaling == "two values" and len(np.unique(known)) <= 2:
            return
        if not kind.admits(known):
            raise ValueError(
                f"likelihood={name!r} accepts {kind.accepts}; column {self._name(j)} of X has values from {known.min():g} to "
                f"{known.max():g}."
            )

    def _set_groups(self, levels):
        """Columns of one kind and number of levels side by side."""
        keys = [(kind, LIKELIHOODS[kind].kind.group_levels(int(n))) for kind, n in zip(self.kinds_, levels, strict=True)]
        distinct = sorted(set(keys))
        number = np.array([distinct.index(key) for key in keys], int)
        order = np.argsort(number, kind="stable")
        self._order = None if (order == np.arange(len(order))).all() else order
        ends = np.cumsum([0, *np.bincount(number, minlength=len(distinct))])
        self.groups_ = [ColumnGroup(kind, int(ends[i]), int(ends[i + 1]), n) for i, (kind, n) in enumerate(distinct)]

    def _set_scales(self, center, scale, link_center, link_scale):
        self.center_, self.scale_, self.link_center_, self.link_scale_ = center, scale, link_center, link_scale
        self._set_supports()

    def _set_supports(self):
        """What follows from the kinds alone."""
        # values are put into the support: a row from far outside is strange, and no error
        self._low = self._by_column(lambda kind, n_levels: kind.support[0])
        self._high = self._by_column(lambda kind, n_levels: n_levels - 1.0 if kind.is_code else kind.support[1])
        low, high = self._ends()
        self._low, self._high = np.maximum(self._low, low), np.minimum(self._high, high)
        self._filler = self._by_column(lambda kind, n_levels: kind.filler)
        self._is_code = self._by_column(lambda kind, n_levels: kind.is_whole)

    def is_code(self, group: ColumnGroup) -> bool:
        """Whether the columns of a group hold codes of levels."""
        return LIKELIHOODS[group.kind].kind.is_code

    def _check_loaded(self):
        if "quantiles_" not in vars(self):  # files that were written before there were any
            self.quantiles_ = self._no_quantiles()
        require_keys("TablePreprocessor", vars(self), ATTRIBUTES)
        check_table(self, N_QUANTILES)
        self._set_supports()

    def _ends(self):
        """Encoded values that lie `REACH` spreads from the middle of their column; infinite where a kind has no spread."""
        scaling = self._by_column(lambda kind, n_levels: "" if kind.scaling == "standard" and kind.is_bounded else kind.scaling)
        with np.errstate(over="ignore"):
            logs = self.link_center_ + np.multiply.outer((-REACH, REACH), self.link_scale_)
            low, high = np.select(
                [scaling == "standard", scaling == "log", scaling == "log1p"],
                [
                    np.multiply.outer((-REACH, REACH), np.ones(self.n_columns_)),
                    np.exp(logs).clip(1 / FAR, FAR),
                    np.expm1(logs).clip(-1, FAR),
                ],
                np.multiply.outer((-np.inf, np.inf), np.ones(self.n_columns_)),
            )
        return low, high

    def _warn_of_extremes(self, flat):
        """Name columns with cells that are read as if they were nearer."""
        low, high = self._ends()
        with np.errstate(over="ignore"):
            least, most = ((end - self.center_) / self.scale_ for end in (self.minimum_, self.maximum_))
        order = np.arange(self.n_columns_) if self._order is None else self._order
        found = []
        for j in np.flatnonzero((least < low) | (most > high)):
            values = flat[:, order[j]]
            with np.errstate(over="ignore"):
                x = (values - self.center_[j]) / self.scale_[j]
            extreme = values[(x < low[j]) | (x > high[j])]
            found.append(f"{self._name(order[j])}: {len(extreme)}, such as {extreme[0]:g}")
        if found:
            more = f"; and {len(found) - MAX_NAMED} more columns" if len(found) > MAX_NAMED else ""
            warnings.warn(
                f"X holds values further than {REACH:g} standard deviations or {FAR:.0e} times from the middle of their "
                "columns, which the model reads as lying there; number of cells by column: "
                f"{'; '.join(found[:MAX_NAMED])}{more}. If they mark missing cells, replace them by NaN.",
                ExtremeValueWarning,
                stacklevel=2,
            )

    def _by_column(self, fact):
        """What a function says of each group's kind and number of levels, for each of its columns."""
        return np.concatenate([np.full(g.stop - g.start, fact(LIKELIHOODS[g.kind].kind, g.n_levels)) for g in self.groups_])

    def _grouped(self, values):
        """Columns of X, on the last axis, in the order of the matrix."""
        return values if self._order is None else values[..., self._order]

    def widened(self, values: np.ndarray | Columns) -> "TablePreprocessor":
        """The same table with the range of more rows: what comes back may lie in either."""
        flat = _flat(values)
        low, high = map(self._grouped, ranges(flat))
        known = ~np.isnan(self.minimum_)  # a column that had no value in the fit is not part of the model
        wider = copy.copy(self)
        wider.minimum_ = np.where(known, np.fmin(self.minimum_, low), np.nan)
        wider.maximum_ = np.where(known, np.fmax(self.maximum_, high), np.nan)
        return wider

    def ungrouped(self, values: np.ndarray) -> np.ndarray:
        """Columns of the matrix, on the last axis, in the order of X: the opposite of how groups order them."""
        if self._order is None:
            return values
        given = np.empty_like(values)
        given[..., self._order] = values
        return given

    def encode(self, values: np.ndarray | Columns) -> PreparedRows:
        """Float array as `Schema.read` and validation give it -> `PreparedRows`."""
        flat = _flat(values)
        arrays = {"x": np.empty(flat.shape, np.float32)}
        step = max(1, BLOCK_CELLS // self.n_columns_)
        for start in range(0, len(flat), step):
            self._encode_block(flat, slice(start, start + step), arrays)
        return PreparedRows(**arrays)

    def _is_open(self):
        """(n_columns,): columns that are standardised and may hold any number."""
        return self._by_column(lambda kind, n_levels: kind.scaling == "standard" and not kind.is_bounded)

    @property
    def coding(self) -> dict[str, np.ndarray]:
        """What `encode` knows of the columns of the matrix, for another way to do the same: arrays (n_columns_,) by name."""
        return {
            "order": np.arange(self.n_columns_) if self._order is None else self._order,
            "center": self.center_,
            "scale": self.scale_,
            "low": self._low,
            "high": self._high,
            "filler": self._filler,
            "is_open": self._is_open(),
            "is_whole": self._is_code,
            "is_unknown": np.isnan(self.minimum_),
        }

    def _encode_block(self, flat, rows, arrays):
        """Write some rows, in double precision, into what is encoded so far."""
        with np.errstate(over="ignore"):
            x = np.subtract(self._grouped(flat[rows]), self.center_)
            x /= self.scale_
        far = np.abs(x) > REACH
        if far.any():  # which no cell of ordinary columns is
            far &= self._is_open()
        size = np.minimum(np.abs(x[far]), FLOATS.max) / REACH
        np.clip(x, self._low, self._high, out=x)
        x[far] = np.sign(x[far]) * (REACH + np.log(size))  # still in their order
        if self._is_code.any():
            x[:, self._is_code] = np.rint(x[:, self._is_code])
        arrays["x"][rows] = x
        missing = np.isnan(x) | np.isnan(self.minimum_)  # a value where the fit saw none says nothing either
        if missing.any():
            if "observed" not in arrays:
                arrays["observed"] = np.ones_like(arrays["x"])
            arrays["observed"][rows] = ~missing
            arrays["x"][rows] = np.where(missing, self._filler, arrays["x"][rows])

    def learn_quantiles(self, rows: PreparedRows, weight: np.ndarray) -> None:
        """Learn the quantiles of the columns of numbers from encoded rows and weights, (n,); not of images and wide tables."""
        if self.image_shape_ or self.n_columns_ > MAX_QUANTILE_COLUMNS:
            return
        for g in self.groups_:
            if LIKELIHOODS[g.kind].kind.is_code:
                continue
            for j in range(g.start, g.stop):
                known = slice(None) if rows.observed is None else rows.observed[:, j] > 0
                x, of_x = rows.x[known, j], weight[known]
                if len(x):
                    shares = np.linspace(0, 1, N_QUANTILES)
                    self.quantiles_[j] = np.quantile(x, shares, weights=of_x, method="inverted_cdf")

    def indicators(self, x: np.ndarray) -> np.ndarray:
        """Encoded rows for a distance: as `x`, but categories as one column of zeros and ones for each level."""
        blocks = []
        for g in self.groups_:
            block = x[:, g.start : g.stop]
            if is_unordered(g):
                block = np.eye(g.n_levels, dtype=np.float32)[block.astype(int)].reshape(len(x), -1)
            blocks.append(block)
        return np.concatenate(blocks, axis=1)

    def features(self, x: np.ndarray) -> np.ndarray:
        """`indicators`, with counts and log-normal numbers on their logarithmic scale, as encoders read them."""
        x = np.array(x, np.float32)
        for g in self.groups_:
            columns, scaling = slice(g.start, g.stop), LIKELIHOODS[g.kind].kind.scaling
            if scaling in ("log", "log1p"):
                logs = np.log1p(x[:, columns]) if scaling == "log1p" else np.log(x[:, columns])
                x[:, columns] = (logs - self.link_center_[columns]) / self.link_scale_[columns]
        return self.indicators(x)

    def farthest(self, rows: PreparedRows) -> tuple[str, float] | None:
        """Of encoded rows, the column of numbers with the value farthest from its centre, and how far it is; of images None."""
        far = np.where(self._is_code, 0.0, np.abs(rows.x).max(axis=0, initial=0.0))
        if self.image_shape_ or not far.any():
            return None
        j = int(far.argmax())
        return self._name(j if self._order is None else int(self._order[j])), float(far[j])

    def views(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Encoded rows in the scales in which they may be compared: `indicators`, and numbers in their own units."""
        views = {"scaled": self.features(x)}
        if not self.image_shape_ and not self._is_code.any():
            unscaled = x * np.ldexp(self.scale_, -np.frexp(self.scale_.max())[1]).astype(np.float32)
            spread = np.sqrt(np.square(unscaled).sum(axis=1).mean())
            views["unscaled"] = unscaled / max(spread, 1e-12)
        return views

    # The way back

    def decode(self, x: np.ndarray, index: pd.Index | None = None) -> object:
        """Matrix -> X in the user's container, columns, dtypes, units and ranges; of the rows of `index`, if any."""
        return self.schema_.write(self.numbers(x).reshape(-1, *self.row_shape_), index)

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """Matrix -> numbers in the user's units, as `Schema.read` gives them."""
        flat = np.array(x, float)
        with np.errstate(over="ignore"):
            far = np.abs(flat) > REACH
            if far.any():
                far &= self._is_open()  # as `encode` has drawn them in
                flat[far] = np.sign(flat[far]) * REACH * np.exp(np.abs(flat[far]) - REACH)
            flat *= self.scale_
            flat += self.center_
        flat = np.fmax(np.fmin(flat, self.maximum_), self.minimum_)
        flat[:, np.isnan(self.minimum_)] = np.nan  # of a column without a value nothing is known
        return self.ungrouped(flat)


def _flat(values):
    """Images as rows; columns as they are."""
    return values if isinstance(values, Columns) else values.reshape(len(values), -1)


def _is_grey(values, center, scale):
    with np.errstate(over="ignore"):
        values = (values - center) / scale
    return not (np.isnan(values) | np.isin(values, (0.0, 1.0))).all()


def _listed(*names):
    """'a', 'b' or 'c'."""
    return " or ".join(filter(None, (", ".join(map(repr, names[:-1])), repr(names[-1]))))
