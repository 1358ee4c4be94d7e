"""The scikit-learn side: parameters, `fit`, and what an estimator can do with a trained network."""

__all__ = []
