"""One of two processes that fit together: `python pair.py FOLDER RANK ADDRESS ADDRESS`; results into the folder, by rank.

Each also makes half of the fits alone, of the same micro-batches: starting TensorFlow takes longer than a fit.
"""

import os
import sys

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import contextlib
import dataclasses
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from instances import FAST, make

import keras_ssvae as ks
from keras_ssvae import distributed
from keras_ssvae.training import trainer

TRACED = (ks.SemiSupervisedVAE, ks.LadderVAE, ks.AdversarialAutoencoder)  # tracing takes longer than the steps here
execution_of = trainer.execution_of

FOLDERS = {"even": (300, 300), "one_file": (500,), "an_empty_file": (200, 0, 300), "all_labels_in_one": (30, 400)}


class Killed(keras.callbacks.Callback):
    """Ends a fit once, before an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.left = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.left -= 1
        if self.left == -1:
            raise InterruptedError


def rows():
    """As the fixture."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=60)
    X = rng.standard_normal((60, 5)).astype(np.float32) + 2 * y[:, None]
    return X, np.where(np.arange(60) < 20, y, -1)


def write_folder(folder, counts, n_labeled=30):
    """Files of so many rows, of which the first are labelled; "number" counts them."""
    folder.mkdir()
    rng = np.random.RandomState(3)
    x = rng.standard_normal((sum(counts), 2)).astype(np.float32)
    frame = pd.DataFrame({"number": np.arange(len(x), dtype=np.float32), "a": x[:, 0], "b": x[:, 1]})
    frame["side"] = pd.Series(np.where(x[:, 0] > 0, "right", "left")).where(frame.index < n_labeled)
    for i, (count, stop) in enumerate(zip(counts, np.cumsum(counts), strict=True)):
        frame[stop - count : stop].to_parquet(folder / f"part-{i}.parquet", row_group_size=100)


def eagerly(*args):
    return dataclasses.replace(execution_of(*args), run_eagerly=True)


def together(folder):
    """Name -> function without arguments that fits as one process could, of the same micro-batches."""
    X, y = rows()
    quick = {"batch_size": 17, "jit_compile": False}
    for cls in FAST:
        trainer.execution_of = execution_of if cls in TRACED else eagerly
        yield cls.__name__, lambda cls=cls: make(cls, epochs=2, **quick).fit(X, y)
    trainer.execution_of = execution_of
    for cls in (ks.ConditionalVAE, ks.LadderVAE):
        yield f"compiled_{cls.__name__}", lambda cls=cls: make(cls, epochs=3, batch_size=20, jit_compile=True).fit(X, y)
    stopping = {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.2}
    yield "stopping", lambda: make(ks.VAE, epochs=6, **quick, **stopping).fit(X)


def streamed(folder, name, **settings):
    small = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 3, "batch_size": 20, "buffer_size": 60}
    return ks.ConditionalVAE(**small, jit_compile=False, random_state=0, **settings).fit(folder / name, y="side")


def killed(fit, epoch, states):
    """A fit that was ended before an epoch and goes on from what it kept."""
    watching = Killed(epoch)
    with contextlib.suppress(InterruptedError):
        fit(callbacks=[watching], checkpoint=states)
    assert watching.left == -1
    return fit(callbacks=[watching], checkpoint=states)


def results(model):
    history = model.history_.drop(columns="stage").to_numpy(float)
    return {f"weight {i}": w for i, w in enumerate(model.network_.get_weights())} | {"history": history}


def main(folder, rank, *addresses):
    folder, rank, found = Path(folder), int(rank), {}

    def take(name, model):
        found.update((f"{name} {key}", value) for key, value in results(model).items())

    X, y = rows()
    with distributed.group(rank, addresses, timeout=60):
        for number, (name, fit) in enumerate(together(folder)):
            take(name, fit())
            if number % 2 == rank:
                with distributed.group(micro_batches=2):
                    take(f"alone_{name}", fit())
        for name in FOLDERS:
            take(f"streamed_{name}", streamed(folder, name))
        for name, fit, epoch in (
            ("M2", lambda **kept: make(ks.M2, epochs=3, batch_size=20, jit_compile=False, **kept).fit(X, y), 2),
            ("stream", lambda **kept: streamed(folder, "one_file", **kept), 2),
        ):
            take(f"whole_{name}", fit(callbacks=[keras.callbacks.Callback()]))
            take(f"killed_{name}", killed(fit, epoch, folder / "states"))
        try:
            make(ks.VAE, random_state=rank, jit_compile=False).fit(X)
        except distributed.WorkersDisagreeError as error:
            found["error"] = np.array(str(error))
    with distributed.group(rank, addresses, timeout=60, local_steps=3):
        take("local", make(ks.VAE, epochs=3, batch_size=20, jit_compile=False).fit(X))
    with distributed.group(rank, addresses, timeout=2) as group:
        if rank == 0:  # the other does not come
            start = time.monotonic()
            try:
                group.agree("nothing", 0)
            except tf.errors.OpError:
                (folder / "waited.txt").write_text(str(time.monotonic() - start))
    np.savez(folder / f"{rank}.npz", **found)
    while not (folder / "waited.txt").exists():
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
