"""Columns of several kinds side by side: what the encoder reads, and p(x | parameters), by hand and against SciPy."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import special, stats

from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import ColumnGroup
from keras_ssvae.likelihoods.mixed import MixedLikelihood
from keras_ssvae.nn import noise

NAN = np.nan
ROWS = 20
LEVELS = 3
GROUPS = [
    ColumnGroup("bernoulli", 0, 2),
    ColumnGroup("categorical", 2, 4, LEVELS),
    ColumnGroup("constant", 4, 5),
    ColumnGroup("gaussian", 5, 7),
    ColumnGroup("negative_binomial", 7, 8),
    ColumnGroup("ordinal", 8, 9, LEVELS),
]
N_PARAMETERS = 2 + 2 * LEVELS + 0 + 2 + 1 + 1
N_FEATURES = 2 + 2 * LEVELS + 0 + 2 + 1 + 1
N_EXPECTATIONS = 2 + 2 * LEVELS + 1 + 2 + 1 + LEVELS
CENTER, SPREAD = np.zeros(9), np.ones(9)
CENTER[7], SPREAD[7] = 1.5, 0.5  # of log(1 + x) of the counts


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def built(groups=GROUPS, gives="features", incomplete=None, n_inputs=4):
    observation = MixedLikelihood(groups, CENTER, SPREAD, incomplete).after(gives)
    observation.build((None, n_inputs))
    return observation


def some_x(rng):
    columns = [
        rng.randint(2, size=(ROWS, 2)),
        rng.randint(LEVELS, size=(ROWS, 2)),
        np.zeros((ROWS, 1)),
        rng.standard_normal((ROWS, 2)),
        rng.poisson(3, size=(ROWS, 1)),
        rng.randint(LEVELS, size=(ROWS, 1)),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def some_parameters(rng, *front):
    return tf.constant(rng.standard_normal((*front, ROWS, N_PARAMETERS)), tf.float32)


def seeds(first=0):
    """Seeds as a network gives them: new ones at every call."""
    state = np.random.RandomState(first)
    return lambda: tf.constant(state.randint(2**31 - 1, size=2), tf.int32)


# What the encoder reads


def test_features_of_a_mixed_row_by_hand():
    x = tf.constant([[1, 0, 2, 0, 0, 0.5, -1.5, 3, 2]], tf.float32)
    count = (np.log(4) - 1.5) / 0.5
    expected = [1, 0, *(0, 0, 1), *(1, 0, 0), 0.5, -1.5, count, 1.0]
    observation = built()
    assert observation.n_features == N_FEATURES
    np.testing.assert_allclose(observation.features(x), [expected], rtol=1e-5)


def test_features_of_missing_cells_are_zero():
    x = tf.constant([[1, 0, 2, 0, 0, 0.5, -1.5, 3, 2]], tf.float32)
    observed = tf.constant([[1, 0, 1, 0, 1, 0, 1, 0, 0]], tf.float32)
    expected = [1, 0, *(0, 0, 1), *(0, 0, 0), 0, -1.5, 0, 0]
    np.testing.assert_allclose(built().features(x, observed), [expected], rtol=1e-5)


def test_incomplete_columns_have_marks():
    x = tf.constant([[1, 0, 2, 0, 0, 0.5, -1.5, 3, 2]], tf.float32)
    incomplete = np.isin(np.arange(9), (1, 3, 7))
    observation = built(incomplete=incomplete)
    assert observation.n_features == N_FEATURES + 3
    observed = np.ones((1, 9), np.float32)
    observed[0, [0, 3, 7]] = 0  # a gap in column 0, that had none when the model was fitted, has no mark
    features = observation.features(x, tf.constant(observed)).numpy()
    np.testing.assert_array_equal(features[:, N_FEATURES:], [[1, 0, 0]])
    np.testing.assert_array_equal(features[:, :N_FEATURES], built().features(x, tf.constant(observed)))
    whole = observation.features(x).numpy()
    np.testing.assert_array_equal(whole[:, N_FEATURES:], [[1, 1, 1]])
    np.testing.assert_array_equal(whole, observation.features(x, tf.ones((1, 9))))


def test_what_fills_a_missing_cell_does_not_matter(rng):
    observation = built(incomplete=np.ones(9, bool))
    x, other = some_x(rng), some_x(rng)
    observed = rng.randint(2, size=x.shape).astype(np.float32)
    one, two = (observation.features(tf.constant(np.where(observed > 0, x, fill)), observed) for fill in (x * 0, other))
    np.testing.assert_array_equal(one, two)


FRAME = pd.DataFrame(
    {
        "share": [0.1, 0.2, NAN, 0.6],
        "animal": ["cat", None, "dog", "emu"],
        "size": pd.Categorical(["s", "m", "l", None], ["s", "m", "l"], ordered=True),
        "yes": pd.array([True, None, False, True], dtype="boolean"),
        "born": pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2020-01-04", "2020-01-09"]),
    }
)


def test_features_of_a_table_with_gaps_by_hand():
    schema = Schema().fit(FRAME)
    values = schema.read(FRAME)
    table = TablePreprocessor().fit(values, schema, np.ones(4))
    observation = MixedLikelihood.of_table(table)
    rows = table.encode(values)
    features = observation.features(tf.constant(rows.x), tf.constant(rows.observed)).numpy()
    share, days = np.array([0.1, 0.2, NAN, 0.6]), np.array([0, 1, 3, 8.0])
    expected = np.column_stack(
        [
            [1, 0, 0, 1],  # yes
            np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]),  # animal
            np.nan_to_num((share - 0.3) / np.nanstd(share)),
            (days - 3) / days.std(),
            [-1, 0, 1, 0],  # size
            [1, 0, 1, 1],  # marks: yes
            [1, 0, 1, 1],  # animal
            [1, 1, 0, 1],  # share; born has no gap
            [1, 1, 1, 0],  # size
        ]
    )
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_images_have_no_marks():
    X = np.where(np.arange(32).reshape(2, 4, 4) == 5, NAN, 0.5)
    table = TablePreprocessor().fit(X, Schema().fit(X), np.ones(2))
    assert table.incomplete_.any()
    assert MixedLikelihood.of_table(table).n_features == 16


# p(x | parameters)


def test_log_prob_is_the_sum_of_the_parts_of_scipy(rng):
    observation, x, parameters = built(), some_x(rng), some_parameters(rng)
    p = parameters.numpy().astype(float)
    mean = np.exp(1.5 + 0.5 * p[:, 10])
    cutpoints = np.linspace(-np.log(2), np.log(2), 2)
    below = stats.logistic.cdf(cutpoints - p[:, 11:12])
    steps = np.diff(np.hstack([np.zeros((ROWS, 1)), below, np.ones((ROWS, 1))]), axis=1)
    logits = special.log_softmax(p[:, 2:8].reshape(ROWS, 2, LEVELS), axis=-1)
    codes = x[:, 2:4].astype(int)
    by_column = np.column_stack(
        [
            stats.bernoulli(special.expit(p[:, 0:2])).logpmf(x[:, 0:2]),
            np.take_along_axis(logits, codes[:, :, None], axis=-1)[:, :, 0],
            stats.norm.logpdf(x[:, 4]),
            stats.norm(p[:, 8:10], 1).logpdf(x[:, 5:7]),
            stats.nbinom(1, 1 / (1 + mean)).logpmf(x[:, 7]),
            np.log(steps[np.arange(ROWS), x[:, 8].astype(int)]),
        ]
    )
    got = observation.log_prob(tf.constant(x), parameters)
    np.testing.assert_allclose(got, by_column, rtol=1e-4, atol=1e-5)


def test_each_part_has_a_scale_of_its_own(rng):
    observation, x, parameters = built(), some_x(rng), some_parameters(rng)
    gaussian = next(part for part in observation.parts if part.name.startswith("gaussian"))
    before = observation.log_prob(tf.constant(x), parameters).numpy()
    gaussian.raw_scale.assign([0.5, -0.5])
    after = observation.log_prob(tf.constant(x), parameters).numpy()
    scale = 0.05 + 0.95 * np.exp([0.5, -0.5])
    np.testing.assert_allclose(after[:, 5:7], stats.norm(parameters[:, 8:10], scale).logpdf(x[:, 5:7]), rtol=1e-4)
    np.testing.assert_array_equal(np.delete(after, [5, 6], axis=1), np.delete(before, [5, 6], axis=1))


def test_an_axis_of_classes_in_front(rng):
    observation, x, parameters = built(), some_x(rng), some_parameters(rng, 3)
    by_class = observation.log_prob(tf.constant(x), parameters)
    assert by_class.shape == (3, ROWS, 9)
    for k in range(3):
        np.testing.assert_allclose(by_class[k], observation.log_prob(tf.constant(x), parameters[k]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_one_kind_alone_is_its_likelihood(kind, rng):
    n_levels = LEVELS if kind in ("categorical", "ordinal", "discretized") else 0
    observation = MixedLikelihood([ColumnGroup(kind, 0, 2, n_levels)]).after("location")
    alone = LIKELIHOODS[kind](2, n_levels)
    for layer in (observation, alone):
        layer.build((None, 4))
    x = tf.constant(rng.choice([0.25, 0.5] if kind in ("beta", "log_normal") else [0.0, 1.0], size=(ROWS, 2)), tf.float32)
    parameters = tf.constant(rng.standard_normal((ROWS, 2 * alone.n_parameters)), tf.float32)
    np.testing.assert_array_equal(observation.log_prob(x, parameters), alone.log_prob(x, parameters))
    np.testing.assert_array_equal(observation.features(x), alone.features(x))
    np.testing.assert_array_equal(observation.mean(parameters), alone.mean(parameters))


# What stands for x


def test_expectations_of_a_mixed_row(rng):
    observation, parameters = built(), some_parameters(rng)
    p = parameters.numpy().astype(float)
    expectation = observation.expectation(parameters).numpy()
    assert expectation.shape == (ROWS, N_EXPECTATIONS)
    np.testing.assert_allclose(expectation[:, 0:2], special.expit(p[:, 0:2]), rtol=1e-5)
    np.testing.assert_allclose(expectation[:, 2:5], special.softmax(p[:, 2:5], axis=1), rtol=1e-5)
    np.testing.assert_allclose(expectation[:, 5:8], special.softmax(p[:, 5:8], axis=1), rtol=1e-5)
    np.testing.assert_array_equal(expectation[:, 8], 0)
    np.testing.assert_allclose(expectation[:, 9:11], p[:, 8:10], rtol=1e-6)
    np.testing.assert_allclose(expectation[:, 11], np.exp(1.5 + 0.5 * p[:, 10]), rtol=1e-5)
    np.testing.assert_allclose(expectation[:, 12:].sum(axis=1), 1, rtol=1e-5)


def test_mean_is_the_value_of_the_expectation(rng):
    observation, parameters = built(), some_parameters(rng)
    mean = observation.mean(parameters).numpy()
    assert mean.shape == (ROWS, 9)
    np.testing.assert_array_equal(mean, observation.value(observation.expectation(parameters)))
    p = parameters.numpy()
    np.testing.assert_array_equal(mean[:, 2], p[:, 2:5].argmax(axis=1))
    np.testing.assert_array_equal(mean[:, 3], p[:, 5:8].argmax(axis=1))
    np.testing.assert_allclose(mean[:, 5:7], p[:, 8:10], rtol=1e-6)


def test_of_averaged_probabilities_the_most_probable_level_is_shown():
    """Two classes, one of them sure of level 0 and one of level 2, and level 1 never far off: half and half, it is level 1."""
    groups = [ColumnGroup("categorical", 0, 1, 3), ColumnGroup("gaussian", 1, 2)]
    observation = MixedLikelihood(groups).after("features")
    observation.build((None, 4))
    one, two = np.log([0.52, 0.47, 0.01]), np.log([0.01, 0.47, 0.52])
    parameters = tf.constant([[[*one, -1.0]], [[*two, 4.0]]], tf.float32)  # classes, rows, parameters
    expectation = tf.reduce_mean(observation.expectation(parameters), axis=0)
    np.testing.assert_allclose(expectation, [[0.265, 0.47, 0.265, 1.5]], rtol=1e-4)
    np.testing.assert_allclose(observation.value(expectation), [[1, 1.5]], rtol=1e-5)
    np.testing.assert_allclose(observation.mean(parameters), [[[0, -1]], [[2, 4]]], rtol=1e-5)


# Draws


def test_draws_follow_their_seeds_and_the_parts_have_seeds_of_their_own(rng):
    observation, parameters = built(), some_parameters(rng)
    one, same, other = (observation.draw(parameters, seeds(first)).numpy() for first in (0, 0, 1))
    assert one.shape == (ROWS, 9)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any(axis=0)[[0, 1, 2, 3, 5, 6, 7, 8]].all()
    np.testing.assert_array_equal(one[:, 4], 0)
    twins = MixedLikelihood([ColumnGroup("gaussian", 0, 1), ColumnGroup("gaussian", 1, 2)]).after("features")
    twins.build((None, 4))
    drawn = twins.draw(tf.zeros((ROWS, 2)), seeds()).numpy()
    assert (drawn[:, 0] != drawn[:, 1]).all()


def test_draws_have_the_expectation_as_their_mean(rng):
    observation, n = built(), 20_000
    parameters = tf.repeat(some_parameters(rng)[:1], n, axis=0)
    drawn = observation.draw(parameters, seeds()).numpy()
    expectation = observation.expectation(parameters[:1]).numpy()[0]
    error = 5 * drawn.std(axis=0) / np.sqrt(n)
    numbers = [0, 1, 5, 6, 7]
    assert (np.abs(drawn.mean(axis=0)[numbers] - expectation[[0, 1, 9, 10, 11]]) < error[numbers]).all()
    for column, start in ((2, 2), (3, 5), (8, 12)):
        shares = np.bincount(drawn[:, column].astype(int), minlength=LEVELS) / n
        p = expectation[start : start + LEVELS]
        assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / n)).all()


def test_a_training_step_resamples_grey_and_leaves_the_rest():
    observation = MixedLikelihood([ColumnGroup("bernoulli", 0, 1), ColumnGroup("gaussian", 1, 2)]).after("features")
    x = tf.constant(np.tile([0.3, 0.3], (20_000, 1)), tf.float32)
    seen = observation.noisy(x, lambda like: noise.uniform((0, 0), like.shape)).numpy()
    assert set(seen[:, 0]) == {0.0, 1.0}
    assert abs(seen[:, 0].mean() - 0.3) < 5 * np.sqrt(0.21 / 20_000)
    np.testing.assert_array_equal(seen[:, 1], x[:, 1])


# Between decoder and parameters


def test_features_of_a_decoder_get_a_dense_head(rng):
    observation = built()
    decoded = tf.constant(rng.standard_normal((ROWS, 4)), tf.float32)
    kernel, bias = (weight.numpy() for weight in observation.head.weights)
    assert kernel.shape == (4, N_PARAMETERS)
    np.testing.assert_allclose(observation(decoded), decoded.numpy() @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_parameters_of_a_decoder_are_taken_as_they_are(rng):
    observation, parameters = built(gives="location"), some_parameters(rng)
    assert observation.head is None
    np.testing.assert_array_equal(observation(parameters), parameters)


ONE_PARAMETER = [kind for kind in LIKELIHOODS if kind not in ("categorical", "ordinal", "constant")]


def test_a_decoder_of_means_is_read_as_such_where_one_value_a_column_says_all(rng):
    groups = [ColumnGroup(kind, j, j + 1, 5 if kind == "discretized" else 0) for j, kind in enumerate(ONE_PARAMETER)]
    observation = MixedLikelihood(groups).after("mean")
    observation.build((None, len(groups)))
    assert observation.reads == "mean"
    assert observation.head is None
    mean = tf.constant(rng.uniform(0.1, 0.9, size=(ROWS, len(groups))), tf.float32)
    np.testing.assert_allclose(observation.mean(observation(mean)), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "groups",
    [
        GROUPS,
        [ColumnGroup("categorical", 0, 2, 4)],
        [ColumnGroup("gaussian", 0, 1), ColumnGroup("categorical", 1, 2, 3)],
        [ColumnGroup("constant", 0, 1), ColumnGroup("gaussian", 1, 2)],
        [ColumnGroup("gaussian", 0, 1), ColumnGroup("ordinal", 1, 2, 3)],
    ],
    ids=["many", "categories", "numbers and categories", "a constant", "an order"],
)
def test_a_decoder_of_as_many_values_as_columns_has_features_where_columns_need_more(groups):
    observation = MixedLikelihood(groups).after("mean")
    assert observation.reads == "features"
    n_parameters = sum(part.n_parameters * part.n_columns for part in observation.parts)
    observation.build((None, 5))
    assert observation.head.weights[0].shape == (5, n_parameters)
    assert observation(tf.zeros((ROWS, 5))).shape == (ROWS, n_parameters)


def test_standardised_gaussian_columns(rng):
    observation = MixedLikelihood.gaussian(3).after("location")
    observation.build((None, 3))
    x = tf.constant(rng.standard_normal((ROWS, 3)), tf.float32)
    np.testing.assert_allclose(observation.log_prob(x, tf.zeros((ROWS, 3))), stats.norm.logpdf(x), rtol=1e-5)
    np.testing.assert_array_equal(observation.features(x), x)
