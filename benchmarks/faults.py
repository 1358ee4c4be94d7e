"""What is lost when things go wrong: each section tries something many times, and counts how often the outcome was no good one.

    python benchmarks/faults.py --kills 100 --files 1000 --cases 3000

A section is a function of the options that returns (tried, lost), and a line in `SECTIONS`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from fuzz import fuzz

import keras_ssvae as ks
from keras_ssvae.serialization.archive import write_archive

X = np.random.RandomState(0).standard_normal((60, 3))
Y = np.where(np.arange(60) % 2, X[:, 0] > 0, -1)


def fitted(**settings):
    """A small model that knows two classes."""
    settings = {"latent_dim": 2, "hidden_layer_sizes": (4,), "epochs": 1, "random_state": 0, "jit_compile": False} | settings
    return ks.M1(**settings).fit(X, Y)


def kills_of_save(options):
    """A process that saves without end is killed: the file is whole, and nothing stays beside it."""
    if not hasattr(os, "fork"):
        return 0, 0
    model, lost = fitted(hidden_layer_sizes=(400, 400)), 0
    expected, weights = model.transform(X), model.network_.get_weights()
    object.__setattr__(model.network_, "get_weights", lambda: weights)  # TensorFlow does not outlive a fork
    rng = np.random.RandomState(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model.save(path)
        for _ in range(options.kills):
            child = os.fork()
            if child == 0:
                while True:
                    model.save(path)
            time.sleep(rng.uniform(0.0, 0.2))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            whole = np.array_equal(ks.load(path).transform(X), expected)
            lost += not whole or os.listdir(folder) != ["model"]
    return options.kills, lost


def damaged_files(options):
    """A file with changed bytes, cut off, or with other values under a valid checksum: refused, or it answers as before."""
    rng, lost = np.random.RandomState(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        fitted().save(path)
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        expected = ks.load(path).predict_proba(X)
        for i in range(options.files):
            if i % 3 == 0:
                with open(path, "w+b") as file:
                    write_archive(file, {**members, "estimator.json": altered(members["estimator.json"], rng)})
            else:
                path.write_bytes(damaged(content, rng, cut=i % 3 == 1))
            lost += not is_safe(path, expected)
    return options.files, lost


def is_safe(path, expected):
    """Whether a file is refused by the one class that is promised, or answers as before."""
    try:
        return np.array_equal(ks.load(path).predict_proba(X), expected)
    except ks.ModelFileError:
        return True
    except BaseException as error:  # whatever else comes is what is counted
        print(f"lost: {type(error).__name__}: {error}", file=sys.stderr)
        if isinstance(error, KeyboardInterrupt):
            raise
        return False


def damaged(content, rng, cut):
    """Bytes cut off, or some of them changed."""
    out = bytearray(content)
    if cut:
        return bytes(out[: rng.randint(len(out))])
    for position in rng.randint(len(out), size=rng.randint(1, 5)):
        out[position] ^= rng.randint(1, 256)
    return bytes(out)


def altered(header, rng):
    """A header in which one value is another."""
    tree, values = json.loads(header), [None, -1, 10**12, float("nan"), "x", [], {"dict": []}, {"array": "0.npy"}]
    around = [node for node in nodes(tree) if node]
    node = around[rng.randint(len(around))]
    keys = list(node) if isinstance(node, dict) else range(len(node))
    node[keys[rng.randint(len(keys))]] = values[rng.randint(len(values))]
    return json.dumps(tree).encode()


def nodes(tree):
    """All dicts and lists of a tree."""
    if isinstance(tree, (dict, list)):
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from nodes(value)


def kills_of_fits(options):
    """Fits of every family with a checkpoint are killed and started again: the bits are those of a fit that nobody killed."""
    script = Path(__file__).parents[1] / "tests" / "training" / "kill_fits.py"
    command = [sys.executable, script, str(options.kills), str(options.seed)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return options.kills, sum(not line.endswith("0 files left, True") for line in lines)


def fuzzed_fits(options):
    """Random rows, labels, weights and parameters: each works as promised or is refused in words."""
    return fuzz(options.cases, options.seed)


SECTIONS = {
    "kills of save": kills_of_save,
    "damaged and altered files": damaged_files,
    "kills of fits": kills_of_fits,
    "fuzzed fits": fuzzed_fits,
}


def main():
    """Print the table; the exit status says whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="processes that are killed while they save, or fit")
    parser.add_argument("--files", type=int, default=150, help="files that are damaged or altered")
    parser.add_argument("--cases", type=int, default=200, help="random inputs to fits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="some of the sections")
    options = parser.parse_args()
    rows = [(name, *SECTIONS[name](options)) for name in options.only]
    print("| section | tried | lost |\n|---|---|---|")
    for name, tried, lost in rows:
        print(f"| {name} | {tried} | {lost} |")
    sys.exit(any(lost for _, _, lost in rows))


if __name__ == "__main__":
    main()
