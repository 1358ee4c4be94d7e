"""Kills fits at random moments and lets them end; run as ``python kill_fits.py N_KILLS SEED``. Prints one line a fit.

The process imports TensorFlow and never uses it, so that its forked children start at once and can fit.
"""

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import pandas as pd

import keras_ssvae as ks
import keras_ssvae.models
from keras_ssvae.data.samplers import BatchSampler

BatchSampler.max_joint_steps = 60  # two epochs in a chunk: there are states between them

R = np.random.RandomState(0)
X = R.standard_normal((240, 5)) + np.repeat([0.0, 2.0], 120)[:, None]
Y = np.where(np.arange(240) % 3, -1, np.arange(240) // 120)
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "batch_size": 8, "epochs": 16, "random_state": 0, "jit_compile": False}


def stream(folder):
    path = Path(folder) / "rows"
    if not path.exists():
        path.mkdir()
        for i in range(3):
            frame = pd.DataFrame(X[i::3], columns=list("abcde")).assign(y=Y[i::3])
            frame.to_csv(path / f"{i}.csv", index=False)
    return str(path), "y"


def rows(folder):
    return X, Y


FITS = {
    "SemiSupervisedVAE": (ks.SemiSupervisedVAE, {}, rows),
    "M1": (ks.M1, {}, rows),
    "M2": (ks.M2, {}, rows),
    "M1M2": (ks.M1M2, {}, rows),
    "ConditionalVAE": (ks.ConditionalVAE, {}, rows),
    "LadderVAE": (ks.LadderVAE, {}, rows),
    "AdversarialAutoencoder": (ks.AdversarialAutoencoder, {}, rows),
    "SemiSupervisedGAN": (ks.SemiSupervisedGAN, {}, rows),
    "VAE": (ks.VAE, {}, rows),
    "streaming": (ks.SemiSupervisedVAE, {"buffer_size": 60, "experts": None}, stream),
    "early stopping": (ks.SemiSupervisedVAE, {"early_stopping": True, "n_iter_no_change": 4, "experts": None}, rows),
    "augmentation": (ks.VAE, {"augmentation": keras.layers.GaussianNoise}, rows),
    "no seed": (ks.VAE, {"random_state": None}, rows),
}


def fit(name, folder, checkpoint):
    """A digest of the weights and the history."""
    family, settings, read = FITS[name]
    settings = {**SMALL, **settings, "checkpoint": checkpoint}
    if settings.get("augmentation"):
        settings["augmentation"] = settings["augmentation"](0.1)
    model = family(**settings).fit(*read(folder))
    digest = hashlib.sha256(model.history_.to_json().encode())
    for weight in model.network_.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def child(name, folder, checkpoint, answer):
    """Start a fit in a process of its own; its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        sys.stdout = open(os.devnull, "w")
        Path(answer).write_text(fit(name, folder, checkpoint))
        status = 0
    finally:
        os._exit(status)


def number(state):
    return int(state.stem.rpartition("-")[2])


def whole(name, folder, checkpoint):
    answer = Path(folder) / "answer"
    answer.unlink(missing_ok=True)
    start = time.monotonic()
    _, status = os.waitpid(child(name, folder, checkpoint, answer), 0)
    assert status == 0, f"a fit of {name} ended with {status}"
    return answer.read_text(), time.monotonic() - start


def main(n_kills, seed):
    chance = random.Random(seed)
    per_fit = [n_kills // len(FITS) + (i < n_kills % len(FITS)) for i in range(len(FITS))]
    for name, kills in zip(FITS, per_fit, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "state"
            place.mkdir()
            if name == "no seed":  # as the first start would draw it
                (place / "random_state").write_text("5")
                expected, seconds = whole(name, folder, str(place))
                (place / "random_state").write_text("5")
            else:
                expected, seconds = whole(name, folder, None)
            landed, went_on = 0, 0
            for _ in range(kills):
                went_on += any(place.glob("*.npz"))
                pid = child(name, folder, str(place), Path(folder) / "answer")
                at, deadline = chance.randrange(8), time.monotonic() + seconds * chance.uniform(0.5, 2.0)
                while time.monotonic() < deadline and not any(number(path) >= at for path in place.glob("*.npz")):
                    time.sleep(0.001)
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                landed += os.WIFSIGNALED(status)
            went_on += any(place.glob("*.npz"))
            found, _ = whole(name, folder, str(place))
            left = len(list(place.iterdir()))
            print(f"{name}: {landed} kills, {went_on} went on, {left} files left, {found == expected}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
