"""Rows that a model reconstructs or makes up: images above each other, or the columns of a table side by side."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from keras_ssvae.model_selection import Seed
from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.columns import as_table, draw_agreement, draw_spread, shown
from keras_ssvae.plotting.drawing import GIVEN, MADE, N_BESIDE, colors, draw_mosaic, legend_beside, panels, panels_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReconstructionDisplay", "SamplesDisplay"]

ImageShape = tuple[int, ...] | Literal["auto"] | None
N_IMAGES, N_TABLE_ROWS = 8, 500
GIVEN_NAME = "given rows"
SMALLEST_GUESSED_SIDE = 8  # 4, 9, 16 … numbers are more often a row of a table than an image


class _RowsDisplay(Display):
    """Groups of rows: a mosaic with a line of images for each group, or a panel for each column of a table.

    Subclasses define ``_groups()``, name -> rows; ``_reference(groups)``, the values that set the scale of all images; and
    ``_draw_column(ax, columns)``, which draws a column, given by group.
    """

    def _figsize(self):
        groups = list(self._groups().values())
        if _image_shape_of(groups[0], self.image_shape) is None:
            return panels_size(len(shown(as_table(groups[0]).columns)))
        return max(2.0, 0.7 * len(groups[0])) + 1.2, max(1.0, 0.7 * len(groups)) + 0.2  # inches

    def _draw(self, ax):
        names, groups = zip(*self._groups().items())
        shape = _image_shape_of(groups[0], self.image_shape)
        self.axes_ = [ax]
        if shape is not None:
            images = [_images_of(X, shape) for X in groups]
            draw_mosaic(ax, images, names, pixels_of=self._reference(images))
            return
        tables = [as_table(X) for X in groups]
        columns = shown(tables[0].columns)
        self.axes_ = panels(ax, len(columns))
        for panel, column in zip(self.axes_, columns):
            self._draw_column(panel, {name: table[column] for name, table in zip(names, tables)})
            panel.set_title(str(column), fontsize="medium")
        legend_beside(self.axes_[:N_BESIDE][-1], of=self.axes_)
        if len(columns) < tables[0].shape[1]:
            ax.set_title(f"the first {len(columns)} of {tables[0].shape[1]} columns", pad=18)


class ReconstructionDisplay(_RowsDisplay):
    """Rows and the model's version of them: images above each other, a panel for each column of a table.

    Numbers and times of a table are points, the reconstruction over the original, so that a perfect one lies on the dotted
    diagonal; categories have bars, grey for the original.

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
        If `image_shape` does not fit the rows.

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
        cls, estimator: BaseEstimator, X: np.ndarray | pd.DataFrame, *, n_rows: int | None = None,
        image_shape: ImageShape = "auto", ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Draw the first rows of `X` as a fitted estimator reconstructs them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``reconstruct``.
        X : array or DataFrame
            The rows, in the form the estimator was fitted on.
        n_rows : int, default=None
            How many of them to draw. None is 8 images, or 500 rows of a table.
        image_shape, ax : as in the class and in `plot`
        """
        original = X[: _enough(X, n_rows, image_shape)]
        return cls(original, estimator.reconstruct(original), image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        return {"original": self.original, "reconstruction": self.reconstruction}

    def _reference(self, groups):
        return groups[0]

    def _draw_column(self, ax, columns):
        draw_agreement(ax, columns["original"], columns["reconstruction"], MADE, GIVEN)


class SamplesDisplay(_RowsDisplay):
    """What a model makes up: a line of images for each class, or a panel for each column of a table.

    Samples of a table are histograms of numbers and times and bars of categories, a colour for each class; `given` rows lie
    behind them in grey.

    Parameters
    ----------
    samples : dict of label to array or DataFrame
        The samples of each class, as many for each where they are images.
    given : array or DataFrame, default=None
        Rows of a table to compare with; not drawn beside images.
    image_shape : as in `ReconstructionDisplay`
        Shape of a sample as an image.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the samples.

    Examples
    --------
    >>> import numpy as np
    >>> display = SamplesDisplay({"cat": np.zeros((3, 8, 8)), "dog": np.ones((3, 8, 8))}).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['cat', 'dog']
    """

    def __init__(
        self, samples: dict[Any, ArrayLike], *, given: ArrayLike | None = None, image_shape: ImageShape = "auto"
    ) -> None:
        self.samples = samples
        self.given = given
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: ArrayLike | None = None, *, n_per_class: int | None = None, random_state: Seed = 0,
        image_shape: ImageShape = "auto", ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Draw samples from a fitted estimator, for each of its ``classes_``, or of no class if it has none.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``sample``.
        X : array or DataFrame, default=None
            Real rows of a table, to be drawn behind the samples.
        n_per_class : int, default=None
            Number of samples for each class. None is 8 images, or 500 rows of a table.
        random_state : int, RandomState instance or None, default=0
            Handed to ``sample`` for each class.
        image_shape, ax : as in the class and in `plot`
        """
        classes = getattr(estimator, "classes_", None)
        labels = [None] if classes is None or len(classes) == 0 else list(classes)
        first = estimator.sample(1, y=labels[0], random_state=random_state)[0]
        n = _enough(first, n_per_class, image_shape)
        samples = {label: estimator.sample(n, y=label, random_state=random_state)[0] for label in labels}
        return cls(samples, given=X, image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        groups = {"made up" if label is None else str(label): X for label, X in self.samples.items()}
        is_table = _image_shape_of(next(iter(groups.values())), self.image_shape) is None
        return {GIVEN_NAME: self.given, **groups} if is_table and self.given is not None else groups

    def _reference(self, groups):
        return np.concatenate(groups)

    def _draw_column(self, ax, columns):
        made = [name for name in columns if name != GIVEN_NAME]
        draw_spread(ax, columns, {GIVEN_NAME: GIVEN, **dict(zip(made, colors(len(made))))}, filled=[GIVEN_NAME])


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


def _enough(X, n, image_shape):
    """How many rows a picture shows."""
    if n is not None:
        return n
    return N_TABLE_ROWS if _image_shape_of(X, image_shape) is None else N_IMAGES
