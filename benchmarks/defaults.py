"""How good are the defaults on splits that nobody tuned them on?

Digits, the sets of the SSL book, tables of KEEL, the tables of scikit-learn and, if named, MNIST, each with a few labels.
The splits and tables that may be looked at while defaults are chosen ("tune") stand in this script beside those that are
only reported ("report"). Error, calibration and seconds of ours and its peers, all with their defaults. With
--misleading: what rows without labels do that have nothing to do with the labelled ones. With --images: what the shape does.
"""

import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from common import (
    OURS,
    SAME_NETWORK,
    Rows,
    add_methods,
    argument_parser,
    at_most,
    command_line,
    compare,
    digits_split,
    ece,
    fit_seconds,
    hide_labels,
    load_mnist,
    load_tables,
    markdown,
    write_section,
)
from keel import full_name, prepare
from keel import methods as methods_on_tables
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC

LOGISTIC = "LogisticRegression, labels only"
REFUSALS = (ValueError, np.linalg.LinAlgError)  # what scikit-learn raises where labels are too few for a method
TOO_SLOW = {"mnist": ["SelfTraining(SVC)"]}  # an SVC on 60,000 rows, ten times five-fold
TIE, SLACK = 0.5, 1.5  # points of error
PROTOCOLS = ("10 %", "2 a class")
TABLES_TUNED_ON = ("bands", "breast", "contraceptive", "monk-2", "phoneme", "saheart", "segment", "splice", "vehicle")
TABLES_REPORTED = ("chess", "letter", "movement_libras", "mushroom", "sonar", "tae", "texture", "wine")
TABLES_NEW = ("chess", "letter", "mushroom", "texture")  # of those reported; other splits of the rest chose defaults once
MOST_ROWS = 6000
SHIPPED = {"breast_cancer": (load_breast_cancer, 20), "wine": (load_wine, 12), "iris": (load_iris, 12)}
TUNED = "keel, tuned on"  # known to who chooses defaults, whatever the split


class Work(NamedTuple):
    """Sets with their numbers of labels, and the seeds (or numbers of ready splits) of each part."""

    cells: list
    tune: range
    report: range


WORKS = {
    "digits": Work([("digits", labels) for labels in ("10", "20", "50", "100")], range(2), range(10, 20)),
    "sslbook": Work([(name, n) for name in ("digit1", "usps", "coil", "g241c") for n in ("10", "100")], range(2), range(2, 12)),
    "keel": Work([(name, labels) for name in TABLES_REPORTED for labels in PROTOCOLS], range(0), range(10, 15)),
    TUNED: Work([(name, labels) for name in TABLES_TUNED_ON for labels in PROTOCOLS], range(2), range(10, 15)),
    "sklearn": Work([(name, str(labels)) for name, (_, labels) in SHIPPED.items()], range(2), range(10, 15)),
    "mnist": Work([("mnist", "100")], range(1), range(10, 12)),
}
PARTS = ("tune", "report")
PARTS_OF_WORK = {name: [each for each in WORKS if each.partition(",")[0] == name] for name in WORKS if "," not in name}

NOTES = f"""
Error in %. Digits, KEEL and scikit-learn: 30 % of the rows are test rows that no method saw (digits: 540), the others
train. The SSL book is transductive: its own splits, and the error is that on the unlabelled rows of the fit, by `predict`.
Labels: "10 %" of each class, at least two; "2 a class" (for movement_libras the same rows); a number is spread evenly over
the classes. Tables above {MOST_ROWS} rows (letter) are thinned to that, stratified, anew for each seed.

Tune and report share no split. Digits, the sets of the SSL book and the tables of scikit-learn are the same in both: new
splits, not new data. The tables of KEEL that are tuned on are shown apart in the report, on splits of their own; no default
is chosen on the others any more. Before this division other splits of some of them had a say (NOTES.md): movement_libras,
sonar, tae and wine in the number of epochs, sonar and tae in the share of hidden cells. And wine is also a table of
scikit-learn. So new as data, for classification, are {", ".join(TABLES_NEW)}, though `keel.py` has reported their errors.

SemiSupervisedVAE is handed the rows as they are: a table as pandas reads it, digits 0 to 16, images of 0 to 255. The others
get tables filled, standardised and one-hot encoded by all training rows, digits / 16, the SSL book standardised, and images
/ 255. Defaults everywhere (LogisticRegression: max_iter=1000; SVC: probability=True). A cell is a set with a number of
labels; means are over cells, each the mean of its seeds, and only over the runs that ours has; rank 1 is best. A method that
lacks one of those runs, or refused it, has a dash and no place in the overall table. ECE: ten bins of equal width of the
largest probability. Brier: squared error of the probabilities, summed over the classes. A row for which a peer has no
probability at all (LabelSpreading has such) counts as equal shares. SVC's probabilities come from a calibration that can
turn their order around where labels are few; SelfTraining believes them. Seconds of `fit`, and of `predict` for one row
(median of five, after a first). They are rough: other programs ran beside it.
"""

