"""VAE: its bound by hand, several draws, the weight of the KL term; and what M1 adds."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from model_files import read_members, write_sealed
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_ssvae as ks
from keras_ssvae.nn.noise import FixedNoise

SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 3, "batch_size": 32, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).standard_normal((60, 5)) @ np.random.RandomState(1).standard_normal((5, 5))


def pieces(model, X):
    """q(z | x) and a function of z that gives log p(x | z), in NumPy."""
    network = model.network_
    x = model.table_.encode(X).x
    mean, log_variance = (t.numpy() for t in network.posterior({"inputs": tf.constant(x)}))
    scale = network.likelihood.parts[0].scale().numpy()

    def log_p(z):
        return norm(network.location(tf.constant(z, tf.float32)).numpy(), scale).logpdf(x).sum(axis=1)

    return mean, np.exp(0.5 * log_variance), log_p


def test_the_loss_is_the_negative_bound_with_a_weighted_kl_term(X):
    model = ks.VAE(beta=3.0, **SMALL).fit(X)
    mean, deviation, log_p = pieces(model, X)
    eps = FixedNoise(model.network_.seed).normal(tf.constant(mean)).numpy()
    terms = model.loss_terms(X)
    np.testing.assert_allclose(terms["reconstruction"], -log_p(mean + deviation * eps), rtol=1e-4)
    kl = 0.5 * (mean**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum(axis=1)
    np.testing.assert_allclose(terms["kl_latent"], 3.0 * kl, rtol=1e-3, atol=1e-4)


def test_the_importance_weighted_loss_is_the_log_mean_of_its_weights(X):
    model = ks.VAE(n_importance=4, **SMALL).fit(X)
    mean, deviation, log_p = pieces(model, X)
    eps = FixedNoise(model.network_.seed).normal(tf.zeros((1, 8))).numpy().reshape(4, 2)
    assert len(np.unique(eps)) == 8
    weights = []
    for e in eps:
        z = mean + deviation * e
        weights.append(log_p(z) + norm.logpdf(z).sum(axis=1) - norm(mean, deviation).logpdf(z).sum(axis=1))
    np.testing.assert_allclose(model.loss_terms(X)["bound"], -(logsumexp(weights, axis=0) - np.log(4)), rtol=1e-4)


def test_more_draws_make_the_bound_tighter(X):
    model = ks.VAE(**{**SMALL, "epochs": 40}).fit(X)
    one = []
    for seed in range(20):
        model.network_.seed = seed
        one.append(model.score_samples(X, n_draws=1).mean())
    assert np.mean(one) < model.score_samples(X, n_draws=500).mean()


def test_labels_are_not_read(X):
    plain, given = ks.VAE(**SMALL).fit(X), ks.VAE(**SMALL).fit(X, np.linspace(0, 1, 60))
    np.testing.assert_array_equal(plain.transform(X), given.transform(X))
    assert not hasattr(plain, "predict")
    assert list(plain.sample(3, random_state=0)[1]) == [-1, -1, -1]


def test_a_semi_supervised_vae_goes_on_from_a_vae(X):
    vae = ks.VAE(**{**SMALL, "epochs": 30}).fit(X)
    start = ks.SemiSupervisedVAE.from_vae(vae)
    np.testing.assert_allclose(start.transform(X), vae.transform(X), atol=1e-6)
    np.testing.assert_allclose(start.reconstruct(X), vae.reconstruct(X), rtol=1e-4, atol=1e-4)
    y = (X[:, 0] > 0).astype(int)
    model = start.set_params(epochs=1, learning_rate=1e-9).fit(X, y)
    assert list(model.classes_) == [0, 1]
    np.testing.assert_allclose(model.transform(X)[:, :2], vae.transform(X), atol=1e-4)


# M1


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    y = np.tile([0, 1, 2], 40)
    X = rng.standard_normal((120, 4)) + 6 * (y[:, None] == np.arange(4))
    return X, np.where(np.arange(120) < 30, y, -1), y


M1 = {**SMALL, "hidden_layer_sizes": (16,), "epochs": 40, "batch_size": 128, "learning_rate": 2e-2}


def test_m1_predicts_with_its_classifier_at_the_means_of_z(rows):
    X, y_partial, y = rows
    model = ks.M1(**M1).fit(X, y_partial)
    expected = model.classifier_.predict_proba(model.transform(X).astype(np.float32))
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    assert model.score(X, y) > 0.9


def test_m1_takes_any_classifier_and_leaves_it_alone(rows, tmp_path):
    X, y_partial, y = rows
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    model = ks.M1(classifier=classifier, **M1).fit(X, y_partial)
    assert not hasattr(classifier[-1], "coef_")
    assert len(model.classifier_[-1].classes_) == 3
    model.save(tmp_path / "m1.ssvae")
    again = ks.load(tmp_path / "m1.ssvae")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.get_params()["classifier"].steps[1][0] == "logisticregression"


def test_m1_clusters_where_no_class_has_a_label(rows):
    X, _, _ = rows
    model = ks.M1(classes=3, **M1).fit(X)
    assert isinstance(model.classifier_, GaussianMixture)
    assert model.predict_proba(X).shape == (120, 3)


def test_m1_remembers_the_labels_of_earlier_passes(rows):
    X, _, y = rows
    model = ks.M1(**{**M1, "epochs": 1}).partial_fit(X, np.where(y == 2, -1, y), classes=[0, 1, 2])
    for _ in range(60):
        model.partial_fit(X, np.full(120, -1))
    model.partial_fit(X[y == 2], y[y == 2])
    assert model.score(X, y) > 0.9


def test_a_file_that_names_another_class_is_refused(rows, tmp_path):
    X, y_partial, _ = rows
    ks.M1(**M1).fit(X, y_partial).save(tmp_path / "m1.ssvae")
    members = read_members(tmp_path / "m1.ssvae")
    header = members["estimator.json"]
    for module, name in (("os", "system"), ("sklearn.utils", "Bunch"), ("keras_ssvae.models.vae", "VAE")):
        other = re.sub(rb'"keras_ssvae[\w.]*", "[\w.]*SoftmaxSVC"', json.dumps([module, name])[1:-1].encode(), header)
        assert other != header
        write_sealed(tmp_path / "bad.ssvae", {**members, "estimator.json": other})
        with pytest.raises(ks.ModelFileError, match="no estimator of scikit-learn"):
            ks.load(tmp_path / "bad.ssvae")
