"""Encoder and decoder bodies: layers without head or loss, by name or from the user.

`resolve_encoder` and `resolve_decoder` turn what a user may pass (None, a name, a Keras model, a callable) into a `Body`.
To add a backbone of our own, add a function here and a line to `ENCODERS` or `DECODERS`.
"""

import dataclasses
import inspect
import math
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae._compat.keras import all_layers, layer_below

__all__ = ["DECODERS", "ENCODERS", "Body", "Pretrained", "conv_decoder", "conv_encoder", "mlp"]

Sizes = Sequence[int]
Image = tuple[int, int, int]  # height, width, channels
LAST = "channels_last"  # of images, whatever Keras is set to
Activation = str | Callable
FromUser: typing.TypeAlias = str | keras.Model | Callable | None  # a name, a model, or what makes one


@dataclasses.dataclass
class Body:
    """A Keras model and what it does with its ends.

    Attributes
    ----------
    model : keras.Model
        The body.
    shape : tuple of int
        Shape of one row as the model reads it.
    output_kind : {"features", "gaussian", "location", "mean"}
        What comes out; "gaussian" is an encoder with outputs (features, mean, log variance).
    """

    model: keras.Model
    shape: tuple
    output_kind: str = "features"


class Pretrained:
    """A callable that returns a copy of a Keras model with its weights: hands trained weights to an estimator.

    Parameters
    ----------
    model : keras.Model
        The trained model; it is not touched.

    Examples
    --------
    >>> import keras
    >>> from keras_ssvae.nn.backbones import Pretrained
    >>> trained = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> copy = Pretrained(trained)()
    >>> copy is trained, bool((copy.get_weights()[0] == trained.get_weights()[0]).all())
    (False, True)
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def __call__(self) -> keras.Model:
        copy = keras.models.clone_model(self.model)
        copy.set_weights(self.model.get_weights())
        return copy


def mlp(shape: tuple[int, ...], hidden_layer_sizes: Sizes, activation: Activation, name: str) -> keras.Model:
    """Dense layers of the given sizes; without any, the identity.

    Parameters
    ----------
    shape : tuple of int
        Shape of one input row.
    hidden_layer_sizes : sequence of int
        Units by layer.
    activation : str or callable
        Keras activation.
    name : str
        Name of the model.
    """
    layers = [keras.layers.Flatten(LAST, name="flatten")] if len(shape) > 1 else []
    layers += [keras.layers.Dense(n, activation, name=f"dense_{i}") for i, n in enumerate(hidden_layer_sizes)]
    layers = layers or [keras.layers.Identity(name="identity", dtype="float32")]
    return keras.Sequential([keras.Input(shape), *layers], name=name)


def _conv_filters(shape, first=32):
    """Filters of the strided convolutions for an image: halved in size until a side is under 8 pixels, at most thrice."""
    depth = max(1, min(3, int(math.log2(max(8, min(shape[:2])) / 4))))
    return [first * 2**i for i in range(depth)]


def _check_sizes(hidden_layer_sizes):
    if not len(hidden_layer_sizes):
        raise ValueError("hidden_layer_sizes must hold at least one size with convolutions; got ().")


def conv_encoder(
    shape: Image, hidden_layer_sizes: Sizes, activation: Activation, name: str, n_filters: int = 32
) -> keras.Model:
    """Strided convolutions sized by the image, then one dense layer.

    Parameters
    ----------
    shape : tuple (height, width, channels)
        Shape of one image.
    hidden_layer_sizes : sequence of int
        The last entry is the number of units of the dense layer.
    activation, name
        As in `mlp`.
    n_filters : int, default=32
        Filters of the first convolution; each has twice as many as the one before.
    """
    _check_sizes(hidden_layer_sizes)
    layers = [
        keras.layers.Conv2D(n, 3 if i else 5, 2, "same", activation=activation, data_format=LAST, name=f"conv_{i}")
        for i, n in enumerate(_conv_filters(shape, n_filters))
    ]
    dense = keras.layers.Dense(hidden_layer_sizes[-1], activation, name="dense")
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Flatten(LAST, name="flatten"), dense], name=name)


def conv_decoder(
    shape: tuple[int, ...], hidden_layer_sizes: Sizes, activation: Activation, name: str, image_shape: Image
) -> keras.Model:
    """A dense layer and convolutions that double the image up to `image_shape`, cropped to it; emits locations, flat.

    Parameters
    ----------
    shape : tuple of int
        Shape of one input row.
    hidden_layer_sizes : sequence of int
        The first entry is the number of units of the dense layer: the decoder mirrors an encoder.
    activation, name
        As in `mlp`.
    image_shape : tuple (height, width, channels)
        Shape of one image.
    """
    _check_sizes(hidden_layer_sizes)
    filters = _conv_filters(image_shape)
    factor = 2 ** len(filters)
    small = [math.ceil(side / factor) for side in image_shape[:2]]
    crop = [factor * s - side for s, side in zip(small, image_shape[:2], strict=True)]
    layers = [
        keras.layers.Dense(hidden_layer_sizes[-1], activation, name="dense"),
        keras.layers.Dense(small[0] * small[1] * filters[-1], activation, name="dense_image"),
        keras.layers.Reshape((*small, filters[-1]), name="image"),
    ]
    for i, n in enumerate([*filters[-2::-1], image_shape[2]]):
        width, own = (5, None) if i == len(filters) - 1 else (3, activation)
        layers.append(keras.layers.Conv2DTranspose(n, width, 2, "same", activation=own, data_format=LAST, name=f"conv_{i}"))
    layers += [
        keras.layers.Cropping2D(((0, crop[0]), (0, crop[1])), LAST, name="crop"),
        keras.layers.Flatten(LAST, name="flatten"),
    ]
    return keras.Sequential([keras.Input(shape), *layers], name=name)


ENCODERS: dict[str, Callable] = {"mlp": mlp, "conv": conv_encoder}
DECODERS: dict[str, Callable] = {"mlp": mlp, "conv": conv_decoder}


def _from_user(value, parameter):
    """A fresh copy of the user's Keras model, or what the user's callable returns."""
    accepted = (
        f"{parameter} must be a Keras model with one input of known shape (a Sequential model with keras.Input, or a "
        "functional model)"
    )
    if isinstance(value, keras.Model):
        if not getattr(value, "inputs", None):  # a subclass of keras.Model with layers that only its code knows
            raise ValueError(f"{accepted}, or a callable that returns one; {value.name!r} cannot be copied.")
        model = keras.models.clone_model(value)
    else:
        model = value()
    if not isinstance(model, keras.Model):
        raise TypeError(f"{parameter} must return a Keras model; it returned {type(model).__name__}.")
    if not model.built or not isinstance(getattr(model, "input_shape", None), tuple) or None in model.input_shape[1:]:
        raise ValueError(f"{accepted}; got {model.name!r}.")
    return model


def _flat(model):
    """The model with rows of numbers as its output."""
    if len(model.output_shape) == 2:
        return model
    return keras.Sequential([model, keras.layers.Flatten(LAST, name="flatten")], name=model.name)


def _check_kind(value, parameter, names):
    is_named = value is None or (isinstance(value, str) and value in names)
    if not is_named and (inspect.isclass(value) or not callable(value)):
        raise ValueError(
            f"{parameter} must be None, one of {sorted(names)}, a Keras model or a callable that returns one; got {value!r}."
        )


def _gaussian_encoder(model):
    """The user's encoder with outputs [mean, log variance, ...] as a model that also gives the layer below the mean."""
    mean, log_variance = model.outputs[:2]
    below = layer_below(mean)
    features = keras.layers.Flatten(LAST, name="pi_features")(below[0] if len(below) == 1 else mean)
    return keras.Model(model.inputs, [features, mean, log_variance], name=model.name)


