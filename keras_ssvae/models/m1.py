"""M1: a classifier on the latent variables of a variational autoencoder."""

import typing

import numpy as np
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.semi_supervised import SelfTrainingClassifier

from keras_ssvae._compat.sklearn import check_machines
from keras_ssvae.data.label_summary import class_prior
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import Stratum
from keras_ssvae.estimators.mixins import LabelPredictorMixin
from keras_ssvae.estimators.parameters import NOT_NEGATIVE, POSITIVE, HasMethods, StrOptions, estimator, param
from keras_ssvae.models.softmax_svc import SoftmaxSVC
from keras_ssvae.models.vae import VAE
from keras_ssvae.networks import inference
from keras_ssvae.registry import require
from keras_ssvae.seeding import seeded

__all__ = ["M1"]

MAX_LABELED = 20_000  # draws that the classifier sees
MAX_UNLABELED = 10_000
DRAWS = 10  # of a labelled row, as long as there are few
FEW = 5_000  # draws of labelled rows up to which each has more than one
KEPT = 500  # codes of each class that are kept to draw from


@estimator
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

    latent_dim: int = param(default=20, accepts=[POSITIVE], kw_only=False)
    beta: float = param(default=0.3, accepts=[NOT_NEGATIVE])
    class_prior: typing.Any = param(
        default="empirical", accepts=[StrOptions({"empirical", "uniform"}), "array-like"], role="head"
    )
    classifier: typing.Any = param(default=None, accepts=[None, HasMethods(["fit", "predict_proba"])], role="head")

    def _fit_head(self, network, data):
        rng = np.random.RandomState(network.seed)
        rows, weight, n_classes = data.rows, data.weight, data.codec.n_classes
        if data.goes_on:  # the classifier is fitted anew, to all labels that have come
            rows, weight = _after(*self._labeled_rows, rows, weight)
        labeled = rows.y >= 0
        z, z_class = _draws(network, rows, weight, rng)
        classifier = _fit_classifier(self.classifier, z, z_class, n_classes, network.seed)
        predicted = np.where(z_class >= 0, z_class, _logits(classifier, z, n_classes).argmax(axis=1))
        return {
            "classifier_": classifier,
            "_prior": class_prior(self.class_prior, np.bincount(rows.y[labeled], weight[labeled], minlength=n_classes)),
            "_codes_of_class": [z[predicted == k][:KEPT] for k in range(n_classes)],
            "_labeled_rows": (rows[labeled], weight[labeled]),
        }

    def _check_loaded(self):
        n_classes, dim = self._codec.n_classes, self._fitted_params["latent_dim"]
        prior, codes = self._prior, self._codes_of_class
        require(isinstance(prior, np.ndarray) and prior.shape == (n_classes,) and prior.dtype.kind == "f", "its prior is none")
        require((prior > 0).all() and np.isclose(prior.sum(), 1.0), "its class prior is none")
        require(isinstance(codes, list) and len(codes) == n_classes and any(map(len, codes)), "it has no codes of each class")
        for code in codes:
            numbers = isinstance(code, np.ndarray) and code.ndim == 2 and code.shape[1] == dim and code.dtype.kind == "f"
            require(numbers and np.isfinite(code).all(), "codes of a class are none")
        rows, weight = self._labeled_rows
        require(isinstance(rows, PreparedRows) and isinstance(weight, np.ndarray), "it has no labelled rows")
        require(rows.x.shape[1:] == (self.table_.n_columns_,) and weight.shape == (len(rows),), "labelled rows are none")
        inside = ((rows.y >= 0) & (rows.y < n_classes)).all()
        require(inside and np.isfinite(weight).all() and (weight > 0).all(), "labelled rows have no labels or weights")
        self._check_classifier(n_classes, dim)

    def _check_classifier(self, n_classes, dim):
        """It answers for a row of latent variables as it should; its arrays are its own affair."""
        classifier = self.classifier_
        if classifier is None:
            return
        require(hasattr(classifier, "predict_proba"), "its classifier is none")
        check_machines(classifier)
        require(classifier.n_features_in_ == dim, "its classifier reads other latent variables")
        known = getattr(classifier, "classes_", None)
        whole = known is None or isinstance(known, np.ndarray) and known.dtype.kind == "i" and known.ndim == 1
        require(whole and (known is None or set(known) <= set(range(n_classes))), "its classifier knows other classes")
        require(np.isfinite(_logits(classifier, np.zeros((1, dim)), n_classes)).all(), "its classifier gives no numbers")

    @property
    def _class_prior(self):
        return self._prior

    def _class_logits(self, X):
        rows = self._rows(X)
        self._check_has_classes()
        z = inference.run(self.network_, "encode", rows)
        return _logits(self.classifier_, z, len(self.classes_))

    def _class_indices(self, X):
        return self._class_logits(X).argmax(axis=1)

    def _draw(self, y_index, rng):
        """Rows at draws of z of their class, or of any class where none was of it."""
        everything = np.concatenate(self._codes_of_class)
        pools = [pool if len(pool) else everything for pool in self._codes_of_class]
        z = np.stack([pools[k][rng.randint(len(pools[k]))] for k in y_index])
        return self.network_.sample_at(z, rng, self.table_.graded_)


