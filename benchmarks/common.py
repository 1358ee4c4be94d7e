"""What the benchmarks share: splits, a labels-only network, rows that survive an interruption, sections of results."""

import argparse
import datetime
import gc
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

__all__ = [
    "OURS",
    "SAME_NETWORK",
    "LabelsOnlyNetwork",
    "Rows",
    "add_methods",
    "argument_parser",
    "at_most",
    "command_line",
    "compare",
    "digits_split",
    "fit_seconds",
    "hide_labels",
    "labels_only",
    "load_mnist",
    "load_tables",
    "markdown",
    "ours",
    "tables_parser",
    "timed",
    "variant",
    "write_section",
]

OURS = "SemiSupervisedVAE"
SAME_NETWORK = "same network, labels only"
NETWORK_PARAMS = ("hidden_layer_sizes", "code_layer_sizes", "activation")
PACKAGES = ("keras_ssvae", "tensorflow", "keras", "scikit-learn", "numpy", "pandas")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # the progress lines are the output


# ---------------------------------------------------------------------------------------------------------- options


def argument_parser(doc, seeds):
    """Return a parser with the options every benchmark has.

    Parameters
    ----------
    doc : str
        The docstring of the script; shown by ``--help``.
    seeds : int
        The default is this many seeds: 0, 1, ...

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(seeds)), help="one run a seed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of RESULTS.md and results/")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the CSV and add those missing")
    parser.add_argument("--params", type=json.loads, default={}, help="constructor parameters of our estimator, JSON")
    return parser


def tables_parser(doc, methods):
    """Return the parser of a benchmark on many tables: `argument_parser` with three seeds, and which tables and methods.

    Parameters
    ----------
    doc : str
        The docstring of the script.
    methods : iterable of str
        The names of all methods.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argument_parser(doc, seeds=3)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of csv.gz, last column target")
    parser.add_argument("--tables", nargs="+", help="names of files without the ending; default: all that fit")
    add_methods(parser, methods)
    return parser


def add_methods(parser, methods):
    """Give a parser the option ``--methods``: some of those named, by default all."""
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(methods),
        default=list(methods),
        metavar="METHOD",
        help=f"some of: {', '.join(methods)}",
    )


