"""A family of your own
====================

A family of your own: a class head on a VAE, and one more array in the batch, in forty lines outside the package.

The codes of a VAE tell classes apart better if they also have to say which column of a row is the largest. That column is the
array "peak": it is computed from the rows, and so is there for every row, with a label or without.
"""

import numbers
import os
import pickle
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

import keras_ssvae as ks
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.mixins import DensityMixin, EncoderMixin, SemiSupervisedMixin
from keras_ssvae.estimators.parameters import Interval, estimator, param
from keras_ssvae.models.vae import VAENetwork
from keras_ssvae.networks.classifier import ClassifierNetwork
from keras_ssvae.nn import losses
from keras_ssvae.nn.layers import Dense


class PeakNetwork(ClassifierNetwork, VAENetwork):
    """p(z) p(x | z), with q(z | x), and beside it q(y | E[z | x]) and q(peak | z)."""

    shares_steps = True

    def __init__(self, seed, *, peak_weight, **kwargs):
        super().__init__(seed, **kwargs)
        self.peak_weight = peak_weight
        self.class_head = Dense(self.n_classes, name="class_head")
        self.peak_head = Dense(self.observation.n_columns, name="peak_head")

    def class_variables(self):
        return [(self.class_head.kernel, 1), (self.class_head.bias, 0), *super().class_variables()]

    def logits(self, seen):
        return self.class_head(self.posterior(seen)[0])

    def loss_terms(self, batch, step):
        seen = self.seen(batch, step)
        mean, log_variance = self.posterior(seen)
        z, logits = losses.gaussian_draw(mean, log_variance, step.normal(mean)), self.class_head(mean)
        r = losses.responsibilities(batch["y"], logits)
        return {
            "reconstruction": -self.log_prob(seen, self.location(z)),
            "kl_latent": self.kl_latent(mean, log_variance, step),
            "classification": self.classification(batch["y"], logits),
            "peak": self.peak_weight * losses.label_cross_entropy(batch["peak"], self.peak_head(z)),
            **self.consistency_terms(batch, r, lambda: seen["view"], step),
        }

    def sample(self, y_index, rng, as_means):
        def draw(y_index):  # candidates, of which the first that is predicted to be of its class is taken
            z = self.latent_draw(rng, len(y_index), self.latent_dim)
            return z, self.class_head(z)

        return self.draw_rows(self.location(self.first_of_class(y_index, draw)), rng, as_means)


@estimator
class PeakClassifier(SemiSupervisedMixin, EncoderMixin, DensityMixin, GenerativeEstimator):
    """A VAE with a class head, whose codes also say which column of a row is the largest.

    Parameters
    ----------
    peak_weight : float, default=1.0
        Weight of the cross-entropy of the largest column.
    """

    peak_weight: float = param(default=1.0, accepts=[Interval(numbers.Real, 0, None, closed="left")])

    _network_class = PeakNetwork

    def _extra_arrays(self, X):
        values = np.nan_to_num(np.asarray(X, float), nan=-np.inf)
        return {"peak": values.reshape(len(values), -1).argmax(axis=1).astype(np.int32)}


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)
    y_partial = ks.mask_labels(y_train, labeled=100, random_state=0)
    model = PeakClassifier(epochs=40, verbose="auto", random_state=0).fit(X_train, y_partial)
    print(f"accuracy with 100 labels: {model.score(X_test, y_test):.3f}")
    print(f"terms of the loss: {', '.join(model.loss_terms(X_test, y_test).columns)}")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "own.ssvae")
        loaded = ks.load(Path(folder) / "own.ssvae")
    same = [np.array_equal(other.predict_proba(X_test), model.predict_proba(X_test)) for other in (loaded, copied(model))]
    print(f"saved and loaded, pickled: the same answers to the bit: {same}")

    search = GridSearchCV(
        clone(model).set_params(epochs=5),
        {"peak_weight": [0.0, 1.0]},
        cv=ks.SemiSupervisedKFold(3, random_state=0),
        scoring=ks.labeled_scorer("accuracy"),
    ).fit(X_train, y_partial)
    print(f"searched: {search.best_params_}")

    def blocks():
        for start in range(0, len(X_train), 200):
            yield X_train[start : start + 200], y_partial[start : start + 200]

    streamed = clone(model).set_params(buffer_size=400).fit(blocks)
    print(f"accuracy where 400 rows are in memory: {streamed.score(X_test, y_test):.3f}")


def copied(model):
    return pickle.loads(pickle.dumps(model))


if __name__ == "__main__":
    main()
