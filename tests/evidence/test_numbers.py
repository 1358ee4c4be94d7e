"""Experts of numbers: each by itself, and what all of them say."""

import numpy as np
import pytest
import scipy.optimize
from instances import states_of_generators
from scipy.stats import multivariate_normal

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.evidence import regressors as experts
from keras_ssvae.evidence.numbers import gather_targets
from keras_ssvae.evidence.regressors import GaussianProcess, regressors


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(experts, "N_TREES", 10)


def task(n=200, n_known=40, noise=0.1, seed=0):
    """Rows, all targets, of unit variance up to chance, and the rows as a fit has them."""
    rng = np.random.RandomState(seed)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    t = (np.sin(2 * x[:, 0]) + noise * rng.standard_normal(n)) / np.sqrt(0.5)
    y = np.where(np.arange(n) < n_known, 0, -1)
    return x, t, PreparedRows(x, y=y, target=np.where(y >= 0, t, 0).astype(np.float32))


def gathered(x, rows, weight=None):
    return gather_targets({"scaled": x}, rows, np.ones(len(x)) if weight is None else weight)


def test_a_process_knows_the_density_of_its_targets_and_the_slope_of_it():
    rng = np.random.RandomState(0)
    x, t, weight = rng.standard_normal((12, 2)), rng.standard_normal(12), rng.uniform(0.5, 2.0, 12)
    process = GaussianProcess(2)
    process.x = x
    theta = np.array([0.3, -1.0, -0.5, 0.2, 0.6])
    lengths = np.exp(theta[3:])
    square = (((x[:, None] - x[None]) / lengths) ** 2).sum(axis=-1)
    covariance = np.exp(0.3 - square / 2) + np.exp(-1.0) * x @ x.T + np.diag(np.exp(-0.5) / weight)
    apart = theta[3:] - theta[3:].mean()
    expected = -multivariate_normal(np.zeros(12), covariance).logpdf(t) - 6 * np.log(2 * np.pi) + 0.5 * apart @ apart
    assert process._loss(theta, t, weight)[0] == pytest.approx(expected)
    error = scipy.optimize.check_grad(*(lambda q, i=i: process._loss(q, t, weight)[i] for i in (0, 1)), theta)
    assert error < 1e-5


def test_a_process_finds_the_column_that_matters():
    x, t, _ = task()
    process = GaussianProcess(3).fit(x[:60], t[:60], np.ones(60))
    assert np.exp(process.theta[3]) < 0.5 * np.exp(process.theta[4:]).min()
    assert np.mean((process.predict(x[60:]) - t[60:]) ** 2) < 0.1


def test_the_users_generators_do_not_move():
    x, t, _ = task(n=20)
    for seed, (name, fit) in enumerate(regressors(3).items()):
        np.random.seed(seed)
        states = states_of_generators()
        fit(x, t, np.ones(20)).predict(x)
        assert states_of_generators() == states, name


def test_all_know_more_than_the_mean_and_the_best_weighs_most():
    x, t, rows = task()
    evidence = gathered(x, rows)
    assert list(evidence.experts.index) == [*regressors(3), "all"]
    assert evidence.experts["weight"].iloc[:-1].sum() == pytest.approx(1.0)
    single = evidence.experts.iloc[:-1]
    assert single["weight"].idxmax() == single["r2"].idxmax() == "Gaussian process, relevances"
    hidden = rows.y < 0
    assert 1 - np.mean((evidence.advice[hidden, 0] - t[hidden]) ** 2) / t[hidden].var() > 0.8
    assert evidence.summary == {"advised": True, "signal": evidence.explained}


def test_variances_are_what_targets_lie_off():
    x, t, rows = task(n=600, n_known=100, noise=0.5)
    mean, variance = gathered(x, rows).advice[rows.y < 0].T
    off = (mean - t[rows.y < 0]) ** 2 / np.exp(variance)
    assert 0.7 < off.mean() < 1.3


def test_nobody_is_shown_the_target_of_the_row_it_speaks_of():
    x, t, rows = task()
    changed = rows.joined(target=np.where(np.arange(200) == 3, -rows.arrays["target"], rows.arrays["target"]))
    by_left_out = gathered(x, rows).advice[3, 0]
    assert abs(by_left_out - t[3]) > 1e-3  # trees and neighbours would have it by heart
    # the folds are those of targets in order, so others may move a little
    assert abs(gathered(x, changed).advice[3, 0] - by_left_out) < 0.3 * abs(2 * t[3])


def test_order_and_weights_of_rows():
    x, t, rows = task(n=60, n_known=20)
    advice = gathered(x, rows).advice
    order = np.random.RandomState(1).permutation(60)
    np.testing.assert_allclose(gathered(x[order], rows[order]).advice, advice[order], rtol=1e-4, atol=1e-5)
    weight = np.random.RandomState(2).randint(1, 3, 60)
    twice = np.arange(60).repeat(weight)
    np.testing.assert_allclose(
        gathered(x[twice], rows[twice]).advice, gathered(x, rows, weight).advice[twice], rtol=1e-4, atol=1e-5
    )


def test_noise_is_known_for_what_it_is():
    x, _, rows = task(n_known=60)
    rows = rows.joined(target=np.random.RandomState(5).standard_normal(200).astype(np.float32))
    evidence = gathered(x, rows)
    assert evidence.explained < 0.2
    assert np.exp(evidence.advice[:, 1]).mean() > 0.7


@pytest.mark.parametrize("n_known", [0, 4])
def test_with_hardly_a_target_nobody_is_asked(n_known):
    x, _, rows = task(n_known=n_known)
    assert gathered(x, rows) is None


def test_targets_that_are_all_alike_are_no_division_by_zero():
    x, _, rows = task(n_known=10)
    evidence = gathered(x, rows.joined(target=np.zeros(200, np.float32)))
    np.testing.assert_allclose(evidence.advice[:, 0], 0.0, atol=1e-6)
    assert np.isfinite(evidence.advice).all()
