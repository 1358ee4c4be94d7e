"""Do labels of normal rows help to find anomalies? Digits, each class in turn the anomaly that training never saw.

Training: 70 % of the rows of the nine normal classes, of which a share is labelled with its class. Test: the other
normal rows and all rows of the class held out. ROC-AUC of ``anomaly_score``.
"""

import numpy as np
from common import OURS, Rows, argument_parser, command_line, fit_seconds, hide_labels, markdown, ours, variant, write_section
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor

SHARES = {"0 %": 0.0, "10 %": 0.1, "100 %": 1.0}
PEERS = ("IsolationForest", "LocalOutlierFactor")
NOTES = """
Difference: to the same estimator with 0 % of the labels, on the same split and seed. Its standard error treats the
held-out classes as the sample: the seeds of a class are averaged first, because they share most of their rows. Classes
ahead: those with a positive mean difference. The peers have their default parameters (LocalOutlierFactor:
novelty=True) and read no labels.
"""


def split(held_out, seed):
    """Return ``X_train, y_train, X_test, strange``: normal rows to train on, and the rows to rank."""
    X, y = load_digits(return_X_y=True)
    normal, anomalies = y != held_out, X[y == held_out]
    X_train, X_normal, y_train, _ = train_test_split(
        X[normal], y[normal], train_size=0.7, stratify=y[normal], random_state=seed
    )
    strange = np.repeat([0, 1], [len(X_normal), len(anomalies)])
    return X_train, y_train, np.concatenate([X_normal, anomalies]), strange


def measure(key, params):
    """Fit one detector and return the key with the values of its row."""
    X_train, y_train, X_test, strange = split(key["held_out"], key["seed"])
    if key["method"] == "IsolationForest":
        detector, data = IsolationForest(random_state=key["seed"]), (X_train,)
    elif key["method"] == "LocalOutlierFactor":
        detector, data = LocalOutlierFactor(novelty=True), (X_train,)
    else:
        detector = ours(key["seed"], params)
        data = X_train, hide_labels(y_train, SHARES[key["labels"]], key["seed"])
    seconds = fit_seconds(detector, *data)
    return key, {"auc": roc_auc_score(strange, -detector.score_samples(X_test)), "seconds": seconds}


def summary(frame):
    """The two tables: means with paired differences, and the AUC of each held-out class."""
    order = {share: place for place, share in enumerate(SHARES)}
    classes = frame.pivot_table(index=["method", "labels"], columns="held_out", values="auc")
    classes = classes.sort_index(key=lambda level: level.map(order) if level.name == "labels" else level)
    table = classes.mean(axis=1).rename("mean AUC").to_frame()
    table["worst class"] = classes.min(axis=1)
    paired = frame.set_index(["method", "labels", "held_out", "seed"])["auc"].unstack("labels")
    for method, share in table.index:
        if share == "0 %" or "0 %" not in paired:
            continue
        difference = (paired.loc[method, share] - paired.loc[method, "0 %"]).groupby("held_out").mean().dropna()
        table.loc[(method, share), "difference to 0 %"] = difference.mean()
        table.loc[(method, share), "standard error"] = difference.std(ddof=1) / np.sqrt(len(difference))
        table.loc[(method, share), "classes ahead"] = f"{(difference > 0).sum()} of {len(difference)}"
    groups = frame.groupby(["method", "labels"])
    table["runs"] = groups.size()
    table["seconds of fit"] = groups["seconds"].mean().map("{:.1f}".format)
    if "classes ahead" in table:
        table["classes ahead"] = table["classes ahead"].fillna("–")
    per_class = classes.rename(columns="class {}".format).reset_index()
    return f"{markdown(table.reset_index(), 4)}\n\nMean AUC by held-out class:\n\n{markdown(per_class)}"


def main():
    """Run what is not in the CSV yet, in `--jobs` processes, then write the section."""
    parser = argument_parser(__doc__, seeds=2)
    parser.add_argument("--classes", type=int, nargs="+", default=list(range(10)), help="classes to hold out")
    parser.add_argument("--jobs", type=int, default=1, help="processes; sharing cores, each fit takes longer")
    args = parser.parse_args()
    rows = Rows(args.out, "anomaly", ["method", "labels", "held_out", "seed"], ["auc", "seconds"], args.resume)
    kinds = [*((variant(OURS, args.params), share) for share in SHARES), *((peer, "0 %") for peer in PEERS)]
    keys = [
        {"method": method, "labels": share, "held_out": held_out, "seed": seed}
        for seed in args.seeds
        for held_out in args.classes
        for method, share in kinds
    ]
    tasks = (delayed(measure)(key, args.params) for key in keys if key not in rows)
    for key, values in Parallel(n_jobs=args.jobs, return_as="generator_unordered")(tasks):
        rows.add(key, **values)
    frame = rows.frame()
    title = "Anomalies: do labels of the normal rows help?"
    notes = f"{NOTES.strip()} Processes: {args.jobs}."
    write_section("anomaly", title, command_line(), summary(frame), notes, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
