"""Networks that train in the place of others: what was traced and compiled for one fit serves later fits of the same shape.

Tracing a training step takes about a second and compiling it three, whatever the number of rows. A network whose architecture
is described by a key trains by way of a twin that is kept here: it becomes equal to the network, trains, and hands its weights
back. Cross-validation and grid search so trace each architecture once. For the same reason a network is built from the shapes
that the layers of an earlier one had.
"""

import collections
import contextlib
import math
import threading

import keras
import numpy as np

from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.nn import backbones

__all__ = ["architecture", "build", "clear", "kept", "plain", "trainee"]

KEPT = 8  # twins; a traced one takes about 15 MB
KEPT_BLUEPRINTS = 64  # of a few kB
MOST_WEIGHTS = 1_000_000  # of a twin; larger networks train for so long that tracing does not matter
PLAIN = (str, int, float, bool, type(None))

_twins = collections.OrderedDict()
_blueprints = collections.OrderedDict()
_lock = threading.Lock()


def architecture(estimator_class, network, table, arguments, settings):
    """What the layers of a network and its training step depend on besides variables: a hashable key, or None if unknown.

    Parameters
    ----------
    estimator_class : type
        Class of the estimator, which makes the network.
    network : Network
        Of a class that says `shares_steps` itself, since others may build numbers of their data into the step.
    table : TablePreprocessor
        Kinds of the columns.
    arguments : dict
        Keyword arguments of the network's constructor.
    settings : dict
        What else the step depends on, by name.
    """
    if not vars(type(network)).get("shares_steps", False):
        return None
    values = {name: plain(value) for name, value in {**arguments, **settings}.items()}
    constants = {name for base in type(network).__mro__ for name in vars(base).get("data_constants", ())}
    numbers = {name: (np.shape(values[name]), bool(np.any(values[name]))) for name in constants & set(values)}
    others = [value for name, value in values.items() if name not in constants]
    if not all(isinstance(item, PLAIN) for value in others for item in (value if isinstance(value, tuple) else (value,))):
        return None
    columns = table.groups_, table.image_shape_, table.incomplete_.tobytes()
    config = keras.config
    surroundings = config.floatx(), config.dtype_policy().name, config.epsilon(), config.image_data_format()
    surroundings = *surroundings, network.step.value.device
    registries = (*backbones.ENCODERS.items(), *backbones.DECODERS.items(), *LIKELIHOODS.items())
    return estimator_class, type(network), registries, repr((sorted({**values, **numbers}.items()), columns, surroundings))


def plain(value):
    """Python's numbers for NumPy's, also in a tuple.

    Parameters
    ----------
    value : object
        Anything; other objects stay what they are.
    """
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def kept():
    """How many twins there are."""
    return len(_twins)


def clear():
    """Let go of all twins and blueprints."""
    with _lock:
        _twins.clear()
        _blueprints.clear()


def build(network, n_columns, key):
    """Create all variables of a network; of those whose architecture was built before, without calling it.

    Parameters
    ----------
    network : Network
        New network.
    n_columns : int
        Number of columns of the encoded x.
    key : tuple or None
        From `architecture`.
    """
    with _lock:
        blueprint = _blueprints.get(key)
    if blueprint is None:
        blueprint = network.build_for(n_columns)
    else:
        network.build_like(blueprint)
    if key is not None:
        _keep(_blueprints, key, blueprint, KEPT_BLUEPRINTS)


def _keep(kept_ones, key, value, most):
    """Keep a value as the last one used, and let go of those that were used longest ago."""
    with _lock:
        kept_ones[key] = value
        kept_ones.move_to_end(key)
        while len(kept_ones) > most:
            kept_ones.popitem(last=False)


@contextlib.contextmanager
def trainee(network, key, make):
    """The network to train in place of `network`, which has its weights when the block ends.

    Parameters
    ----------
    network : Network
        Built network.
    key : tuple or None
        From `architecture`; None trains the network itself.
    make : function
        Makes an untrained network of the same architecture.
    """
    if key is None or sum(math.prod(v.shape) for v in network.weights) > MOST_WEIGHTS:
        yield network
        network.release()
        return
    with _lock:
        twin = _twins.pop(key, None)
    if twin is None:
        twin = make()
        twin.is_twin = True
    twin.become(network)
    yield twin
    network.become(twin)
    network.release()
    _keep(_twins, key, twin, KEPT)
