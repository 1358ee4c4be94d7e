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
from common import Rows, argument_parser, command_line, markdown, write_section

SIZES = {
    "small": {"n_columns": 64, "hidden_layer_sizes": [64, 64], "latent_dim": 10},
    "big": {"n_columns": 784, "hidden_layer_sizes": [500, 500], "latent_dim": 50},
}
WAYS = {"every step": {}, "2 micro-batches": {"micro_batches": 2}, "16 local steps": {"local_steps": 16}}
BATCHES = (256, 2048)  # rows; of the last all ways are measured
WORKERS = (1, 2, 8, 32, 128, 1024)
KEYS = ["size", "way", "batch", "steps", "workers", "seed"]
VALUES = ["step", "cpu", "adding", "n_sent", "seconds"]
NOTES = """
One worker alone and two on the loopback, each a process on a core of its own, take turns, one a seed; medians over them. step:
milliseconds of a step of all rows of a batch, in the mean over the epochs after the first; CPU: what a worker computes of it.
Speed-up: against one worker and the same batch. MB: what each worker sends a step. Adding up: the share of its time that two
workers need to add up all weights once, measured by itself. The tables by workers are computed, not measured.
"""


def settings(size):
    return {name: value for name, value in SIZES[size].items() if name != "n_columns"}


