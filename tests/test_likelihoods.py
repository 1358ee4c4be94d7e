"""p(x | z) against SciPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from keras_ssvae import noise
from keras_ssvae.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, Likelihood, make_likelihood

ROWS, COLUMNS = 50, 3
KINDS = sorted(LIKELIHOODS)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def location(rng):
    return tf.constant(2 * rng.standard_normal((ROWS, COLUMNS)), tf.float32)


def built(kind, reads="location", raw_scale=(-1.0, 0.0, 1.5)):
    likelihood = make_likelihood(kind, COLUMNS, reads)
    likelihood(tf.fill((1, COLUMNS), 0.5))
    if kind == "gaussian":
        likelihood.raw_scale.assign(raw_scale)
    return likelihood


def scipy_of(likelihood, location):
    """The frozen SciPy distribution."""
    location = np.asarray(location, float)
    if isinstance(likelihood, Bernoulli):
        return stats.bernoulli(special.expit(location))
    return stats.norm(location, 0.05 + 0.95 * np.exp([-1.0, 0.0, 1.5]))


def some_x(kind, rng):
    x = rng.standard_normal((ROWS, COLUMNS))
    return tf.constant(x > 0 if kind == "bernoulli" else x, tf.float32)


# Densities and moments


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_is_that_of_scipy(kind, rng, location):
    likelihood, x = built(kind), some_x(kind, rng)
    law = scipy_of(likelihood, location)
    expected = (law.logpmf if kind == "bernoulli" else law.logpdf)(x.numpy())
    np.testing.assert_allclose(likelihood.log_prob(x, location), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_is_that_of_its_distribution(kind, rng, location):
    likelihood, x = built(kind), some_x(kind, rng)
    expected = likelihood.distribution(location).log_prob(x)
    np.testing.assert_allclose(likelihood.log_prob(x, location), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mean_is_that_of_scipy(kind, location):
    likelihood = built(kind)
    np.testing.assert_allclose(likelihood.mean(location), scipy_of(likelihood, location).mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_mean_and_variance(kind):
    likelihood, location = built(kind), tf.constant([[-1.0, 0.0, 2.0]])
    law, n = scipy_of(likelihood, location), 20_000
    draws = likelihood.distribution(location).sample(n, seed=(1, 2)).numpy()[:, 0].astype(float)
    variance = law.var()[0]
    assert (np.abs(draws.mean(axis=0) - law.mean()[0]) < 5 * np.sqrt(variance / n)).all()
    squares = (draws - law.mean()[0]) ** 2
    assert (np.abs(squares.mean(axis=0) - variance) < 5 * squares.std(axis=0) / np.sqrt(n) + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(COLUMNS,), (2, ROWS, COLUMNS)])
def test_further_axes_in_front_change_nothing(kind, shape, rng, location):
    likelihood, x = built(kind), some_x(kind, rng)
    many = tf.broadcast_to(location[0] if len(shape) == 1 else location, (2, ROWS, COLUMNS))
    by_two = likelihood.log_prob(x[None], many)
    assert by_two.shape == (2, ROWS, COLUMNS)
    np.testing.assert_allclose(by_two[1], likelihood.log_prob(x, many[1]), rtol=1e-6)


# The Gaussian's learned scale


def test_gaussian_scale_starts_at_one_and_has_a_floor():
    fresh = built("gaussian", raw_scale=(0.0, 0.0, -1e3))
    np.testing.assert_allclose(fresh.scale(), [1.0, 1.0, 0.05], rtol=1e-6)


def test_gaussian_scale_is_learned():
    likelihood = built("gaussian")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(likelihood.log_prob(tf.ones((1, COLUMNS)), tf.zeros((1, COLUMNS))))
    slope = tape.gradient(loss, likelihood.raw_scale)
    scale = likelihood.scale().numpy()
    expected = (1 / scale**3 - 1 / scale) * (scale - 0.05)  # d log N / d scale, times d scale / d raw
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_gaussian_training_step_sees_x_itself(rng):
    x = some_x("gaussian", rng)
    np.testing.assert_array_equal(built("gaussian").noisy(x, lambda like: noise.uniform((0, 0), like.shape)), x)


# Grey values of the Bernoulli


def test_bernoulli_log_prob_of_grey_is_linear_between_black_and_white(rng, location):
    likelihood = built("bernoulli")
    grey = rng.uniform(size=(ROWS, COLUMNS)).astype(np.float32)
    black = likelihood.log_prob(tf.zeros_like(location), location)
    white = likelihood.log_prob(tf.ones_like(location), location)
    value = likelihood.log_prob(tf.constant(grey), location)
    np.testing.assert_allclose(value, (1 - grey) * black + grey * white, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("location", [1e4, -1e4])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_log_prob_of_certain_pixels(location, x):
    expected = 0.0 if (location > 0) == (x > 0) else -1e4
    assert built("bernoulli").log_prob(tf.constant(x), tf.constant(location)).numpy() == expected


def test_bernoulli_resamples_grey_to_zeros_and_ones_of_the_same_mean(rng):
    n = 40_000
    grey = tf.constant(np.tile([0.0, 0.1, 0.5, 0.9, 1.0], (n, 1)), tf.float32)
    drawn = built("bernoulli").noisy(grey, lambda like: noise.uniform((0, 0), like.shape)).numpy()
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    mean, error = grey.numpy()[0], np.sqrt(grey.numpy()[0] * (1 - grey.numpy()[0]) / n)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 5 * error).all()  # no deviation at all where x is 0 or 1


# What the decoder hands over


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mean", [0.001, 0.3, 0.5, 0.999])
def test_a_decoder_that_gives_the_mean_is_taken_at_its_word(kind, mean):
    likelihood = built(kind, reads="mean")
    decoded = tf.fill((2, COLUMNS), mean)
    np.testing.assert_allclose(likelihood.mean(likelihood(decoded)), decoded, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_that_gives_the_location_is_left_alone(kind, location):
    likelihood = built(kind, reads="location")
    np.testing.assert_array_equal(likelihood(location), location)
    assert likelihood.head is None


@pytest.mark.parametrize("kind", KINDS)
def test_features_get_a_dense_head(kind, rng):
    likelihood = make_likelihood(kind, COLUMNS, "features")
    features = rng.standard_normal((ROWS, 6)).astype(np.float32)
    decoded = likelihood(tf.constant(features))
    np.testing.assert_allclose(decoded, features @ likelihood.head.kernel + likelihood.head.bias, rtol=1e-4, atol=1e-5)


def test_certain_means_give_finite_locations_of_the_bernoulli():
    likelihood = built("bernoulli", reads="mean")
    location = likelihood(tf.constant([[0.0, 1.0, 0.5]])).numpy()
    np.testing.assert_allclose(location, [[-np.log(1e5 - 1), np.log(1e5 - 1), 0.0]], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_has_a_name(kind):
    likelihood = make_likelihood(kind, COLUMNS, name="x")
    assert isinstance(likelihood, LIKELIHOODS[kind])
    assert likelihood.name == "x"


def test_a_subclass_without_a_distribution_is_named():
    class Nothing(Likelihood):
        pass

    with pytest.raises(TypeError, match="Nothing defines no distribution"):
        Nothing(2, "location").mean(tf.zeros((1, 2)))


def test_gaussian_with_features_has_head_and_scale():
    likelihood = Gaussian(COLUMNS)
    likelihood(tf.zeros((1, 6)))
    assert {w.name for w in likelihood.trainable_weights} == {"kernel", "bias", "raw_scale"}
