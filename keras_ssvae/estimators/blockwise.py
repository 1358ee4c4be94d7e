"""Methods that answer row by row, for rows that do not lie in memory."""

import functools
import typing
from collections.abc import Callable

from sklearn.utils.validation import check_is_fitted

from keras_ssvae.data.sources import stack

__all__ = ["blockwise"]

M = typing.TypeVar("M", bound=Callable)


def blockwise(method: M) -> M:
    """Let a method that answers row by row answer for a source too: block by block, the answers one below the other.

    Parameters
    ----------
    method : function
        (estimator, X, ...) -> array or DataFrame of as many rows as X.
    """

    @functools.wraps(method)
    def answer(self, X, *args, **kwargs):
        check_is_fitted(self)
        source = self._source(X)
        if source is None:
            return method(self, X, *args, **kwargs)
        return stack([method(self, block, *args, **kwargs) for block, _ in source.blocks()])

    return typing.cast(M, answer)
