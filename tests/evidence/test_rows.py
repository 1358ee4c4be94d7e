import numpy as np
import pytest
from known import blobs, known_of

from keras_ssvae.evidence import rows as module
from keras_ssvae.evidence.rows import known_rows, principal

# Which rows are known


def views_of(x):
    return {"scaled": x, "unscaled": 2 * x}


def test_copies_are_merged_and_their_weights_added():
    x, _, y = blobs()
    copies = np.random.RandomState(1).permutation(np.r_[np.arange(90), np.arange(0, 90, 3), np.arange(0, 90, 9)])
    weight = np.linspace(0.5, 2, len(copies))
    known, index = known_rows(views_of(x[copies]), y[copies], weight, 3)
    assert len(known.y) == 90
    np.testing.assert_array_equal(known.x[index], x[copies])
    np.testing.assert_array_equal(known.views["unscaled"][index], 2 * x[copies])
    np.testing.assert_array_equal(known.y[index], y[copies])
    np.testing.assert_allclose(known.weight, np.bincount(index, weight))


def test_the_same_row_with_another_label_or_none_is_another_row():
    x = np.zeros((6, 2), np.float32)
    y = np.array([0, 1, -1, 1, -1, -1])
    known, index = known_rows({"scaled": x}, y, np.ones(6), 2)
    assert sorted(zip(known.y, known.weight, strict=True)) == [(-1, 3), (0, 1), (1, 2)]
    np.testing.assert_array_equal(known.y[index], y)


def test_known_rows_do_not_depend_on_order_or_on_how_weights_are_given():
    x, _, y = blobs()
    times = np.random.RandomState(1).randint(1, 4, 90)
    order = np.random.RandomState(2).permutation(times.sum())
    once, _ = known_rows(views_of(x), y, times.astype(float), 3)
    repeated, _ = known_rows(views_of(x.repeat(times, axis=0)[order]), y.repeat(times)[order], np.ones(times.sum()), 3)
    for one, other in ((once.x, repeated.x), (once.y, repeated.y), (once.weight, repeated.weight), (once.fold, repeated.fold)):
        np.testing.assert_array_equal(one, other)


def test_labelled_and_unlabelled_rows_are_thinned_each(monkeypatch):
    monkeypatch.setattr(module, "MAX_LABELED", 12)
    monkeypatch.setattr(module, "MAX_UNLABELED", 25)
    x, _, y = blobs(labeled=30)
    known, index = known_rows(views_of(x), y, np.ones(90), 3)
    assert ((known.y >= 0).sum(), (known.y < 0).sum()) == (10, 20)
    kept = index >= 0
    assert sorted(index[kept]) == list(range(30))
    np.testing.assert_array_equal(known.x[index[kept]], x[kept])


def test_prior_counts_weights_and_one_more_label_a_class():
    known = known_of(np.zeros((4, 1)), [0, 0, 1, -1], [2.0, 1.0, 1.0, 5.0], n_classes=3)
    np.testing.assert_allclose(known.prior, np.array([4, 2, 1]) / 7)
    np.testing.assert_allclose(known.prior_of(np.array([-1, 0, 1, -1])), np.array([2, 2, 1]) / 5)


# Folds


@pytest.mark.parametrize(("labeled", "n_folds"), [(2, 2), (4, 4), (30, 5), (501, 3)])
def test_every_class_is_spread_over_all_folds(labeled, n_folds):
    x, _, y = blobs(600, 2, labeled)
    known = known_of(x, y)
    assert set(known.fold) == set(range(n_folds))
    counts = np.array([[((known.fold == f) & (y[known.labeled] == k)).sum() for f in range(n_folds)] for k in range(2)])
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(axis=0)) <= 1


def test_without_hides_the_labels_of_one_fold_only():
    x, _, y = blobs()
    known = known_of(x, y)
    for fold in range(5):
        hidden = known.without(fold) != known.y
        np.testing.assert_array_equal(np.flatnonzero(hidden), known.labeled[known.fold == fold])
        assert (known.without(fold)[hidden] == -1).all()
    np.testing.assert_array_equal(known.y, y)
    np.testing.assert_array_equal(known.without(5), y)


# Principal directions


@pytest.mark.parametrize(("n", "d"), [(50, 6), (6, 50), (20, 20)])
def test_principal_directions_are_those_of_a_singular_value_decomposition(n, d):
    x = np.random.RandomState(0).standard_normal((n, d)) * np.linspace(1, 4, d)
    mean, directions = principal(x, np.ones(n), 3)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-12)
    expected = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:3].T
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-8)
    np.testing.assert_allclose(np.abs((directions * expected).sum(axis=0)), 1, rtol=1e-8)  # in this order, up to the sign


@pytest.mark.parametrize("d", [3, 80])
def test_weights_count_rows_in_principal_directions(d):
    x = np.random.RandomState(0).standard_normal((20, d)) * np.linspace(1, 4, d)
    times = np.random.RandomState(1).randint(1, 5, 20)
    mean, directions = principal(x, times, 2)
    mean_repeated, repeated = principal(x.repeat(times, axis=0), np.ones(times.sum()), 2)
    np.testing.assert_allclose(mean, mean_repeated, atol=1e-12)
    np.testing.assert_allclose(np.abs((directions * repeated).sum(axis=0)), 1, rtol=1e-8)


def test_directions_that_explain_nothing_are_left_out():
    flat = np.random.RandomState(0).standard_normal((30, 2)) @ np.ones((2, 5)) + 7
    assert principal(flat, np.ones(30), 3)[1].shape == (5, 1)
    assert principal(np.ones((4, 5)), np.ones(4), 3)[1].shape[0] == 5


def test_principal_directions_of_many_rows_are_learned_from_some(monkeypatch):
    monkeypatch.setattr(module, "MAX_PROJECTED", 100)
    x = np.random.RandomState(0).standard_normal((1000, 3)) * [1, 1, 9]
    assert abs(principal(x, np.ones(1000), 1)[1][2, 0]) > 0.99
