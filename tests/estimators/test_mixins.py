"""What `transform` gives of models whose latent variables leave the class out, and what `inverse_transform` makes of it."""

import datetime
import decimal
import pickle

import numpy as np
import pytest
from instances import families, make
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

import keras_ssvae as ks
from keras_ssvae.networks import inference

LABELS = np.array(["cat", "dog", "owl"])


@pytest.fixture(scope="module")
def rows():
    """Three classes of 30 rows, every third row labelled."""
    rng = np.random.RandomState(0)
    y = np.tile([0, 1, 2], 30)
    X = rng.standard_normal((90, 4)) + 3 * (y[:, None] == np.arange(4))
    return X, np.where(np.arange(90) < 30, LABELS[y], None)


@pytest.fixture(scope="module")
def models(rows):
    """One fitted estimator a family, made when it is asked for."""

    class Models(dict):
        def __missing__(self, cls):
            self[cls] = make(cls, epochs=5).fit(*rows)
            return self[cls]

    return Models()


def style_of(model):
    return pickle.loads(pickle.dumps(model)).set_params(representation="style")


@families("representation", "predict_proba")
def test_style_comes_first_and_the_class_beside_it(cls, rows, models, tmp_path):
    X, model = rows[0], models[cls]
    Z = model.transform(X)
    assert Z.shape == (90, 5)
    np.testing.assert_allclose(Z[:, :2], inference.run(model.network_, "encode", model.table_.encode(X)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Z[:, 2:].mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(softmax(Z[:, 2:], axis=1), model.predict_proba(X), rtol=1e-3, atol=1e-6)
    name = cls.__name__.lower()
    assert list(model.get_feature_names_out()) == [f"{name}0", f"{name}1", *(f"{name}_class_{label}" for label in LABELS)]
    model.save(tmp_path / "model.ssvae")
    np.testing.assert_array_equal(ks.load(tmp_path / "model.ssvae").transform(X), Z)
    assert model.transform(X.astype(np.float32)).dtype == np.float32


@families("representation", "predict_proba")
def test_the_style_alone_by_name(cls, rows, models, tmp_path):
    X, style = rows[0], style_of(models[cls])
    np.testing.assert_allclose(style.transform(X), models[cls].transform(X)[:, :2], rtol=1e-5, atol=1e-6)
    assert list(style.get_feature_names_out()) == [f"{cls.__name__.lower()}{i}" for i in range(2)]
    style.save(tmp_path / "model.ssvae")
    np.testing.assert_array_equal(ks.load(tmp_path / "model.ssvae").transform(X), style.transform(X))


@families("representation", "predict_proba")
def test_what_is_decoded_is_what_the_codes_say(cls, rows, models):
    X, model = rows[0], models[cls]
    Z, style = model.transform(X), style_of(models[cls])
    by_class = [model.inverse_transform(Z[:, :2], y=label) for label in LABELS]
    expected = np.einsum("rk,krd->rd", model.predict_proba(X), by_class)
    for estimator in (model, style):  # the number of columns says what they are
        np.testing.assert_allclose(estimator.inverse_transform(Z), expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(estimator.inverse_transform(Z, y="dog"), by_class[1])
    shifted = Z + np.r_[0, 0, 5, 5, 5]  # logits are what they are up to a constant
    np.testing.assert_allclose(model.inverse_transform(shifted), expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="latent_dim=2, or 5 with one for each class"):
        model.inverse_transform(Z[:, :4])


def test_decoded_features_are_reconstructions(rows, models):
    X, model = rows[0], models[ks.SemiSupervisedVAE]
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), model.reconstruct(X), rtol=1e-4, atol=1e-4)


@families("representation", "predict_proba")
@pytest.mark.parametrize("y", [None, ["cat"] * 90], ids=["no label", "one class"])
def test_with_nothing_to_tell_apart_there_is_style_alone(cls, y, rows):
    model = make(cls, epochs=1).fit(rows[0], y)
    Z = model.transform(rows[0])
    assert Z.shape == (90, 2)
    assert len(model.get_feature_names_out()) == 2
    assert model.inverse_transform(Z).shape == (90, 4)


def test_a_classifier_behind_it_in_a_pipeline_sees_the_class():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=200, stratify=y, random_state=0)
    scores = {}
    for representation in ("features", "style"):
        model = ks.SemiSupervisedVAE(representation=representation, experts=None, epochs=60, random_state=0)
        pipeline = make_pipeline(model, LogisticRegression(max_iter=1000)).fit(X_train, y_train)
        scores[representation] = pipeline.score(X_test, y_test)
    assert scores["features"] > 0.85
    assert scores["features"] > scores["style"] + 0.2


@pytest.mark.parametrize(
    "labels",
    [
        [datetime.date(2024, 1, day) for day in (1, 2, 3)],
        [decimal.Decimal(1), decimal.Decimal(2), decimal.Decimal(3)],
        [2**70, 2**70 + 1, 2**70 + 2],
        [("cat", 1), ("dog", 1), ("owl", 2)],
    ],
    ids=["dates", "decimals", "long integers", "tuples"],
)
def test_any_labels_are_scored(labels, rows):
    X, y = rows
    names, others = (np.full(len(X), None) for _ in range(2))
    names[:30] = y[:30]
    others[:30] = [labels[LABELS.tolist().index(label)] for label in y[:30]]
    models = [make(ks.SemiSupervisedVAE, epochs=5).fit(X, given) for given in (names, others)]
    for given in (names, others):
        given[:10] = given[:10][::-1].copy()  # or all scores were one
    scores = [model.score(X, given, np.arange(90)) for model, given in zip(models, (names, others), strict=True)]
    assert scores[0] == scores[1] < 1


def test_labels_of_another_kind_are_not_scored(rows):
    X, y = rows
    model = make(ks.SemiSupervisedVAE, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="kind that was fitted, string; got date"):
        model.score(X, np.where(y == "cat", datetime.date(2024, 1, 1), None))
