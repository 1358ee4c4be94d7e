import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import DataConversionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import keras_ssvae as ks
from keras_ssvae.augmentation.functions import AugmentedClassifier, GenerativeOverSampler, augment
from keras_ssvae.data.labels import distinct_labels, is_unlabeled

TINY = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 1, "batch_size": 64}


def tiny(**settings):
    return ks.SemiSupervisedVAE(**{**TINY, **settings})


class ClassMeans(ClassifierMixin, BaseEstimator):
    """A generator whose answer is known: each row is the mean of its class, to which the seed may add noise."""

    def __init__(self, noise=0.0, classes=None, unlabeled=-1, random_state=None):
        self.noise = noise
        self.classes = classes
        self.unlabeled = unlabeled
        self.random_state = random_state

    def fit(self, X, y):
        self.seen_ = np.array(X), np.array(y)
        labels, positions = distinct_labels(y, self.unlabeled)
        self.classes_ = np.sort(labels)
        self.means_ = {label: self.seen_[0][positions == i].mean(axis=0) for i, label in enumerate(labels.tolist())}
        self.seed_ = self.random_state
        return self

    def sample(self, n_samples=1, y=None, random_state=None):
        X = np.array([self.means_[label] for label in y.tolist()])
        return X + self.noise * np.random.RandomState(random_state).standard_normal(X.shape), y


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that remembers what it was given."""

    def fit(self, X, y):
        self.X_, self.y_, self.classes_ = X, y, np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


X = np.arange(24.0).reshape(12, 2) ** 2
Y = np.array(["b"] * 5 + ["a"] * 3 + [None] * 2 + ["c"] * 1 + [-1], dtype=object)
MEANS = {"a": X[5:8].mean(axis=0), "b": X[:5].mean(axis=0), "c": X[10]}


def counted(y):
    labels, positions = distinct_labels(y)
    return dict(zip(labels.tolist(), np.bincount(positions[positions >= 0]).tolist(), strict=True))


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


def test_unlabeled_rows_are_fitted_and_pass_through():
    _, y_new = augment(X, Y, ClassMeans())
    assert y_new[8] is None and y_new[11] == -1
    estimator = clone(ClassMeans())
    sampler = GenerativeOverSampler(estimator).fit(X, Y)
    sampler.fit_resample(X, Y)
    np.testing.assert_array_equal(sampler.estimator_.seen_[0], X)
    np.testing.assert_array_equal(sampler.estimator_.seen_[1], Y)
    assert not hasattr(estimator, "classes_")


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


@pytest.mark.parametrize("own", [None, 7])
def test_an_estimator_keeps_the_random_state_it_has(own):
    sampler = GenerativeOverSampler(ClassMeans(random_state=own), random_state=0)
    sampler.fit_resample(X, Y)
    assert (sampler.estimator_.seed_ == 7) == (own == 7)
    assert sampler.estimator_.seed_ is not None
    assert sampler.get_params()["estimator__random_state"] == own


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


@pytest.fixture(scope="module")
def blobs():
    """60 rows: 30, 12 and 12 with a label of three classes, 6 without."""
    X, y = make_blobs([30, 12, 12, 6], 3, centers=[[-6, 0, 0], [0, 6, 0], [6, 0, 0], [0, 6, 0]], random_state=0)
    return X, np.where(y == 3, -1, y)


LABELS = np.array([0] * 5 + [1] * 3 + [0] * 4)
GAPS = np.arange(12) % 4 == 3
YS = {
    "int8": np.where(GAPS, -1, LABELS).astype(np.int8),
    "float with NaN": np.where(GAPS, np.nan, LABELS),
    "bool": LABELS.astype(bool),
    "text": np.array(["no", "yes"])[LABELS],
    "objects": np.where(GAPS, None, np.array(["no", "yes"], object)[LABELS]),
    "masked": np.ma.masked_array(LABELS, GAPS),
    "list": [None if gap else "ny"[label] for gap, label in zip(GAPS, LABELS, strict=True)],
    "Int64": pd.Series(LABELS, dtype="Int64").mask(GAPS),
    "str": pd.Series(np.array(["no", "yes"])[LABELS], dtype="str", name="answer").mask(GAPS),
    "boolean": pd.Series(LABELS == 1, dtype="boolean").mask(GAPS),
    "categories": pd.Series(pd.Categorical.from_codes(np.where(GAPS, -1, LABELS), ["yes", "no"]), index=list("abcdefghijkl")),
    "categorical": pd.Categorical.from_codes(np.where(GAPS, -1, LABELS), ["yes", "no"]),
}


@pytest.mark.parametrize("y", YS.values(), ids=YS)
def test_labels_keep_container_dtype_and_gaps(y):
    rare = min(distinct_labels(y)[0].tolist(), key=counted(y).get)
    _, y_new = augment(X, y, ClassMeans(), n_samples={rare: 6})
    assert type(y_new) is type(y)
    assert getattr(y_new, "dtype", None) == getattr(y, "dtype", None)
    assert len(y_new) == 18 and counted(y_new) == {**counted(y), rare: counted(y)[rare] + 6}
    np.testing.assert_array_equal(is_unlabeled(y_new[:12]), is_unlabeled(y))
    if isinstance(y, pd.Series):
        pd.testing.assert_series_equal(y_new.iloc[:12], y)


@pytest.mark.parametrize("y", [Y[:, None], pd.DataFrame({"answer": Y})])
def test_a_column_of_labels_is_read_with_a_warning(y):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        _, y_new = augment(X, y, ClassMeans(), n_samples={"c": 1})
    assert np.ravel(y_new).tolist() == [*Y, "c"]
    assert isinstance(y_new, pd.DataFrame) == isinstance(y, pd.DataFrame)


def test_where_nothing_is_generated_copies_come_back():
    frame = pd.DataFrame(X, index=pd.date_range("2024-01-01", periods=12))
    X_new, y_new = augment(frame, Y, ClassMeans(), n_samples=0)
    pd.testing.assert_frame_equal(X_new, frame)
    X_new.iloc[:], y_new[:] = 0, None
    assert frame.iloc[0, 1] == 1 and Y[0] == "b"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8, bool])
def test_arrays_keep_their_dtype(dtype):
    rows = (X > 40).astype(dtype) if dtype is bool else (X / 4).astype(dtype)
    rows.flags.writeable = False
    X_new, _ = augment(rows, Y, ClassMeans(), n_samples=4)
    np.testing.assert_array_equal(X_new[:12], rows)
    mean_of_a = augment(rows, Y, ClassMeans(), n_samples={"a": 1})[0][12]
    assert X_new.dtype == mean_of_a.dtype == dtype and X_new.shape == (16, 2)
    exact = rows[5:8].mean(axis=0)
    np.testing.assert_allclose(mean_of_a, exact if dtype in (np.float32, np.float64) else np.rint(exact), rtol=1e-6)


def test_lists_stay_lists():
    X_new, y_new = augment(X.tolist(), Y.tolist(), ClassMeans(), n_samples={"c": 1})
    assert X_new == [*X.tolist(), X[10].tolist()]
    assert y_new == [*Y.tolist(), "c"]
    X_new, _ = augment([("u", 1.5), ("v", 2.5)] * 6, Y, tiny(), n_samples={"c": 1})
    assert X_new[11] == ("v", 2.5) and X_new[12][0] in "uv" and isinstance(X_new[12][1], float)


def test_images_stay_images():
    images = np.random.RandomState(0).rand(12, 4, 4, 1).astype(np.float32)
    for estimator in (ClassMeans(), tiny()):
        X_new, _ = augment(images, Y, estimator, n_samples=3)
        assert X_new.shape == (15, 4, 4, 1) and X_new.dtype == np.float32


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "size": rng.standard_normal(40).astype(np.float32),
            "count": pd.array(rng.poisson(3, 40), dtype="Int64"),
            "whole": rng.randint(0, 50, 40).astype(np.int16),
            "colour": pd.Categorical(rng.choice(["red", "green"], 40), ["green", "red", "blue"]),
            "text": rng.choice(["x", "y"], 40),
            "yes": pd.array(rng.rand(40) < 0.5, dtype="boolean"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.randint(0, 99, 40), unit="D"),
        },
        index=np.arange(40) + 7,
    )
    frame.loc[9:12, ["size", "count", "colour", "text", "yes", "day"]] = None
    return frame, pd.Series(["u"] * 20 + ["v"] * 10 + [None] * 10, index=frame.index, name="kind", dtype=object)


def test_tables_keep_columns_and_dtypes_and_generated_rows_are_complete(table):
    X_new, y_new = augment(*table, tiny(), n_samples="balanced", random_state=0)
    pd.testing.assert_frame_equal(X_new.iloc[:40], table[0])
    pd.testing.assert_series_equal(y_new.iloc[:40], table[1])
    assert len(X_new) == 50 and X_new.iloc[40:].notna().all(axis=None)
    assert X_new.index.tolist() == [*range(7, 57)]
    assert y_new.index.equals(X_new.index) and (y_new.iloc[40:] == "v").all() and y_new.name == "kind"


@pytest.mark.parametrize(
    "index, generated",
    [
        (pd.RangeIndex(12, name="row"), [12, 13]),
        (pd.Index([5, 3, 99, *range(200, 209)]), [209, 210]),
        (pd.Index(list("abcdefghijkl"), name="who"), ["generated 12", "generated 13"]),
        (pd.date_range("2024-01-01", periods=12), [12, 13]),
        (pd.MultiIndex.from_product([[0, 1], range(6)]), [12, 13]),
    ],
)
def test_rows_keep_their_index_and_generated_ones_are_numbered_on(index, generated):
    frame = pd.DataFrame(X, index=index, columns=["p", "q"])
    X_new, y_new = augment(frame, pd.Series(Y, index=index), ClassMeans(), n_samples={"a": 2})
    assert X_new.index.tolist() == [*index.tolist(), *generated]
    assert y_new.index.tolist() == X_new.index.tolist()
    pd.testing.assert_frame_equal(X_new.loc[list(index)].set_axis(index), frame)
    assert X_new.index.name == index.name


def test_a_fitted_estimator_may_know_other_dtypes_and_containers(blobs):
    X, y = blobs
    fitted = tiny(random_state=0).fit(pd.DataFrame(X, columns=list("pqr")), y)
    drawn = fitted.sample(2, y=[0, 1], random_state=0)[0].to_numpy()
    for rows in (X.astype(np.float32), pd.DataFrame(X.astype(np.float32), columns=list("pqr"))):
        X_new, _ = augment(rows, y, fitted, n_samples={0: 1, 1: 1}, random_state=0)
        assert type(X_new) is type(rows) and np.asarray(X_new).dtype == np.float32
        assert np.asarray(X_new)[60:].shape == drawn.shape
    with pytest.raises(ValueError, match=r"X has the columns \['q', 'p', 'r'\]; estimator was fitted to \['p', 'q', 'r'\]"):
        augment(pd.DataFrame(X, columns=list("qpr")), y, fitted)
    with pytest.raises(ValueError, match=r"X has rows of shape \(2,\); estimator was fitted to rows of shape \(3,\)"):
        augment(X[:, :2], y, fitted)


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


XFAIL = {
    AugmentedClassifier: {"check_classifiers_classes": "uses -1 as a class, which here marks a row without a label"},
    GenerativeOverSampler: {},
}


@parametrize_with_checks(
    [AugmentedClassifier(LogisticRegression(), tiny()), GenerativeOverSampler(tiny())],
    expected_failed_checks=lambda estimator: XFAIL[type(estimator)],
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_the_classifier_gets_labeled_and_generated_rows():
    model = AugmentedClassifier(Recorder(), ClassMeans()).fit(X, Y)
    known = [*range(8), 10]
    np.testing.assert_array_equal(model.classifier_.X_, [*X[known], *[MEANS["a"]] * 2, *[MEANS["c"]] * 4])
    assert model.classifier_.y_.tolist() == [*Y[known], *"aacccc"]
    assert model.n_samples_ == {"a": 2, "b": 0, "c": 4}
    assert model.classes_.tolist() == ["a", "b", "c"]


def test_frames_reach_the_classifier_as_frames(table):
    model = AugmentedClassifier(Recorder(), tiny()).fit(*table)
    assert model.classifier_.X_.dtypes.equals(table[0].dtypes)
    assert len(model.classifier_.X_) == 40 and model.feature_names_in_.tolist() == list(table[0])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[0].iloc[:, ::-1])


def test_questions_go_to_the_classifier(blobs):
    X, y = blobs
    model = AugmentedClassifier(LogisticRegression(), ClassMeans()).fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(model, method)(X), getattr(model.classifier_, method)(X))
    assert model.score(X, y) == model.classifier_.score(X[y >= 0], y[y >= 0])  # unlabelled rows do not count
    assert not hasattr(AugmentedClassifier(RidgeClassifier()), "predict_proba")
    assert hasattr(AugmentedClassifier(RidgeClassifier()), "decision_function")


def test_a_fitted_estimator_is_fitted_anew_unless_it_is_frozen():
    fitted = ClassMeans().fit(X + 100, Y)
    anew, frozen = (AugmentedClassifier(Recorder(), estimator).fit(X, Y) for estimator in (fitted, FrozenEstimator(fitted)))
    np.testing.assert_array_equal(anew.classifier_.X_[-1], MEANS["c"])
    np.testing.assert_allclose(frozen.classifier_.X_[-1], MEANS["c"] + 100)


def test_random_state_reaches_generator_and_classifier():
    fits = [AugmentedClassifier(Recorder(), ClassMeans(noise=1), random_state=seed).fit(X, Y) for seed in (0, 0, 1)]
    assert np.array_equal(fits[0].classifier_.X_, fits[1].classifier_.X_)
    assert not np.array_equal(fits[0].classifier_.X_, fits[2].classifier_.X_)
    nested = AugmentedClassifier(make_pipeline(StandardScaler(), LogisticRegression()), ClassMeans(), random_state=0).fit(X, Y)
    assert nested.classifier_.get_params()["logisticregression__random_state"] is not None
    assert nested.classifier.get_params()["logisticregression__random_state"] is None


@pytest.mark.parametrize("generator", [ClassMeans(noise=1), tiny()], ids=["means", "network"])
def test_no_test_row_reaches_the_generated_rows(generator, blobs):
    X, y = blobs
    model = AugmentedClassifier(Recorder(), generator, n_samples=20, random_state=0)
    folds = list(KFold(2, shuffle=True, random_state=0).split(X))
    train, test = folds[0]
    X_other, y_other = X.copy(), y.copy()
    X_other[test], y_other[test] = 1e6, 0
    first, other = (
        cross_validate(model, *rows, cv=folds, return_estimator=True, error_score="raise")["estimator"][0]
        for rows in ((X, y), (X_other, y_other))
    )
    np.testing.assert_array_equal(first.classifier_.X_, other.classifier_.X_)
    np.testing.assert_array_equal(first.classifier_.X_[: np.sum(y[train] >= 0)], X[train][y[train] >= 0])
    assert len(first.classifier_.X_) == np.sum(y[train] >= 0) + 20
    if isinstance(generator, ClassMeans):
        np.testing.assert_array_equal(first.estimator_.seen_[0], X[train])
        np.testing.assert_array_equal(first.estimator_.seen_[1], y[train])


def test_searches_reach_both_inner_estimators(blobs):
    X, y = blobs
    model = AugmentedClassifier(LogisticRegression(), tiny(), random_state=0)
    search = GridSearchCV(
        model,
        {"classifier__C": [1.0], "estimator__epochs": [2]},
        cv=ks.SemiSupervisedKFold(2, random_state=0),
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert search.best_estimator_.estimator_.n_iter_ == 2
    model = clone(model).set_params(estimator=ClassMeans())
    assert cross_val_score(model, X, y, cv=ks.SemiSupervisedKFold(2, random_state=0), error_score="raise").min() > 0.9