def resolve_encoder(
    encoder: FromUser, image_shape: Image | None, n_columns: int, hidden_layer_sizes: Sizes, activation: Activation
) -> Body:
    """The body that reads the encoded x, with `n_columns` columns; `image_shape` is None for a table.

    None chooses "conv" for images of at least 12 pixels a side and "mlp" otherwise.
    """
    _check_kind(encoder, "encoder", ENCODERS)
    shape = image_shape or (n_columns,)
    if encoder is None or isinstance(encoder, str):
        name = encoder or ("conv" if image_shape and min(image_shape[:2]) >= 12 else "mlp")
        if name == "conv" and image_shape is None:
            raise ValueError("encoder='conv' needs images, X of shape (n, height, width[, channels]).")
        return Body(ENCODERS[name](shape, hidden_layer_sizes, activation, "encoder"), shape)
    model = _from_user(encoder, "encoder")
    if math.prod(model.input_shape[1:]) != n_columns:
        raise ValueError(f"encoder reads rows of shape {model.input_shape[1:]}; X has rows of shape {shape}.")
    if len(model.outputs) >= 2:
        return Body(_gaussian_encoder(model), model.input_shape[1:], "gaussian")
    return Body(_flat(model), model.input_shape[1:])


def resolve_decoder(
    decoder: FromUser, input_dim: int, image_shape: Image | None, n_columns: int, hidden_layer_sizes: Sizes,
    activation: Activation, conv: bool,
) -> Body:  # fmt: skip
    """The body between latent variables, `input_dim` a row, and the likelihood; None follows the encoder, whether it is `conv`.

    What it gives is "mean" where the user's model returns rows of the size of x, else "features" or "location".
    """
    _check_kind(decoder, "decoder", DECODERS)
    if decoder == "conv" or (decoder is None and conv):
        if image_shape is None:
            raise ValueError("decoder='conv' needs images, X of shape (n, height, width[, channels]).")
        model = conv_decoder((input_dim,), hidden_layer_sizes, activation, "decoder", image_shape)
        return Body(model, (input_dim,), "location")
    if decoder is None or isinstance(decoder, str):
        return Body(mlp((input_dim,), hidden_layer_sizes, activation, "decoder"), (input_dim,))
    model = _from_user(decoder, "decoder")
    if model.input_shape[1:] != (input_dim,):
        raise ValueError(
            f"decoder must read rows of shape ({input_dim},), the latent variables; it reads {model.input_shape[1:]}."
        )
    if len(model.outputs) != 1:
        raise ValueError(f"decoder must be a Keras model with one output; {model.name!r} has {len(model.outputs)}.")
    output_kind = "mean" if int(np.prod(model.output_shape[1:])) == n_columns else "features"
    return Body(_flat(model), (input_dim,), output_kind)


