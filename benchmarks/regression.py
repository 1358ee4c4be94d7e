"""How good is it where the target is a number, known for every tenth row?

Diabetes of scikit-learn; the three functions of Friedman (1991) with noise; and tables of KEEL of which a numeric column is
the target: of those with at least ten values, the ones a quarter and three quarters along. 30 % of the rows are the test rows;
of the others 10 % have a target. R2 on the test rows, which no method saw.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from common import Rows, add_methods, argument_parser, command_line, fit_seconds, markdown, ours, variant, write_section
from keel import prepare
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

OURS = "SemiSupervisedVAERegressor"
PEERS = ("Ridge", "RandomForest", "MLP")
FRIEDMAN = {"friedman1": (make_friedman1, 1.0), "friedman2": (make_friedman2, 125.0), "friedman3": (make_friedman3, 0.1)}
KEEL = ("bands", "letter", "movement_libras", "phoneme", "saheart", "segment", "sonar", "texture", "vehicle", "wine")
MAX_ROWS = 3000  # of a table

NOTES = """
R2 on the test rows, each cell the mean over the seeds; where it is below -1, the mean over tables counts -1. "Best peer" is,
table by table, the one with the best mean: nobody knows it beforehand. All peers learn from the rows with a target alone; their
columns are filled with the median and standardised, words are one-hot encoded, by all training rows. Defaults everywhere (MLP:
max_iter=1000, the target standardised). "Within" is the share of test targets within 1.96 of our standard deviations of our
prediction; 0.95 would be right. Experts, their weights and the terms of the loss were chosen on other columns of the tables
(the first, the middle and the last), and on diabetes and Friedman's functions, all with the splits of seed 10.
"""


def tasks(folder, seed):
    """Name -> (X, target): DataFrames with gaps and words as they are, targets without gaps."""
    found = {"diabetes": load_diabetes(return_X_y=True, as_frame=True)}
    for name, (make, noise) in FRIEDMAN.items():
        X, t = make(1000, noise=noise, random_state=seed)
        found[name] = pd.DataFrame(X).add_prefix("x"), pd.Series(t)
    for table in KEEL:
        frame = pd.read_csv(Path(folder) / f"{table}.csv.gz").drop(columns="target")
        frame = frame.sample(min(len(frame), MAX_ROWS), random_state=0)
        numbers = frame.select_dtypes("number")
        columns = numbers.columns[numbers.nunique() >= 10]
        for column in (columns[len(columns) // 4], columns[3 * len(columns) // 4]):
            known = frame[frame[column].notna()]
            found[f"{table}, {column}"] = known.drop(columns=column), known[column]
    return {name: (X, t.to_numpy(float)) for name, (X, t) in found.items()}


def split(X, t, seed):
    """Return ``X_train, X_test, t_few, t_test``; unknown targets are NaN in `t_few`."""
    X_train, X_test, t_train, t_test = train_test_split(X, t, test_size=0.3, random_state=seed)
    known = np.random.RandomState(seed).permutation(len(t_train))[: max(10, round(0.1 * len(t_train)))]
    t_few = np.full(len(t_train), np.nan)
    t_few[known] = t_train[known]
    return X_train, X_test, t_few, t_test


def methods(seed, params):
    """Name -> a function that makes the estimator."""
    return {
        OURS: lambda: ours(seed, params, OURS),
        "Ridge": Ridge,
        "RandomForest": lambda: RandomForestRegressor(random_state=seed),
        "MLP": lambda: TransformedTargetRegressor(MLPRegressor(max_iter=1000, random_state=seed), transformer=StandardScaler()),
    }


def run(task, X, t, seed, args, rows):
    """Run the methods that `rows` lacks on one split of one table."""
    X_train, X_test, t_few, t_test = split(X, t, seed)
    matrices, known = prepare(X_train, X_test), ~np.isnan(t_few)
    for name in args.methods:
        key = {"method": variant(name, args.params) if name == OURS else name, "table": task, "seed": seed}
        if key in rows:
            continue
        estimator, within = methods(seed, args.params)[name](), np.nan
        if name == OURS:
            seconds = fit_seconds(estimator, X_train, t_few)
            predicted, deviation = estimator.predict(X_test, return_std=True)
            within = float(np.mean(np.abs(predicted - t_test) < 1.96 * deviation))
        else:
            seconds = fit_seconds(estimator, matrices[0][known], t_few[known])
            predicted = estimator.predict(matrices[1])
        rows.add(key, r2=r2_score(t_test, predicted), within=within, seconds=seconds)


def summary(frame, name):
    """The tables: every method over all tables, and every table's R2."""
    by_table = frame.pivot_table(index="table", columns="method", values="r2", aggfunc="mean", sort=False)
    mean = by_table.clip(lower=-1.0).mean().rename("mean R2")
    whole = pd.concat([mean, frame.groupby("method")[["within", "seconds"]].mean()], axis=1).reindex(mean.index)
    parts = [markdown(whole.sort_values("mean R2", ascending=False).reset_index(names="method"), 3)]
    if {name, *PEERS} <= set(by_table):
        best = by_table[list(PEERS)].max(axis=1)
        ahead = by_table[name] - best
        parts.append(
            f"R2 of {name} minus that of the best peer of the table: mean {ahead.mean():.3f}, median {ahead.median():.3f}, "
            f"least {ahead.min():.3f} ({ahead.idxmin()}); at least as good, to 0.005, on {(ahead > -0.005).sum()} of the "
            f"{len(ahead)} tables."
        )
        by_table = by_table.assign(**{"ahead of the best peer": ahead})
    return "\n\n".join([*parts, markdown(by_table.reset_index(), 3)])


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=3)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the tables of KEEL, csv.gz")
    parser.add_argument("--tables", nargs="+", help="some of the tables; default: all")
    add_methods(parser, methods(0, {}))
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    rows = Rows(args.out, "regression", ["method", "table", "seed"], ["r2", "within", "seconds"], args.resume)
    for seed in args.seeds:
        for task, (X, t) in tasks(args.data, seed).items():
            if args.tables is None or task in args.tables:
                run(task, X, t, seed, args, rows)
    name = variant(OURS, args.params)
    frame = rows.frame()
    write_section(
        "regression", "Numbers: a target for every tenth row", command_line(), summary(frame, name), NOTES, rows=frame,
        out=args.out, needs=name,
    )  # fmt: skip


if __name__ == "__main__":
    main()
