"""All families on the same rows
=============================

All families on the same rows: digits with ten labels a class, how well each classifies, and the digits it makes up.

The fits are short ones: the gallery compares what the models are like, not how good they can be.

Usage: python plot_families.py [picture.png [epochs]]
"""

import os
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import keras_ssvae as ks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

EPOCHS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
FAMILIES = {
    "SemiSupervisedVAE": {},
    "M1": {},
    "M2": {},
    "M1M2": {},
    "ConditionalVAE": {},
    "LadderVAE": {},
    "AdversarialAutoencoder": {},
    "SemiSupervisedGAN": {},
}
PER_CLASS = 2
BLUE, GREY = "#0072B2", "#666666"


def draw_digits(ax, model, name):
    """Digits that a model made up, a few of each class, side by side."""
    X_new, _ = model.sample(y=np.repeat(np.arange(10), PER_CLASS), random_state=0)
    framed = np.pad(X_new, ((0, 0), (1, 1), (1, 1)))
    ax.imshow(framed.transpose(1, 0, 2).reshape(10, -1), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, fontsize=9, loc="left")


def draw_accuracies(ax, accuracies, baseline):
    """A point a model, in the order of the digits beside them, and a line for the baseline."""
    names, places = list(accuracies), np.arange(len(accuracies))
    ax.hlines(places, baseline, list(accuracies.values()), color=BLUE, lw=2, alpha=0.4)
    ax.plot(list(accuracies.values()), places, "o", color=BLUE)
    ax.axvline(baseline, color=GREY, ls="--", lw=1)
    ax.annotate(
        f"logistic regression\non the labels alone: {baseline:.3f}", (baseline, 1), xycoords=("data", "axes fraction"),
        xytext=(0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=8, color=GREY,
    )  # fmt: skip
    ax.set(yticks=places, yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel="accuracy on 540 other rows")
    ax.margins(x=0.15)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def main():
    """Fit each family, print its accuracy on other rows, and draw."""
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)  # as images: what comes back are grey values without noise
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)
    y_partial = ks.mask_labels(y_train, labeled=100, random_state=0)
    labeled = y_partial >= 0
    flat, flat_test = X_train.reshape(-1, 64) / 16, X_test.reshape(-1, 64) / 16
    baseline = LogisticRegression(max_iter=1000).fit(flat[labeled], y_train[labeled]).score(flat_test, y_test)
    print(f"{'logistic regression':24} accuracy {baseline:.3f}   on the labels alone")

    figure = plt.figure(figsize=(11, 7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    accuracies = {}
    for ax, (name, settings) in zip(right.subplots(len(FAMILIES)), FAMILIES.items(), strict=True):
        start = time.perf_counter()
        model = getattr(ks, name)(epochs=EPOCHS, verbose="auto", random_state=0, **settings).fit(X_train, y_partial)
        seconds, accuracies[name] = time.perf_counter() - start, model.score(X_test, y_test)
        print(f"{name:24} accuracy {accuracies[name]:.3f}   {seconds:.1f} s")
        draw_digits(ax, model, name)
    draw_accuracies(left.subplots(), accuracies, baseline)
    right.suptitle("digits that each made up, asked for 0 to 9", fontsize=10)
    if len(sys.argv) > 1:
        figure.savefig(sys.argv[1], dpi=80)
        print("picture:", sys.argv[1])


if __name__ == "__main__":
    main()
