import warnings

import numpy as np
import pytest
from known import assert_probabilities, blobs
from sklearn.datasets import make_moons

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.evidence import pool
from keras_ssvae.evidence.pool import FEW_WRONG, gather, rows_to_ask, with_label, wrong_labels


def gathered(x, y, weight=None, n_classes=3):
    weight = np.ones(len(y)) if weight is None else weight
    return gather({"scaled": np.asarray(x, np.float32)}, y, weight, n_classes)


@pytest.fixture(scope="module")
def noisy():
    """300 rows of two classes that overlap, all of them labelled, and what experts say of them."""
    x, y, labels = blobs(300, 2, labeled=300, distance=1.0)
    return y, gathered(x, labels, n_classes=2)


# All together


def test_opinions_find_classes_and_their_weights_sum_to_one():
    x, classes, y = blobs(distance=3.0)
    evidence = gathered(x, y)
    posterior = np.exp(evidence.log_posterior)
    assert_probabilities(posterior, evidence.left_out[:30])
    assert np.isnan(evidence.left_out[30:]).all()
    assert (posterior.argmax(axis=1) == classes).mean() > 0.95
    experts = evidence.experts
    assert experts.index[-1] == "all"
    assert experts["weight"].iloc[:-2].sum() == pytest.approx(1)
    assert experts["weight"].iloc[:-2].idxmax() == experts["log_loss"].iloc[:-2].idxmin()
    ranks = experts.iloc[:-2].sort_values("log_loss")["weight"]
    assert ranks.is_monotonic_decreasing
    assert evidence.log_posterior.dtype == evidence.left_out.dtype == np.float32


def test_the_table_judges_what_left_out_labels_were_said_to_be(noisy):
    y, evidence = noisy
    own = evidence.left_out[np.arange(300), y]
    assert evidence.experts.loc["all", "log_loss"] == pytest.approx(-np.log(own).mean(), rel=1e-5)
    assert evidence.experts.loc["all", "accuracy"] == pytest.approx((evidence.left_out.argmax(axis=1) == y).mean())


def test_the_table_tells_what_rows_without_a_label_were_worth():
    rng = np.random.RandomState(0)
    x, y = make_moons(600, noise=0.05, random_state=0)
    shown = np.concatenate([rng.choice(np.flatnonzero(y == k), 10, replace=False) for k in (0, 1)])
    experts = gathered(x, np.where(np.isin(np.arange(600), shown), y, -1), n_classes=2).experts
    assert experts.index[-2] == "labelled rows alone"
    assert experts["weight"].iloc[-2] == 0
    assert experts["log_loss"].iloc[-1] < experts["log_loss"].iloc[-2] - 0.1


def test_few_labels_leave_the_usual_power():
    assert np.log(pool._power(np.full((0, 2), 0.5), np.zeros(0, int))) == pytest.approx(pool.USUAL_POWER, abs=0.03)
    sure = np.tile([0.6, 0.4], (1000, 1))
    assert pool._power(sure, np.zeros(1000, int)) == pytest.approx(3.0)


def test_left_out_opinions_are_as_certain_as_they_are_right(noisy):
    y, evidence = noisy
    accuracy = (evidence.left_out.argmax(axis=1) == y).mean()
    assert 0.6 < accuracy < 0.97
    assert evidence.left_out.max(axis=1).mean() == pytest.approx(accuracy, abs=0.05)


def test_labels_join_the_opinion_of_their_rows(noisy):
    y, evidence = noisy
    expected = with_label(evidence.left_out, y, evidence.wrong_labels)
    np.testing.assert_allclose(np.exp(evidence.log_posterior), expected, rtol=1e-4)
    assert (evidence.log_posterior.argmax(axis=1) == y).mean() > (evidence.left_out.argmax(axis=1) == y).mean()


def test_rows_repeated_are_rows_with_weights_in_any_order():
    x, _, y = blobs(distance=1.0)
    times = np.random.RandomState(1).randint(1, 4, 90)
    once = gathered(x, y, times.astype(float))
    order = np.random.RandomState(2).permutation(np.arange(90).repeat(times))
    repeated = gathered(x[order], y[order])
    np.testing.assert_allclose(np.exp(repeated.log_posterior), np.exp(once.log_posterior)[order], atol=1e-6)
    np.testing.assert_allclose(repeated.left_out, once.left_out[order], atol=1e-6)
    assert repeated.wrong_labels == once.wrong_labels
    np.testing.assert_allclose(repeated.experts, once.experts, atol=1e-6)
    assert np.abs(gathered(x, y).log_posterior - once.log_posterior).max() > 1e-3  # weights have an effect


