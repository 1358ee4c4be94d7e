"""Whether rows that a function or a generator gives come again and again, as those for the `fit` of Keras often do."""

import numpy as np
import pandas as pd

__all__ = []

TIMES, ROWS = 1000, 100_000  # how often the same rows come, and how many in all, until there is no end to be expected


class Repetition:
    """Blocks of rows as they come, of which those that begin like the first do so at equal distances, or not.

    Data that end may be given several times over, and their first rows may come again: an end is given up late.
    """

    def __init__(self):
        self._first, self._period, self._number, self._rows = None, None, 0, 0

    def see(self, X: np.ndarray | pd.DataFrame) -> None:
        """One more block, (n, ...); raises a ValueError where the same blocks have come too often."""
        if self._period == 0 or not len(X):  # 0: they do not come again
            return
        if self._first is None:
            self._first = _table(X)
        elif X.shape[0] == len(self._first) and _table(X[:1]).equals(self._first[:1]) and _table(X).equals(self._first):
            self._period = self._number if self._period is None else self._period
            self._period *= self._number % self._period == 0
        elif self._period and self._number % self._period == 0:
            self._period = 0
        self._number, self._rows = self._number + 1, self._rows + len(X)
        if self._period and self._number > TIMES * self._period and self._rows > ROWS and self._differ():
            raise ValueError(
                f"X gives the same {self._rows * self._period // self._number} rows again and again, {TIMES} times by now, and "
                "is taken to be without end. It must end after each row has come once: leave out what repeats it, `while True` "
                "or `repeat()`."
            )

    def _differ(self):
        """Whether the rows that come again differ: equal ones may stand together, where rows are sorted."""
        return self._period > 1 or not _table(self._first[1:]).equals(_table(self._first[:-1]))


def _table(X):
    """Rows as a frame that can be compared, whatever they hold, and however they are numbered."""
    return X.reset_index(drop=True) if isinstance(X, pd.DataFrame) else pd.DataFrame(X.reshape(len(X), -1))
