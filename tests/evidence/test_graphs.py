import numpy as np
import pytest
from known import assert_left_out_label_is_not_read, assert_probabilities, blobs, known_of

from keras_ssvae.evidence.graphs import NeighborGraph, propagation

KINDS = pytest.mark.parametrize(("k", "alpha"), [(3, 0.99), (5, 0.9)])


def chains(n=60):
    """Two half circles that reach into each other, as (2 n, 2) rows, and which each is."""
    angle = np.tile(np.linspace(0, np.pi, n), 2)
    y = np.repeat([0, 1], n)
    x = np.column_stack([np.cos(angle), np.sin(angle)])
    x[n:] = [1.0, 0.4] - x[n:]
    return x, y


def asked(known, rows, k=3, alpha=0.99):
    return propagation(known, rows, NeighborGraph(known.x, k), alpha, known.prior)


def test_one_label_labels_its_whole_chain():
    x, y = chains()
    partial = np.full(120, -1)
    partial[[0, 119]] = y[[0, 119]]
    said, _ = asked(known_of(x, partial), x)
    np.testing.assert_array_equal(said.argmax(axis=1), y)


@KINDS
def test_a_label_that_is_left_out_is_not_read(k, alpha):
    x, _, y = blobs(distance=0.7)
    assert_left_out_label_is_not_read(lambda known: asked(known, x, k, alpha), known_of(x, y))


@KINDS
def test_left_out_labels_of_clusters_are_found(k, alpha):
    x, classes, y = blobs(distance=4.0)
    said, left_out = asked(known_of(x, y), x, k, alpha)
    assert_probabilities(said, left_out)
    assert (said.argmax(axis=1) == classes).mean() > 0.9
    assert (left_out.argmax(axis=1) == classes[:30]).mean() > 0.8


def test_labels_come_to_rest():
    """As the closed form says: (1 - alpha) (I - alpha S)^-1 marks."""
    x = blobs()[0]
    graph = NeighborGraph(x, 5)
    marks = np.eye(90)[:, :4]
    edges = graph._edges.toarray()
    np.testing.assert_allclose(edges, edges.T)
    np.testing.assert_array_equal(edges.diagonal(), 0)
    assert ((edges > 0).sum(axis=1) >= 5).all()
    expected = 0.1 * np.linalg.solve(np.eye(90) - 0.9 * edges, marks)
    np.testing.assert_allclose(graph.spread(marks, 0.9), expected, atol=0.02)


def test_near_rows_have_a_greater_weight():
    edges = NeighborGraph(np.array([[0.0], [1.0], [3.0], [7.0]]), 2)._edges.toarray()
    assert edges[0, 1] > edges[0, 2] > edges[0, 3]


def test_a_row_of_the_graph_is_told_about_its_own_value_and_a_far_one_something():
    x = np.linspace(0, 1, 50)[:, None] ** 2
    values = np.column_stack([x[:, 0], 1 - x[:, 0]])
    graph = NeighborGraph(x, 3)
    np.testing.assert_allclose(graph.extended(values, x), values, atol=0.03)
    between = (x[1:] + x[:-1]) / 2
    np.testing.assert_allclose(graph.extended(values, between)[:, 0], between[:, 0], atol=0.03)
    assert_probabilities(graph.extended(values, np.array([[1e6], [-1e6]])))


def test_other_rows_follow_those_of_the_graph():
    x, classes, y = blobs(distance=4.0)
    known = known_of(x[:60], y[:60])
    said, _ = asked(known, x)
    assert said.shape == (90, 3)
    np.testing.assert_array_equal(said[:60], asked(known, x[:60])[0])
    assert (said[60:].argmax(axis=1) == classes[60:]).mean() > 0.9


def test_classes_have_their_shares_of_the_labels():
    """Rows of one cluster, of which most labels are of the first class, wherever they are."""
    x = np.random.RandomState(0).standard_normal((200, 2))
    y = np.full(200, -1)
    y[:20] = np.arange(20) % 10 == 0
    weight = np.random.RandomState(1).uniform(1, 3, 200)
    known = known_of(x, y, weight)
    mean = np.average(asked(known, x)[0], axis=0, weights=weight)
    np.testing.assert_allclose(mean, known.prior, atol=0.05)


def test_rows_that_no_label_reaches_are_told_the_shares():
    x = np.r_[np.linspace(0, 1, 20), np.linspace(100, 101, 20)][:, None]
    known = known_of(x, [0, 0, 1] + 37 * [-1])
    said, _ = asked(known, x)
    np.testing.assert_allclose(said[20:], np.tile([3 / 5, 2 / 5], (20, 1)))
    assert np.abs(said[:20] - [3 / 5, 2 / 5]).max() > 0.01


@KINDS
def test_near_copies_of_distance_zero(k, alpha):
    x = np.zeros((40, 3))
    x[30:] = np.eye(3)[np.arange(10) % 3]
    y = np.where(np.arange(40) % 4 == 0, np.arange(40) // 20, -1)
    assert_probabilities(*asked(known_of(x, y), np.r_[x, x, x + 1], k, alpha))


@KINDS
@pytest.mark.parametrize("n", [2, 3, 4])
def test_fewer_rows_than_neighbours(n, k, alpha):
    x = np.arange(n)[:, None] ** 2.0
    y = np.where(np.arange(n) < 2, np.arange(n), -1)
    assert_probabilities(*asked(known_of(x, y), np.r_[x, x + 0.5], k, alpha))
