"""From encoded rows and a network to a trained network: stages, optimizers, validation, history."""

import math

import keras
import numpy as np
import pandas as pd

from keras_ssvae import backbones
from keras_ssvae.feed import Feed
from keras_ssvae.seeding import isolated_seed

__all__ = ["split_validation", "train"]

EAGER_STEPS = 40  # below, tracing a graph (about 1 s) costs more than it saves
GRAPH_STEPS = 1000  # below, compiling with XLA (about 3 s) costs more than it saves
ENOUGH_LABELS = 50  # held-out labels from which on a label metric is less noisy than it is useful


def train(network, encoded, codes, weight, settings, seed, prepared=False, one_pass=False):
    """Train all stages of a network.

    Parameters
    ----------
    network : Network
        Built network.
    encoded : Encoded
        Training rows.
    codes : (n,) int32 array
        Class codes, negative where unlabelled.
    weight : (n,) array
        Row weights, positive.
    settings : GenerativeEstimator
        Its parameters are read.
    seed : int
        Seed of the order of rows and of the validation split.
    prepared : bool
        Whether the network starts from weights for which the stages that only prepare are done.
    one_pass : bool
        One epoch a stage, at a constant learning rate.

    Returns
    -------
    history : DataFrame
        One row an epoch: "stage", "loss" and the terms, in nats a row; "val_..." with early stopping.
    """
    rng = np.random.RandomState(seed)
    stages = [s for s in network.stages() if not (prepared and s.prepares)]
    total_share = sum(s.share for s in stages)
    training, validation = np.arange(len(codes)), None
    if settings.early_stopping and not one_pass:
        training, validation = split_validation(codes, settings.validation_fraction, rng)
    held_out = 0 if validation is None else int((codes[validation] >= 0).sum())
    augment = None
    if settings.augmentation is not None:
        if encoded.observed is not None and network.image_shape:
            raise ValueError("augmentation cannot move the gaps of images with missing pixels; fill them or leave it out.")
        with isolated_seed(rng.randint(2**31 - 1)):
            augment = backbones.resolve_augmentation(settings.augmentation, network.image_shape)
    frames = []
    for stage in stages:
        labeled_batch_size = settings.labeled_batch_size if stage.labeled_rows else None
        rows = encoded[training], codes[training], weight[training]
        feed = Feed(*rows, settings.batch_size, labeled_batch_size, rng.randint(2**31 - 1), augment)
        chunks, steps = feed.chunks()
        epochs = _epochs(settings.epochs, feed.steps_per_epoch)
        epochs = 1 if one_pass else max(1, round(epochs * stage.share / total_share))
        _prepare(network, stage, settings, epochs * chunks * steps, encoded.x.shape[1], one_pass)
        callbacks, held = list(settings.callbacks or []), None
        if validation is not None:
            by_label = held_out >= ENOUGH_LABELS and network.judges_labels
            held = _validation_data(encoded[validation], codes[validation], weight[validation], by_label, settings.batch_size)
            monitor, patience = "val_classification" if by_label else "val_loss", settings.n_iter_no_change
            callbacks.append(keras.callbacks.EarlyStopping(monitor, 0.0, patience, mode="min", restore_best_weights=True))
        record = network.fit(
            feed.dataset(),
            epochs=epochs,
            steps_per_epoch=chunks,
            verbose=int(settings.verbose),
            callbacks=callbacks,
            validation_data=held,
            shuffle=False,
        )
        network.end_stage(stage.name, encoded[training])
        frames.append(pd.DataFrame(record.history).assign(stage=stage.name))
    history = pd.concat(frames, ignore_index=True)
    return history[["stage", "loss", *[c for c in history if c not in ("stage", "loss")]]]


def _prepare(network, stage, settings, total_steps, n_columns, constant_rate):
    """Give the network its optimizers for a stage, and the mode of execution that suits the number of steps."""
    rate = settings.learning_rate * stage.learning_rate
    make = _Optimizers(settings.optimizer, rate, None if constant_rate else total_steps)
    eager = settings.jit_compile == "auto" and total_steps <= EAGER_STEPS
    jit = total_steps > GRAPH_STEPS and stage.compiles if settings.jit_compile == "auto" else settings.jit_compile
    network.prepare(stage, {name: make() for name in stage.objectives}, total_steps, n_columns, jit, eager)


def _epochs(requested, steps_per_epoch):
    """ "auto": as many epochs as make about 2500 steps, but at least 40 and at most 200."""
    return int(np.clip(math.ceil(2500 / steps_per_epoch), 40, 200)) if requested == "auto" else requested


def split_validation(codes, fraction, rng):
    """Indices of training and validation rows; labelled and unlabelled rows are split separately.

    No class loses its last labelled training row.

    Parameters
    ----------
    codes : (n,) int array
        Class codes, negative where unlabelled.
    fraction : float
        Share of the rows of each group that is held out.
    rng : RandomState
        Source of the split.
    """
    held, owed = [], 0.0
    for group in np.unique(codes):
        rows = rng.permutation(np.flatnonzero(codes == group))
        share = fraction * len(rows) + (owed if group >= 0 else 0.0)
        count = min(round(share), len(rows) - 1)
        if group >= 0:  # what rounding took from one class, the next ones give
            owed = min(max(share - count, -0.5), 0.5)
        held.append(rows[:count])
    validation = np.sort(np.concatenate(held))
    if len(validation) == 0:
        raise ValueError(
            f"early_stopping=True needs rows to hold out: validation_fraction={fraction} of {len(codes)} rows leaves none."
        )
    return np.setdiff1d(np.arange(len(codes)), validation), validation


def _validation_data(encoded, codes, weight, with_labels, batch_size):
    """One epoch of chunks of one batch; the last is filled with rows of weight 0. Without labels the loss is the bound."""
    import tensorflow as tf

    size = min(batch_size * 4, len(codes))
    fill = -len(codes) % size
    rows = np.concatenate([np.arange(len(codes)), np.zeros(fill, int)])
    arrays = {"x": encoded.x, "y": codes if with_labels else np.full_like(codes, -1)}
    if encoded.observed is not None:
        arrays["observed"] = encoded.observed
    chunk = {name: values[rows].reshape(-1, 1, size, *values.shape[1:]) for name, values in arrays.items()}
    chunk["weight"] = np.concatenate([weight, np.zeros(fill)]).astype(np.float32).reshape(-1, 1, size)
    return tf.data.Dataset.from_tensor_slices(chunk)


class _Optimizers:
    """Makes fresh optimizers, all alike, from the user's choice."""

    def __init__(self, optimizer, rate, total_steps):
        self.optimizer, self.rate, self.total_steps = optimizer, rate, total_steps

    def __call__(self):
        if not isinstance(self.optimizer, str):
            return type(self.optimizer).from_config(self.optimizer.get_config())
        rate = self.rate
        if self.total_steps:
            rate = keras.optimizers.schedules.PiecewiseConstantDecay([int(0.7 * self.total_steps)], [rate, 0.2 * rate])
        config = {"learning_rate": rate}
        if self.optimizer.lower() == "adamw":
            config["weight_decay"] = 1e-3
        return keras.optimizers.get({"class_name": self.optimizer, "config": config})
