"""One fitted state: pickle, `save` and `load`. `load` reads data, checks all of it, and executes none of it.

A fitted estimator is its parameters, its attributes, and the weights of its network. The network itself is a pure function of
the first two, so it is built again and given its weights.
"""

from keras_ssvae.serialization.model_file import FORMAT as FORMAT
from keras_ssvae.serialization.model_file import from_bytes as from_bytes
from keras_ssvae.serialization.model_file import load, save
from keras_ssvae.serialization.model_file import to_bytes as to_bytes
from keras_ssvae.serialization.model_file import unpack_network as unpack_network
from keras_ssvae.serialization.writer import pack_network as pack_network

__all__ = ["load", "save"]
