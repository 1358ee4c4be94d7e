"""What was traced and compiled for one fit serves later fits of the same architecture.

Tracing a training step takes about a second and compiling it three, whatever the number of rows. Networks whose architecture is
described by the same key train by the same graph functions, each on its own variables. Cross-validation and grid search so
trace each architecture once.
"""

import collections
import contextlib
import math
import threading
import typing
from collections.abc import Iterator

import keras
import numpy as np

from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.networks.base import Network
from keras_ssvae.nn import backbones
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.step import TrainingStep

__all__ = ["STEP_CACHE", "StepCache"]

MOST_WEIGHTS = 1_000_000  # of a network that shares; larger ones train for so long that tracing does not matter
PLAIN = (str, int, float, bool, type(None))


def step_key(network: Network, config: TrainingConfig) -> tuple | None:
    """What the layers of a network and its training step depend on besides variables: a hashable key, or None if unknown.

    There is none unless the network's class itself says `shares_steps`, since others may build numbers of their data into the
    step; nor with callbacks, by which the user has a hold on the network that trains.
    """
    if config.callbacks or config.reducer or not vars(type(network)).get("shares_steps", False):
        return None
    arguments = {name: plain(value) for name, value in network.held.arguments.items() if name != "table"}
    constants = {name for base in type(network).__mro__ for name in vars(base).get("data_constants", ())} & set(arguments)
    numbers = {name: (np.shape(arguments[name]), bool(np.any(arguments[name]))) for name in constants}
    others = {name: value for name, value in arguments.items() if name not in constants}
    others |= {name: plain(getattr(config, name)) for name in ("optimizer", "learning_rate", "one_pass")}
    items = [item for value in others.values() for item in (value if isinstance(value, tuple) else (value,))]
    if not all(isinstance(item, PLAIN) for item in items):
        return None
    table = network.held.arguments["table"]
    columns = table.groups_, table.image_shape_, table.incomplete_.tobytes(), network.held.spec
    precision = keras.config.floatx(), keras.config.dtype_policy().name, keras.config.epsilon()
    surroundings = *precision, keras.config.image_data_format(), network.weights[0].value.device
    registries = (*backbones.ENCODERS.items(), *backbones.DECODERS.items(), *LIKELIHOODS.items())
    return type(network), registries, repr((sorted({**others, **numbers}.items()), columns, surroundings))


def plain(value: typing.Any) -> typing.Any:
    """Python's numbers for NumPy's, also in a tuple; other objects stay what they are."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


class StepCache:
    """What was traced for the architectures that were trained last.

    Parameters
    ----------
    size : int, default=8
        How many are kept; the functions of one take about 15 MB.
    """

    def __init__(self, size: int = 8):
        self.size = size
        self._functions: collections.OrderedDict = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._functions)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._functions.clear()

    @contextlib.contextmanager
    def lend(self, network: Network, config: TrainingConfig) -> Iterator[TrainingStep]:
        """A step that trains a built network, with what was traced for others of its architecture."""
        key = step_key(network, config) if sum(math.prod(v.shape) for v in network.weights) <= MOST_WEIGHTS else None
        reducer = {} if config.reducer is None else {"all_reduce": config.reducer.all_reduce}
        yield TrainingStep(network, self._shared(key), **reducer)
        network.release()

    def _shared(self, key):
        if key is None:
            return None
        with self._lock:
            functions = self._functions.pop(key, None)
            self._functions[key] = functions = collections.OrderedDict() if functions is None else functions
            while len(self._functions) > self.size:
                self._functions.popitem(last=False)
        return functions


STEP_CACHE = StepCache()
