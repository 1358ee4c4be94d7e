import numpy as np
import pytest

from keras_ssvae.data.label_summary import class_prior, label_agreement, linear_agreement, summarise_labels


def clusters(per_class=10, spread=0.1):
    rng = np.random.RandomState(0)
    codes = np.arange(3).repeat(per_class)
    return 5 * np.eye(3)[codes] + spread * rng.standard_normal((len(codes), 3)), codes


def test_labels_of_clean_clusters_agree():
    x, codes = clusters()
    assert label_agreement(x, codes, np.ones(30)) == 1


def test_one_label_a_class_is_no_evidence():
    x, codes = clusters(per_class=1)
    assert label_agreement(x, codes, np.ones(3)) == 0


def test_random_labels_agree_no_better_than_chance():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((400, 3))
    assert label_agreement(x, rng.randint(2, size=400), np.ones(400)) < 0.1


@pytest.mark.parametrize("n", [1, 2, 5])
def test_one_class_is_no_evidence(n):
    assert label_agreement(np.arange(n * 2.0).reshape(n, 2), np.zeros(n, int), np.ones(n)) == 0


def test_agreement_is_kappa_of_the_nearest_neighbour():
    x = np.array([[0.0], [0.1], [1.0], [1.1], [1.25]])
    codes = np.array([0, 0, 1, 1, 0])  # the last row's neighbour is wrong; the shares are 3 to 2
    assert label_agreement(x, codes, np.ones(5)) == pytest.approx((4 / 5 - 3 / 5) / (2 / 5))


def summarised(x, codes, weight=None, n_classes=3):
    return summarise_labels(lambda rows: x[rows], codes, np.ones(len(x)) if weight is None else weight, n_classes)


def test_weights_count_rows_and_repeated_rows_are_no_evidence():
    x, codes = clusters(per_class=4, spread=3.0)
    times = np.random.RandomState(1).randint(1, 4, 12)
    repeated = summarised(x.repeat(times, axis=0), codes.repeat(times))
    once = summarised(x, codes, times.astype(float))
    assert once.agreement == pytest.approx(repeated.agreement)
    assert once.signal == pytest.approx(repeated.signal)


def test_large_tables_are_thinned_and_say_the_same():
    x, codes = clusters(per_class=4000)
    assert summarised(x, codes).agreement == 1


def test_the_order_of_rows_does_not_matter():
    x, codes = clusters(per_class=20, spread=3.0)
    order = np.random.RandomState(2).permutation(60)
    assert summarised(x[order], codes[order]).agreement == summarised(x, codes).agreement
    assert summarised(x[order], codes[order]).signal == summarised(x, codes).signal


def test_a_straight_boundary_is_a_signal_where_neighbours_say_nothing():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((200, 20))
    codes = (x @ np.linspace(-1, 1, 20) > 0).astype(int)
    linear, nearest = (measure(x, codes, np.ones(200)) for measure in (linear_agreement, label_agreement))
    assert linear > nearest + 0.2
    assert summarised(x, codes, n_classes=2).signal == pytest.approx(linear, abs=0.1)  # other folds


def test_random_labels_are_no_linear_signal():
    rng = np.random.RandomState(0)
    x = rng.standard_normal((400, 3))
    assert linear_agreement(x, rng.randint(2, size=400), np.ones(400)) < 0.1


@pytest.mark.parametrize(("n", "n_classes"), [(1, 1), (2, 2), (5, 1)])
def test_too_few_labels_are_no_linear_signal(n, n_classes):
    assert linear_agreement(np.arange(n * 2.0).reshape(n, 2), np.arange(n) % n_classes, np.ones(n)) == 0


def test_summary_counts_weights_of_labelled_rows():
    x, codes = clusters()
    summary = summarised(x, np.where(np.arange(30) < 15, codes, -1), np.full(30, 2.0), 4)
    assert summary.class_weight.tolist() == [20, 10, 0, 0]
    assert summary.rows_per_label == 2
    none = summarised(x, np.full(30, -1), n_classes=2)
    assert (none.class_weight.tolist(), none.rows_per_label, none.agreement, none.signal) == ([0, 0], 0, 1, 1)
    assert summarised(x, np.full(30, -1), n_classes=1).agreement == 0


def test_class_prior():
    counts = np.array([7.0, 0.0])
    np.testing.assert_allclose(class_prior("empirical", counts), [8 / 9, 1 / 9])
    np.testing.assert_allclose(class_prior("uniform", counts), [0.5, 0.5])
    np.testing.assert_allclose(class_prior([3, 1], counts), [0.75, 0.25])
    for bad in ([1.0], [1, 0], [1, -1], [np.nan, 1]):
        with pytest.raises(ValueError, match="class_prior must hold a positive probability for each of the 2 classes"):
            class_prior(bad, counts)


def test_a_class_of_no_weight_beside_the_other_is_no_signal():
    x, y = np.arange(4.0)[:, None], np.array([0, 0, 1, 1])
    assert label_agreement(x, y, np.array([1.0, 1.0, 1e-18, 1e-18])) == 0.0
