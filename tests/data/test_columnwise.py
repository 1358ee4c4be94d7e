"""The numbers of a frame, column by column: those of an array, without a copy of the frame."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import keras_ssvae as ks
from keras_ssvae.data.columnwise import Columns, incomplete, ranges
from keras_ssvae.data.schema import Schema
from keras_ssvae.estimators.fit_data import prepare

WHOLE = np.array([[1.0, np.nan, 0.0], [2.0, 5.0, 1.0], [-3.0, 4.0, 1.0], [0.5, np.nan, 0.0]])
COLUMNS = Columns([WHOLE[:, 0], WHOLE[:, 1].astype(np.float16), WHOLE[:, 2].astype(bool)])


@pytest.mark.parametrize(
    "key",
    [
        slice(None), slice(1, 3), slice(2, 2), np.array([3, 0, 0]), np.array([True, False, True, False]),
        (slice(None), 1), (slice(None), slice(1, 3)), (slice(1, 3), slice(0, 1)),
    ],
    ids=str,
)  # fmt: skip
def test_they_are_indexed_as_an_array_is(key):
    np.testing.assert_array_equal(COLUMNS[key], WHOLE[key])
    assert COLUMNS[key].dtype == np.float64


def test_their_facts_are_those_of_the_array():
    assert COLUMNS.shape == WHOLE.shape and len(COLUMNS) == len(WHOLE)
    np.testing.assert_array_equal(np.asarray(COLUMNS), WHOLE)
    np.testing.assert_array_equal(ranges(COLUMNS), ranges(WHOLE))
    np.testing.assert_array_equal(incomplete(COLUMNS), incomplete(WHOLE))


def test_columns_of_numbers_are_the_memory_of_the_frame():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": np.array([3, 4], np.int32), "c": ["x", "y"]})
    read = Schema().fit(frame).read_columns(frame)
    assert np.shares_memory(read._columns[0], frame["a"].to_numpy())
    assert np.shares_memory(read._columns[1], frame["b"].to_numpy())
    np.testing.assert_array_equal(read[:], [[1, 3, 0], [2, 4, 1]])


@pytest.mark.parametrize("n_levels", [3, 100])
def test_levels_keep_their_positions(n_levels):
    codes = np.repeat(np.arange(n_levels), 60)
    frame = pd.DataFrame({"level": pd.Categorical.from_codes(codes, [f"l{i}" for i in range(n_levels)])})
    np.testing.assert_array_equal(Schema().fit(frame).read_columns(frame)[:, 0], codes)


def test_a_frame_is_not_doubled_by_a_fit():
    """Beside the frame there is the encoded matrix in single precision, and less than a quarter of the frame for all else."""
    n, rng = 150_000, np.random.RandomState(0)
    frame = pd.DataFrame({f"n{j}": rng.standard_normal(n) for j in range(25)})
    for j in range(5):
        frame[f"k{j}"] = pd.Categorical.from_codes(rng.randint(5, size=n).astype("i1"), list("abcde"))
    size = frame.memory_usage(index=False).sum()
    tracemalloc.start()
    try:
        data = prepare(ks.VAE(random_state=0), frame, None, None, warm=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data.rows.x.nbytes <= 0.6 * size
    assert peak - data.rows.x.nbytes < 0.25 * size
