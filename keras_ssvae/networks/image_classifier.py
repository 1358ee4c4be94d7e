"""pi of images: a convolutional classifier of the pixels, taught what labels and the pi of a model say of moved images."""

import dataclasses
import math
import typing
from collections.abc import Callable

import tensorflow as tf

from keras_ssvae.networks.domain import DomainNetwork
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn import backbones
from keras_ssvae.nn.layers import Dense, Layer

__all__ = ["ImageClassifier", "ImageNetwork", "moved"]

SHIFT = 0.07  # of a side: two pixels of 28
TURN = 0.3  # radians: 17 degrees
STRETCH = 0.15
LEAST = 16  # pixels of a side
UNITS = 128
DROPOUT = 0.3  # of the features
SURE = 0.95  # the probability from which on an unlabelled image is taught to be of a class
LEFT = 0.1  # of what the other pi says, at the end
STEPS = 1500  # that it takes to learn convolutions


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
        Shape of one image; pixels of small ones are repeated, so that there is something to convolve, and to move.
    n_classes : int
        Number of classes.
    **kwargs
        As in `Layer`.
    """

    def __init__(self, image_shape: backbones.Image, n_classes: int, **kwargs: typing.Any):
        super().__init__(**kwargs)
        self.image_shape, self.times = image_shape, math.ceil(LEAST / min(image_shape[:2]))
        shape = self.times * image_shape[0], self.times * image_shape[1], image_shape[2]
        self.body = backbones.Body(backbones.conv_encoder(shape, (UNITS,), "relu", "body", n_filters=16), shape)
        self.model, self.head = self.body.model, Dense(n_classes, name="head")
        self.head.build((None, UNITS))

    def images(self, rows: tf.Tensor) -> tf.Tensor:
        """Flat rows as the images that are read, (n, height, width, channels)."""
        images = tf.reshape(rows, (-1, *self.image_shape))
        return images if self.times == 1 else tf.repeat(tf.repeat(images, self.times, axis=1), self.times, axis=2)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of images as they are read."""
        return self.head(backbones.run(self.body, images))

    def thinned(self, images: tf.Tensor, noise: Callable) -> tf.Tensor:
        """The same where ``noise(like)``, uniform on (0, 1), leaves out some of the features."""
        features = backbones.run(self.body, images)
        return self.head(features * tf.cast(noise(features) > DROPOUT, features.dtype) / (1.0 - DROPOUT))


class ImageNetwork(DomainNetwork):
    """A `DomainNetwork` of images with one more pi, whose convolutions read the pixels: it answers in place of the other.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    convolutional_pi : bool, default=False
        Whether there is an `ImageClassifier`.
    **kwargs
        As in `DomainNetwork`.
    """

    def __init__(self, seed: int, *, convolutional_pi: bool = False, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.image_pi: typing.Any = None
        if convolutional_pi:
            self.image_pi = ImageClassifier(self.image_shape, self.n_classes, name="image_pi")

    def stages(self) -> list[Stage]:
        stages = super().stages()
        if self.image_pi is None or self.n_classes < 2:
            return stages
        others = self.encoder, self.decoder, *([] if self.lower is None else [self.lower])
        compiles = not any(map(backbones.has_convolutions, others))
        share = 0.75 * sum(stage.share for stage in stages)
        images = Stage("images", {"loss": (self.image_terms, [self.image_pi])}, share, compiles=False, more_steps=STEPS)
        return [*(dataclasses.replace(stage, compiles=compiles) for stage in stages), images]

    def last_stage(self) -> Stage:
        return super().stages()[-1]

    def class_variables(self) -> list[tuple]:
        own = [] if self.image_pi is None else [(self.image_pi.head.kernel, 1), (self.image_pi.head.bias, 0)]
        return [*own, *super().class_variables()]

    def image_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """What the classifier is taught of moved images: their labels, and what it and the other pi agree on.

        At first the other pi alone says what an image is, later the classifier itself more and more; where they are
        not sure, nothing is taught (K. Sohn et al. 2020, "FixMatch", arXiv 2001.07685).
        """
        y, images = batch["y"], self._images(batch["x"], batch.get("observed"))
        if step.mode == "evaluate":
            return {"classification": self._of_label(y, self.image_pi(images))}
        view = self._images(batch["view"]) if "view" in batch else moved(images, step.uniform(images[:, :5, 0, 0]))
        logits = self.image_pi.thinned(view, step.uniform)
        other = tf.nn.log_softmax(super().class_logits(batch))
        own = tf.nn.log_softmax(self.image_pi(images))
        told = tf.nn.softmax((1.0 - (1.0 - LEFT) * step.progress) * other + step.progress * own)
        told = tf.stop_gradient(told)
        self._note_usage(batch, told, step)
        told = self._aligned(told, y, 1.0)
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
        return self.image_pi(self._images(batch["x"], batch.get("observed")))

    def _images(self, x, observed=None):
        return self.image_pi.images(self.encoder_inputs(x, observed))
