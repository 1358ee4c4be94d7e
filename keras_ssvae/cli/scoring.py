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
    classes = [str(label) for label in estimator.classes_]
    if not set(names[0]) & set(classes):
        raise ValueError(f"None of the labels is a class of the model: {sorted(set(names[0]))[:5]} of {classes[:20]}.")
    return {
        "accuracy": metrics.accuracy_score(*names),
        "balanced_accuracy": metrics.balanced_accuracy_score(*names),
        "f1_macro": metrics.f1_score(*names, average="macro"),
    }
