"""Private names of scikit-learn and Keras, one reason each; nowhere else in the package."""

__all__ = []
