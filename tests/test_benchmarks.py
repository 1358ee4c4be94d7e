"""What the benchmarks count by: measures with known answers, and splits that stay apart."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def defaults(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("defaults")


def test_ece_is_the_gap_between_confidence_and_accuracy(defaults):
    y = np.array([0, 0, 1, 1])
    sure = np.array([[1.0, 0.0]] * 4)
    assert defaults.ece(y, sure) == pytest.approx(0.5)
    assert defaults.ece(y, np.eye(2)[y]) == pytest.approx(0.0)
    # Two bins: 0.65 sure and all right, 0.95 sure and half right.
    mixed = np.array([[0.65, 0.35], [0.95, 0.05], [0.05, 0.95], [0.95, 0.05]])
    assert defaults.ece(y, mixed) == pytest.approx(0.25 * 0.35 + 0.75 * (0.95 - 2 / 3))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below(defaults):
    y = np.array([0, 1])
    both = np.array([[0.5, 0.25, 0.25], [0.45, 0.3, 0.25]])  # one right, one wrong, both in (0.4, 0.5]
    assert defaults.ece(y, both) == pytest.approx(0.5 - 0.475)


def test_brier_of_a_sure_and_wrong_row_is_two(defaults):
    assert defaults.brier(np.array([0, 1]), np.eye(2)) == 0.0
    assert defaults.brier(np.array([1, 0]), np.eye(2)) == 2.0
    assert defaults.brier(np.array([0]), np.full((1, 4), 0.25)) == pytest.approx(0.75)


def test_regret_is_above_the_better_of_the_others(defaults):
    np.testing.assert_allclose(defaults.regret([5.0, 5.0, 5.0], [4.0, 9.0, 6.0], [8.0, 2.0, 7.0]), [1.0, 3.0, -1.0])


def test_outcomes_within_the_tie_are_neither_won_nor_lost(defaults):
    assert defaults.outcomes([1.0, 2.0, 3.0, 4.0], [2.0, 2.5, 2.4, 4.0]) == (1, 2, 1)


def test_rows_without_probabilities_count_as_equal_shares(defaults):
    class KnowsTwo:
        classes_ = np.array([0, 2])

    full = defaults.over_all_classes(KnowsTwo, np.array([[0.25, 0.75], [0.0, 0.0], [np.nan, np.nan]]), 3)
    np.testing.assert_allclose(full, [[0.25, 0.0, 0.75], [1 / 3] * 3, [1 / 3] * 3])


def test_no_split_of_a_set_is_both_tuned_and_reported_on(defaults):
    tune, report = ({run[1:] for run in defaults.plan(defaults.WORKS, part)} for part in defaults.PARTS)
    assert tune and report and not tune & report
    assert not set(defaults.TABLES_TUNED_ON) & set(defaults.TABLES_REPORTED)
    assert {name for _, name, _, _ in defaults.plan(["keel"], "report")} == set(defaults.TABLES_REPORTED)
    assert set(defaults.TABLES_NEW) < set(defaults.TABLES_REPORTED)
    assert not defaults.plan(["keel"], "tune")


def test_the_plan_keeps_the_seeds_and_sets_asked_for(defaults):
    assert defaults.plan(["sslbook"], "report", seeds=[2, 99], sets=["coil"]) == [
        ("sslbook", "coil", "10", 2),
        ("sslbook", "coil", "100", 2),
    ]


def test_misleading_rows_keep_the_columns_and_say_nothing_of_the_labels(defaults):
    X = np.arange(3 * 64, dtype=float).reshape(3, 64) % 17
    kinds = defaults.misleading_rows(X, np.array([0, 5, 1]), seed=0)
    assert all(rows.shape[1] == 64 for rows in kinds.values())
    assert len(kinds["classes 0 and 1 alone"]) == 2 and len(kinds[defaults.NO_ROWS]) == 0
    moved = kinds["shifted by a column and inverted"][0].reshape(8, 8)
    np.testing.assert_array_equal(16 - moved[:, 1:], X[0].reshape(8, 8)[:, :-1])


@pytest.fixture
def samples(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("samples")


@pytest.fixture(scope="module")
def dependent():
    """A number and a word that follow each other, and labels."""
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=400)
    frame = pd.DataFrame({"size": rng.lognormal(size=400) + 3 * y, "word": np.where(rng.rand(400) < 0.9, y, 1 - y)})
    return frame.assign(word=frame["word"].map({0: "a", 1: "b"})), y.astype(str)


def test_the_same_rows_are_alike_and_not_to_be_told_apart(samples, dependent):
    X, _ = dependent
    assert samples.shapes(X, X).tolist() == [1, 1]
    assert samples.pairs(X, X).tolist() == [1]
    assert max(samples.told_apart(X, X.copy()).values()) < 0.55


def test_columns_one_by_one_have_the_right_shapes_and_no_pairs(samples, dependent):
    X, y = dependent
    made, labels = samples.one_by_one(X, y, 0)
    np.testing.assert_allclose(samples.shapes(X, made), 1)
    assert samples.pairs(X, made)[0] < samples.pairs(X, samples.from_copula(X, y, 0)[0])[0] - 0.05
    assert samples.told_apart(X.assign(y=y), made.assign(y=labels))["forest"] > 0.7
    points = samples.lost((X, y), (made, labels), (X, y))
    assert min(points.values()) > 20 > 5 > max(samples.lost((X, y), (X, y), (X, y)).values()) == 0


def test_other_numbers_have_another_shape(samples):
    real, made = pd.DataFrame({"x": [0.0, 1, 2, 3]}), pd.DataFrame({"x": [10.0, 11, 12, 13]})
    assert samples.shapes(real, made).tolist() == [0]
    words, others = pd.DataFrame({"x": ["a", "a", "b", "b"]}), pd.DataFrame({"x": ["a", "a", "a", "c"]})
    assert samples.shapes(words, others).tolist() == [0.5]
