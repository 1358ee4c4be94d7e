import pickle

import numpy as np
import pandas as pd
import pytest
from instances import make
from known import blobs
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError

import keras_ssvae as ks
from keras_ssvae.evidence import quality as module
from keras_ssvae.evidence.quality import label_quality


def fitted(X, y, cls=ks.SemiSupervisedVAE, **settings):
    return make(cls, hidden_layer_sizes=(4,), epochs=1, **settings).fit(X, y)


@pytest.fixture(scope="module")
def model():
    x, _, y = blobs()
    return fitted(x, y, experts=None)


def test_flipped_digits_come_first(digits):
    X, y = digits.X_train[:300], digits.y_train[:300]
    rng = np.random.RandomState(1)
    flipped = rng.permutation(300)[:30]
    given = y.copy()
    given[flipped] = (y[flipped] + rng.randint(1, 10, size=30)) % 10
    quality = label_quality(fitted(X, y, experts=None), X, given)
    assert quality.between(0, 1).all()
    assert np.isin(flipped, quality.sort_values().index[:75]).mean() >= 0.8
    assert np.isin(quality.sort_values().index[:20], flipped).mean() >= 0.8


def test_labelled_rows_have_a_value_under_their_names(model):
    x, _, y = blobs()
    some = np.random.RandomState(0).permutation(90)
    quality = label_quality(model, x[some], y[some])
    assert quality.name == "label_quality"
    assert quality.index.tolist() == np.flatnonzero(y[some] >= 0).tolist()
    assert quality.notna().all()
    frame = pd.DataFrame(x[some], index=[f"row {i}" for i in some])
    named = label_quality(model, frame, y[some])
    assert named.index.tolist() == [f"row {i}" for i in some if y[i] >= 0]
    np.testing.assert_array_equal(named, quality)


def test_a_label_s_own_value_does_not_come_from_it(model):
    x, classes, y = blobs()
    wrong = y.copy()
    wrong[4] = (y[4] + 1) % 3
    before, after = (label_quality(model, x, labels) for labels in (y, wrong))
    assert before[4] > 0.8
    assert after[4] < 0.2


def test_the_estimator_does_not_change(model):
    x, _, y = blobs()
    before = pickle.dumps(model)
    label_quality(model, x, y)
    assert pickle.dumps(model) == before


def test_a_family_that_asks_no_experts_and_names_as_labels():
    x, classes, y = blobs()
    names = np.array(["ant", "bee", "cow"])[classes]
    quality = label_quality(fitted(x, names, ks.M2), x, names)
    assert len(quality) == 90
    assert quality.median() > 0.8


@pytest.mark.parametrize("n_labels", [2, 5, 90])
def test_more_rows_than_experts_are_asked_of_at_once(model, n_labels, monkeypatch):
    """Whatever falls into a part, every label has a value."""
    monkeypatch.setattr(module, "MAX_ROWS", 20)
    x, classes, _ = blobs(distance=5.0)
    quality = label_quality(model, x, np.where(np.arange(90) < n_labels, classes, -1))
    assert quality.index.tolist() == list(range(n_labels))
    assert quality.notna().all()
    if n_labels == 90:
        assert quality.median() > 0.8


def test_errors_say_what_is_wrong_with_y(model):
    x, _, y = blobs()
    with pytest.raises(ValueError, match="y must hold labels of at least two classes; it has 1"):
        label_quality(model, x, np.where(y == 0, y, -1))
    with pytest.raises(ValueError, match="y must hold labels of at least two classes; it has 0"):
        label_quality(model, x, None)
    with pytest.raises(ValueError, match="y holds labels that are not among the classes"):
        label_quality(model, x, y + 5)
    with pytest.raises(ValueError, match="y needs one entry for each of the 90 rows"):
        label_quality(model, x, y[:5])
    with pytest.raises(NotFittedError):
        label_quality(ks.SemiSupervisedVAE(), x, y)
    with pytest.raises(TypeError, match="estimator must be a generative model of this package, got a DummyClassifier"):
        label_quality(DummyClassifier().fit(x, y), x, y)
