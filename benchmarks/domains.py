"""Do labels of one domain serve another? Accuracy on the rows of a target whose labels nobody saw, or few.

All rows of a source have labels. Methods are handed the rows of the target, too, and judged on them.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_methods,
    argument_parser,
    command_line,
    load_mnist,
    load_tables,
    markdown,
    ours,
    timed,
    write_section,
)
from scipy.linalg import eigh, fractional_matrix_power
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

PLACES = ("caltech", "amazon", "webcam", "dslr")
TUNED_ON = ("caltech > amazon", "caltech > webcam", "amazon > dslr", "webcam > caltech", "dslr > amazon", "dslr > webcam")
SPLIT_BY = {"chess": "x5", "mushroom": "x3", "saheart": "x4", "breast": "x4", "contraceptive": "x5"}  # a category of two halves
N_DIGITS = 1000  # rows of each domain
N_TABLE = 1200
WORKS = ("surf", "few labels", "digits", "mnist", "never worse", "tables", "batch effect")
NOTES = """
Accuracy in %, mean over seeds, on the rows of the target. surf: Office-Caltech, rows divided by their sum, 12 tasks;
"tuned" are the six that adapters were chosen by; figures of the other six, "rest", were seen meanwhile. few labels:
three of the tasks with 1, 3 and 5 labels a class in the target. digits: MNIST at 8 x 8 (means of 2.5 pixels of the
inner 20 x 20) and scikit-learn's digits. mnist: digits at 8 x 8 that are rotated, inverted, or noisy. never worse:
domains that are the same; and a target that shares no class, where what counts is the accuracy on rows of the source
that were not handed in. tables: KEEL, split by a category, with labels on one side. Ours: "source only" is not handed
the target, "unlabelled" is handed it without a word of domains, "domain" is told. CORAL and TCA (40 dimensions, linear
kernel) are a few lines of our own before a logistic regression (C=0.1), on columns standardised in each domain, as "LR,
z by domain" is; LR and 1-NN standardise all rows together. batch effect: a device that shifts and scales columns;
silhouette of the codes by class (higher is better) and by device (lower is better).
"""


def standardised(source, target, apart):
    """Both, flat, standardised each by itself or together."""
    source, target = (np.reshape(rows, (len(rows), -1)).astype(float) for rows in (source, target))
    if not apart:
        scaler = StandardScaler().fit(np.concatenate([source, target]))
        return scaler.transform(source), scaler.transform(target)
    return StandardScaler().fit_transform(source), StandardScaler().fit_transform(target)


def linear(Xs, ys, Xt):
    return LogisticRegression(C=0.1, max_iter=1000).fit(Xs, ys).predict(Xt)


def coral(Xs, ys, Xt):
    """B. Sun et al. (2016), "Return of Frustratingly Easy Domain Adaptation": the source gets the target's covariance."""
    cov_s, cov_t = (np.cov(X.T) + np.eye(X.shape[1]) for X in (Xs, Xt))
    recolor = fractional_matrix_power(cov_s, -0.5) @ fractional_matrix_power(cov_t, 0.5)
    return linear(Xs @ recolor.real, ys, Xt)


def tca(Xs, ys, Xt, dim=40):
    """S. Pan et al. (2011), "Domain Adaptation via Transfer Component Analysis", with a linear kernel."""
    X, mark = np.concatenate([Xs, Xt]), np.concatenate([np.full(len(Xs), 1 / len(Xs)), np.full(len(Xt), -1 / len(Xt))])
    gap, centered = X.T @ mark, X - X.mean(axis=0)
    scale = np.trace(X.T @ X) / X.shape[1]
    _, directions = eigh(centered.T @ centered, len(X) * np.outer(gap, gap) + scale * np.eye(X.shape[1]))
    W = directions[:, ::-1][:, :dim]
    return linear(StandardScaler().fit_transform(Xs @ W), ys, StandardScaler().fit_transform(Xt @ W))


def peers():
    """Name -> function (Xs, ys, Xt) -> predictions."""
    return {
        "1-NN": lambda Xs, ys, Xt: KNeighborsClassifier(1).fit(*_first(Xs, ys, Xt)).predict(standardised(Xs, Xt, False)[1]),
        "LR": lambda Xs, ys, Xt: linear(*_with_y(Xs, ys, Xt, False)),
        "LR, z by domain": lambda Xs, ys, Xt: linear(*_with_y(Xs, ys, Xt, True)),
        "CORAL": lambda Xs, ys, Xt: coral(*_with_y(Xs, ys, Xt, True)),
        "TCA": lambda Xs, ys, Xt: tca(*_with_y(Xs, ys, Xt, True)),
    }


def _first(Xs, ys, Xt):
    return standardised(Xs, Xt, False)[0], ys


def _with_y(Xs, ys, Xt, apart):
    source, target = standardised(Xs, Xt, apart)
    return source, ys, target


