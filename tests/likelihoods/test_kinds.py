"""A kind of column is one class and one line: a stranger's kind goes all the way from X to log p(x) and back."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from keras_ssvae.data.column_kinds import kind_names
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.likelihoods.base import Likelihood, ScaledLikelihood
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import ColumnGroup, ColumnKind
from keras_ssvae.likelihoods.mixed import MixedLikelihood

N = 40


class Laplace(ScaledLikelihood):
    """A standardised column, or image, with sharp peaks."""

    kind = ColumnKind(for_images=True)

    def distribution(self, parameters):
        return tfp.distributions.Laplace(parameters, self.scale())

    def location_of_mean(self, mean):
        return mean


class Triangular(Likelihood):
    """A column between 2 and 5, which no cell may leave."""

    kind = ColumnKind(support=(2.0, 5.0), accepts="values from 2 to 5", within=(2.0, 5.0), scaling="none")

    def distribution(self, parameters):
        return tfp.distributions.Triangular(2.0, 5.0, 2.0 + 3.0 * tf.sigmoid(parameters))


@pytest.fixture
def strangers(monkeypatch):
    for name, cls in (("laplace", Laplace), ("triangular", Triangular)):
        monkeypatch.setitem(LIKELIHOODS, name, cls)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def fitted(X, likelihood):
    schema = Schema().fit(X)
    values = schema.read(X).astype(float)
    return TablePreprocessor(likelihood).fit(values, schema, np.ones(len(values))), values


def test_a_strangers_kind_goes_from_x_to_its_density_and_back(strangers, rng):
    X = pd.DataFrame({"a": rng.laplace(7, 3, N), "b": rng.uniform(2, 5, N), "c": rng.choice(["x", "y", "z"], N)})
    X.loc[3, "b"] = np.nan
    table, values = fitted(X, {"a": "laplace", "b": "triangular"})
    assert table.groups_ == [ColumnGroup("categorical", 0, 1, 3), ColumnGroup("laplace", 1, 2), ColumnGroup("triangular", 2, 3)]
    rows = table.encode(values)
    np.testing.assert_allclose([rows.x[:, 1].mean(), rows.x[:, 1].std()], [0, 1], atol=1e-5)
    np.testing.assert_array_equal(rows.x[:, 2], X["b"].fillna(2).astype(np.float32))  # a gap is filled from the support
    pd.testing.assert_frame_equal(table.decode(rows.x).drop(3), X.drop(3), rtol=1e-5)

    observation = MixedLikelihood.of_table(table).after("location")
    observation.build((None, 5))
    x, parameters = tf.constant(rows.x), tf.zeros((N, 5))
    log_prob = observation.log_prob(x, parameters).numpy()
    np.testing.assert_allclose(log_prob[:, 1], stats.laplace.logpdf(rows.x[:, 1]), rtol=1e-5)
    np.testing.assert_allclose(log_prob[:, 2], stats.triang.logpdf(rows.x[:, 2], 0.5, 2, 3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(observation.mean(parameters)[:, 1:], [[0, 3.5]] * N, rtol=1e-6)
    assert observation.features(x, tf.constant(rows.observed)).shape == (N, 6)  # three levels, two numbers, a mark of gaps


def test_a_strangers_kind_for_all_columns_and_for_images(strangers, rng):
    assert fitted(rng.standard_normal((N, 2)), "laplace")[0].kinds_ == ["laplace", "laplace"]
    X = rng.laplace(7, 3, size=(N, 2, 2))
    table, values = fitted(X, "laplace")
    x = table.encode(values).x
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(table.decode(x), X, rtol=1e-5)
    with pytest.raises(ValueError, match="likelihood of images must be 'auto', 'gaussian', .* or 'laplace'; got 'triangular'"):
        fitted(X, "triangular")


def test_values_that_a_strangers_kind_does_not_accept_are_refused(strangers):
    with pytest.raises(ValueError, match="likelihood='triangular' accepts values from 2 to 5; column 0 of X has values from 1"):
        fitted(np.array([[1.0], [2.5], [3.0]]), "triangular")


@pytest.mark.parametrize("name", ["laplace", "constant"])
def test_an_unknown_name_is_refused_with_those_that_are_accepted(name):
    with pytest.raises(ValueError, match=rf"likelihood must be 'auto' or one of \('gaussian', .*\); got '{name}'"):
        fitted(np.array([[1.0], [2.5], [3.0]]), name)


def test_names_are_those_of_the_moment(strangers):
    assert kind_names()[-2:] == ("laplace", "triangular")
    assert kind_names(images=True)[-2:] == ("discretized", "laplace")


@pytest.mark.parametrize("kind", [cls.kind for cls in LIKELIHOODS.values()], ids=LIKELIHOODS)
def test_what_stands_in_a_gap_is_a_value(kind):
    assert kind.support[0] <= kind.filler <= kind.support[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_is_not_above_zero_in_any_precision(dtype):
    positive = LIKELIHOODS["log_normal"].kind
    assert positive.admits(np.array([1e-40, 1.0], dtype))
    assert not positive.admits(np.array([0.0, 1.0], dtype))


def test_facts_are_not_changed_but_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Laplace.kind.is_drawn = True
