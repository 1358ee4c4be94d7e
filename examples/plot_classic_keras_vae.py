"""An existing VAE becomes semi-supervised
=======================================

Turn an existing VAE into a semi-supervised one.

The variational autoencoder below is the classic one of the Keras documentation, sized for 8 by 8 pixels: an encoder returning
[mean, log variance, sample], a decoder that returns pixels, a training step of its own. It knows nothing of labels and is
not changed. `SemiSupervisedVAE.from_vae` takes its trained weights and adds the pi layer.

Usage: python plot_classic_keras_vae.py [picture.png [epochs]]
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

import keras
import matplotlib.pyplot as plt
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import keras_ssvae as ks

LATENT_DIM = 8
EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 60


class Sampling(keras.layers.Layer):
    """Draws z from the encoder's Gaussian."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))


class VAE(keras.Model):
    """The classic variational autoencoder: an encoder, a decoder, and a training step."""

    def __init__(self):
        super().__init__()
        image = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(image)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(64, activation="relu")(x)
        mean, log_variance = keras.layers.Dense(LATENT_DIM)(x), keras.layers.Dense(LATENT_DIM)(x)
        self.encoder = keras.Model(image, [mean, log_variance, Sampling()([mean, log_variance])], name="encoder")
        z = keras.Input((LATENT_DIM,))
        x = keras.layers.Dense(4 * 4 * 32, activation="relu")(z)
        x = keras.layers.Reshape((4, 4, 32))(x)
        x = keras.layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)
        x = keras.layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(x)
        self.decoder = keras.Model(z, x, name="decoder")

    def train_step(self, images):
        with tf.GradientTape() as tape:
            mean, log_variance, z = self.encoder(images)
            error = keras.losses.binary_crossentropy(images, self.decoder(z))
            reconstruction = tf.reduce_mean(tf.reduce_sum(error, axis=(1, 2)))
            kl = 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1 - log_variance, axis=1)
            loss = reconstruction + tf.reduce_mean(kl)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True))
        return {"loss": loss}


keras.utils.set_random_seed(0)
X, y = load_digits(return_X_y=True)
X = (X / 16).reshape(-1, 8, 8, 1)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)

vae = VAE()
vae.compile(optimizer=keras.optimizers.Adam(2e-3))
vae.fit(X_train.astype("float32"), epochs=EPOCHS // 2, batch_size=64, verbose=0)

y_partial = ks.mask_labels(y_train, labeled=100, random_state=0)
model = ks.SemiSupervisedVAE.from_vae(vae, epochs=EPOCHS, jit_compile=False, verbose="auto", random_state=0).fit(
    X_train, y_partial
)

labeled = y_partial != -1
codes = [vae.encoder.predict(rows, verbose=0)[0] for rows in (X_train[labeled], X_test)]
on_latents = LogisticRegression(max_iter=1000).fit(codes[0], y_train[labeled])
print(f"logistic regression on the VAE's latent means: {on_latents.score(codes[1], y_test):.3f}")
print(f"the same VAE with a pi layer: {model.score(X_test, y_test):.3f}")

figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
ks.LatentSpaceDisplay.from_estimator(model, X_test, y_test, ax=axes[0])
ks.ReconstructionDisplay.from_estimator(model, X_test, n_rows=8, ax=axes[1])
axes[1].set_title("rows and their reconstructions")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100)
else:
    plt.show()
