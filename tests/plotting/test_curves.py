import numpy as np
import pandas as pd
import pytest
from displayed import legend_names, sweep_of
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from keras_ssvae.model_selection import label_sweep
from keras_ssvae.plotting.curves import LabelSweepDisplay, LossCurveDisplay


def test_loss_curves_are_the_history_in_a_panel_a_term(stub):
    display = LossCurveDisplay.from_estimator(stub)
    assert set(display.lines_) == {"loss", "reconstruction", "label", "val_loss"}
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), stub.history_[name])
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        assert line.axes.get_title() == name.removeprefix("val_")
    assert [panel.get_title() for panel in display.axes_] == ["loss", "reconstruction", "label"]
    assert {panel.get_ylabel() for panel in display.axes_} == {"nats a row"}


def test_held_out_rows_are_dashed_in_the_colour_of_their_term(stub):
    display = LossCurveDisplay.from_estimator(stub)
    lines = display.lines_
    assert lines["val_loss"].get_linestyle() == "--" and lines["loss"].get_linestyle() == "-"
    assert lines["val_loss"].get_color() == lines["loss"].get_color() != lines["label"].get_color()
    assert [panel.get_legend() is not None for panel in display.axes_] == [False, False, True]


def test_stages_are_parted_by_lines_and_named_once(stub):
    display = LossCurveDisplay.from_estimator(stub)
    for panel in display.axes_:
        borders = [line.get_xdata()[0] for line in panel.lines if line not in display.lines_.values()]
        assert borders == [1.5, 2.5]
    names = [[text.get_text() for text in panel.texts] for panel in display.axes_]
    assert names == [["pretrain", "semi-supervised", "together"], [], []]


def test_a_single_stage_has_no_mark(stub):
    display = LossCurveDisplay(stub.history_.iloc[:2]).plot()
    assert not any(panel.texts for panel in display.axes_)
    assert sum(len(panel.lines) for panel in display.axes_) == len(display.lines_)


def test_terms_without_a_value_are_left_out(stub):
    assert "label" not in LossCurveDisplay(stub.history_.iloc[:2]).plot().lines_


def test_terms_select_the_curves(stub):
    assert list(LossCurveDisplay.from_estimator(stub, terms=["label"]).lines_) == ["label"]
    assert list(LossCurveDisplay.from_estimator(stub, terms=["loss"]).lines_) == ["loss", "val_loss"]


def test_unknown_terms_are_refused(stub):
    with pytest.raises(ValueError, match=r"terms=\['losss'\].*'loss', 'reconstruction', 'label'"):
        LossCurveDisplay.from_estimator(stub, terms=["losss"])


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
    sweep.loc[sweep["n_labels"] == 0, ["score", "fit_seconds"]] = np.nan
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