def run_worker(size, way, batch_size, steps, seed, params, rank, addresses):
    """Fit in this process; seconds of a step, as a dict."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % os.cpu_count()]})
    import keras
    import tensorflow as tf

    import keras_ssvae as ks
    from keras_ssvae import distributed

    marks = []

    class Mark(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            marks.append((time.perf_counter(), time.process_time()))

    start = time.perf_counter()
    X = np.random.RandomState(seed).standard_normal((batch_size * steps, SIZES[size]["n_columns"])).astype(np.float32)
    model = ks.VAE(**{**settings(size), "epochs": 4, "jit_compile": True, **params}, batch_size=batch_size, random_state=seed)
    model.set_params(callbacks=[Mark()])
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
            begin = time.perf_counter()
            add(tf.constant(20))
            adding = (time.perf_counter() - begin) / 20
        group.agree("the end", 0)
    step, cpu = (np.subtract(marks[-1], marks[0]) / (len(marks) - 1) / steps).tolist()
    seconds = time.perf_counter() - start
    return {"step": step, "cpu": cpu, "adding": adding, "n_sent": n_sent, "seconds": seconds}


def measure(size, way, batch, steps, workers, seed, params):
    """What a step of all workers took, in the mean over them."""
    from keras_ssvae.distributed.workers import free_addresses  # with TensorFlow, which workers load on their own core

    addresses = free_addresses("127.0.0.1", workers)
    threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{rank}.json" for rank in range(workers)]
        given = [size, way, batch, steps, seed, params]
        commands = [
            [sys.executable, __file__, "--worker", json.dumps([*given, rank, addresses]), str(file)]
            for rank, file in enumerate(files)
        ]
        environment = {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes = [subprocess.Popen(c, env=environment, stderr=subprocess.DEVNULL) for c in commands]
        codes = [process.wait(timeout=600) for process in processes]
        if any(codes):
            raise RuntimeError(f"workers of {given} ended with {codes}")
        return pd.DataFrame([json.loads(file.read_text()) for file in files]).mean().to_dict()


def table(runs):
    """Rows a second, milliseconds, bytes and the share of adding up, one row a setting."""
    best = runs.groupby(["size", "way", "batch", "workers"], sort=False)[VALUES].median().reset_index()
    best["rows/s"] = best["batch"] / best["step"]
    alone = best[best["workers"] == 1].set_index(["size", "batch"])["rows/s"]
    local = np.array([WAYS[way].get("local_steps", 1) for way in best["way"]])
    sent = 4e-6 * best["n_sent"] * (best["workers"] > 1) * np.where(local > 1, 3, 1) / local
    shown = best[["size", "way", "batch", "workers"]].assign(
        **{"rows/s": best["rows/s"].map("{:,.0f}".format)},
        **{"speed-up": [f"{r['rows/s'] / alone[r['size'], r['batch']]:.2f}" for _, r in best.iterrows()]},
        **{"step, ms": (1e3 * best["step"]).map("{:.2f}".format), "CPU, ms": (1e3 * best["cpu"]).map("{:.2f}".format)},
        **{"MB": sent.map("{:.2f}".format), "adding up": (best["adding"] / local / best["step"]).map("{:.2f}".format)},
    )
    return markdown(shown)


def efficiency(n_workers, rows, *, n_sent, rate, overhead, latency, bandwidth, local_steps=1):
    """The share of its time that a worker computes, of `rows` rows a step."""
    computing = local_steps * (overhead + rows / rate)
    factor = 1 if local_steps == 1 else 3  # weights and both moments
    adding = 2 * (n_workers - 1) * latency + 8 * factor * n_sent * (n_workers - 1) / n_workers / bandwidth
    return computing / (computing + adding)


def calibrated(runs, size):
    """The rate and the overhead of one worker alone, seconds of one step by its rows; and the time to add up, here."""
    alone = (
        runs[(runs["size"] == size) & (runs["workers"] == 1) & (runs["way"] == "every step")].groupby("batch")["step"].median()
    )
    slope, overhead = np.polyfit(alone.index, alone.to_numpy(), 1)
    pair = runs[(runs["size"] == size) & (runs["workers"] == 2)]
    return {"rate": 1 / slope, "overhead": max(overhead, 1e-4), "n_sent": pair["n_sent"].iloc[0]}, pair["adding"].median()


def simulate(runs, gbit, latency):
    """The efficiency by workers, for networks of the sizes that were measured, in markdown."""
    parts = []
    for size in runs["size"].unique():
        cost, adding = calibrated(runs, size)
        if cost["rate"] <= 0:
            parts.append(
                f"{size}: more rows took no longer, so nothing follows for more workers; take larger --batches or --steps."
            )
            continue
        worker = f"a worker of {cost['rate']:.0f} rows/s, {1e3 * cost['overhead']:.1f} ms a step besides"
        cost |= {"latency": latency, "bandwidth": gbit / 8 * 0.8e9}
        frame = pd.DataFrame([
            {"rows a worker": rows, "local steps": steps}
            | {f"{w} workers": round(100 * efficiency(w, rows, **cost, local_steps=steps)) for w in WORKERS}
            for rows in (128, 1024, 8192)
            for steps in (1, 32)
        ])  # fmt: skip
        parts.append(
            f"{size}: {cost['n_sent']:.0f} weights, {worker}; {1e3 * adding:.2f} ms to add up between two here. % of the time "
            f"spent computing, over {gbit:g} Gbit/s and with {1e6 * latency:.0f} us a message:\n\n{markdown(frame)}"
        )
    return "\n\n".join(parts)


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=2)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="rows; two or more")
    parser.add_argument("--steps", type=int, default=48, help="steps an epoch")
    parser.add_argument("--gbit", type=float, default=10.0, help="of the network that is simulated")
    parser.add_argument("--latency", type=float, default=100e-6, help="seconds a message, of the network that is simulated")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        given, file = args.worker
        Path(file).write_text(json.dumps(run_worker(*json.loads(given))))
        return
    if len(args.batches) < 2:
        parser.error("--batches: the cost of a step is calibrated by two sizes at least.")
    rows = Rows(args.out, "distributed", KEYS, VALUES, args.resume)
    for seed in args.seeds:
        for size in args.sizes:
            for batch in args.batches:
                ways = [("every step", 1), *((way, 2) for way in (WAYS if batch == args.batches[-1] else ["every step"]))]
                for way, workers in ways:
                    key = dict(zip(KEYS, (size, way, batch, args.steps, workers, seed), strict=True))
                    if key not in rows:
                        rows.add(key, **measure(**key, params=args.params))
    frame = rows.frame()
    tables = f"{table(frame)}\n\n{simulate(frame, args.gbit, args.latency)}"
    write_section("distributed", "Two workers, and many", command_line(), tables, NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
