"""Whether rows without a label come from where those with one come from."""

import warnings

import numpy as np

from keras_ssvae.evidence.domains import N_ERRORS, distances
from keras_ssvae.evidence.rows import KnownRows

__all__ = ["UnlabeledShiftWarning"]

TINY = 1e-12
FAR = 1.2  # distance from which it is said: a line tells four of five rows


class UnlabeledShiftWarning(UserWarning):
    """Rows without a label are unlike those with one, so that what they say may mislead."""


def distance_of_unlabeled(known: KnownRows) -> float:
    """How far rows without a label are proved to lie from those with one, from 0 to 2; NaN where there is none of either.

    It is the proxy A-distance of `keras_ssvae.evidence.domains.distances`, less what may be chance, in all columns but the one
    whose means differ most: a date or a running number tells whether rows came later, which need not mean anything.
    """
    unlabeled = (known.y < 0).astype(int)
    if not 0 < unlabeled.sum() < len(unlabeled):
        return np.nan
    x = known.x
    if x.shape[1] > 1:
        difference = np.abs(x[unlabeled == 1].mean(axis=0) - x[unlabeled == 0].mean(axis=0))
        x = np.delete(x, np.argmax(difference / np.maximum(x.std(axis=0), TINY)), axis=1)
    apart, error = distances(x, unlabeled, 2)
    return float(max(0.0, apart[0, 1] - N_ERRORS * error[0, 1]))


def warn_of_shift(distance: float) -> None:
    """Say so where rows without a label lie far away."""
    if distance > FAR:
        warnings.warn(
            f"Rows without a label are unlike those with one (proxy A-distance at least {distance:.1f} of 2), so "
            "that what they say may mislead. Compare with a fit of the labelled rows alone; where some rows come from "
            "elsewhere, say so by `domain`.",
            UnlabeledShiftWarning,
            stacklevel=2,
        )
