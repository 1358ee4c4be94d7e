"""Networks with a class and latent variables below it, p(y) p(z) p(v | z, y), where v is a row or the code of a row.

To define such a family, subclass `LatentClassNetwork` and say what q is: ``make_posterior``, ``posterior_layers``, ``bound``,
``logits``, ``latent_mean`` and ``weighted``.
"""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.networks import inference
from keras_ssvae.networks.autoencoder import as_rows, observed_log_prob, stacked
from keras_ssvae.networks.classifier import TEACH, ClassifierNetwork
from keras_ssvae.networks.lower_vae import LowerVAE
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn import backbones, losses
from keras_ssvae.nn.layers import GaussianHead, LabelMerge

__all__ = ["ClassConditionalNetwork", "LatentClassNetwork"]


@dataclasses.dataclass
class ClassPart:
    """Rows of a batch, one after the other, that are decoded with equally many classes each."""

    size: int  # number of rows; -1 for those that are left
    classes: tf.Tensor | None  # of each row, (count, rows) integers; None: all of them
    count: int  # of classes of each row
    mean: Callable  # values (count, rows) of these classes -> their mean over the responsibilities, (rows,)


class LatentClassNetwork(ClassifierNetwork):
    """p(y) p(z) p(v | z, y); v is x itself, or the code of a VAE below it.

    With a code, the model is p(y) p(z) p(u | z, y) p(x | u), with q(u | x), and all that q says of z and y reads the mean of
    q(u | x). In what `bound`, `logits`, `latent_mean` and `weighted` are given, "inputs" is what q reads of v, and "x" is v.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    code_dim : int or None, default=None
        Number of dimensions of the code.
    code_layer_sizes : tuple of int, default=()
        Units of the dense layers between x and the code.
    n_enumerated : int or None, default=None
        Number of classes of an unlabelled row over which `choice` sums; None: all.
    **kwargs
        As in `ClassifierNetwork`.
    """

    def __init__(
        self, seed: int, *, code_dim: int | None = None, code_layer_sizes: tuple = (), n_enumerated: int | None = None,
        **kwargs: typing.Any,
    ):  # fmt: skip
        super().__init__(seed, **kwargs)
        self.n_enumerated = None if n_enumerated is None or n_enumerated >= self.n_classes else n_enumerated
        self.code_dim = code_dim or 0
        if code_dim is None:
            self.lower: typing.Any = None
            self.encoder_body = self.encoder_for(self.sizes, ("latent_dim", self.latent_dim))
            units, self.decoder_body = self.split_decoder(backbones.has_convolutions(self.encoder_body.model))
            self.likelihood = self.observation.after(self.decoder_body.output_kind)
        else:
            x_encoder = self.encoder_for(code_layer_sizes, ("code_dim", code_dim))
            conv = backbones.has_convolutions(x_encoder.model)
            x_decoder = self.decoder_for(code_dim, tuple(reversed(code_layer_sizes)), conv)
            self.lower = LowerVAE(x_encoder, x_decoder, code_dim, self.observation.after(x_decoder.output_kind), name="code")
            encoder = backbones.mlp((code_dim,), self.sizes, self.activation, "pi_encoder")
            self.encoder_body = backbones.Body(encoder, (code_dim,))
            sizes = tuple(reversed(self.sizes))
            units = sizes[0] if sizes else None
            body = backbones.mlp((units or self.latent_dim,), sizes[1:], self.activation, "pi_decoder")
            self.decoder_body = backbones.Body(body, (units or self.latent_dim,))
            self.likelihood = MixedLikelihood.gaussian(code_dim, name="code_likelihood").after("features")
        self.encoder, self.decoder = self.encoder_body.model, self.decoder_body.model
        self.make_posterior(units)
        self.merge = LabelMerge(self.n_classes, units, self.activation, name="merge")

    # What a family defines

    def make_posterior(self, units: int | None) -> None:
        """Make the layers of q(y, z | v), as attributes; `units` is the width of the layer that joins z and y, if any."""
        raise TypeError(f"{type(self).__name__} defines no make_posterior")

    def posterior_layers(self) -> list:
        """The layers of q(y, z | v)."""
        raise TypeError(f"{type(self).__name__} defines no posterior_layers")

    def bound(self, seen: dict, y: tf.Tensor, step: StepContext) -> tuple[dict, tf.Tensor, tf.Tensor]:
        """The addends of the negative bound on log p(v, y), "reconstruction" among them; the logits of q(y | v), and r."""
        raise TypeError(f"{type(self).__name__} defines no bound")

    def latent_mean(self, seen: dict) -> tf.Tensor:
        """E[z | v], (rows, latent_dim)."""
        raise TypeError(f"{type(self).__name__} defines no latent_mean")

    def weighted(self, seen: dict, eps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | float, tf.Tensor]:
        """Draws of z with their importance weights, from the noise eps of z, (draws, 1, latent_dim).

        What comes back are two addends of the log weights, (k, draws, rows) for k classes of each draw and (draws, rows) for
        all of them, and the parameters of p(v | z, y), (k * draws * rows, n_parameters). `seen` may hold an "x" for each draw,
        (draws, rows, n).
        """
        raise TypeError(f"{type(self).__name__} defines no weighted")

    def log_weight(self, seen: dict, eps: tf.Tensor) -> tf.Tensor:
        """log of unbiased estimates of p(v), (draws, rows): `weighted`, summed over classes."""
        by_class, of_all, _ = self.weighted(seen, eps)
        return tf.reduce_logsumexp(by_class, axis=0) + of_all

    # The pieces

    def location(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """The parameters of p(v | z, y), with class probabilities r."""
        return self.likelihood(self.decoder(self.merge(z, r)))

    def coded(self, seen: dict) -> dict:
        """What q reads of rows of which the code is read, at its posterior mean."""
        v = self.lower.standardise(self.lower.encode(seen["inputs"])[0])
        return {**_passed_on(seen), "inputs": v, "x": v}

    def loss_scale(self) -> float | tf.Tensor:
        """One for each value that the model with classes explains."""
        return float(self.likelihood.n_columns) if self.lower is None else tf.reduce_sum(self.lower.active)

    def log_prob(self, seen: dict, location: tf.Tensor) -> tf.Tensor:
        """log p(v | location), over the observed columns of x or the active dimensions of the code."""
        if self.lower is None:
            return super().log_prob(seen, location)
        return tf.reduce_sum(self.likelihood.log_prob(seen["x"], location) * self.lower.active, axis=-1)

    def parts(self, y: tf.Tensor, r: tf.Tensor, step: StepContext, choose: Callable | None = None) -> list[ClassPart]:
        """Labelled rows, where `step` knows which these are, with their class alone, and the rest with all or some classes.

        `y` is (rows,) class indices, `r` (rows, n_classes) responsibilities; `choose`, slice of rows -> `ClassChoice` of these
        rows, says with which classes, None with all.
        """
        if step.all_labeled:
            return [ClassPart(-1, y[None], 1, lambda values: values[0])]
        n, parts = step.n_leading_labeled, []
        if n:
            parts, r = [ClassPart(n, y[None, :n], 1, lambda values: values[0])], tf.split(r, [n, -1])[1]
        if choose is None:
            weights = tf.transpose(r)
            return [*parts, ClassPart(-1, None, self.n_classes, lambda values: tf.reduce_sum(weights * values, axis=0))]
        choice = choose(slice(n, None))
        return [*parts, ClassPart(-1, choice.classes, choice.classes.shape[0], choice.sum)]

    def choice(self, r: tf.Tensor, logits: tf.Tensor, step: StepContext) -> Callable | None:
        """What `parts` is to choose classes by: the `n_enumerated` most probable ones, and one drawn as `logits` say."""
        count = self.n_enumerated
        if count is None or step.mode == "evaluate":
            return None
        noise = step.uniform(logits)
        return lambda rows: losses.choose_classes(r[rows], logits[rows], count, noise[rows])

    @staticmethod
    def by_part(parts: list[ClassPart], values: tf.Tensor) -> list[tf.Tensor]:
        """A tensor of rows by part."""
        return [values] if len(parts) == 1 else tf.split(values, [part.size for part in parts])

    def averaged(self, parts: list[ClassPart], values: list[tf.Tensor]) -> tf.Tensor:
        """The means over classes, (rows,), of values by part, (count, rows) each."""
        means = [part.mean(v) for part, v in zip(parts, values, strict=True)]
        return means[0] if len(means) == 1 else tf.concat(means, axis=0)

    def log_prob_of_parts(self, parts: list[ClassPart], seen: dict, merged: list[tf.Tensor]) -> list[tf.Tensor]:
        """log p(v | z, y) by part, (count, rows) each, from one call of the decoder on z and y joined."""
        if len(parts) == 1:
            locations = [self.likelihood(self.decoder(merged[0]))]
        else:
            location = self.likelihood(self.decoder(tf.concat(merged, axis=0)))
            locations = tf.split(location, [rows.shape[0] for rows in merged])
        read = {name: self.by_part(parts, seen[name]) for name in ("x", "observed") if name in seen}
        rows = [{name: values[i] for name, values in read.items()} for i in range(len(parts))]
        return [self.log_prob_stacked(own, location) for own, location in zip(rows, locations, strict=True)]

    # Training

    def stages(self) -> list[Stage]:
        if self.lower is None:
            teach = [Stage(TEACH, {"loss": (self.joint_terms, [self])}, 0.5, continues=True)]
            return [Stage("train", {"loss": (self.joint_terms, [self])}), *(teach if "advice" in self.held.spec else [])]
        layers = [*self.posterior_layers(), self.decoder, self.merge, self.likelihood]
        pretrain = {"loss": (self.code_terms, [self.lower])}
        return [
            Stage("pretrain", pretrain, 0.4, labeled_rows=False, prepares=True),
            Stage("semi-supervised", {"loss": (self.latent_terms, layers)}, 0.4),
            Stage("together", {"loss": (self.joint_terms, [self])}, 0.2, learning_rate=0.25, continues=True),
        ]

    def end_stage(self, name: str, sample: Callable[[], PreparedRows]) -> None:
        if name == "pretrain":
            self._standardise_code(sample())
        if name == "semi-supervised":
            self._widen_code(sample())

    def _widen_code(self, rows):
        """From here on p(u | z, y) is to explain draws of the code, not means: add the noise to its variance."""
        noise = inference.run(self, "code_variance", rows, once=True).mean(axis=0) / np.square(self.lower.spread.numpy())
        (likelihood,) = self.likelihood.parts
        likelihood.set_scale(np.sqrt(np.square(likelihood.scale().numpy()) + noise))

    def _standardise_code(self, rows):
        codes = inference.run(self, "code_mean", rows, once=True)
        spread = codes.std(axis=0)
        active = spread > 0.1  # the KL term has closed the others: their posterior is the prior
        active[np.argsort(spread)[-self.latent_dim :]] = True  # but labels must get through even where all collapsed
        self.lower.shift.assign(codes.mean(axis=0))
        self.lower.spread.assign(np.where(active, np.maximum(spread, 0.1), 1.0))
        self.lower.active.assign(active.astype(np.float32))

    def class_variables(self) -> list[tuple]:
        return [(self.merge.shift, 0), *super().class_variables()]

    def code_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """The terms of the VAE of the code alone."""
        seen = self.seen(batch, step)
        mean, log_variance = self.lower.encode(seen["inputs"])
        u = losses.gaussian_draw(mean, log_variance, step.normal(mean))
        return {
            "reconstruction": -observed_log_prob(self.lower.likelihood, seen, self.lower.decode(u)),
            "kl_code": self.kl_latent(mean, log_variance, step),
        }

    def latent_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """The terms of z and y on the codes of a VAE that stays as it is."""
        seen = self.seen(batch, step)
        values, r = self.bound_terms(_still(self.still_code(seen, step)), batch["y"], step)
        return values | self.consistency_terms(batch, r, lambda: _still(self.coded(seen["view"])), step)

    def still_code(self, seen: dict, step: StepContext) -> dict:
        """The codes that `latent_terms` reads: their means."""
        return self.coded(seen)

    def joint_terms(self, batch: dict, step: StepContext) -> dict[str, tf.Tensor]:
        """All terms, with gradients to all layers."""
        seen = self.seen(batch, step)
        if self.lower is None:
            values, r = self.bound_terms(seen, batch["y"], step)
            return values | self.consistency_terms(batch, r, lambda: self.view(batch, seen, step), step)
        mean, log_variance = self.lower.encode(seen["inputs"])
        u = losses.gaussian_draw(mean, log_variance, step.normal(mean))
        coded = {**_passed_on(seen), "inputs": self.lower.standardise(mean), "x": self.lower.standardise(u)}
        values, r = self.bound_terms(coded, batch["y"], step)
        values["code"] = values.pop("reconstruction") + self.lower.negative_entropy(mean, log_variance)
        values["reconstruction"] = -observed_log_prob(self.lower.likelihood, seen, self.lower.decode(u))
        return values | self.consistency_terms(batch, r, lambda: self.coded(seen["view"]), step)

    def view(self, batch: dict, seen: dict, step: StepContext) -> dict:
        """What consistency mixes where there is no code."""
        return seen["view"]

    def bound_terms(self, seen: dict, y: tf.Tensor, step: StepContext) -> tuple[dict, tf.Tensor]:
        """The bound and the cross-entropy of the labels; and the responsibilities."""
        values, logits, r = self.bound(seen, y, step)
        return {**values, "classification": self.told_classification(seen, y, logits, step)}, r

    # After training: functions of rows, each row by itself

    def read(self, batch: dict) -> dict:
        """What q reads of rows."""
        seen = super().read(batch)
        return seen if self.lower is None else self.coded(seen)

    def code_mean(self, batch: dict) -> tf.Tensor:
        """E[u | x]."""
        return self.lower.encode(super().read(batch)["inputs"])[0]

    def code_variance(self, batch: dict) -> tf.Tensor:
        """Var[u | x]."""
        return tf.exp(self.lower.encode(super().read(batch)["inputs"])[1])

    def encode(self, batch: dict) -> tf.Tensor:
        """E[z | x]."""
        return self.latent_mean(self.read(batch))

    def decode(self, z: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        """E[x | z] with class probabilities r."""
        return self.decoded([z] * self.n_classes, r)

    def decoded(self, z_by_class: list[tf.Tensor], r: tf.Tensor) -> tf.Tensor:
        """The mean over classes, weighted by r, of E[x | z, y]."""
        by_class = [
            self.expectation_at(self.location(z, tf.one_hot(tf.fill(tf.shape(z)[:1], k), self.n_classes)))
            for k, z in enumerate(z_by_class)
        ]
        return self.mean_over_classes(tf.stack(by_class), r)

    def expectation_at(self, location: tf.Tensor) -> tf.Tensor:
        """What may be averaged of p(x | location), through the code where there is one."""
        if self.lower is None:
            return self.observation.expectation(location)
        v = self.likelihood.mean(location)
        u = tf.where(self.lower.active > 0, self.lower.unstandardise(v), 0.0)  # the others are at the mean of their prior
        return self.observation.expectation(self.lower.decode(u))

    def reconstruct(self, batch: dict) -> tf.Tensor:
        """E[x | posterior mean]: of the code where there is one, else of z, weighted by q(y | x)."""
        if self.lower is not None:
            return self.observation.mean(self.lower.decode(self.code_mean(batch)))
        return self.reconstruction(self.read(batch))

    def reconstruction(self, seen: dict) -> tf.Tensor:
        """`reconstruct` where there is no code."""
        return self.decode(self.latent_mean(seen), tf.nn.softmax(self.logits(seen)))

    def log_likelihood(self, batch: dict, n_draws: int) -> tf.Tensor:
        """log of the mean importance weight, (rows,)."""
        seen = super().read(batch)

        def log_weight(eps):
            if self.lower is not None:
                return self._weighted_code(seen, eps)[0]
            return self.log_weight(seen, eps)

        return self.log_mean_weight(log_weight, n_draws, self.latent_dim + self.code_dim)

    def proposals(self, batch: dict) -> tuple[Callable, int]:
        seen = super().read(batch)

        def propose(eps):
            if self.lower is not None:
                return self._weighted_code(seen, eps)
            by_class, of_all, location = self.weighted(seen, eps)
            log_weight = by_class + of_all  # (classes, draws, rows)
            n_each = log_weight.shape[0] * log_weight.shape[1]
            return tf.reshape(log_weight, (n_each, -1)), stacked(location, seen["x"])

        return propose, self.latent_dim + self.code_dim

    def _weighted_code(self, seen, eps):
        """log weights of draws of the code, (draws, rows), and the parameters of p(x | u), (draws, rows, n_parameters)."""
        z_eps, u_eps = tf.split(eps, [self.latent_dim, self.code_dim], axis=-1)
        mean, log_variance = self.lower.encode(seen["inputs"])
        u = losses.gaussian_draw(mean, log_variance, u_eps)
        location = stacked(self.lower.decode(as_rows(u)), seen["x"])
        log_p_x = observed_log_prob(self.lower.likelihood, seen, location)
        coded = {**_passed_on(seen), "inputs": self.lower.standardise(mean), "x": self.lower.standardise(u)}
        log_p_u = self.log_weight(coded, z_eps) + self.lower.log_prob_inactive(u)
        return log_p_x + log_p_u - tf.reduce_sum(losses.gaussian_log_prob(u, mean, log_variance), axis=-1), location

    def sample(self, y_index: np.ndarray, rng: np.random.RandomState, as_means: np.ndarray) -> np.ndarray:
        """Rows of x of the given classes: draws, but means of p(x | z, y) in the columns where `as_means` is true."""
        coded = self.lower is not None
        location = self.lower.decode(self.drawn_code(y_index, rng)) if coded else self.drawn_location(y_index, rng)
        return self.draw_rows(location, rng, as_means)

    def drawn_location(self, y_index: np.ndarray, rng: np.random.RandomState) -> tf.Tensor:
        """The parameters of p(v | z, y) at draws of z."""
        return self.location(self.latent_draw(rng, len(y_index), self.latent_dim), tf.one_hot(y_index, self.n_classes))

    def drawn_code(self, y_index: np.ndarray, rng: np.random.RandomState) -> tf.Tensor:
        """Draws of u from p(u | y), (rows, code_dim)."""
        return self.code_at(self.drawn_location(y_index, rng), rng)

    def code_at(self, location: tf.Tensor, rng: np.random.RandomState) -> tf.Tensor:
        """Draws of u, (rows, code_dim), where p(v | z, y) has these parameters."""
        v = self.likelihood.draw(location, self.seeds(rng))
        unused = self.latent_draw(rng, *v.shape)
        return tf.where(self.lower.active > 0, self.lower.unstandardise(v), unused)


def _passed_on(seen):
    """What of a row a model of its code reads, too."""
    return {name: seen[name] for name in ("domain",) if name in seen}


def _still(coded):
    """Without gradients to what made it."""
    return tf.nest.map_structure(tf.stop_gradient, coded)


class ClassConditionalNetwork(LatentClassNetwork):
    """A `LatentClassNetwork` with q(z | v, y), for families that say what q(y | v) is.

    All that does not depend on the class is computed once: the features of v, and the part of the layer that joins them with y.
    """

    def make_posterior(self, units: int | None) -> None:
        self.latent_merge = LabelMerge(self.n_classes, units, self.activation, name="latent_merge")
        self.latent_head = GaussianHead(self.latent_dim, name="latent")

    def posterior_layers(self) -> list:
        return [self.encoder, self.latent_merge, self.latent_head]

    def class_variables(self) -> list[tuple]:
        return [(self.latent_merge.shift, 0), *super().class_variables()]

    def features(self, seen: dict) -> tf.Tensor:
        """What q(y | v) and q(z | v, y) read of v."""
        out = backbones.run(self.encoder_body, seen["inputs"])
        return out[0] if self.encoder_body.output_kind == "gaussian" else out

    def latents(self, features: tf.Tensor, classes: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z | v, y) of several classes a row, all of them by default: means and log variances, (n * rows, latent_dim)."""
        return self.latent_head(self.latent_merge(features, classes=classes))

    def log_prob_each(self, seen: dict, z: tf.Tensor) -> tf.Tensor:
        """log p(v | z, y) where every class has a z of its own, (n_classes, rows)."""
        merged = self.merge(z, n_copies=self.n_classes)
        return self.log_prob_stacked(seen, self.likelihood(self.decoder(merged)))
