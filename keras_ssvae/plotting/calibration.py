"""Whether a probability is what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta
from sklearn.base import BaseEstimator

from keras_ssvae.data.labels import is_unlabeled
from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.drawing import GIVEN, MADE, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CalibrationDisplay"]


class CalibrationDisplay(Display):
    """How often predictions are right, by how sure the model is: groups of equally many rows, within bands of 95 %.

    On the dotted diagonal a probability is what it says; below it the model is too sure.

    Parameters
    ----------
    confidence : array of shape (n_samples,)
        The probability of the predicted class.
    correct : bool array of shape (n_samples,)
        Whether the prediction was right.
    n_bins : int, default=10
        Number of groups.

    Attributes
    ----------
    line_ : matplotlib Line2D
        Share of right predictions over the mean confidence of each group.
    band_ : matplotlib PolyCollection
        Jeffreys intervals of the shares.
    expected_calibration_error_ : float
        Mean distance of the line from the diagonal.

    Examples
    --------
    >>> display = CalibrationDisplay([0.5, 0.5, 0.9, 0.9], [True, False, True, True], n_bins=2).plot()
    >>> round(display.expected_calibration_error_, 3)
    0.05
    """

    def __init__(self, confidence: ArrayLike, correct: ArrayLike, *, n_bins: int = 10) -> None:
        self.confidence = confidence
        self.correct = correct
        self.n_bins = n_bins

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike, *, n_bins: int = 10, ax: Axes | None = None
    ) -> Self:
        """Compare the probabilities of a fitted classifier with labels.

        Parameters
        ----------
        estimator : classifier
            A fitted estimator with ``predict_proba`` and ``classes_``.
        X, y : array-likes of n_samples rows and labels
            Rows that it was not fitted to; unlabelled ones are left out.
        n_bins, ax : as in the class and in `plot`

        Raises
        ------
        ValueError
            If no row has a label.
        """
        known = np.flatnonzero(~np.asarray(is_unlabeled(y, getattr(estimator, "unlabeled", -1))))
        if not len(known):
            raise ValueError("y must have labels to compare probabilities with; it has none.")
        shares = estimator.predict_proba(X)[known]
        predicted = np.asarray(estimator.classes_)[shares.argmax(axis=1)]
        correct = [str(label) == str(guess) for label, guess in zip(np.asarray(y, dtype=object)[known], predicted)]
        return cls(shares.max(axis=1), correct, n_bins=n_bins).plot(ax=ax)

    def _figsize(self):
        return 5.2, 3.6

    def _draw(self, ax):
        order = np.argsort(self.confidence, kind="stable")
        groups = [rows for rows in np.array_split(order, self.n_bins) if len(rows)]
        confidence, correct = np.asarray(self.confidence, dtype=float), np.asarray(self.correct, dtype=float)
        sizes = np.array([len(rows) for rows in groups])
        x, right = (np.array([values[rows].mean() for rows in groups]) for values in (confidence, correct))
        low, high = beta.ppf([[0.025], [0.975]], right * sizes + 0.5, (1 - right) * sizes + 0.5)
        self.expected_calibration_error_ = float(np.sum(sizes / sizes.sum() * np.abs(right - x)))
        self.band_ = ax.fill_between(x, low, high, color=MADE, alpha=0.2, linewidth=0, label="95 % interval")
        (self.line_,) = ax.plot(x, right, marker="o", color=MADE, label="right predictions")
        ax.plot([0, 1], [0, 1], color=GIVEN, linestyle=":", label="perfect")
        start = max(0.0, min(x.min(), low.min()) - 0.05)
        title = f"expected calibration error {self.expected_calibration_error_:.3f}, {sizes.sum()} rows"
        ax.set(
            xlim=(start, 1.01),
            ylim=(start, 1.01),
            xlabel="probability of the predicted class",
            ylabel="share of right predictions",
        )
        ax.set_title(title, fontsize="medium")
        legend_beside(ax)
