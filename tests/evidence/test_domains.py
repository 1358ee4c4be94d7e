"""Adapters: how far domains lie apart, and labels of one that serve another."""

import numpy as np
import pytest

from keras_ssvae.evidence import domains
from keras_ssvae.evidence.domains import adapted, agreement, aligned, distances, trust, worth


@pytest.fixture(scope="module")
def two_domains():
    """Three classes in eight columns, which the second domain shifts, scales and turns a little; labels in the first alone."""
    rng = np.random.RandomState(0)
    y, domain = rng.randint(3, size=400), np.repeat([0, 1], 200)
    x = 3 * rng.normal(size=(3, 8))[y] + rng.normal(size=(400, 8))
    x[200:] = x[200:] * np.exp(rng.normal(size=8)) + 4 * rng.normal(size=8)
    return x, y, domain


def test_aligned_columns_have_no_mean_and_one_spread_in_every_domain(two_domains):
    x, _, domain = two_domains
    x = np.column_stack([x, np.full(len(x), 7.0)])
    z = np.sinh(aligned(x, domain))
    for k in (0, 1):
        np.testing.assert_allclose(z[domain == k].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(z[domain == k].std(axis=0), [1.0] * 8 + [0.0], atol=1e-5)


def test_distance_is_two_where_every_row_tells_and_none_where_domains_are_the_same(two_domains):
    x, _, domain = two_domains
    apart, error = distances(x, domain, 2)
    assert apart[0, 1] == apart[1, 0] > 1.9
    assert apart[0, 0] == apart[1, 1] == 0
    assert error[0, 1] == pytest.approx(2 * np.sqrt(0.25 / 200 + 0.25 / 200))
    same, error = distances(np.random.RandomState(1).normal(size=(400, 8)), domain, 2)
    assert same[0, 1] < 3 * error[0, 1]
    assert (trust(same, error, np.array([200, 0])) == 0).all()


def test_distance_of_a_domain_of_one_row_is_not_measured(two_domains):
    x, _, _ = two_domains
    apart, error = distances(x, np.repeat([0, 1], [399, 1]), 2)
    assert apart[0, 1] == 0
    assert error[0, 1] > 1


def test_trust_grows_with_the_share_of_labels_from_far_domains():
    apart, error = np.array([[0, 2, 0.1], [2, 0, 2], [0.1, 2, 0]]), np.zeros((3, 3))
    np.testing.assert_allclose(trust(apart, error, np.array([30, 0, 0])), [0, 1, 0])
    np.testing.assert_allclose(trust(apart, error, np.array([30, 10, 0])), [0.25, 0.75, 0.25])
    np.testing.assert_allclose(trust(apart, error, np.zeros(3)), 0)


def test_labels_of_a_domain_serve_another(two_domains):
    x, y, domain = two_domains
    known = np.where(domain == 0, y, -1)
    flat = np.full((400, 3), np.log(1 / 3))
    log_p = adapted(flat, np.exp(flat), x, known, domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[200:].argmax(axis=1) == y[200:]) > 0.9
    np.testing.assert_array_equal(log_p[:200], flat[:200])  # of labelled rows nothing new is said
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1)


def test_without_trust_nothing_changes(two_domains):
    x, y, domain = two_domains
    opinion = np.log(np.random.RandomState(0).dirichlet(np.ones(3), 400))
    for counts in (np.zeros(2), np.array([1.0, 0.0])):
        np.testing.assert_array_equal(adapted(opinion, opinion, x, np.where(domain == 0, y, -1), domain, counts), opinion)


def test_half_a_trust_is_the_geometric_mean(two_domains):
    x, y, domain = two_domains
    known = np.where(domain == 0, y, -1)
    opinion = np.log(np.random.RandomState(0).dirichlet(np.ones(3), 400))
    whole, half = (adapted(opinion, np.exp(opinion), x, known, domain, np.array([0, share])) for share in (1.0, 0.5))
    mean = np.exp(0.5 * opinion + 0.5 * whole)
    np.testing.assert_allclose(np.exp(half[200:]), (mean / mean.sum(axis=1, keepdims=True))[200:])


def test_a_class_without_a_label_is_left_the_rest(two_domains):
    x, y, domain = two_domains
    known = np.where((domain == 0) & (y < 2), y, -1)
    even = np.full((400, 3), 1 / 3)
    log_p = adapted(np.log(even), even, x, known, domain, np.array([0.0, 1.0]))
    np.testing.assert_allclose(np.exp(log_p[200:, 2]), 0.1 / 3)


