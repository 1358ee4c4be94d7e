"""How strange rows are, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.drawing import GIVEN, MADE, PALETTE, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AnomalyExplanationDisplay", "AnomalyScoreDisplay"]

KINDS = {-1: ("unlabelled", GIVEN), 0: ("known normal", MADE), 1: ("known anomaly", PALETTE[5])}


class AnomalyScoreDisplay(Display):
    """Histogram of anomaly scores, by what is known of the rows, and the threshold.

    Parameters
    ----------
    scores : (n,) array
        Anomaly scores, higher = stranger.
    y : (n,) array, default=None
        -1 where nothing is known of a row, 0 of a normal row, 1 of an anomaly. None: of no row.
    threshold : float, default=None
        From where on a row counts as an anomaly; None draws none.
    """

    def __init__(self, scores: ArrayLike, y: ArrayLike | None = None, threshold: float | None = None) -> None:
        self.scores = np.asarray(scores)
        self.y = np.full(len(self.scores), -1) if y is None else np.asarray(y)
        self.threshold = threshold

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: ArrayLike | None = None, *, ax: Axes | None = None) -> Self:
        """Score rows and draw.

        Parameters
        ----------
        estimator : fitted estimator with `anomaly_score`
            The threshold is its ``threshold_``, if it has one.
        X, y : rows, and labels of -1, 0 and 1 or None
            What to score.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        """
        return cls(estimator.anomaly_score(X), y, getattr(estimator, "threshold_", None)).plot(ax=ax)

    def _draw(self, ax):
        bins = np.histogram_bin_edges(self.scores, bins=40)
        for label, (name, color) in KINDS.items():
            if (self.y == label).any():
                ax.hist(self.scores[self.y == label], bins=bins, alpha=0.6, density=True, color=color, label=name)
        if self.threshold is not None:
            ax.axvline(self.threshold, color="black", linestyle="--", label="threshold")
        ax.set(xlabel="anomaly score", ylabel="density")
        legend_beside(ax)


class AnomalyExplanationDisplay(Display):
    """Which columns make one row strange, as bars, the largest on top; of an image, where.

    Parameters
    ----------
    contributions : Series of (n_columns,), or array of the shape of an image
        What each column adds to the anomaly score.
    n_columns : int, default=10
        How many columns are shown, those of the largest contributions.
    """

    def __init__(self, contributions: pd.Series | np.ndarray, n_columns: int = 10) -> None:
        self.contributions = contributions
        self.n_columns = n_columns

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, n_columns: int = 10, ax: Axes | None = None) -> Self:
        """Explain a row and draw.

        Parameters
        ----------
        estimator : fitted AnomalyDetector
            What explains.
        X : rows
            The first is explained.
        n_columns : int, default=10
            As in the constructor.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        """
        explained = estimator.explain(X[:1])
        return cls(explained.iloc[0] if isinstance(explained, pd.DataFrame) else explained[0], n_columns).plot(ax=ax)

    def _draw(self, ax):
        if isinstance(self.contributions, pd.Series):
            shown = self.contributions.sort_values().tail(self.n_columns)
            ax.barh([str(name) for name in shown.index], shown.to_numpy(), color=MADE)
            ax.set(xlabel="contribution to the anomaly score")
            return
        values = self.contributions.sum(axis=2) if self.contributions.ndim == 3 else self.contributions
        largest = np.abs(values).max()
        image = ax.imshow(values, cmap="coolwarm", vmin=-largest, vmax=largest)
        ax.figure.colorbar(image, ax=ax, label="contribution to the anomaly score")
        ax.set(xticks=[], yticks=[])
