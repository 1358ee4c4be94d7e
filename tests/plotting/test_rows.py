import numpy as np
import pandas as pd
import pytest
from displayed import Stub

from keras_ssvae.plotting.rows import ReconstructionDisplay, SamplesDisplay


def pixels(display):
    (image,) = display.ax_.images
    return np.asarray(image.get_array())


def row_names(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


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
def test_numbers_of_a_table_are_points_beside_the_diagonal(stub, as_frame):
    X = np.column_stack([np.arange(20.0), np.arange(20.0) ** 2])
    if as_frame:
        X = pd.DataFrame(X, columns=["a", "b"])
    display = ReconstructionDisplay.from_estimator(stub, X)
    assert [panel.get_title() for panel in display.axes_] == (["a", "b"] if as_frame else ["0", "1"])
    for k, panel in enumerate(display.axes_):
        x = np.asarray(X)[:, k]
        np.testing.assert_array_equal(panel.collections[0].get_offsets(), np.column_stack([x, 0.5 * x]))
        assert panel.lines[0].get_xydata().tolist() == [[x.min(), x.min()], [x.max(), x.max()]]


def heights(panel):
    return [[bar.get_height() for bar in bars] for bars in panel.containers]


def test_categories_of_a_table_are_bars_of_their_shares():
    X = pd.DataFrame({"name": ["x", "x", "y", None], "sure": [True, True, True, False]})
    again = pd.DataFrame({"name": ["y", "x", "y", "y"], "sure": [True, False, False, False]})
    first, second = ReconstructionDisplay(X, again).plot().axes_
    assert [label.get_text() for label in first.get_xticklabels()] == ["y", "x"]
    assert heights(first) == [[0.25, 0.5], [0.75, 0.25]]
    assert heights(second) == [[0.25, 0.75], [0.75, 0.25]]


def test_levels_beyond_the_room_are_one_bar():
    X = pd.DataFrame({"name": list("aaabbbccddeeffgghhij")})
    (panel,) = SamplesDisplay({None: X}).plot().axes_
    assert panel.get_xticklabels()[-1].get_text() == "all others"
    assert heights(panel)[0][-1] == pytest.approx(2 / 20)
    assert sum(heights(panel)[0]) == pytest.approx(1)


def test_more_columns_than_there_is_room_for_are_counted():
    X = np.random.default_rng(0).random((30, 20))
    display = SamplesDisplay({None: X}, image_shape=None).plot()
    assert len(display.axes_) == 16
    assert display.ax_.get_title() == "the first 16 of 20 columns"


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
    assert row_names(display) == ["made up"] and pixels(display).shape == (8, 26)


@pytest.mark.parametrize("kind", ["numbers", "dates", "durations"])
def test_samples_of_a_table_are_histograms_in_front_of_the_given_rows(kind):
    rng = np.random.default_rng(0)
    values = {name: pd.Series(rng.integers(0, 1000, n)) for name, n in {"cat": 50, "dog": 60, "given": 70}.items()}
    if kind != "numbers":
        values = {name: pd.to_timedelta(v, unit="h") + (pd.Timestamp("2020") if kind == "dates" else pd.Timedelta(0))
                  for name, v in values.items()}  # fmt: skip
    tables = {name: pd.DataFrame({"a": v}) for name, v in values.items()}
    display = SamplesDisplay({name: tables[name] for name in ("cat", "dog")}, given=tables["given"]).plot()
    (panel,) = display.axes_
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["given rows", "cat", "dog"]
    filled = [patch.get_fill() for patch in panel.patches]
    assert filled == [True, False, False]
    edges = np.unique(panel.patches[0].get_xy()[:, 0])
    x = panel.patches[1].get_xy()
    shares = [y for (_, y) in x[1::2]]
    assert sum(shares[: len(edges) - 1]) == pytest.approx(1)
    assert len({patch.get_edgecolor() for patch in panel.patches}) == 3


def test_a_picture_of_a_table_has_rows_enough_for_a_histogram():
    display = SamplesDisplay.from_estimator(Stub(as_frame=True))
    assert {len(X) for X in display.samples.values()} == {500}
    assert {len(X) for X in SamplesDisplay.from_estimator(Stub()).samples.values()} == {8}