def resolve_augmentation(
    augmentation: keras.layers.Layer | None, image_shape: Image | None
) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """A function that changes rows, (rows, n_columns), at random, as a fresh copy of the user's Keras layer does in training.

    The layer reads and returns images, or rows of a table where `image_shape` is None. What is no layer raises a TypeError.
    """
    if augmentation is None:
        return None
    if not isinstance(augmentation, keras.layers.Layer):
        raise TypeError(f"augmentation must be None or a Keras layer; got {augmentation!r}.")
    layer = type(augmentation).from_config(augmentation.get_config())

    def augment(rows):
        images = rows if image_shape is None else tf.reshape(rows, (-1, *image_shape))
        return tf.cast(tf.reshape(layer(images, training=True), tf.shape(rows)), rows.dtype)

    return augment


def has_convolutions(model: keras.Model) -> bool:
    """Whether a model holds convolutions, at any depth; XLA compiles those for CPUs very slowly."""
    return any("Conv" in type(layer).__name__ for layer in all_layers(model))


def run(body: Body, rows: tf.Tensor, training: bool | None = None) -> typing.Any:
    """Feed flat rows to a body; what it gives, a tensor or a list of them, is in single precision."""
    if len(body.shape) > 1:
        rows = tf.reshape(rows, (-1, *body.shape))
    return tf.nest.map_structure(lambda values: tf.cast(values, tf.float32), body.model(rows, training=training))
