"""What a network is taught about the classes of rows: what experts say, and what it has found itself."""

import numpy as np
from scipy.special import log_softmax, softmax

__all__ = []

OWN_WEIGHT = 0.5  # of log q(y | x), beside the experts' 1
WRONG_LABELS = 0.02  # share of labels that are taken to be wrong


def taught(advice: np.ndarray, log_q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log of what rows are taught, (n, n_classes): the experts' opinion `advice` and the network's, `log_q`, together.

    The network's is made as certain as the experts' on average, whose certainty left-out labels have confirmed, and so is
    what comes back. A labelled row (`y` is its class index, negative elsewhere) is taught its label, unless the experts, who
    were not shown it, are very sure that it is wrong. Rows of zeros in `advice` are rows of which no expert was asked; they
    stay so.
    """
    n_classes, asked = advice.shape[1], advice.any(axis=1)
    if not asked.any():
        return advice
    certainty = np.exp(advice[asked].max(axis=1)).mean()
    joint = _as_certain(advice + OWN_WEIGHT * _as_certain(log_q, asked, certainty), asked, certainty)
    is_label = np.eye(n_classes, dtype=bool)[y]
    log_label = np.where(is_label, np.log1p(-WRONG_LABELS), np.log(WRONG_LABELS / max(1, n_classes - 1)))
    told = np.where(y[:, None] >= 0, log_softmax(advice + log_label, axis=1), joint)
    return np.where(asked[:, None], told, 0.0).astype(np.float32)


def _as_certain(log_p, asked, certainty):
    """A power of posteriors of which the largest probability is `certainty` on average over the rows asked."""
    low, high = np.log(1e-3), np.log(1e2)
    for _ in range(30):
        middle = (low + high) / 2
        mean = softmax(np.exp(middle) * log_p[asked], axis=1).max(axis=1).mean()
        low, high = (low, middle) if mean > certainty else (middle, high)
    return log_softmax(np.exp(low) * log_p, axis=1)
