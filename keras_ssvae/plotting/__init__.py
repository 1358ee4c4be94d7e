"""Plots of data and of fitted estimators, as scikit-learn displays."""

__all__ = []