FIGURE_NOTES = """
![ours beside the best peer; error beside seconds](figures/defaults.png)

The best peer is chosen by its test error, for each set and number of labels anew: no one could choose it in advance. Of:"""

# ---------------------------------------------------------------------------------------------------------- measures


def brier(y, probabilities):
    """Return the mean over rows of the squared distance, summed over classes, between probabilities and true class."""
    return ((probabilities - np.eye(probabilities.shape[1])[y]) ** 2).sum(axis=1).mean()


def regret(errors, *others):
    """Return by how many points each error is above the smallest of the others; below zero where it is better."""
    return np.asarray(errors) - np.min(others, axis=0)


def outcomes(errors, others, tie=TIE):
    """Return how often the errors are smaller, within `tie`, and larger than the others."""
    difference = np.asarray(errors) - np.asarray(others)
    return int((difference < -tie).sum()), int((np.abs(difference) <= tie).sum()), int((difference > tie).sum())


def over_all_classes(estimator, probabilities, n_classes):
    """Return probabilities with a column for each class, also those without a label; rows without any: equal shares."""
    full = np.zeros((len(probabilities), n_classes))
    full[:, estimator.classes_] = probabilities
    empty = ~(full.sum(axis=1) > 0)
    full[empty] = 1 / n_classes
    return full


def seconds_of_one_row(estimator, X):
    """Return the median of five predictions of the first row, after one that does not count."""
    estimator.predict(X[:1])
    times = []
    for _ in range(5):
        start = time.perf_counter()
        estimator.predict(X[:1])
        times.append(time.perf_counter() - start)
    return float(np.median(times))


# --------------------------------------------------------------------------------------------------------------- data


class Data(NamedTuple):
    """One split: rows for ours and for the peers, training and test; hidden labels are -1 in `y_few`."""

    raw: tuple
    matrices: tuple
    y_few: np.ndarray
    y_test: np.ndarray
    n_classes: int


def plan(works, part, seeds=None, sets=None):
    """Return the runs ``(work, set, labels, seed)`` of a part ("tune" or "report"), seed by seed."""
    runs = [
        (work, name, labels, seed)
        for work in works
        for seed in getattr(WORKS[work], part)
        for name, labels in WORKS[work].cells
    ]
    return [run for run in runs if (seeds is None or run[3] in seeds) and (sets is None or run[1] in sets)]


def load(folder, work, name, labels, seed):
    """Return the `Data` of one run of the plan."""
    if work == "sslbook":
        return load_transductive(folder / "sslbook" / f"{name}.npz", labels, seed)
    if work == "digits":
        split, peers = digits_split(seed), lambda X: X / 16
    elif work == "mnist":
        split, peers = load_mnist(folder / "mnist.npz"), lambda X: X.reshape(len(X), -1) / np.float32(255)
    else:
        X, y = (
            SHIPPED[name][0](return_X_y=True, as_frame=True)
            if work == "sklearn"
            else load_tables(folder / "keel", [name])[name]
        )
        y = np.asarray(y)
        X, y = at_most(MOST_ROWS, X, y, seed)
        split, peers = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed), None
    X_train, X_test, y_train, y_test = split
    n_classes = len(np.unique(y_train))
    matrices = (peers(X_train), peers(X_test)) if peers else prepare(X_train, X_test)
    kept, at_least = {"10 %": (0.1, 2), "2 a class": (2 * n_classes, 0)}.get(labels) or (int(labels), 0)
    return Data((X_train, X_test), matrices, hide_labels(y_train, kept, seed, at_least=at_least), y_test, n_classes)


