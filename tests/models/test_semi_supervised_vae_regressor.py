"""SemiSupervisedVAERegressor: its density against scipy, what targets teach, and the contract of a regressor."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from instances import assert_same_weights, make, same
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.base import clone, is_regressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_ssvae as ks
from keras_ssvae.evidence import regressors
from keras_ssvae.nn import noise

Regressor = ks.SemiSupervisedVAERegressor


@pytest.fixture(scope="module")
def rows():
    """Rows of two planes, all targets, and those of every third row; targets are hundreds."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((90, 4))
    t = 300 + 100 * (X[:, 0] - X[:, 1]) + 10 * rng.standard_normal(90)
    return X, t, np.where(np.arange(90) % 3 == 0, t, np.nan)


@pytest.fixture
def few_trees(monkeypatch):
    monkeypatch.setattr(regressors, "N_TREES", 10)


@pytest.fixture(scope="module")
def fitted(rows):
    """A fitted regressor, not to be changed."""
    return make(Regressor, epochs=60).fit(rows[0], rows[2])


# The model


def test_log_likelihood_is_the_mean_weight_of_draws_of_z_and_t(fitted, rows):
    network, batch = fitted.network_, fitted.table_.encode(rows[0][:5]).joined(y=np.zeros(5, np.int32))
    batch = {name: tf.constant(values) for name, values in batch.arrays.items()}
    features, mean, log_variance = (v.numpy() for v in network.features_and_posterior(network.read(batch)))
    t_mean, t_log_variance = (v.numpy() for v in network.target_head(features))
    eps = noise.normal((network.seed, 0), (7, 1, 3)).numpy()
    z, t = mean + np.exp(log_variance / 2) * eps[..., :2], t_mean + np.exp(t_log_variance / 2) * eps[..., 2:]
    log_p = norm.logpdf(z).sum(axis=-1) + norm.logpdf(t)[..., 0]
    log_q = norm.logpdf(z, mean, np.exp(log_variance / 2)).sum(axis=-1)
    log_q += norm.logpdf(t, t_mean, np.exp(t_log_variance / 2))[..., 0]
    log_x = [network.log_prob(batch, network.location(network.joined(z[i], t[i]))).numpy() for i in range(7)]
    expected = logsumexp(log_x + log_p - log_q, axis=0) - np.log(7)
    np.testing.assert_allclose(network.log_likelihood(batch, 7), expected, rtol=1e-4)


