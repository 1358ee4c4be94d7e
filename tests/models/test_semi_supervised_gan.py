"""The mathematics of SemiSupervisedGAN itself; what it shares with all families is in test_contract."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from instances import step_of, training_step
from scipy.special import log_softmax
from scipy.stats import norm

import keras_ssvae as ks
from keras_ssvae.models.semi_supervised_gan import NoisyBody, feature_matching
from keras_ssvae.networks.classifier import CANDIDATES
from keras_ssvae.nn.noise import FixedNoise, Noise

K = 3


def fitted(X, y, **settings):
    settings = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 2, "batch_size": 32, "random_state": 0, **settings}
    return ks.SemiSupervisedGAN(**settings).fit(X, y)


@pytest.fixture(scope="module")
def model(rows):
    return fitted(*rows)


def logits_of(network, inputs):
    """From the weights, with NumPy."""
    h = np.asarray(inputs)
    for layer in network.encoder.dense:
        direction, bias = (w.numpy() for w in layer.weights)
        h = np.sqrt(2) * h @ direction / np.linalg.norm(direction, axis=0) + bias
        h = h / (1 + np.exp(-h))
    kernel, bias = (w.numpy() for w in network.pi.weights)
    return h @ kernel + bias


def batch_of(model, X, y):
    x = tf.constant(model.table_.encode(X).x)
    return {"x": x, "y": tf.constant(y, tf.int32), "weight": tf.ones(len(X))}


def test_the_game_is_classification_among_the_classes_and_generated(model, rows):
    X, y = rows
    network = model.network_
    got = model.loss_terms(X, y)
    with_zero = np.column_stack([logits_of(network, model.table_.encode(X).x), np.zeros(60)])
    log_p = log_softmax(with_zero, axis=1)  # the explicit classifier of K + 1 classes
    log_real = np.log(np.exp(log_p[:, :K]).sum(axis=1))
    np.testing.assert_allclose(got["real"], -log_real, rtol=1e-4, atol=1e-6)
    # the label's probability among all K + 1, given that the row is real
    expected = np.where(y >= 0, -3 * (log_p[np.arange(60), y] - log_real), 0)
    np.testing.assert_allclose(got["classification"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.score_samples(X), log_real - log_p[:, K], rtol=1e-4, atol=1e-5)  # log D / (1 - D)
    noise = FixedNoise(network.seed)
    drawn = np.searchsorted(np.cumsum(network.class_prior)[:-1], norm.cdf(noise.normal(tf.zeros((1, 1))).numpy()[0, 0]))
    z = noise.normal(tf.zeros((1, 2)))
    generated = network.location(z, tf.one_hot([drawn], K))
    log_p = log_softmax(np.append(logits_of(network, generated)[0], 0))
    np.testing.assert_allclose(got["fake"], np.full(60, -log_p[K]), rtol=1e-4)


def test_feature_matching_by_hand():
    rng = np.random.RandomState(0)
    real, fake, weight = rng.rand(6, 4), rng.rand(6, 4), rng.rand(6)
    gap = np.average(real, axis=0, weights=weight) - np.average(fake, axis=0, weights=weight)
    got = feature_matching(*(tf.constant(v, tf.float32) for v in (real, fake, weight)))
    np.testing.assert_allclose(got, np.full(6, (gap**2).sum()), rtol=1e-4)


def test_the_generator_is_judged_by_its_features_and_its_class(model, rows):
    network, batch = model.network_, batch_of(model, *rows)
    got = {name: t.numpy() for name, t in network.generator_terms(batch, step_of(network)).items()}
    step = step_of(network)  # the same noise
    labels = network.drawn_classes(batch["x"], step)
    generated = network.generated(batch, labels, step)
    features = [network.encoder(tf.constant(v)).numpy() for v in (batch["x"], generated)]
    gap = features[0].mean(axis=0) - features[1].mean(axis=0)
    np.testing.assert_allclose(got["feature_matching"], np.full(60, (gap**2).sum()), rtol=1e-4)
    log_q = log_softmax(logits_of(network, generated), axis=1)
    np.testing.assert_allclose(got["generated_class"], -0.3 * (labels.numpy() * log_q).sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("objective", ["discriminator", "generator"])
def test_an_objective_changes_its_own_layers_only(rows, objective):
    X, y = rows
    model = fitted(X, y)
    network = model.network_
    own = {id(v) for layer in network.objectives()[objective][1] for v in layer.trainable_variables}
    before = {id(v): v.numpy().copy() for v in network.trainable_variables}
    stage = network.stages()[-1]
    alone = dataclasses.replace(stage, objectives={objective: stage.objectives[objective]})
    network.held.terms[stage.name] = []  # the loss is told alone, since other players have no terms now
    training_step(network, alone)._update(batch_of(model, X, y))
    changed = {id(v) for v in network.trainable_variables if not np.array_equal(v.numpy(), before[id(v)])}
    assert changed
    assert changed <= own


def test_no_gradient_of_the_classification_on_unlabelled_rows(model, rows):
    network = model.network_
    x = tf.constant(rows[0], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        batch = {"x": x, "y": tf.fill([60], -1), "weight": tf.ones(60)}
        term = tf.reduce_sum(network.discriminator_terms(batch, step_of(network, "build"))["classification"])
    assert float(term) == 0
    assert np.all(tape.gradient(term, x).numpy() == 0)


def test_weights_of_a_unit_have_a_fixed_norm_and_noise_comes_after_every_layer():
    keras.utils.set_random_seed(0)
    body = NoisyBody((4, 3), "linear")
    x = tf.constant(np.random.RandomState(0).standard_normal((5, 6)), tf.float32)
    clean = body(x)
    first, second = (np.sqrt(2) * v / np.linalg.norm(v, axis=0) for v in (d.direction.numpy() for d in body.dense))
    np.testing.assert_allclose(clean, x @ first @ second, rtol=1e-4, atol=1e-5)
    disturbed = body(x, disturb=lambda h: h + 1.0)
    np.testing.assert_allclose(disturbed, (x @ first + 1) @ second + 1, rtol=1e-4, atol=1e-5)
    for layer in body.dense:
        layer.direction.assign(3.0 * layer.direction)
    np.testing.assert_allclose(body(x), clean, rtol=1e-4, atol=1e-5)


def test_generated_rows_are_read_in_the_space_of_rows():
    """Probabilities for indicators, no number in a gap, and the same marks of gaps."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"a": rng.rand(40), "b": rng.choice(list("xyz"), 40), "n": rng.randint(0, 9, 40)})
    frame.loc[::3, "a"] = np.nan
    frame.loc[::4, "b"] = None
    model = fitted(frame, np.arange(40) % 2)
    encoded = model._rows(frame)[:]
    network = model.network_
    batch = {"x": tf.constant(encoded.x), "observed": tf.constant(encoded.observed)}
    real = network.observation.features(batch["x"], batch["observed"]).numpy()
    generated = network.generated(batch, tf.one_hot(np.arange(40) % 2, 2), step_of(network, noise=Noise(0))).numpy()
    assert generated.shape == real.shape
    part = next(i for i, p in enumerate(network.observation.parts) if p.n_levels == 3)
    start = sum(p.n_features for p in network.observation.parts[:part])
    indicators = slice(start, start + 3)
    given = real[:, indicators].sum(axis=1)
    np.testing.assert_allclose(generated[:, indicators].sum(axis=1), given, atol=1e-5)
    np.testing.assert_array_equal(generated[:, -2:], real[:, -2:])  # the marks
    hidden = (real[:, :start] == 0) & (encoded.observed[:, :1] == 0) if start else np.zeros((40, 0), bool)
    assert (generated[:, :start][hidden] == 0).all()


