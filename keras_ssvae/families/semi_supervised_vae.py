"""SemiSupervisedVAE: the pi layer on any VAE."""

import copy
import math
import numbers

import keras
import numpy as np
import tensorflow as tf
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from keras_ssvae import backbones, inference, noise, terms
from keras_ssvae.base import GenerativeEstimator, LabelPredictorMixin
from keras_ssvae.label_statistics import class_prior
from keras_ssvae.layers import GaussianHead, LabelMerge, PiLayer
from keras_ssvae.likelihoods import make_likelihood
from keras_ssvae.network import Network, Stage

__all__ = ["SemiSupervisedVAE", "SemiSupervisedVAENetwork"]


class CodeVAE(keras.layers.Layer):
    """The VAE below the pi layer: x <-> code u, with q(u | x) Gaussian and p(x | u).

    Parameters
    ----------
    encoder, decoder : backbones.Body
        Bodies of q(u | x) and p(x | u).
    code_dim : int
        Number of dimensions of u.
    likelihood : str
        Name of p(x | u).
    n_columns : int
        Number of columns of the encoded x.
    """

    def __init__(self, encoder, decoder, code_dim, likelihood, n_columns, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.encoder_model, self.decoder_model = encoder.model, decoder.model
        self.head = GaussianHead(code_dim, name="code") if encoder.gives == "features" else None
        self.likelihood = make_likelihood(likelihood, n_columns, decoder.gives, name="likelihood")
        # the code as the pi layer reads it: standardised, dimensions that carry nothing switched off
        self.shift = self.add_weight(shape=(code_dim,), initializer="zeros", trainable=False, name="shift")
        self.spread = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="spread")
        self.active = self.add_weight(shape=(code_dim,), initializer="ones", trainable=False, name="active")

    def encode(self, x):
        out = backbones.run(self.encoder, x)
        return self.head(out) if self.head is not None else out[1:]

    def decode(self, u):
        return self.likelihood(self.decoder_model(u))

    def standardise(self, u):
        return (u - self.shift) / self.spread * self.active

    def unstandardise(self, v):
        return v * self.spread + self.shift

    def negative_entropy(self, mean, log_variance):
        """E[log q(u | x)] less the log prior of the dimensions switched off; in units of the standardised code: (rows,)."""
        active = -0.5 * (log_variance + math.log(2 * math.pi) + 1.0) + tf.math.log(self.spread)
        switched_off = terms.gaussian_kl(mean, log_variance)
        return tf.reduce_sum(tf.where(self.active > 0, active, switched_off), axis=-1)

    def log_prob_inactive(self, u):
        """What turns log p of the standardised code into log p of the code: (rows,)."""
        by_dim = -self.active * tf.math.log(self.spread) + (1 - self.active) * terms.gaussian_log_prob(u)
        return tf.reduce_sum(by_dim, axis=-1)