def test_bound_at_the_means_is_that_of_z_and_t(fitted, rows):
    network, batch = fitted.network_, fitted.table_.encode(rows[0][:5])
    batch = {name: tf.constant(values) for name, values in batch.arrays.items()}
    features, mean, log_variance = (v.numpy() for v in network.features_and_posterior(network.read(batch)))
    t_mean, t_log_variance = (v.numpy() for v in network.target_head(features))
    m, v = np.hstack([mean, t_mean]), np.exp(np.hstack([log_variance, t_log_variance]))
    kl = 0.5 * (m**2 + v - 1 - np.log(v)).sum(axis=1)
    log_x = network.log_prob(batch, network.location(network.joined(mean, t_mean))).numpy()
    said = network.bound_at_mean(batch)
    np.testing.assert_allclose(said["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(said["bound"], kl - log_x, rtol=1e-4)


def batch_of(network, advice=None):
    """Two rows with a target and one without."""
    batch = {"x": tf.zeros((3, 4)), "y": tf.constant([0, 0, -1]), "target": tf.constant([1.0, -2.0, 0.0])}
    return batch if advice is None else {**batch, "advice": tf.constant(advice, tf.float32)}


def test_terms_of_the_target_are_those_of_gaussians(fitted):
    network, mean, log_variance = fitted.network_, tf.constant([[0.5]] * 3), tf.constant([[-1.0]] * 3)
    batch, scale = batch_of(network), np.exp(-0.5)
    known = -norm.logpdf([1.0, -2.0], 0.5, scale)
    np.testing.assert_allclose(network.regression(batch, mean, log_variance), [*(4 * 3 * known), 0.0], rtol=1e-5)
    kl = 0.5 * (0.5**2 + scale**2 - 1 + 1.0)
    np.testing.assert_allclose(network.kl_target(batch, mean, log_variance), [*-norm.logpdf([1.0, -2.0]), kl], rtol=1e-5)
    drawn = network.known_or_drawn(batch, mean, log_variance, tf.ones((3, 1)))
    np.testing.assert_allclose(drawn[:, 0], [1.0, -2.0, 0.5 + scale], rtol=1e-6)


def test_advised_rows_are_taught_a_gaussian_and_not_a_point(fitted):
    network, mean, log_variance = fitted.network_, tf.constant([[0.5]] * 3), tf.constant([[-1.0]] * 3)
    batch = batch_of(network, [[0.0, 0.0], [9.0, np.log(0.25)], [0.7, np.log(0.5)]])  # of the first row nobody was asked
    grid = np.linspace(-9, 9, 20_001)
    expected = [-4 * 3 * norm.logpdf(1.0, 0.5, np.exp(-0.5))]
    for taught, variance in ((-2.0, 0.25), (0.7, 0.5)):  # its own target, where it has one
        density = norm.pdf(grid, taught, np.sqrt(variance))
        expected.append(-4 * np.trapezoid(density * norm.logpdf(grid, 0.5, np.exp(-0.5)), grid))
    np.testing.assert_allclose(network.regression(batch, mean, log_variance), expected, rtol=1e-4)
    prior = -norm.logpdf([1.0, -2.0], [0.0, 9.0], [1.0, 0.5])
    np.testing.assert_allclose(network.kl_target(batch, mean, log_variance)[:2], prior, rtol=1e-5)


def test_rows_without_a_target_get_no_gradient_of_its_loss(fitted):
    network, batch = fitted.network_, batch_of(fitted.network_)
    mean = tf.Variable([[0.5]] * 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network.regression(batch, mean, tf.zeros((3, 1))))
    gradient = tape.gradient(loss, mean).numpy()[:, 0]
    assert gradient[2] == 0
    assert (gradient[:2] != 0).all()


def test_the_decoder_reads_the_target(fitted, rows):
    X, t, _ = rows
    high, low = (fitted.sample(400, y=target, random_state=0) for target in (500.0, 100.0))
    assert set(high[1]) == {500.0}
    difference = (high[0] - low[0]).mean(axis=0)
    assert difference[0] > 0.5
    assert difference[1] < -0.5


def test_a_decoder_of_the_users_starts_as_it_was(rows):
    X, _, t_partial = rows
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    model = make(Regressor, epochs=1, decoder=decoder).fit(X, t_partial)
    z = np.zeros((3, 2), np.float32)
    assert model.network_.shift.shape == (1, 2)
    assert model.inverse_transform(z, y=[100.0, 300.0, 500.0]).shape == (3, 4)
    with pytest.raises(AssertionError):  # the target moves what it reads
        np.testing.assert_allclose(*model.inverse_transform(z[:2], y=[-1e5, 1e5]))


# What is learned


def test_predictions_are_in_the_units_of_the_targets(fitted, rows):
    X, t, t_partial = rows
    hidden = np.isnan(t_partial)
    assert r2_score(t[hidden], fitted.predict(X[hidden])) > 0.7
    assert fitted.score(X, t_partial) == pytest.approx(r2_score(t[~hidden], fitted.predict(X[~hidden])))
    mean, std = fitted.predict(X, return_std=True)
    assert same(mean, fitted.predict(X))
    assert (std > 0).all()
    assert std.mean() < 0.7 * t.std()


def test_experts_teach_rows_without_a_target(rows, few_trees):
    X, t, _ = rows
    few = np.where(np.arange(90) < 12, t, np.nan)
    alone, taught = (make(Regressor, experts=experts, epochs=60).fit(X, few) for experts in (None, "auto"))
    assert alone.evidence_ is None
    assert list(taught.evidence_.columns) == ["weight", "log_loss", "r2"]
    assert taught.score(X[12:], t[12:]) > max(0.8, alone.score(X[12:], t[12:]))
    mean, std = taught.predict(X[12:], return_std=True)
    assert 0.4 < np.mean(np.abs(mean - t[12:]) < std) < 0.95


def test_order_and_weights_of_rows_with_experts(rows, few_trees):
    X, t, t_partial = rows
    settings = {"experts": "auto", "epochs": 5, "batch_size": 128}
    order = np.random.RandomState(1).permutation(90)
    first, second = make(Regressor, **settings).fit(X, t_partial), make(Regressor, **settings).fit(X[order], t_partial[order])
    np.testing.assert_allclose(second.predict(X), first.predict(X), rtol=1e-4)
    X, t, weight = X[:40], t[:40], np.random.RandomState(0).randint(0, 3, 40)
    weighted = make(Regressor, **settings).fit(X, t, sample_weight=weight)
    repeated = make(Regressor, **settings).fit(X.repeat(weight, axis=0), t.repeat(weight))
    np.testing.assert_allclose(repeated.predict(X), weighted.predict(X), rtol=1e-4)


def test_without_a_target_it_is_a_model_of_rows_that_learns_targets_later(rows):
    X, t, _ = rows
    model = make(Regressor, warm_start=True, epochs=60).fit(X)
    with pytest.raises(ValueError, match="fitted without a target"):
        model.predict(X)
    new, targets = model.sample(5, random_state=0)
    assert np.isfinite(new).all()
    assert np.isnan(targets).all()
    assert model.fit(X, t).score(X, t) > 0.7


def test_samples_have_the_targets_of_the_fit(fitted, rows):
    _, targets = fitted.sample(2000, random_state=0)
    known = rows[2][~np.isnan(rows[2])]
    assert targets.mean() == pytest.approx(known.mean(), abs=5 * known.std() / np.sqrt(2000))
    assert targets.std() == pytest.approx(known.std(), rel=0.1)


# The contract


def test_it_is_a_regressor_whose_targets_may_be_missing():
    assert is_regressor(Regressor())
    assert not Regressor().__sklearn_tags__().target_tags.required


@pytest.mark.parametrize("mark", [None, pd.NA, np.nan], ids=["None", "pd.NA", "NaN"])
def test_every_mark_of_an_unknown_target_gives_the_same_model(mark, rows):
    X, _, t_partial = rows
    y = pd.Series(t_partial, dtype=object)
    y[np.isnan(t_partial)] = mark
    assert_same_weights(make(Regressor, epochs=2).fit(X, y), make(Regressor, epochs=2).fit(X, t_partial))


def test_codes_are_z_and_the_target(fitted, rows):
    X, _, _ = rows
    Z = fitted.transform(X)
    assert Z.shape == (90, 3)
    np.testing.assert_allclose(fitted._codec.decode(Z[:, 2]), fitted.predict(X), rtol=1e-5)
    np.testing.assert_allclose(fitted.inverse_transform(Z), fitted.reconstruct(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        fitted.inverse_transform(Z[:, :2], y=fitted.predict(X)), fitted.reconstruct(X), rtol=1e-3, atol=1e-4
    )
    assert fitted.get_feature_names_out()[-1] == "semisupervisedvaeregressor_target"
    style = pickle.loads(pickle.dumps(fitted)).set_params(representation="style")
    assert same(style.transform(X), Z[:, :2])
    assert len(style.get_feature_names_out()) == 2
    with pytest.raises(ValueError, match="latent_dim=2, or 3 with the target"):
        fitted.inverse_transform(np.zeros((1, 4)))


def test_a_file_and_a_pickle_say_the_same(fitted, rows, tmp_path, few_trees):
    X, t, t_partial = rows
    advised = make(Regressor, experts="auto", epochs=2).fit(X, t_partial)
    for model in (fitted, advised):
        model.save(tmp_path / "model.ssvae")
        for again in (ks.load(tmp_path / "model.ssvae"), pickle.loads(pickle.dumps(model))):
            for ask in (
                lambda m: m.predict(X, return_std=True),
                lambda m: m.transform(X),
                lambda m: m.loss_terms(X, t_partial),
            ):
                assert same(ask(again), ask(model))
    assert again.set_params(warm_start=True, epochs=1).fit(X, t).n_iter_ == 1


def test_a_pipeline_is_searched_and_scored_without_unknown_targets(rows):
    X, _, t_partial = rows
    pipeline = make_pipeline(StandardScaler(), make(Regressor, epochs=40))
    search = GridSearchCV(pipeline, {"semisupervisedvaeregressor__latent_dim": [1, 2]}, cv=3, error_score="raise")
    search.fit(X, t_partial)
    assert search.best_score_ > 0.4


def test_rows_in_blocks(rows):
    X, t, t_partial = rows

    def blocks():
        for start in range(0, 90, 30):
            yield X[start : start + 30], t_partial[start : start + 30]

    whole = make(Regressor, epochs=2, buffer_size=100).fit(blocks)
    assert_same_weights(whole, make(Regressor, epochs=2).fit(X, t_partial))
    few = make(Regressor, epochs=40, buffer_size=20).fit(blocks)
    assert few.score(blocks) == pytest.approx(few.score(X, t_partial))
    assert few.score(X, t) > 0.5
    assert same(few.predict(blocks), few.predict(X))


def test_the_target_may_be_a_column_by_name(rows):
    X, _, t_partial = rows
    frame = pd.DataFrame(X, columns=list("abcd")).assign(t=t_partial)
    model = make(Regressor, epochs=2).fit(frame, "t")
    assert_same_weights(model, make(Regressor, epochs=2).fit(X, t_partial))
    assert model.score(frame) == pytest.approx(model.score(X, t_partial), rel=1e-5)


def test_partial_fit_keeps_the_scale_and_goes_on(rows):
    X, t, _ = rows
    model = make(Regressor).partial_fit(X[:45], t[:45])
    scale = model._codec.scale_
    for _ in range(30):
        model.partial_fit(X[45:], 5 * t[45:])
    assert model._codec.scale_ == scale
    assert model.score(X, 5 * t) > 0.5
    assert not hasattr(clone(model), "network_")


def test_early_stopping_looks_at_held_out_targets(rows):
    X, t, _ = rows
    model = make(Regressor, epochs=300, early_stopping=True, n_iter_no_change=3, validation_fraction=0.6).fit(X, t)
    assert model.n_iter_ < 300
    judged = model.history_["val_regression"]
    assert judged.idxmin() == len(judged) - 4


def test_sample_weight_of_the_score(fitted, rows):
    X, t, _ = rows
    weight = np.arange(90) < 30
    assert fitted.score(X, t, sample_weight=weight) == pytest.approx(fitted.score(X[:30], t[:30]))
    with pytest.raises(ValueError, match="at least one target"):
        fitted.score(X, np.full(90, np.nan))


@pytest.mark.parametrize("scale", [2.0**500, 2.0**-600], ids=["large", "small"])
def test_the_score_has_no_unit(scale, fitted, rows):
    X, t, _ = rows
    scaled = make(Regressor).fit(X, t * scale)
    np.testing.assert_array_equal(scaled.predict(X), make(Regressor).fit(X, t).predict(X) * scale)
    assert scaled.score(X, t * scale) == make(Regressor).fit(X, t).score(X, t) < 1


def test_several_targets_are_refused(rows):
    X, t, _ = rows
    with pytest.raises(ValueError, match="y should be a 1d array"):
        make(Regressor).fit(X, np.column_stack([t, t]))


def test_the_loss_of_a_known_target_is_less_where_it_is_right(fitted, rows):
    X, _, _ = rows
    right, wrong = fitted.predict(X), fitted.predict(X) + 500
    assert (fitted.loss_terms(X, right)["regression"] < fitted.loss_terms(X, wrong)["regression"]).all()
    assert (fitted.loss_terms(X)["regression"] == 0).all()


def test_other_targets_share_the_traced_step(rows):
    from keras_ssvae.training.step_cache import STEP_CACHE

    X, t, t_partial = rows
    STEP_CACHE.clear()
    make(Regressor).fit(X, t_partial)
    make(Regressor).fit(X[::-1], -7 * t)
    assert len(STEP_CACHE) == 1
