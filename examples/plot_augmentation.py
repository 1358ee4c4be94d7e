"""Generated rows for rare classes
===============================

Five digits of which almost nobody has said what they are: do generated rows help a classifier?

Of all the handwritten digits, five have 30 labels each and the other five only three; which ones changes from seed to seed.
Hundreds of rows without a label lie about, which an ordinary classifier cannot use, and a generative model can. Four ways to
train each classifier are compared: on the labelled rows as they are; with labels of the rare digits repeated until all digits
have 30; with rows that a `SemiSupervisedVAE` generates instead of the repetitions; and with many more generated rows. The
generative model predicts digits as well, so it is listed too: it may well make the classifier superfluous.

Usage: python plot_augmentation.py [picture.png [epochs]]
"""

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import keras_ssvae as ks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

COMMON, RARE = 30, 3
EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]  # told apart by colour-blind readers, too
CLASSIFIERS = {
    "logistic regression": LogisticRegression(max_iter=2000),
    "support vectors": SVC(C=10),
    "random forest": RandomForestClassifier(200, random_state=0),
    "nearest neighbours": KNeighborsClassifier(3),
}

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)

results = []
for seed in range(3):
    rng = np.random.default_rng(seed)
    rare = rng.permutation(10)[:5]
    y_few, repeated = np.full(len(y_train), -1), []
    for digit in range(10):
        rows = rng.permutation(np.flatnonzero(y_train == digit))[: RARE if digit in rare else COMMON]
        y_few[rows] = digit
        repeated += [*rows, *rng.choice(rows, COMMON - len(rows))]
    labeled = y_few >= 0

    # The labels are no sample of the digits: five of them were hardly labelled, but are as frequent as the others.
    generator = ks.SemiSupervisedVAE(class_prior="uniform", epochs=EPOCHS, verbose="auto", random_state=seed).fit(
        X_train, y_few
    )
    X_even, y_even = ks.augment(X_train, y_few, generator, n_samples="balanced", random_state=seed)
    X_more, y_more = ks.augment(X_train, y_few, generator, n_samples=dict.fromkeys(range(10), 100), random_state=seed)
    training_rows = {
        "labelled rows": (X_train[labeled], y_few[labeled]),
        "rare ones repeated": (X_train[repeated], y_few[repeated]),
        "rare ones generated": (X_even[y_even >= 0], y_even[y_even >= 0]),
        "100 of each generated": (X_more[y_more >= 0], y_more[y_more >= 0]),
    }
    for classifier, model in CLASSIFIERS.items():
        for rows, data in training_rows.items():
            score = balanced_accuracy_score(y_test, model.fit(*data).predict(X_test))
            results.append({"classifier": classifier, "trained on": rows, "score": score})
    score = balanced_accuracy_score(y_test, generator.predict(X_test))
    results.append({"classifier": "the generator itself", "trained on": "", "score": score})

grouped = pd.DataFrame(results).groupby(["classifier", "trained on"], sort=False)["score"]
summary = grouped.agg(["mean", "std", "min", "max"])
print(f"balanced accuracy on {len(y_test)} other digits, {seed + 1} seeds:")
print(summary.round(3).to_string())

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained", width_ratios=[3, 2])
means, spread = summary["mean"].drop("the generator itself").unstack(sort=False), summary["std"].unstack(sort=False)
means.plot.bar(yerr=spread.loc[means.index, means.columns], ax=left, capsize=3, rot=0, xlabel="", color=COLORS)
itself = summary.loc[("the generator itself", ""), "mean"]
left.axhline(itself, color="black", ls="--", lw=1, label="the generator itself")
left.set(
    ylabel="balanced accuracy", ylim=(0.5, 1.0), title=f"five digits with {RARE} labels, five with {COMMON}: mean and spread"
)
left.get_legend().remove()
figure.legend(loc="outside lower left", ncols=5, frameon=False)
made_up = X_even[len(X_train) :].reshape(5, COMMON - RARE, 8, 8)[:, :8]  # class by class
made_up = np.pad(made_up, ((0, 0), (0, 0), (1, 1), (1, 1)))
right.imshow(made_up.swapaxes(1, 2).reshape(5 * 10, 8 * 10), cmap="gray_r")
right.set(title="generated rows of rare digits", xticks=[], yticks=[])
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100)
else:
    plt.show()