class SemiSupervisedVAENetwork(Network):
    """p(y) p(z) p(v | z, y), with q(z | v) q(y | v); v is x itself, or the code of a VAE below it.

    With a code, the model is p(y) p(z) p(u | z, y) p(x | u), with q(u | x) q(z | u) q(y | u).

    Parameters
    ----------
    seed : int
        Seed of the noise.
    n_columns : int
        Number of columns of the encoded x.
    image_shape : tuple or None
        (height, width, channels) of an image.
    class_prior : (n_classes,) array
        p(y).
    label_weight : float
        Rows by labelled row; with `classification_weight` the weight of a known label.
    latent_dim, hidden_layer_sizes, code_layer_sizes, activation, encoder, decoder, likelihood, label_input
        As in `SemiSupervisedVAE`.
    code_dim : int or None
        Number of dimensions of the code.
    classification_weight, consistency_weight, kl_warmup
        As in `SemiSupervisedVAE`.
    """

    def __init__(
        self, seed, *, n_columns, image_shape, class_prior, label_weight, latent_dim, hidden_layer_sizes, code_layer_sizes,
        activation, encoder, decoder, likelihood, label_input, code_dim, classification_weight, consistency_weight,
        kl_warmup, **kwargs,
    ):  # fmt: skip
        super().__init__(seed, **kwargs)
        self.n_classes = len(class_prior)
        self.latent_dim = latent_dim
        self.code_dim = code_dim or 0
        self.image_shape = image_shape
        self.label_input = label_input
        self.label_weight = label_weight
        self.classification_weight = classification_weight
        self.consistency_weight = consistency_weight
        self.kl_warmup = kl_warmup
        self.log_prior = tf.constant(np.log(class_prior), tf.float32)
        # how often each class is predicted, a running mean over batches
        self.class_usage = self.add_weight(shape=(self.n_classes,), initializer="zeros", trainable=False, name="class_usage")
        self.class_usage.assign(class_prior)

        x_sizes = hidden_layer_sizes if code_dim is None else code_layer_sizes
        x_body = backbones.resolve_encoder(encoder, image_shape, n_columns, x_sizes, activation)
        given = [output.shape[-1] for output in x_body.model.outputs[1:]]
        wanted = ("latent_dim", latent_dim) if code_dim is None else ("code_dim", code_dim)
        if any(dim != wanted[1] for dim in given):
            raise ValueError(f"encoder gives a mean and log variance of {given} dimensions; it needs {wanted[0]}={wanted[1]}.")
        conv = backbones.has_convolutions(x_body.model)
        sizes = tuple(reversed(hidden_layer_sizes))

        def x_decoder(input_dim, sizes):
            return backbones.resolve_decoder(decoder, input_dim, image_shape, n_columns, sizes, activation, conv)

        if code_dim is None:
            self.code = None
            self.top = x_body
            own = decoder is None or isinstance(decoder, str)
            units = sizes[0] if own and sizes else None
            self.bottom = x_decoder(units or latent_dim, sizes[1:] if own and units and not conv else sizes)
            self.likelihood = make_likelihood(likelihood, n_columns, self.bottom.gives, name="likelihood")
        else:
            decode = x_decoder(code_dim, tuple(reversed(code_layer_sizes)))
            self.code = CodeVAE(x_body, decode, code_dim, likelihood, n_columns, name="code")
            self.top = backbones.Body(backbones.mlp((code_dim,), hidden_layer_sizes, activation, "pi_encoder"), (code_dim,))
            units = sizes[0] if sizes else None
            body = backbones.mlp((units or latent_dim,), sizes[1:], activation, "pi_decoder")
            self.bottom = backbones.Body(body, (units or latent_dim,))
            self.likelihood = make_likelihood("gaussian", code_dim, name="code_likelihood")
        self.top_model, self.bottom_model = self.top.model, self.bottom.model
        x_out = self.bottom_model if self.code is None else self.code.decoder_model
        self.compiles = not (conv or backbones.has_convolutions(x_out))
        if self.top.gives == "gaussian":
            self.pi = keras.layers.Dense(self.n_classes, name="pi")
        else:
            self.pi = PiLayer(latent_dim, self.n_classes, name="pi_layer")
        self.merge = LabelMerge(self.n_classes, units, activation, name="merge")

    # The pieces

    def _top(self, v):
        """q(z | v) and q(y | v): mean, log variance, logits of pi."""
        out = backbones.run(self.top, v)
        if self.top.gives == "gaussian":
            features, mean, log_variance = out
            return mean, log_variance, self.pi(features)
        return self.pi(out)

    def _location(self, z, r):
        return self.likelihood(self.bottom_model(self.merge(z, r)))

    def _v(self, x):
        """What the pi layer's encoder reads of x, at the posterior mean."""
        return x if self.code is None else self.code.standardise(self.code.encode(x)[0])

    def _nats(self):
        """How many nats a row has, to the order of magnitude: one for each value the pi layer's model explains."""
        return float(self.likelihood.n_columns) if self.code is None else tf.reduce_sum(self.code.active)

    # Training

    def stages(self):
        joint = self._joint_terms
        if self.code is None:
            return [Stage("train", {"loss": (joint, [self])}, compiles=self.compiles)]
        layers = [self.top_model, self.bottom_model, self.pi, self.merge, self.likelihood]
        prepare = {"labeled_rows": False, "prepares": True, "compiles": self.compiles}
        return [
            Stage("pretrain", {"loss": (self._code_terms, [self.code])}, 0.4, **prepare),
            Stage("semi-supervised", {"loss": (self._latent_terms, layers)}, 0.3, compiles=self.compiles),
            Stage("together", {"loss": (joint, [self])}, 0.3, learning_rate=0.25, compiles=self.compiles),
        ]

    def end_stage(self, name, encoded):
        if name != "pretrain":
            return
        codes = inference.run(self, "_code_mean", encoded)
        spread = codes.std(axis=0)
        active = spread > 0.1  # the KL term has closed the others: their posterior is the prior
        active[np.argsort(spread)[-self.latent_dim :]] = True  # but labels must get through even where all collapsed
        self.code.shift.assign(codes.mean(axis=0))
        self.code.spread.assign(np.where(active, np.maximum(spread, 0.1), 1.0))
        self.code.active.assign(active.astype(np.float32))

    def _code_mean(self, x, observed):
        return self.code.encode(x)[0]

    def class_variables(self):
        pi = self.pi if self.top.gives == "gaussian" else self.pi.pi
        return [(pi.kernel, 1), (pi.bias, 0), (self.merge.shift, 0), (self.class_usage, 0)]

    def inherit(self, trained, sources):
        super().inherit(trained, sources)
        if sources != list(range(trained.n_classes)):  # how often other classes were predicted says nothing of these
            self.class_usage.assign(self.class_prior)

    @property
    def judges_labels(self):
        return self.classification_weight != 0 and super().judges_labels

    def _warm(self, share):
        return 1.0 if share == 0 else tf.minimum(self.progress / share, 1.0)

    def _log_prob(self, likelihood, batch, location):
        """log p(x | location) of the observed cells, summed: (rows,)."""
        by_column = likelihood.log_prob(batch["x"], location)
        return tf.reduce_sum(by_column * batch["observed"] if "observed" in batch else by_column, axis=-1)

    def _noisy(self, batch):
        """The batch as a training step sees it."""
        if self.is_testing:
            return batch
        likelihood = self.likelihood if self.code is None else self.code.likelihood
        return {**batch, "x": likelihood.noisy(batch["x"], self.uniform)}

    def _code_terms(self, batch):
        batch = self._noisy(batch)
        mean, log_variance = self.code.encode(batch["x"])
        u = mean + tf.exp(0.5 * log_variance) * self.normal(mean)
        return {
            "reconstruction": -self._log_prob(self.code.likelihood, batch, self.code.decode(u)),
            "kl_code": self._warm(self.kl_warmup) * tf.reduce_sum(terms.gaussian_kl(mean, log_variance), axis=-1),
        }

    def _latent_terms(self, batch):
        """The pi layer's terms on the codes of a VAE that stays as it is."""

        def read(x):
            return tf.stop_gradient(self._v(x))

        v = {**batch, "x": read(self._noisy(batch)["x"])}
        values, r = self._pi_terms(v)
        return values | self._label_terms(v, r, lambda mixed: mixed)

    def _joint_terms(self, batch):
        """All terms, with gradients to all layers."""
        noisy = self._noisy(batch)
        if self.code is None:
            values, r = self._pi_terms(noisy)
            return values | self._label_terms(noisy, r, self._v)
        mean, log_variance = self.code.encode(noisy["x"])
        u = mean + tf.exp(0.5 * log_variance) * self.normal(mean)
        values, r = self._pi_terms({**batch, "x": self.code.standardise(u)})
        values["code"] = values.pop("reconstruction") + self.code.negative_entropy(mean, log_variance)
        values["reconstruction"] = -self._log_prob(self.code.likelihood, noisy, self.code.decode(u))
        return values | self._label_terms(batch, r, self._v)

    def _pi_terms(self, batch):
        """The bound of p(y) p(z) p(v | z, y), with v in the batch's "x"; and the responsibilities."""
        v, codes = batch["x"], batch["y"]
        mean, log_variance, logits = self._top(v)
        z = mean + tf.exp(0.5 * log_variance) * self.normal(mean)
        r = terms.responsibilities(codes, logits)
        if self.label_input == "marginal":
            reconstruction = -tf.reduce_sum(r * self._log_prob_by_class(batch, z), axis=-1)
        else:
            reconstruction = -self._log_prob_active(batch, self._location(z, r))
        values = {
            "reconstruction": reconstruction,
            "kl_latent": self._warm(self.kl_warmup) * tf.reduce_sum(terms.gaussian_kl(mean, log_variance), axis=-1),
            "kl_label": terms.categorical_kl(r, self.log_prior),
            "classification": self._label_weight() * terms.label_cross_entropy(codes, logits),
        }
        return values, tf.stop_gradient(r)

    def _label_terms(self, batch, r, read):
        """The consistency term, where it is in use; `read` turns what is mixed into what the pi layer reads."""
        if not self.consistency_weight or self.is_testing:
            return {}
        weight = self.consistency_weight * self._nats()
        if self.stage_name != "together":  # at first, q(y) of unlabelled rows is not worth agreeing with
            weight *= self._warm(0.4)
        return {"consistency": weight * self._consistency(batch, r, read)}

    def _log_prob_active(self, batch, location):
        """log p(v | location), over the observed columns of x or the active dimensions of the code."""
        if self.code is None:
            return self._log_prob(self.likelihood, batch, location)
        return tf.reduce_sum(self.likelihood.log_prob(batch["x"], location) * self.code.active, axis=-1)

    def _log_prob_by_class(self, batch, z):
        """log p(v | z, y) for every class, from one call of the decoder: (rows, n_classes)."""
        location = self.likelihood(self.bottom_model(self.merge(z)))
        location = tf.reshape(location, (self.n_classes, -1, location.shape[-1]))
        spread = {k: v[None] for k, v in batch.items() if k in ("x", "observed")}
        return tf.transpose(self._log_prob_active(spread, location))

    def _label_weight(self):
        if self.classification_weight == "auto":
            return self._nats() * self.label_weight
        return self.classification_weight * self.label_weight

    def _consistency(self, batch, r, read):
        """Cross-entropy between the mixture of two rows' responsibilities and q(y) of the mixture of the rows."""
        x = batch["x"]
        if self.is_learning:
            mean = tf.einsum("r,rk->k", batch["weight"], r) / tf.reduce_sum(batch["weight"])
            self.class_usage.assign_add(0.01 * (mean - self.class_usage))
        r = self._aligned(r, batch["y"])
        partner = tf.argsort(self.uniform(x[:, 0]))
        share = self.uniform(x[:, :1])
        mixed = share * x + (1 - share) * tf.gather(x, partner)
        target = share * r + (1 - share) * tf.gather(r, partner)
        return -tf.reduce_sum(target * tf.nn.log_softmax(self._top(read(mixed))[2]), axis=-1)

    def _aligned(self, r, codes):
        """Responsibilities of unlabelled rows, scaled so that over all rows each class is used as often as the prior says.

        Without it, an early mistake about a whole cluster of rows confirms itself.
        """
        aligned = r * tf.exp(self.log_prior) / tf.maximum(self.class_usage, 1e-6)
        aligned /= tf.reduce_sum(aligned, axis=-1, keepdims=True)
        return tf.where((codes >= 0)[:, None], r, aligned)

    # After training: functions of rows, each row by itself

    @property
    def class_prior(self):
        """p(y), (n_classes,) array."""
        return np.exp(self.log_prior.numpy())

    def class_logits(self, x, observed):
        """Logits of q(y | x) at the posterior mean."""
        return self._top(self._v(x))[2]

    def encode(self, x, observed):
        """E[z | x]."""
        return self._top(self._v(x))[0]

    def decode(self, z, r):
        """E[x | z] with class probabilities r: the mean of the classes' means."""
        by_class = [
            self._x_mean(self._location(z, tf.one_hot(tf.fill(tf.shape(z)[:1], k), self.n_classes)))
            for k in range(self.n_classes)
        ]
        return tf.einsum("rk,krd->rd", r, tf.stack(by_class))

    def _x_mean(self, location):
        mean = self.likelihood.mean(location)
        if self.code is None:
            return mean
        u = tf.where(self.code.active > 0, self.code.unstandardise(mean), 0.0)  # the others are at the mean of their prior
        return self.code.likelihood.mean(self.code.decode(u))

    def reconstruct(self, x, observed):
        """E[x | posterior mean]: of the code where there is one, else of z, weighted by q(y | x)."""
        if self.code is not None:
            return self.code.likelihood.mean(self.code.decode(self.code.encode(x)[0]))
        mean, _, logits = self._top(x)
        return self.decode(mean, tf.nn.softmax(logits))

    def log_likelihood(self, x, observed, n_draws):
        """log of the mean importance weight, (rows,)."""
        draws = noise.normal((self.seed, 0), (n_draws, 1, self.latent_dim + self.code_dim))
        batch = {"x": x, "observed": observed}

        def log_weight(eps):
            if self.code is None:
                return self._log_weight(batch, tf.broadcast_to(eps, (tf.shape(x)[0], self.latent_dim)))
            mean, log_variance = self.code.encode(x)
            u = mean + tf.exp(0.5 * log_variance) * eps[:, self.latent_dim :]
            log_p_x = self._log_prob(self.code.likelihood, batch, self.code.decode(u))
            z_eps = tf.broadcast_to(eps[:, : self.latent_dim], (tf.shape(x)[0], self.latent_dim))
            log_p_u = self._log_weight({"x": self.code.standardise(u)}, z_eps)
            log_p_u += self.code.log_prob_inactive(u)
            return log_p_x + log_p_u - tf.reduce_sum(terms.gaussian_log_prob(u, mean, log_variance), axis=-1)

        return tf.reduce_logsumexp(tf.map_fn(log_weight, draws), axis=0) - math.log(n_draws)

    def _log_weight(self, batch, eps):
        """log sum_y p(y) p(v | z, y) p(z) / q(z | v) at z from the noise eps, (rows,)."""
        mean, log_variance, _ = self._top(batch["x"])
        z = mean + tf.exp(0.5 * log_variance) * eps
        log_p_v = tf.reduce_logsumexp(self._log_prob_by_class(batch, z) + self.log_prior, axis=-1)
        return log_p_v + tf.reduce_sum(terms.gaussian_log_prob(z) - terms.gaussian_log_prob(z, mean, log_variance), axis=-1)

    def sample(self, codes, rng, draw):
        """Rows of x of the given classes; means of p(x | z, y) unless `draw`."""
        z = tf.constant(rng.standard_normal((len(codes), self.latent_dim)), tf.float32)
        location = self._location(z, tf.one_hot(codes, self.n_classes))
        likelihood = self.likelihood
        if self.code is not None:
            v = self.likelihood.distribution(location).sample(seed=self._seed_from(rng))
            unused = tf.constant(rng.standard_normal(v.shape), tf.float32)
            u = tf.where(self.code.active > 0, self.code.unstandardise(v), unused)
            likelihood, location = self.code.likelihood, self.code.decode(u)
        if not draw:
            return likelihood.mean(location).numpy()
        return likelihood.distribution(location).sample(seed=self._seed_from(rng)).numpy()

    @staticmethod
    def _seed_from(rng):
        return tf.constant(rng.randint(2**31 - 1, size=2), tf.int32)


