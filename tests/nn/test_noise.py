"""Noise: known distribution, known support, and the same numbers however the step is executed."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_ssvae.nn import noise

N = 100_000
SEEDS = [(0, 0), (0, 1), (1, 0), (2**31 - 1, -(2**31)), (-1, -1)]


def draw(kind, seed, shape=(N,)):
    return getattr(noise, kind)(tf.constant(seed, tf.int32), shape).numpy()


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def avalanche(bits):
    """Share of inputs for which flipping input bit i flips output bit j, (32, 32)."""
    before = noise._hasher()(tf.constant(bits)).numpy()
    flips = [before ^ noise._hasher()(tf.constant(bits ^ np.uint32(1 << i))).numpy() for i in range(32)]
    return np.array([[((f >> np.uint32(j)) & 1).mean() for j in range(32)] for f in flips])


# Execution


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (5, 7), (2, 3, 4)])
def test_shapes(shape):
    for kind in ("uniform", "normal"):
        assert draw(kind, (1, 2), shape).shape == shape
        assert draw(kind, (1, 2), shape).dtype == np.float32


def test_a_shape_known_only_at_run_time_gives_the_same_numbers():
    @tf.function(input_signature=[tf.TensorSpec((None, 7))])
    def like(x):
        return noise.uniform(tf.constant([3, 4]), tf.shape(x))

    np.testing.assert_array_equal(like(tf.zeros((5, 7))), draw("uniform", (3, 4), (5, 7)))


@pytest.mark.parametrize("settings", [{}, {"jit_compile": True}], ids=["graph", "xla"])
def test_uniform_is_the_same_to_the_bit_in_every_execution(settings):
    compiled = tf.function(lambda seed: noise.uniform(seed, (64, 100)), **settings)
    for seed in SEEDS:
        np.testing.assert_array_equal(compiled(tf.constant(seed)), draw("uniform", seed, (64, 100)))


@pytest.mark.parametrize("settings", [{}, {"jit_compile": True}], ids=["graph", "xla"])
def test_normal_is_the_same_in_every_execution_up_to_rounding(settings):
    """The inverse error function is the compiler's own, so that far out the last digits differ."""
    compiled = tf.function(lambda seed: noise.normal(seed, (64, 100)), **settings)
    for seed in SEEDS:
        np.testing.assert_allclose(compiled(tf.constant(seed)), draw("normal", seed, (64, 100)), rtol=1e-5, atol=1e-6)


def test_seeds_of_a_keras_generator_are_accepted_and_each_is_new():
    for seed in (0, 2**31 + 5):  # beyond int32: Keras keeps seeds as 64 bit
        generator = keras.random.SeedGenerator(seed)
        first, second = (noise.uniform(generator.next(), (1000,)).numpy() for _ in range(2))
        assert not np.any(first == second)
        again = noise.uniform(keras.random.SeedGenerator(seed).next(), (1000,)).numpy()
        np.testing.assert_array_equal(first, again)


# Distribution


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind, law", [("uniform", stats.uniform), ("normal", stats.norm)])
def test_moments_and_distribution(kind, law, seed):
    x = draw(kind, seed).astype(float)
    for power in range(1, 5):
        error = math.sqrt((law.moment(2 * power) - law.moment(power) ** 2) / N)
        assert abs((x**power).mean() - law.moment(power)) < 5 * error
    assert stats.kstest(x, law.cdf).pvalue > 1e-3


def test_p_values_over_many_seeds_are_uniform():
    seeds = tf.constant([(7, i) for i in range(100)])
    x = tf.map_fn(lambda s: noise.uniform(s, (2000,)), seeds, fn_output_signature=tf.float32).numpy()
    p_values = [stats.kstest(row, "uniform").pvalue for row in x]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_normal_is_the_quantile_of_uniform():
    u, z = draw("uniform", (1, 2)), draw("normal", (1, 2))
    np.testing.assert_allclose(z, stats.norm.ppf(u.astype(float)), rtol=1e-5, atol=1e-6)


def test_uniform_values_are_odd_multiples_of_a_24_bit_grain():
    steps = draw("uniform", (5, 6)).astype(float) * 2**24
    np.testing.assert_array_equal(steps, np.round(steps))
    assert set(steps % 2) == {1.0}
    assert steps.min() > 0
    assert steps.max() < 2**24


@pytest.mark.parametrize("bits, expected", [(0, 2.0**-24), (2**32 - 1, 1 - 2.0**-24)])
def test_extreme_bits_give_neither_0_nor_1_and_finite_quantiles(monkeypatch, bits, expected):
    monkeypatch.setattr(noise, "_hasher", lambda: lambda h: tf.fill(tf.shape(h), tf.constant(bits, tf.uint32)))
    for execute in (lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)):
        u, z = execute(lambda s: (noise.uniform(s, (3,)), noise.normal(s, (3,))))(tf.constant([0, 0]))
        np.testing.assert_array_equal(u, np.full(3, expected, np.float32))
        np.testing.assert_allclose(z, np.full(3, stats.norm.ppf(expected)), rtol=1e-4)


# Independence


def test_one_number_depends_on_every_bit_of_the_seed():
    first = {draw("uniform", seed, (2,)).tobytes() for seed in [(0, 0), *((1 << i, 0) for i in range(31))]}
    second = {draw("uniform", (0, 1 << i), (2,)).tobytes() for i in range(31)}
    assert len(first | second) == 32 + 31


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2**30), (2**30, 0)])
def test_different_seeds_give_uncorrelated_noise(step):
    x = draw("normal", (10, 20))
    y = draw("normal", (10 + step[0], 20 + step[1]))
    for a, b in ((x, y), (x**2, y**2), (x[1:], y[:-1]), (x[:-1], y[1:])):
        assert abs(correlation(a, b)) < 5 / math.sqrt(N)


def test_swapped_seeds_differ():
    assert abs(correlation(draw("normal", (3, 4)), draw("normal", (4, 3)))) < 5 / math.sqrt(N)


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 784])
def test_positions_are_uncorrelated(lag):
    x = draw("normal", (1, 2))
    assert abs(correlation(x[lag:], x[:-lag])) < 5 / math.sqrt(N - lag)
    assert abs(correlation(x[lag:] ** 2, x[:-lag] ** 2)) < 5 / math.sqrt(N - lag)


def test_the_noise_of_neighbouring_seeds_is_no_shift_of_one_sequence():
    x, y = draw("uniform", (0, 0)), draw("uniform", (0, 1))
    # two sequences of 23-bit values share about N**2 / 2**23 values by chance; a shifted copy shares all of them
    shared = len(np.intersect1d(x, y))
    assert shared < 2 * N**2 / 2**23


def test_the_hash_is_a_bijection():
    step = 2**32 // 2**18
    values = noise._hasher()(tf.constant(np.arange(2**18, dtype=np.uint32) * np.uint32(step) + np.uint32(5))).numpy()
    assert len(np.unique(values)) == 2**18
    values = noise._hasher()(tf.constant(np.arange(2**18, dtype=np.uint32))).numpy()
    assert len(np.unique(values)) == 2**18


def test_every_input_bit_flips_every_output_bit_half_of_the_time():
    n = 2**14
    bits = np.random.RandomState(0).randint(0, 2**32, size=n, dtype=np.uint32)
    assert np.abs(avalanche(bits) - 0.5).max() < 6 * 0.5 / math.sqrt(n)  # the largest of 1024 shares
