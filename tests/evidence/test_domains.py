"""Adapters: how far domains lie apart, and labels of one that serve another."""

import numpy as np
import pytest

from keras_ssvae.evidence.domains import adapted, aligned, distances, trust


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
    log_p = adapted(flat, x, known, domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[200:].argmax(axis=1) == y[200:]) > 0.9
    np.testing.assert_array_equal(log_p[:200], flat[:200])  # of labelled rows nothing new is said
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1)


def test_without_trust_nothing_changes(two_domains):
    x, y, domain = two_domains
    opinion = np.log(np.random.RandomState(0).dirichlet(np.ones(3), 400))
    for counts in (np.zeros(2), np.array([1.0, 0.0])):
        np.testing.assert_array_equal(adapted(opinion, x, np.where(domain == 0, y, -1), domain, counts), opinion)


def test_half_a_trust_is_the_geometric_mean(two_domains):
    x, y, domain = two_domains
    known = np.where(domain == 0, y, -1)
    opinion = np.log(np.random.RandomState(0).dirichlet(np.ones(3), 400))
    whole, half = (adapted(opinion, x, known, domain, np.array([0, share])) for share in (1.0, 0.5))
    mean = np.exp(0.5 * opinion + 0.5 * whole)
    np.testing.assert_allclose(np.exp(half[200:]), (mean / mean.sum(axis=1, keepdims=True))[200:])


def test_a_class_without_a_label_is_left_the_rest(two_domains):
    x, y, domain = two_domains
    known = np.where((domain == 0) & (y < 2), y, -1)
    log_p = adapted(np.full((400, 3), np.log(1 / 3)), x, known, domain, np.array([0.0, 1.0]))
    np.testing.assert_allclose(np.exp(log_p[200:, 2]), 0.1 / 3)


def test_a_negative_is_turned_over():
    rng = np.random.RandomState(0)
    y, domain = rng.randint(3, size=600), np.repeat([0, 1], 300)
    x = rng.exponential(size=(600, 12)) + 2 * np.abs(rng.normal(size=(3, 12)))[y]
    x[300:] = 5 - x[300:]
    log_p = adapted(np.full((600, 3), np.log(1 / 3)), x, np.where(domain == 0, y, -1), domain, np.array([0.0, 1.0]))
    assert np.mean(log_p[300:].argmax(axis=1) == y[300:]) > 0.9
