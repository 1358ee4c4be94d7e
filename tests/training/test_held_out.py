"""Rows that are held out: in proportion, none of a class that has no other, and each judged once."""

import math

import numpy as np
import pytest

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.training.held_out import held_out_chunks, split_validation


def indices_of(**counts):
    """Codes by class; `unknown` counts the rows without a label."""
    codes = [np.full(n, -1 if name == "unknown" else int(name[1:])) for name, n in counts.items()]
    return np.random.RandomState(0).permutation(np.concatenate(codes)).astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_labelled_and_unlabelled_rows_are_held_out_in_proportion(fraction, seed):
    codes = indices_of(unknown=200, c0=40, c1=100, c2=20)
    train, held = split_validation(codes, fraction, np.random.RandomState(seed))
    assert sorted([*train, *held]) == list(range(360))
    for code, count in ((-1, 200), (0, 40), (1, 100), (2, 20)):
        assert abs((codes[held] == code).sum() - fraction * count) <= 1


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_no_class_loses_its_last_label(fraction):
    codes = indices_of(unknown=50, c0=1, c1=2, c2=3, c3=30)
    for seed in range(10):
        train, _ = split_validation(codes, fraction, np.random.RandomState(seed))
        assert set(codes[train]) == {-1, 0, 1, 2, 3}


def test_many_small_classes_are_held_out_in_proportion_too():
    codes = np.repeat(np.arange(20), 4)
    _, held = split_validation(codes, 0.1, np.random.RandomState(0))
    assert 4 <= len(held) <= 12


def test_the_split_follows_its_generator():
    codes = indices_of(unknown=50, c0=50)
    splits = [split_validation(codes, 0.2, np.random.RandomState(seed))[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_every_row_is_as_likely_to_be_held_out():
    codes, times = indices_of(unknown=20, c0=20), 500
    rng = np.random.RandomState(0)
    held = np.bincount(np.concatenate([split_validation(codes, 0.25, rng)[1] for _ in range(times)]), minlength=40)
    assert (np.abs(held / times - 0.25) < 5 * math.sqrt(0.25 * 0.75 / times)).all()


@pytest.mark.parametrize("codes", [[-1], [0], [0, 1, 2], [-1, -1, 0]])
def test_no_row_to_hold_out_is_an_error(codes):
    message = f"early_stopping=True needs rows to hold out: validation_fraction=0.1 of {len(codes)} rows leaves none"
    with pytest.raises(ValueError, match=message):
        split_validation(np.array(codes), 0.1, np.random.RandomState(0))


@pytest.mark.parametrize("n, batch_size, size, steps", [(10, 100, 10, 1), (100, 10, 40, 3), (80, 10, 40, 2), (1, 2, 1, 1)])
@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("gaps", [True, False])
def test_held_out_rows_are_judged_once_each_with_their_weights(n, batch_size, size, steps, with_labels, gaps):
    x = np.arange(2.0 * n, dtype=np.float32).reshape(n, 2)
    codes, weight = (np.arange(n, dtype=np.int32) % 3) - 1, np.linspace(1, 2, n)
    observed = (x % 3 > 0).astype(np.float32) if gaps else None
    data = held_out_chunks(PreparedRows(x, observed, y=codes), weight, with_labels, batch_size)
    chunks = list(data.as_numpy_iterator())
    assert len(chunks) == steps
    assert {chunk["x"].shape for chunk in chunks} == {(1, size, 2)}
    batch = {name: np.concatenate([chunk[name][0] for chunk in chunks]) for name in chunks[0]}
    assert set(batch) == {"x", "y", "weight", *(["observed"] if gaps else [])}
    np.testing.assert_array_equal(batch["x"][:n], x)
    np.testing.assert_array_equal(batch["y"][:n], codes if with_labels else -1)
    np.testing.assert_allclose(batch["weight"][:n], weight, rtol=1e-6)
    np.testing.assert_array_equal(batch["weight"][n:], 0)
    if gaps:
        np.testing.assert_array_equal(batch["observed"][:n], observed)
