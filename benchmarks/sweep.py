"""From no label to all labels: does the same estimator work at every share, and is it ahead of its own encoder?

The encoder trained on the labelled rows alone is the comparison. With no label the estimator has to fit, to transform
and to score, and to refuse to predict; told only that there are ten classes, it has to find them (clustering accuracy:
each cluster counts as the class that suits it best, one to one).
"""

import numpy as np
from common import (
    OURS,
    SAME_NETWORK,
    Rows,
    argument_parser,
    command_line,
    digits_split,
    fit_seconds,
    hide_labels,
    labels_only,
    load_mnist,
    markdown,
    ours,
    variant,
    write_section,
)
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import accuracy_score
from sklearn.metrics.cluster import contingency_matrix

N_CLASSES = 10
LEVELS = {
    "0": 0,
    "1 in all": 1,
    "1 a class": N_CLASSES,
    "5 a class": 5 * N_CLASSES,
    "10 a class": 10 * N_CLASSES,
    "50 %": 0.5,
    "100 %": 1.0,
}
NOTES = """
Mean ± std over seeds (ddof 1) of the accuracy on the test rows. With one label in all there is one known class, so that
about a tenth is right. The network trained on labels only scales its inputs with all rows, and trains on the labelled.
"""


def clustering_accuracy(y, clusters):
    """Return the share of rows in the class matched to their cluster, by the best one-to-one matching."""
    counts = contingency_matrix(y, clusters)
    return counts[linear_sum_assignment(counts, maximize=True)].sum() / len(y)


def without_labels(estimator, X_test):
    """Return in words what a fit without any label can do; the contract is: all but predict."""
    finite = all(np.isfinite(method(X_test[:1000])).all() for method in (estimator.transform, estimator.score_samples))
    words = "fit works; transform and score_samples " + ("finite" if finite else "NOT FINITE")
    try:
        estimator.predict(X_test[:10])
    except (ValueError, AttributeError) as error:
        return f"{words}; predict raises {type(error).__name__}: {' '.join(str(error).split())}"
    return f"{words}; predict RAISES NOTHING"


def measure(level, method, params, split, seed):
    """Fit one method with one share of the labels and return the values of its row."""
    X_train, X_test, y_train, y_test = split
    y_few = hide_labels(y_train, LEVELS[level], seed)
    if method == SAME_NETWORK:
        estimator = labels_only(**{"random_state": seed, **params})
    else:
        estimator = ours(seed, params)
    values = {"n_labels": int((y_few != -1).sum()), "accuracy": np.nan, "clustering": np.nan, "outcome": ""}
    seconds = fit_seconds(estimator, X_train, y_few)
    if level != "0":
        values["accuracy"] = accuracy_score(y_test, estimator.predict(X_test))
    elif "classes" in params:
        values["clustering"] = clustering_accuracy(y_test, estimator.predict(X_test))
    else:
        values["outcome"] = without_labels(estimator, X_test)
    return {**values, "seconds": seconds}


def summary(frame):
    """The table: a row per share of labels, a column per method; and the outcomes of fits without labels."""
    groups = frame.groupby(["level", "n_labels", "method"], sort=False)
    table = groups["seed"].count().rename("seeds").to_frame()
    for value in ("accuracy", "clustering"):
        mean, std = groups[value].mean(), groups[value].std()
        table[value] = [
            "–" if np.isnan(m) else f"{m:.3f}" if np.isnan(s) else f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, std, strict=True)
        ]
    table["seconds of fit"] = groups["seconds"].mean().map("{:.1f}".format)
    table = table.reset_index().sort_values(["n_labels", "method"]).rename(columns={"n_labels": "labels"})
    outcomes = frame["outcome"].dropna()
    lines = [f"- {outcome} ({count} runs)" for outcome, count in outcomes.value_counts().items()]
    return "\n".join([markdown(table), "", "With no label and no `classes`:", "", *lines])


def draw(frame, path, title):
    """Plot accuracy against the number of labels: mean, spread, and every run."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for color, (method, runs) in enumerate(frame.dropna(subset=["accuracy"]).groupby("method", sort=False)):
        stats = runs.groupby("n_labels")["accuracy"].agg(["mean", "std"]).fillna(0.0)
        ax.plot(stats.index, stats["mean"], marker="o", ms=4, color=f"C{color}", label=method)
        low, high = stats["mean"] - stats["std"], stats["mean"] + stats["std"]
        ax.fill_between(stats.index, low, high, color=f"C{color}", alpha=0.2, lw=0)
        ax.plot(runs["n_labels"], runs["accuracy"], ".", ms=3, color=f"C{color}", alpha=0.5)
    clustering = frame["clustering"].mean()
    if np.isfinite(clustering):
        ax.axhline(clustering, color="gray", ls="--", lw=1, label="no labels, ten classes: clustering accuracy")
    ax.set(xscale="log", xlabel="labelled training rows", ylabel="test accuracy", ylim=(0, 1.02), title=title)
    ax.legend(loc="lower right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    """Run what is not in the CSV yet, then write the section and the figure."""
    parser = argument_parser(__doc__, seeds=5)
    parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--mnist", metavar="PATH", help="npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    args = parser.parse_args()
    if args.data == "mnist":
        if args.mnist is None:
            parser.error("--data mnist needs --mnist PATH: nothing is downloaded")
        if args.seeds == parser.get_default("seeds"):
            args.seeds = [0]
    name = f"sweep_{args.data}"
    values = ["n_labels", "accuracy", "clustering", "outcome", "seconds"]
    rows = Rows(args.out, name, ["method", "level", "seed"], values, args.resume)
    for seed in args.seeds:
        split = load_mnist(args.mnist) if args.data == "mnist" else digits_split(seed)
        for level in args.levels:
            runs = [(OURS, args.params)]
            runs.append((OURS, {**args.params, "classes": N_CLASSES}) if level == "0" else (SAME_NETWORK, args.params))
            for method, params in runs:
                key = {"method": variant(method, params), "level": level, "seed": seed}
                if key not in rows:
                    rows.add(key, **measure(level, method, params, split, seed))
    frame = rows.frame()
    title = {"digits": "Digits", "mnist": "MNIST"}[args.data] + ": from no label to all labels"
    draw(frame, args.out / "figures" / f"{name}.png", title)
    notes = f"{NOTES}\n![{title}](figures/{name}.png)"
    write_section(name, title, command_line(), summary(frame), notes, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