def test_the_same_row_has_the_same_opinion_wherever_it_stands(monkeypatch):
    monkeypatch.setattr(pool, "MAX_ROWS", 10_000)
    monkeypatch.setattr("keras_ssvae.evidence.rows.MAX_UNLABELED", 20)
    x, classes, y = blobs(distance=3.0)
    evidence = gathered(np.r_[x, x[30:]], np.r_[y, y[30:]])
    posterior = np.exp(evidence.log_posterior)
    np.testing.assert_allclose(posterior[90:], posterior[30:90], rtol=1e-4)
    assert (posterior[:90].argmax(axis=1) == classes).mean() > 0.95


def test_experts_are_asked_of_some_of_very_many_rows(monkeypatch):
    monkeypatch.setattr(pool, "MAX_ROWS", 30)
    x, _, y = blobs()
    asked = rows_to_ask(PreparedRows(x.astype(np.float32), y=y))
    assert len(asked) == len(set(asked)) == 60
    assert (y[asked] >= 0).sum() == 30
    order = np.random.RandomState(0).permutation(len(x))  # the same rows, wherever they stand
    again = rows_to_ask(PreparedRows(x[order].astype(np.float32), y=y[order]))
    assert set(order[again]) == set(asked)
    monkeypatch.setattr(pool, "MAX_ROWS", 45)
    np.testing.assert_array_equal(rows_to_ask(PreparedRows(x.astype(np.float32), y=y)), np.arange(90))


def test_labelled_rows_that_are_thinned_out_have_opinions_and_labels(monkeypatch):
    monkeypatch.setattr("keras_ssvae.evidence.rows.MAX_LABELED", 20)
    x, _, y = blobs(90, 3, labeled=60)
    evidence = gathered(x, y)
    assert_probabilities(evidence.left_out[:60], np.exp(evidence.log_posterior))
    expected = with_label(evidence.left_out[:60], y[:60], evidence.wrong_labels)
    np.testing.assert_allclose(np.exp(evidence.log_posterior[:60]), expected, rtol=1e-4)


def test_very_wide_rows_are_projected(monkeypatch):
    monkeypatch.setattr(pool, "MAX_COLUMNS", 50)
    x, classes, y = blobs(columns=60)
    narrow = pool.narrowed(x)
    assert narrow.shape == (90, 1024)
    distance, projected = (np.square(v[:, None] - v[None]).sum(axis=-1) for v in (x, narrow))
    np.testing.assert_allclose(projected, distance, rtol=0.3)
    assert (gathered(x, y).log_posterior.argmax(axis=1) == classes).mean() > 0.95


def extreme(case):
    x, y, labels = blobs()
    n_classes = 3
    if case == "large column":
        x[:, 0] *= 1e6
    elif case == "constant column":
        x[:, 1] = 3.0
    elif case == "all columns constant":
        x[:] = 1.0
    elif case == "one column":
        x = x[:, :1]
    elif case == "one label a class":
        labels[3:] = -1
    elif case == "two labels":
        labels[2:], n_classes = -1, 2
    elif case == "two labels and no more":
        x, labels, n_classes = x[:2], labels[:2], 2
    elif case == "one row of two classes":
        x, labels, n_classes = x[[0, 0]], labels[:2], 2
    elif case == "class without a label":
        n_classes = 5
    elif case == "100 classes":
        x, y, labels = blobs(150, 100, labeled=120)
        n_classes = 100
    elif case == "more columns than rows":
        x = np.random.RandomState(0).standard_normal((90, 300))
    elif case == "tiny weights":
        return x, labels, np.full(90, 1e-6), 3
    return x, labels, np.ones(len(x)), n_classes


