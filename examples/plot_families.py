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


def draw(ax, model, title):
    """Digits that a model made up, a few of each class, side by side."""
    X_new, _ = model.sample(y=np.repeat(np.arange(10), PER_CLASS), random_state=0)
    framed = np.pad(X_new, ((0, 0), (1, 1), (1, 1))).reshape(10, PER_CLASS, 10, 10)
    ax.imshow(framed.transpose(1, 2, 0, 3).reshape(10 * PER_CLASS, 100), cmap="gray_r")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9, loc="left")


def main():
    """Fit each family, print its accuracy on other rows, and draw."""
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8)  # as images: what comes back are grey values without noise
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)
    y_partial = ks.mask_labels(y_train, labeled=100, random_state=0)
    labeled = y_partial >= 0
    flat, flat_test = X_train.reshape(-1, 64) / 16, X_test.reshape(-1, 64) / 16
    supervised = LogisticRegression(max_iter=1000).fit(flat[labeled], y_train[labeled])
    print(f"{'logistic regression':24} accuracy {supervised.score(flat_test, y_test):.3f}   on the labels alone")

    figure, axes = plt.subplots(4, 2, figsize=(11, 6), constrained_layout=True)
    for ax, (name, settings) in zip(axes.flat, FAMILIES.items(), strict=True):
        start = time.perf_counter()
        model = getattr(ks, name)(epochs=EPOCHS, verbose="auto", random_state=0, **settings).fit(X_train, y_partial)
        seconds, accuracy = time.perf_counter() - start, model.score(X_test, y_test)
        print(f"{name:24} accuracy {accuracy:.3f}   {seconds:.1f} s")
        draw(ax, model, f"{name}: accuracy {accuracy:.3f}")
    if len(sys.argv) > 1:
        figure.savefig(sys.argv[1], dpi=80)
        print("picture:", sys.argv[1])


if __name__ == "__main__":
    main()