class SemiSupervisedVAE(LabelPredictorMixin, GenerativeEstimator):
    """The pi layer on any variational autoencoder: one model from no label to all labels.

    The encoder's topmost layer gives mu, sigma and pi, the class probabilities; the decoder reads z and the class. The model
    is ``p(y) p(z) p(v | z, y)`` with ``q(z | v) q(y | v)``, where v is the row x itself or, for images, the
    code u of a variational autoencoder below: ``p(y) p(z) p(u | z, y) p(x | u)`` with ``q(u | x) q(z | u) q(y | u)``.
    With r(y) the label of a row where it is known and q(y | v) where it is not, the loss of a row, in nats, is ::

        sum_y r(y) [-log p(v | z, y)] + KL[q(z | v) || p(z)] + KL[r(y) || p(y)]
            + classification_weight * rows / labelled rows * [-log q(label | v)]      (rows with a label)
            + consistency_weight * cross-entropy[mixture of two rows' r, q(y | mixture of the two rows)]

    Parameters
    ----------
    latent_dim : int, default=10
        Number of dimensions of z.
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Units of the dense layers below the pi layer; the decoder mirrors them. () gives a linear model.
    activation : str or callable, default="silu"
        Keras activation of the hidden layers.
    encoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        Body that reads x. None takes convolutions for images of 12 pixels a side or more, dense layers elsewhere. A Keras
        model gives the architecture, and is trained afresh in every fit; a callable returns the model, weights included. It
        may return features, or the outputs [mean, log variance, ...] of a variational autoencoder's encoder as it is.
    decoder : None, {"mlp", "conv"}, keras.Model or callable, default=None
        Body that reads (latent_dim,) values. If it returns as many values as a row has, they are the mean of x.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        p(x | z): Gaussian with a learned scale a column, or Bernoulli for values in [0, 1]. "auto" is Bernoulli for images
        and where all values are 0 or 1.
    label_input : {"marginal", "soft"}, default="marginal"
        "marginal": the decoder is called with every class and weighted by r. "soft": it is called once, with r itself, as in
        the paper.
    code_dim : int, None or "auto", default="auto"
        Number of dimensions of the code u. None puts the pi layer directly on the encoder of x, as in the paper. "auto"
        takes 50 for images of more than 100 pixels, unless `encoder` or `decoder` is yours, and None elsewhere: what the code
        of a table leaves out may be what its labels are about.
    code_layer_sizes : tuple of int, default=(500, 500)
        Units of the dense layers between x and the code.
    classes : None, int or array-like, default=None
        All classes, if not all have a label; an int k means 0 to k - 1. Without any label, pi clusters the rows into these.
    unlabeled : scalar, default=-1
        What stands for "no label" in y; None, NaN and pd.NA always do.
    class_prior : {"empirical", "uniform"} or array-like of shape (n_classes,), default="empirical"
        p(y). "empirical" is the labels' frequencies with one more label for every class.
    classification_weight : float or "auto", default="auto"
        Weight of the mean cross-entropy of the labels against the mean bound of a row. "auto" is the number of values that
        v has (columns, or dimensions of the code in use): a row is worth about a nat a value, and so few labels are neither
        drowned by many rows and columns nor the reverse.
    consistency_weight : float or "auto", default="auto"
        Weight of the consistency term, in units of the same number of nats. The term assumes that rows that lie together
        share a class. "auto" asks the labels: it is the agreement, from 0 for chance to 1, of each label with that of the
        nearest other labelled row (`keras_ssvae.label_statistics.label_agreement`), and 1 where classes are declared but no
        row has a label.
    kl_warmup : float, default=0.0
        Share of a stage's steps over which the weight of the latent variables' KL terms rises from 0 to 1.
    optimizer : str or keras.optimizers.Optimizer, default="adamw"
        A name ("adamw" has weight decay 1e-3), or an optimizer whose settings are copied, learning rate included.
    learning_rate : float, default=2e-3
        Learning rate; a fifth of it in the last 30 % of the steps.
    batch_size : int, default=128
        Rows a batch, labelled ones included.
    labeled_batch_size : int or "auto", default="auto"
        Labelled rows in each batch. "auto" is their share of all rows, but a third of the batch if there are so many. Weights
        keep the expectation of the loss, whatever the number.
    epochs : int or "auto", default="auto"
        Passes over the rows, all stages together. "auto" makes about 2500 steps, in 40 to 200 epochs.
    validation_fraction : float, default=0.1
        Share of the labelled and of the unlabelled rows held out with `early_stopping`.
    early_stopping : bool, default=False
        Stop a stage when the held-out rows no longer improve, and keep the best weights: by the cross-entropy of 50 or
        more held-out labels, by the bound on log p(x) otherwise.
    n_iter_no_change : int, default=10
        Epochs without improvement that early stopping waits for.
    callbacks : list of keras.callbacks.Callback, default=None
        Passed to Keras in every stage.
    augmentation : keras.layers.Layer, default=None
        Random changes that leave a row's class as it is, applied in training only, labelled and unlabelled rows alike: a Keras
        preprocessing layer, or a Sequential of several. Reads images (rows, height, width, channels), with values from 0 to
        1 where the likelihood is Bernoulli, or rows of scaled columns. A copy with a seed of ours is used.
    jit_compile : bool or "auto", default="auto"
        Whether XLA compiles the training step. "auto" decides by the number of steps, and runs a handful eagerly.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit, with new labels, rows or classes; the scaling stays.
    verbose : int, default=0
        As in Keras: 0 is silent, 1 a progress bar, 2 a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of weights, order and noise. The same seed and rows give the same model.

    Attributes
    ----------
    classes_ : (n_labels,) array
        The labels, sorted; never the mark of unlabelled rows.
    network_ : SemiSupervisedVAENetwork
        The trained Keras model.
    history_ : DataFrame
        One row an epoch: "stage", "loss" and its terms, in nats a row.
    n_iter_ : int
        Epochs run.
    table_ : Table
        Columns and scaling.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : (n_features_in_,) array
        Names of the columns, if X was a DataFrame with names.

    Notes
    -----
    Without a code there is one stage, "train". With one there are three: "pretrain" fits the lower autoencoder to all rows,
    "semi-supervised" the pi layer's model to its codes, and "together" all layers at once.

    References
    ----------
    F. Berkhahn et al. (2019), "Augmenting Variational Autoencoders with Sparse Labels", arXiv 1908.03015: the pi layer.
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, eq. 6-9: the bound.
    V. Verma et al. (2019), "Interpolation Consistency Training", arXiv 1903.03825: the consistency term; its targets are
    aligned to the class prior as in D. Berthelot et al. (2020), "ReMixMatch", arXiv 1911.09785, section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import SemiSupervisedVAE, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> y_partial = mask_labels(y, labeled=15, random_state=0)
    >>> model = SemiSupervisedVAE(latent_dim=2, random_state=0).fit(X, y_partial)
    >>> model.score(X, y) > 0.85
    True
    >>> model.transform(X).shape
    (150, 2)
    """

    _parameter_constraints = {
        **GenerativeEstimator._parameter_constraints,
        "label_input": [StrOptions({"marginal", "soft"})],
        "code_dim": [None, Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "code_layer_sizes": ["array-like"],
        "classes": [None, "array-like", Interval(numbers.Integral, 1, None, closed="left")],
        "unlabeled": "no_validation",
        "class_prior": [StrOptions({"empirical", "uniform"}), "array-like"],
        "classification_weight": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "consistency_weight": [Interval(numbers.Real, 0, None, closed="left"), StrOptions({"auto"})],
        "kl_warmup": [Interval(numbers.Real, 0, 1, closed="both")],
        "labeled_batch_size": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        latent_dim=10,
        *,
        hidden_layer_sizes=(128, 128),
        activation="silu",
        encoder=None,
        decoder=None,
        likelihood="auto",
        label_input="marginal",
        code_dim="auto",
        code_layer_sizes=(500, 500),
        classes=None,
        unlabeled=-1,
        class_prior="empirical",
        classification_weight="auto",
        consistency_weight="auto",
        kl_warmup=0.0,
        optimizer="adamw",
        learning_rate=2e-3,
        batch_size=128,
        labeled_batch_size="auto",
        epochs="auto",
        validation_fraction=0.1,
        early_stopping=False,
        n_iter_no_change=10,
        callbacks=None,
        augmentation=None,
        jit_compile="auto",
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.latent_dim = latent_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.label_input = label_input
        self.code_dim = code_dim
        self.code_layer_sizes = code_layer_sizes
        self.classes = classes
        self.unlabeled = unlabeled
        self.class_prior = class_prior
        self.classification_weight = classification_weight
        self.consistency_weight = consistency_weight
        self.kl_warmup = kl_warmup
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.labeled_batch_size = labeled_batch_size
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.augmentation = augmentation
        self.jit_compile = jit_compile
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    @classmethod
    def from_vae(cls, vae, **params):
        """A semi-supervised estimator that starts from a trained variational autoencoder.

        Parameters
        ----------
        vae : fitted SemiSupervisedVAE, or object with Keras models ``encoder`` and ``decoder``
            An estimator fitted with few labels or none: columns, scaling and all weights are taken over, and `fit` goes on
            from there. A variational autoencoder in plain Keras: its encoder returns [mean, log variance, ...] or features,
            its decoder reads the latent variables; both are copied with their weights. They should have been trained on what
            this estimator reads: images scaled to [0, 1], columns standardised.
        **params
            Parameters of the new estimator, in place of those of `vae`.

        Returns
        -------
        estimator : SemiSupervisedVAE
            With ``warm_start=True`` if `vae` is an estimator.

        Raises
        ------
        TypeError
            If `vae` is neither.
        """
        if isinstance(vae, GenerativeEstimator):
            check_is_fitted(vae)
            estimator = copy.deepcopy(vae)
            return estimator.set_params(**{"warm_start": True, **params})
        if all(isinstance(getattr(vae, part, None), keras.Model) for part in ("encoder", "decoder")):
            bodies = {part: backbones.Pretrained(getattr(vae, part)) for part in ("encoder", "decoder")}
            return cls(**{"latent_dim": vae.decoder.input_shape[-1], **bodies, **params})
        raise TypeError(
            "vae must be a fitted keras_ssvae estimator or have Keras models as `encoder` and `decoder`; got "
            f"{type(vae).__name__}."
        )

    _network_params = (
        "latent_dim",
        "hidden_layer_sizes",
        "code_layer_sizes",
        "activation",
        "encoder",
        "decoder",
        "label_input",
        "code_dim",
        "class_prior",
        "classification_weight",
        "consistency_weight",
        "kl_warmup",
    )

    @staticmethod
    def _make_network(params, table, summary, seed):
        consistency = params["consistency_weight"]
        sizes = {name: tuple(params[name]) for name in ("hidden_layer_sizes", "code_layer_sizes")}
        own = all(body is None or isinstance(body, str) for body in (params["encoder"], params["decoder"]))
        code_dim = params["code_dim"]
        if code_dim == "auto":
            code_dim = min(50, table.n_columns_ // 4) if own and table.image_shape_ and table.n_columns_ > 100 else None
        resolved = {
            "likelihood": table.likelihood_,
            "class_prior": class_prior(params["class_prior"], summary.class_weight),
            "code_dim": code_dim,
            "consistency_weight": summary.agreement if consistency == "auto" else consistency,
            **sizes,
        }
        return SemiSupervisedVAENetwork(
            seed,
            n_columns=table.n_columns_,
            image_shape=table.image_shape_,
            label_weight=summary.rows_per_label,
            **{**params, **resolved},
        )
