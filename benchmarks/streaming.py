"""How much memory does it take, and how fast is it, with more rows than memory should hold?

Folders of Parquet files of ever more rows, 20 columns of float32 with five classes of which every hundredth row is
labelled, are written one after the other, fitted for one epoch and predicted, each in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import OURS, Rows, argument_parser, command_line, markdown, ours, variant, write_section

N_COLUMNS, N_CLASSES, LABELED = 20, 5, 0.01
FILE_ROWS = 250_000
TEST_ROWS = 10_000
FOLDER, ARRAY = "folder", "DataFrame"
SMALL = {"hidden_layer_sizes": [64], "latent_dim": 5, "epochs": 1}
NOTES = f"""
Peak: the largest resident memory of the process that fits and predicts, and of one that only imports the package.
"{FOLDER}": `fit(folder, y="label")` and `predict(folder)`. "{ARRAY}": the same files, read by pandas, then handed over.
Rows a second: of `fit` with its first pass over the files and its compilation, and of `predict`. Accuracy: on {TEST_ROWS}
rows of which no label was shown. One epoch, {json.dumps(SMALL)}, defaults otherwise.
"""


def draw(n_rows, rng):
    """Return X, float32, and y: classes that differ in the means of pairs of columns, mixed by a random matrix."""
    mixing = np.random.default_rng(0).standard_normal((N_COLUMNS, N_COLUMNS)) / np.sqrt(N_COLUMNS)
    y = rng.integers(N_CLASSES, size=n_rows)
    X = rng.standard_normal((n_rows, N_COLUMNS))
    X[np.arange(n_rows), 2 * y] += 3
    X[np.arange(n_rows), 2 * y + 1] -= 3
    return (X @ mixing).astype(np.float32), y


def write_folder(folder, n_rows, seed):
    """Write the rows as Parquet files, one part after the other; unlabelled rows have an empty label."""
    rng = np.random.default_rng(seed)
    for number, start in enumerate(range(0, n_rows, FILE_ROWS)):
        X, y = draw(min(FILE_ROWS, n_rows - start), rng)
        frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(N_COLUMNS)])
        frame["label"] = np.where(rng.random(len(y)) < LABELED, y, np.nan)
        frame.to_parquet(folder / f"part-{number:05d}.parquet", index=False)


def peak_megabytes():
    """Return the largest resident memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(folder, how, seed, params):
    """Fit and predict, in a process that does nothing else; what it took, as a dict."""
    estimator = ours(seed, {**SMALL, **params})
    imported = peak_megabytes()
    start = time.perf_counter()
    X, y = folder, "label"
    if how == ARRAY:
        X = pd.read_parquet(folder)
        y = X.pop("label")
    estimator.fit(X, y)
    fitted = time.perf_counter()
    n_rows = len(estimator.predict(X))
    predicted = time.perf_counter()
    X_test, y_test = draw(TEST_ROWS, np.random.default_rng([seed, 1]))
    X_test = pd.DataFrame(X_test, columns=estimator.feature_names_in_)
    return {
        "peak_mb": peak_megabytes(),
        "import_mb": imported,
        "fit_rows_s": n_rows / (fitted - start),
        "predict_rows_s": n_rows / (predicted - fitted),
        "accuracy": estimator.score(X_test, y_test),
        "seconds": predicted - start,
    }


def run(folder, how, seed, params):
    """The same as `measure`, in a new process."""
    command = [sys.executable, __file__, "--measure", json.dumps([str(folder), how, seed, params])]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def summary(frame):
    """The table: a row per number of rows and way."""
    names = {
        "peak_mb": "peak, MB",
        "import_mb": "import alone, MB",
        "fit_rows_s": "fit, rows/s",
        "predict_rows_s": "predict, rows/s",
        "accuracy": "accuracy",
        "seconds": "seconds",
    }
    table = frame.groupby(["n_rows", "data", "method"], sort=False)[list(names)].mean()
    for name in names:
        table[name] = table[name].map("{:.3f}".format if name == "accuracy" else "{:,.0f}".format)
    table = table.rename(columns=names).reset_index().sort_values(["data", "n_rows"], ascending=[False, True])
    table["n_rows"] = table["n_rows"].map("{:,}".format)
    return markdown(table.rename(columns={"n_rows": "rows", "data": "X"}))


def plot(frame, path, title):
    """Peak memory against the number of rows, with the size of the bare numbers."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for data, runs in frame.groupby("data", sort=False):
        peaks = runs.groupby("n_rows")["peak_mb"].mean()
        ax.plot(peaks.index, peaks, marker="o", ms=4, label=f"fit and predict, X = {data}")
    sizes = np.sort(frame["n_rows"].unique())
    ax.plot(sizes, sizes * N_COLUMNS * 4 / 1e6, color="gray", ls=":", label="the numbers alone, float32")
    ax.axhline(frame["import_mb"].mean(), color="gray", ls="--", lw=1, label="import alone")
    ax.set(xscale="log", yscale="log", xlabel="rows", ylabel="peak resident memory, MB", title=title)
    ax.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    """Run what is not in the CSV yet, then write the section and the figure."""
    parser = argument_parser(__doc__, seeds=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**5, 10**6, 10**7], help="numbers of rows")
    parser.add_argument("--whole-up-to", type=int, default=10**6, metavar="ROWS", help="largest number handed over whole")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*json.loads(args.measure))))
        return
    values = ["peak_mb", "import_mb", "fit_rows_s", "predict_rows_s", "accuracy", "seconds"]
    rows = Rows(args.out, "streaming", ["method", "data", "n_rows", "seed"], values, args.resume)
    name = variant(OURS, args.params)
    for seed in args.seeds:
        for n_rows in args.sizes:
            keys = [{"method": name, "data": data, "n_rows": n_rows, "seed": seed} for data in (FOLDER, ARRAY)]
            keys = [key for key in keys if key not in rows and (key["data"] == FOLDER or n_rows <= args.whole_up_to)]
            if not keys:
                continue
            with tempfile.TemporaryDirectory() as folder:
                write_folder(Path(folder), n_rows, seed)
                for key in keys:
                    rows.add(key, **run(folder, key["data"], seed, args.params))
    frame = rows.frame()
    title = "More rows than memory should hold"
    plot(frame, args.out / "figures" / "streaming.png", title)
    notes = f"{NOTES}\n![{title}](figures/streaming.png)"
    write_section("streaming", title, command_line(), summary(frame), notes, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