def command_line():
    """Return the command as typed, with folders left out: they belong to one machine."""

    def without_folders(argument):
        if argument.startswith("{"):
            return argument
        option, equals, value = argument.rpartition("=")
        return option + equals + Path(value).name if "/" in value or os.sep in value else argument

    arguments = [shlex.quote(without_folders(argument)) for argument in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def variant(name, params):
    """Return the name of a method with the parameters, among those it reads, that differ from its defaults."""
    if name == SAME_NETWORK:
        params = {key: value for key, value in params.items() if key in NETWORK_PARAMS}
    return f"{name} {json.dumps(params, sort_keys=True)}" if params else name


# ------------------------------------------------------------------------------------------------------------- data


def digits_split(seed):
    """Return ``X_train, X_test, y_train, y_test`` of scikit-learn's digits: 1257 and 540 rows, stratified, 0 to 16."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=540, stratify=y, random_state=seed)


def load_mnist(path):
    """Return ``X_train, X_test, y_train, y_test`` of an npz with those names (lower case); images stay uint8."""
    with np.load(path) as data:
        return data["x_train"], data["x_test"], data["y_train"].astype(int), data["y_test"].astype(int)


def load_tables(folder, names=None):
    """Return the tables of a folder of ``NAME.csv.gz``, just as pandas reads them.

    Parameters
    ----------
    folder : Path
        Each file has a header, its last column is ``target``, and empty cells are missing.
    names : sequence of str or None
        Only these tables.

    Returns
    -------
    dict of str to (DataFrame, ndarray of int)
        Name -> (all columns but the target, the classes as 0, 1, ... in the order of their names).

    Raises
    ------
    ValueError
        If there is no table, or a name has none.
    """
    paths = {path.name.removesuffix(".csv.gz"): path for path in sorted(Path(folder).glob("*.csv.gz"))}
    unknown = sorted(set(names or ()) - set(paths))
    if unknown or not paths:
        raise ValueError(f"{folder} has the tables {list(paths)}; asked for: {unknown or 'any'}.")
    frames = {name: pd.read_csv(paths[name]) for name in paths if names is None or name in names}
    return {name: (X, np.unique(X.pop("target"), return_inverse=True)[1]) for name, X in frames.items()}


def at_most(n, X, y, seed):
    """Return rows and their classes as they are, or n of them, stratified by class, where they are more."""
    return (X, y) if len(y) <= n else train_test_split(X, y, train_size=n, stratify=y, random_state=seed)[::2]


def hide_labels(y, labeled, random_state, unlabeled=-1, at_least=0):
    """Return a copy of y in which all but a few labels are replaced by `unlabeled`.

    Unlike `keras_ssvae.model_selection.mask_labels`, a count is spread evenly over the classes, whatever their sizes,
    because that is how the published tables count: 100 labels of MNIST are ten of each digit.

    Parameters
    ----------
    y : ndarray of shape (n,)
        All labels.
    labeled : int or float
        An int: that many labels in all, equally many of each class (what is left over goes to classes drawn at
        random). A float in [0, 1]: that share of the rows of each class.
    random_state : int
        Seed of the choice. A larger share contains every smaller one of the same seed.
    unlabeled : int, default=-1
        The value of a hidden label.
    at_least : int, default=0
        No class keeps fewer labels than this.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If a class has fewer rows than labels are asked of it.
    """
    if not isinstance(labeled, float) and labeled >= len(y):
        return y.copy()
    rng = np.random.default_rng(random_state)
    classes, sizes = np.unique(y, return_counts=True)
    orders = [rng.permutation(np.flatnonzero(y == label)) for label in classes]
    if isinstance(labeled, float):
        counts = np.round(labeled * sizes).astype(int)
    else:
        counts = np.full(len(classes), labeled // len(classes))
        counts[rng.permutation(len(classes))[: labeled % len(classes)]] += 1
    counts = np.maximum(counts, at_least)
    if (counts > sizes).any():
        raise ValueError(f"labeled={labeled} asks for {counts.max()} rows of a class; the smallest has {sizes.min()}.")
    kept = np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)])
    hidden = np.full_like(y, unlabeled)
    hidden[kept] = y[kept]
    return hidden


# ---------------------------------------------------------------------------------------------------------- methods


def ours(seed, params=None, family=OURS):
    """Return the package's estimator with its default parameters, except `params`; TensorFlow is loaded here."""
    import tensorflow  # noqa: F401  (its import must not count as fitting time)

    import keras_ssvae

    return getattr(keras_ssvae, family)(**{"random_state": seed, **(params or {})})


def labels_only(**params):
    """Return the labels-only network that matches ``SemiSupervisedVAE(**params)``.

    Parameters
    ----------
    **params
        Parameters of SemiSupervisedVAE; the hidden layers, the activation and the seed are read from it. Values that
        it decides by itself in `fit` (None, "auto") are replaced by the defaults of `LabelsOnlyNetwork`.

    Returns
    -------
    LabelsOnlyNetwork
    """
    wanted = ours(0, params).get_params()
    network = LabelsOnlyNetwork(random_state=wanted["random_state"])
    for name in ("hidden_layer_sizes", "activation"):
        if wanted.get(name) not in (None, "auto"):
            network.set_params(**{name: wanted[name]})
    if "code_layer_sizes" in params:  # who sets them has a code below the pi layer: labels pass through all layers
        network.set_params(hidden_layer_sizes=(*params["code_layer_sizes"], *network.hidden_layer_sizes))
    return network


class LabelsOnlyNetwork(ClassifierMixin, BaseEstimator):
    """The encoder of SemiSupervisedVAE with a softmax on top, trained on the labelled rows alone.

    The inputs are standardised with the means and deviations of all rows given to `fit`, unlabelled ones too, and cut
    at `clip` deviations: with a few labels, a column that is constant among them would otherwise be left unscaled.
    Only the labelled rows train weights: AdamW, the rate times 0.2 after 70 % of the steps, no early stopping.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(128, 128)
    activation : str, default="silu"
    learning_rate : float, default=2e-3
    weight_decay : float, default=1e-3
    batch_size : int, default=128
        Fewer labelled rows than that make one full batch.
    min_steps, min_epochs : int, default=1500, 10
        Optimizer steps: the larger of `min_steps` and `min_epochs` passes over the labelled rows.
    clip : float, default=5.0
        Largest magnitude of a standardised input.
    unlabeled : int, default=-1
        Rows with this label do not train the network.
    random_state : int, default=0
        Seed of the initial weights and of the batches.
    """

    def __init__(
        self,
        hidden_layer_sizes=(128, 128),
        activation="silu",
        learning_rate=2e-3,
        weight_decay=1e-3,
        batch_size=128,
        min_steps=1500,
        min_epochs=10,
        clip=5.0,
        unlabeled=-1,
        random_state=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.min_steps = min_steps
        self.min_epochs = min_epochs
        self.clip = clip
        self.unlabeled = unlabeled
        self.random_state = random_state

    def fit(self, X, y):
        """Train on the rows whose label is known."""
        import keras

        known = y != self.unlabeled
        rows = np.reshape(X, (len(X), -1))
        self.mean_ = rows.mean(axis=0, dtype=float)
        deviation = rows.std(axis=0, dtype=float)
        self.scale_ = np.where(deviation > 0, deviation, 1.0)
        self.classes_, codes = np.unique(y[known], return_inverse=True)

        batch = min(self.batch_size, len(codes))
        steps = max(self.min_steps, int(np.ceil(self.min_epochs * len(codes) / batch)))
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [int(0.7 * steps)], [self.learning_rate, 0.2 * self.learning_rate]
        )
        self.network_ = self._make_network(rows.shape[1])
        self.network_.compile(
            optimizer=keras.optimizers.AdamW(rate, weight_decay=self.weight_decay),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        batches = self._batches(self._standardise(rows[known]), codes.astype("int32"), batch, steps)
        self.network_.fit(batches, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return self

    def predict(self, X):
        """Return the most probable label of each row."""
        return self.classes_[np.argmax(self._logits(X), axis=1)]

    def predict_proba(self, X):
        """Return the probability of each class, in the order of `classes_`."""
        return softmax(self._logits(X), axis=1)

    def _logits(self, X):
        rows = self._standardise(np.reshape(X, (len(X), -1)))
        return np.asarray(self.network_(rows, training=False), dtype=float)

    def _standardise(self, rows):
        return np.clip((rows - self.mean_) / self.scale_, -self.clip, self.clip).astype("float32")

    def _make_network(self, n_columns):
        import keras

        def dense(width, activation, layer):
            initializer = keras.initializers.GlorotUniform(seed=1000 * self.random_state + layer)
            return keras.layers.Dense(width, activation=activation, kernel_initializer=initializer)

        hidden = [dense(width, self.activation, layer) for layer, width in enumerate(self.hidden_layer_sizes)]
        head = dense(len(self.classes_), None, len(hidden))
        return keras.Sequential([keras.Input((n_columns,)), *hidden, head])

    def _batches(self, rows, codes, batch, steps):
        """Batches of equal size, each pass over the rows in a new order."""
        import tensorflow as tf

        rng = np.random.default_rng(self.random_state)
        passes = int(np.ceil(steps * batch / len(codes)))
        order = np.concatenate([rng.permutation(len(codes)) for _ in range(passes)])[: steps * batch]
        rows, codes = tf.constant(rows), tf.constant(codes)
        chosen = tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch).astype("int32"))
        return chosen.map(lambda rows_of_step: (tf.gather(rows, rows_of_step), tf.gather(codes, rows_of_step)))


def timed(function, *data):
    """Return what a function returns and the seconds it took; earlier networks are released before the clock runs."""
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()
    start = time.perf_counter()
    result = function(*data)
    return result, time.perf_counter() - start


def fit_seconds(estimator, *data):
    """Fit, and return the seconds it took."""
    return timed(estimator.fit, *data)[1]


# ------------------------------------------------------------------------------------------------------------- rows


class Rows:
    """The rows of one benchmark, written to ``results/NAME.csv`` one by one as they come.

    Parameters
    ----------
    out : Path
        The folder that holds ``results/``.
    name : str
        Name of the file, without the ending, and of the section in RESULTS.md.
    keys : sequence of str
        The columns that identify a row: its settings. One of them is "seed".
    values : sequence of str
        The columns that are measured. One of them is "seconds".
    resume : bool, default=False
        Keep the rows in the file. Otherwise the file starts anew.

    Raises
    ------
    ValueError
        If the file to be resumed has other columns.
    """

    def __init__(self, out, name, keys, values, resume=False):
        self.name = name
        self.keys = list(keys)
        self.columns = [*keys, *values, "code"]
        self.path = Path(out) / "results" / f"{name}.csv"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not (resume and self.path.exists()):
            pd.DataFrame(columns=self.columns).to_csv(self.path, index=False)
        stored = pd.read_csv(self.path, dtype=str, keep_default_na=False)
        if list(stored.columns) != self.columns:
            raise ValueError(f"{self.path} has the columns {list(stored.columns)}, not {self.columns}: move it away.")
        self._done = set(stored[self.keys].itertuples(index=False, name=None))
        self._code = _fingerprint()

    def __contains__(self, key):
        return tuple(str(key[name]) for name in self.keys) in self._done

    def add(self, key, **values):
        """Append one row to the file and print it."""
        row = {**key, **values, "code": self._code}
        pd.DataFrame([row], columns=self.columns).to_csv(self.path, mode="a", header=False, index=False)
        self._done.add(tuple(str(key[name]) for name in self.keys))
        shown = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in {**key, **values}.items())
        print(time.strftime("%H:%M:%S"), " · ".join(shown), flush=True)

    def frame(self):
        """Return all rows in the file as a DataFrame; method names and texts are strings, the rest numbers."""
        return pd.read_csv(self.path)


