"""Which rows to label next: those that ``suggest_labels`` names, beside rows chosen by chance.

Digits (and a part of MNIST, with ``--mnist``): a first few labels, then ten more at a time, each time asked of the model fitted
to those before. Test: rows that no fit has seen. Both ways start from the same labels, and the same model.
"""

import numpy as np
import pandas as pd
from common import Rows, argument_parser, command_line, digits_split, fit_seconds, load_mnist, markdown, ours, write_section
from sklearn.model_selection import train_test_split

from keras_ssvae import mask_labels, suggest_labels

WAYS = ("suggest_labels", "chance")
FIRST, EACH, LAST = 20, 10, 100
MNIST_ROWS = 3000, 2000  # to train on, and to test
NOTES = """
Labels needed: the fewest labels with which `suggest_labels` is at least as good as chance with 100 of them, in percent of 100;
mean over the seeds. Defaults throughout.
"""


def split(data, seed, mnist):
    """Return ``X_train, X_test, y_train, y_test``."""
    if data == "digits":
        return digits_split(seed)
    X, _, y, _ = load_mnist(mnist)
    n_train, n_test = MNIST_ROWS
    return train_test_split(X.reshape(len(X), -1) / 255, y, train_size=n_train, test_size=n_test, stratify=y, random_state=seed)


def labelled(data, seed, way, mnist, params):
    """(number of labels, accuracy, seconds of the fit) of each round."""
    X_train, X_test, y_train, y_test = split(data, seed, mnist)
    y = mask_labels(y_train, labeled=FIRST, random_state=seed)
    by_chance = np.random.RandomState(seed).permutation(len(y))
    while True:
        model = ours(seed, params)
        seconds = fit_seconds(model, X_train, y)
        yield int((y >= 0).sum()), model.score(X_test, y_test), seconds
        if (y >= 0).sum() >= LAST:
            return
        if way == "chance":
            new = by_chance[y[by_chance] < 0][:EACH]
        else:
            new = suggest_labels(model, X_train, EACH, y=y).index
        y[new] = y_train[new]


def summary(frame):
    """Accuracy by number of labels, and how many labels the suggestions need."""
    means = frame.pivot_table(index=["data", "method"], columns="labels", values="accuracy")
    needed = {}
    for data, runs in frame.groupby("data"):
        shares = []
        for _, run in runs.groupby("seed"):
            curves = run.pivot_table(index="labels", columns="method", values="accuracy")
            reached = curves.index[curves["suggest_labels"] >= curves["chance"].loc[LAST]]
            shares.append(min(reached, default=np.nan))
        needed[data, "suggest_labels"] = f"{np.mean(shares):.0f} %, from {np.min(shares):.0f} to {np.max(shares):.0f}"
    means["labels needed"] = pd.Series(needed)
    return markdown(means.fillna({"labels needed": ""}).reset_index())


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=5)
    parser.add_argument("--mnist", metavar="FILE", help="mnist.npz; without it digits alone")
    args = parser.parse_args()
    rows = Rows(args.out, "active", ["data", "method", "seed", "labels"], ["accuracy", "seconds"], args.resume)
    for seed in args.seeds:
        for data in ("digits", "mnist") if args.mnist else ("digits",):
            for way in WAYS:
                if {"data": data, "method": way, "seed": seed, "labels": LAST} in rows:
                    continue
                for n_labels, accuracy, seconds in labelled(data, seed, way, args.mnist, args.params):
                    key = {"data": data, "method": way, "seed": seed, "labels": n_labels}
                    rows.add(key, accuracy=accuracy, seconds=seconds)
    frame = rows.frame()
    write_section("active", "Which rows to label next", command_line(), summary(frame), NOTES.strip(), rows=frame, out=args.out)


if __name__ == "__main__":
    main()
