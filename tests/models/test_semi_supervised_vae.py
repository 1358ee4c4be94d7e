"""The mathematics of SemiSupervisedVAE itself; what it shares with all families is in test_contract."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from instances import step_of
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import multivariate_normal, norm

import keras_ssvae as ks
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.nn.noise import FixedNoise
from keras_ssvae.training.step import TrainingStep

K = 3


def fitted(X, y, **settings):
    """The pi layer alone, without experts."""
    settings = {
        "latent_dim": 2,
        "hidden_layer_sizes": (8,),
        "epochs": 3,
        "batch_size": 32,
        "random_state": 0,
        "experts": None,
        **settings,
    }
    return ks.SemiSupervisedVAE(**settings).fit(X, y)


@pytest.fixture(scope="module")
def model(rows):
    return fitted(*rows)


@pytest.fixture(scope="module")
def coded(rows):
    """A model with a code between x and the pi layer."""
    return fitted(*rows, code_dim=3, code_layer_sizes=(8,))


def by_hand(model, X):
    """log p(x | z, y) by class, log q(y | x), the KL of z and z itself, from the network's weights with NumPy and scipy."""
    network = model.network_
    x = tf.constant(model.table_.encode(X).x)
    mean, log_variance, logits = (t.numpy() for t in network.posterior({"inputs": x}))
    noise_row = network_noise(network, mean)
    z = mean + np.exp(0.5 * log_variance) * noise_row
    log_p = np.empty((len(X), K))
    for k in range(K):
        r = np.tile(np.eye(K, dtype=np.float32)[k], (len(X), 1))
        location = network.location(tf.constant(z), tf.constant(r)).numpy()
        log_p[:, k] = norm(location, network.likelihood.parts[0].scale().numpy()).logpdf(x.numpy()).sum(axis=1)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    return log_p, log_softmax(logits, axis=1), kl


def network_noise(network, like):
    return FixedNoise(network.seed).normal(tf.constant(like)).numpy()[:1]


def test_loss_equals_the_textbook_bounds_of_labelled_and_unlabelled_rows(model, rows):
    X, y = rows
    log_p, log_q, kl = by_hand(model, X)
    log_prior = np.log(model.network_.class_prior)
    got = model.loss_terms(X, y)
    bound = got[["reconstruction", "kl_latent", "kl_label"]].sum(axis=1).to_numpy()
    # Kingma et al. 2014, eq. 6: -log p(x | z, y) - log p(y) + KL[q(z) || p(z)]
    labeled = -log_p[np.arange(60), y] - log_prior[y] + kl
    # eq. 7: sum_y q(y | x) of the same, less the entropy of q(y | x)
    q = np.exp(log_q)
    unlabeled = (q * (-log_p - log_prior + kl[:, None])).sum(axis=1) + (q * log_q).sum(axis=1)
    np.testing.assert_allclose(bound, np.where(y >= 0, labeled, unlabeled), rtol=1e-4)
    weight = 5 * 60 / 20  # columns, times rows by labelled row
    np.testing.assert_allclose(got["classification"], np.where(y >= 0, -weight * log_q[np.arange(60), y], 0), rtol=1e-4)


@pytest.mark.parametrize("label_input", ["marginal", "soft"])
def test_classification_term_has_no_gradient_on_unlabelled_rows(rows, label_input):
    X, _ = rows
    network = fitted(*rows, label_input=label_input).network_
    x = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values, _ = network.bound_terms({"inputs": x, "x": x}, tf.fill([60], -1), step_of(network, "build"))
        term = tf.reduce_sum(values["classification"])
    assert float(term) == 0
    assert np.all(tape.gradient(term, x).numpy() == 0)


def test_soft_label_input_decodes_once_with_the_label_or_pi(rows):
    X, y = rows
    model = fitted(X, y, label_input="soft")
    network = model.network_
    x = tf.constant(model.table_.encode(X).x)
    mean, log_variance, logits = (t.numpy() for t in network.posterior({"inputs": x}))
    z = mean + np.exp(0.5 * log_variance) * network_noise(network, mean)
    r = np.where((y >= 0)[:, None], np.eye(K)[y], softmax(logits, axis=1)).astype(np.float32)
    location = network.location(tf.constant(z), tf.constant(r)).numpy()
    expected = -norm(location, network.likelihood.parts[0].scale().numpy()).logpdf(x.numpy()).sum(axis=1)
    np.testing.assert_allclose(model.loss_terms(X, y)["reconstruction"], expected, rtol=1e-4)


