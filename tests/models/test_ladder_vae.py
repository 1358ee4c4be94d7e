"""The mathematics of LadderVAE itself; what it shares with all families is in test_contract."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
from instances import step_of, training_step
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import keras_ssvae as ks
from keras_ssvae.models.ladder_vae import _level_dims
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn import noise
from keras_ssvae.nn.losses import precision_weighted, relative_gaussian_kl
from keras_ssvae.nn.noise import FixedNoise, Noise
from keras_ssvae.nn.normalization import BatchNormalization
from keras_ssvae.training.step import TrainingStep
from keras_ssvae.training.trainer import complete_stages

K = 3


def fitted(X, y, **settings):
    settings = {"latent_dim": 2, "hidden_layer_sizes": (8, 6), "epochs": 3, "batch_size": 32, "random_state": 0, **settings}
    return ks.LadderVAE(**settings).fit(X, y)


@pytest.fixture(scope="module")
def model(rows):
    return fitted(*rows)


@pytest.fixture(scope="module")
def deep(rows):
    """Three levels."""
    return fitted(*rows, hidden_layer_sizes=(9, 8, 6), level_dims=(5, 3))


# Gaussians


def gaussians(n=4, shape=(7, 3)):
    return np.random.RandomState(0).standard_normal((n, *shape)).astype(np.float32)


def test_precision_weighting_is_the_normalised_product_of_two_gaussians():
    mean, log_variance, other_mean, other_log_variance = gaussians()
    merged_mean, merged_log_variance = precision_weighted(mean, log_variance, other_mean, other_log_variance)
    variance, other_variance = np.exp(log_variance), np.exp(other_log_variance)
    expected = 1 / (1 / variance + 1 / other_variance)
    np.testing.assert_allclose(np.exp(merged_log_variance), expected, rtol=1e-5)
    np.testing.assert_allclose(merged_mean, expected * (mean / variance + other_mean / other_variance), rtol=1e-4, atol=1e-6)
    # the product of both densities, divided by the merged one, is constant
    z = np.linspace(-2, 2, 5)[:, None, None]
    log_product = norm(mean, np.sqrt(variance)).logpdf(z) + norm(other_mean, np.sqrt(other_variance)).logpdf(z)
    log_ratio = log_product - norm(merged_mean.numpy(), np.exp(0.5 * merged_log_variance.numpy())).logpdf(z)
    np.testing.assert_allclose(log_ratio, np.broadcast_to(log_ratio[:1], log_ratio.shape), atol=1e-4)


def test_precision_weighting_of_extreme_variances_keeps_the_certain_one():
    mean, log_variance = precision_weighted(tf.constant(3.0), tf.constant(-80.0), tf.constant(-5.0), tf.constant(80.0))
    assert float(mean) == 3.0
    assert float(log_variance) == pytest.approx(-80.0)


def test_relative_kl_equals_that_of_tensorflow_probability():
    import tensorflow_probability as tfp

    mean, log_variance, prior_mean, prior_log_variance = gaussians()
    p = tfp.distributions.Normal(mean, np.exp(0.5 * log_variance))
    q = tfp.distributions.Normal(prior_mean, np.exp(0.5 * prior_log_variance))
    got = relative_gaussian_kl(mean, log_variance, prior_mean, prior_log_variance)
    np.testing.assert_allclose(got, tfp.distributions.kl_divergence(p, q), rtol=1e-4, atol=1e-5)


# The bound


def onehot(k, n):
    return tf.constant(np.tile(np.eye(K, dtype=np.float32)[k], (n, 1)))


def head(layer, h):
    mean, log_variance = layer(h)
    return mean.numpy().astype(float), log_variance.numpy().astype(float)


def merged(likely, prior):
    """Mean and deviation of the product of two Gaussians, from precisions."""
    (mean, log_variance), (prior_mean, prior_log_variance) = likely, prior
    precision, prior_precision = np.exp(-log_variance), np.exp(-prior_log_variance)
    variance = 1 / (precision + prior_precision)
    return variance * (mean * precision + prior_mean * prior_precision), np.sqrt(variance)


def gaussian_kl(mean, scale, prior_mean, prior_scale):
    ratio = scale / prior_scale
    return (0.5 * (ratio**2 + ((mean - prior_mean) / prior_scale) ** 2 - 1) - np.log(ratio)).sum(axis=-1)


def walk(network, x, k, eps, likely):
    """The way down with class k: log p(x | z_1), KL by level below the top, and log p(z) - log q(z), from NumPy and scipy."""
    mean, log_variance = likely[-1]
    z = mean + np.exp(0.5 * log_variance) * eps[-1]
    log_ratio = (norm.logpdf(z) - norm(mean, np.exp(0.5 * log_variance)).logpdf(z)).sum(axis=-1)
    h, kl = network.merge(tf.constant(z.astype(np.float32)), onehot(k, len(x))), {}
    for i in reversed(range(len(likely) - 1)):
        prior = head(network.prior_heads[i], h)
        mean, scale = merged(likely[i], prior)
        prior_scale = np.exp(0.5 * prior[1])
        kl[i] = gaussian_kl(mean, scale, prior[0], prior_scale)
        z = mean + scale * eps[i]
        log_ratio += (norm(prior[0], prior_scale).logpdf(z) - norm(mean, scale).logpdf(z)).sum(axis=-1)
        h = network.down[i](tf.constant(z.astype(np.float32)))
    location = network.likelihood(network.decoder(h)).numpy()
    log_p = norm(location, network.likelihood.parts[0].scale().numpy()).logpdf(x).sum(axis=1)
    return log_p, kl, log_ratio


def read(model, X):
    """x as the network reads it, what it says of each level, and log q(y | x)."""
    network, x = model.network_, model.table_.encode(X).x
    features = network.ascend({"inputs": tf.constant(x)})
    likely = [head(layer, d) for layer, d in zip(network.heads, features, strict=True)]
    return x, likely, log_softmax(network.pi(features[-1]).numpy(), axis=1)


def test_loss_equals_the_bound_by_brute_force_over_classes(deep, rows):
    model, (X, y) = deep, rows
    network = model.network_
    x, likely, log_q = read(model, X)
    fixed = FixedNoise(network.seed)  # the top is drawn first, then level by level downwards
    eps = [fixed.normal(tf.zeros((1, dim))).numpy() for dim in reversed(network.level_dims)][::-1]
    walks = [walk(network, x, k, eps, likely) for k in range(K)]
    r = np.where((y >= 0)[:, None], np.eye(K)[y], np.exp(log_q))
    top_kl = gaussian_kl(likely[-1][0], np.exp(0.5 * likely[-1][1]), 0.0, 1.0)
    log_prior = np.log(network.class_prior)
    negative_entropy = np.where(y >= 0, 0.0, (np.exp(log_q) * log_q).sum(axis=1))
    got = model.loss_terms(X, y)
    n_levels = len(likely)
    expected = {f"kl_latent_{n_levels}": top_kl, "kl_label": negative_entropy - r @ log_prior}
    expected["reconstruction"] = -sum(r[:, k] * walks[k][0] for k in range(K))
    for i in range(n_levels - 1):
        expected[f"kl_latent_{i + 1}"] = sum(r[:, k] * walks[k][1][i] for k in range(K))
    weight = 5 * 60 / 20  # columns, times rows by labelled row
    expected["classification"] = np.where(y >= 0, -weight * log_q[np.arange(60), y], 0)
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-3, atol=1e-3, err_msg=name)


def test_a_ladder_of_one_level_is_a_variational_autoencoder(rows):
    """Without classes: -log p(x | z) + KL[q(z | x) || N(0, 1)], from the weights with NumPy."""
    X, _ = rows
    model = fitted(X, None, hidden_layer_sizes=(8,), activation="tanh")
    network, x = model.network_, model.table_.encode(X).x.astype(float)
    up, gaussian = network.up[0], network.heads[0]
    kernel, bias = (w.numpy() for w in up.dense.weights)
    scale, shift, mean, variance = (
        w.numpy() for w in (*up.normalize.trainable_variables, up.normalize.mean, up.normalize.variance)
    )
    d = np.tanh((x @ kernel + bias - mean) / np.sqrt(variance + 1e-3) * scale + shift)
    z_mean = d @ gaussian.mean.kernel.numpy() + gaussian.mean.bias.numpy()
    raw = d @ gaussian.log_variance.kernel.numpy() + gaussian.log_variance.bias.numpy()
    log_variance = 9 * np.tanh((raw + 3) / 9) - 3
    z = z_mean + np.exp(0.5 * log_variance) * FixedNoise(network.seed).normal(tf.zeros((1, 2))).numpy()
    merge = network.merge
    h = np.tanh(z @ merge.dense.kernel.numpy() + merge.dense.bias.numpy() + merge.shift.numpy()[0])
    location = h @ network.likelihood.head.kernel.numpy() + network.likelihood.head.bias.numpy()
    log_p = norm(location, network.likelihood.parts[0].scale().numpy()).logpdf(x).sum(axis=1)
    kl = 0.5 * (z_mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    np.testing.assert_allclose(model.loss_terms(X).sum(axis=1), kl - log_p, rtol=1e-4, atol=1e-4)


def test_classification_term_has_no_gradient_on_unlabelled_rows(model, rows):
    network, x = model.network_, tf.constant(rows[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        term = tf.reduce_sum(network.classification(tf.fill([60], -1), network.logits({"inputs": x})))
    assert float(term) == 0
    assert np.all(tape.gradient(term, x).numpy() == 0)


def test_the_objective_trains_every_layer(deep, rows):
    network = deep.network_
    batch = {"x": tf.constant(deep.table_.encode(rows[0]).x), "y": tf.constant(rows[1], tf.int32), "weight": tf.ones(60)}
    with tf.GradientTape() as tape:
        loss, _ = TrainingStep(network)._loss(batch, "loss", step_of(network, "build", Noise(0)))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(g is not None and np.abs(g).sum() > 0 for g in gradients)
    (stage,) = network.stages()
    assert stage.objectives["loss"][1] == [network]


def test_kl_terms_of_all_levels_rise_over_the_warm_up(rows):
    network = fitted(*rows, kl_warmup=0.5, epochs=1).network_
    batch = {"x": tf.constant(rows[0][:8]), "y": tf.fill([8], -1), "weight": tf.ones(8)}
    kl = {}
    for step in (0, 25, 50, 100):
        terms = network(batch, objective="loss", step=step_of(network, "build", progress=step / 100))
        kl[step] = np.stack([terms[name] for name in ("kl_latent_1", "kl_latent_2")])
    assert np.all(kl[0] == 0)
    assert np.all(kl[100] > 0)
    np.testing.assert_allclose(kl[25], 0.5 * kl[100], rtol=1e-5)
    np.testing.assert_allclose(kl[50], kl[100], rtol=1e-5)


# log p(x)


def test_score_samples_is_the_log_mean_of_importance_weights(deep, rows):
    model = deep
    network, n_draws = model.network_, 6
    x, likely, _ = read(model, rows[0][:2])
    draws = noise.normal((network.seed, 0), (n_draws, 1, sum(network.level_dims))).numpy()
    log_weights = []
    for draw in draws:
        eps = np.split(draw, np.cumsum(network.level_dims)[:-1], axis=1)
        by_class = [np.add(*walk(network, x, k, eps, likely)[::2]) for k in range(K)]
        log_weights.append(logsumexp(by_class, axis=0, b=network.class_prior[:, None]))
    expected = logsumexp(log_weights, axis=0) - np.log(n_draws)
    np.testing.assert_allclose(model.score_samples(rows[0][:2], n_draws=n_draws), expected, rtol=1e-4, atol=1e-3)


def test_the_bound_lies_below_the_importance_weighted_one(deep, rows):
    """E[ELBO] <= E[log mean of weights], on average over rows and over 20 draws of the noise."""
    X, network = rows[0], deep.network_
    x, likely, log_q = read(deep, X)
    rng = np.random.RandomState(0)
    bounds = []
    for _ in range(20):
        eps = [rng.standard_normal((len(X), dim)) for dim in network.level_dims]
        q, value = np.exp(log_q), 0.0
        for k in range(K):
            log_p, _, log_ratio = walk(network, x, k, eps, likely)
            value += q[:, k] * (log_p + log_ratio + np.log(network.class_prior[k]) - log_q[:, k])
        bounds.append(value.mean())
    elbo, error = np.mean(bounds), np.std(bounds) / np.sqrt(20)
    assert elbo - 5 * error < deep.score_samples(X, n_draws=200).mean()


# Batch normalisation


def test_batch_normalisation_weighs_rows():
    rng = np.random.RandomState(0)
    x, weight = rng.standard_normal((6, 3)).astype(np.float32), np.array([1, 2, 0, 1, 3, 1], np.float32)
    weighted, repeated = BatchNormalization(), BatchNormalization()
    share = tf.constant(weight / weight.sum())
    got = weighted(tf.constant(x), share, pace=0.1).numpy()
    counts = weight.astype(int)
    many = x.repeat(counts, axis=0)
    expected = repeated(tf.constant(many), tf.fill([len(many)], 1 / len(many)), pace=0.1).numpy()
    np.testing.assert_allclose(got.repeat(counts, axis=0), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected, (many - many.mean(axis=0)) / np.sqrt(many.var(axis=0) + 1e-3), rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(weighted.weights, repeated.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_row_of_weight_zero_may_hold_anything():
    layer = BatchNormalization()
    x = tf.constant([[1.0], [3.0], [1e9]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, tf.constant([0.5, 0.5, 0.0]), pace=0.1)
        loss = tf.reduce_sum(out[:2] ** 3)
    np.testing.assert_allclose(out[:2, 0], [-1, 1], atol=1e-3)
    np.testing.assert_allclose(layer.mean, [2.0])
    assert np.isfinite(tape.gradient(loss, x)[:2]).all()


def test_running_means_move_in_optimizer_steps_only(rows):
    X, y = rows
    model = fitted(X, y, early_stopping=True, validation_fraction=0.3)
    network = model.network_
    assert float(network.up[0].normalize.evidence) > 0

    def running():
        return [v.numpy() for v in network.non_trainable_variables if "up_" in v.path]

    before = running()
    assert len(before) == 2 * 3
    model.predict(X + 5), model.score_samples(X + 5), model.reconstruct(X + 5), model.loss_terms(X + 5, y)
    batch = {"x": tf.constant(X + 5)[None], "y": tf.constant(y, tf.int32)[None], "weight": tf.ones((1, 60))}
    training_step(network, network.stages()[0]).evaluate_chunk(batch)
    for now, then in zip(running(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_running_means_are_exponential_averages_without_the_bias_of_their_start():
    layer, x = BatchNormalization(), np.random.RandomState(0).standard_normal((3, 4, 2)).astype(np.float32)
    for batch in x:
        layer(tf.constant(batch), tf.fill([4], 0.25), pace=0.1)
    weight = np.array([0.81, 0.9, 1.0]) / 2.71
    np.testing.assert_allclose(layer.mean, np.einsum("b,bu->u", weight, x.mean(axis=1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.variance, np.einsum("b,bu->u", weight, x.var(axis=1)), rtol=1e-4)


def test_running_means_are_those_of_the_rows(rows):
    X, _ = rows
    all_rows = {"batch_size": 60, "mask_rate": 0}  # in every batch, each once
    model = fitted(X, None, epochs=2, learning_rate=1e-9, **all_rows)
    network = model.network_
    h = network.up[0].dense(tf.constant(model.table_.encode(X).x)).numpy()
    np.testing.assert_allclose(network.up[0].normalize.mean, h.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(network.up[0].normalize.variance, h.var(axis=0), rtol=1e-3, atol=1e-4)


# Questions


def test_levels_of_the_latent_variables(deep, rows):
    X, _ = rows
    levels = [deep.transform(X, level=i) for i in (1, 2, 3)]
    assert [level.shape for level in levels] == [(60, 5), (60, 3), (60, 2)]
    np.testing.assert_array_equal(deep.transform(X, level="all"), np.hstack(levels))
    np.testing.assert_allclose(deep.transform(X)[:, :2], levels[-1], atol=1e-6)
    assert len(deep.get_feature_names_out()) == 2 + K
    network = deep.network_
    x, likely, log_q = read(deep, X)
    expected = 0.0
    for k in range(K):  # level 2, given the mean above, averaged over q(y | x)
        h = network.merge(tf.constant(likely[2][0].astype(np.float32)), onehot(k, 60))
        expected += np.exp(log_q[:, k : k + 1]) * merged(likely[1], head(network.prior_heads[1], h))[0]
    np.testing.assert_allclose(levels[1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", [0, 4, "top", 1.5])
def test_there_is_no_such_level(deep, rows, level):
    with pytest.raises(ValueError, match='level must be None, "all" or an integer from 1 to 3'):
        deep.transform(rows[0], level=level)


def test_frames_hold_the_topmost_level_only(rows):
    model = fitted(*rows, epochs=1).set_output(transform="pandas")
    assert list(model.transform(rows[0]).columns) == list(model.get_feature_names_out())
    with pytest.raises(ValueError, match="level must be None where set_output"):
        model.transform(rows[0], level=1)


def test_decoding_goes_down_the_means_of_the_priors(deep):
    network = deep.network_
    z = np.random.RandomState(0).standard_normal((4, 2)).astype(np.float32)
    expected = 0.0
    for k in range(K):
        h = network.merge(tf.constant(z), onehot(k, 4))
        for i in (1, 0):
            h = network.down[i](network.prior_heads[i](h)[0])
        expected += network.class_prior[k] * network.likelihood(network.decoder(h)).numpy()
    np.testing.assert_allclose(deep.inverse_transform(z), deep.table_.decode(expected), rtol=1e-4, atol=1e-4)


def test_samples_have_the_moments_of_the_ancestral_model(model):
    """E[x | y] of samples against the mean of the decoder over ancestral draws made here."""
    network, rng = model.network_, np.random.RandomState(1)
    z = tf.constant(rng.standard_normal((20000, 2)), tf.float32)
    mean, log_variance = network.prior_heads[0](network.merge(z, onehot(1, 20000)))
    z = mean + tf.exp(0.5 * log_variance) * rng.standard_normal(mean.shape).astype(np.float32)
    means = model.table_.decode(network.likelihood(network.decoder(network.down[0](z))).numpy())
    own = model._snapshot()
    own._marginals = None  # columns as the model has them
    draws, _ = own.sample(4000, y=int(model.classes_[1]), random_state=0)
    error = draws.std(axis=0) / np.sqrt(4000) + means.std(axis=0) / np.sqrt(20000)
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - means.mean(axis=0)), 5 * error)


# The user's bodies, shapes and modes


def bodies():
    import keras

    encoder = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7, "relu")])
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    return {"encoder": encoder, "decoder": decoder}


@pytest.mark.parametrize("sizes", [(8, 6), (8,)])
def test_bodies_of_the_user_stand_below_the_levels(rows, sizes):
    X, y = rows
    model = fitted(X, y, **bodies(), hidden_layer_sizes=sizes, latent_dim=2 if len(sizes) == 2 else 4, epochs=2)
    assert model.network_.encoder.output_shape == (None, 7)
    assert model.network_.decoder.input_shape == (None, 4)
    assert model.reconstruct(X).shape == X.shape
    assert np.isfinite(model.score_samples(X)).all()


def test_convolutions_below_the_levels():
    X = np.random.RandomState(0).randint(0, 255, (20, 12, 12)).astype(np.uint8)
    model = fitted(X, None, encoder="conv", epochs=1)
    assert not any(stage.compiles for stage in complete_stages(model.network_))
    assert model.reconstruct(X).shape == X.shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must hold at least one size"),
        ({"level_dims": (3, 4)}, "level_dims must hold a positive integer for each of the 1 levels"),
        ({"level_dims": (0,)}, "level_dims must hold a positive integer"),
    ],
)
def test_bad_shapes_are_refused(rows, settings, message):
    with pytest.raises(ValueError, match=message):
        fitted(*rows, **settings)


def test_levels_double_downwards_up_to_their_units():
    assert _level_dims(2, (32, 5, 6, 7), None) == [16, 5, 4, 2]
    assert _level_dims(2, (8,), None) == [2]
    assert _level_dims(2, (8, 8), (3,)) == [3, 2]


def test_execution_does_not_change_the_loss(rows):
    network = fitted(*rows, epochs=1).network_
    (stage,) = network.stages()
    training = training_step(network, stage)
    batch = {"x": tf.constant(rows[0]), "y": tf.constant(rows[1], tf.int32), "weight": tf.linspace(0.0, 2.0, 60)}
    state = [(v, v.numpy().copy()) for v in [*network.variables, training.noise.state]]

    def step():
        progress = training.steps_done / training.total_steps
        context = StepContext("train", stage, training.noise, progress=progress, current_rate=lambda: 1e-2)
        loss, means = training._loss(batch, "loss", context)
        return tf.stack([loss, *means.values(), tf.reduce_sum(network.up[1].normalize.variance)])

    values = []
    for function in (step, tf.function(step), tf.function(step, jit_compile=True)):
        for variable, value in state:  # the seed of the noise, and the running means
            variable.assign(value)
        values.append(function().numpy())
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4)
    np.testing.assert_allclose(values[2], values[0], rtol=1e-4)


def test_a_warm_start_takes_the_running_means_along(model, rows):
    again = pickle.loads(pickle.dumps(model)).set_params(warm_start=True, learning_rate=1e-12, epochs=1).fit(*rows)
    for mine, theirs in zip(again.network_.up[0].weights, model.network_.up[0].weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
