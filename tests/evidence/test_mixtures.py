import numpy as np
import pytest
from known import assert_left_out_label_is_not_read, assert_probabilities, blobs, known_of
from scipy.stats import multivariate_normal

from keras_ssvae.evidence.classifiers import softmax
from keras_ssvae.evidence.mixtures import _log_joint, _maximised, mixture

NAMES = ["diagonal", "full", "tied", "spherical"]
KINDS = pytest.mark.parametrize("kind", NAMES)


@KINDS
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_two_clusters_from_two_labels(kind, weight):
    x, classes, y = blobs(200, 2, labeled=2, distance=4.0)
    said, _ = mixture(known_of(x, y), x, kind, weight)
    assert_probabilities(said)
    assert (said.argmax(axis=1) == classes).mean() > 0.97


def test_unlabelled_rows_move_the_border():
    """Two labels at the inner ends of two clusters: a classifier of these alone would cut the second one."""
    rng = np.random.RandomState(0)
    x = np.r_[rng.uniform(0, 1, 100), rng.uniform(2, 8, 100)][:, None]
    x[0], x[100] = 0.9, 5.0
    y = np.full(200, -1)
    y[[0, 100]] = [0, 1]
    known = known_of(x, y)
    said = mixture(known, x, "diagonal", 1.0)[0].argmax(axis=1)
    assert (said == (x[:, 0] > 1.5)).mean() > 0.95
    without = known_of(x[[0, 100]], [0, 1])
    assert (mixture(without, x[[0, 100]], "diagonal", 1.0)[0].argmax(axis=1) == [0, 1]).all()


@KINDS
def test_a_label_that_is_left_out_is_not_read(kind):
    x, _, y = blobs(distance=0.7)
    assert_left_out_label_is_not_read(lambda known: mixture(known, x, kind, 0.1), known_of(x, y))


@KINDS
def test_left_out_labels_of_clusters_are_found_and_other_rows_follow(kind):
    x, classes, y = blobs(distance=4.0)
    known = known_of(x[:60], y[:60])
    said, left_out = mixture(known, x, kind, 1.0)
    assert said.shape == (90, 3)
    assert_probabilities(said, left_out)
    assert (said.argmax(axis=1) == classes).mean() > 0.9
    assert (left_out.argmax(axis=1) == classes[:30]).mean() > 0.9


@KINDS
def test_labels_are_kept_while_others_change(kind):
    """A class of which all unlabelled rows lie elsewhere stays where its labels are."""
    x = np.r_[np.zeros(20), np.full(20, 10.0), np.full(3, 20.0)][:, None] + 0.1 * np.random.RandomState(0).standard_normal(
        (43, 1)
    )
    y = np.r_[[0], np.full(19, -1), [1], np.full(19, -1), [2, 2, 2]]
    said, _ = mixture(known_of(x, y), x, kind, 1.0)
    np.testing.assert_array_equal(said.argmax(axis=1), np.repeat([0, 1, 2], [20, 20, 3]))


@KINDS
def test_weights_count_rows(kind):
    x, _, y = blobs(distance=1.5)
    times = np.random.RandomState(1).randint(1, 4, 90)
    once, _ = mixture(known_of(x, y, times), x, kind, 0.1)
    repeated, _ = mixture(known_of(x.repeat(times, axis=0), y.repeat(times)), x.repeat(times, axis=0), kind, 0.1)
    np.testing.assert_allclose(repeated, once.repeat(times, axis=0), rtol=1e-5, atol=1e-8)


def legal(case):
    x, _, y = blobs()
    if case == "constant column":
        x[:, 1] = 3.0
    elif case == "all columns constant":
        x[:] = 1.0
    elif case == "one label a class":
        y[3:] = -1
    elif case == "more columns than rows":
        x, y = np.random.RandomState(0).standard_normal((12, 20)), y[21:33]
    elif case == "class without a label":
        y[y == 2] = -1
    elif case == "large numbers":
        x[:, 0] *= 1e6
    elif case == "two labels far out":
        x[:2] = 1e4 + np.pi
        y[2:] = -1
    return x, y


@KINDS
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "case",
    ["constant column", "all columns constant", "one label a class", "more columns than rows", "class without a label",
     "large numbers", "two labels far out"],
)  # fmt: skip
def test_every_input_gives_probabilities(kind, case):
    x, y = legal(case)
    assert_probabilities(*mixture(known_of(x, y, n_classes=3), x, kind, 0.1))


@KINDS
def test_the_posterior_is_that_of_gaussians(kind):
    """Bayes' rule with scipy's densities of the same parameters; its M-step is the textbook's, but for what shrinks it."""
    x, _, y = blobs(200, 3, labeled=200)
    share, mean, precision, log_determinant = parameters = _maximised(x, np.eye(3)[y], np.ones(200), kind, 0.05)
    np.testing.assert_allclose(mean, [x[y == k].mean(axis=0) for k in range(3)], rtol=1e-6)
    np.testing.assert_allclose(share, (np.bincount(y) + 1) / 203, rtol=1e-6)
    if precision.ndim == 2:
        covariance = [np.diag(1 / p) for p in precision]
    else:
        covariance = np.broadcast_to(np.linalg.inv(precision), (3, 4, 4))
    np.testing.assert_allclose(np.broadcast_to(log_determinant, 3), np.linalg.slogdet(np.stack(covariance))[1], rtol=1e-6)
    log_p = np.column_stack([multivariate_normal(m, c).logpdf(x) for m, c in zip(mean, covariance, strict=True)])
    np.testing.assert_allclose(softmax(_log_joint(x, parameters)), softmax(log_p + np.log(share)), atol=1e-6)
    own = np.stack([np.diag(np.cov(x[y == k].T, bias=True)) for k in range(3)])
    if kind in ("tied", "spherical"):
        own = np.broadcast_to((share[:, None] * own).sum(axis=0), (3, 4))
    if kind == "spherical":
        own = np.broadcast_to(own.mean(axis=1, keepdims=True), (3, 4))
    variance = np.stack([np.diag(c) for c in covariance])
    np.testing.assert_allclose(variance, own, atol=0.15 * x.var(axis=0).max())
