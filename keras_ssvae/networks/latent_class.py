"""Networks with a class and latent variables below it, p(y) p(z) p(v | z, y), where v is a row or the code of a row.

To define such a family, subclass `LatentClassNetwork` and say what q is: ``_make_posterior``, ``_bound``, ``_logits``,
``_latent_mean`` and ``_log_weight``.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.networks import inference
from keras_ssvae.networks.base import Stage
from keras_ssvae.networks.classifier import ClassifierNetwork
from keras_ssvae.networks.lower_vae import LowerVAE
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import GaussianHead, LabelMerge

__all__ = ["ClassConditionalNetwork", "ClassPart", "LatentClassNetwork"]


@dataclasses.dataclass
class ClassPart:
    """Rows of a batch, one after the other, that are decoded with equally many classes each.

    Attributes
    ----------
    size : int
        Number of rows; -1 for those that are left.
    classes : (count, rows) integer tensor or None
        The classes of each row; None: all of them.
    count : int
        Number of classes of each row.
    mean : function
        Values (count, rows) of these classes -> their mean over the responsibilities, (rows,).
    """

    size: int
    classes: tf.Tensor | None
    count: int
    mean: object


class LatentClassNetwork(ClassifierNetwork):
    """p(y) p(z) p(v | z, y); v is x itself, or the code of a VAE below it.

    With a code, the model is p(y) p(z) p(u | z, y) p(x | u), with q(u | x), and all that q says of z and y reads the mean of
    q(u | x).

    Parameters
    ----------
    seed : int
        Seed of the noise.
    table : TablePreprocessor
        Kinds and scaling of the columns of x.
    latent_dim : int
        Number of dimensions of z.
    hidden_layer_sizes, activation, encoder, decoder
        As in the estimators.
    code_dim : int or None, default=None
        Number of dimensions of the code.
    code_layer_sizes : tuple of int, default=()
        Units of the dense layers between x and the code.
    **kwargs
        As in `ClassifierNetwork`.
    """

    def __init__(
        self, seed, *, table, latent_dim, hidden_layer_sizes, activation, encoder, decoder, code_dim=None, code_layer_sizes=(),
        **kwargs,
    ):  # fmt: skip
        super().__init__(seed, table=table, **kwargs)
        self.latent_dim = latent_dim
        self.code_dim = code_dim or 0
        self.activation = activation
        wanted = ("latent_dim", latent_dim) if code_dim is None else ("code_dim", code_dim)
        x_sizes = hidden_layer_sizes if code_dim is None else code_layer_sizes
        x_body = self._encoder_body(encoder, x_sizes, activation, wanted)
        conv = backbones.has_convolutions(x_body.model)
        sizes = tuple(reversed(hidden_layer_sizes))
        if code_dim is None:
            self.code = None
            self.top = x_body
            units, self.bottom = self._split_decoder(decoder, latent_dim, sizes, activation, conv)
            self.likelihood = self.observation.after(self.bottom.gives)
        else:
            decode = self._decoder_body(decoder, code_dim, tuple(reversed(code_layer_sizes)), activation, conv)
            self.code = LowerVAE(x_body, decode, code_dim, self.observation.after(decode.gives), name="code")
            self.top = backbones.Body(backbones.mlp((code_dim,), hidden_layer_sizes, activation, "pi_encoder"), (code_dim,))
            units = sizes[0] if sizes else None
            body = backbones.mlp((units or latent_dim,), sizes[1:], activation, "pi_decoder")
            self.bottom = backbones.Body(body, (units or latent_dim,))
            self.likelihood = MixedLikelihood.gaussian(code_dim, name="code_likelihood").after("features")
        self.top_model, self.bottom_model = self.top.model, self.bottom.model
        x_out = self.bottom_model if self.code is None else self.code.decoder_model
        self.compiles = not (conv or backbones.has_convolutions(x_out))
        self._make_posterior(units)
        self.merge = LabelMerge(self.n_classes, units, activation, name="merge")

    # What a family defines

    def _make_posterior(self, units):
        """Make the layers of q(y, z | v), as attributes; `units` is the width of the layer that joins z and y, if any."""
        raise TypeError(f"{type(self).__name__} defines no _make_posterior")

    def _bound(self, inputs, target, codes):
        """The addends of the negative bound on log p(v, y), with v in the target's "x"; the logits of q(y | v), and r."""
        raise TypeError(f"{type(self).__name__} defines no _bound")

    def _latent_mean(self, inputs):
        """E[z | v], (rows, latent_dim)."""
        raise TypeError(f"{type(self).__name__} defines no _latent_mean")

    def _log_weight(self, inputs, target, eps):
        """log of an unbiased estimate of p(v) from the noise eps of z, (rows,)."""
        raise TypeError(f"{type(self).__name__} defines no _log_weight")

    def _top_layers(self):
        """The layers of q(y, z | v)."""
        raise TypeError(f"{type(self).__name__} defines no _top_layers")

    # The pieces

    def _location(self, z, r):
        return self.likelihood(self.bottom_model(self.merge(z, r)))

    def _v(self, inputs):
        """What the encoder of z and y reads, at the posterior mean."""
        return inputs if self.code is None else self.code.standardise(self.code.encode(inputs)[0])

    def _nats(self):
        """One for each value that the model with classes explains."""
        return float(self.likelihood.n_columns) if self.code is None else tf.reduce_sum(self.code.active)

    def _log_prob_active(self, target, location):
        """log p(v | location), over the observed columns of x or the active dimensions of the code."""
        if self.code is None:
            return super()._log_prob_active(target, location)
        return tf.reduce_sum(self.likelihood.log_prob(target["x"], location) * self.code.active, axis=-1)

    def _parts(self, codes, r, choose=None):
        """Labelled rows, where it is known which these are, with their class alone, and the rest with all or some classes.

        Parameters
        ----------
        codes : (rows,) tensor
            Class codes.
        r : (rows, n_classes) tensor
            Responsibilities.
        choose : function or None
            Slice of rows -> `ClassChoice` of these rows; None takes all classes.

        Returns
        -------
        list of ClassPart
        """
        if self.knows_classes:
            return [ClassPart(-1, codes[None], 1, lambda values: values[0])]
        n, parts = self.n_known, []
        if n:
            parts, r = [ClassPart(n, codes[None, :n], 1, lambda values: values[0])], tf.split(r, [n, -1])[1]
        if choose is None:
            weights = tf.transpose(r)
            return [*parts, ClassPart(-1, None, self.n_classes, lambda values: tf.reduce_sum(weights * values, axis=0))]
        choice = choose(slice(n, None))
        return [*parts, ClassPart(-1, choice.classes, choice.classes.shape[0], choice.sum)]

    @staticmethod
    def _by_part(parts, values):
        """A tensor of rows by part."""
        return [values] if len(parts) == 1 else tf.split(values, [part.size for part in parts])

    def _averaged(self, parts, values):
        """The means over classes, (rows,), of values by part, (count, rows) each."""
        means = [part.mean(v) for part, v in zip(parts, values, strict=True)]
        return means[0] if len(means) == 1 else tf.concat(means, axis=0)

    def _log_prob_of_parts(self, parts, target, merged):
        """log p(v | z, y) by part, (count, rows) each, from one call of the decoder on z and y joined."""
        if len(parts) == 1:
            locations = [self.likelihood(self.bottom_model(merged[0]))]
        else:
            location = self.likelihood(self.bottom_model(tf.concat(merged, axis=0)))
            locations = tf.split(location, [rows.shape[0] for rows in merged])
        read = {name: self._by_part(parts, target[name]) for name in ("x", "observed") if name in target}
        return [
            self._log_prob_stacked({name: values[i] for name, values in read.items()}, location)
            for i, location in enumerate(locations)
        ]

    # Training

    def stages(self):
        joint = self._joint_terms
        if self.code is None:
            return [Stage("train", {"loss": (joint, [self])}, compiles=self.compiles)]
        layers = [*self._top_layers(), self.bottom_model, self.merge, self.likelihood]
        prepare = {"labeled_rows": False, "prepares": True, "compiles": self.compiles}
        return [
            Stage("pretrain", {"loss": (self._code_terms, [self.code])}, 0.4, **prepare),
            Stage("semi-supervised", {"loss": (self._latent_terms, layers)}, 0.4, compiles=self.compiles),
            Stage(
                "together", {"loss": (joint, [self])}, 0.2, learning_rate=0.25, continues=True, compiles=self.compiles
            ),
        ]  # fmt: skip

    def end_stage(self, name, sample):
        if name == "pretrain":
            self._standardise_code(sample())
        if name == "semi-supervised":
            self._widen_code(sample())

    def _widen_code(self, encoded):
        """From here on p(u | z, y) is to explain draws of the code, not means: add the noise to its variance."""
        noise = inference.run(self, "_code_variance", encoded).mean(axis=0) / np.square(self.code.spread.numpy())
        (likelihood,) = self.likelihood.parts
        likelihood.set_scale(np.sqrt(np.square(likelihood.scale().numpy()) + noise))

    def _standardise_code(self, encoded):
        codes = inference.run(self, "_code_mean", encoded)
        spread = codes.std(axis=0)
        active = spread > 0.1  # the KL term has closed the others: their posterior is the prior
        active[np.argsort(spread)[-self.latent_dim :]] = True  # but labels must get through even where all collapsed
        self.code.shift.assign(codes.mean(axis=0))
        self.code.spread.assign(np.where(active, np.maximum(spread, 0.1), 1.0))
        self.code.active.assign(active.astype(np.float32))

    def _code_mean(self, x, observed):
        return self.code.encode(self.observation.features(x, observed))[0]

    def _code_variance(self, x, observed):
        return tf.exp(self.code.encode(self.observation.features(x, observed))[1])

    def class_variables(self):
        return [(self.merge.shift, 0), *super().class_variables()]

    def _code_terms(self, batch):
        """The terms of the VAE of the code alone."""
        batch = self._seen(batch)
        mean, log_variance = self.code.encode(batch["inputs"])
        u = self._draw(mean, log_variance)
        return {
            "reconstruction": -self._log_prob(self.code.likelihood, batch, self.code.decode(u)),
            "kl_code": self._kl_latent(mean, log_variance),
        }

    def _latent_terms(self, batch):
        """The terms of z and y on the codes of a VAE that stays as it is."""
        seen = self._seen(batch)
        v = tf.stop_gradient(self._v(seen["inputs"]))
        values, r = self._bound_terms(v, {"x": v}, batch["y"])
        return values | self._label_terms(batch, r, lambda: tf.stop_gradient(self._v(seen["view"])))

    def _joint_terms(self, batch):
        """All terms, with gradients to all layers."""
        seen = self._seen(batch)
        if self.code is None:
            values, r = self._bound_terms(seen["inputs"], seen, batch["y"])
            return values | self._label_terms(batch, r, lambda: seen["view"])
        mean, log_variance = self.code.encode(seen["inputs"])
        u = self._draw(mean, log_variance)
        values, r = self._bound_terms(self.code.standardise(mean), {"x": self.code.standardise(u)}, batch["y"])
        values["code"] = values.pop("reconstruction") + self.code.negative_entropy(mean, log_variance)
        values["reconstruction"] = -self._log_prob(self.code.likelihood, seen, self.code.decode(u))
        return values | self._label_terms(batch, r, lambda: self._v(seen["view"]))

    def _bound_terms(self, inputs, target, codes):
        """The bound and the cross-entropy of the labels; and the responsibilities."""
        values, logits, r = self._bound(inputs, target, codes)
        return {**values, "classification": self._classification(codes, logits)}, r

    # After training: functions of rows, each row by itself

    def _read(self, x, observed):
        """What the encoder of z and y reads of rows."""
        return self._v(self.observation.features(x, observed))

    def class_logits(self, x, observed):
        """Logits of q(y | x) at the posterior mean."""
        return self._logits(self._read(x, observed))

    def encode(self, x, observed):
        """E[z | x]."""
        return self._latent_mean(self._read(x, observed))

    def decode(self, z, r):
        """E[x | z] with class probabilities r."""
        return self._mix([z] * self.n_classes, r)

    def _mix(self, z_by_class, r):
        """The mean over classes, weighted by r, of E[x | z, y]."""
        by_class = [
            self._expectation_at(self._location(z, tf.one_hot(tf.fill(tf.shape(z)[:1], k), self.n_classes)))
            for k, z in enumerate(z_by_class)
        ]
        return self._mean_over_classes(tf.stack(by_class), r)

    def _expectation_at(self, location):
        if self.code is None:
            return self.observation.expectation(location)
        v = self.likelihood.mean(location)
        u = tf.where(self.code.active > 0, self.code.unstandardise(v), 0.0)  # the others are at the mean of their prior
        return self.observation.expectation(self.code.decode(u))

    def reconstruct(self, x, observed):
        """E[x | posterior mean]: of the code where there is one, else of z, weighted by q(y | x)."""
        if self.code is not None:
            return self.observation.mean(self.code.decode(self._code_mean(x, observed)))
        return self._reconstruct(self._read(x, observed))

    def _reconstruct(self, inputs):
        return self.decode(self._latent_mean(inputs), tf.nn.softmax(self._logits(inputs)))

    def log_likelihood(self, x, observed, n_draws):
        """log of the mean importance weight, (rows,)."""
        batch, inputs = {"x": x, "observed": observed}, self.observation.features(x, observed)

        def log_weight(eps):
            if self.code is None:
                return self._log_weight(inputs, batch, tf.broadcast_to(eps, (tf.shape(x)[0], self.latent_dim)))
            mean, log_variance = self.code.encode(inputs)
            u = losses.gaussian_draw(mean, log_variance, eps[:, self.latent_dim :])
            log_p_x = self._log_prob(self.code.likelihood, batch, self.code.decode(u))
            z_eps = tf.broadcast_to(eps[:, : self.latent_dim], (tf.shape(x)[0], self.latent_dim))
            log_p_u = self._log_weight(self.code.standardise(mean), {"x": self.code.standardise(u)}, z_eps)
            log_p_u += self.code.log_prob_inactive(u)
            return log_p_x + log_p_u - tf.reduce_sum(losses.gaussian_log_prob(u, mean, log_variance), axis=-1)

        return self._log_mean_weight(log_weight, n_draws, self.latent_dim + self.code_dim)

    def sample(self, codes, rng, as_means):
        """Rows of x of the given classes: draws, but means of p(x | z, y) in the columns where `as_means` is true."""
        location = self._drawn_location(codes, rng) if self.code is None else self.code.decode(self._drawn_code(codes, rng))
        return self._draw_rows(location, rng, as_means)

    def _drawn_location(self, codes, rng):
        """The parameters of p(v | z, y) at draws of z."""
        return self._location(self._latent_draw(rng, len(codes), self.latent_dim), tf.one_hot(codes, self.n_classes))

    def _drawn_code(self, codes, rng):
        """Draws of u from p(u | y), (rows, code_dim)."""
        v = self.likelihood.draw(self._drawn_location(codes, rng), self._seeds(rng))
        unused = self._latent_draw(rng, *v.shape)
        return tf.where(self.code.active > 0, self.code.unstandardise(v), unused)


class ClassConditionalNetwork(LatentClassNetwork):
    """A `LatentClassNetwork` with q(z | v, y), for families that say what q(y | v) is.

    All that does not depend on the class is computed once: the features of v, and the part of the layer that joins them with y.
    """

    def _make_posterior(self, units):
        self.latent_merge = LabelMerge(self.n_classes, units, self.activation, name="latent_merge")
        self.latent_head = GaussianHead(self.latent_dim, name="latent")

    def _top_layers(self):
        return [self.top_model, self.latent_merge, self.latent_head]

    def class_variables(self):
        return [(self.latent_merge.shift, 0), *super().class_variables()]

    def _features(self, inputs):
        out = backbones.run(self.top, inputs)
        return out[0] if self.top.gives == "gaussian" else out

    def _latents(self, features, classes=None):
        """q(z | v, y) of several classes a row, all of them by default: means and log variances, (n * rows, latent_dim)."""
        return self.latent_head(self.latent_merge(features, classes=classes))

    def _log_prob_each(self, target, z):
        """log p(v | z, y) where every class has a z of its own, (n_classes, rows)."""
        merged = self.merge(z, n_copies=self.n_classes)
        return self._log_prob_stacked(target, self.likelihood(self.bottom_model(merged)))
