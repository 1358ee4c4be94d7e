"""A support vector classifier that can tell how sure it is of each class, however few labels there are."""

import numpy as np
from sklearn.svm import SVC

from keras_ssvae.registry import register

__all__ = ["SoftmaxSVC"]


@register
class SoftmaxSVC(SVC):
    """A support vector classifier with probabilities that need no held-out labels: softmax of twice its one-vs-rest decisions.

    They are not calibrated, but they order rows as the decisions do, which is what self-training asks for.
    """

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Softmax of the decisions on rows (n, d): (n, n_classes)."""
        decision = self.decision_function(X)
        if decision.ndim == 1:
            decision = 0.5 * np.column_stack([-decision, decision])
        odds = np.exp(2.0 * (decision - decision.max(axis=1, keepdims=True)))
        return odds / odds.sum(axis=1, keepdims=True)
