import pickle

import numpy as np
import pandas as pd
import pytest
from generators import MEANS, ClassMeans, X, Y, counted, tiny
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import keras_ssvae as ks
from keras_ssvae.augmentation.functions import augment


@pytest.mark.parametrize(
    "n_samples, expected",
    [
        (None, "aaabbbbbc"),
        ("balanced", "aacccc"),
        (9, "aaabbbbbc"),
        (18, "aaaaaabbbbbbbbbbcc"),
        (0, ""),
        ({"c": 2, "b": 1}, "bcc"),
        ({"a": np.int64(1)}, "a"),
        ({"a": 0}, ""),
        ({}, ""),
    ],
)
def test_as_many_rows_as_asked_for_come_after_those_given(n_samples, expected):
    X_new, y_new = augment(X, Y, ClassMeans(), n_samples=n_samples)
    np.testing.assert_array_equal(X_new, [*X, *(MEANS[label] for label in expected)])
    assert y_new.tolist() == [*Y, *expected]


def test_an_int_is_the_number_of_all_generated_rows():
    rng = np.random.RandomState(0)
    for _ in range(100):
        counts = {label: int(count) for label, count in enumerate(rng.randint(1, 50, rng.randint(1, 6)))}
        n_samples = int(rng.randint(0, 200))
        y = np.repeat(list(counts), list(counts.values()))
        _, y_new = augment(np.zeros((len(y), 2)), y, ClassMeans(), n_samples=n_samples)
        assert len(y_new) == len(y) + n_samples
        for label, count in counts.items():  # two edges of a share are rounded, each by a half at most
            assert abs(np.sum(y_new == label) - count - n_samples * count / len(y)) <= 1


def test_the_estimator_says_what_marks_an_unlabeled_row():
    y = np.array(["a", "a", "?", "b"])
    _, y_new = augment(X[:4], y, ClassMeans(unlabeled="?"), n_samples="balanced")
    assert y_new.tolist() == ["a", "a", "?", "b", "b"]
    assert y_new.dtype == y.dtype


def test_a_fitted_estimator_is_used_as_it_is():
    fitted = ClassMeans().fit(X + 100, Y)
    before = pickle.dumps(fitted)
    X_new, _ = augment(X, Y, fitted, n_samples={"a": 1, "c": 1})
    np.testing.assert_allclose(X_new[12:], [MEANS["a"] + 100, MEANS["c"] + 100])
    assert pickle.dumps(fitted) == before


def test_a_fitted_network_is_used_as_it_is(blobs):
    model = tiny(random_state=0).fit(*blobs)
    weights = [w.copy() for w in model.network_.get_weights()]
    X_new, y_new = augment(*blobs, model, n_samples={2: 3}, random_state=1)
    drawn, _ = model.sample(3, y=2, random_state=1)
    assert X_new[60:].shape == drawn.shape and (y_new[60:] == 2).all()
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.network_.get_weights(), strict=True))


def test_rows_follow_random_state():
    drawn = [augment(X, Y, ClassMeans(noise=1), n_samples=5, random_state=seed)[0] for seed in (0, 0, 1, None, None)]
    assert np.array_equal(drawn[0], drawn[1])
    assert all(not np.array_equal(drawn[0], other) for other in drawn[2:])
    assert not np.array_equal(drawn[3], drawn[4])


def test_rows_of_networks_are_the_same_at_every_run(blobs):
    first, again = (augment(*blobs, tiny(), n_samples=5, random_state=0)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_class_without_a_label_is_left_alone_unless_it_is_named(blobs):
    X, y = blobs
    estimator = tiny(classes=[0, 1, 2, 9], random_state=0)
    assert counted(augment(X, y, estimator, n_samples="balanced")[1]) == {0: 30, 1: 30, 2: 30}
    y = pd.Series(y).where(y >= 0).astype(pd.CategoricalDtype([0, 1, 2, 9]))
    X_new, y_new = augment(X, y, tiny(), n_samples={9: 2})
    assert y_new.dtype == y.dtype and y_new[-2:].tolist() == [9, 9]
    assert not np.isnan(X_new).any()


def test_one_class():
    X_new, y_new = augment(X, ["a"] * 12, ClassMeans(), n_samples=1)
    np.testing.assert_array_equal(X_new[12], X.mean(axis=0))
    assert y_new == ["a"] * 13
    assert augment(X, ["a"] * 12, ClassMeans(), n_samples="balanced")[1] == ["a"] * 12


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"y": None}, ValueError, "requires y to be passed, but the target y is None"),
        ({"y": [-1] * 12}, ValueError, "y holds no label, so there is no class to generate rows of"),
        ({"y": ["a"] * 11}, ValueError, r"inconsistent numbers of samples: \[12, 11\]"),
        ({"X": sparse.csr_array(X)}, TypeError, "Sparse data was passed for X, but dense data is required"),
        ({"X": "rows.csv"}, TypeError, "X must be rows in memory, an array or a DataFrame; got str"),
        ({"X": X[:, 0]}, ValueError, "Expected 2D array, got 1D array instead"),
        ({"X": X[:0], "y": []}, ValueError, r"0 sample\(s\)"),
        ({"estimator": ks.VAE()}, TypeError, r"estimator must be None or .* draws rows of a class.* got VAE\("),
        ({"estimator": LogisticRegression()}, TypeError, "estimator must be None or"),
        ({"estimator": ClassMeans}, TypeError, "estimator must be None or an instance"),
        ({"n_samples": "all"}, ValueError, "n_samples must be None, \"balanced\", a whole number .* got 'all'"),
        ({"n_samples": -1}, ValueError, "n_samples must be .* got -1"),
        ({"n_samples": 2.0}, ValueError, "n_samples must be .* got 2.0"),
        ({"n_samples": True}, ValueError, "n_samples must be .* got True"),
        ({"n_samples": {"a": -1}}, ValueError, "n_samples must hold whole numbers from 0 on; got {'a': -1}"),
        ({"n_samples": {"z": 1}}, ValueError, r"not among the classes: \['z'\] of \['a', 'b', 'c'\]"),
    ],
)
def test_what_cannot_be_is_said(settings, error, message):
    with pytest.raises(error, match=message):
        augment(**{"X": X, "y": Y, "estimator": ClassMeans(), **settings})


def test_an_estimator_fitted_without_a_label_knows_no_class(blobs):
    model = tiny().fit(blobs[0])
    with pytest.raises(ValueError, match="fitted without a label, so this SemiSupervisedVAE knows no class"):
        augment(*blobs, model)
