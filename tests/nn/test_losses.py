"""Loss terms against the textbook, SciPy, TFP and automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from keras_ssvae.nn import losses

tfd = tfp.distributions

ROWS, CLASSES = 40, 5


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def logits(rng):
    return tf.constant(3 * rng.standard_normal((ROWS, CLASSES)), tf.float32)


@pytest.fixture
def codes(rng):
    return tf.constant(rng.randint(-1, CLASSES, size=ROWS), tf.int32)


@pytest.fixture
def log_prior(rng):
    return tf.constant(np.log(rng.dirichlet(np.ones(CLASSES))), tf.float32)


def gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(function(x))
    return tape.gradient(value, x, unconnected_gradients="zero").numpy()


# Responsibilities: the two branches of Kingma et al. (2014)


def test_responsibilities_are_the_label_where_known_and_q_elsewhere(codes, logits):
    r = losses.responsibilities(codes, logits).numpy()
    q = special.softmax(logits.numpy(), axis=1)
    known = codes.numpy() >= 0
    np.testing.assert_array_equal(r[known], np.eye(CLASSES)[codes.numpy()[known]])
    np.testing.assert_allclose(r[~known], q[~known], rtol=1e-5)
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("missing", [-1, -7, -(2**31)])
def test_every_negative_code_means_unknown(missing, logits):
    r = losses.responsibilities(tf.fill([ROWS], missing), logits)
    np.testing.assert_allclose(r, special.softmax(logits.numpy(), axis=1), rtol=1e-5)


def test_one_bound_is_the_two_textbook_branches(rng, codes, logits, log_prior):
    """sum_y r f_y + KL[r || p] is f_label - log p(label) with a label, and sum_y q (f_y - log p(y)) - H(q) without."""
    by_class = rng.standard_normal((ROWS, CLASSES)).astype(np.float32) * 10
    r = losses.responsibilities(codes, logits)
    bound = (tf.reduce_sum(r * by_class, axis=1) + losses.categorical_kl(r, log_prior)).numpy()

    q = special.softmax(logits.numpy().astype(float), axis=1)
    unlabeled = (q * (by_class - log_prior.numpy())).sum(axis=1) - stats.entropy(q, axis=1)
    label = np.maximum(codes, 0)
    labeled = by_class[np.arange(ROWS), label] - log_prior.numpy()[label]
    np.testing.assert_allclose(bound, np.where(codes.numpy() >= 0, labeled, unlabeled), rtol=1e-5, atol=1e-5)


def test_the_unlabelled_branch_has_the_gradient_of_the_textbook(rng, logits, log_prior):
    """d/d logits of sum_y q (g_y + log q) with g = f - log p is q (a - sum_y q a), a = g + log q."""
    by_class = rng.standard_normal((ROWS, CLASSES)).astype(np.float32)
    unknown = tf.fill([ROWS], -1)

    def bound(x):
        r = losses.responsibilities(unknown, x)
        return tf.reduce_sum(r * by_class, axis=1) + losses.categorical_kl(r, log_prior)

    q = special.softmax(logits.numpy().astype(float), axis=1)
    a = by_class - log_prior.numpy() + np.log(q)
    expected = q * (a - (q * a).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(gradient(bound, logits), expected, rtol=1e-3, atol=1e-5)


def test_no_gradient_flows_through_the_responsibility_of_a_known_label(rng, codes, logits, log_prior):
    by_class = rng.standard_normal((ROWS, CLASSES)).astype(np.float32)

    def bound(x):
        r = losses.responsibilities(codes, x)
        return tf.reduce_sum(r * by_class, axis=1) + losses.categorical_kl(r, log_prior)

    slopes = gradient(bound, logits)
    known = codes.numpy() >= 0
    np.testing.assert_array_equal(slopes[known], 0)
    assert (np.abs(slopes[~known]).max(axis=1) > 0).all()


# Cross-entropy of the labels


def test_label_cross_entropy_is_that_of_the_known_labels(codes, logits):
    value = losses.label_cross_entropy(codes, logits).numpy()
    log_q = special.log_softmax(logits.numpy(), axis=1)
    expected = np.where(codes.numpy() >= 0, -log_q[np.arange(ROWS), np.maximum(codes, 0)], 0)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_unlabelled_rows_have_no_label_term_and_no_gradient_from_it(codes, logits):
    unknown = codes.numpy() < 0
    value = losses.label_cross_entropy(codes, logits).numpy()
    slopes = gradient(lambda x: losses.label_cross_entropy(codes, x), logits)
    np.testing.assert_array_equal(value[unknown], 0)
    np.testing.assert_array_equal(slopes[unknown], 0)
    expected = special.softmax(logits.numpy(), axis=1) - np.eye(CLASSES)[np.maximum(codes, 0)]
    np.testing.assert_allclose(slopes[~unknown], expected[~unknown], rtol=1e-4, atol=1e-6)


def test_the_function_of_tensorflow_would_train_unlabelled_rows(logits):
    """The reason for a function of our own: an all-zero row of labels pulls TensorFlow's logits towards uniform."""
    none = tf.zeros_like(logits)
    value = tf.nn.softmax_cross_entropy_with_logits(none, logits)
    slopes = gradient(lambda x: tf.nn.softmax_cross_entropy_with_logits(none, x), logits)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_allclose(slopes, special.softmax(logits.numpy(), axis=1), rtol=1e-5)


