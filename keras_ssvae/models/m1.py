"""M1: a classifier on the latent variables of a variational autoencoder."""

import dataclasses

import numpy as np
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils._param_validation import HasMethods

from keras_ssvae.data.label_summary import class_prior
from keras_ssvae.data.samplers import Stratum, canonical_order, named_arrays
from keras_ssvae.data.tables import PreparedRows
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.estimators.mixins import LabelPredictorMixin
from keras_ssvae.models.softmax_svc import SoftmaxSVC
from keras_ssvae.models.vae import VAE, VAENetwork
from keras_ssvae.networks import inference
from keras_ssvae.seeding import isolated_seed
from keras_ssvae.serialization import register

__all__ = ["M1", "M1Network"]

MAX_LABELED = 20_000  # draws that the classifier sees
MAX_UNLABELED = 10_000
DRAWS = 10  # of a labelled row, as long as there are few
FEW = 5_000  # draws of labelled rows up to which each has more than one
KEPT = 500  # codes of each class that are kept to draw from


class M1Network(VAENetwork):
    """The network of M1 is that of a `VAE`.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    **kwargs
        As in `VAENetwork`.
    """

    shares_steps = True


@register
@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class M1(LabelPredictorMixin, VAE):
    """M1 of Kingma et al.: a variational autoencoder of all rows, and a classifier on its latent variables.

    The model is ``p(z) p(x | z)`` with ``q(z | x)``, as in `VAE`; y is predicted from z by a classifier of scikit-learn that is
    fitted to draws of z, up to ten of each labelled row, and predicts at their means.

    Parameters
    ----------
    beta : float, default=0.3
        Weight of the KL term. Below 1 more latent variables are in use and their noise is smaller, which tells classes apart
        better; 1 gives the bound on log p(x).
    classifier : scikit-learn classifier, default=None
        With `predict_proba`; a clone is fitted to up to 20,000 draws of labelled rows, and, if it is a class of
        `sklearn.semi_supervised`, up to 10,000 of unlabelled ones, marked by -1. Classes are numbers from 0 in it. None:
        self-training with a support vector classifier.

    Attributes
    ----------
    classifier_ : scikit-learn classifier, GaussianMixture or None
        Fitted, on latent variables; a mixture of as many Gaussians as there are classes if none has a label, None if one has.

    Notes
    -----
    `sample` draws z from the posteriors of training rows of the class, by their labels and the classifier's predictions. For
    `partial_fit` the labelled rows are kept, encoded, since the classifier is fitted anew to all of them; they are part of what
    `save` and pickle write.

    References
    ----------
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, section 2,
    "Latent-feature discriminative model (M1)".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import M1, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> model = M1(latent_dim=2, random_state=0).fit(X, mask_labels(y, labeled=15, random_state=0))
    >>> model.score(X, y) > 0.8
    True
    """

    latent_dim: int = dataclasses.field(default=20, kw_only=False)
    beta: float = 0.3
    classifier: object = None

    _constraints = {"classifier": [None, HasMethods(["fit", "predict_proba"])]}

    _outside = ("classifier", "class_prior")

    _network_class = M1Network

    def _fit_beyond(self, network, encoded, codes, weight, codec, goes_on):
        rng = np.random.RandomState(network.seed)
        rows = {**named_arrays(encoded, codes), "weight": weight}
        if goes_on:  # the classifier is fitted anew, to all labels that have come
            rows = _joined(self._labeled_rows, rows)
        labeled = rows["y"] >= 0
        z, z_codes = _draws(network, rows, rng)
        classifier = _fit_classifier(self.classifier, z, z_codes, codec, network.seed)
        predicted = np.where(z_codes >= 0, z_codes, _logits(classifier, z, codec.n_classes).argmax(axis=1))
        return {
            "classifier_": classifier,
            "_prior": class_prior(
                self.class_prior, np.bincount(rows["y"][labeled], rows["weight"][labeled], minlength=codec.n_classes)
            ),
            "_codes_of_class": [z[predicted == k][:KEPT] for k in range(codec.n_classes)],
            "_labeled_rows": {name: values[labeled] for name, values in rows.items()},
        }

    @property
    def _class_prior(self):
        return self._prior

    def _class_logits(self, X):
        encoded = self._encode(X)
        self._check_has_classes()
        z = inference.run(self.network_, "encode", encoded)
        return _logits(self.classifier_, z, len(self.classes_))

    def _class_codes(self, X):
        return self._class_logits(X).argmax(axis=1)

    def _draw(self, codes, rng):
        """Rows at draws of z of their class, or of any class where none was of it."""
        everything = np.concatenate(self._codes_of_class)
        pools = [pool if len(pool) else everything for pool in self._codes_of_class]
        z = np.stack([pools[k][rng.randint(len(pools[k]))] for k in codes])
        return self.network_.sample_at(z, rng, self.table_.graded_)


def _joined(earlier, rows):
    """Rows after earlier ones; with marks of what was observed if either has any."""
    if "observed" in earlier or "observed" in rows:
        earlier, rows = ({"observed": np.ones_like(part["x"]), **part} for part in (earlier, rows))
    return {name: np.concatenate([earlier[name], values]) for name, values in rows.items()}


def _draws(network, rows, rng):
    """Draws of z of labelled and unlabelled rows, in proportion to their weights, with their class codes."""
    encoded, codes = PreparedRows(rows["x"], rows.get("observed")), rows["y"]
    order = canonical_order(encoded.x, codes, encoded.observed)
    drawn = []
    for group, most, few in ((codes[order] >= 0, MAX_LABELED, FEW), (codes[order] < 0, MAX_UNLABELED, 0)):
        of_group = order[group]
        if len(of_group):
            count = max(len(of_group), round(rows["weight"][of_group].sum()))
            count = min(max(count, min(DRAWS * count, few)), most)
            drawn.append(Stratum(of_group, rows["weight"][of_group]).draw(count, rng))
    drawn = np.concatenate(drawn)
    posterior = inference.run(network, "posterior", encoded[drawn])
    mean, log_variance = np.split(posterior, 2, axis=1)
    return mean + np.exp(0.5 * log_variance) * rng.standard_normal(mean.shape), codes[drawn]


def _fit_classifier(classifier, z, codes, codec, seed):
    """A classifier of codes of classes; clusters where classes are declared and none has a label; None with nothing to tell."""
    labeled = codes >= 0
    if not labeled.any() and codec.n_classes > 1:
        n_clusters = min(codec.n_classes, len(np.unique(z, axis=0)))
        return GaussianMixture(n_clusters, reg_covar=1e-3, random_state=seed).fit(z)
    if len(np.unique(codes[labeled])) < 2:
        return None
    if classifier is None:
        classifier = SoftmaxSVC() if labeled.all() else SelfTrainingClassifier(SoftmaxSVC())
    else:
        classifier = clone(classifier)
    if not type(classifier).__module__.startswith("sklearn.semi_supervised"):
        z, codes = z[labeled], codes[labeled]
    with isolated_seed(seed, alone=False):  # support vector machines draw from the global generator
        return classifier.fit(z, codes)


def _logits(classifier, z, n_classes):
    """log p(y | z) of every class, (n, n_classes)."""
    if classifier is None:
        return np.zeros((len(z), n_classes))
    proba = np.zeros((len(z), n_classes))
    proba[:, getattr(classifier, "classes_", slice(getattr(classifier, "n_components", None)))] = classifier.predict_proba(z)
    return np.log(np.maximum(proba, 1e-12))