def _fingerprint():
    """Name the state of the package's source, so that rows of different states can be told apart."""
    spec = importlib.util.find_spec("keras_ssvae")
    if spec is None or spec.origin is None:
        return "absent"
    digest = hashlib.sha256()
    for source in sorted(Path(spec.origin).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return "s" + digest.hexdigest()[:8]


# ---------------------------------------------------------------------------------------------------------- results


def markdown(frame, decimals=3):
    """Return a DataFrame as a markdown table: its columns, not its index; NaN as a dash."""

    def cell(value):
        if isinstance(value, (float, np.floating)):
            return "–" if np.isnan(value) else f"{value:.{decimals}f}"
        return str(value).replace("|", "\\|")

    lines = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False, name=None)]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def ece(y, probabilities, bins=10):
    """Return the expected calibration error of the largest probability, over bins of equal width.

    Parameters
    ----------
    y : ndarray of shape (n,)
        The true classes 0, 1, ...
    probabilities : ndarray of shape (n, n_classes)
    bins : int, default=10
        Each holds its upper edge, the first also 0.

    Returns
    -------
    float
        Mean over the rows of the distance between the share of right rows and the mean probability in the row's bin.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=right - confidence, minlength=bins)
    return np.abs(gaps).sum() / len(y)


def compare(rows, value):
    """Compare methods over many tables by a value that is better the smaller it is.

    Parameters
    ----------
    rows : DataFrame
        One row a run, with the columns "method", "table", "seed", `value` and "seconds".
    value : str
        The column to compare.

    Returns
    -------
    overall : DataFrame
        A row a method: the mean of `value` over tables and seeds, the deviation over seeds of its mean over tables, the
        mean rank (of the table's mean among the methods), the runs and the mean seconds. Only methods that have every
        run: means over different tables say nothing.
    by_table : DataFrame
        Tables x methods: mean over the seeds; NaN where a method lacks a run.
    """
    wide = rows.pivot(index=["table", "seed"], columns="method", values=value)
    by_table = wide.groupby("table").mean(skipna=False)
    whole = wide.dropna(axis=1)
    overall = pd.DataFrame(
        {
            f"mean {value}": by_table[whole.columns].mean(),
            "std over seeds": whole.groupby("seed").mean().std(),
            "mean rank": by_table[whole.columns].rank(axis=1).mean(),
            "runs": whole.count(),
            "seconds": rows.groupby("method")["seconds"].mean().reindex(whole.columns),
        }
    )
    overall = overall.sort_values(f"mean {value}")
    return overall, by_table[[*overall.index, *by_table.columns.difference(overall.index)]]


def write_section(name, title, command, table, notes="", *, rows, out, needs=None):
    """Write one section of ``RESULTS.md`` and print its table; the sections of other benchmarks stay as they are.

    Parameters
    ----------
    name : str
        The section stands between ``<!-- begin name -->`` and ``<!-- end name -->``.
    title : str
        Its heading.
    command : str
        The command that made it.
    table : DataFrame or str
        A DataFrame, or markdown.
    notes : str, default=""
        What has to be said about the table.
    rows : DataFrame
        The raw rows: their seeds, number, seconds and states of the source are reported.
    out : Path
        The folder of ``RESULTS.md``.
    needs : str or None
        Without a row of this method the table is only printed: a run of the peers alone is no result.
    """
    body = table if isinstance(table, str) else markdown(table)
    if needs is not None and needs not in set(rows["method"]):
        print(f"\n{body}\n\nRESULTS.md stays as it is: no row of {needs}", flush=True)
        return
    seeds = ", ".join(str(seed) for seed in sorted(rows["seed"].unique()))
    states = ", ".join(sorted(rows["code"].unique()))
    facts = (
        f"Seeds {seeds} · {len(rows)} rows in `results/{name}.csv` · {rows['seconds'].sum() / 60:.1f} minutes of "
        f"fitting · source {states} · {datetime.date.today().isoformat()}"
    )
    if rows["code"].nunique() > 1:
        facts += "\n\n**The rows come from different states of the source.**"
    parts = [f"## {title}", f"    {command}", f"{facts}\n\n{_machine()}", body, notes.strip()]
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = "\n\n".join([begin, *filter(None, parts), end])

    path = Path(out) / "RESULTS.md"
    heading = "# Results\n\nWritten by the scripts of this folder, not by hand; a rerun replaces its own section.\n"
    text = path.read_text(encoding="utf-8") if path.exists() else heading
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), flags=re.DOTALL)
    text = pattern.sub(lambda _: section, text) if pattern.search(text) else f"{text.rstrip()}\n\n{section}\n"
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    path.with_suffix(".tmp").replace(path)
    print(f"\n{body}\n\nwrote the section {name} of {path.name}", flush=True)


def _machine():
    """One line on the processor, the system and the versions."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    processor = model.group(1) if model else platform.processor() or platform.machine()
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a checkout: the state of the source is reported anyway
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} · {', '.join(versions)}"
