"""A support vector classifier that can tell how sure it is of each class, however few labels there are."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.svm import SVC, NuSVC

from keras_ssvae.registry import register, require

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


def check_machines(value: object) -> None:
    """Raise a ValueError if the arrays of a fitted support vector machine, anywhere in an object, do not fit together.

    Its predictions are made by C code, which takes their sizes on trust.
    """
    if isinstance(value, (list, tuple)):
        for part in value:
            check_machines(part)
    elif isinstance(value, dict):
        check_machines(list(value.values()))
    elif isinstance(value, BaseEstimator):
        if isinstance(value, (SVC, NuSVC)) and hasattr(value, "support_"):
            _check_machine(value)
        check_machines(vars(value))


def _check_machine(svc):
    n_vectors, n_features = svc.support_vectors_.shape
    n_classes = len(svc.classes_)
    n_pairs = n_classes * (n_classes - 1) // 2
    n_sigmoids = n_pairs if len(svc._probA) else 0
    shapes = {
        "support_": (n_vectors,), "_n_support": (n_classes,), "dual_coef_": (n_classes - 1, n_vectors), "intercept_": (n_pairs,),
        "_dual_coef_": (n_classes - 1, n_vectors), "_intercept_": (n_pairs,), "_probA": (n_sigmoids,), "_probB": (n_sigmoids,),
    }  # fmt: skip
    for name, shape in {**shapes, "support_vectors_": (n_vectors, n_features)}.items():
        value, kind = getattr(svc, name), "i" if name in ("support_", "_n_support") else "f"
        numbers = isinstance(value, np.ndarray) and value.dtype == ("int32" if kind == "i" else "float64")
        require(numbers and value.shape == shape and np.isfinite(value).all(), f"{name} of a support vector machine is none")
    require((svc._n_support >= 0).all() and svc._n_support.sum() == n_vectors, "a support vector machine has other vectors")
    require((svc.support_ >= 0).all() and svc._sparse is False and isinstance(svc.kernel, str), "its vectors are none")
    require(svc.kernel != "precomputed" and np.isfinite(svc._gamma), "its kernel is none")
    require(svc.n_features_in_ == n_features, "a support vector machine has another number of columns")
