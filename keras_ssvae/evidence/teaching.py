"""What a network is taught about the classes of rows: what experts say, and what it has found itself."""

import numpy as np
from scipy.special import log_softmax, softmax

__all__ = []

OWN_DOUBT = 0.02  # of q(y | x) is spread evenly: a network may be sure beyond measure, and wrong
OWN_WEIGHT = 0.5  # of log q(y | x), beside the experts' 1


def taught(advice: np.ndarray, log_q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log of what rows are taught, (n, n_classes): the experts' opinion `advice` and the network's, `log_q`, together.

    The network's is made as certain as the experts' on average, whose certainty left-out labels have confirmed, and surer of no
    row than they may be; and so is what comes back. Labelled rows (`y` is their class index, negative elsewhere) are taught
    what is known of their label, and rows of zeros in `advice`, of which no expert was asked, stay so.
    """
    told = advice.any(axis=1) & (y < 0)
    if not told.any():
        return advice
    said, own = advice[told].astype(np.float64), log_q[told].astype(np.float64)  # so that no sum depends on the rows' order
    certainty = np.exp(said.max(axis=1)).mean()
    own = np.log((1 - OWN_DOUBT) * np.exp(_as_certain(own, certainty)) + OWN_DOUBT / own.shape[1])
    joint = _as_certain(said + OWN_WEIGHT * own, certainty)
    advice = advice.copy()
    advice[told] = joint
    return advice


def _as_certain(log_p, certainty):
    """A power of posteriors of which the largest probability is `certainty` on average."""
    low, high = np.log(1e-3), np.log(1e2)
    for _ in range(30):
        middle = (low + high) / 2
        mean = softmax(np.exp(middle) * log_p, axis=1).max(axis=1).mean()
        low, high = (low, middle) if mean > certainty else (middle, high)
    return log_softmax(np.exp(low) * log_p, axis=1)
