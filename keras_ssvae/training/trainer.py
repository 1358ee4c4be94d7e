"""From encoded rows and a network to a trained network: stages, optimizers, validation, history."""

import contextlib
import math

import keras
import numpy as np
import pandas as pd

from keras_ssvae.data.samplers import BatchSampler, named_arrays, untuned
from keras_ssvae.nn import backbones
from keras_ssvae.seeding import isolated_seed
from keras_ssvae.training.optimizers import make_optimizer

__all__ = ["split_validation", "train"]

EAGER_STEPS = 20  # below, tracing a graph (about 1 s) costs more than it saves
EAGER_STEPS_OF_TWINS = 5  # the same, where later fits use the graph again
GRAPH_STEPS = 1000  # below, compiling with XLA (about 3 s) costs more than it saves
ENOUGH_LABELS = 50  # held-out labels from which on a label metric is less noisy than it is useful


def train(network, encoded, codes, weight, settings, seed, prepared=False, one_pass=False, make_feed=BatchSampler):
    """Train all stages of a network.

    Parameters
    ----------
    network : Network
        Built network.
    encoded : PreparedRows
        Training rows.
    codes : (n,) int32 array
        Class codes, negative where unlabelled.
    weight : (n,) array
        Row weights, positive.
    settings : GenerativeEstimator
        Its parameters are read, and whether it is fitted already.
    seed : int
        Seed of the order of rows and of the validation split.
    prepared : bool
        Whether the network starts from weights for which the stages that only prepare are done.
    one_pass : bool
        One epoch a stage, at a constant learning rate.
    make_feed : callable, default=BatchSampler
        Makes the feed of a stage, called as `BatchSampler` is.

    Returns
    -------
    history : DataFrame
        One row an epoch: "stage", "loss" and the terms, in nats a row; "val_..." with early stopping.
    """
    rng = np.random.RandomState(seed)
    stages = [s for s in network.stages() if not (prepared and s.prepares)]
    total_share = sum(s.share for s in stages)
    training = validation = None
    if settings.early_stopping and not one_pass:
        training, validation = split_validation(codes, settings.validation_fraction, rng)
    held_out = 0 if validation is None else int((codes[validation] >= 0).sum())
    augment = None
    if settings.augmentation is not None:
        if encoded.observed is not None and network.image_shape:
            raise ValueError("augmentation cannot move the gaps of images with missing pixels; fill them or leave it out.")
        augmentation_seed = rng.randint(2**30)
    frames = []
    for i, stage in enumerate(stages):
        if settings.augmentation is not None:  # a new one each, since the feed of the last stage may have drawn ahead
            with isolated_seed(augmentation_seed + i):
                augment = backbones.resolve_augmentation(settings.augmentation, network.image_shape)
        labeled_batch_size = settings.labeled_batch_size if stage.labeled_rows else None
        rows = (encoded, codes, weight) if validation is None else (encoded[training], codes[training], weight[training])
        feed = make_feed(*rows, settings.batch_size, labeled_batch_size, rng.randint(2**31 - 1), augment)
        chunks, steps = feed.chunks()
        epochs = _epochs(settings.epochs, feed.steps_per_epoch, encoded.observed is not None)
        epochs = 1 if one_pass else max(1, round(epochs * stage.share / total_share))
        unseen = not settings.callbacks and validation is None and not settings.verbose  # what is between two epochs
        chunk_epochs = feed.joint_epochs(epochs) if unseen else 1
        _prepare(network, stage, settings, epochs * chunks * steps, encoded.x.shape[1], one_pass, chunk_epochs, feed.n_labeled)
        callbacks, held = list(settings.callbacks or []), None
        if validation is not None:
            by_label = held_out >= ENOUGH_LABELS and network.judges_labels
            held = _validation_data(encoded[validation], codes[validation], weight[validation], by_label, settings.batch_size)
            monitor, patience = "val_classification" if by_label else "val_loss", settings.n_iter_no_change
            callbacks.append(keras.callbacks.EarlyStopping(monitor, 0.0, patience, mode="min", restore_best_weights=True))
        with contextlib.closing(feed):
            record = network.fit(
                feed.dataset(epochs, chunk_epochs),
                epochs=epochs,
                steps_per_epoch=chunks,
                verbose=int(settings.verbose),
                callbacks=callbacks,
                validation_data=held,
                shuffle=False,
            )
            network.end_stage(stage.name, feed.sample)
        frames.append(pd.DataFrame(record.history).assign(stage=stage.name))
    history = pd.concat(frames, ignore_index=True)
    return history[["stage", "loss", *[c for c in history if c not in ("stage", "loss")]]]


def _prepare(network, stage, settings, total_steps, n_columns, one_pass, chunk_epochs, n_labeled):
    """Give the network its optimizers for a stage, and the mode of execution that suits the number of steps."""
    rate = settings.learning_rate * stage.learning_rate
    until = None if one_pass else network.total_steps

    def make():
        return make_optimizer(settings.optimizer, rate, until, stage.opposed)

    eager_steps = EAGER_STEPS
    if network.is_twin:  # a second pass will hardly be the last
        eager_steps = 0 if one_pass and hasattr(settings, "n_iter_") else EAGER_STEPS_OF_TWINS
    eager = settings.jit_compile == "auto" and total_steps <= eager_steps
    jit = total_steps > GRAPH_STEPS and stage.compiles if settings.jit_compile == "auto" else settings.jit_compile
    quarter = max(1, settings.batch_size // 4)
    n_known = quarter * (n_labeled // quarter)  # in quarters: fits with a label more or less are to share a traced step
    all_labeled = n_labeled == settings.batch_size
    network.prepare(stage, make, total_steps, n_columns, jit, eager, chunk_epochs, n_known, all_labeled)


def _epochs(requested, steps_per_epoch, has_gaps):
    """The number of epochs; "auto" makes about 2500 steps."""
    most = 1000 if has_gaps else np.clip(25 * steps_per_epoch, 100, 200)
    return int(np.clip(math.ceil(2500 / steps_per_epoch), 40, most)) if requested == "auto" else requested


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
    arrays = named_arrays(encoded, codes if with_labels else np.full_like(codes, -1))
    chunk = {name: values[rows].reshape(-1, 1, size, *values.shape[1:]) for name, values in arrays.items()}
    chunk["weight"] = np.concatenate([weight, np.zeros(fill)]).astype(np.float32).reshape(-1, 1, size)
    return untuned(tf.data.Dataset.from_tensor_slices(chunk))
