import functools

import numpy as np
import pytest
from known import assert_left_out_label_is_not_read, assert_probabilities, blobs, known_of

from keras_ssvae.evidence.classifiers import cross_fitted, forest, linear, naive_bayes, softmax

EXPERTS = pytest.mark.parametrize(
    "expert",
    [
        functools.partial(linear, c=1.0),
        naive_bayes,
        functools.partial(forest, extra=False),
        functools.partial(forest, extra=True),
    ],
    ids=["linear", "naive Bayes", "random forest", "extra trees"],
)


@EXPERTS
def test_a_label_that_is_left_out_is_not_read(expert):
    x, _, y = blobs(distance=0.7)
    assert_left_out_label_is_not_read(lambda known: expert(known, x), known_of(x, y))


@EXPERTS
def test_labels_of_clusters_are_found(expert):
    x, classes, y = blobs(distance=5.0)
    said, left_out = expert(known_of(x, y), x)
    assert_probabilities(said, left_out)
    assert (said.argmax(axis=1) == classes).mean() > 0.95
    assert (left_out.argmax(axis=1) == classes[:30]).mean() > 0.9


@EXPERTS
def test_classes_without_a_label_have_their_place(expert):
    x, classes, y = blobs(distance=5.0)
    said, left_out = expert(known_of(x, np.where(y == 1, -1, y), n_classes=4), x)
    assert said.shape == (90, 4)
    assert_probabilities(said, left_out)
    assert (said.argmax(axis=1) == classes)[classes != 1].mean() > 0.95
    np.testing.assert_array_equal(said[:, [1, 3]], 0)


@EXPERTS
def test_one_label_a_class_is_enough(expert):
    x, _, y = blobs(labeled=2, n_classes=2)
    assert_probabilities(*expert(known_of(x, y), x))


def test_only_the_labels_of_one_class_give_their_shares():
    """Of two labels in two folds, each is left out in turn: the other one says nothing of the row."""
    known = known_of([[0.0], [9.0]], [0, 1], [3.0, 1.0])
    np.testing.assert_allclose(linear(known, known.x, 1.0)[1], [[1 / 3, 2 / 3], [4 / 5, 1 / 5]])


def test_a_label_does_not_speak_for_itself_by_its_class_s_share():
    known = known_of([[0.0], [9.0]], [0, 1], [3.0, 1.0])
    assert_left_out_label_is_not_read(lambda known: linear(known, known.x, 1.0), known)


class FirstSeen:
    """A classifier that knows each row it was shown."""

    def fit(self, x, y, weight):
        self.classes_, self.shown = np.unique(y), (x, y, weight)
        return self

    def predict_proba(self, x):
        return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))


def test_each_fold_is_asked_of_a_classifier_that_saw_all_others():
    fitted, asked = [], []

    class Recorded(FirstSeen):
        def predict_proba(self, x):
            fitted.append(self.shown)
            asked.append(x)
            return super().predict_proba(x)

    x, _, y = blobs()
    known = known_of(x, y, np.linspace(1, 2, 90))
    cross_fitted(lambda x, y, weight: Recorded().fit(x, y, weight), known, x[:7])
    for (rows, labels, weight), of in zip(fitted[:5], asked[:5], strict=True):
        assert len(rows) + len(of) == 30
        assert not (rows[:, None] == of).all(axis=2).any()
        place = [np.flatnonzero((x == row).all(axis=1))[0] for row in rows]
        np.testing.assert_array_equal(labels, y[place])
        np.testing.assert_array_equal(weight, known.weight[place])
    np.testing.assert_array_equal(fitted[5][0], x[:30])
    np.testing.assert_array_equal(asked[5], x[:7])


def test_softmax_of_logits_far_apart():
    np.testing.assert_allclose(softmax(np.array([[1e5, 0.0], [-1e5, -1e5]])), [[1, 0], [0.5, 0.5]])
