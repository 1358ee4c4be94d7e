"""Methods that answer from one fit, whatever is fitted or set by other threads meanwhile."""

import functools
import typing
from collections.abc import Callable

import numpy as np

__all__ = []

M = typing.TypeVar("M", bound=Callable)

FLOAT_ERRORS: dict = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""NumPy's own settings, for fits and questions of users who made it raise: an exp that vanishes is no error here."""


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
