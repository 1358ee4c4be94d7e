"""Two processes on the loopback: the same weights as one that computes the same micro-batches."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from instances import FAST
from scripts import ROOT

from keras_ssvae.distributed.workers import free_addresses

sys.path.append(str(Path(__file__).parent))
from pair import FOLDERS, write_folder

pytestmark = pytest.mark.xdist_group("two processes")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """{"name of a fit": [results of worker 0, and of worker 1]}, and the same by "alone_..." of one process."""
    folder = tmp_path_factory.mktemp("pair")
    for name, counts in FOLDERS.items():
        write_folder(folder / name, counts)
    addresses = free_addresses("127.0.0.1", 2)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    commands = [[sys.executable, Path(__file__).with_name("pair.py"), folder, str(rank), *addresses] for rank in range(2)]
    workers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        errors = [worker.communicate(timeout=900)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(error[-3000:] for error in errors)
    found: dict = {"waited": float((folder / "waited.txt").read_text())}
    for rank in range(2):
        with np.load(folder / f"{rank}.npz") as file:
            for key, value in file.items():
                name, _, part = key.partition(" ")
                found.setdefault(name, {}).setdefault(rank, {})[part] = value
    return found


def same(one, other):
    assert one.keys() == other.keys()
    return all(np.array_equal(one[part], other[part], equal_nan=part == "history") for part in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(cls.__name__ for cls in FAST), "stopping"])
def test_two_processes_are_one_with_the_same_micro_batches(pair, name):
    assert same(pair[name][0], pair[name][1])
    (alone,) = pair[f"alone_{name}"].values()
    assert same(pair[name][0], alone)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ConditionalVAE", "LadderVAE"])
def test_compiled_gradients_are_the_same_but_for_rounding(pair, name):
    one, other = pair[f"compiled_{name}"].values()
    assert same(one, other)
    (alone,) = pair[f"alone_compiled_{name}"].values()
    for part, value in alone.items():
        np.testing.assert_allclose(one[part], value, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_workers_read_parts_of_a_folder_and_end_with_the_same_weights(pair, name):
    one, other = pair[f"streamed_{name}"].values()
    assert same(one, other)
    assert np.nanmean(one["history"][-1]) < np.nanmean(one["history"][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["M2", "stream"])
def test_what_goes_on_from_a_checkpoint_ends_with_the_same_bits(pair, name):
    for rank in range(2):
        assert same(pair[f"killed_{name}"][rank], pair[f"whole_{name}"][rank])


@pytest.mark.slow
def test_local_steps_end_with_the_same_weights_too(pair):
    one, other = pair["local"].values()
    assert same(one, other)
    assert not same(one, pair["VAE"][0])


@pytest.mark.slow
def test_nobody_waits_for_ever(pair):
    assert 1 < pair["waited"] < 30


@pytest.mark.slow
def test_workers_of_different_parameters_say_so(pair):
    assert all("seed differ" in str(found[""]) for found in pair["error"].values())