def linear_gaussian(seed=0):
    """A fitted linear VAE and the exact log p(x) of its rows: probabilistic PCA with one noise scale a column."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((80, 2)) @ rng.standard_normal((2, 5)) + 0.5 * rng.standard_normal((80, 5))
    model = fitted(X, None, hidden_layer_sizes=(), epochs=60, learning_rate=2e-2)
    network = model.network_
    kernel, bias = (v.numpy() for v in network.likelihood.head.weights)
    mean = bias + network.merge.shift.numpy()[0] @ kernel
    covariance = kernel.T @ kernel + np.diag(network.likelihood.parts[0].scale().numpy() ** 2)
    return model, X, multivariate_normal(mean, covariance).logpdf(model.table_.encode(X).x)


def test_score_of_a_linear_gaussian_vae_converges_to_probabilistic_pca():
    model, X, exact = linear_gaussian()
    error = [np.abs(model.score_samples(X, n_draws=n) - exact).mean() for n in (10, 1000)]
    assert error[1] < error[0]
    assert error[1] < 0.02


def test_elbo_is_below_the_importance_weighted_bound_and_that_below_log_p():
    model, X, exact = linear_gaussian()
    elbo, iwae = [], []
    for seed in range(60):
        model.network_.seed = seed
        elbo.append(model.score_samples(X, n_draws=1).mean())
        iwae.append(model.score_samples(X, n_draws=5).mean())
    error = np.std(elbo) / np.sqrt(60) + np.std(iwae) / np.sqrt(60)
    assert np.mean(elbo) < np.mean(iwae) - error < exact.mean()
    assert np.mean(iwae) < exact.mean() + 2 * np.std(iwae) / np.sqrt(60)


def test_score_with_a_code_is_the_log_mean_weight_of_the_whole_hierarchy(coded, rows):
    """Against a plain NumPy evaluation of p(y) p(z) p(u | z, y) p(x | u) / q(u | x) q(z | x), draw by draw."""
    from keras_ssvae.nn import noise

    network, X = coded.network_, rows[0][:4]
    x = coded.table_.encode(X).x
    draws = noise.normal((network.seed, 0), (6, 1, 5)).numpy()
    code = network.lower
    mean, log_variance = (t.numpy() for t in code.encode(tf.constant(x)))
    shift, spread, active = (v.numpy() for v in (code.shift, code.spread, code.active))
    weights = []
    v_mean = ((mean - shift) / spread * active).astype(np.float32)
    z_mean, z_log_variance, _ = (t.numpy() for t in network.posterior({"inputs": tf.constant(v_mean)}))
    for eps in draws:
        u = mean + np.exp(0.5 * log_variance) * eps[:, 2:]
        v = ((u - shift) / spread * active).astype(np.float32)
        z = (z_mean + np.exp(0.5 * z_log_variance) * eps[:, :2]).astype(np.float32)
        scale = network.likelihood.parts[0].scale().numpy()
        log_p_u = []
        for k in range(K):
            r = tf.constant(np.tile(np.eye(K, dtype=np.float32)[k], (4, 1)))
            by_dim = norm(network.location(tf.constant(z), r).numpy(), scale).logpdf(v) - np.log(spread)
            by_dim = np.where(active > 0, by_dim, norm.logpdf(u))
            log_p_u.append(np.log(network.class_prior[k]) + by_dim.sum(axis=1))
        log_p_x = norm(code.decode(tf.constant(u)).numpy(), code.likelihood.parts[0].scale().numpy()).logpdf(x).sum(axis=1)
        log_q = norm(mean, np.exp(0.5 * log_variance)).logpdf(u).sum(axis=1)
        log_q += norm(z_mean, np.exp(0.5 * z_log_variance)).logpdf(z).sum(axis=1)
        weights.append(log_p_x + logsumexp(log_p_u, axis=0) + norm.logpdf(z).sum(axis=1) - log_q)
    expected = logsumexp(weights, axis=0) - np.log(6)
    np.testing.assert_allclose(coded.score_samples(X, n_draws=6), expected, rtol=1e-4, atol=1e-3)


def test_stages_train_their_own_layers_only(rows):
    X, y = rows
    network = fitted(X, y, code_dim=3, code_layer_sizes=(8,)).network_
    stages = {stage.name: stage for stage in network.stages()}
    trained = {
        name: {id(v) for layer in s.objectives["loss"][1] for v in layer.trainable_variables} for name, s in stages.items()
    }
    assert not trained["pretrain"] & trained["semi-supervised"]
    everything = {id(v) for v in network.trainable_variables}
    assert trained["pretrain"] | trained["semi-supervised"] == everything == trained["together"]


def test_history_names_stages_and_terms(coded):
    history = coded.history_
    assert list(history["stage"].unique()) == ["pretrain", "semi-supervised", "together"]
    terms = ["reconstruction", "code", "kl_latent", "kl_label", "classification", "consistency"]
    last = history[history["stage"] == "together"].iloc[-1]
    assert last["loss"] == pytest.approx(sum(last[t] for t in terms), rel=1e-4)


def test_consistency_targets_use_each_class_as_often_as_the_prior_says(model):
    network = model.network_
    r = tf.constant([[0.8, 0.1, 0.1]] * 4)
    network.class_usage.assign([0.8, 0.1, 0.1])
    aligned = network._aligned(r, tf.fill([4], -1), 1.0).numpy()
    np.testing.assert_allclose(aligned, np.tile(network.class_prior, (4, 1)), rtol=1e-5)
    sharpened = np.square(network.class_prior) / np.square(network.class_prior).sum()
    np.testing.assert_allclose(network._aligned(r, tf.fill([4], -1), 2.0).numpy(), np.tile(sharpened, (4, 1)), rtol=1e-5)
    known = tf.constant([[0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(network._aligned(known, tf.constant([1]), 2.0).numpy(), known.numpy())


def test_the_code_s_variance_grows_by_that_of_its_draws_before_all_is_trained_together(rows):
    X, y = rows
    model = fitted(X, y, code_dim=3, code_layer_sizes=(8,))
    network = model.network_
    before = network.likelihood.parts[0].scale().numpy()
    network.end_stage("semi-supervised", lambda: model.table_.encode(X))
    x = tf.constant(model.table_.encode(X).x)
    noise = np.exp(network.lower.encode(x)[1].numpy()).mean(axis=0) / np.square(network.lower.spread.numpy())
    np.testing.assert_allclose(network.likelihood.parts[0].scale().numpy(), np.sqrt(before**2 + noise), rtol=1e-4)


def classic_vae(n_columns=5, latent_dim=2):
    """The variational autoencoder of the Keras documentation, in small."""

    class Sampling(keras.layers.Layer):
        def call(self, inputs):
            mean, log_variance = inputs
            return mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))

    x = keras.Input((n_columns,))
    h = keras.layers.Dense(8, "relu")(x)
    mean, log_variance = keras.layers.Dense(latent_dim)(h), keras.layers.Dense(latent_dim)(h)
    encoder = keras.Model(x, [mean, log_variance, Sampling()([mean, log_variance])])
    z = keras.Input((latent_dim,))
    decoder = keras.Model(z, keras.layers.Dense(n_columns)(keras.layers.Dense(8, "relu")(z)))
    return encoder, decoder


def test_labels_get_through_a_collapsed_code():
    rng = np.random.RandomState(0)
    X = (rng.rand(400, 30) < 0.5).astype(float)  # independent columns: the code has nothing to gain from any of them
    model = fitted(X, X[:, 0], code_dim=8, code_layer_sizes=(32,), epochs=200, learning_rate=5e-3, jit_compile=False)
    assert model.network_.lower.active.numpy().sum() >= 2
    assert model.score(X, X[:, 0]) > 0.9


def test_class_usage_starts_at_the_prior_when_classes_arrive(rows):
    X, y = rows
    unlabeled = fitted(X, None)
    model = ks.SemiSupervisedVAE.from_vae(unlabeled, epochs=1, learning_rate=1e-9).fit(X, y)
    np.testing.assert_allclose(model.network_.class_usage.numpy().sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(model.network_.class_usage, model.network_.class_prior, atol=0.05)


def test_early_stopping_does_not_watch_labels_that_have_no_weight(rows):
    X, y = rows
    X, y = np.tile(X, (10, 1)) + np.random.RandomState(0).standard_normal((600, 5)), np.tile(np.abs(y), 10)
    model = fitted(X, y, classification_weight=0, early_stopping=True, validation_fraction=0.3, epochs=8, n_iter_no_change=3)
    assert model.history_["val_loss"].argmin() > 0


def test_any_vae_of_keras_gets_a_pi_layer(rows):
    X, y = rows
    encoder, decoder = classic_vae()
    before = [w.copy() for w in encoder.get_weights()]
    model = fitted(X, y, encoder=encoder, decoder=decoder, epochs=100)
    assert model.score(X, y) > 0.9
    assert model.network_.encoder_body.output_kind == "gaussian"
    np.testing.assert_array_equal([w.sum() for w in encoder.get_weights()], [w.sum() for w in before])


def test_from_a_trained_keras_vae_the_fit_starts_with_its_weights(rows):
    X, y = rows

    class Trained:
        encoder, decoder = classic_vae()

    model = ks.SemiSupervisedVAE.from_vae(Trained, epochs=1, learning_rate=1e-12, random_state=0).fit(X, y)
    x = tf.constant(model.table_.encode(X).x)
    np.testing.assert_allclose(model.network_.posterior({"inputs": x})[0], Trained.encoder(x)[0], atol=1e-4)
    z = tf.zeros((1, 2))
    np.testing.assert_allclose(model.network_.location(z, tf.one_hot([0], K)), Trained.decoder(z), atol=1e-4)


def test_from_vae_refuses_what_is_no_vae():
    with pytest.raises(TypeError, match="vae must be a fitted VAE or SemiSupervisedVAE"):
        ks.SemiSupervisedVAE.from_vae(keras.Sequential())


def test_rows_of_weight_zero_change_no_gradient(model, rows):
    """A row's padding may hold anything."""
    network = model.network_
    x = model.table_.encode(rows[0]).x[:8]

    def gradients(fill):
        batch = {
            "x": tf.constant(np.concatenate([x, np.full((4, 5), fill, np.float32)])),
            "y": tf.constant([0, 1, 2, -1] * 3),
            "weight": tf.constant([1.0] * 8 + [0.0] * 4),
        }
        with tf.GradientTape() as tape:
            loss, _ = TrainingStep(network)._loss(batch, "loss", step_of(network))  # no consistency term, which mixes rows
        return [g.numpy() for g in tape.gradient(loss, network.trainable_variables) if g is not None]

    for clean, huge in zip(gradients(0.0), gradients(1e9), strict=True):
        np.testing.assert_allclose(huge, clean, rtol=1e-5, atol=1e-7)


