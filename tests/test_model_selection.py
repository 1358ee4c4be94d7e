import pickle

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.semi_supervised import SelfTrainingClassifier

from keras_ssvae import VAE
from keras_ssvae.data.labels import is_unlabeled
from keras_ssvae.model_selection import SemiSupervisedKFold, label_sweep, labeled_scorer, mask_labels


def kept_per_class(y, masked):
    kept = ~is_unlabeled(masked)
    assert (np.asarray(masked)[kept] == np.asarray(y)[kept]).all()
    return np.bincount(np.asarray(y)[kept], minlength=max(y) + 1).tolist()


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize(
    "labeled, n_kept", [(0.0, 0), (0, 0), (1, 1), (0.001, 1), (0.1, 10), (0.25, 25), (50, 50), (1.0, 100), (100, 100)]
)
def test_ints_are_numbers_and_floats_are_fractions(labeled, n_kept, stratify):
    y = np.repeat([0, 1, 2], [50, 30, 20])
    assert sum(kept_per_class(y, mask_labels(y, labeled, stratify=stratify, random_state=0))) == n_kept


@pytest.mark.parametrize(
    "counts, labeled, kept",
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([50, 30, 20], 0.5, [25, 15, 10]),
        ([96, 2, 2], 3, [1, 1, 1]),
        ([96, 2, 2], 12, [10, 1, 1]),
        ([90, 9, 1], 100, [90, 9, 1]),
        ([90, 9, 1], 2, [2, 0, 0]),
        ([1, 1, 1], 2, None),
        ([70, 30], 1, [1, 0]),
    ],
)
def test_stratified_masks_keep_proportions_and_every_class(counts, labeled, kept):
    y = np.repeat(np.arange(len(counts)), counts)
    for seed in range(3):
        result = kept_per_class(y, mask_labels(y, labeled, random_state=seed))
        assert result == kept if kept else sum(result) == labeled


def test_ties_between_classes_are_broken_at_random():
    kept = {int(mask_labels([0, 1, 2], 1, random_state=seed).max()) for seed in range(30)}
    assert kept == {0, 1, 2}


def test_stratified_numbers_fit_for_any_counts():
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = rng.integers(1, 1 + rng.choice([2, 10, 300]), size=rng.integers(1, 9))
        n_kept = rng.integers(0, counts.sum() + 1)
        y = np.repeat(np.arange(len(counts)), counts)
        kept = np.array(kept_per_class(y, mask_labels(y, int(n_kept), random_state=0)))
        assert kept.sum() == n_kept
        assert (kept <= counts).all()
        assert n_kept < len(counts) or kept.min() >= 1


def test_masks_are_reproducible_and_differ_between_seeds():
    y = np.zeros(100, dtype=int)
    masks = [mask_labels(y, 0.5, random_state=seed) for seed in (0, 0, 1)]
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()
    assert (y == 0).all()


def test_unlabeled_entries_stay_unlabeled_and_do_not_count():
    y = np.array([0, -1, 1, -1, 0, 1])
    np.testing.assert_array_equal(mask_labels(y, 1.0), y)
    assert (mask_labels(y, 0.5, random_state=0) >= 0).sum() == 2
    assert mask_labels([None, -1], 0.5).tolist() == [-1, -1]


@pytest.mark.parametrize(
    "y, unlabeled, masked, dtype",
    [
        (np.array([2, 3], dtype=np.int8), -1, [-1, -1], np.int8),
        (np.array([2.0, 3.0]), np.nan, [np.nan, np.nan], float),
        (np.array(["a", "b"]), "gap", ["gap", "gap"], "<U3"),
        (np.array(["a", "b"]), -1, [-1, -1], object),
        (["a", "b"], None, [None, None], object),
        ([True, False], -1, [-1, -1], object),
        (pd.Series([2, 3]), -1, [-1, -1], np.int64),
        (pd.Series([2, None], dtype="Int64"), -1, [-1, -1], "Int64"),
        (pd.Series([2, 3], dtype="Int64"), None, [pd.NA, pd.NA], "Int64"),
        (pd.Series([2, 3], dtype="Int64"), "?", ["?", "?"], object),
        (pd.Series([True, False], dtype="boolean"), -1, [-1, -1], object),
        (pd.Series(["a", "b"], dtype="string"), "?", ["?", "?"], "string"),
        (pd.Series(["a", "b"], dtype="string"), -1, [-1, -1], object),
        (pd.Series(["a", "b"], dtype="str"), -1, [-1, -1], object),
        (pd.Series(["a", "b"], dtype="category"), -1, [-1, -1], pd.CategoricalDtype(["a", "b", -1])),
        (pd.Series(["a", "b"], dtype="category"), None, [np.nan, np.nan], pd.CategoricalDtype(["a", "b"])),
    ],
)
def test_the_result_holds_the_sentinel_itself(y, unlabeled, masked, dtype):
    result = mask_labels(y, 0.0, unlabeled=unlabeled)
    assert result.dtype == dtype
    pd.testing.assert_series_equal(pd.Series(result.tolist()), pd.Series(masked))


