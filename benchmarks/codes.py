"""What do the codes of a model with classes tell a classifier behind it, with ten labels a class?

Digits and, with --data, tables of KEEL: 30 % of the rows are the test rows, of the others ten of each class are labelled. The
model reads all of these; logistic regression and five nearest neighbours read the codes of the labelled ones. PCA has as many
columns as z and the classes together, and so has the VAE. Prints the mean accuracy over tables and seeds, and by table.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from common import digits_split, load_tables, markdown
from keel import prepare
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

import keras_ssvae as ks

CLASSIFIERS = {"LR": LogisticRegression(max_iter=1000), "kNN": KNeighborsClassifier()}
LATENT_DIM = 10


def split(table, folder, seed, at_most):
    """Return ``X_train, X_test, y_train, y_test`` as data frames."""
    if table == "digits":
        X_train, X_test, y_train, y_test = digits_split(seed)
        return pd.DataFrame(X_train), pd.DataFrame(X_test), y_train, y_test
    X, y = load_tables(folder, [table])[table]
    if len(y) > at_most:
        X, _, y, _ = train_test_split(X, y, train_size=at_most, stratify=y, random_state=seed)
    return train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)


def ten_a_class(y, seed):
    """Return y with -1 for all but ten rows of each class, or all of them where there are fewer."""
    rng, y_few = np.random.RandomState(seed), np.full(len(y), -1)
    for k in np.unique(y):
        y_few[rng.permutation(np.flatnonzero(y == k))[:10]] = k
    return y_few


def codes(names, X_train, X_test, y_few, seed):
    """Yield the name and the codes of the labelled training rows and of the test rows, by each method."""
    labeled, n_columns = y_few >= 0, LATENT_DIM + len(np.unique(y_few[y_few >= 0]))
    matrix, test_matrix = prepare(X_train, X_test)
    pca = PCA(min(n_columns, *matrix.shape), random_state=seed).fit(matrix)
    yield "PCA", pca.transform(matrix[labeled]), pca.transform(test_matrix)
    for name in ["VAE", *names]:
        model = getattr(ks, name)(n_columns if name == "VAE" else LATENT_DIM, random_state=seed).fit(X_train, y_few)
        for what in ["features", "style"] if hasattr(model, "representation") else [""]:
            if what:
                model.set_params(representation=what)
            yield f"{name} {what}".strip(), model.transform(X_train[labeled]), model.transform(X_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of csv.gz, last column target")
    parser.add_argument("--tables", nargs="+", default=["digits"], help="digits, or names of files without the ending")
    parser.add_argument("--models", nargs="+", default=["SemiSupervisedVAE", "M2"], help="names of classes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--at-most", type=int, default=3000, metavar="ROWS", help="rows of a table, training and test")
    args = parser.parse_args()
    rows = []
    for table, seed in [(table, seed) for table in args.tables for seed in args.seeds]:
        X_train, X_test, y_train, y_test = split(table, args.data, seed, args.at_most)
        y_few = ten_a_class(y_train, seed)
        for name, Z, Z_test in codes(args.models, X_train, X_test, y_few, seed):
            scores = {of: c.fit(Z, y_few[y_few >= 0]).score(Z_test, y_test) for of, c in CLASSIFIERS.items()}
            rows += [{"method": name, "classifier": of, "table": table, "accuracy": score} for of, score in scores.items()]
        print(f"{table}, seed {seed}", flush=True)
    wide = pd.DataFrame(rows).pivot_table(index=["classifier", "method"], columns="table", values="accuracy", sort=False)
    wide.insert(0, "mean", wide.mean(axis=1))
    print(markdown(wide.sort_index(level=0, sort_remaining=False).reset_index()))


if __name__ == "__main__":
    main()
