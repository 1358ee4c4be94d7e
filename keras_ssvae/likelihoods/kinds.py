"""What is known of a kind of column besides its distribution, and columns of one kind side by side."""

import dataclasses
import math

import numpy as np

from keras_ssvae.registry import register, require

__all__ = ["ColumnGroup", "ColumnKind"]

FAR = 1e15  # of encoded values: their squares are finite
SMALLEST = math.ulp(0.0)  # above zero
GRID_LEVELS = 256  # of values on a grid


@dataclasses.dataclass(frozen=True)
class ColumnKind:
    """The facts about a kind of column that stand in the body of its likelihood; its name is a key of `LIKELIHOODS`.

    Attributes
    ----------
    support : tuple (low, high), default=(-1e15, 1e15)
        Range of the encoded values, into which all are put; of codes, up to the last level.
    accepts : str, default=""
        What the values of a user's column must be, in words; "" is any number.
    within : tuple (low, high), default=(-inf, inf)
        The same as a range with both its ends.
    is_whole : bool, default=False
        Whether these values, and the encoded ones, are whole numbers.
    scaling : {"standard", "none", "two values", "log", "log1p", "lowest"}, default="standard"
        How a column of a table is encoded, see `keras_ssvae.data.column_kinds.scale_column`.
    levels : {None, "column", "grid"}, default=None
        Whose levels the encoded values are: codes of the column's own, or points of one grid for all; None where any number
        may come.
    is_ordered : bool, default=True
        Whether the order of the values means something.
    for_images : bool, default=False
        Whether images may have it. Their pixels are standardised together if the support has no end, else their range is put
        into the unit interval.
    is_drawn : bool, default=False
        Whether a mean is no value: what stands for a column has to be drawn.
    by_name : bool, default=True
        Whether a user may ask for it; else it is only ever chosen from the values.
    """

    support: tuple[float, float] = (-FAR, FAR)
    accepts: str = ""
    within: tuple[float, float] = (-math.inf, math.inf)
    is_whole: bool = False
    scaling: str = "standard"
    levels: str | None = None
    is_ordered: bool = True
    for_images: bool = False
    is_drawn: bool = False
    by_name: bool = True

    @property
    def is_bounded(self) -> bool:
        """Whether the support has an end."""
        return self.support != (-FAR, FAR)

    @property
    def is_code(self) -> bool:
        """Whether values are codes of the column's own levels, so that a mixture of two values is none."""
        return self.levels == "column"

    @property
    def filler(self) -> float:
        """What stands in a missing cell: nobody reads it, but its logarithm must be a number where values are positive."""
        low, high = self.support
        return float(np.clip(low > 0, low, high))

    def admits(self, values: np.ndarray) -> bool:
        """Whether all values of a user's column, at least one and none missing, are such as it accepts."""
        low, high = self.within
        is_inside = low <= float(values.min()) and float(values.max()) <= high  # in single precision `SMALLEST` would be zero
        return is_inside and not (self.is_whole and bool((values % 1).any()))

    def group_levels(self, n_levels: int) -> int:
        """Levels of the columns of a group: those of the column for codes, of the grid for its points, 0 for other kinds."""
        return n_levels if self.is_code else GRID_LEVELS if self.levels == "grid" else 0


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

    def _check_loaded(self):
        numbers = (self.start, self.stop, self.n_levels)
        require(all(type(n) is int for n in numbers), "a group of columns has no numbers of columns")
        require(0 <= self.start < self.stop and self.n_levels >= 0, "a group of columns has impossible numbers of columns")