def test_a_series_keeps_index_name_and_labels():
    y = pd.Series(["a", "b", "a", "b"], index=[3, 3, 1, 0], name="animal")
    result = mask_labels(y, 2, unlabeled="?", random_state=0)
    assert (result.name, result.index.tolist(), result.dtype) == ("animal", y.index.tolist(), y.dtype)
    assert sorted(result) == ["?", "?", "a", "b"]
    assert "?" not in set(y)


@pytest.mark.parametrize("labeled", [-0.1, 1.1, -1, 4, True, "half", None, np.nan])
def test_impossible_numbers_of_labels_are_refused(labeled):
    with pytest.raises(ValueError, match=r"labeled must be .* \[0, 3\], as y has 3 labels\), got"):
        mask_labels([0, 1, 1, -1], labeled)


@pytest.mark.parametrize("shuffle", [True, False])
def test_folds_test_each_labeled_row_once_and_train_on_the_rest(shuffle):
    y = np.array(["a", "b", None, "a"] * 10, dtype=object)
    folds = list(SemiSupervisedKFold(5, shuffle=shuffle, random_state=0 if shuffle else None).split(y, y))
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(40))
        assert (y[test] == "a").sum() == 4 and (y[test] == "b").sum() == 2
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.flatnonzero(y != None))  # noqa: E711


