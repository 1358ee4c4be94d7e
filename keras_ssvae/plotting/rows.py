"""Rows that a model reconstructs or makes up: images above each other, or lines over the columns of a table."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from keras_ssvae.model_selection import Seed
from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.drawing import colors, draw_mosaic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReconstructionDisplay", "SamplesDisplay"]

ImageShape = tuple[int, ...] | Literal["auto"] | None
SMALLEST_GUESSED_SIDE = 8  # 4, 9, 16 … numbers are more often a row of a table than an image


class _RowsDisplay(Display):
    """Groups of rows: a mosaic with a line of images for each group, or lines over the columns of a table.

    Subclasses define ``_groups()``, name -> rows; ``_reference(groups)``, the values that set the scale of all; and
    ``_draw_lines(ax, columns, tables, names)``.
    """

    def _figsize(self):
        groups = list(self._groups().values())
        if _image_shape_of(groups[0], self.image_shape) is None:
            return None
        return max(2.0, 0.7 * len(groups[0])) + 1.2, max(1.0, 0.7 * len(groups)) + 0.2  # inches

    def _draw(self, ax):
        names, groups = zip(*self._groups().items())
        shape = _image_shape_of(groups[0], self.image_shape)
        if shape is not None:
            images = [_images_of(X, shape) for X in groups]
            draw_mosaic(ax, images, names, pixels_of=self._reference(images))
            return
        columns = _numeric_columns(groups[0])
        tables = [_values_of(X, columns) for X in groups]
        reference = self._reference(tables)
        mean, scale = np.nanmean(reference, axis=0), np.nanstd(reference, axis=0)
        scale = np.where(scale > 0, scale, 1.0)  # a column may not vary
        self._draw_lines(ax, [str(column) for column in columns], [(values - mean) / scale for values in tables], names)
        ax.set(xlabel="column", ylabel="standardized value")
        ax.tick_params(axis="x", rotation=90)
        if ax.get_legend_handles_labels()[0]:
            ax.legend()


class ReconstructionDisplay(_RowsDisplay):
    """Some rows and the model's version of them: images above each other, rows of a table as lines.

    The lines of a table go over its numeric columns, in units of the standard deviation of `original`; the original is drawn
    solid, the reconstruction dashed.

    Parameters
    ----------
    original : array or DataFrame
        The rows.
    reconstruction : array or DataFrame
        The model's version of them.
    image_shape : tuple of int, None or "auto", default="auto"
        Shape of a row as an image, (height, width) or (height, width, channels); None for a table. "auto": arrays of more than
        two dimensions are images; rows of k * k numbers are images of k by k pixels if k is at least 8; all else, and any
        DataFrame, is a table.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the rows, or a table has no numeric column.

    Examples
    --------
    >>> import numpy as np
    >>> display = ReconstructionDisplay(np.zeros((3, 8, 8)), np.ones((3, 8, 8))).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['original', 'reconstruction']
    """

    def __init__(self, original: ArrayLike, reconstruction: ArrayLike, *, image_shape: ImageShape = "auto") -> None:
        self.original = original
        self.reconstruction = reconstruction
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: np.ndarray | pd.DataFrame, *, n_rows: int = 8, image_shape: ImageShape = "auto",
        ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Draw the first rows of `X` as a fitted estimator reconstructs them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``reconstruct``.
        X : array or DataFrame
            The rows, in the form the estimator was fitted on.
        n_rows : int, default=8
            How many of them to draw.
        image_shape, ax : as in the class and in `plot`
        """
        original = X[:n_rows]
        return cls(original, estimator.reconstruct(original), image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        return {"original": self.original, "reconstruction": self.reconstruction}

    def _reference(self, groups):
        return groups[0]

    def _draw_lines(self, ax, columns, tables, names):
        for values, name, linestyle in zip(tables, names, ["-", "--"]):
            for row, (x, color) in enumerate(zip(values, colors(len(values)))):
                ax.plot(columns, x, color=color, linestyle=linestyle, label=name if row == 0 else None)


class SamplesDisplay(_RowsDisplay):
    """What a model makes up: a row of samples for each class.

    Samples of a table are lines over its numeric columns, in units of the standard deviation of all samples, a colour for each
    class.

    Parameters
    ----------
    samples : dict of label to array or DataFrame
        The samples of each class, as many for each.
    image_shape : as in `ReconstructionDisplay`
        Shape of a sample as an image.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the samples, or a table has no numeric column.

    Examples
    --------
    >>> import numpy as np
    >>> display = SamplesDisplay({"cat": np.zeros((3, 8, 8)), "dog": np.ones((3, 8, 8))}).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['cat', 'dog']
    """

    def __init__(self, samples: dict[Any, ArrayLike], *, image_shape: ImageShape = "auto") -> None:
        self.samples = samples
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, n_per_class: int = 8, random_state: Seed = 0, image_shape: ImageShape = "auto",
        ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Draw samples from a fitted estimator, for each of its ``classes_``, or of no class if it has none.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``sample``.
        n_per_class : int, default=8
            Number of samples for each class.
        random_state : int, RandomState instance or None, default=0
            Handed to ``sample`` for each class.
        image_shape, ax : as in the class and in `plot`
        """
        classes = getattr(estimator, "classes_", None)
        labels = [None] if classes is None or len(classes) == 0 else list(classes)
        samples = {label: estimator.sample(n_per_class, y=label, random_state=random_state)[0] for label in labels}
        return cls(samples, image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        return {"" if label is None else str(label): X for label, X in self.samples.items()}

    def _reference(self, groups):
        return np.concatenate(groups)

    def _draw_lines(self, ax, columns, tables, names):
        for values, name, color in zip(tables, names, colors(len(tables))):
            lines = ax.plot(columns, values.T, color=color, linewidth=1)
            lines[0].set_label(name or None)


def _image_shape_of(X, image_shape):
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


def _images_of(X, shape):
    """X -> (n, height, width) or (n, height, width, channels)."""
    images = np.asarray(X, dtype=float).reshape(-1, *shape)
    return images[..., 0] if images.shape[3:] == (1,) else images


def _numeric_columns(X):
    """The names of the numeric columns of a table."""
    columns = list(X.select_dtypes("number")) if isinstance(X, pd.DataFrame) else list(range(np.shape(X)[1]))
    if not columns:
        raise ValueError("The table must have a numeric column to be drawn, got none.")
    return columns


def _values_of(X, columns):
    """The values of some columns: (n, len(columns))."""
    if isinstance(X, pd.DataFrame):
        return X[columns].to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(X, dtype=float)
