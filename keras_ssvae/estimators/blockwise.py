"""Methods that answer row by row, for rows that do not lie in memory."""

import functools
import typing
from collections.abc import Callable

from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.containers import has_column, opened
from keras_ssvae.data.sources import stack
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.documentation import with_rows

__all__ = []

M = typing.TypeVar("M", bound=Callable)


def blockwise(method: M) -> M:
    """Let a method (estimator, X, ...) -> array or DataFrame of as many rows as X, or a list of them, answer for a source too:
    block by block, the answers one below the other and all of one fit (see `consistent`). Its docstring need not say what X is.
    """

    @consistent
    @functools.wraps(with_rows(method))
    def answer(self, X, *args, **kwargs):
        check_is_fitted(self)
        X, _, source = self._open(X)
        if source is None:
            return method(self, X, *args, **kwargs)
        answers = [method(self, block, *args, **kwargs) for block, _ in source.blocks()]
        return [stack(parts) for parts in zip(*answers, strict=True)] if isinstance(answers[0], list) else stack(answers)

    return typing.cast(M, answer)


def predicted_beside(estimator: typing.Any, X: typing.Any, y: typing.Any) -> tuple[typing.Any, typing.Any]:
    """What an estimator predicts of rows, and what is given for them: y, or the column of X that was y in the fit."""
    X = opened(X)
    column = estimator._label_column
    X, y, source = estimator._open(X, column if y is None and has_column(X, column) else y)
    if source is None:
        return estimator.predict(X), y
    both = zip(*((estimator.predict(block), labels) for block, labels in source.blocks()), strict=True)
    predicted, y = map(stack, both)
    return predicted, y
