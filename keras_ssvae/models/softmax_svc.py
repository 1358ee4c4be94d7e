"""A support vector classifier that can tell how sure it is of each class, however few labels there are."""

import numpy as np
from sklearn.svm import SVC

from keras_ssvae.registry import register

__all__ = ["SoftmaxSVC"]


@register
class SoftmaxSVC(SVC):
    """A support vector classifier with probabilities that need no held-out labels: softmax of twice its one-vs-rest decisions.

    They are not calibrated, but they order rows as the decisions do, which is what self-training asks for.

    Parameters
    ----------
    C, kernel, degree, gamma, coef0, shrinking, tol, cache_size, class_weight, max_iter, decision_function_shape, break_ties
        As in `sklearn.svm.SVC`.
    """

    def __init__(
        self, *, C=1.0, kernel="rbf", degree=3, gamma="scale", coef0=0.0, shrinking=True, tol=1e-3, cache_size=200,
        class_weight=None, max_iter=-1, decision_function_shape="ovr", break_ties=False,
    ):  # fmt: skip
        super().__init__(
            C=C, kernel=kernel, degree=degree, gamma=gamma, coef0=coef0, shrinking=shrinking, tol=tol, cache_size=cache_size,
            class_weight=class_weight, max_iter=max_iter, decision_function_shape=decision_function_shape,
            break_ties=break_ties,
        )  # fmt: skip

    def predict_proba(self, X):
        """Softmax of the decisions.

        Parameters
        ----------
        X : (n, d) array
            Rows.

        Returns
        -------
        (n, n_classes) array
        """
        decision = self.decision_function(X)
        if decision.ndim == 1:
            decision = 0.5 * np.column_stack([-decision, decision])
        odds = np.exp(2.0 * (decision - decision.max(axis=1, keepdims=True)))
        return odds / odds.sum(axis=1, keepdims=True)