def test_a_sample_takes_the_first_candidate_of_its_class_or_the_likeliest(rows):
    network, n = fitted(*rows).network_, CANDIDATES
    z = np.random.RandomState(0).standard_normal((100 * n, 2)).astype(np.float32)
    network.pi.bias.assign([0.0, -0.5, 0.0])  # so that some rows have candidates of the class, and some none
    log_q = log_softmax(logits_of(network, network.location(tf.constant(z), tf.one_hot(np.full(100 * n, 1), K))), axis=1)
    expected = []
    for candidates, of_row in zip(log_q.reshape(100, n, K), z.reshape(100, n, 2), strict=True):
        hits = np.flatnonzero(candidates.argmax(axis=1) == 1)
        expected.append(of_row[hits[0] if len(hits) else candidates[:, 1].argmax()])
    rows_of_class = network.location(tf.constant(expected), tf.one_hot(np.full(100, 1), K))
    sample = network.sample(np.full(100, 1), np.random.RandomState(0), np.ones(len(network.drawn), bool) & ~network.drawn)
    continuous = ~network.drawn
    np.testing.assert_allclose(sample[:, continuous], network.observation.mean(rows_of_class).numpy()[:, continuous], rtol=1e-5)


def test_without_labels_it_is_a_plain_gan(rows):
    model = fitted(rows[0], None)
    got = model.loss_terms(rows[0])
    logit = logits_of(model.network_, model.table_.encode(rows[0]).x)[:, 0]
    np.testing.assert_allclose(got["real"], np.log1p(np.exp(-logit)), rtol=1e-4, atol=1e-6)
    assert (got["classification"] == 0).all()


@pytest.mark.slow
def test_the_generator_finds_the_mean_of_the_rows():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 3)) * [1, 2, 3] + [5, 0, -5]
    new, _ = fitted(X, None, hidden_layer_sizes=(32,), epochs=200, batch_size=128).sample(500, random_state=0)
    np.testing.assert_allclose(new.mean(axis=0), [5, 0, -5], atol=0.5 * 3)


def test_execution_does_not_change_results():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((64, 4)).astype(np.float32)
    y = np.where(np.arange(64) < 32, X[:, 0] > 0, -1)
    histories = {}
    for name, mode in {"graph": False, "xla": True, "eager": "auto"}.items():
        model = fitted(X, y, jit_compile=mode, callbacks=[keras.callbacks.Callback()])
        assert model.network_.run_eagerly == (name == "eager")
        histories[name] = model.history_.drop(columns="stage")
    for name in ("graph", "xla"):
        np.testing.assert_allclose(histories[name], histories["eager"], rtol=1e-4)