def our_ways():
    """Name -> function (X, y, domain, seed, params) -> a fitted model."""
    return {
        "ours, source only": lambda X, y, d, *of: ours(*of).fit(X[(d == 0) | (y != -1)], y[(d == 0) | (y != -1)]),
        "ours, unlabelled": lambda X, y, d, *of: ours(*of).fit(X, y),
        "ours, domain": lambda X, y, d, *of: ours(*of).fit(X, y, domain=np.array(["source", "target"])[d]),
    }


def surf(data):
    """Task -> (Xs, ys, Xt, yt)."""
    with np.load(data / "domains" / "office_caltech_surf.npz") as file:
        X = {place: file[f"{place}_X"].astype(float) for place in PLACES}
        y = {place: file[f"{place}_y"].astype(int) for place in PLACES}
    X = {place: rows / np.maximum(rows.sum(axis=1, keepdims=True), 1) for place, rows in X.items()}
    return {f"{a} > {b}": (X[a], y[a], X[b], y[b]) for a in PLACES for b in PLACES if a != b}


def box(images):
    """(n, 28, 28) -> (n, 8, 8): means over the inner 20 x 20 pixels, from 0 to 1."""
    fine = images[:, 4:24, 4:24].astype(float).repeat(2, 1).repeat(2, 2)
    return fine.reshape(-1, 8, 5, 8, 5).mean(axis=(2, 4)) / 255


def digit_rows(data, seed):
    X, _, y, _ = load_mnist(data / "mnist.npz")
    order = np.random.RandomState(seed).permutation(len(X))
    return X[order], y[order]


def digits(data, seed):
    X, y = digit_rows(data, seed)
    X_small, (X_digits, y_digits) = box(X[:N_DIGITS]), load_digits(return_X_y=True)
    X_digits = X_digits.reshape(-1, 8, 8) / 16
    return {
        "mnist > digits": (X_small, y[:N_DIGITS], X_digits, y_digits),
        "digits > mnist": (X_digits, y_digits, X_small, y[:N_DIGITS]),
    }


def changed(data, seed):
    X, y = digit_rows(data, seed)
    source, y_source = box(X[:N_DIGITS]), y[:N_DIGITS]
    others, y_others = X[N_DIGITS : 2 * N_DIGITS], y[N_DIGITS : 2 * N_DIGITS]
    plain, rng = box(others), np.random.RandomState(seed)
    made = {
        "rotated by 30": box(rotate(others.astype(float), 30, axes=(1, 2), reshape=False, order=1)),
        "rotated by 60": box(rotate(others.astype(float), 60, axes=(1, 2), reshape=False, order=1)),
        "inverted": 1 - plain,
        "noisy": np.clip(plain + rng.normal(scale=0.3, size=plain.shape), 0, 1),
    }
    return {name: (source, y_source, target, y_others) for name, target in made.items()}


def never_worse(data, seed):
    """Task -> (Xs, ys, Xt, yt, X_test, y_test); the test rows are the target's where it has the classes, else of the source."""
    X, y = digit_rows(data, seed)
    X, y = box(X[: 3 * N_DIGITS]), y[: 3 * N_DIGITS]
    low, high = y < 5, y >= 5
    same = X[:N_DIGITS], y[:N_DIGITS], X[N_DIGITS : 2 * N_DIGITS], y[N_DIGITS : 2 * N_DIGITS]
    n = N_DIGITS // 2
    return {
        "the same domain": (*same, *same[2:]),
        "no class shared": (X[low][:n], y[low][:n], X[high][:n], y[high][:n], X[low][n : 2 * n], y[low][n : 2 * n]),
    }


def tables(data, seed):
    found = {}
    for name, (frame, y) in load_tables(data / "keel", list(SPLIT_BY)).items():
        by = SPLIT_BY[name]
        kept = frame.notna().all(axis=1).to_numpy()
        frame, y = frame[kept].reset_index(drop=True), y[kept]
        side = (frame[by] == frame[by].value_counts().index[0]).to_numpy()
        rng = np.random.RandomState(seed)
        source, target = (rng.permutation(np.flatnonzero(s))[:N_TABLE] for s in (side, ~side))
        X = pd.get_dummies(frame.drop(columns=by)).to_numpy(float)
        found[name] = X[source], y[source], X[target], y[target]
    return found


def tasks(work, data, seed):
    """(task, Xs, ys, Xt, yt, X_test, y_test, indices of target rows whose label is told)."""
    if work == "few labels":
        some = surf(data)
        for task in ("caltech > webcam", "amazon > dslr", "webcam > amazon"):
            Xs, ys, Xt, yt = some[task]
            for count in (1, 3, 5):
                rng = np.random.RandomState(seed)
                told = np.concatenate([rng.permutation(np.flatnonzero(yt == k))[:count] for k in np.unique(yt)])
                rest = np.setdiff1d(np.arange(len(yt)), told)
                yield f"{count}: {task}", Xs, ys, Xt, yt, Xt[rest], yt[rest], told
        return
    made = {"surf": lambda: surf(data), "digits": lambda: digits(data, seed), "mnist": lambda: changed(data, seed)}
    made |= {"never worse": lambda: never_worse(data, seed), "tables": lambda: tables(data, seed)}
    for task, (Xs, ys, Xt, yt, *test) in made[work]().items():
        yield task, Xs, ys, Xt, yt, *(test or (Xt, yt)), np.empty(0, int)


