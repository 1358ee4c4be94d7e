"""Which networks may share what is traced of them: all of one architecture, each with variables of its own."""

import typing

import keras
import numpy as np

from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.networks.base import Network
from keras_ssvae.nn import backbones

__all__ = []

PLAIN = (str, int, float, bool, type(None))


def architecture_key(network: Network) -> tuple | None:
    """What the layers of a network depend on besides variables and its seed: a hashable key, or None if unknown.

    There is none unless the network's class itself says `shares_steps`, since others may build numbers of their data into what
    is traced.
    """
    if not vars(type(network)).get("shares_steps", False) or not hasattr(network.held, "arguments"):
        return None
    arguments = {name: plain(value) for name, value in network.held.arguments.items() if name != "table"}
    constants = {name for base in type(network).__mro__ for name in vars(base).get("data_constants", ())} & set(arguments)
    numbers = {name: (np.shape(arguments[name]), bool(np.any(arguments[name]))) for name in constants}
    others = {name: value for name, value in arguments.items() if name not in constants}
    items = [item for value in others.values() for item in (value if isinstance(value, tuple) else (value,))]
    if not all(isinstance(item, PLAIN) for item in items):
        return None
    table = network.held.arguments["table"]
    unknown = table.incomplete_.tobytes(), np.isnan(table.quantiles_).any(axis=1).tobytes()
    columns = table.groups_, table.image_shape_, *unknown, network.held.spec
    precision = network.held.policy, keras.config.floatx(), keras.config.dtype_policy().name, keras.config.epsilon()
    surroundings = *precision, keras.config.image_data_format(), network.weights[0].value.device
    registries = (*backbones.ENCODERS.items(), *backbones.DECODERS.items(), *LIKELIHOODS.items())
    return type(network), registries, repr((sorted({**others, **numbers}.items()), columns, surroundings))


def plain(value: typing.Any) -> typing.Any:
    """Python's numbers for NumPy's, also in a tuple; other objects stay what they are."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value
