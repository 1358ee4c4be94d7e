"""p(x | z), every kind of column, against SciPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from keras_ssvae.likelihoods.base import Likelihood
from keras_ssvae.likelihoods.columns import LIKELIHOODS, Gaussian
from keras_ssvae.nn import noise

ROWS, COLUMNS, LEVELS = 50, 3, 5
KINDS = sorted(LIKELIHOODS)
STEP = 1 / (LEVELS - 1)

# The weights of every likelihood below, and what they mean.
RAW = {
    "raw_scale": np.array([-1.0, 0.0, 0.5]),
    "raw_df": np.array([1.0, 2.0, 0.5]),
    "raw_cutpoints": np.array([[0.1, -0.4, 0.3, 0.0], [-0.6, 0.2, 0.9, -1.0], [0.0, -9.0, 0.0, 1.2]]),
}
CENTER, SPREAD = np.array([0.5, -0.3, 1.0]), np.array([0.5, 0.4, 0.3])
SCALE = 0.05 + 0.95 * np.exp(RAW["raw_scale"])
GAPS = 2 * np.log(LEVELS - 1) / (LEVELS - 2) * (0.05 + 0.95 * np.exp(RAW["raw_cutpoints"][:, 1:]))
CUTPOINTS = np.cumsum(np.hstack([RAW["raw_cutpoints"][:, :1] - np.log(LEVELS - 1), GAPS]), axis=1)


# What SciPy has no class for


class Finite:
    """Some values with log probabilities of shape (..., n_values)."""

    def __init__(self, values, log_probabilities):
        self.values, self.log_probabilities = np.asarray(values), log_probabilities

    def logpmf(self, x):
        at_x = np.isclose(np.asarray(x)[..., None], self.values)
        return np.where(at_x, self.log_probabilities, 0).sum(axis=-1)

    def mean(self):
        return (np.exp(self.log_probabilities) * self.values).sum(axis=-1)

    def var(self):
        return (np.exp(self.log_probabilities) * self.values**2).sum(axis=-1) - self.mean() ** 2

    def most_probable(self):
        return self.values[self.log_probabilities.argmax(axis=-1)]


class TruncatedExponential:
    """p(x) ~ exp(x logit) on [0, 1]: the rate times x, or times 1 - x where the density rises, is truncexpon up to the rate."""

    def __init__(self, logit):
        self.rises, self.rate = logit > 0, np.abs(logit)
        self.law = stats.truncexpon(self.rate)

    def logpdf(self, x):
        return self.law.logpdf(self.rate * np.where(self.rises, 1 - x, x)) + np.log(self.rate)

    def mean(self):
        mean = self.law.mean() / self.rate
        return np.where(self.rises, 1 - mean, mean)

    def var(self):
        return self.law.var() / self.rate**2


def rounded_logistic(values, edges):
    """The values, with the probabilities of the standard logistic between -inf, the (..., n_values - 1) edges, and inf."""
    ends = np.full_like(edges[..., :1], np.inf)
    edges = np.concatenate([-ends, edges, ends], axis=-1)
    low, high = edges[..., :-1], edges[..., 1:]
    low, high = np.where(low + high > 0, -high, low), np.where(low + high > 0, -low, high)  # digits are lost on the right
    logcdf = stats.logistic.logcdf
    return Finite(values, logcdf(high) + np.log1p(-np.exp(logcdf(low) - logcdf(high))))


def discretized(parameters):
    grid, scale = np.linspace(0, 1, LEVELS), STEP / 5 + SCALE / 10
    return rounded_logistic(grid, (grid[:-1] + STEP / 2 - (1 + parameters)[..., None] / 2) / scale[:, None])


def negative_binomial(parameters):
    n, mean = SCALE**-2, np.exp(np.minimum(CENTER + SPREAD * parameters, 30))
    return stats.nbinom(n, n / (n + mean))


def categorical(parameters):
    logits = parameters.reshape(*parameters.shape[:-1], COLUMNS, LEVELS)
    return Finite(np.arange(LEVELS), special.log_softmax(logits, axis=-1))


LAWS = {
    "gaussian": lambda p: stats.norm(p, SCALE),
    "student_t": lambda p: stats.t(2 + 3 * np.exp(RAW["raw_df"]), p, SCALE),
    "log_normal": lambda p: stats.lognorm(SPREAD * SCALE, scale=np.exp(CENTER + SPREAD * p)),
    "bernoulli": lambda p: Finite([0, 1], np.stack([special.log_expit(-p), special.log_expit(p)], axis=-1)),
    "continuous_bernoulli": TruncatedExponential,
    "beta": lambda p: stats.beta(SCALE**-2 * special.expit(p), SCALE**-2 * special.expit(-p)),
    "poisson": lambda p: stats.poisson(np.exp(np.minimum(CENTER + SPREAD * p, 30))),
    "negative_binomial": negative_binomial,
    "categorical": categorical,
    "ordinal": lambda p: rounded_logistic(np.arange(LEVELS), CUTPOINTS - p[..., None]),
    "discretized": discretized,
    "constant": lambda p: stats.norm(np.zeros((*p.shape[:-1], COLUMNS)), 1),
}
SUPPORT = {  # both ends, or as far out as matters
    "gaussian": (-9, 0.5, 9),
    "student_t": (-99, 0.5, 99),
    "log_normal": (1e-9, 1, 1e9),
    "bernoulli": (0, 1),
    "continuous_bernoulli": (0, 0.3, 1),
    "beta": (1e-3, 0.3, 1 - 1e-3),
    "poisson": (0, 1, 100),
    "negative_binomial": (0, 1, 100_000),
    "categorical": range(LEVELS),
    "ordinal": range(LEVELS),
    "discretized": np.linspace(0, 1, LEVELS),
    "constant": (-9, 0, 9),
}
WITHOUT_MEAN = {"categorical", "ordinal"}  # of codes; a most probable one stands for them
WITHOUT_INVERSE = {*WITHOUT_MEAN, "constant"}
SCALED = sorted(kind for kind in KINDS if hasattr(LIKELIHOODS[kind], "scale"))


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def fresh(kind, n_levels=LEVELS):
    """As the constructor leaves it."""
    likelihood = LIKELIHOODS[kind](COLUMNS, n_levels, link_center=CENTER, link_scale=SPREAD)
    likelihood.build(None)
    return likelihood


def built(kind):
    """With the weights above."""
    likelihood = fresh(kind)
    for weight in likelihood.trainable_weights:
        weight.assign(RAW[weight.name])
    return likelihood


def some_parameters(likelihood, rng, rows=(ROWS,)):
    return tf.constant(rng.standard_normal((*rows, COLUMNS * likelihood.n_parameters)), tf.float32)


def some_x(kind, rng):
    """Values between and at the ends of the support, where three columns of a law have a density to speak of."""
    near = {"student_t": (-5, 5), "log_normal": (0.1, 9), "negative_binomial": range(30), "poisson": range(9)}.get(kind)
    return tf.constant(rng.choice(near or SUPPORT[kind], (ROWS, COLUMNS)), tf.float32)


def law_of(kind, parameters):
    return LAWS[kind](np.asarray(parameters, float))


def log_density(law, x):
    return (law.logpmf if hasattr(law, "logpmf") else law.logpdf)(np.asarray(x, float))


def value_and_slopes(likelihood, x, parameters):
    """log p(x) and the gradient of its sum: in the parameters, then in each weight."""
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        value = likelihood.log_prob(x, parameters)
    slopes = tape.gradient(value, [parameters, *(w.value for w in likelihood.trainable_weights)], unconnected_gradients="zero")
    return value, *slopes


# Densities and moments


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_is_that_of_scipy(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    parameters = some_parameters(likelihood, rng)
    expected = log_density(law_of(kind, parameters), x)
    value = likelihood.log_prob(x, parameters)
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"constant"}))
def test_gradient_is_the_difference_quotient_of_scipy(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    parameters = some_parameters(likelihood, rng)
    direction = rng.standard_normal(parameters.shape)
    up, down = (log_density(law_of(kind, parameters.numpy() + h * direction), x) for h in (1e-5, -1e-5))
    slope = value_and_slopes(likelihood, x, parameters)[1]
    np.testing.assert_allclose((slope * direction).numpy().sum(axis=1), (up - down).sum(axis=1) / 2e-5, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*WITHOUT_MEAN, "discretized"}))
def test_mean_is_that_of_scipy(kind, rng):
    likelihood = built(kind)
    parameters = some_parameters(likelihood, rng)
    np.testing.assert_allclose(likelihood.mean(parameters), law_of(kind, parameters).mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", sorted(WITHOUT_MEAN))
def test_most_probable_code_stands_for_a_distribution_of_codes(kind, rng):
    likelihood = built(kind)
    parameters = 5 * some_parameters(likelihood, rng)
    shown = likelihood.mean(parameters)
    assert shown.dtype == tf.float32
    np.testing.assert_array_equal(shown, law_of(kind, parameters).most_probable())


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"constant"}))
def test_draws_have_mean_and_variance(kind, rng):
    likelihood, n = built(kind), 20_000
    parameters = some_parameters(likelihood, rng, rows=(1,))
    law = law_of(kind, parameters)
    mean, variance = law.mean()[0], law.var()[0]
    draws = likelihood.draw(tf.repeat(parameters, n, axis=0), tf.constant([1, 2])).numpy()
    assert draws.dtype == np.float32
    squares = (draws - mean) ** 2
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / n)).all()
    assert (np.abs(squares.mean(axis=0) - variance) < 5 * squares.std(axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"constant"}))
def test_draws_follow_their_seed(kind, rng):
    likelihood = built(kind)
    parameters = some_parameters(likelihood, rng)
    first, again, other = (likelihood.draw(parameters, tf.constant(seed)) for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != other.numpy()).any()


def test_a_constant_is_drawn_and_shown_as_it_is(rng):
    likelihood, nothing = built("constant"), tf.zeros((2, ROWS, 0))
    for value in (likelihood.draw(nothing, tf.constant([1, 2])), likelihood.mean(nothing)):
        np.testing.assert_array_equal(value, np.zeros((2, ROWS, COLUMNS)))


@pytest.mark.parametrize("kind", sorted({*KINDS} - WITHOUT_INVERSE))
def test_location_of_mean_is_the_inverse_of_mean(kind):
    likelihood = built(kind)
    mean = np.tile([[0.001], [0.02], [0.3], [0.5], [0.8], [0.999]], COLUMNS)
    np.testing.assert_allclose(likelihood.mean(likelihood.location_of_mean(tf.constant(mean, tf.float32))), mean, rtol=1e-4)


@pytest.mark.parametrize("kind", sorted({*KINDS} - WITHOUT_INVERSE - {"gaussian", "student_t"}))
def test_location_of_a_mean_at_the_end_of_the_support_is_finite(kind):
    likelihood = built(kind)
    for end in (0.0, 1.0):
        mean = likelihood.mean(likelihood.location_of_mean(tf.fill((1, COLUMNS), end)))
        np.testing.assert_allclose(mean, tf.fill((1, COLUMNS), end), atol=1.1e-5)


@pytest.mark.parametrize("kind", sorted(WITHOUT_INVERSE))
def test_kinds_without_an_inverse_of_the_mean_say_so(kind):
    with pytest.raises(TypeError, match=f"{LIKELIHOODS[kind].__name__} has no parameters that follow from a mean"):
        built(kind).location_of_mean(tf.zeros((1, COLUMNS)))


# What may be averaged


@pytest.mark.parametrize("kind", KINDS)
def test_value_of_an_expectation_is_the_mean(kind, rng):
    likelihood = built(kind)
    for front in ((ROWS,), (2, ROWS)):
        parameters = 3 * some_parameters(likelihood, rng, rows=front)
        expectation = likelihood.expectation(parameters)
        assert expectation.shape == (*front, likelihood.n_expectations)
        np.testing.assert_array_equal(likelihood.value(expectation), likelihood.mean(parameters))


@pytest.mark.parametrize("kind", sorted(WITHOUT_MEAN))
def test_expectations_of_codes_are_their_probabilities(kind, rng):
    likelihood = built(kind)
    parameters = some_parameters(likelihood, rng)
    expected = np.exp(law_of(kind, parameters).log_probabilities)
    np.testing.assert_allclose(likelihood.probabilities(parameters), expected, rtol=1e-4, atol=1e-6)
    expectation = likelihood.expectation(parameters)
    np.testing.assert_array_equal(expectation, np.reshape(likelihood.probabilities(parameters), (ROWS, -1)))


@pytest.mark.parametrize("kind", sorted({*KINDS} - WITHOUT_MEAN))
def test_expectations_of_numbers_are_means_of_which_an_average_is_a_mean(kind, rng):
    likelihood = built(kind)
    parameters = some_parameters(likelihood, rng, rows=(2, ROWS))
    average = likelihood.value(tf.reduce_mean(likelihood.expectation(parameters), axis=0))
    np.testing.assert_allclose(average, np.mean(likelihood.mean(parameters), axis=0), rtol=1e-5)


@pytest.mark.parametrize("kind", sorted(WITHOUT_MEAN))
def test_of_averaged_probabilities_the_most_probable_code_is_shown(kind, rng):
    likelihood = built(kind)
    parameters = 5 * some_parameters(likelihood, rng, rows=(4, ROWS))
    by_draw = np.exp(law_of(kind, parameters).log_probabilities)
    shown = likelihood.value(tf.reduce_mean(likelihood.expectation(parameters), axis=0)).numpy()
    np.testing.assert_array_equal(shown, by_draw.mean(axis=0).argmax(axis=-1))
    of_modes = np.round(np.mean(likelihood.mean(parameters), axis=0))  # another thing
    assert (shown != of_modes).any()


# Layout


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"constant"}))
def test_a_column_depends_on_its_own_parameters(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    parameters = some_parameters(likelihood, rng)
    per_column = likelihood.n_parameters
    moved = np.zeros((1, COLUMNS * per_column), "float32")
    moved[0, per_column : 2 * per_column] = np.linspace(0.5, -1.5, per_column)  # those of column 1
    changes = (likelihood.log_prob(x, parameters + moved) - likelihood.log_prob(x, parameters)).numpy()
    assert (changes[:, [0, 2]] == 0).all()
    assert (changes[:, 1] != 0).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_an_axis_of_classes_in_front_changes_nothing(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    parameters = some_parameters(likelihood, rng, rows=(2, ROWS))
    by_class = likelihood.log_prob(x, parameters)
    assert by_class.shape == likelihood.mean(parameters).shape == (2, ROWS, COLUMNS)
    assert likelihood.draw(parameters, tf.constant([1, 2])).shape == (2, ROWS, COLUMNS)
    for k in range(2):
        np.testing.assert_allclose(by_class[k], likelihood.log_prob(x, parameters[k]), rtol=1e-5, atol=1e-6)


FEATURES = {
    "log_normal": lambda x: (np.log(x) - CENTER) / SPREAD,
    "poisson": lambda x: (np.log(1 + x) - CENTER) / SPREAD,
    "negative_binomial": lambda x: (np.log(1 + x) - CENTER) / SPREAD,
    "categorical": lambda x: np.hstack([x[:, [j]] == np.arange(LEVELS) for j in range(COLUMNS)]),
    "ordinal": lambda x: 2 * (x / (LEVELS - 1) - 0.5),
    "constant": lambda x: np.empty((len(x), 0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_features(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    features = likelihood.features(x)
    assert features.dtype == tf.float32
    assert features.shape == (ROWS, likelihood.n_features)
    np.testing.assert_allclose(features, FEATURES.get(kind, np.asarray)(x.numpy()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"bernoulli"}))
def test_a_training_step_sees_x_itself(kind, rng):
    x = some_x(kind, rng)
    np.testing.assert_array_equal(built(kind).noisy(x, lambda like: noise.uniform((0, 0), like.shape)), x)


# Compiled, and far out


@pytest.mark.parametrize("kind", KINDS)
def test_xla_gives_log_prob_and_gradients_of_eager_execution(kind, rng):
    likelihood, x = built(kind), some_x(kind, rng)
    parameters = some_parameters(likelihood, rng)
    compiled = tf.function(lambda x, p: value_and_slopes(likelihood, x, p), jit_compile=True)
    for under_xla, eager in zip(compiled(x, parameters), value_and_slopes(likelihood, x, parameters)):
        np.testing.assert_allclose(under_xla, eager, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_extreme_parameters_have_finite_densities_and_gradients(kind, jit_compile, rng):
    likelihood = built(kind)
    x = tf.constant(np.tile(np.array(SUPPORT[kind])[:, None, None], COLUMNS), tf.float32)
    corners = np.concatenate([np.full((1, LEVELS), 30), np.full((1, LEVELS), -30), rng.choice([-30, 30], (9, LEVELS))])
    parameters = tf.constant(np.tile(corners[:, : likelihood.n_parameters], COLUMNS), tf.float32)
    value, *slopes = tf.function(lambda x, p: value_and_slopes(likelihood, x, p), jit_compile=jit_compile)(x, parameters)
    np.testing.assert_allclose(value, log_density(law_of(kind, parameters), x), rtol=1e-3, atol=1e-4)
    for slope in slopes:
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_parameters_have_finite_means_and_draws(kind):
    likelihood = built(kind)
    parameters = tf.constant([[-1e3], [-30.0], [30.0], [1e3]]) * tf.ones((1, COLUMNS * likelihood.n_parameters))
    assert np.isfinite(likelihood.mean(parameters)).all()
    assert np.isfinite(likelihood.draw(parameters, tf.constant([1, 2]))).all()


# Weights


@pytest.mark.parametrize("kind", KINDS)
def test_weights_follow_from_the_constructor(kind):
    expected = {"raw_scale": (COLUMNS,)} if kind in SCALED else {}
    expected |= {"student_t": {"raw_df": (COLUMNS,)}, "ordinal": {"raw_cutpoints": (COLUMNS, LEVELS - 1)}}.get(kind, {})
    assert {w.name: w.shape for w in fresh(kind).trainable_weights} == expected


@pytest.mark.parametrize("kind", SCALED)
def test_scale_starts_at_one_and_has_a_floor(kind):
    likelihood = fresh(kind)
    np.testing.assert_allclose(likelihood.scale(), np.ones(COLUMNS), rtol=1e-6)
    likelihood.raw_scale.assign(np.full(COLUMNS, -1e3))
    np.testing.assert_allclose(likelihood.scale(), np.full(COLUMNS, 0.05), rtol=1e-6)


def test_gaussian_scale_is_learned():
    likelihood = built("gaussian")
    slope = value_and_slopes(likelihood, tf.ones((1, COLUMNS)), tf.zeros((1, COLUMNS)))[2]
    expected = (1 / SCALE**3 - 1 / SCALE) * (SCALE - 0.05)  # d log N / d scale, times d scale / d raw
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_student_t_has_a_variance_and_starts_with_five_degrees_of_freedom():
    likelihood = fresh("student_t")
    np.testing.assert_allclose(likelihood.df(), np.full(COLUMNS, 5.0), rtol=1e-6)
    likelihood.raw_df.assign(np.full(COLUMNS, -9.0))
    assert (likelihood.df().numpy() > 2).all()


def test_spread_of_log_x_is_in_units_of_the_link():
    np.testing.assert_allclose(built("log_normal").sigma(), SPREAD * SCALE, rtol=1e-6)


@pytest.mark.parametrize(("kind", "name"), [("beta", "concentration"), ("negative_binomial", "total_count")])
def test_concentrations_are_at_most_400(kind, name):
    likelihood = fresh(kind)
    likelihood.raw_scale.assign(np.full(COLUMNS, -1e3))
    np.testing.assert_allclose(getattr(likelihood, name)(), np.full(COLUMNS, 400.0), rtol=1e-5)


@pytest.mark.parametrize("n_levels", [2, 3, 9])
def test_cutpoints_start_evenly_spaced_with_ends_as_probable_as_the_average_level(n_levels):
    likelihood = fresh("ordinal", n_levels)
    end = np.log(n_levels - 1)
    np.testing.assert_allclose(likelihood.cutpoints()[0], np.linspace(-end, end, n_levels - 1), rtol=1e-5, atol=1e-6)
    codes = np.tile(np.arange(n_levels, dtype="float32")[:, None], COLUMNS)
    probabilities = np.exp(likelihood.log_prob(tf.constant(codes), tf.zeros((1, COLUMNS))))
    np.testing.assert_allclose(probabilities[[0, -1]], np.full((2, COLUMNS), 1 / n_levels), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=0), np.ones(COLUMNS), rtol=1e-5)


def test_cutpoints_increase_whatever_is_learned():
    likelihood = fresh("ordinal")
    likelihood.raw_cutpoints.assign(np.full((COLUMNS, LEVELS - 1), -1e3))
    np.testing.assert_allclose(likelihood.gaps(), np.full((COLUMNS, LEVELS - 2), 0.05 * 2 * np.log(4) / 3), rtol=1e-5)


# The mean of the discretised logistic


def test_discretized_mean_is_that_of_the_logistic_put_into_the_unit_interval(rng):
    likelihood = built("discretized")
    parameters = some_parameters(likelihood, rng, rows=(5,))
    location, scale = (1 + parameters.numpy()) / 2, STEP / 5 + SCALE / 10
    expected = [
        [integrate.quad(stats.logistic(m, s).sf, 0, 1)[0] for m, s in zip(row, scale)]  # of P(v > t), t from 0 to 1
        for row in location
    ]
    np.testing.assert_allclose(likelihood.mean(parameters), expected, rtol=1e-4)


@pytest.mark.parametrize("raw_scale", [-1e3, -1.0, 1.0])
@pytest.mark.parametrize("n_levels", [2, 5, 17])
def test_discretized_mean_is_that_of_its_grid_points_up_to_a_tenth_of_a_step(n_levels, raw_scale):
    likelihood = fresh("discretized", n_levels)
    likelihood.raw_scale.assign(np.full(COLUMNS, raw_scale))
    parameters = tf.constant(np.tile(np.linspace(-3, 3, 301)[:, None], COLUMNS), tf.float32)
    grid = tf.linspace(0.0, 1.0, n_levels)[:, None, None]
    expected = tf.reduce_sum(grid * tf.exp(likelihood.log_prob(grid, parameters)), axis=0)
    np.testing.assert_allclose(likelihood.mean(parameters), expected, rtol=0, atol=0.1 / (n_levels - 1))


def test_a_grid_of_256_values_is_met_however_it_was_rounded():
    likelihood = fresh("discretized", 256)
    grey = (np.arange(256, dtype="float32") / np.float32(255))[:, None] * np.ones(COLUMNS, "float32")
    parameters = tf.constant([[-1.2, 0.1, 0.9]])
    by_number = likelihood.distribution(parameters).log_prob(tf.range(256.0)[:, None])
    np.testing.assert_allclose(likelihood.log_prob(tf.constant(grey), parameters), by_number, rtol=1e-3)
    drawn = likelihood.draw(tf.repeat(parameters, 99, axis=0), tf.constant([1, 2])).numpy()
    np.testing.assert_allclose(drawn * 255, np.round(drawn * 255), atol=1e-4)


# Grey values of the Bernoulli


def test_bernoulli_log_prob_of_grey_is_linear_between_black_and_white(rng):
    likelihood = built("bernoulli")
    logit = some_parameters(likelihood, rng)
    grey = rng.uniform(size=(ROWS, COLUMNS)).astype(np.float32)
    black = likelihood.log_prob(tf.zeros_like(logit), logit)
    white = likelihood.log_prob(tf.ones_like(logit), logit)
    np.testing.assert_allclose(likelihood.log_prob(grey, logit), (1 - grey) * black + grey * white, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("logit", [1e4, -1e4])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_log_prob_of_certain_pixels(logit, x):
    expected = 0.0 if (logit > 0) == (x > 0) else -1e4
    assert built("bernoulli").log_prob(tf.constant(x), tf.constant(logit)).numpy() == expected


def test_bernoulli_resamples_grey_to_zeros_and_ones_of_the_same_mean():
    n = 40_000
    grey = tf.constant(np.tile([0.0, 0.1, 0.5, 0.9, 1.0], (n, 1)), tf.float32)
    drawn = built("bernoulli").noisy(grey, lambda like: noise.uniform((0, 0), like.shape)).numpy()
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    mean, error = grey.numpy()[0], np.sqrt(grey.numpy()[0] * (1 - grey.numpy()[0]) / n)
    assert (np.abs(drawn.mean(axis=0) - mean) <= 5 * error).all()  # no deviation at all where x is 0 or 1


def test_certain_means_give_the_bernoulli_finite_logits():
    logit = built("bernoulli").location_of_mean(tf.constant([[0.0, 1.0, 0.5]]))
    np.testing.assert_allclose(logit, [[-np.log(1e5 - 1), np.log(1e5 - 1), 0.0]], rtol=1e-2, atol=1e-6)


# The class itself


def test_without_a_link_the_parameter_is_the_logarithm():
    likelihood = LIKELIHOODS["poisson"](COLUMNS)
    np.testing.assert_allclose(likelihood.mean(tf.constant([[-1.0, 0.0, 2.0]])), np.exp([[-1.0, 0.0, 2.0]]), rtol=1e-5)


def test_likelihood_has_a_name():
    assert Gaussian(COLUMNS, name="x").name == "x"


def test_a_subclass_without_a_distribution_is_named():
    class Nothing(Likelihood):
        pass

    with pytest.raises(TypeError, match="Nothing defines no distribution"):
        Nothing(2).mean(tf.zeros((1, 2)))
