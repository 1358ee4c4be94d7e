"""What is lost when things go wrong: each section tries something many times, and counts how often the outcome was no good one.

    python benchmarks/faults.py --kills 200 --fits 30 --files 750 --cases 3000 --requests 20000

A section is a function of the options that returns (tried, lost) or (tried, lost, what else there is to say), and a line in
`SECTIONS`. Each is written to `results/faults.csv` when it ends; ``--resume`` keeps those that are there.
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
from common import Rows, command_line, write_section
from fuzz import fuzz
from sklearn.datasets import load_digits

import keras_ssvae as ks
from keras_ssvae.serialization.archive import write_archive

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import service

NOTES = """
Lost is: a file that is half written or has something left beside it; a damaged file that loads and answers otherwise, or is
refused by any other class than `ModelFileError`; a fit that was killed, goes on from its checkpoint and ends with other bits;
an input that ends in a foreign error, or breaks a promise in silence; a request without an answer, or with another than one
thread gives for all rows at once.
"""
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
    command = [sys.executable, script, str(options.fits), str(options.seed)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return options.fits, sum(not line.endswith("0 files left, True") for line in lines)


def fuzzed_fits(options):
    """Random rows, labels, weights and parameters: each works as promised or is refused in words."""
    return fuzz(options.cases, options.seed)


def requests(options):
    """Clients ask a model behind two servers from sixteen threads: no error, the answers of one thread, memory as before."""
    X, y = load_digits(return_X_y=True)
    model = ks.SemiSupervisedVAE(random_state=0).fit(X, np.where(np.random.RandomState(0).uniform(size=len(X)) < 0.1, y, -1))
    expected = {name: getattr(model, name)(X) for name in service.QUESTIONS}
    lost, said, half = 0, [], options.requests // len(service.SERVERS)
    for name, server in service.SERVERS.items():
        with server(model) as port:
            service.ask_all(port, X, service.requests(X, max(1, half // 10), seed=1), expected)  # all threads have memory then
            before = service.memory()
            missed, seconds = service.ask_all(port, X, service.requests(X, half), expected)
            more = 100 * (service.memory() / before - 1)
        lost += missed
        own = [1000 * t for question, n, t in seconds if question == "predict" and n == 1]
        p50, p99 = np.quantile(own, (0.5, 0.99))
        said.append(f"{name}: memory {more:+.1f} %, one row of predict {p50:.0f} ms p50, {p99:.0f} ms p99 beside 15 others")
    return half * len(service.SERVERS), lost, "; ".join(said)


SECTIONS = {
    "kills of save": kills_of_save,
    "damaged and altered files": damaged_files,
    "kills of fits": kills_of_fits,
    "fuzzed fits": fuzzed_fits,
    "requests": requests,
}


def main():
    """Print the table; the exit status says whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="processes that are killed while they save")
    parser.add_argument("--fits", type=int, default=10, help="fits that are killed")
    parser.add_argument("--files", type=int, default=150, help="files that are damaged or altered")
    parser.add_argument("--cases", type=int, default=200, help="random inputs to fits")
    parser.add_argument("--requests", type=int, default=600, help="requests to servers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="some of the sections")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of RESULTS.md")
    parser.add_argument("--resume", action="store_true", help="keep the sections that are in the CSV")
    options = parser.parse_args()
    rows = Rows(options.out, "faults", ["method", "seed"], ["tried", "lost", "said", "seconds"], options.resume)
    for name in options.only:
        key = {"method": name, "seed": options.seed}
        if key not in rows:
            start = time.perf_counter()
            tried, lost, *said = SECTIONS[name](options)
            rows.add(key, tried=tried, lost=lost, said="".join(said), seconds=time.perf_counter() - start)
    frame = rows.frame()
    table = (
        frame[["method", "tried", "lost", "said"]].fillna({"said": ""}).rename(columns={"method": "what", "said": "besides"})
    )
    write_section("faults", "Faults: tried and lost", command_line(), table, NOTES, rows=frame, out=options.out)
    sys.exit(bool(frame["lost"].any()))


if __name__ == "__main__":
    main()
