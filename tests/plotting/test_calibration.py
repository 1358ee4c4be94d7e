from types import SimpleNamespace

import numpy as np
import pytest

from keras_ssvae.plotting.calibration import CalibrationDisplay


def test_groups_hold_equally_many_rows_and_the_error_is_their_mean_distance():
    confidence = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    display = CalibrationDisplay(confidence, [0, 1, 1, 1, 1, 1], n_bins=3).plot()
    np.testing.assert_allclose(display.line_.get_xydata(), [[0.55, 0.5], [0.75, 1.0], [0.95, 1.0]])
    assert display.expected_calibration_error_ == pytest.approx((0.05 + 0.25 + 0.05) / 3)
    assert "0.117, 6 rows" in display.ax_.get_title()


def test_bands_are_narrower_with_more_rows():
    def width(n):
        band = CalibrationDisplay(np.full(n, 0.8), np.arange(n) % 5 > 0, n_bins=1).plot().band_
        return np.ptp(band.get_paths()[0].vertices[:, 1])

    assert width(10) > 2 * width(100) > 0


def test_only_rows_with_a_label_are_compared():
    model = SimpleNamespace(
        unlabeled=-1, classes_=np.array([3, 7]), predict_proba=lambda X: np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    )
    display = CalibrationDisplay.from_estimator(model, np.zeros((3, 1)), [3, -1, 3])
    assert display.confidence.tolist() == [0.9, 0.8]
    assert display.correct == [True, False]
    with pytest.raises(ValueError, match="y must have labels"):
        CalibrationDisplay.from_estimator(model, np.zeros((3, 1)), [-1, -1, -1])
