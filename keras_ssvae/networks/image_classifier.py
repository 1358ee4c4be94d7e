"""pi of images: a convolutional classifier of the pixels, taught what labels and the model of a code say of moved images."""

import dataclasses
import math
import typing
from collections.abc import Callable

import tensorflow as tf

from keras_ssvae.networks.classifier import TEACH
from keras_ssvae.networks.domain import DomainNetwork
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn import backbones
from keras_ssvae.nn.layers import Dense, Layer

__all__ = ["ImageClassifier", "ImageNetwork", "moved"]

SHIFT = 0.07  # of a side: two pixels of 28
TURN = 0.3  # radians: 17 degrees
STRETCH = 0.15
UNITS = 128
DROPOUT = 0.3  # of the features
SURE = 0.95  # the probability from which on an unlabelled image is taught to be of a class
LEFT = 0.1  # of what the model of the code says, at the end


def moved(images: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """Images shifted, turned and stretched a little, each in its own way; what lies at a border is drawn out.

    Parameters
    ----------
    images : (n, height, width, channels) tensor
        The images.
    noise : (n, 5) tensor
        Uniform noise on (0, 1): it decides how each of them is moved.
    """
    height, width = images.shape[1:3]
    right, down, turn, wide, high = tf.unstack(2.0 * noise - 1.0, axis=1)
    middle = (width - 1) / 2, (height - 1) / 2
    cosine, sine = tf.cos(TURN * turn), tf.sin(TURN * turn)
    wide, high = 1.0 + STRETCH * wide, 1.0 + STRETCH * high
    to_x, to_y = (wide * cosine, -wide * sine), (high * sine, high * cosine)  # where a pixel's value is taken from
    from_x = middle[0] * (1.0 - to_x[0]) - middle[1] * to_x[1] + SHIFT * width * right
    from_y = middle[1] * (1.0 - to_y[1]) - middle[0] * to_y[0] + SHIFT * height * down
    nothing = tf.zeros_like(right)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.stack([*to_x, from_x, *to_y, from_y, nothing, nothing], axis=1),
        output_shape=(height, width), fill_value=0.0, interpolation="BILINEAR", fill_mode="NEAREST",
    )  # fmt: skip


class ImageClassifier(Layer):
    """Unnormalised log q(y | x) of images, by convolutions.

    Parameters
    ----------
    image_shape : tuple (height, width, channels)
        Shape of one image.
    n_classes : int
        Number of classes.
    **kwargs
        As in `Layer`.
    """

    def __init__(self, image_shape: backbones.Image, n_classes: int, **kwargs: typing.Any):
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.body = backbones.Body(backbones.conv_encoder(image_shape, (UNITS,), "relu", "body", n_filters=16), image_shape)
        self.model, self.head = self.body.model, Dense(n_classes, name="head")
        self.head.build((None, UNITS))

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        """Logits of images as flat rows."""
        return self.head(backbones.run(self.body, rows))

    def thinned(self, rows: tf.Tensor, noise: Callable) -> tf.Tensor:
        """The same where ``noise(like)``, uniform on (0, 1), leaves out some of the features."""
        features = backbones.run(self.body, rows)
        return self.head(features * tf.cast(noise(features) > DROPOUT, features.dtype) / (1.0 - DROPOUT))

    def moved(self, rows: tf.Tensor, noise: Callable) -> tf.Tensor:
        """Flat rows with their images `moved`."""
        images = tf.reshape(rows, (-1, *self.image_shape))
        return tf.reshape(moved(images, noise(rows[:, :5])), (-1, math.prod(self.image_shape)))


class ImageNetwork(DomainNetwork):
    """A `DomainNetwork` of which pi may read images themselves: an `ImageClassifier` then answers in place of the code's pi.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    convolutional_pi : bool, default=False
        Whether it does. There must be a code then.
    **kwargs
        As in `DomainNetwork`.
    """

    def __init__(self, seed: int, *, convolutional_pi: bool = False, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.image_pi: typing.Any = None
        if convolutional_pi:
            self.image_pi = ImageClassifier(self.image_shape, self.n_classes, name="image_pi")

    def stages(self) -> list[Stage]:
        if self.image_pi is None:
            return super().stages()
        compiles = not backbones.has_convolutions(self.lower)
        *first, last = (dataclasses.replace(stage, compiles=compiles) for stage in super().stages())
        teach = Stage(TEACH, {"loss": (self.image_terms, [self.image_pi])}, 0.75, compiles=False)
        return [*first, *([teach] if self.n_classes > 1 else []), last]

    def class_variables(self) -> list[tuple]:
        own = [] if self.image_pi is None else [(self.image_pi.head.kernel, 1), (self.image_pi.head.bias, 0)]
        return [*own, *super().class_variables()]

    def image_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the classifier is taught of moved images: their labels, and what it and the model of the code agree on.

        At first the model of the code alone says what an image is, later the classifier itself more and more; where they are
        not sure, nothing is taught (K. Sohn et al. 2020, "FixMatch", arXiv 2001.07685).
        """
        y, images = batch["y"], self.encoder_inputs(batch["x"], batch.get("observed"))
        if step.mode == "evaluate":
            return {"classification": self._of_label(y, self.image_pi(images))}
        view = self.encoder_inputs(batch["view"]) if "view" in batch else self.image_pi.moved(images, step.uniform)
        logits = self.image_pi.thinned(view, step.uniform)
        of_code = tf.nn.log_softmax(self.logits(self.coded({**batch, "inputs": images})))
        own = tf.nn.log_softmax(self.image_pi(images))
        told = tf.nn.softmax((1.0 - (1.0 - LEFT) * step.progress) * of_code + step.progress * own)
        told = self.aligned(batch, tf.stop_gradient(told), step)
        sure = tf.cast((y < 0) & (tf.reduce_max(told, axis=-1) > SURE), tf.float32)
        agreement = -tf.reduce_sum(told * tf.nn.log_softmax(logits), axis=-1)
        consistency = self.constants.consistency_weight * sure * agreement
        return {"classification": self._of_label(y, logits), "consistency": consistency}

    def _of_label(self, y, logits):
        """The cross-entropy of labels: where the user has not weighed it, as much as all rows without."""
        return self.classification(y, logits) / self.loss_scale()

    def class_logits(self, batch: dict) -> tf.Tensor:
        if self.image_pi is None:
            return super().class_logits(batch)
        return self.image_pi(self.encoder_inputs(batch["x"], batch.get("observed")))
