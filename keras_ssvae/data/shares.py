"""Who of several workers reads which rows of a source."""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = []


@dataclasses.dataclass
class Share:
    """What one of several workers reads of a source in a pass: as many rows as the others, which read all of it together.

    Attributes
    ----------
    rank, size : int
        Which worker, of how many.
    rng : RandomState
        In the same state in all of them.
    """

    rank: int
    size: int
    rng: np.random.RandomState

    def ranges(self, counts: Sequence[int]) -> list[tuple[int, int, int]]:
        """(part, start, stop): what this worker reads of parts of so many rows, in a pass that begins at any row of any part.

        So no worker reads the same rows in every pass, however few parts there are, and whatever they hold.
        """
        order, total = self.rng.permutation(len(counts)), sum(counts)
        begin = self.rng.randint(max(total, 1))
        first, last = (begin + total * r // self.size for r in (self.rank, self.rank + 1))
        edges = np.cumsum([0, *(counts[i] for i in order)])
        found = []
        for turn in (0, total):  # the rows lie on a circle
            for part, low, high in zip(order, turn + edges[:-1], turn + edges[1:], strict=True):
                start, stop = max(first, low), min(last, high)
                if start < stop:
                    found.append((int(part), int(start - low), int(stop - low)))
        return found