def load_transductive(path, labels, split):
    """Return the `Data` of a set of the SSL book: all rows train, the unlabelled ones test."""
    with np.load(path) as file:
        X, y, kept = file["X"], file["y"].astype(int), file[f"labeled{labels}"][split]
    y_few = np.full_like(y, -1)
    y_few[kept] = y[kept]
    scaled, hidden = StandardScaler().fit_transform(X), y_few == -1
    return Data((X, X[hidden]), (scaled, scaled[hidden]), y_few, y[hidden], len(np.unique(y)))


# ---------------------------------------------------------------------------------------------------------------- runs


def methods(seed, params):
    """Name -> (a function that makes the estimator, whether it is handed the unlabelled rows): those of KEEL, and more."""
    # Deprecated, but the calibration that is to replace it refuses classes with fewer than five labels.
    machine = SVC(probability=True, random_state=seed)
    boosting = HistGradientBoostingClassifier(random_state=seed)
    return {
        **methods_on_tables(seed, params),
        "SVC, labels only": (lambda: machine, False),
        "HistGradientBoosting, labels only": (lambda: boosting, False),
        "SelfTraining(LogisticRegression)": (lambda: SelfTrainingClassifier(LogisticRegression(max_iter=1000)), True),
    }


def measure(name, data, seed, params):
    """Fit one method on one split and return the values of its row; NaN, and the reason printed, if a peer refuses it."""
    make, reads_unlabelled = methods(seed, params)[name]
    train, test = data.raw if name == OURS else data.matrices
    used = slice(None) if reads_unlabelled else data.y_few != -1
    estimator = make()
    try:
        seconds = fit_seconds(estimator, train[used], data.y_few[used])
        predicted, probabilities = estimator.predict(test), estimator.predict_proba(test)
    except REFUSALS as error:
        if name == OURS:
            raise
        print(f"{name} refused: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return dict.fromkeys(VALUES, np.nan)
    if name == OURS and not np.isfinite(probabilities).all():
        raise ValueError(f"{name} gave probabilities that are not finite.")
    probabilities = over_all_classes(estimator, probabilities, data.n_classes)
    return {
        "error": 100 * np.mean(predicted != data.y_test),
        "ece": ece(data.y_test, probabilities),
        "brier": brier(data.y_test, probabilities),
        "seconds": seconds,
        "predict_seconds": seconds_of_one_row(estimator, test),
    }


KEYS = ["method", "work", "set", "labels", "part", "seed"]
VALUES = ["error", "ece", "brier", "seconds", "predict_seconds"]


def run(args, rows):
    """Run what `rows` lacks."""
    for part in args.parts:
        for work, name, labels, seed in plan(args.works, part, args.seeds, args.sets):
            keys = {
                method: dict(zip(KEYS, (full_name(method, args.params), work, name, labels, part, seed), strict=True))
                for method in args.methods
                if method not in TOO_SLOW.get(work, ())
            }
            missing = [method for method, key in keys.items() if key not in rows]
            data = load(args.data, work, name, labels, seed) if missing else None
            for method in missing:
                rows.add(keys[method], **measure(method, data, seed, args.params))


# ------------------------------------------------------------------------------------------------------------- summary


def in_order(table):
    """Sort a frame with index levels "work", "set" and "labels" as the plan has them, and make them columns."""
    plan = pd.DataFrame([(work, *cell) for work in WORKS for cell in WORKS[work].cells], columns=["work", "set", "labels"])
    cells = pd.MultiIndex.from_frame(plan[list(table.index.names)].drop_duplicates())
    return table.reindex(cells[cells.isin(table.index)]).reset_index()


def overall(frame, name):
    """The table of every method over all cells, with the wins, ties and losses of `name` against it; and the cells."""
    table, cells = compare(frame, "error")
    for value in ("ece", "brier"):
        table[value] = compare(frame, value)[0][f"mean {value}"]
    for value in ("seconds", "predict_seconds"):
        table[value.replace("_", " ")] = frame.groupby("method")[value].mean()
    table = table.drop(columns="std over seeds")  # a seed has other cells than the next
    if name in table.index:
        counts = {other: "/".join(map(str, outcomes(cells[name], cells[other]))) for other in table.index.drop(name)}
        table["won/tied/lost"] = [counts.get(method, "") for method in table.index]
    return table, cells


def regrets(frame, name, network):
    """By work and in all: the share of runs of `name` at most `SLACK` points above the better of two simple peers."""
    wide = frame.pivot(index=["work", "table", "seed"], columns="method", values="error")
    wide = wide.reindex(columns=[name, LOGISTIC, network]).dropna()
    points = pd.Series(regret(wide[name], wide[LOGISTIC], wide[network]), wide.index)
    groups = [*points.groupby("work"), ("all", points)]
    lines = [(work, len(each), 100 * (each <= SLACK).mean(), each.mean(), each.max()) for work, each in groups]
    return pd.DataFrame(lines, columns=["work", "runs", f"% within {SLACK}", "mean", "largest"])


def describe(frame, name, network):
    """All tables of one part in markdown."""
    table, cells = overall(frame, name)
    mean = cells.rename_axis("table").join(frame.drop_duplicates("table").set_index("table")[["work", "set", "labels"]])
    by_set = mean.set_index(["work", "set", "labels"])
    by_work = by_set.groupby(["work", "labels"]).mean(skipna=False)
    shown = table.reset_index(names="method")
    shown["predict seconds"] = shown["predict seconds"].map("{:.4f}".format)
    pieces = [markdown(shown), f"By work and labels:\n\n{markdown(in_order(by_work), 1)}"]
    if {name, network, LOGISTIC} <= set(frame["method"]):
        words = f"Error of {name} above the better of {LOGISTIC} and {network}, run by run:"
        pieces.append(f"{words}\n\n{markdown(regrets(frame, name, network), 1)}")
    if "keel" in by_set.index:
        keel = by_set.loc[["keel"]]
        seen = np.where(keel.index.get_level_values("set").isin(TABLES_NEW), "new", "other splits chose defaults once")
        groups = keel.groupby(seen).mean(skipna=False).reset_index(names="tables of keel")
        pieces.append(f"KEEL, all its cells:\n\n{markdown(groups, 1)}")
    pieces.append(f"By set:\n\n{markdown(in_order(by_set), 1)}")
    return "\n\n".join(pieces)


def parts_of(frame, name):
    """Yield a title and the rows of each part: the report, the tables tuned on apart, and what was tuned on."""
    frame = frame.assign(labels=frame["labels"].astype(str))
    frame["table"] = frame[["work", "set", "labels"]].agg(" · ".join, axis=1)
    if name in set(frame["method"]):
        done = frame.loc[(frame["method"] == name) & frame["error"].notna(), ["part", "table", "seed"]]
        frame = frame.merge(done)
    report, known = frame["part"] == "report", frame["work"] == TUNED
    parts = {
        "Report": frame[report & ~known],
        "Tables of KEEL that were tuned on, other splits": frame[report & known],
        "Tuned on: the splits and tables that may choose defaults": frame[~report],
    }
    return {title: each for title, each in parts.items() if len(each)}


def draw(frame, name, path):
    """Plot ours against the best peer, a point a cell, and mean error against seconds, a point a method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
    looks = [(colors[i % 7], "osv^D"[i % 5]) for i in range(35)]
    table, cells = overall(frame, name)
    figure, axes = plt.subplots(1, 2, figsize=(10, 5.6), layout="constrained")
    work = frame.drop_duplicates("table").set_index("table")["work"].reindex(cells.index)
    best = cells[[method for method in cells if not method.startswith(OURS)]].min(axis=1)
    for (color, marker), each in zip(looks, WORKS):
        if (work == each).any():
            axes[0].plot(best[work == each], cells[name][work == each], marker, ms=5, alpha=0.8, color=color, label=each)
    top = 1.05 * max(best.max(), cells[name].max())
    axes[0].plot([0, top], [0, top], ":", color="grey", lw=1)
    axes[0].set(xlabel="best peer, error in %", ylabel="ours, error in %", title="a point a set and number of labels")
    for (color, marker), (method, line) in zip(looks, table.iterrows()):
        size = 9 if method == name else 6
        axes[1].plot(line["seconds"], line["mean error"], marker, ms=size, color=color, label=method)
    axes[1].set(xscale="log", xlabel="seconds of a fit", ylabel="mean error in %", title="a point a method")
    for ax in axes:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8, frameon=False)  # below the axes
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


# ---------------------------------------------------------------------------------------------- misleading unlabelled rows

AS_THEY_ARE, NO_ROWS = "as they are", "none: the labelled rows alone"
MISLEADING_NOTES = """
Digits with 100 labels, error in % on the 540 test rows (std over seeds, ddof 1). Only the unlabelled training rows change.
Above: the error minus that of the same split without any unlabelled row, and the largest of these over the seeds; and minus
that of the network of the same size trained on the labelled rows, which is given no other rows either.
"""


def misleading_rows(X, y, seed):
    """Name -> rows that take the place of the unlabelled digits `X`, whose hidden classes are `y`."""
    rng = np.random.default_rng(seed)
    return {
        AS_THEY_ARE: X,
        "uniform noise": rng.uniform(0, 16, X.shape),
        "shifted by a column and inverted": 16 - np.roll(X.reshape(-1, 8, 8), 1, axis=2).reshape(X.shape),
        "classes 0 and 1 alone": X[y <= 1],
        "of another table (normal)": rng.standard_normal(X.shape) * X.std(axis=0),
        NO_ROWS: X[:0],
    }


def digits_splits(args):
    """The (part, seed) of the splits of the digits that are asked for."""
    seeds = [(part, seed) for part in args.parts for seed in getattr(WORKS["digits"], part)]
    return [(part, seed) for part, seed in seeds if args.seeds is None or seed in args.seeds]


def mislead(args, rows):
    """Run ours with each kind of unlabelled rows, and the labels-only network, on every split of the digits."""
    for part, seed in digits_splits(args):
        X_train, X_test, y_train, y_test = digits_split(seed)
        y_few = hide_labels(y_train, 100, seed)
        known = y_few != -1
        kinds = misleading_rows(X_train[~known], y_train[~known], seed)
        for method, kind in [*((OURS, kind) for kind in kinds), (SAME_NETWORK, NO_ROWS)]:
            key = {"method": full_name(method, args.params), "unlabelled": kind, "part": part, "seed": seed}
            if key in rows:
                continue
            X = np.concatenate([X_train[known], kinds[kind]])
            y = np.concatenate([y_few[known], np.full(len(kinds[kind]), -1)])
            estimator = methods(seed, args.params)[method][0]()
            seconds = fit_seconds(estimator, X, y)
            rows.add(key, error=100 * np.mean(estimator.predict(X_test) != y_test), seconds=seconds)


def misleading_summary(frame, params):
    """A table for each part: the errors by kind of unlabelled rows, and how far they are above those without any."""
    name, network = (full_name(method, params) for method in (OURS, SAME_NETWORK))
    pieces = []
    for part, runs in frame.groupby("part", sort=False):
        wide = runs[runs["method"] == name].pivot(index="unlabelled", columns="seed", values="error")
        peer = runs[runs["method"] == network].set_index("seed")["error"]
        above = wide - wide.loc[NO_ROWS]
        table = wide.agg(["mean", "std"], axis=1)
        table["above no rows"], table["largest"] = above.mean(axis=1), above.max(axis=1)
        table["above the network"] = (wide - peer).mean(axis=1)
        table = table.reindex(runs["unlabelled"].drop_duplicates()).reset_index()
        words = f"{part.capitalize()}: {name}; {network}: {peer.mean():.2f}."
        pieces.append(f"{words}\n\n{markdown(table, 2)}")
    return "\n\n".join(pieces)


# ------------------------------------------------------------------------------------------------------ images, and flat

IMAGES_NOTES = """
Ours on the same splits and labels, handed images of 8 x 8 (explained by a Bernoulli likelihood) and rows of 64 numbers
(Gaussian); error in % on the 540 test rows. Seconds of `fit`; rough: other programs may have run beside it.
"""


def compare_shapes(args, rows):
    """Run ours on digits as images and as rows, with 50 and 100 labels."""
    for part, seed in digits_splits(args):
        X_train, X_test, y_train, y_test = digits_split(seed)
        for labels in (50, 100):
            y_few = hide_labels(y_train, labels, seed)
            for shape, of_row in (("images", (8, 8)), ("flat", (64,))):
                key = {"method": full_name(OURS, args.params), "shape": shape, "labels": labels, "part": part, "seed": seed}
                if key in rows:
                    continue
                estimator = methods(seed, args.params)[OURS][0]()
                seconds = fit_seconds(estimator, X_train.reshape(-1, *of_row), y_few)
                probabilities = over_all_classes(estimator, estimator.predict_proba(X_test.reshape(-1, *of_row)), 10)
                error = 100 * np.mean(estimator.classes_[probabilities.argmax(axis=1)] != y_test)
                rows.add(key, error=error, ece=ece(y_test, probabilities), seconds=seconds)


def shapes_summary(frame):
    """Means by part, number of labels and shape, and on how many splits images were better, as good, and worse."""
    table = frame.groupby(["part", "labels", "shape"])[["error", "ece", "seconds"]].mean()
    table["seeds"] = frame.groupby(["part", "labels", "shape"]).size()
    for (part, labels), runs in frame.groupby(["part", "labels"]):
        wide = runs.pivot(index="seed", columns="shape", values="error").dropna()
        table.loc[(part, labels, "images"), "won/tied/lost"] = "/".join(map(str, outcomes(wide["images"], wide["flat"])))
    return markdown(table.fillna({"won/tied/lost": ""}).reset_index(), 2)


# ---------------------------------------------------------------------------------------------------------------- main


def parse(arguments=None):
    """Return the options; `parts` and `works` are those of ``--splits`` and ``--work``."""
    parser = argument_parser(__doc__, seeds=0)
    parser.set_defaults(seeds=None)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with sslbook/, keel/ and mnist.npz")
    without_mnist = [work for work in PARTS_OF_WORK if work != "mnist"]
    parser.add_argument("--work", nargs="+", choices=list(PARTS_OF_WORK), default=without_mnist, help="default: all but mnist")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="of the work only the sets with these names")
    parser.add_argument(
        "--splits", choices=[*PARTS, "all"], default="report", help="which part; --seeds keeps some of its seeds"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--misleading", action="store_true", help="instead: digits with unlabelled rows of another kind")
    instead.add_argument("--images", action="store_true", help="instead: ours on digits as images beside the same pixels flat")
    add_methods(parser, methods(0, {}))
    args = parser.parse_args(arguments)
    args.parts = PARTS if args.splits == "all" else [args.splits]
    args.works = ["digits"] if args.misleading or args.images else [part for work in args.work for part in PARTS_OF_WORK[work]]
    if args.data is None and not {"digits", "sklearn"}.issuperset(args.works):
        parser.error("--data DIR is needed, but for --work digits sklearn: nothing is downloaded")
    if not any(plan(args.works, part, args.seeds, args.sets) for part in args.parts):
        parser.error("nothing to run: no split of the work has these seeds and sets")
    return args


def main():
    """Run what is not in the CSV yet, then write the section and the figure."""
    args = parse()
    warnings.filterwarnings("ignore", message="The `probability` parameter", category=FutureWarning)
    warnings.filterwarnings("ignore", message="invalid value encountered in divide", module="sklearn.semi_supervised")
    name, network = (full_name(method, args.params) for method in (OURS, SAME_NETWORK))
    if args.misleading:
        section, title = "defaults_misleading", "Defaults: unlabelled rows that mislead"
        rows = Rows(args.out, section, ["method", "unlabelled", "part", "seed"], ["error", "seconds"], args.resume)
        mislead(args, rows)
        frame, notes = rows.frame(), MISLEADING_NOTES
        text = misleading_summary(frame, args.params)
    elif args.images:
        section, title = "defaults_images", "Defaults: images beside the same pixels flat"
        keys, values = ["method", "shape", "labels", "part", "seed"], ["error", "ece", "seconds"]
        rows = Rows(args.out, section, keys, values, args.resume)
        compare_shapes(args, rows)
        frame, notes = rows.frame(), IMAGES_NOTES
        text = shapes_summary(frame)
    else:
        section, title = "defaults", "Defaults on splits that nobody tuned on"
        rows = Rows(args.out, section, KEYS, VALUES, args.resume)
        run(args, rows)
        frame, notes = rows.frame(), NOTES
        parts = parts_of(frame, name)
        text = "\n\n".join(f"### {heading}\n\n{describe(part, name, network)}" for heading, part in parts.items())
        heading, part = next(iter(parts.items()))
        if {name} < set(part["method"]):
            draw(part, name, args.out / "figures" / "defaults.png")
            notes += f"{FIGURE_NOTES} {heading}.\n"
    write_section(section, title, command_line(), text, notes, rows=frame, out=args.out, needs=name)


if __name__ == "__main__":
    main()