@pytest.mark.parametrize(
    "case",
    ["large column", "constant column", "all columns constant", "one column", "one label a class", "two labels",
     "two labels and no more", "one row of two classes", "class without a label", "100 classes", "more columns than rows",
     "tiny weights"],
)  # fmt: skip
def test_every_legal_input_gives_probabilities_without_a_warning(case):
    x, y, weight, n_classes = extreme(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evidence = gathered(x, y, weight, n_classes)
    assert_probabilities(np.exp(evidence.log_posterior), evidence.left_out[y >= 0])
    assert evidence.log_posterior.any(axis=1).all()
    assert np.isfinite(evidence.experts["weight"]).all()
    one_each = np.bincount(y[y >= 0]).max() == 1 or case == "all columns constant"  # copies are one row
    assert np.isfinite(evidence.experts).all(axis=None) == (not one_each)
    assert FEW_WRONG <= evidence.wrong_labels <= 0.5


# How often labels are wrong


def opinions(n_classes, wrong, certainty=0.9, n=600):
    """Opinions about the true classes, right nine times of ten, and labels of which a share is wrong."""
    rng = np.random.RandomState(0)
    truth = np.arange(n) % n_classes
    thought = np.where(rng.rand(n) < 0.98, truth, rng.randint(n_classes, size=n))
    sure = np.clip(certainty + 0.05 * rng.standard_normal(n), 0.6, 0.99)[:, None]
    said = np.where(np.eye(n_classes, dtype=bool)[thought], sure, (1 - sure) / (n_classes - 1))
    flipped = rng.rand(n) < wrong
    y = np.where(flipped, (truth + rng.randint(1, n_classes, size=n)) % n_classes, truth)
    return said, y, flipped, truth


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_few_clean_labels_are_taken_to_be_wrong(n_classes):
    assert wrong_labels(*opinions(n_classes, 0.0)[:2]) <= FEW_WRONG + 0.01
    certain = np.eye(n_classes)[np.arange(30) % n_classes]
    assert wrong_labels(certain, np.arange(30) % n_classes) == FEW_WRONG


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("wrong", [0.1, 0.2, 0.3])
def test_wrong_labels_are_counted(n_classes, wrong):
    said, y, flipped, _ = opinions(n_classes, wrong)
    assert wrong_labels(said, y) == pytest.approx(flipped.mean(), abs=0.04)


def test_not_more_than_half_of_the_labels_are_taken_to_be_wrong():
    said, y, *_ = opinions(3, 0.9)
    assert wrong_labels(said, y) <= 0.5


def test_a_class_without_a_label_is_never_what_a_label_should_have_been():
    y = np.arange(20) % 2
    said = np.where(np.eye(3)[y] > 0, 0.15, [0.05, 0.05, 0.8])
    assert wrong_labels(said, y) == FEW_WRONG


def test_wrong_labels_of_clusters_are_counted():
    x, classes, y = blobs(200, 2, labeled=200, distance=4.0)
    assert gathered(x, y, n_classes=2).wrong_labels == FEW_WRONG
    flipped = np.random.RandomState(1).rand(200) < 0.2
    labels = np.where(flipped, 1 - classes, classes)
    evidence = gathered(x, labels, n_classes=2)
    assert evidence.wrong_labels == pytest.approx(flipped.mean(), abs=0.06)
    assert (evidence.log_posterior.argmax(axis=1) == classes).mean() > (labels == classes).mean() + 0.05


# What a label says


@pytest.mark.parametrize("n_classes", [2, 4])
def test_an_opinion_overrules_a_label_only_where_labels_are_often_wrong(n_classes):
    sure = np.full((1, n_classes), 0.1 / (n_classes - 1))
    sure[0, 1] = 0.9
    label = np.array([0])
    assert with_label(sure, label, FEW_WRONG).argmax() == 0
    assert with_label(sure, label, 0.3).argmax() == 1
    unsure = np.full((1, n_classes), 1 / n_classes)
    assert with_label(unsure, label, 0.3).argmax() == 0


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_label_is_a_likelihood_of_the_class_that_opinions_of_labels_show(n_classes):
    """Opinions are about noisy labels: with the noise taken out and Bayes' rule, the class that made them comes back."""
    share, rng = 0.2, np.random.RandomState(0)
    clean = rng.dirichlet(np.ones(n_classes), 50).clip(0.05)
    clean /= clean.sum(axis=1, keepdims=True)
    noise = np.full((n_classes, n_classes), share / (n_classes - 1))
    np.fill_diagonal(noise, 1 - share)
    y = rng.randint(n_classes, size=50)
    expected = clean * noise[:, y].T
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(with_label(clean @ noise, y, share), expected, rtol=1e-6)


def test_with_label_is_finite_where_an_opinion_leaves_nothing():
    for share in (FEW_WRONG, 0.5):
        assert_probabilities(with_label(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), share))


def test_one_label_a_class_judges_nobody_and_near_rows_are_trusted():
    x, classes, _ = blobs(distance=4.0)
    y = np.full(len(x), -1)
    first = [int(np.flatnonzero(classes == k)[0]) for k in np.unique(classes)]
    y[first] = classes[first]
    evidence = gathered(x, y)
    weights = evidence.experts["weight"].drop("all")
    assert weights[weights.index.str.startswith("propagation")].sum() > 0.9
    assert evidence.experts["log_loss"].isna().all()  # no label could be left out
    assert evidence.wrong_labels == FEW_WRONG
    np.testing.assert_array_equal(evidence.log_posterior[first].argmax(axis=1), y[first])
    assert (evidence.log_posterior.argmax(axis=1) == classes).mean() > 0.95


def test_an_only_label_does_not_judge_where_other_classes_have_several():
    x, _, y = blobs()
    few = np.flatnonzero(y == y.max())
    y[few[1:]] = -1
    evidence = gathered(x, y)
    only = few[0]
    np.testing.assert_allclose(evidence.left_out[only], 1 / (y.max() + 1), rtol=1e-5)
    assert evidence.log_posterior[only].argmax() == y.max()