def _after(earlier, earlier_weight, rows, weight):
    """Rows after earlier ones; with marks of what was observed if either has any."""
    parts = [earlier, rows]
    if any(part.observed is not None for part in parts):
        parts = [PreparedRows(**{"observed": np.ones_like(part.x), **part.arrays}) for part in parts]
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[1].arrays}
    return PreparedRows(**arrays), np.concatenate([earlier_weight, weight])


def _draws(network, rows, weight, rng):
    """Draws of z of labelled and unlabelled rows, in proportion to their weights, with the indices of their classes."""
    order = rows.order()
    drawn = []
    for group, most, few in ((rows.y[order] >= 0, MAX_LABELED, FEW), (rows.y[order] < 0, MAX_UNLABELED, 0)):
        of_group = order[group]
        if len(of_group):
            count = max(len(of_group), round(weight[of_group].sum()))
            count = min(max(count, min(DRAWS * count, few)), most)
            drawn.append(Stratum(of_group, weight[of_group]).draw(count, rng))
    drawn = np.concatenate(drawn)
    mean, log_variance = np.split(inference.run(network, "moments", rows[drawn], once=True), 2, axis=1)
    return mean + np.exp(0.5 * log_variance) * rng.standard_normal(mean.shape), rows.y[drawn]


def _fit_classifier(classifier, z, y_index, n_classes, seed):
    """A classifier of z; clusters where classes are declared and none has a label; None with nothing to tell."""
    labeled = y_index >= 0
    if not labeled.any() and n_classes > 1:
        n_clusters = min(n_classes, len(np.unique(z, axis=0)))
        return GaussianMixture(n_clusters, reg_covar=1e-3, random_state=seed).fit(z)
    if len(np.unique(y_index[labeled])) < 2:
        return None
    if classifier is None:
        classifier = SoftmaxSVC() if labeled.all() else SelfTrainingClassifier(SoftmaxSVC())
    else:
        classifier = clone(classifier)
    if not type(classifier).__module__.startswith("sklearn.semi_supervised"):
        z, y_index = z[labeled], y_index[labeled]
    return seeded(classifier, seed).fit(z, y_index)


def _logits(classifier, z, n_classes):
    """log p(y | z) of every class, (n, n_classes)."""
    proba = np.zeros((len(z), n_classes))
    if classifier is None:
        return proba
    proba[:, getattr(classifier, "classes_", slice(getattr(classifier, "n_components", None)))] = classifier.predict_proba(z)
    return np.log(np.maximum(proba, 1e-12))
