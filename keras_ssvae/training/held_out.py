"""Rows held out of training, to judge it by."""

import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import untuned

__all__ = ["split_validation"]


def split_validation(y_index: np.ndarray, fraction: float, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and validation rows; labelled and unlabelled rows are split separately.

    No class loses its last labelled training row. A ValueError is raised if no row is left to hold out.

    Parameters
    ----------
    y_index : (n,) int array
        Class indices, negative where unlabelled.
    fraction : float
        Share of the rows of each group that is held out.
    rng : RandomState
        Source of the split.
    """
    held, owed = [], 0.0
    for group in np.unique(y_index):
        rows = rng.permutation(np.flatnonzero(y_index == group))
        share = fraction * len(rows) + (owed if group >= 0 else 0.0)
        count = min(round(share), len(rows) - 1)
        if group >= 0:  # what rounding took from one class, the next ones give
            owed = min(max(share - count, -0.5), 0.5)
        held.append(rows[:count])
    validation = np.sort(np.concatenate(held))
    if len(validation) == 0:
        raise ValueError(
            f"early_stopping=True needs rows to hold out: validation_fraction={fraction} of {len(y_index)} rows leaves none."
        )
    return np.setdiff1d(np.arange(len(y_index)), validation), validation


def held_out_chunks(rows: PreparedRows, weight: np.ndarray, with_labels: bool, batch_size: int) -> tf.data.Dataset:
    """One epoch of chunks of one batch, four times as large as in training; the last is filled with rows of weight 0.

    `weight` is (n,); without labels the loss is the bound.
    """
    size = min(batch_size * 4, len(rows))
    fill = -len(rows) % size
    chosen = np.concatenate([np.arange(len(rows)), np.zeros(fill, int)])
    arrays = {**rows.arrays, "y": rows.y if with_labels else np.full_like(rows.y, -1)}
    chunk = {name: values[chosen].reshape(-1, 1, size, *values.shape[1:]) for name, values in arrays.items()}
    chunk["weight"] = np.concatenate([weight, np.zeros(fill)]).astype(np.float32).reshape(-1, 1, size)
    return untuned(tf.data.Dataset.from_tensor_slices(chunk))
