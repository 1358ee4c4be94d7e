"""Randomness that follows ``random_state`` and leaves the user's generators alone."""

import typing

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

__all__ = ["derive_seeds"]


def derive_seeds(random_state: typing.Any, count: int) -> list[int]:
    """Independent integer seeds in [0, 2**31 - 1) that follow from `random_state`.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        As everywhere in scikit-learn; a RandomState instance is advanced, None draws fresh entropy.
    count : int
        Number of seeds.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if random_state is None:  # fresh entropy rather than numpy's global generator, which belongs to the user
        return [int(s) % (2**31 - 1) for s in np.random.SeedSequence().generate_state(count)]
    try:
        generator = check_random_state(random_state)
    except ValueError as error:
        raise ValueError(f"random_state must be None, an int from 0 to 2**32 - 1 or a RandomState; {error}.") from error
    return [int(s) for s in generator.randint(2**31 - 1, size=count)]


def seeded(estimator: BaseEstimator, seed: int) -> BaseEstimator:
    """The estimator itself, which may be nested as a pipeline is, with the seed as random state wherever it has None."""
    params = estimator.get_params().items()
    unset = {name: seed for name, value in params if value is None and f"__{name}".endswith("__random_state")}
    if unset:  # a FrozenEstimator takes no parameter
        estimator.set_params(**unset)
    return estimator
