from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from displayed import legend_names

from keras_ssvae.plotting.latent_space import LatentSpaceDisplay


def test_two_latent_dimensions_are_drawn_as_they_are(stub):
    Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    display = LatentSpaceDisplay.from_estimator(stub, Z)
    np.testing.assert_array_equal(display.points_["all"].get_offsets(), Z)
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize(
    "y",
    [
        np.array(["cat", -1, "dog", None, "cat"], dtype=object),
        ["cat", pd.NA, "dog", np.nan, "cat"],
        pd.Series(["cat", None, "dog", None, "cat"], dtype="category"),
    ],
    ids=["sentinel", "missing", "categorical"],
)
def test_each_class_has_its_points_and_unlabeled_rows_lie_below_in_grey(stub, y):
    Z = np.arange(10.0).reshape(5, 2)
    display = LatentSpaceDisplay.from_estimator(stub, Z, y)
    for name, rows in {"unlabeled": [1, 3], "cat": [0, 4], "dog": [2]}.items():
        np.testing.assert_array_equal(display.points_[name].get_offsets(), Z[rows])
    assert legend_names(display) == ["unlabeled", "cat", "dog"]
    points = display.points_
    assert points["unlabeled"].get_zorder() < min(points["cat"].get_zorder(), points["dog"].get_zorder())
    red, green, blue, _ = points["unlabeled"].get_facecolor()[0]
    assert red == green == blue


def test_many_classes_have_as_many_colours(stub):
    y = np.arange(30)
    display = LatentSpaceDisplay.from_estimator(stub, np.zeros((30, 2)), y)
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_.values()}) == 30


def test_more_latent_dimensions_are_projected_on_those_of_largest_variance(stub):
    z = np.random.default_rng(0).standard_normal((50, 2)) * [3.0, 1.0]
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    display = LatentSpaceDisplay.from_estimator(stub, np.pad(z, [(0, 0), (0, 3)]) @ rotation)
    drawn = np.asarray(display.points_["all"].get_offsets())
    eigenvalues = np.linalg.eigvalsh(np.cov(z.T))
    np.testing.assert_allclose(np.cov(drawn.T), np.diag(eigenvalues[::-1]), atol=1e-10)


def test_what_is_said_of_the_class_is_left_out(stub):
    Z = np.array([[0.0, 1.0, -9.0, 9.0], [2.0, 3.0, 9.0, -9.0]])
    stub.network_ = SimpleNamespace(latent_dim=2)
    np.testing.assert_array_equal(LatentSpaceDisplay.from_estimator(stub, Z).points_["all"].get_offsets(), Z[:, :2])


def test_one_latent_dimension_is_drawn_on_a_line(stub):
    display = LatentSpaceDisplay.from_estimator(stub, np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(display.points_["all"].get_offsets(), [[1.0, 0.0], [2.0, 0.0]])


def test_numbers_have_a_colour_bar():
    y = np.array([0.5, np.nan, 2.0, -1.0])
    display = LatentSpaceDisplay(np.zeros((4, 2)), y, unlabeled=np.isnan(y)).plot()
    assert list(display.points_) == ["unlabeled", "known"]
    np.testing.assert_array_equal(display.points_["known"].get_array(), [0.5, 2.0, -1.0])
    assert [ax.get_ylabel() for ax in display.figure_.axes] == ["z1", "y"]
    whole = LatentSpaceDisplay(np.zeros((4, 2)), [0.0, 1.0, 1.0, 2.0]).plot()
    assert list(whole.points_) == ["0.0", "1.0", "2.0"]
