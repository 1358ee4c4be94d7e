import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from displayed import Stub, sweep_of

from keras_ssvae.plotting.anomalies import AnomalyScoreDisplay
from keras_ssvae.plotting.calibration import CalibrationDisplay
from keras_ssvae.plotting.curves import LabelSweepDisplay, LossCurveDisplay
from keras_ssvae.plotting.latent_space import LatentSpaceDisplay
from keras_ssvae.plotting.rows import ReconstructionDisplay, SamplesDisplay


def draw_all(ax=None):
    stub, X = Stub(), np.random.default_rng(0).random((20, 64))
    yield LossCurveDisplay.from_estimator(stub, ax=ax)
    yield LatentSpaceDisplay.from_estimator(stub, X, ax=ax)
    yield ReconstructionDisplay.from_estimator(stub, X, ax=ax)
    yield SamplesDisplay.from_estimator(stub, ax=ax)
    yield LabelSweepDisplay(sweep_of([0.5, 0.7])).plot(ax=ax)
    yield CalibrationDisplay([0.5, 0.9], [False, True]).plot(ax=ax)
    yield AnomalyScoreDisplay([0.0, 1.0, 5.0], [-1, 0, 1], threshold=2.0).plot(ax=ax)


def test_a_display_makes_one_figure_and_its_panels_stand_in_its_axes():
    for display in draw_all():
        panels = [panel for panel in getattr(display, "axes_", []) if panel is not display.ax_]
        assert display.figure_.axes == [display.ax_, *panels]
        assert display.ax_.axison == (not panels)


def test_no_legend_lies_over_what_is_drawn():
    for display in draw_all():
        display.figure_.canvas.draw()
        for ax in display.figure_.axes:
            if ax.get_legend() is not None:
                assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


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
