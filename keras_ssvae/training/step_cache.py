"""What was traced and compiled for one fit serves later fits of the same architecture.

Tracing a training step takes about a second and compiling it three, whatever the number of rows. Networks whose architecture is
described by the same key train by the same graph functions, each on its own variables. Cross-validation and grid search so
trace each architecture once.
"""

import collections
import contextlib
import math
import threading
from collections.abc import Iterator

from keras_ssvae.networks.base import Network
from keras_ssvae.networks.sharing import PLAIN, architecture_key, plain
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.step import TrainingStep

__all__ = ["STEP_CACHE", "StepCache"]

MOST_WEIGHTS = 1_000_000  # of a network that shares; larger ones train for so long that tracing does not matter


def step_key(network: Network, config: TrainingConfig) -> tuple | None:
    """What the layers of a network and its training step depend on besides variables: a hashable key, or None if unknown.

    There is none where `architecture_key` gives none, nor with callbacks, by which the user has a hold on the network.
    """
    settings = [plain(getattr(config, name)) for name in ("optimizer", "learning_rate", "one_pass")]
    if config.callbacks or config.group or not all(isinstance(value, PLAIN) for value in settings):
        return None
    key = architecture_key(network)
    return None if key is None else (*key, *map(repr, settings))


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
        yield TrainingStep(network, self._shared(key), config.group)
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
