"""What several displays draw with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = []

# Told apart by colour-blind readers, too: seven of Okabe and Ito (2008), three of Tol's "muted" (2021). Grey and black are not
# among them: they always mean given rows, and all rows together.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#332288", "#882255", "#999933"]
GIVEN = "0.65"  # rows that were given, beside what the model makes of them
MADE = PALETTE[0]
N_BESIDE = 4  # panels side by side


def colors(n: int) -> Iterable[ArrayLike]:
    """n colours that can be told apart: `PALETTE` as far as it goes, then a rainbow."""
    from matplotlib import colormaps

    return PALETTE[:n] if n <= len(PALETTE) else colormaps["turbo"](np.linspace(0, 1, n))


def legend_beside(ax: Axes, of: Sequence[Axes] | None = None) -> None:
    """A legend to the right of the axes, never over what is drawn; in columns where it is long.

    Parameters
    ----------
    ax : Axes
        Where it stands.
    of : sequence of Axes, default=None
        What it names: all that these axes show, each name once. None is `ax` alone.
    """
    found = [pair for axes in of or [ax] for pair in zip(*axes.get_legend_handles_labels())]
    named = {name: handle for handle, name in reversed(found)}
    names = list(dict.fromkeys(name for _, name in found))
    if names:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0, "frameon": False}
        ax.legend([named[name] for name in names], names, ncols=1 + (len(names) - 1) // 16, **beside)


def panels(ax: Axes, n: int) -> list[Axes]:
    """n axes, side by side and below each other, in the place of one, which becomes invisible."""
    n_columns = min(n, N_BESIDE)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax must be a subplot, as of matplotlib.pyplot.subplots: several panels are drawn in its place.")
    grid = place.subgridspec(math.ceil(n / n_columns), n_columns)
    ax.set_axis_off()
    return [ax.figure.add_subplot(grid[k // n_columns, k % n_columns]) for k in range(n)]


def panels_size(n: int) -> tuple[float, float]:
    """Width and height in inches of a figure with n panels."""
    return 2.9 * min(n, N_BESIDE) + 1.2, 2.3 * math.ceil(n / N_BESIDE) + 0.4


def draw_mosaic(ax: Axes, rows: Sequence[np.ndarray], names: Sequence[str], pixels_of: np.ndarray) -> None:
    """Draw rows of images, (n, height, width[, channels]), with their names as one image; black and white are the smallest and
    the largest value of `pixels_of`."""
    low, high = np.nanmin(pixels_of), np.nanmax(pixels_of)
    tiles = np.clip((np.stack(rows) - low) / (high - low or 1.0), 0.0, 1.0)
    gap = [(0, 0), (0, 0), (0, 1), (0, 1)] + [(0, 0)] * (tiles.ndim - 4)
    tiles = np.pad(tiles, gap, constant_values=1.0)
    n_rows, n_columns, height, width = tiles.shape[:4]
    mosaic = tiles.swapaxes(1, 2).reshape(n_rows * height, n_columns * width, *tiles.shape[4:])
    ax.imshow(mosaic[:-1, :-1], cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks(np.arange(n_rows) * height + (height - 2) / 2, labels=names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
