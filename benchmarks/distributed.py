"""How much faster are two workers than one, what do they send, and what would a thousand be?

Each worker is a process on a core of its own; one worker alone and two on the loopback take turns. Measured are the epochs
after the first. The model of the cost of a step is calibrated by what was measured here, for the network that is asked for: a
step of b rows a worker takes overhead + b / rate, and adding up n numbers over W workers in a ring 2 (W - 1) latency
+ 8 n (W - 1) / W / bandwidth.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

SIZES = {
    "small": {"n_columns": 64, "hidden_layer_sizes": [64, 64], "latent_dim": 10},
    "big": {"n_columns": 784, "hidden_layer_sizes": [500, 500], "latent_dim": 50},
}
WAYS = {"every step": {}, "2 micro-batches": {"micro_batches": 2}, "16 local steps": {"local_steps": 16}}
WORKERS = (1, 2, 8, 32, 128, 1024)


def settings(size):
    return {name: value for name, value in SIZES[size].items() if name != "n_columns"}


def run_worker(size, way, batch_size, steps, rank, addresses):
    """Fit in this process; what an epoch took, as a dict."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % os.cpu_count()]})
    import keras
    import tensorflow as tf

    import keras_ssvae as ks
    from keras_ssvae import distributed

    marks = []

    class Mark(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            marks.append((time.perf_counter(), time.process_time()))

    X = np.random.RandomState(0).standard_normal((batch_size * steps, SIZES[size]["n_columns"])).astype(np.float32)
    model = ks.VAE(**settings(size), batch_size=batch_size, epochs=4, jit_compile=True, random_state=0, callbacks=[Mark()])
    with distributed.group(rank, addresses, **WAYS[way]) as group:
        model.fit(X)
        n_sent = model.network_.count_params()
        adding = 0.0
        if group.size > 1:
            vector = tf.zeros(n_sent)

            @tf.function(autograph=False)
            def add(count):
                return tf.while_loop(lambda i, _: i < count, lambda i, v: (i + 1, group.all_reduce(v)), (0, vector))[1]

            add(tf.constant(2))
            start = time.perf_counter()
            add(tf.constant(20))
            adding = (time.perf_counter() - start) / 20
        group.agree("the end", 0)
    seconds, cpu = (np.subtract(marks[-1], marks[0]) / (len(marks) - 1) / steps).tolist()
    return {"seconds": seconds, "cpu": cpu, "adding": adding, "n_sent": n_sent}


def measure(size, way, batch_size, steps, n_workers):
    """What a step of all workers took, in the mean over them."""
    from keras_ssvae.distributed.workers import free_addresses  # with TensorFlow, which workers load on their own core

    addresses = free_addresses("127.0.0.1", n_workers)
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{rank}.json" for rank in range(n_workers)]
        given = [size, way, batch_size, steps]
        commands = [
            [sys.executable, __file__, "--worker", json.dumps([*given, rank, addresses]), str(file)]
            for rank, file in enumerate(files)
        ]
        environment = {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
        workers = [subprocess.Popen(c, env=environment, stderr=subprocess.DEVNULL) for c in commands]
        codes = [worker.wait(timeout=600) for worker in workers]
        if any(codes):
            raise RuntimeError(f"workers of {given} ended with {codes}")
        found = pd.DataFrame([json.loads(file.read_text()) for file in files]).mean()
    return {"size": size, "way": way, "batch": batch_size, "workers": n_workers, **found}


def table(runs):
    """Rows a second, milliseconds, bytes and the share of adding up, one row a setting."""
    best = runs.groupby(["size", "way", "batch", "workers"], sort=False).median(numeric_only=True).reset_index()
    best["rows/s"] = (best["batch"] / best["seconds"]).round(0)
    alone = best[best["workers"] == 1].set_index(["size", "batch"])["rows/s"].groupby(level=[0, 1]).first()
    best["speed-up"] = [round(r["rows/s"] / alone[r["size"], r["batch"]], 2) for _, r in best.iterrows()]
    best["ms a step"] = (1e3 * best["seconds"]).round(2)
    best["CPU ms"] = (1e3 * best["cpu"]).round(2)
    local = [WAYS[way].get("local_steps", 1) for way in best["way"]]
    best["MB a step"] = (4e-6 * best["n_sent"] * (best["workers"] > 1) * np.where(np.array(local) > 1, 3, 1) / local).round(2)
    best["share of adding up"] = (best["adding"] / local / best["seconds"]).round(2)
    return best.drop(columns=["seconds", "cpu", "adding", "n_sent"])


def efficiency(n_workers, rows, n_sent, rate, overhead, latency, bandwidth, local_steps=1):
    """The share of its time that a worker computes, of `rows` rows a step."""
    computing = local_steps * (overhead + rows / rate)
    factor = 1 if local_steps == 1 else 3  # weights and both moments
    adding = 2 * (n_workers - 1) * latency + 8 * factor * n_sent * (n_workers - 1) / n_workers / bandwidth
    return computing / (computing + adding)


def calibrated(runs, size):
    """The rate and the overhead of one worker alone, seconds of one step by its rows; and the time to add up, here."""
    alone = (
        runs[(runs["size"] == size) & (runs["workers"] == 1) & (runs["way"] == "every step")]
        .groupby("batch")["seconds"]
        .median()
    )
    slope, overhead = np.polyfit(alone.index, alone.to_numpy(), 1)
    pair = runs[(runs["size"] == size) & (runs["workers"] == 2)]
    return {"rate": 1 / slope, "overhead": max(overhead, 1e-4), "n_sent": pair["n_sent"].iloc[0]}, pair["adding"].median()


def simulate(runs, gbit, latency):
    """Print the efficiency by workers, for networks of the sizes that were measured."""
    for size in runs["size"].unique():
        cost, adding = calibrated(runs, size)
        worker = f"a worker of {cost['rate']:.0f} rows/s, {1e3 * cost['overhead']:.1f} ms a step besides"
        print(f"\n{size}: {cost['n_sent']:.0f} weights, {worker}; {1e3 * adding:.2f} ms to add up between two here")
        print(f"efficiency in % over {gbit:g} Gbit/s, {1e6 * latency:.0f} us a message, by workers:")
        frame = pd.DataFrame({
            (rows, steps): [
                round(100 * efficiency(w, rows, **cost, latency=latency, bandwidth=gbit / 8 * 0.8e9, local_steps=steps))
                for w in WORKERS
            ]
            for rows in (128, 1024, 8192)
            for steps in (1, 32)
        }, index=WORKERS)  # fmt: skip
        print(frame.rename_axis(columns=["rows a worker", "local steps"]).to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--turns", type=int, default=2, help="how often one and two workers take turns")
    parser.add_argument("--steps", type=int, default=48, help="steps an epoch")
    parser.add_argument("--gbit", type=float, default=10.0, help="of the network that is simulated")
    parser.add_argument("--latency", type=float, default=100e-6, help="seconds a message, of the network that is simulated")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        given, file = options.worker
        Path(file).write_text(json.dumps(run_worker(*json.loads(given))))
        return
    runs = []
    for _ in range(options.turns):
        for size in options.sizes:
            for batch in (256, 2048):
                ways = [("every step", 1), *((way, 2) for way in (WAYS if batch == 2048 else ["every step"]))]
                for way, n_workers in ways:
                    runs.append(measure(size, way, batch, options.steps, n_workers))
                    print(
                        ", ".join(f"{k} {v if isinstance(v, str) else format(v, '.4g')}" for k, v in runs[-1].items()),
                        flush=True,
                    )
    runs = pd.DataFrame(runs)
    print(table(runs).to_string(index=False))
    simulate(runs, options.gbit, options.latency)


if __name__ == "__main__":
    main()
