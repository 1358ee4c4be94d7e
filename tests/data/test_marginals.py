import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from keras_ssvae.data.marginals import SHARES, Marginals
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import TablePreprocessor


def marginals_of(X, weight=None):
    weight = np.ones(len(X)) if weight is None else weight
    schema = Schema().fit(X)
    values = schema.read(X)
    return Marginals.of(TablePreprocessor().fit(values, schema, weight), values, weight)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.RandomState(0)
    spent = np.where(rng.rand(1000) < 0.4, 0.0, rng.lognormal(1, 1, 1000))
    spent[::7] = np.nan
    return pd.DataFrame({
        "plan": rng.choice(["free", "paid"], 1000), "age": rng.randint(18, 80, 1000), "spent": spent,
        "is_new": rng.rand(1000) < 0.3, "same": 1.0, "size": rng.standard_normal(1000),
    })  # fmt: skip


def test_columns_of_numbers_have_quantiles(frame):
    marginals = marginals_of(frame)
    assert list(frame.columns[marginals.columns]) == ["age", "spent", "size"]
    np.testing.assert_array_equal(marginals.quantiles[:, [0, -1]], frame[["age", "spent", "size"]].agg(["min", "max"]).T)
    assert np.mean(marginals.quantiles[1] == 0) == pytest.approx(0.4, abs=0.03)  # of the cells that are there


def test_images_and_very_wide_tables_have_none(monkeypatch):
    assert not len(marginals_of(np.random.RandomState(0).rand(20, 4, 4)).columns)
    monkeypatch.setattr("keras_ssvae.data.marginals.MAX_COLUMNS", 3)
    assert not len(marginals_of(np.random.RandomState(0).rand(20, 4)).columns)
    assert len(marginals_of(np.random.RandomState(0).rand(20, 3)).columns) == 3


def test_a_weight_counts_as_often():
    x = np.random.RandomState(0).standard_normal((50, 1))
    weight = np.arange(50) % 3 + 1
    given, repeated = marginals_of(x, weight.astype(float)), marginals_of(np.repeat(x, weight, axis=0))
    np.testing.assert_array_equal(given.quantiles, repeated.quantiles)


def test_of_many_rows_some_are_read(monkeypatch):
    monkeypatch.setattr("keras_ssvae.data.marginals.MAX_ROWS", 500)
    x = np.sort(np.random.RandomState(0).standard_normal((5000, 1)), axis=0)  # in order: all parts must be there
    np.testing.assert_allclose(marginals_of(x).quantiles[0, 1:-1], np.quantile(x, SHARES[1:-1]), atol=0.1)


def test_columns_get_their_distribution_and_rows_keep_their_place():
    rng = np.random.RandomState(0)
    data = np.stack([rng.lognormal(0, 1, 2000), np.where(rng.rand(2000) < 0.3, 0.0, rng.rand(2000))], axis=1)
    reference, made = rng.standard_normal((2, 2000, 1)) @ np.ones((1, 2))
    followed = marginals_of(data).followed(made, reference, rng)
    for j in range(2):
        assert ks_2samp(followed[:, j], data[:, j]).statistic < 0.05 < ks_2samp(made[:, j], data[:, j]).statistic
        assert np.corrcoef(np.argsort(np.argsort(followed[:, j])), np.argsort(np.argsort(made[:, j])))[0, 1] > 0.9
    assert np.mean(followed[:, 1] == 0) == pytest.approx(0.3, abs=0.03)  # as it is, not nearly


def test_equal_values_of_a_model_are_spread():
    rng = np.random.RandomState(0)
    data = rng.standard_normal((1000, 1))
    followed = marginals_of(data).followed(np.zeros((1000, 1)), np.zeros((2000, 1)), rng)
    assert ks_2samp(followed[:, 0], data[:, 0]).statistic < 0.07


def test_a_row_is_mapped_by_itself_and_what_was_given_stays():
    rng = np.random.RandomState(0)
    marginals, made = marginals_of(rng.rand(100, 2)), rng.standard_normal((5, 2))
    before, reference = made.copy(), rng.standard_normal((200, 2))
    many = marginals.followed(made, reference, np.random.RandomState(1))
    one = dataclasses.replace(marginals, columns=marginals.columns[:1], quantiles=marginals.quantiles[:1])
    alone = one.followed(made[:1], reference, np.random.RandomState(1))
    assert alone[0, 0] == many[0, 0]
    np.testing.assert_array_equal(made, before)


@pytest.mark.parametrize(
    "change",
    [
        {"columns": np.array([0, 0])},
        {"columns": np.array([0.0, 1.0])},
        {"quantiles": np.zeros((1, 101))},
        {"quantiles": np.full((2, 101), np.nan)},
        {"quantiles": np.tile(-SHARES, (2, 1))},
        {"class_shares": np.array([0.5, 0.6])},
        {"class_shares": [0.5, 0.5]},
    ],
)
def test_what_a_file_says_is_checked(change):
    marginals = dataclasses.replace(marginals_of(np.random.RandomState(0).rand(50, 2)), class_shares=np.array([0.5, 0.5]))
    marginals._check_loaded()
    marginals.check(2, 2)
    with pytest.raises(ValueError):
        dataclasses.replace(marginals, **change)._check_loaded()
    with pytest.raises(ValueError):
        marginals.check(1, 2)
    with pytest.raises(ValueError):
        marginals.check(2, 3)
