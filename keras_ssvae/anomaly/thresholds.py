"""From which score on a row counts as an anomaly, and how sure that is."""

import numpy as np
import scipy.special
import scipy.stats

from keras_ssvae.anomaly.scaling import SMALLEST, TO_DEVIATIONS

__all__ = []

FENCE = 1.5  # quartile ranges above the upper quartile
FEWEST_KNOWN = 3  # known anomalies that can say where the threshold is


def automatic_threshold(scores: np.ndarray, known: np.ndarray | None = None) -> float:
    """A threshold for scores of rows that are mostly normal, (n,).

    With enough scores of known anomalies, (k,), that took no part in what gave them, the one of the largest r^2 / P, where r is
    the share of these at or above it, and P that of all rows: it stands for the F-score where no negative is known (W. S. Lee,
    B. Liu 2003, "Learning with Positive and Unlabeled Examples Using Weighted Logistic Regression", section 3). Without, the
    upper fence of J. W. Tukey (1977), "Exploratory Data Analysis": 1.5 quartile ranges above the upper quartile.
    """
    if known is None or len(known) < FEWEST_KNOWN:
        low, high = np.quantile(scores, (0.25, 0.75))
        return float(high + FENCE * (high - low))
    candidates, everything = np.sort(known), np.sort(np.concatenate([scores, known]))
    recall = 1 - np.searchsorted(candidates, candidates, "left") / len(candidates)
    share = 1 - np.searchsorted(everything, candidates, "left") / len(everything)
    best = candidates[np.argmax(np.square(recall) / share)]
    below = everything[: np.searchsorted(everything, best, "left")]
    return float((best + below[-1]) / 2) if len(below) else float(best)


def slope_of(scores: np.ndarray) -> float:
    """How much score makes a probability e times as likely: the robust standard deviation of ordinary rows."""
    low, high = np.quantile(scores, (0.25, 0.75))
    return float(max((high - low) / TO_DEVIATIONS, SMALLEST))


def probability(scores: np.ndarray, threshold: float, slope: float) -> np.ndarray:
    """Of being an anomaly: one half at the threshold, (n,)."""
    return scipy.special.expit((scores - threshold) / slope)


def confidence(scores: np.ndarray, training: np.ndarray, threshold: float) -> np.ndarray:
    """How probable it is that another draw of the training rows would decide alike, (n,).

    From how many of the training scores, (m,), a score exceeds (L. Perini et al. 2020, "Quantifying the Confidence of Anomaly
    Detectors in Their Example-Wise Predictions", doi 10.1007/978-3-030-67664-3_14, eq. 3).
    """
    n, ordered = len(training), np.sort(training)
    below = (1 + np.searchsorted(ordered, scores, "right")) / (n + 2)
    n_normal = int(np.searchsorted(ordered, threshold, "left"))
    strange = 1 - scipy.stats.binom.cdf(n_normal - 1, n, below)
    return np.where(scores > threshold, strange, 1 - strange)