@pytest.mark.parametrize("code, expected", [(0, 0.0), (1, 2e4), (-1, 0.0)])
def test_label_terms_of_logits_far_apart(code, expected):
    logits = tf.constant([[1e4, -1e4]])
    codes = tf.constant([code])
    assert losses.label_cross_entropy(codes, logits).numpy() == [expected]
    slopes = gradient(lambda x: losses.label_cross_entropy(codes, x), logits)
    np.testing.assert_array_equal(slopes, [[expected / 2e4, -expected / 2e4]])


def test_xla_gives_the_same_label_terms(codes, logits, log_prior):
    def both(codes, logits):
        r = losses.responsibilities(codes, logits)
        return r, losses.categorical_kl(r, log_prior), losses.label_cross_entropy(codes, logits)

    for eager, compiled in zip(both(codes, logits), tf.function(both, jit_compile=True)(codes, logits)):
        np.testing.assert_allclose(compiled, eager, rtol=1e-5, atol=1e-6)


# KL of the classes


def test_categorical_kl_is_that_of_scipy_and_tfp(rng, log_prior):
    r = rng.dirichlet(np.ones(CLASSES), size=ROWS).astype(np.float32)
    value = losses.categorical_kl(tf.constant(r), log_prior)
    np.testing.assert_allclose(value, stats.entropy(r, np.exp(log_prior.numpy()), axis=1), rtol=1e-4, atol=1e-6)
    p = tfd.Categorical(logits=log_prior)
    np.testing.assert_allclose(value, tfd.kl_divergence(tfd.Categorical(probs=r), p), rtol=1e-4, atol=1e-6)


def test_categorical_kl_of_a_certain_class_is_its_information(log_prior):
    np.testing.assert_allclose(losses.categorical_kl(tf.eye(CLASSES), log_prior), -log_prior, rtol=1e-6)


def test_categorical_kl_of_zero_probabilities_has_finite_value_and_gradient(log_prior):
    r = tf.constant([[0.0, 0.25, 0.75, 0.0, 0.0]])
    expected = stats.entropy(r.numpy(), np.exp(log_prior.numpy()), axis=1)
    np.testing.assert_allclose(losses.categorical_kl(r, log_prior), expected, rtol=1e-5)
    slopes = gradient(lambda x: losses.categorical_kl(x, log_prior), r)
    inside = np.log(r.numpy()[:, 1:3]) + 1 - log_prior.numpy()[1:3]
    np.testing.assert_allclose(slopes[:, 1:3], inside, rtol=1e-5)
    assert np.isfinite(slopes).all()


def test_a_softmax_that_rounds_to_zero_has_zero_gradient(log_prior):
    logits = tf.constant([[200.0, 0.0, -200.0, -1e4, 0.0]])

    def kl(x):
        return losses.categorical_kl(losses.responsibilities(tf.constant([-1]), x), log_prior)

    np.testing.assert_allclose(kl(logits), [-log_prior[0]], rtol=1e-6)
    np.testing.assert_allclose(gradient(kl, logits), 0, atol=1e-6)


# Gaussians


@pytest.fixture
def gaussian(rng):
    mean = rng.standard_normal((ROWS, 3)) * 3
    log_variance = rng.uniform(-12, 6, size=(ROWS, 3))
    x = mean + np.exp(log_variance / 2) * rng.standard_normal((ROWS, 3)) * 3
    return tuple(tf.constant(a, tf.float32) for a in (x, mean, log_variance))


def test_gaussian_kl_is_that_of_tfp(gaussian):
    _, mean, log_variance = gaussian
    q = tfd.Normal(mean, tf.exp(log_variance / 2))
    expected = tfd.kl_divergence(q, tfd.Normal(0.0, 1.0))
    np.testing.assert_allclose(losses.gaussian_kl(mean, log_variance), expected, rtol=1e-4, atol=1e-5)


def test_gaussian_kl_is_least_and_zero_at_the_prior():
    zero = tf.zeros((1, 4))
    np.testing.assert_array_equal(losses.gaussian_kl(zero, zero), 0)
    np.testing.assert_array_equal(gradient(lambda x: losses.gaussian_kl(x, zero), zero), 0)
    np.testing.assert_array_equal(gradient(lambda x: losses.gaussian_kl(zero, x), zero), 0)


def test_gaussian_kl_has_the_textbook_gradient(gaussian):
    _, mean, log_variance = gaussian
    np.testing.assert_allclose(gradient(lambda m: losses.gaussian_kl(m, log_variance), mean), mean, rtol=1e-5)
    slopes = gradient(lambda v: losses.gaussian_kl(mean, v), log_variance)
    np.testing.assert_allclose(slopes, 0.5 * (np.exp(log_variance) - 1), rtol=1e-5, atol=1e-6)


def test_gaussian_log_prob_is_that_of_scipy(gaussian):
    x, mean, log_variance = gaussian
    expected = stats.norm.logpdf(x, mean, np.exp(log_variance.numpy().astype(float) / 2))
    np.testing.assert_allclose(losses.gaussian_log_prob(x, mean, log_variance), expected, rtol=1e-3, atol=1e-3)


def test_gaussian_log_prob_is_standard_by_default(gaussian):
    x = gaussian[0]
    np.testing.assert_allclose(losses.gaussian_log_prob(x), stats.norm.logpdf(x), rtol=1e-5)


def test_gaussian_kl_is_the_mean_log_ratio():
    mean, log_variance = tf.constant(0.7), tf.constant(-1.0)
    z = mean + tf.exp(log_variance / 2) * np.random.RandomState(1).standard_normal(100_000).astype(np.float32)
    ratio = (losses.gaussian_log_prob(z, mean, log_variance) - losses.gaussian_log_prob(z)).numpy().astype(float)
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - losses.gaussian_kl(mean, log_variance).numpy()) < 5 * error
