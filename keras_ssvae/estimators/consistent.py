"""Methods that answer from one fit, whatever is fitted or set by other threads meanwhile."""

import functools
import typing
from collections.abc import Callable

import numpy as np

from keras_ssvae._compat.numpy import FLOAT_ERRORS

__all__ = []

M = typing.TypeVar("M", bound=Callable)


def consistent(method: M) -> M:
    """Method decorator: let an estimator answer as it is when it is asked, even while it is fitted anew or given parameters.

    The method gets a copy of the estimator that shares its parameters and attributes: a microsecond, whatever their size. It
    may read them as often as it likes, and sets none.
    """

    @functools.wraps(method)
    @np.errstate(**FLOAT_ERRORS)
    def answer(self, *args, **kwargs):
        return method(self._snapshot(), *args, **kwargs)

    return typing.cast(M, answer)
