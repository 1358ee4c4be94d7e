"""Figures by which predictions are judged: of classes, and of numbers."""

import typing

__all__ = []


def predicts_numbers(estimator: typing.Any) -> bool:
    """Whether a model predicts a number."""
    from sklearn.base import is_regressor

    return is_regressor(estimator)


def figures_of(estimator: typing.Any, true: list, predicted: list) -> dict[str, float]:
    """Name -> figure, from what is known of some rows and what a model predicts of them."""
    from sklearn import metrics

    if predicts_numbers(estimator):
        error = metrics.mean_absolute_error(true, predicted)
        return {"r2": metrics.r2_score(true, predicted), "mean_absolute_error": error}
    names = [str(label) for label in true], [str(label) for label in predicted]
    return {
        "accuracy": metrics.accuracy_score(*names),
        "balanced_accuracy": metrics.balanced_accuracy_score(*names),
        "f1_macro": metrics.f1_score(*names, average="macro"),
    }