def test_folds_follow_random_state():
    y = np.array([0, 1] * 20)
    first, again, other = (next(SemiSupervisedKFold(random_state=seed).split(y, y))[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_the_splitter_prints_its_parameters():
    printed = "SemiSupervisedKFold(n_splits=3, partition=False, random_state=0, shuffle=True, unlabeled=-1)"
    assert " ".join(repr(SemiSupervisedKFold(3)).split()) == printed


@pytest.mark.parametrize(
    "y, n_splits, message",
    [
        (None, 2, "got None"),
        ([-1, -1, 0, None], 2, "n_splits=2 needs as many labelled rows, y has 1"),
        ([0, 1, 2, -1], 3, "n_splits=3 cannot be greater than the number of members in each class"),
        ([0, 1, 0], 2, "inconsistent numbers of samples"),
    ],
)
def test_impossible_folds_are_refused(y, n_splits, message):
    with pytest.raises(ValueError, match=message):
        list(SemiSupervisedKFold(n_splits).split(np.zeros((4, 1)), y))


@pytest.mark.parametrize("to_X", [np.asarray, pd.DataFrame, sparse.csr_array, np.ndarray.tolist])
def test_scores_ignore_unlabeled_rows(to_X):
    X, y = to_X(np.zeros((5, 2))), np.array(["a", "a", None, "b", None], dtype=object)
    model = DummyClassifier(strategy="constant", constant="a").fit(np.zeros((2, 2)), ["a", "b"])
    assert labeled_scorer()(model, X, y) == pytest.approx(2 / 3)
    assert labeled_scorer("balanced_accuracy")(model, X, y) == 0.5
    assert labeled_scorer(lambda model, X, y: len(y))(model, X, pd.Series(y)) == 3


@pytest.mark.parametrize("y", [[True, -1, False], pd.Series([1, None, 0], dtype="Int64"), [1.0, np.nan, 0.0]])
def test_scorers_see_the_plain_labels(y):
    model = DummyClassifier(strategy="constant", constant=1).fit([[0], [0]], [1, 0])
    assert labeled_scorer("f1")(model, [[0]] * 3, y) == pytest.approx(2 / 3)


def test_scorers_can_be_pickled_and_name_what_they_lack():
    scorer = pickle.loads(pickle.dumps(labeled_scorer("f1", unlabeled="?")))
    assert "f1" in repr(scorer) and "'?'" in repr(scorer)
    with pytest.raises(ValueError, match="y has no labelled row to score, got 2 unlabelled"):
        scorer(None, [[0], [1]], ["?", None])
    with pytest.raises(ValueError, match="'acuracy' is not a valid scoring value"):
        labeled_scorer("acuracy")


@pytest.fixture
def blobs():
    X, y = make_blobs(120, centers=[[-9, 0], [0, 9], [9, 0]], random_state=0)
    return X, mask_labels(y, 60, random_state=0)


def test_splitter_and_scorer_work_inside_scikit_learns_searches(blobs):
    model = SelfTrainingClassifier(GaussianNB())
    cv = SemiSupervisedKFold(3, random_state=0)
    np.testing.assert_array_equal(cross_val_score(model, *blobs, cv=cv, scoring=labeled_scorer()), 1.0)
    np.testing.assert_array_equal(cross_val_score(model, *blobs, cv=KFold(3), scoring=labeled_scorer()), 1.0)
    search = GridSearchCV(model, {"threshold": [0.6, 0.9]}, cv=cv, scoring=labeled_scorer(), error_score="raise")
    assert search.fit(*blobs).best_score_ == 1.0


def test_sweeps_are_tidy_and_count_the_labels_the_estimator_saw(blobs):
    sweep = label_sweep(SelfTrainingClassifier(GaussianNB()), *blobs, (0.0, 0.2, 0.5), cv=3, random_state=0)
    assert sweep.columns.tolist() == ["fraction", "n_labels", "split", "score", "fit_seconds"]
    assert sweep["fraction"].tolist() == [0.0] * 3 + [0.2] * 3 + [0.5] * 3
    assert sweep["split"].tolist() == [0, 1, 2] * 3
    assert sweep["n_labels"].tolist() == [0] * 3 + [8] * 3 + [20] * 3
    assert (sweep["score"][3:] == 1.0).all() and (sweep["fit_seconds"][3:] > 0).all()
    assert sweep[["score", "fit_seconds"]][:3].isna().all(axis=None)


class Recorder(DummyClassifier):
    seen = []

    def fit(self, X, y):
        self.seen.append((np.asarray(X).ravel(), y))
        return super().fit(X, np.where(is_unlabeled(y), "a", np.asarray(y)).astype(str))


def test_sweeps_train_on_all_rows_but_the_test_rows():
    y = pd.Series(["a", "b", None, "a", "b", None], dtype="str")
    Recorder.seen.clear()
    sweep = label_sweep(Recorder(), np.arange(6), y, (2, 1.0), cv=2, unlabeled="?", random_state=0)
    assert [type(entry) for entry in sweep["fraction"]] == [int, int, float, float]
    for rows, y_train in Recorder.seen:
        assert isinstance(y_train, pd.Series) and {2, 5} < set(rows) and len(rows) == 4
        assert sorted(y_train) == ["?", "?", "a", "b"]


def test_sweeps_respect_other_splitters(blobs):
    X, y = blobs
    sweep = label_sweep(GaussianNB(), X, y, [1.0], cv=PredefinedSplit(np.arange(120) % 2), scoring=len_of_test)
    assert sweep["score"].tolist() == [(y[::2] >= 0).sum(), (y[1::2] >= 0).sum()]
    assert sweep["n_labels"].tolist() == [(y[1::2] >= 0).sum(), (y[::2] >= 0).sum()]


def len_of_test(model, X, y):
    return len(y)


@pytest.mark.parametrize("container", [tf.constant, lambda y: pd.array(np.array(["a", "b"])[y], dtype="string")])
def test_a_sweep_reads_tensors_and_arrays_of_pandas(container):
    y = np.arange(20) % 2
    X = 5.0 * y[:, None]
    plain = label_sweep(GaussianNB(), X, y, [1.0], cv=2, random_state=0)
    assert label_sweep(GaussianNB(), tf.constant(X), container(y), [1.0], cv=2, random_state=0)["score"].equals(plain["score"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fractions": 0.5}, "fractions must be a list of fractions or numbers of labels; got 0.5"),
        ({"fractions": "0.5"}, "fractions must be a list"),
        ({"fractions": [0.5], "scoring": None}, "scoring must be the name of a scorer or a callable; got None"),
        ({"fractions": [0.5], "estimator": VAE()}, "estimator must have predict"),
    ],
)
def test_what_no_sweep_can_be_made_of_is_refused_before_the_first_fit(blobs, given, message):
    X, y = blobs
    with pytest.raises(TypeError, match=message):
        label_sweep(**{"estimator": LogisticRegression(), "X": X, "y": y, **given})


def test_sweeps_are_reproducible(blobs):
    model = SelfTrainingClassifier(LogisticRegression())
    first, again = (label_sweep(model, *blobs, [0.2], cv=2, scoring="neg_log_loss", random_state=3) for _ in range(2))
    pd.testing.assert_series_equal(first["score"], again["score"], check_exact=True)


def test_wrong_fractions_are_found_before_the_first_fit(blobs):
    Recorder.seen.clear()
    with pytest.raises(ValueError, match="labeled must be"):
        label_sweep(Recorder(), *blobs, [0.5, 1000])
    assert not Recorder.seen
