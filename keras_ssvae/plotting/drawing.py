"""What several displays draw with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = []


def colors(n: int) -> Iterable[ArrayLike]:
    """n colours that can be told apart: a qualitative map as far as it goes, then a rainbow."""
    from matplotlib import color_sequences, colormaps

    if n <= 20:
        return color_sequences["tab10" if n <= 10 else "tab20"][:n]
    return colormaps["turbo"](np.linspace(0, 1, n))


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
