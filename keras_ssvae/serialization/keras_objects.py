"""Layers, optimizers and models of Keras in a file: which classes it may name, and how much its variables may take."""

import contextlib
import io
import json
import math
import sys
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import tensorflow as tf

from keras_ssvae.serialization.archive import Archive, parse_json

__all__ = []

BASES = (
    keras.Layer, keras.Operation, keras.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint,
    keras.optimizers.Optimizer, keras.optimizers.schedules.LearningRateSchedule, keras.DTypePolicy, keras.random.SeedGenerator,
)  # fmt: skip
RUN_OR_READ = {  # classes of Keras that run code from their configuration, or read files that it names
    "FlaxLayer", "IndexLookup", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer", "TextVectorization",
    "TorchModuleWrapper",
}  # fmt: skip
PLAIN = {"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"}
SMALL = 2**24  # bytes of variables besides the weights of a file


def check_config(config: typing.Any) -> None:
    """Raise a ValueError if a configuration of Keras names anything but Keras' own classes and registered ones."""
    if isinstance(config, list):
        for value in config:
            check_config(value)
    if isinstance(config, dict):
        if "class_name" in config and not _is_known(config):
            raise ValueError(f"it names {config['class_name']!r} of {config.get('module')!r}, which load does not make")
        for value in config.values():
            check_config(value)


def _is_known(config):
    name, module, registered = (config.get(key) for key in ("class_name", "module", "registered_name"))
    if not isinstance(name, str):
        return False
    if name in PLAIN:
        return True
    if isinstance(registered, str) and keras.saving.get_registered_object(registered) is not None:
        return True
    if name == "function":
        return module == "builtins" and hasattr(keras.activations, str(config.get("config")))
    if not isinstance(module, str) or name in RUN_OR_READ or module.split(".")[0] != "keras":
        return False
    found = getattr(sys.modules.get(module), name, None)  # nothing is imported
    return isinstance(found, type) and issubclass(found, BASES)


def model_bytes(model: keras.Model) -> bytes:
    """A Keras model as a file; a TypeError, ValueError or NotImplementedError if it cannot be read again."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        content = file.read_bytes()
    check_config(_parts(content)[0])
    read_model(content)
    return content


def read_model(content: bytes | bytearray) -> keras.Model:
    """The Keras model in a file; a ValueError unless it is made of known classes and no larger than its weights."""
    config, weights = _parts(content)
    check_config(config)
    with tempfile.TemporaryDirectory() as folder, limited_variables(weights):
        file = Path(folder) / "model.keras"
        file.write_bytes(content)
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ValueError(f"{config.get('class_name')!r} is no model of Keras")
    return model


def _parts(content):
    """The configuration in a file of Keras, and the number of bytes of its weights."""
    archive = Archive(io.BytesIO(content), len(content), r"metadata\.json|config\.json|model\.weights\.h5")
    config = parse_json(archive.read("config.json"))
    parse_json(archive.read("metadata.json"))
    if not isinstance(config, dict):
        raise ValueError("the configuration of a Keras model is none")
    weights = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(weights), "r") as file:
        return config, _dataset_bytes(file)


def _dataset_bytes(group, depth=0):
    """Bytes of all arrays in a group, which must lie in the file as they are: not compressed, nor in another one."""
    total = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink) or depth > 50:
            raise ValueError(f"weights of a Keras model have a link, {name!r}")
        value = group[name]
        if isinstance(value, h5py.Group):
            total += _dataset_bytes(value, depth + 1)
            continue
        size = math.prod(value.shape) * value.dtype.itemsize
        if value.external or value.is_virtual or size > value.id.get_storage_size():
            raise ValueError(f"weights {name!r} of a Keras model do not lie in the file")
        total += size
    return total


@contextlib.contextmanager
def limited_variables(size: int) -> Iterator[None]:
    """Inside the block, variables of about `size` bytes can be made; the next one is a ValueError before it takes memory.

    A layer can ask for any number of weights in a few letters; what a file may ask for are the weights that it has.
    """
    left = size + SMALL

    def create(next_creator, **kwargs):
        nonlocal left
        value = kwargs.get("initial_value")
        if callable(value):
            with tf.Graph().as_default():  # shapes without numbers
                value = tf.convert_to_tensor(value())
        left -= math.prod(value.shape) * tf.as_dtype(value.dtype).size
        if left < 0:
            raise ValueError("its parameters ask for more weights than it has")
        return next_creator(**kwargs)

    with tf.variable_creator_scope(create):
        yield


def optimizer_config(optimizer: keras.optimizers.Optimizer) -> dict:
    """An optimizer as data."""
    return json.loads(json.dumps(keras.optimizers.serialize(optimizer), default=float))


def read_optimizer(config: typing.Any) -> keras.optimizers.Optimizer:
    """The optimizer of a configuration; a ValueError if it is none."""
    check_config(config)
    with limited_variables(0):
        optimizer = keras.optimizers.deserialize(config) if isinstance(config, dict) else None
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError("its optimizer is none of Keras")
    return optimizer


def read_layer(config: typing.Any) -> keras.layers.Layer:
    """The layer of a configuration; a ValueError if it is none."""
    check_config(config)
    with limited_variables(0):
        layer = keras.saving.deserialize_keras_object(config, safe_mode=True)
    if not isinstance(layer, keras.layers.Layer):
        raise ValueError("it names a layer that is none of Keras")
    return layer
