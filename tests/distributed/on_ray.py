"""What Ray starts: `python on_ray.py FOLDER`, in a network of its own. Every line that it prints is something that held."""

import os
import signal
import sys
from pathlib import Path

os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"

import keras
import numpy as np
import pandas as pd
import ray

import keras_ssvae as ks
from keras_ssvae import distributed


class Killing(keras.callbacks.Callback):
    """The first worker that comes to the end of one of these epochs is killed, once for each."""

    def __init__(self, folder, epochs):
        super().__init__()
        self.folder, self.epochs = folder, epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch in self.epochs:
            kill_once(self.folder / f"killed in epoch {epoch}")


class Killed(ks.ConditionalVAE):
    """The first worker that is asked is killed."""

    marker = None

    def predict_proba(self, X):
        if self.marker is not None:
            kill_once(self.marker)
        return super().predict_proba(X)


def kill_once(marker):
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def same(model, other):
    return all((a == b).all() for a, b in zip(model.network_.get_weights(), other.network_.get_weights(), strict=True))


def fits(folder):
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=60)
    X = rng.standard_normal((60, 4)) + 2 * y[:, None]
    y = np.where(np.arange(60) < 20, y, -1)
    quick = {
        "latent_dim": 2,
        "hidden_layer_sizes": (8,),
        "epochs": 5,
        "batch_size": 20,
        "jit_compile": False,
        "random_state": 0,
    }
    with distributed.group(micro_batches=2):
        whole = ks.M2(**quick, callbacks=[keras.callbacks.Callback()]).fit(X, y)
    model = ks.M2(**quick, callbacks=[Killing(folder, (1, 3))])
    fitted = distributed.fit(model, X, y, num_workers=2, checkpoints=folder / "states", max_failures=2)
    assert len(list(folder.glob("killed in epoch *"))) == 2
    assert same(fitted, whole)
    pd.testing.assert_frame_equal(fitted.history_, whole.history_, rtol=1e-6)  # graphs of two shares add up terms otherwise
    assert not hasattr(model, "network_")
    assert fitted.checkpoint is None
    assert not list((folder / "states").glob("*.npz"))
    print("killed twice, the same bits", flush=True)
    try:
        distributed.fit(ks.M2(**quick), X, y[:-1], num_workers=2, max_failures=3)
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
    model.marker = folder / "killed"
    done = distributed.predict(model, folder / "rows", folder / "out", max_failures=1, **asked)
    model.marker = None
    assert (folder / "killed").exists()
    assert done["rows"].sum() == len(rows)
    assert set(done["worker"]) == {0, 1}
    print("all workers answered, one was killed", flush=True)
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


if __name__ == "__main__":
    ray.init(
        num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=200 * 2**20, log_to_driver=False
    )
    try:
        fits(Path(sys.argv[1]))
        answers(Path(sys.argv[1]))
    finally:
        ray.shutdown()
