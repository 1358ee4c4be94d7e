"""M2, M1M2 and ConditionalVAE: their bounds against brute force, and the sum over some classes instead of all."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm

import keras_ssvae as ks
from keras_ssvae.nn import losses
from keras_ssvae.nn.layers import LabelMerge
from keras_ssvae.nn.noise import FixedNoise

K = 3
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 3, "batch_size": 32, "random_state": 0}


@pytest.fixture(scope="module")
def model(rows):
    return ks.M2(**SMALL).fit(*rows)


def one_hot(k, n_rows):
    return tf.one_hot(tf.fill([n_rows], k), K)


def by_hand(network, x, features, eps):
    """Of each class, one at a time: log p(x | z, y), KL[q(z | x, y) || p(z)] and log p(z) - log q(z | x, y), (rows, K) each."""
    scale = network.likelihood.parts[0].scale().numpy()
    log_p, kl, log_ratio = (np.empty((len(x), K)) for _ in range(3))
    for k in range(K):
        y = one_hot(k, len(x))
        mean, log_variance = (t.numpy() for t in network.latent_head(network.latent_merge(features, y)))
        deviation = np.exp(0.5 * log_variance)
        z = mean + deviation * eps
        log_p[:, k] = norm(network.location(tf.constant(z), y).numpy(), scale).logpdf(x).sum(axis=1)
        kl[:, k] = 0.5 * (mean**2 + deviation**2 - 1 - log_variance).sum(axis=1)
        log_ratio[:, k] = (norm.logpdf(z) - norm(mean, deviation).logpdf(z)).sum(axis=1)
    return log_p, kl, log_ratio


def fixed_noise(network):
    return FixedNoise(network.seed).normal(tf.zeros((1, network.latent_dim))).numpy()


def test_the_bound_of_m2_is_that_of_the_paper_class_by_class(model, rows):
    X, y = rows
    network, x = model.network_, model.table_.encode(X).x
    features = network.features({"inputs": tf.constant(x)})
    log_p, kl, _ = by_hand(network, x, features, fixed_noise(network))
    log_q, log_prior = log_softmax(network.pi(features).numpy(), axis=1), np.log(network.class_prior)
    bound = log_p + log_prior - kl  # Kingma et al. 2014, eq. 6
    unlabeled = (np.exp(log_q) * (bound - log_q)).sum(axis=1)  # eq. 7
    got = model.loss_terms(X, y)[["reconstruction", "kl_latent", "kl_label"]].sum(axis=1)
    np.testing.assert_allclose(got, -np.where(y >= 0, bound[np.arange(60), y], unlabeled), rtol=1e-4)


def test_the_score_of_m2_is_the_log_mean_weight_over_draws_and_classes(model, rows):
    from keras_ssvae.nn import noise

    X = rows[0][:5]
    network, x = model.network_, model.table_.encode(X).x
    features = network.features({"inputs": tf.constant(x)})
    draws = noise.normal((network.seed, 0), (7, 1, network.latent_dim)).numpy()
    weights = []
    for eps in draws:
        log_p, _, log_ratio = by_hand(network, x, features, eps)
        weights.append(logsumexp(log_p + log_ratio + np.log(network.class_prior), axis=1))
    np.testing.assert_allclose(model.score_samples(X, n_draws=7), logsumexp(weights, axis=0) - np.log(7), rtol=1e-4)


def test_the_latent_variables_of_m2_are_the_mean_over_classes(model, rows):
    X, _ = rows
    network, x = model.network_, model.table_.encode(X).x
    features = network.features({"inputs": tf.constant(x)})
    means = [network.latent_head(network.latent_merge(features, one_hot(k, 60)))[0].numpy() for k in range(K)]
    expected = np.einsum("rk,krd->rd", model.predict_proba(X), means)
    np.testing.assert_allclose(model.transform(X)[:, :2], expected, rtol=1e-4, atol=1e-5)


def test_classes_side_by_side_are_classes_one_at_a_time():
    layer, z = LabelMerge(4, 3, "tanh"), tf.constant(np.random.RandomState(0).standard_normal((5, 2)), tf.float32)
    each = [layer(z, tf.one_hot(tf.fill([5], k), 4)) for k in range(4)]
    np.testing.assert_allclose(layer(z), tf.concat(each, axis=0), rtol=1e-6)
    classes = tf.constant([[3, 0, 1, 2, 2], [1, 1, 0, 3, 0]])
    some = layer(z, classes=classes)
    expected = [[each[int(k)][row] for row, k in enumerate(line)] for line in classes.numpy()]
    np.testing.assert_allclose(some, np.reshape(expected, (10, 3)), rtol=1e-6)
    copies = layer(tf.concat([z, 2 * z], axis=0), classes=classes, n_copies=2)
    np.testing.assert_allclose(copies[:5], some[:5], rtol=1e-6)


# The sum over some classes


def test_an_estimate_over_some_classes_has_the_value_and_the_gradients_of_the_sum_over_all():
    """The expectation over the class that is drawn, computed by giving each of the others its turn."""
    rng = np.random.RandomState(0)
    n_classes, k = 6, 2
    logits = tf.constant(rng.standard_normal((4, n_classes)), tf.float32)
    slope = tf.constant(rng.standard_normal((4, n_classes)), tf.float32)
    theta = tf.constant(1.3)

    def values(theta):
        return tf.sin(theta * slope) + 3.0

    with tf.GradientTape() as tape:
        tape.watch([logits, theta])
        exact = tf.reduce_sum(tf.nn.softmax(logits) * values(theta), axis=1)
        total = tf.reduce_sum(exact)
    exact_gradients = tape.gradient(total, [logits, theta])

    q = softmax(logits.numpy(), axis=1)
    top = np.argsort(-q, axis=1)[:, :k]
    others = np.array([[c for c in range(n_classes) if c not in line] for line in top])
    mean, gradients = 0.0, [0.0, 0.0]
    for turn in range(n_classes - k):
        drawn = others[:, turn]
        noise = np.full((4, n_classes), 1e-4)
        noise[np.arange(4), drawn] = 1 - 1e-4  # the Gumbel noise that lets this class win
        chance = q[np.arange(4), drawn] / (1 - q[np.arange(4)[:, None], top].sum(axis=1))
        with tf.GradientTape() as tape:
            tape.watch([logits, theta])
            choice = losses.choose_classes(tf.nn.softmax(logits), logits, k, tf.constant(noise, tf.float32))
            np.testing.assert_array_equal(choice.classes[-1], drawn)
            each = tf.gather(values(theta), tf.transpose(choice.classes), batch_dims=1)
            estimate = choice.sum(tf.transpose(each))
            total = tf.reduce_sum(tf.constant(chance, tf.float32) * estimate)
        mean = mean + chance * estimate.numpy()
        gradients = [a + b.numpy() for a, b in zip(gradients, tape.gradient(total, [logits, theta]), strict=True)]
    np.testing.assert_allclose(mean, exact, rtol=1e-5)
    for mine, expected in zip(gradients, exact_gradients, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_the_class_is_drawn_by_its_probability():
    q = np.array([0.5, 0.1, 0.3, 0.1])
    logits = tf.constant(np.tile(np.log(q), (20000, 1)), tf.float32)
    noise = tf.constant(np.random.RandomState(0).uniform(1e-6, 1, (20000, 4)), tf.float32)
    drawn = losses.choose_classes(tf.nn.softmax(logits), logits, 1, noise).classes[-1].numpy()
    share = np.bincount(drawn, minlength=4) / 20000
    np.testing.assert_allclose(share, [0, 0.2, 0.6, 0.2], atol=5 * np.sqrt(0.25 / 20000))


def test_a_known_label_leaves_nothing_to_be_drawn():
    logits = tf.constant([[1.0, 2.0, 3.0]])
    r = losses.responsibilities(tf.constant([0]), logits)
    choice = losses.choose_classes(r, logits, 1, tf.constant([[0.5, 0.5, 0.5]]))
    assert int(choice.classes[0, 0]) == 0
    np.testing.assert_allclose(choice.sum(tf.constant([[7.0], [1e6]])), [7.0])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_m2_learns_from_some_classes(rows, jit_compile):
    X, y = rows
    settings = {**SMALL, "epochs": 30, "learning_rate": 1e-2}
    model = ks.M2(n_enumerated=1, jit_compile=jit_compile, **settings).fit(X, y)
    assert model.network_.n_enumerated == 1
    truth = np.random.RandomState(0).randint(K, size=60)
    assert model.score(X, truth) > 0.85


def test_enumerating_as_many_classes_as_there_are_is_the_exact_sum(rows):
    X, y = rows
    exact, all_classes = ks.M2(**SMALL).fit(X, y), ks.M2(n_enumerated=3, **SMALL).fit(X, y)
    np.testing.assert_array_equal(exact.predict_proba(X), all_classes.predict_proba(X))


# M1M2


def test_m1m2_trains_its_stages_one_after_the_other(rows):
    X, y = rows
    model = ks.M1M2(joint=False, **SMALL).fit(X, y)
    assert list(model.history_["stage"].unique()) == ["pretrain", "semi-supervised"]
    assert sum(stage.share for stage in model.network_.stages()) == pytest.approx(1)
    assert model.network_.code_dim == 5  # as many as columns, if those are few
    stages = {
        s.name: {id(v) for layer in s.objectives["loss"][1] for v in layer.trainable_variables} for s in model.network_.stages()
    }
    assert not stages["pretrain"] & stages["semi-supervised"]


def test_m1m2_on_draws_of_the_codes_keeps_the_variance_that_it_learned(rows):
    X, y = rows
    network = ks.M1M2(sample_codes=True, joint=False, **SMALL).fit(X, y).network_
    before = network.likelihood.parts[0].scale().numpy()
    network.end_stage("semi-supervised", None)
    np.testing.assert_array_equal(network.likelihood.parts[0].scale(), before)


def test_samples_of_m1m2_are_rows_that_it_predicts_to_be_of_the_class(rows):
    """Its code has learned little here, and a draw of p(u | z, y) is of the class asked for half of the time."""
    model = ks.M1M2(code_layer_sizes=(8,), **{**SMALL, "epochs": 120}).fit(*rows)
    network = model.network_
    codes = np.repeat(np.arange(K), 200)
    draws = super(type(network), network).drawn_code(codes, np.random.RandomState(0))
    chosen = network.drawn_code(codes, np.random.RandomState(0))

    def share(u):
        x = network.observation.mean(network.lower.decode(u))
        return np.mean(network.class_logits({"x": x, "observed": tf.ones_like(x)}).numpy().argmax(axis=1) == codes)

    assert chosen.shape == draws.shape
    assert share(draws) < 0.8
    assert share(chosen) > 0.9


# ConditionalVAE


@pytest.fixture(scope="module")
def conditional(rows):
    return ks.ConditionalVAE(**SMALL).fit(*rows)


def test_the_loss_of_the_conditional_vae_is_half_unknown_and_half_its_label_or_a_mixture(conditional, rows):
    X, y = rows
    network, x = conditional.network_, conditional.table_.encode(X).x
    features, eps = network.features({"inputs": tf.constant(x)}), fixed_noise(network)
    log_p, kl, _ = by_hand(network, x, features, eps)
    unknown = tf.zeros((60, K))
    mean, log_variance = (t.numpy() for t in network.latent_head(network.latent_merge(features, unknown)))
    location = network.location(tf.constant(mean + np.exp(0.5 * log_variance) * eps), unknown).numpy()
    free = -norm(location, network.likelihood.parts[0].scale().numpy()).logpdf(x).sum(axis=1)
    free += 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    joint = log_p - kl + np.log(network.class_prior)
    expected = 0.5 * free - 0.5 * np.where(y >= 0, joint[np.arange(60), y], logsumexp(joint, axis=1))
    got = conditional.loss_terms(X, y)[["reconstruction", "kl_latent", "kl_label"]].sum(axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_the_conditional_vae_predicts_by_bayes_rule_at_the_means(conditional, rows):
    X, _ = rows
    network, x = conditional.network_, conditional.table_.encode(X).x
    log_p, kl, _ = by_hand(network, x, network.features({"inputs": tf.constant(x)}), 0.0)
    expected = softmax((log_p - kl + np.log(network.class_prior)) / np.sqrt(5), axis=1)
    np.testing.assert_allclose(conditional.predict_proba(X), expected, rtol=1e-3, atol=1e-5)


def test_a_mixture_of_rows_is_a_row():
    from keras_ssvae.likelihoods.kinds import ColumnGroup
    from keras_ssvae.likelihoods.mixed import MixedLikelihood

    observation = MixedLikelihood([ColumnGroup("gaussian", 0, 2), ColumnGroup("categorical", 2, 3, 4)])
    x, other = tf.constant([[1.0, 2.0, 3.0]] * 500), tf.constant([[3.0, 0.0, 1.0]] * 500)
    noise = tf.constant(np.random.RandomState(0).uniform(size=(500, 1)), tf.float32)
    mixed = observation.mixed(x, other, tf.fill((500, 1), 0.25), lambda like: noise).numpy()
    np.testing.assert_allclose(mixed[:, :2], [[2.5, 0.5]] * 500)
    assert set(mixed[:, 2]) == {1.0, 3.0}
    np.testing.assert_allclose((mixed[:, 2] == 3.0).mean(), 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 500))
