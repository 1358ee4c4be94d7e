"""Randomness that follows ``random_state`` and leaves the user's generators alone."""

import contextlib
import random
import threading
import typing
from collections.abc import Iterator

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["derive_seeds", "isolated_seed"]

_lock = threading.RLock()  # the generators belong to the whole process


def derive_seeds(random_state: typing.Any, count: int) -> list[int]:
    """Independent integer seeds in [0, 2**31 - 1) that follow from `random_state`.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        As everywhere in scikit-learn; a RandomState instance is advanced, None draws fresh entropy.
    count : int
        Number of seeds.
    """
    if random_state is None:  # fresh entropy rather than numpy's global generator, which belongs to the user
        return [int(s) % (2**31 - 1) for s in np.random.SeedSequence().generate_state(count)]
    return [int(s) for s in check_random_state(random_state).randint(2**31 - 1, size=count)]


@contextlib.contextmanager
def isolated_seed(seed: int, alone: bool = True) -> Iterator[None]:
    """Seed Python's and NumPy's global generators inside the block, and put both back afterwards.

    Keras layers draw the seed of an initializer from Python's ``random``; inside this block it is the same at every run.

    Parameters
    ----------
    seed : int
        In [0, 2**32).
    alone : bool, default=True
        Whether only one thread at a time is inside such a block. False where code of the user's runs, which may wait for
        threads of its own.
    """
    with _lock if alone else contextlib.nullcontext():
        python_state, numpy_state = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
