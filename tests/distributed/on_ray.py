"""What Ray starts: `python on_ray.py FOLDER`, in a network of its own. Every line that it prints is something that held."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"

import keras
import numpy as np
import pandas as pd
import ray

import keras_ssvae as ks
from keras_ssvae import distributed
from keras_ssvae.distributed import cluster


class Failing(keras.callbacks.Callback):
    """Once each: the program that called `fit` is killed, a worker hangs, and a worker is killed."""

    def __init__(self, folder, driver):
        super().__init__()
        self.folder, self.driver = folder, driver

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and is_first(self.folder / "the program was killed"):
            os.kill(self.driver, signal.SIGKILL)
            time.sleep(600)  # until Ray ends what the program had started
        if epoch == 2 and is_first(self.folder / "a worker hangs"):
            os.kill(os.getpid(), signal.SIGSTOP)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 3 and is_first(self.folder / "a worker was killed"):
            os.kill(os.getpid(), signal.SIGKILL)


class Killed(ks.ConditionalVAE):
    """The first worker that is asked is killed, the next hangs."""

    folder = None

    def predict_proba(self, X):
        if self.folder is not None:
            if is_first(self.folder / "killed"):
                os.kill(os.getpid(), signal.SIGKILL)
            if is_first(self.folder / "hangs"):
                os.kill(os.getpid(), signal.SIGSTOP)
        return super().predict_proba(X)


def is_first(marker):
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


QUICK = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 5, "batch_size": 20, "jit_compile": False, "random_state": 0}
TIMEOUT = 8.0  # seconds


def same(model, other):
    return all((a == b).all() for a, b in zip(model.network_.get_weights(), other.network_.get_weights(), strict=True))


def rows():
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=60)
    X = rng.standard_normal((60, 4)) + 2 * y[:, None]
    return X, np.where(np.arange(60) < 20, y, -1)


def fit(folder, max_failures=0):
    model = ks.M2(**QUICK, callbacks=[Failing(folder, os.getpid())])
    kept = {"checkpoints": f"file://{folder}/states", "max_failures": max_failures}
    fitted = distributed.fit(model, *rows(), num_workers=2, timeout=TIMEOUT, **kept)
    assert not hasattr(model, "network_")
    assert fitted.checkpoint is None
    return fitted


def fits(folder):
    """The same command three times: its program is killed, a worker hangs, a worker is killed and all go on."""
    with distributed.group(micro_batches=2):
        whole = ks.M2(**QUICK, callbacks=[keras.callbacks.Callback()]).fit(*rows())
    states = folder / "states"
    program = subprocess.run(
        [sys.executable, __file__, folder, ray.get_runtime_context().gcs_address], check=False, timeout=200
    )
    assert program.returncode == -signal.SIGKILL, program
    assert {path.stem[-2:] for path in states.iterdir()} == {"-0"}
    try:
        fit(folder)
    except distributed.WorkerLostError as error:
        waited = time.time() - (folder / "a worker hangs").stat().st_mtime
        assert waited < TIMEOUT + 20, waited
        assert " had no answer of another (" in str(error), error
        print("a worker that hangs is told in time", flush=True)
    assert {path.stem[-2:] for path in states.iterdir()} == {"-0", "-1"}
    fitted = fit(folder, max_failures=1)
    assert (folder / "a worker was killed").exists()
    assert same(fitted, whole)
    pd.testing.assert_frame_equal(fitted.history_, whole.history_, rtol=1e-6)  # graphs of two shares add up terms otherwise
    assert not list(states.iterdir())
    print("killed, hung and lost with its program, the same bits", flush=True)
    X, y = rows()
    try:
        distributed.fit(ks.M2(**QUICK), X, y[:-1], num_workers=2, max_failures=3)
    except ValueError as error:
        assert "inconsistent numbers of samples" in str(error), error
        print("an error of the user's is told at once", flush=True)


def answers(folder):
    rng = np.random.RandomState(1)
    frames = []
    (folder / "rows" / "below").mkdir(parents=True)
    for name, count in (("a", 700), ("b", 30), ("below/c", 250), ("empty", 0)):
        x = rng.standard_normal((count, 2))
        side = pd.Series(np.where(x[:, 0] > 0, "right", "left"), dtype="str").where(np.arange(count) < 20)
        frame = pd.DataFrame({"key": [f"{name} {i}" for i in range(count)], "a": x[:, 0], "b": x[:, 1], "side": side})
        frame.to_parquet(folder / "rows" / f"{name}.parquet", row_group_size=90)
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    model = Killed(latent_dim=2, hidden_layer_sizes=(8,), epochs=2, random_state=0).fit(rows[["a", "b", "side"]], y="side")
    asked = {"methods": ("predict", "predict_proba", "transform"), "num_workers": 2, "rows_per_file": 200, "block_rows": 64}
    model.folder = folder
    done = distributed.predict(model, f"file://{folder}/rows", f"file://{folder}/out", max_failures=2, timeout=TIMEOUT, **asked)
    model.folder = None
    assert (folder / "killed").exists()
    assert (folder / "hangs").exists()
    assert done["rows"].sum() == len(rows)
    assert set(done["worker"]) == {0, 1}
    print("all workers answered, one was killed and one hung", flush=True)
    found = pd.concat(map(pd.read_parquet, sorted((folder / "out").rglob("*.parquet"))), ignore_index=True)
    found = found.set_index("key").loc[rows["key"]].reset_index()
    X = rows[["a", "b"]]
    assert found["predict"].tolist() == model.predict(X).tolist()
    probabilities = found[["predict_proba_left", "predict_proba_right"]]
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=1e-5)
    np.testing.assert_allclose(found.filter(like="transform"), model.transform(X), rtol=1e-4, atol=1e-5)
    assert found["side"].tolist() == rows["side"].tolist() or found["side"].isna().equals(rows["side"].isna())
    print("the answers are those of one process", flush=True)
    gone = folder / "out" / "below" / "c-200.parquet"
    gone.unlink()
    again = distributed.predict(model, folder / "rows", folder / "out", **asked).set_index("file")
    assert again["rows"].dropna().to_dict() == {"below/c-200.parquet": 50, "empty.parquet": 0}
    assert gone.exists()
    print("what was there was not made again", flush=True)
    try:
        distributed.predict(model, folder / "rows", folder / "out", **{**asked, "methods": ("predict",)})
    except ValueError as error:
        assert "differ in ['methods']" in str(error), error
        print("other questions are refused", flush=True)


class Seeing:
    """What a worker sees of GPUs."""

    def ready(self):
        return os.environ.get("CUDA_VISIBLE_DEVICES")


def devices():
    """Two GPUs that Ray only believes in."""
    for wanted, expected in (({"GPU": 1}, {"0", "1"}), (None, {""})):
        actors = cluster.start(ray, Seeing, 2, cluster.resources(wanted))
        assert set(ray.get([actor.ready.remote() for actor in actors])) == expected
        cluster.stop(ray, actors)
    print("each worker has a GPU of its own", flush=True)


def main(folder, address=None):
    if address is not None:
        ray.init(address, log_to_driver=False)
        fit(folder)
        return
    ray.init(
        num_cpus=2, num_gpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=200 * 2**20,
        log_to_driver=False,
    )  # fmt: skip
    try:
        fits(folder)
        answers(folder)
        devices()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