def run(work, args, seed, rows):
    """All methods of one work and seed."""
    for task, Xs, ys, Xt, yt, X_test, y_test, told in tasks(work, args.data, seed):
        X, domain = np.concatenate([Xs, Xt]), np.repeat([0, 1], [len(Xs), len(Xt)])
        y = np.concatenate([ys, np.full(len(yt), -1)])
        y[len(ys) + told] = yt[told]
        rest = np.setdiff1d(np.arange(len(yt)), told)
        for name, method in peers().items() if work != "never worse" else ():
            key = {"work": work, "task": task, "method": name, "seed": seed}
            if name in args.methods and key not in rows:
                known = np.concatenate([Xs, Xt[told]]), np.concatenate([ys, yt[told]])
                predicted, seconds = timed(method, *known, Xt[rest])
                rows.add(key, accuracy=100 * np.mean(predicted == y_test), seconds=seconds)
        for name, way in our_ways().items():
            key = {"work": work, "task": task, "method": name, "seed": seed}
            if name in args.methods and key not in rows:
                model, seconds = timed(way, X, y, domain, seed, args.params)
                rows.add(key, accuracy=100 * np.mean(model.predict(X_test) == y_test), seconds=seconds)


def planted(seed):
    """Rows of three classes in ten columns, and three devices that shift and scale them."""
    rng = np.random.RandomState(seed)
    y, device = rng.randint(3, size=900), rng.randint(3, size=900)
    X = rng.normal(size=(900, 10)) + 2.0 * rng.normal(size=(3, 10))[y]
    return X * np.exp(0.4 * rng.normal(size=(3, 10)))[device] + 2.5 * rng.normal(size=(3, 10))[device], y, device


def batch_effect(args, seed, rows):
    """Silhouettes of codes with a tenth of the labels."""
    X, y, device = planted(seed)
    partly = np.where(np.random.RandomState(seed).rand(len(y)) < 0.1, y, -1)
    for name, given in (("ours, unlabelled", {}), ("ours, domain", {"domain": device})):
        keys = [
            {"work": "batch effect", "task": t, "method": name, "seed": seed} for t in ("by class", "by device", "accuracy")
        ]
        if all(key in rows for key in keys):
            continue
        model, seconds = timed(lambda given=given: ours(seed, args.params).fit(X, partly, **given))
        codes, hidden = model.transform(X), partly == -1
        values = silhouette_score(codes, y), silhouette_score(codes, device), np.mean(model.predict(X)[hidden] == y[hidden])
        for key, value in zip(keys, values, strict=True):
            rows.add(key, accuracy=100 * value, seconds=seconds)


def summary(frame):
    """Mean accuracies: tasks by methods, and means over the tasks of a work."""
    wide = frame.pivot_table(index=["work", "task"], columns="method", values="accuracy", aggfunc="mean", sort=False)
    means = {}
    for work, part in wide.groupby(level="work", sort=False):
        if work == "surf":
            tuned = part.index.get_level_values("task").isin(TUNED_ON)
            means["surf, 12 tasks"], means["surf, tuned"], means["surf, rest"] = (
                p.mean(skipna=False) for p in (part, part[tuned], part[~tuned])
            )
        elif work == "few labels":
            for count in (1, 3, 5):
                means[f"{count} labels a class"] = part[part.index.get_level_values("task").str.startswith(f"{count}:")].mean(
                    skipna=False
                )
        elif work in ("digits", "mnist", "tables"):
            means[work] = part.mean(skipna=False)
    seconds = frame.groupby("method", sort=False)["seconds"].mean().rename("seconds")
    table = pd.concat([pd.DataFrame(means).T.rename_axis("mean of"), seconds.to_frame().T.rename_axis("mean of")])
    return f"{markdown(table.reset_index())}\n\n{markdown(wide.reset_index())}"


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=3)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of domains/, keel/ and mnist.npz")
    parser.add_argument(
        "--works", nargs="+", choices=WORKS, default=list(WORKS), metavar="WORK", help=f"of: {', '.join(WORKS)}"
    )
    add_methods(parser, [*peers(), *our_ways()])
    args = parser.parse_args()
    rows = Rows(args.out, "domains", ["work", "task", "method", "seed"], ["accuracy", "seconds"], args.resume)
    for seed in args.seeds:
        for work in args.works:
            if work == "batch effect":
                batch_effect(args, seed, rows)
            else:
                run(work, args, seed, rows)
    frame = rows.frame()
    title = "Domains: labels of one, rows of another"
    write_section("domains", title, command_line(), summary(frame), NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
