"""What the tests of displays draw, and how they read it: no model is trained here."""

import numpy as np
import pandas as pd


class Stub:
    """An estimator whose every answer is known."""

    unlabeled = -1

    def __init__(self, classes=("cat", "dog"), as_frame=False):
        self.classes_ = np.array(classes)
        self.as_frame = as_frame
        self.history_ = pd.DataFrame(
            {
                "stage": ["pretrain", "pretrain", "semi-supervised", "together"],
                "loss": [5.0, 4.0, 3.0, 2.0],
                "reconstruction": [4.0, 3.5, np.nan, 1.5],
                "label": [np.nan, np.nan, 0.7, 0.5],
                "val_loss": [5.5, 4.5, 3.5, 2.5],
            }
        )

    def transform(self, X):
        return X

    def reconstruct(self, X):
        return X * 0.5

    def sample(self, n_samples=1, y=None, random_state=None):
        level = 0 if y is None else 1 + list(self.classes_).index(y)
        X = np.full((n_samples, 64), float(level))
        return (pd.DataFrame(X) if self.as_frame else X), np.repeat(y, n_samples)


def legend_names(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def sweep_of(scores, n_labels=(10, 100)):
    """A sweep of two splits: score - 0.1 and score + 0.1."""
    rows = [
        {"fraction": n / 1000, "n_labels": n, "split": split, "score": score + shift, "fit_seconds": 1.0}
        for n, score in zip(n_labels, scores)
        for split, shift in enumerate([-0.1, 0.1])
    ]
    return pd.DataFrame(rows)
