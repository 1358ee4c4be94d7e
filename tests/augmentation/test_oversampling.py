import numpy as np
import pandas as pd
import pytest
from generators import ClassMeans, X, Y, tiny
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_ssvae.augmentation.functions import augment
from keras_ssvae.augmentation.oversampling import GenerativeOverSampler


def test_unlabeled_rows_are_fitted_and_pass_through():
    _, y_new = augment(X, Y, ClassMeans())
    assert y_new[8] is None and y_new[11] == -1
    estimator = clone(ClassMeans())
    sampler = GenerativeOverSampler(estimator).fit(X, Y)
    sampler.fit_resample(X, Y)
    np.testing.assert_array_equal(sampler.estimator_.seen_[0], X)
    np.testing.assert_array_equal(sampler.estimator_.seen_[1], Y)
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize("own", [None, 7])
def test_an_estimator_keeps_the_random_state_it_has(own):
    sampler = GenerativeOverSampler(ClassMeans(random_state=own), random_state=0)
    sampler.fit_resample(X, Y)
    assert (sampler.estimator_.seed_ == 7) == (own == 7)
    assert sampler.estimator_.seed_ is not None
    assert sampler.get_params()["estimator__random_state"] == own


FOUR = np.repeat(["a", "b", "c", "d"], [7, 2, 4, 7])
TWO = np.repeat([0, 1, -1], [8, 3, 2])


@pytest.mark.parametrize(
    "y, strategy, expected",
    [
        (FOUR, "auto", {"b": 5, "c": 3, "d": 0}),
        (FOUR, "not majority", {"b": 5, "c": 3, "d": 0}),
        (FOUR, "minority", {"b": 5}),
        (FOUR, "not minority", {"a": 0, "c": 3, "d": 0}),
        (FOUR, "all", {"a": 0, "b": 5, "c": 3, "d": 0}),
        (FOUR, {"c": 9, "a": 7}, {"a": 0, "c": 5}),
        (FOUR, lambda y: {"b": int(np.sum(y == "b")) + 1}, {"b": 1}),
        (TWO, "auto", {1: 5}),
        (TWO, 0.8, {1: 3}),
        (TWO, 1, {1: 5}),
        (TWO, lambda y: {0: len(y)}, {0: 3}),  # it gets the labels only
    ],
)
def test_strategies_are_those_of_imbalanced_learn(y, strategy, expected):
    rows = np.arange(2.0 * len(y)).reshape(-1, 2)
    sampler = GenerativeOverSampler(ClassMeans(), sampling_strategy=strategy)
    X_new, y_new = sampler.fit_resample(rows, y)
    assert sampler.sampling_strategy_ == sampler.fit(rows, y).sampling_strategy_ == expected
    np.testing.assert_array_equal(X_new[: len(y)], rows)
    generated = [label for label, number in expected.items() for _ in range(number)]
    assert y_new.tolist() == [*y.tolist(), *generated]
    np.testing.assert_array_equal(
        X_new[len(y) :].reshape(-1, 2), np.reshape([rows[y == c].mean(0) for c in generated], (-1, 2))
    )


@pytest.mark.parametrize(
    "y, strategy, message",
    [
        (FOUR, {"c": 3}, "there is 4 samples of class 'c'; 3 are asked for"),
        (FOUR, {"z": 3}, r"The \['z'\] target class is/are not present in the data"),
        (FOUR, lambda y: {"z": 3}, r"The \['z'\] target class is/are not present"),
        (FOUR, 0.5, "can be a float only when the type of target is binary.* 4 classes"),
        (TWO, 0.3, r"requires to remove samples from the minority class.* have 3 and 8.*increase the ratio"),
        (TWO, 1.5, r"in the range \(0, 1\]. Got 1.5 instead"),
        (TWO, "majority", "sampling_strategy must be one of 'auto', 'not majority'.* got 'majority'"),
        (TWO, None, "sampling_strategy must be .* got None"),
        (np.zeros(5, int), "auto", "needs to have more than 1 class. Got 1 class"),
    ],
)
def test_strategies_that_cannot_be(y, strategy, message):
    with pytest.raises(ValueError, match=message):
        GenerativeOverSampler(ClassMeans(), sampling_strategy=strategy).fit_resample(np.zeros((len(y), 2)), y)


def test_the_sampler_says_what_it_read():
    frame = pd.DataFrame(X, columns=["p", "q"])
    sampler = GenerativeOverSampler(ClassMeans())
    sampler.fit_resample(frame, Y)
    assert sampler.n_features_in_ == 2 and sampler.feature_names_in_.tolist() == ["p", "q"]
    assert sampler.get_feature_names_out().tolist() == ["p", "q"]
    sampler.fit_resample(X, np.repeat(["a", "b"], 6))
    assert sampler.estimator_ is None  # nothing to generate


@parametrize_with_checks([GenerativeOverSampler(tiny())])
def test_scikit_learn_check(estimator, check):
    check(estimator)
