"""Rows without a label that come from elsewhere."""

import warnings

import numpy as np
import pytest
from instances import make
from known import blobs
from sklearn.datasets import load_digits

import keras_ssvae as ks
from keras_ssvae.evidence.rows import KnownRows
from keras_ssvae.evidence.shift import FAR, distance_of_unlabeled, warn_of_shift


def distance(x, y):
    return distance_of_unlabeled(KnownRows({"scaled": x.astype(np.float32)}, y, np.ones(len(y)), 3))


@pytest.mark.parametrize("labeled", [12, 60])
def test_rows_of_one_kind_are_not_apart(labeled):
    x, _, y = blobs(600, 3, labeled=labeled)
    assert distance(x, y) < 0.4


def test_rows_of_another_kind_are():
    x, _, y = blobs(600, 3, labeled=60)
    x[y < 0] += 20
    assert distance(x, y) > 1.5


def test_a_running_number_does_not_count():
    x, _, y = blobs(600, 3, labeled=60)
    x = np.column_stack([x, np.where(y >= 0, 0, 1) + 1e-3 * np.arange(600)])
    assert distance(x, y) < 0.4


@pytest.mark.parametrize("y", [np.zeros(30, int), np.full(30, -1)], ids=["all", "none"])
def test_there_is_no_distance_to_nobody(y):
    assert np.isnan(distance(np.random.RandomState(0).standard_normal((30, 2)), y))


def test_only_what_is_far_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_shift(FAR)
        warn_of_shift(np.nan)
    with pytest.warns(ks.UnlabeledShiftWarning, match=r"A-distance at least 1\.9 of 2"):
        warn_of_shift(1.9)


def test_a_fit_tells_digits_from_noise():
    X, y = load_digits(return_X_y=True)
    shown = np.where(np.arange(len(y)) < 100, y, -1)[:600]
    model = make(ks.SemiSupervisedVAE, hidden_layer_sizes=(8,), epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ks.UnlabeledShiftWarning)
        assert model.fit(X[:600], shown).unlabeled_distance_ < FAR
    noise = np.random.RandomState(0).uniform(0, 16, (500, 64))
    with pytest.warns(ks.UnlabeledShiftWarning):
        model.fit(np.concatenate([X[:100], noise]), shown)
    assert model.unlabeled_distance_ > FAR