def test_padding_of_a_block_changes_nothing(model):
    x = np.random.RandomState(1).standard_normal((40, 5)).astype(np.float32)
    observed = np.ones_like(x)
    clean = model.network_.class_logits({"x": tf.constant(x), "observed": tf.constant(observed)}).numpy()
    x[30:] = 1e9
    huge = model.network_.class_logits({"x": tf.constant(x), "observed": tf.constant(observed)}).numpy()
    np.testing.assert_array_equal(huge[:30], clean[:30])


def test_execution_does_not_change_results():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((64, 4)).astype(np.float32)
    y = np.where(np.arange(64) < 32, X[:, 0] > 0, -1)
    weights = {}
    for name, mode in {"graph": False, "xla": True, "eager": "auto"}.items():
        model = fitted(X, y, epochs=2, jit_compile=mode, callbacks=[keras.callbacks.Callback()])
        assert model.network_.run_eagerly == (name == "eager")
        weights[name] = model.network_.get_weights()
    for name in ("graph", "xla"):
        for a, b in zip(weights["eager"], weights[name], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_linear_encoding_reads_missing_cells_as_the_mean(model, rows):
    X = rows[0][:3].copy()
    X[:, 1] = np.nan
    encoded = model.table_.encode(X)
    assert isinstance(encoded, PreparedRows)
    assert (encoded.x[:, 1] == 0).all()
    assert (encoded.observed[:, 1] == 0).all()
