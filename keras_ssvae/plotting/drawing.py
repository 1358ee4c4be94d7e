"""What the displays draw with: colours, planes, mosaics of images, columns of tables."""

from math import isqrt

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

__all__ = [
    "colors",
    "draw_mosaic",
    "image_shape_of",
    "images_of",
    "mean_and_scale",
    "numeric_columns",
    "plane",
    "values_of",
]

SMALLEST_GUESSED_SIDE = 8  # 4, 9, 16 … numbers are more often a row of a table than an image


def colors(n):
    """n colours that can be told apart: a qualitative map as far as it goes, then a rainbow."""
    from matplotlib import colormaps

    if n <= 10:
        return colormaps["tab10"].colors[:n]
    if n <= 20:
        return colormaps["tab20"].colors[:n]
    return colormaps["turbo"](np.linspace(0, 1, n))


def plane(Z):
    """Z (n, latent_dim) -> positions (n, 2) and the names of the two axes."""
    if Z.shape[1] == 1:
        return np.column_stack([Z[:, 0], np.zeros(len(Z))]), ("z0", "")
    if Z.shape[1] == 2:
        return Z, ("z0", "z1")
    pca = PCA(n_components=2).fit(Z)
    shares = enumerate(pca.explained_variance_ratio_, 1)
    return pca.transform(Z), tuple(f"principal component {i} ({share:.0%} of the variance)" for i, share in shares)


def image_shape_of(X, image_shape):
    """The shape of a row of X as an image, or None for a table."""
    shape = np.shape(X)[1:]
    if image_shape is None:
        return None
    if not isinstance(image_shape, str):
        if np.prod(image_shape) != np.prod(shape):
            raise ValueError(f"image_shape={image_shape!r} does not fit rows of shape {shape}.")
        return tuple(image_shape)
    if image_shape != "auto":
        raise ValueError(f'image_shape must be a tuple of int, None or "auto", got {image_shape!r}.')
    if len(shape) > 1:
        return shape
    side = isqrt(shape[0])
    if isinstance(X, pd.DataFrame) or side**2 != shape[0] or side < SMALLEST_GUESSED_SIDE:
        return None
    return side, side


def images_of(X, shape):
    """X -> (n, height, width) or (n, height, width, channels)."""
    images = np.asarray(X, dtype=float).reshape(-1, *shape)
    return images[..., 0] if images.shape[3:] == (1,) else images


def draw_mosaic(ax, rows, names, pixels_of):
    """Draw rows of images as one image, the pixels scaled by the range of `pixels_of`, with a name for each row."""
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


def numeric_columns(X):
    """The names of the numeric columns of a table."""
    columns = list(X.select_dtypes("number")) if isinstance(X, pd.DataFrame) else list(range(np.shape(X)[1]))
    if not columns:
        raise ValueError("The table must have a numeric column to be drawn, got none.")
    return columns


def values_of(X, columns):
    """The values of some columns: (n, len(columns))."""
    if isinstance(X, pd.DataFrame):
        return X[columns].to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(X, dtype=float)


def mean_and_scale(values):
    """Mean and standard deviation of each column, 1 for a column that does not vary."""
    scale = np.nanstd(values, axis=0)
    return np.nanmean(values, axis=0), np.where(scale > 0, scale, 1.0)
