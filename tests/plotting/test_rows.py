import numpy as np
import pandas as pd
import pytest
from displayed import Stub, legend_names

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
