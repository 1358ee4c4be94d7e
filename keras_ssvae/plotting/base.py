"""What all displays share: data in the constructor, drawing in ``plot``, and matplotlib imported only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Display"]


class Display:
    """What all displays share.

    To add a display, store what is drawn in ``__init__``, draw it in ``_draw(ax)``, and collect it in a classmethod
    ``from_estimator`` that returns the display plotted.
    """

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        Display
            This display; ``ax_`` and ``figure_`` are what was drawn on, its other attributes what was drawn.
        """
        self.ax_ = self._new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self

    def _new_axes(self):
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError('Displays need matplotlib: pip install "keras_ssvae[plots]"') from error
        return plt.subplots(figsize=self._figsize(), layout="constrained")[1]

    def _draw(self, ax):
        raise TypeError(f"{type(self).__name__} defines no _draw")

    def _figsize(self):
        return None
