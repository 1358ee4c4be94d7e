"""Displays draw the data they were given: no model is trained here."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from keras_ssvae.model_selection import label_sweep
from keras_ssvae.plotting.displays import (
    LabelSweepDisplay,
    LatentSpaceDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SamplesDisplay,
)

NAN = np.nan


class Stub:
    """An estimator whose every answer is known."""

    unlabeled = -1

    def __init__(self, classes=("cat", "dog"), as_frame=False):
        self.classes_ = np.array(classes)
        self.as_frame = as_frame
        self.history_ = pd.DataFrame(
            {
                "stage": ["pretrain", "pretrain", "semi-supervised", "together"],
                "loss": [5.0, 4.0, 3.0, 2.0],
                "reconstruction": [4.0, 3.5, NAN, 1.5],
                "label": [NAN, NAN, 0.7, 0.5],
                "val_loss": [5.5, 4.5, 3.5, 2.5],
            }
        )

    def transform(self, X):
        return X

    def reconstruct(self, X):
        return X * 0.5

    def sample(self, n_samples=1, y=None, random_state=None):
        level = 0 if y is None else 1 + list(self.classes_).index(y)
        X = np.full((n_samples, 64), float(level))
        return (pd.DataFrame(X) if self.as_frame else X), np.repeat(y, n_samples)


@pytest.fixture
def stub():
    return Stub()


def pixels(display):
    (image,) = display.ax_.images
    return np.asarray(image.get_array())


def row_names(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def legend_names(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


# What all displays promise


def draw_all(ax=None):
    stub, X = Stub(), np.random.default_rng(0).random((20, 64))
    yield LossCurveDisplay.from_estimator(stub, ax=ax)
    yield LatentSpaceDisplay.from_estimator(stub, X, ax=ax)
    yield ReconstructionDisplay.from_estimator(stub, X, ax=ax)
    yield SamplesDisplay.from_estimator(stub, ax=ax)
    yield LabelSweepDisplay(sweep_of([0.5, 0.7])).plot(ax=ax)


def test_a_display_makes_one_figure_with_one_axes():
    for display in draw_all():
        assert display.figure_.axes == [display.ax_]


def test_a_display_draws_on_the_axes_it_is_given():
    figure, ax = plt.subplots()
    for display in draw_all(ax):
        assert display.ax_ is ax and display.figure_ is figure
    assert len(plt.get_fignums()) == 1


def test_a_display_can_be_drawn_again(stub):
    display = LossCurveDisplay.from_estimator(stub)
    first = display.ax_
    assert display.plot().ax_ is not first


def test_without_matplotlib_the_error_names_the_extra(stub, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "keras_ssvae\[plots\]"'):
        LossCurveDisplay.from_estimator(stub)


# LossCurveDisplay


def test_loss_curves_are_the_history(stub):
    display = LossCurveDisplay.from_estimator(stub)
    assert set(display.lines_) == {"loss", "reconstruction", "label", "val_loss"}
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), stub.history_[name])
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
    assert legend_names(display) == list(display.lines_)


def test_validation_curves_are_dashed_in_the_colour_of_their_term(stub):
    lines = LossCurveDisplay.from_estimator(stub).lines_
    assert lines["val_loss"].get_linestyle() == "--" and lines["loss"].get_linestyle() == "-"
    assert lines["val_loss"].get_color() == lines["loss"].get_color() != lines["label"].get_color()


def test_stages_are_parted_by_lines_and_named(stub):
    display = LossCurveDisplay.from_estimator(stub)
    borders = [line.get_xdata()[0] for line in display.ax_.lines if line not in display.lines_.values()]
    assert borders == [1.5, 2.5]
    assert [text.get_text() for text in display.ax_.texts] == ["pretrain", "semi-supervised", "together"]


def test_a_single_stage_has_no_mark(stub):
    display = LossCurveDisplay(stub.history_.iloc[:2]).plot()
    assert not display.ax_.texts and len(display.ax_.lines) == len(display.lines_)


def test_terms_without_a_value_are_left_out(stub):
    assert "label" not in LossCurveDisplay(stub.history_.iloc[:2]).plot().lines_


def test_terms_select_the_curves(stub):
    assert list(LossCurveDisplay.from_estimator(stub, terms=["label"]).lines_) == ["label"]
    assert list(LossCurveDisplay.from_estimator(stub, terms=["loss"]).lines_) == ["loss", "val_loss"]


def test_unknown_terms_are_refused(stub):
    with pytest.raises(ValueError, match=r"terms=\['losss'\].*'loss', 'reconstruction', 'label'"):
        LossCurveDisplay.from_estimator(stub, terms=["losss"])


# LatentSpaceDisplay


def test_two_latent_dimensions_are_drawn_as_they_are(stub):
    Z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    display = LatentSpaceDisplay.from_estimator(stub, Z)
    np.testing.assert_array_equal(display.points_["all"].get_offsets(), Z)
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize(
    "y",
    [
        np.array(["cat", -1, "dog", None, "cat"], dtype=object),
        ["cat", pd.NA, "dog", NAN, "cat"],
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


def test_one_latent_dimension_is_drawn_on_a_line(stub):
    display = LatentSpaceDisplay.from_estimator(stub, np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(display.points_["all"].get_offsets(), [[1.0, 0.0], [2.0, 0.0]])


# ReconstructionDisplay and SamplesDisplay


def test_originals_lie_above_their_reconstructions(stub):
    X = np.random.default_rng(0).random((5, 8, 8))
    display = ReconstructionDisplay.from_estimator(stub, X, n_rows=3)
    assert row_names(display) == ["original", "reconstruction"]
    scaled, low = np.ptp(X[:3]), X[:3].min()
    drawn = pixels(display)
    assert drawn.shape == (2 * 9 - 1, 3 * 9 - 1)  # a pixel between the tiles
    for column, x in enumerate(X[:3]):
        across = slice(9 * column, 9 * column + 8)
        np.testing.assert_allclose(drawn[:8, across], (x - low) / scaled)
        np.testing.assert_allclose(drawn[9:, across], np.clip((0.5 * x - low) / scaled, 0, 1))


@pytest.mark.parametrize(
    ("shape", "image_shape", "height"),
    [((4, 64), "auto", 8), ((4, 48), (4, 12), 4), ((4, 6, 5, 1), "auto", 6), ((4, 6, 5, 3), "auto", 6)],
    ids=["square", "given", "grey", "colour"],
)
def test_rows_that_are_images(stub, shape, image_shape, height):
    X = np.random.default_rng(0).random(shape)
    display = ReconstructionDisplay.from_estimator(stub, X, image_shape=image_shape)
    drawn = pixels(display)
    assert len(drawn) == 2 * (height + 1) - 1
    assert drawn.shape[2:] == ((3,) if shape[-1] == 3 else ())


def test_an_image_without_contrast_is_black(stub):
    assert pixels(ReconstructionDisplay.from_estimator(stub, np.zeros((1, 8, 8))))[:8].max() == 0.0


@pytest.mark.parametrize("image_shape", [(3, 3), "square"])
def test_image_shapes_that_do_not_fit_are_refused(stub, image_shape):
    with pytest.raises(ValueError, match="image_shape"):
        ReconstructionDisplay.from_estimator(stub, np.zeros((2, 64)), image_shape=image_shape)


@pytest.mark.parametrize("as_frame", [False, True])
def test_rows_of_a_table_are_lines_of_standardized_values(stub, as_frame):
    X = np.array([[0.0, 10.0, 7.0], [2.0, 30.0, 7.0]])
    if as_frame:
        X = pd.DataFrame(X, columns=["a", "b", "c"])
    display = ReconstructionDisplay.from_estimator(stub, X)
    drawn = [line.get_ydata().tolist() for line in display.ax_.lines]
    assert drawn == [[-1, -1, 0], [1, 1, 0], [-1, -1.5, -3.5], [0, -0.5, -3.5]]
    assert [line.get_linestyle() for line in display.ax_.lines] == ["-", "-", "--", "--"]
    assert legend_names(display) == ["original", "reconstruction"]


def test_only_the_numeric_columns_of_a_table_are_drawn():
    X = pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]})
    assert all(len(line.get_ydata()) == 1 for line in ReconstructionDisplay(X, X).plot().ax_.lines)
    with pytest.raises(ValueError, match="numeric column"):
        ReconstructionDisplay(X[["name"]], X[["name"]]).plot()


def test_a_data_frame_is_a_table_unless_told_otherwise(stub):
    X = pd.DataFrame(np.eye(64)[:3])
    assert not ReconstructionDisplay.from_estimator(stub, X).ax_.images
    assert ReconstructionDisplay.from_estimator(stub, X, image_shape=(8, 8)).ax_.images


def test_samples_have_a_row_for_each_class(stub):
    display = SamplesDisplay.from_estimator(stub, n_per_class=3)
    assert row_names(display) == ["cat", "dog"]
    drawn = pixels(display)
    assert drawn.shape == (2 * 9 - 1, 3 * 9 - 1)
    assert drawn[:8, :8].max() == 0.0 and drawn[9:, :8].min() == 1.0


def test_an_estimator_without_classes_has_one_row_of_samples():
    display = SamplesDisplay.from_estimator(Stub(classes=()), n_per_class=3)
    assert row_names(display) == [""] and pixels(display).shape == (8, 26)


def test_samples_of_a_table_are_lines_in_the_colour_of_their_class():
    display = SamplesDisplay.from_estimator(Stub(as_frame=True), n_per_class=3)
    colors = [line.get_color() for line in display.ax_.lines]
    assert len(colors) == 6 and len(set(colors)) == 2 and len(set(colors[:3])) == 1
    assert legend_names(display) == ["cat", "dog"]


# LabelSweepDisplay


def sweep_of(scores, n_labels=(10, 100)):
    """A sweep of two splits: score - 0.1 and score + 0.1."""
    rows = [
        {"fraction": n / 1000, "n_labels": n, "split": split, "score": score + shift, "fit_seconds": 1.0}
        for n, score in zip(n_labels, scores)
        for split, shift in enumerate([-0.1, 0.1])
    ]
    return pd.DataFrame(rows)


def test_sweep_is_drawn_as_mean_within_one_standard_deviation():
    display = LabelSweepDisplay(sweep_of([0.5, 0.7])).plot()
    (line,), (band,) = display.lines_, display.bands_
    np.testing.assert_array_equal(line.get_xdata(), [10, 100])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.7])
    deviation = np.std([-0.1, 0.1], ddof=1)
    (path,) = band.get_paths()
    np.testing.assert_allclose(path.get_extents().y0, 0.5 - deviation)
    np.testing.assert_allclose(path.get_extents().y1, 0.7 + deviation)
    assert display.ax_.get_xscale() == "symlog" and display.ax_.get_legend() is None


def test_sweep_of_a_single_split_has_no_spread():
    display = LabelSweepDisplay(sweep_of([0.5, 0.7]).query("split == 0")).plot()
    np.testing.assert_allclose(display.lines_[0].get_ydata(), [0.4, 0.6])
    assert np.isfinite(display.bands_[0].get_paths()[0].vertices).all()


def test_sweep_has_a_place_for_no_labels():
    display = LabelSweepDisplay(sweep_of([0.1, 0.5, 0.7], n_labels=(0, 10, 100))).plot()
    assert display.ax_.xaxis.get_transform().linthresh == 10
    low, high = display.ax_.get_xlim()
    assert low < 0 and high > 100


def test_splits_of_one_fraction_are_one_point_though_they_differ_by_a_label():
    sweep = sweep_of([0.5, 0.7])
    sweep.loc[0, "n_labels"] += 1
    assert LabelSweepDisplay(sweep).plot().lines_[0].get_xdata().tolist() == [10.5, 100.0]


def test_numbers_of_labels_are_not_fractions_of_them():
    sweep = sweep_of([0.5, 0.6, 0.7], n_labels=(1, 50, 100))
    sweep["fraction"] = pd.Series([1, 1, 0.5, 0.5, 1.0, 1.0], dtype=object)
    line = LabelSweepDisplay(sweep).plot().lines_[0]
    assert line.get_xdata().tolist() == [1, 50, 100]
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.6, 0.7])


def test_fits_without_a_score_are_not_drawn():
    sweep = sweep_of([0.1, 0.5], n_labels=(0, 10))
    sweep.loc[sweep["n_labels"] == 0, ["score", "fit_seconds"]] = NAN
    assert LabelSweepDisplay(sweep).plot().lines_[0].get_xdata().tolist() == [10]


def test_sweeps_are_compared_by_name():
    others = {"supervised": sweep_of([0.4, 0.6])}
    display = LabelSweepDisplay(sweep_of([0.5, 0.7]), name="SemiSupervisedVAE", others=others).plot()
    assert legend_names(display) == ["SemiSupervisedVAE", "supervised"]
    np.testing.assert_allclose(display.lines_[1].get_ydata(), [0.4, 0.6])
    assert display.lines_[0].get_color() != display.lines_[1].get_color()


def test_sweep_is_run_with_the_arguments_given():
    X, y = load_iris(return_X_y=True)
    options = {"fractions": [3, 0.5, 1.0], "cv": 3, "scoring": "balanced_accuracy", "random_state": 0}
    others = {"other": sweep_of([0.1, 0.2])}
    display = LabelSweepDisplay.from_estimator(GaussianNB(), X, y, others=others, **options)
    expected = label_sweep(GaussianNB(), X, y, **options)
    pd.testing.assert_frame_equal(display.sweep.drop(columns="fit_seconds"), expected.drop(columns="fit_seconds"))
    assert legend_names(display) == ["GaussianNB", "other"]
