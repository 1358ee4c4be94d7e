"""The mathematics of AdversarialAutoencoder itself; what it shares with all families is in test_contract."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from instances import step_of, training_step
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal, norm

import keras_ssvae as ks
from keras_ssvae.models.adversarial_autoencoder import Critic, mixture_means
from keras_ssvae.nn.noise import Noise

K = 3


def fitted(X, y, **settings):
    settings = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 2, "batch_size": 32, "random_state": 0, **settings}
    return ks.AdversarialAutoencoder(**settings).fit(X, y)


@pytest.fixture(scope="module")
def models(rows):
    return {prior: fitted(*rows, prior=prior) for prior in ("normal", "mixture")}


def batch_of(model, X, y):
    x = tf.constant(model.table_.encode(X).x)
    return {"x": x, "y": tf.constant(y, tf.int32), "weight": tf.ones(len(X))}


def code(model, X):
    """z and log q(y | x) of rows, from the weights with NumPy."""
    network = model.network_
    h = model.table_.encode(X).x
    for layer in network.encoder.layers:
        kernel, bias = (w.numpy() for w in layer.weights)
        h = h @ kernel + bias
        h = h / (1 + np.exp(-h))
    z_kernel, z_bias = (w.numpy() for w in network.z_head.weights)
    pi_kernel, pi_bias = (w.numpy() for w in network.pi.weights)
    return h @ z_kernel + z_bias, log_softmax(h @ pi_kernel + pi_bias, axis=1)


def test_loss_is_the_density_at_the_code_and_the_label(models, rows):
    X, y = rows
    model = models["normal"]
    z, log_q = code(model, X)
    r = np.where((y >= 0)[:, None], np.eye(K)[y], np.exp(log_q)).astype(np.float32)
    location = model.network_.location(tf.constant(z), tf.constant(r)).numpy()
    scale = model.network_.likelihood.parts[0].scale().numpy()
    got = model.loss_terms(X, y)
    np.testing.assert_allclose(got["reconstruction"], -norm(location, scale).logpdf(model.table_.encode(X).x).sum(1), rtol=1e-4)
    np.testing.assert_allclose(got["classification"], np.where(y >= 0, -15 * log_q[np.arange(60), y], 0), rtol=1e-4)


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_score_is_the_log_density_at_the_code_plus_that_of_the_code(models, rows, prior):
    X, _ = rows
    model = models[prior]
    z, log_q = code(model, X)
    location = model.network_.location(tf.constant(z), tf.constant(np.exp(log_q))).numpy()
    log_p_x = norm(location, model.network_.likelihood.parts[0].scale().numpy()).logpdf(model.table_.encode(X).x).sum(axis=1)
    means = mixture_means(K, 2) if prior == "mixture" else np.zeros((K, 2))
    by_class = [multivariate_normal(m).logpdf(z) + np.log(p) for m, p in zip(means, model.network_.class_prior, strict=True)]
    log_p_z = logsumexp(by_class, axis=0)
    np.testing.assert_allclose(model.score_samples(X), log_p_x + log_p_z, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_the_players_terms_are_cross_entropies_of_the_critics(models, rows, prior):
    X, y = rows
    network = models[prior].network_
    batch = batch_of(models[prior], X, y)
    rng = np.random.RandomState(0)
    draws = [rng.standard_normal((60, 1)).astype(np.float32), rng.standard_normal((60, 2)).astype(np.float32)]
    step = step_of(network, noise=Replay(draws))
    critic = {name: t.numpy() for name, t in network.critic_terms(batch, step).items()}
    encoder = {name: t.numpy() for name, t in network.regularisation_terms(batch, step).items()}
    z, log_q = code(models[prior], X)
    drawn = np.searchsorted(np.cumsum(network.class_prior)[:-1], norm.cdf(draws[0][:, 0]))
    component = np.where(y >= 0, y, drawn)
    means = mixture_means(K, 2) if prior == "mixture" else np.zeros((K, 2))
    unknown = 0 if prior == "mixture" else np.eye(K)[log_q.argmax(axis=1)]
    known = np.where((y >= 0)[:, None], np.eye(K)[y], unknown).astype(np.float32)
    prior_z = (draws[1] + means[component]).astype(np.float32)

    def probability(critic, *inputs):
        return 1 / (1 + np.exp(-critic(*map(tf.constant, inputs)).numpy()))

    c_prior, c_z = (probability(network.z_critic, v.astype(np.float32), known) for v in (prior_z, z))
    c_drawn, c_q = (probability(network.y_critic, v.astype(np.float32)) for v in (np.eye(K)[drawn], np.exp(log_q)))
    np.testing.assert_allclose(critic["critic_z"], -np.log(c_prior) - np.log(1 - c_z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(critic["critic_y"], -np.log(c_drawn) - np.log(1 - c_q), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder["regularisation_z"], -np.log(c_z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder["regularisation_y"], -np.log(c_q), rtol=1e-4, atol=1e-5)


class Replay:
    """Noise that was drawn beforehand."""

    def __init__(self, draws):
        self.draws = list(draws)

    def normal(self, like):
        return tf.constant(self.draws.pop(0))


def test_the_critic_of_z_reads_the_most_probable_class_or_under_the_mixture_the_label_alone(models):
    q, codes = tf.constant([[0.2, 0.7, 0.1], [0.2, 0.7, 0.1]]), tf.constant([-1, 2])
    np.testing.assert_array_equal(models["normal"].network_._labels_read(codes, q), [[0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(models["mixture"].network_._labels_read(codes, q), [[0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("objective", ["reconstruction", "critic", "regularisation"])
def test_an_objective_changes_its_own_layers_only(rows, objective):
    X, y = rows
    model = fitted(X, y, prior="mixture")
    network = model.network_
    own = {id(v) for layer in network.objectives()[objective][1] for v in layer.trainable_variables}
    before = {id(v): v.numpy().copy() for v in network.trainable_variables}
    stage = network.stages()[-1]
    alone = dataclasses.replace(stage, objectives={objective: stage.objectives[objective]})
    network.held.terms[stage.name] = []  # the loss is told alone, since other players have no terms now
    training_step(network, alone)._update(batch_of(model, X, y))
    changed = {id(v) for v in network.trainable_variables if not np.array_equal(v.numpy(), before[id(v)])}
    assert changed <= own
    critics = {id(v) for v in [*network.z_critic.trainable_variables, *network.y_critic.trainable_variables]}
    assert changed & critics if objective == "critic" else not changed & critics


def test_every_layer_belongs_to_a_player(models):
    network = models["mixture"].network_
    trained = {id(v) for _, layers in network.objectives().values() for layer in layers for v in layer.trainable_variables}
    assert trained == {id(v) for v in network.trainable_variables}


def test_a_critic_at_its_optimum_is_the_log_density_ratio():
    """Of N(0, 1) against N(m, 1) it is m**2 / 2 - m z (Goodfellow et al. 2014, proposition 1)."""
    from keras_ssvae.networks.adversarial import real_or_not

    keras.utils.set_random_seed(0)
    critic, m = Critic(1, (16,), "tanh"), 1.5
    critic(tf.zeros((1, 1)))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 600))
    z = tf.constant(norm.ppf((np.arange(2000) + 0.5) / 2000)[:, None], tf.float32)  # in place of draws: quantiles

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.add_n(real_or_not(critic(z), critic(z + m))))
        optimizer.apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)

    optimizer.build(critic.trainable_variables)
    for _ in range(600):
        step()
    z = np.linspace(-0.5, 2.0, 11, dtype=np.float32)[:, None]
    np.testing.assert_allclose(critic(tf.constant(z)).numpy(), m**2 / 2 - m * z[:, 0], atol=0.1)


def test_no_gradient_of_the_classification_on_unlabelled_rows(models, rows):
    network = models["normal"].network_
    x = tf.constant(rows[0], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        batch = {"x": x, "y": tf.fill([60], -1), "weight": tf.ones(60)}
        term = tf.reduce_sum(network.reconstruction_terms(batch, step_of(network, "build"))["classification"])
    assert float(term) == 0
    assert np.all(tape.gradient(term, x).numpy() == 0)


@pytest.mark.parametrize(("n_classes", "latent_dim"), [(10, 4), (3, 2), (2, 3), (5, 1)])
def test_neighbouring_means_of_the_mixture_are_four_apart(n_classes, latent_dim):
    means = mixture_means(n_classes, latent_dim)
    distance = np.linalg.norm(means[:, None] - means[None], axis=2) + 9 * np.eye(n_classes)
    np.testing.assert_allclose(distance.min(axis=1), 4)
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=1e-12)
    assert (mixture_means(1, latent_dim) == 0).all()


def test_classes_are_drawn_from_the_prior_and_samples_from_their_component(models):
    network = models["mixture"].network_
    drawn = network.drawn_classes(tf.zeros((20_000, 5)), step_of(network, noise=Noise(0))).numpy()
    error = np.sqrt(network.class_prior * (1 - network.class_prior) / 20_000)
    assert (np.abs(drawn.mean(axis=0) - network.class_prior) < 5 * error).all()
    labels = tf.one_hot([0, 1, 2], K)
    np.testing.assert_allclose(network.prior_mean(labels), mixture_means(K, 2), rtol=1e-6)


def test_decoding_without_a_label_is_the_mean_over_classes(models):
    model = models["normal"]
    Z = np.random.RandomState(0).standard_normal((6, 2))
    by_class = [model.inverse_transform(Z, y=k) for k in range(K)]
    np.testing.assert_allclose(model.inverse_transform(Z), np.tensordot(model.network_.class_prior, by_class, 1), rtol=1e-4)


@pytest.mark.slow
def test_codes_follow_the_prior_after_training():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 6)) + 0.1 * rng.standard_normal((400, 6))
    model = fitted(X, None, hidden_layer_sizes=(32,), epochs=150, batch_size=128, learning_rate=5e-3)
    Z = model.transform(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=0.35)
    np.testing.assert_allclose(np.cov(Z.T), np.eye(2), atol=0.5)


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
