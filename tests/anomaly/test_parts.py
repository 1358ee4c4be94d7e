"""The parts of a detector against known answers."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest

from keras_ssvae.anomaly.labels import LabeledScore
from keras_ssvae.anomaly.neighbors import SampledNeighbors
from keras_ssvae.anomaly.scaling import ScoreScale
from keras_ssvae.anomaly.thresholds import automatic_threshold, confidence
from keras_ssvae.anomaly.training import mostly_normal
from keras_ssvae.anomaly.trees import N_ISOLATING, Trees


@pytest.fixture
def rows():
    return np.random.RandomState(0).standard_normal((500, 3)).astype(np.float32)


def test_isolation_is_that_of_scikit_learn(rows):
    forest = IsolationForest(n_estimators=N_ISOLATING, random_state=7).fit(rows)
    np.testing.assert_allclose(2.0 ** -Trees.isolating(rows, 7)(3 * rows), -forest.score_samples(3 * rows), rtol=1e-5)


def test_trees_of_a_classifier_say_its_probabilities(rows):
    forest = ExtraTreesClassifier(20, min_samples_leaf=2, random_state=0).fit(rows, rows[:, 0] > 1)
    np.testing.assert_allclose(Trees.of_classifier(forest)(rows), forest.predict_proba(rows)[:, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("left", 0, "child"), ("right", -1, "one child"), ("feature", 3, "reads what"), ("threshold", np.nan, "finite"),
     ("sizes", 1, "nodes")],
)  # fmt: skip
def test_trees_that_would_leave_their_arrays_are_refused(rows, name, value, message):
    trees = Trees.isolating(rows, 0)
    trees._check_loaded()
    getattr(trees, name)[0] = value
    with pytest.raises(ValueError, match=message):
        trees._check_loaded()


def test_distances_are_those_to_the_nearest_of_each_sample(rows):
    neighbors = SampledNeighbors().fit(rows, np.random.RandomState(0))
    asked, beyond = 2 * rows[:20], np.linspace(0, 9, 20).astype(np.float32)
    squares = np.square(asked[:, None, None] - neighbors.reference).sum(axis=-1) + beyond[:, None, None]
    np.testing.assert_allclose(neighbors(asked, beyond), np.sqrt(squares.min(axis=2)).mean(axis=1), rtol=1e-4)


def test_scaled_scores_keep_their_order_and_grow_slowly_far_out():
    scale = ScoreScale().fit(np.random.RandomState(0).standard_normal((10_000, 1)) * 3 + 5)
    np.testing.assert_allclose(scale(np.array([[5.0], [8.0]])), [[0.0], [1.0]], atol=0.05)
    far = scale(np.array([[35.0], [335.0], [3e6]]))[:, 0]
    assert (np.diff(far) > 0).all() and far[1] == pytest.approx(10 + np.log1p(100), abs=0.2)


def test_the_strangest_unlabelled_rows_and_known_anomalies_are_no_norm():
    y = np.array([-1] * 10 + [0, 1])
    normal = mostly_normal(np.arange(12.0), y)
    assert normal.tolist() == [True] * 9 + [False, True, False]


def test_threshold_without_labels_is_the_upper_fence():
    assert automatic_threshold(np.arange(101.0)) == pytest.approx(75 + 1.5 * 50)


def test_threshold_with_labels_parts_them():
    assert 100 < automatic_threshold(np.arange(101.0), np.array([150.0, 160.0, 170.0])) < 150


def test_confidence_is_that_of_draws_of_the_training_rows():
    """Of 1000 rows the 100 largest are found: whether a score at a quantile u is among them, by simulation."""
    rng = np.random.RandomState(0)
    training = np.linspace(0, 1, 1002)[1:-1]
    for u in (0.89, 0.91):
        found = (rng.binomial(1000, u, size=20_000) >= 900).mean()
        assert confidence(np.array([u]), training, 0.8995)[0] == pytest.approx(max(found, 1 - found), abs=0.03)


def test_left_out_anomalies_decide_what_labels_are_worth(rows):
    rng = np.random.RandomState(0)
    y = np.where(np.arange(500) < 30, 1, -1)
    shown, blind = rows.copy(), rows
    shown[:30, 0] += 4
    strange = rng.standard_normal(500)
    weights = [LabeledScore().fit(x, 3, strange + 3 * (y == 1) * hint, y, rng).weight for x, hint in ((shown, 0), (blind, 1))]
    assert weights[0] > 8 and weights[1] < 3
