"""Ray starts the workers, in a network of their own with the loopback alone: nothing leaves the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import ROOT

import keras_ssvae as ks
from keras_ssvae import distributed
from keras_ssvae.data.files import files_of
from keras_ssvae.data.folders import open_folder
from keras_ssvae.distributed import predicting

HELD = [
    "a worker that hangs is told in time",
    "killed, hung and lost with its program, the same bits",
    "an error of the user's is told at once",
    "all workers answered, one was killed and one hung",
    "the answers are those of one process",
    "what was there was not made again",
    "other questions are refused",
    "each worker has a GPU of its own",
]


def has_network_of_its_own():
    command = ["unshare", "-rn", "ip", "link", "set", "lo", "up"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.xdist_group("two processes")
def test_fits_and_answers_survive_killed_workers(tmp_path):
    pytest.importorskip("ray")
    if not has_network_of_its_own():
        pytest.skip("no network of its own can be made here")
    script = Path(__file__).with_name("on_ray.py")
    command = f'ip link set lo up && exec "{sys.executable}" "{script}" "{tmp_path}"'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", command], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [line for line in done.stdout.splitlines() if line in HELD] == HELD, done.stdout


def test_without_ray_a_fit_says_what_to_install(monkeypatch, rows):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"keras_ssvae\[ray\]"):
        distributed.fit(ks.VAE(), rows[0], num_workers=2)


@pytest.mark.parametrize("wanted", [{"num_workers": 0}, {"num_workers": 1, "max_failures": -1}], ids=str)
def test_numbers_that_are_refused(rows, wanted):
    with pytest.raises(ValueError, match="num_workers must be positive and max_failures not negative"):
        distributed.fit(ks.VAE(), rows[0], **wanted)


@pytest.mark.parametrize("wanted", [{"num_workers": 0}, {"num_workers": 1, "rows_per_file": 0}], ids=str)
def test_answers_of_numbers_that_are_refused(tmp_path, wanted):
    with pytest.raises(ValueError, match="must be positive"):
        distributed.predict(ks.VAE(), tmp_path, tmp_path / "out", **wanted)


def test_what_trains_no_network_is_refused(rows):
    with pytest.raises(TypeError, match="got a AnomalyDetector"):
        distributed.fit(ks.AnomalyDetector(), rows[0], num_workers=2)


# Pieces of a folder, which need no workers


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for name, count in (("a", 25), ("b", 7), ("none", 0)):
        pd.DataFrame({"n": np.arange(count), "x": 0.5}).to_parquet(folder / f"{name}.parquet", row_group_size=6)
    return folder


@pytest.mark.parametrize("rows_per_file", [1, 4, 6, 10, 100])
@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_pieces_are_all_rows_once(folder, rows_per_file, block_rows):
    files = files_of(folder)
    pieces = predicting.pieces_of(files, rows_per_file)
    read = {piece: [frame["n"].tolist() for frame in predicting.blocks_of(files, piece, block_rows)] for piece in pieces}
    assert max(len(block) for blocks in read.values() for block in blocks) <= block_rows
    assert all(sum(map(len, blocks)) <= rows_per_file for blocks in read.values())
    for name, count in (("a", 25), ("b", 7), ("none", 0)):
        assert sum((sum(blocks, []) for piece, blocks in read.items() if piece.name == f"{name}.parquet"), []) == list(
            range(count)
        )


def test_files_that_differ_in_their_ending_are_refused(folder):
    shutil.copyfile(folder / "a.parquet", folder / "a.pq")
    with pytest.raises(ValueError, match="differ in their endings only"):
        predicting.pieces_of(files_of(folder), 100)


def test_keys_that_are_missing_at_first_keep_their_type(tmp_path, rows):
    X = pd.DataFrame(rows[0], columns=list("abcde"))
    model = ks.VAE(latent_dim=2, hidden_layer_sizes=(8,), epochs=1, random_state=0).fit(X)
    key = pd.Series([None] * 30 + [f"row {i}" for i in range(30)], dtype="str")
    X.assign(key=key).to_parquet(tmp_path / "rows.parquet")
    files, out = files_of(tmp_path / "rows.parquet"), open_folder(tmp_path / "out")
    (piece,) = predicting.pieces_of(files, 100)
    assert predicting.write_answers(model, piece, files, out, ["transform", "reconstruct", "anomaly_score"], None, 20) == 60
    found = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert found["key"].equals(key)
    assert list(found) == [
        "key", "transform_0", "transform_1", *(f"reconstruct_{name}" for name in "abcde"), "anomaly_score"
    ]  # fmt: skip
    np.testing.assert_allclose(found["anomaly_score"], model.anomaly_score(X), rtol=1e-4)
    with pytest.raises(ValueError, match=r"not there are \['id'\]"):
        predicting.write_answers(model, piece, files, out, ["transform"], ["id"], 20)
