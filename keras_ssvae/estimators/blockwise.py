"""Methods that answer row by row, for rows that do not lie in memory."""

import functools
import typing
from collections.abc import Callable

from sklearn.utils.validation import check_is_fitted

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
