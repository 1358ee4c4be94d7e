"""One page about a fitted model and its rows, to be read, sent and printed."""

from __future__ import annotations

import base64
import datetime
import html
import io
import os
from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import confusion_matrix

from keras_ssvae.data.labels import is_unlabeled
from keras_ssvae.evidence.quality import check_model, label_quality
from keras_ssvae.evidence.suggestion import suggest_labels
from keras_ssvae.plotting.calibration import CalibrationDisplay
from keras_ssvae.plotting.columns import as_table, has_decimals, in_memory
from keras_ssvae.plotting.curves import LossCurveDisplay
from keras_ssvae.plotting.latent_space import LatentSpaceDisplay
from keras_ssvae.plotting.rows import ReconstructionDisplay, SamplesDisplay
from keras_ssvae.serialization.files import write_atomically
from keras_ssvae.serialization.versions import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

N_LISTED = 10  # rows of each list
MAX_DRAWN = 2000  # rows of a picture
N_REASONS, MAX_EXPLAINED = 3, 100  # columns that are named as reasons, and up to which any are
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; } .note { color: #555; }
img { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap; }
thead th { border-bottom: 1px solid #888; } tbody th { text-align: left; font-weight: 600; }
@media print { body { font-size: 11px; max-width: none; } h2 { break-after: avoid; } img, table { break-inside: avoid; } }
"""


def report(
    estimator: BaseEstimator, X: Any, y: ArrayLike | None = None, path: str | os.PathLike = "report.html", *,
    title: str | None = None, random_state: int = 0,
) -> str:  # fmt: skip
    """Write a page about a fitted model and some rows: one HTML file that needs nothing else.

    It shows the columns and labels, the training, what the labels said of each expert, predictions beside labels and how far
    probabilities can be trusted, the latent space, reconstructions, made-up rows beside given ones, the strangest rows and
    what is strange about them, the labels that all others speak against, and the rows worth labelling next; each where the
    model has it.

    Parameters
    ----------
    estimator : generative estimator
        A fitted model of this package; of an `AnomalyDetector` its `estimator_`.
    X : array, DataFrame or images of shape (n_samples, ...)
        Rows, in the form that the estimator was fitted on.
    y : array-like of shape (n_samples,), default=None
        Their labels, with marks where they are unknown. For rows of the fit the comparison with predictions flatters the model.
    path : str or path-like, default="report.html"
        The file; it is there as a whole or not at all.
    title : str, default=None
        The headline. None is the name of the model.
    random_state : int, default=0
        Which rows are drawn where there are too many, and the samples.

    Returns
    -------
    path : str
        The file.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no generative model of this package, or X is not in memory.
    ImportError
        If matplotlib is not installed.
    ValueError
        If X or y cannot be read.
    """
    check_model(estimator)
    page = _Report(estimator, X, y, random_state)
    text = page.html(str(title or type(estimator).__name__))
    write_atomically(path, lambda file: file.write(text.encode()))
    return os.fspath(path)


class _Report:
    """The sections of the page, each of them a heading and pieces of HTML; none where the model has no such answer."""

    def __init__(self, estimator, X, y, random_state):
        self.estimator, self.X, self.y, self.random_state = estimator, in_memory(X), y, random_state
        self.n_rows = len(self.X)
        self.known = np.zeros(self.n_rows, bool) if y is None else ~np.asarray(is_unlabeled(y, estimator.unlabeled))
        if len(self.known) != self.n_rows:
            raise ValueError(f"y must have an entry for each of the {self.n_rows} rows of X; got {len(self.known)}.")
        estimator._codec.encode(y, self.n_rows)  # raises where a label is none of the model's
        drawn = np.random.RandomState(random_state).permutation(self.n_rows)[:MAX_DRAWN]
        self.drawn = np.sort(drawn)

    def html(self, title):
        sections = [
            ("Columns", self.columns()),
            ("Labels", self.labels()),
            ("Training", self.training()),
            ("What the labels say of each expert", self.evidence()),
            ("Predictions and labels", self.predictions()),
            ("Latent space", self.latent_space()),
            ("Reconstructions", self.reconstructions()),
            ("Made-up rows", self.samples()),
            ("Strangest rows", self.strangest()),
            ("Labels that all others speak against", self.doubtful()),
            ("Rows to label next", self.suggested()),
        ]
        body = "".join(
            f"<h2>{html.escape(heading)}</h2>\n{content}\n" for heading, pieces in sections if (content := "\n".join(pieces))
        )
        packages = ", ".join(f"{name} {version}" for name, version in versions().items())
        made = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
        head = f"{self.n_rows} rows, {int(self.known.sum())} of them with a label. {made}; {packages}."
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
            f'<body><h1>{html.escape(title)}</h1>\n<p class="note">{html.escape(head)}</p>\n{body}</body></html>\n'
        )

    def columns(self) -> Iterator[str]:
        if np.ndim(self.X) > 2:
            yield _note(f"Images of shape {np.shape(self.X)[1:]}.")
            return
        frame = as_table(self.X)
        numeric = frame.select_dtypes("number")
        about = pd.DataFrame({"type": frame.dtypes.astype(str), "missing": [f"{v:.0%}" for v in frame.isna().mean()]})
        about["values"] = frame.nunique()
        about["smallest"], about["median"], about["largest"] = numeric.min(), numeric.median(), numeric.max()
        kinds = getattr(self.estimator.table_, "kinds_", ())
        if len(kinds) == len(about):
            about.insert(1, "likelihood", list(kinds))
        yield _table(about.head(100))

    def labels(self) -> Iterator[str]:
        if not self.known.any():
            yield _note("No row has a label.")
            return
        values = np.asarray(self.y, dtype=object)[self.known]
        if has_decimals(values):
            yield _table(pd.Series(values.astype(float), name="y").describe().rename({"count": "rows"}).to_frame())
            return
        counts = pd.Series(values).value_counts()
        counts.loc["without label"] = int((~self.known).sum())
        yield _table(counts.rename("rows").to_frame())

    def training(self) -> Iterator[str]:
        yield _note(f"{self.estimator.n_iter_} epochs.")
        yield _picture(LossCurveDisplay.from_estimator(self.estimator).figure_, "The loss and its terms over the epochs")

    def evidence(self) -> Iterator[str]:
        evidence = getattr(self.estimator, "evidence_", None)
        if isinstance(evidence, pd.DataFrame) and len(evidence):
            yield _note("Each had to predict labels that were left out.")
            yield _table(evidence)

    def predictions(self) -> Iterator[str]:
        if not self.known.any() or not hasattr(self.estimator, "predict_proba"):
            return
        X, y = self.rows(self.known), np.asarray(self.y, dtype=object)[self.known]
        classes = [str(label) for label in self.estimator.classes_]
        predicted = [str(label) for label in self.estimator.predict(X)]
        true = [str(label) for label in y]
        right = np.mean([a == b for a, b in zip(true, predicted)])
        yield _note(
            f"{right:.1%} of {len(y)} labels agree. Where these rows were those of the fit, other rows will agree less."
        )
        counts = confusion_matrix(true, predicted, labels=classes)
        yield _table(pd.DataFrame(counts, [f"is {name}" for name in classes], [f"predicted {name}" for name in classes]))
        n_bins = min(10, max(1, len(y) // 20))  # groups of fewer rows say little
        display = CalibrationDisplay.from_estimator(self.estimator, X, y, n_bins=n_bins)
        yield _picture(display.figure_, "How often predictions are right, by their probability")

    def latent_space(self) -> Iterator[str]:
        if hasattr(self.estimator, "transform"):
            y = None if self.y is None else np.asarray(self.y, dtype=object)[self.drawn]
            display = LatentSpaceDisplay.from_estimator(self.estimator, self.rows(self.drawn), y)
            yield _picture(display.figure_, "Rows in the latent space")

    def reconstructions(self) -> Iterator[str]:
        if hasattr(self.estimator, "reconstruct"):
            display = ReconstructionDisplay.from_estimator(self.estimator, self.rows(self.drawn))
            yield _picture(display.figure_, "Rows and the model's version of them")

    def samples(self) -> Iterator[str]:
        if hasattr(self.estimator, "sample"):
            display = SamplesDisplay.from_estimator(self.estimator, self.rows(self.drawn), random_state=self.random_state)
            yield _picture(display.figure_, "Rows that the model made up")

    def strangest(self) -> Iterator[str]:
        if hasattr(self.estimator, "anomaly_score"):
            score = self.estimator.anomaly_score(self.X)
            rows = np.argsort(-score, kind="stable")[:N_LISTED]
            why = self.reasons(rows, score[rows])
            if why is not None:
                yield _note("Beside each the columns without whose values its score would be lower, by as much.")
            yield self.listed(rows, "anomaly score", score[rows], {} if why is None else {"why": why})

    def reasons(self, rows, score):
        """For each of some rows of a table the columns that make it strange, as text: by their reconstruction it is less so."""
        given = self.rows(rows)
        if np.ndim(given) != 2 or np.shape(given)[1] > MAX_EXPLAINED or not hasattr(self.estimator, "reconstruct"):
            return None
        usual, names = in_memory(self.estimator.reconstruct(given)), as_table(given).columns
        falls = [score - self.estimator.anomaly_score(_exchanged(given, usual, j)) for j in range(len(names))]
        top = np.argsort(-np.stack(falls), axis=0, kind="stable")[:N_REASONS]
        return [
            ", ".join(f"{names[j]} ({_number(falls[j][i])})" for j in top[:, i] if falls[j][i] > 0) for i in range(len(rows))
        ]

    def doubtful(self) -> Iterator[str]:
        if self.known.any() and len(getattr(self.estimator, "classes_", ())) > 1:
            known = np.flatnonzero(self.known)
            if len(set(map(str, np.asarray(self.y, dtype=object)[known]))) > 1:
                quality = label_quality(self.estimator, self.X, self.y).to_numpy()
                lowest = np.argsort(quality, kind="stable")[:N_LISTED]
                yield _note("The probability that all other labels give to each of them.")
                yield self.listed(known[lowest], "label quality", quality[lowest])

    def suggested(self) -> Iterator[str]:
        if not self.known.all() and hasattr(self.estimator, "transform"):
            numbered = pd.RangeIndex(self.n_rows)
            X = self.X.set_axis(numbered) if isinstance(self.X, pd.DataFrame) else self.X
            found = suggest_labels(self.estimator, X, N_LISTED, y=self.y, random_state=self.random_state)
            yield _note("Uncertain rows that stand for many others, each for others.")
            yield self.listed(found.index.to_numpy(), "uncertainty", found.to_numpy())

    def rows(self, which):
        return self.X[which] if not isinstance(self.X, pd.DataFrame) else self.X.iloc[np.arange(self.n_rows)[which]]

    def listed(self, rows, name, values, beside=MappingProxyType({})):
        """Some rows as a table, a number of each in front."""
        if np.ndim(self.X) > 2:
            frame = pd.DataFrame(index=[f"row {row}" for row in rows])
        else:
            frame = as_table(self.rows(rows)).iloc[:, :30]
            frame = frame if isinstance(self.X, pd.DataFrame) else frame.set_axis([f"row {row}" for row in rows])
        front = pd.DataFrame({name: values, **beside}, frame.index)
        if self.known[rows].any():
            front["label"] = np.where(self.known[rows], np.asarray(self.y, dtype=object)[rows], "")
        return _table(pd.concat([front, frame], axis=1))


def _exchanged(X, other, j):
    """X with column j of other rows."""
    X = X.copy()
    if isinstance(X, pd.DataFrame):
        X.isetitem(j, other.iloc[:, j].to_numpy())
    else:
        X[:, j] = other[:, j]
    return X


def _note(text):
    return f'<p class="note">{html.escape(text)}</p>'


def _table(frame):
    return f'<div class="wide">{frame.to_html(border=0, float_format=_number, na_rep="")}</div>'


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _picture(figure: Figure, text: str) -> str:
    """A figure as part of the page; it is closed."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