def test_a_negative_is_turned_over():
    rng = np.random.RandomState(0)
    y, domain = rng.randint(3, size=600), np.repeat([0, 1], 300)
    x = rng.exponential(size=(600, 12)) + 2 * np.abs(rng.normal(size=(3, 12)))[y]
    x[300:] = 5 - x[300:]
    even = np.full((600, 3), 1 / 3)
    log_p = adapted(np.log(even), even, x, np.where(domain == 0, y, -1), domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[300:].argmax(axis=1) == y[300:]) > 0.9


def test_agreement_is_the_kappa_of_fleiss():
    """His example (1971) as it is told anew everywhere: ten subjects, 14 raters, five categories, kappa 0.210."""
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    said = np.stack([np.repeat(np.arange(5), row) for row in counts], axis=1)
    assert agreement(np.eye(5)[said]) == pytest.approx(0.210, abs=5e-4)
    assert agreement(np.eye(5)[np.zeros((3, 4), int)]) == 0  # all say one class of all rows


@pytest.mark.parametrize(
    ("plain", "adapter", "kappa", "expected"),
    [(0.2, 0.1, 0.9, 1), (0.1, 0.1, 0.3, 1), (0.07, 0.1, 0.9, 0), (0.1, 0.1, 0.1, 0), (0.0825, 0.1, 0.2, 0.25)],
)
def test_adapters_are_worth_what_can_be_better_and_is_not_chance(plain, adapter, kappa, expected):
    assert worth(plain, adapter, kappa) == pytest.approx(expected)


@pytest.fixture(scope="module")
def crossed():
    """Two classes by the signs of two columns, which no linear map tells, and a third column that moves with the domain."""
    rng = np.random.RandomState(0)
    x, domain = rng.normal(size=(600, 3)), np.repeat([0, 1], 300)
    x[:, 2] += 5 * domain
    return x, (x[:, 0] * x[:, 1] > 0).astype(int), domain


def test_adapters_that_are_worse_at_home_leave_sure_experts_alone(crossed):
    x, y, domain = crossed
    known, told = np.where(domain == 0, y, -1), np.where(np.eye(2, dtype=bool)[y], 0.99, 0.01)
    args = x, known, domain, np.array([0.0, 1.0])
    left_out = np.where(known[:, None] >= 0, told, np.nan)
    np.testing.assert_allclose(adapted(np.log(told), left_out, *args), np.log(told))
    unsure = np.where(np.eye(2, dtype=bool)[y], 0.52, 0.48)  # as right, and nobody can know
    moved = adapted(np.log(unsure), left_out, *args)[300:]
    assert np.abs(np.exp(moved) - unsure[300:]).max() > 0.2


def test_adapters_that_are_as_good_at_home_count_against_sure_experts_that_are_wrong(two_domains):
    x, y, domain = two_domains
    known = np.where(domain == 0, y, -1)
    told = np.where(np.eye(3, dtype=bool)[y], 0.96, 0.02)
    wrong = np.where(domain[:, None] == 0, told, np.roll(told, 1, axis=1))
    log_p = adapted(np.log(wrong), np.where(known[:, None] >= 0, told, np.nan), x, known, domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[200:].argmax(axis=1) == y[200:]) > 0.9


def test_adapters_that_agree_by_chance_alone_are_left_out(two_domains, monkeypatch):
    monkeypatch.setattr(domains, "agreement", lambda opinions: 0.0)
    x, y, domain = two_domains
    even = np.full((400, 3), 1 / 3)
    log_p = adapted(np.log(even), even, x, np.where(domain == 0, y, -1), domain, np.array([0.0, 1.0]))
    np.testing.assert_allclose(np.exp(log_p), even)


def test_adapters_are_judged_by_labels_that_they_were_not_shown(crossed):
    x, _, domain = crossed
    errors = []
    for seed in range(2, 5):
        y = np.where(domain == 0, np.random.RandomState(seed).randint(2, size=600), -1)  # nothing to learn
        errors.append(domains._left_out_errors(np.eye(2)[y], y, x, y, domain, 2))
    plain, adapter = np.mean(errors, axis=0)
    assert plain < 0.02
    assert adapter > 0.38  # one half, less a standard error; those who are shown the labels have 0.34


def test_one_label_a_class_is_not_hidden(two_domains):
    x, y, domain = two_domains
    known = np.full(400, -1)
    for k in range(3):
        known[np.flatnonzero(y == k)[0]] = k
    even = np.full((400, 3), 1 / 3)
    log_p = adapted(np.log(even), even, x, known, domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[200:].argmax(axis=1) == y[200:]) > 0.9
