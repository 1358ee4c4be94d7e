"""Curves over the epochs of a training, and over the number of labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

from keras_ssvae.data.labels import UNLABELED
from keras_ssvae.model_selection import Mark, Scorer, Seed, label_sweep
from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.drawing import MADE, N_BESIDE, colors, legend_beside, panels, panels_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LabelSweepDisplay", "LossCurveDisplay"]


class LossCurveDisplay(Display):
    """The loss and each of its terms over the epochs, a panel each; a dotted line where a new stage of the training begins.

    Terms differ in size and stages in what they minimise, so each has a scale of its own. Solid: training rows;
    dashed: rows that were held out.

    Parameters
    ----------
    history : DataFrame
        One row per epoch: a column ``stage`` with the name of the stage, and a column of floats for ``loss`` and for each term
        of it, NaN in the stages that do not have the term. The columns named ``val_...`` are their values on validation rows.
    terms : list of str, default=None
        The columns to draw, without their ``val_...`` companions, which follow by themselves. None draws all.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        The curves by the name of their column.
    axes_ : list of matplotlib Axes
        The panels, one a term.

    Raises
    ------
    ValueError
        If `terms` names a column that `history` does not have.

    Examples
    --------
    >>> import pandas as pd
    >>> history = pd.DataFrame({"stage": ["pretrain", "together"], "loss": [3.0, 2.0], "label": [float("nan"), 0.5]})
    >>> sorted(LossCurveDisplay(history).plot().lines_)
    ['label', 'loss']
    """

    def __init__(self, history: pd.DataFrame, *, terms: list[str] | None = None) -> None:
        self.history = history
        self.terms = terms

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, terms: list[str] | None = None, ax: Axes | None = None) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the attribute ``history_``.
        terms, ax : as in the class and in `plot`
        """
        return cls(estimator.history_, terms=terms).plot(ax=ax)

    def _figsize(self):
        return panels_size(len(self._terms()))

    def _draw(self, ax):
        self.lines_, terms = {}, self._terms()
        self.axes_ = panels(ax, len(terms))
        for panel, term in zip(self.axes_, terms):
            color = "black" if term == "loss" else MADE
            self._draw_curve(panel, term, color, "-", "training rows")
            if f"val_{term}" in self.history:
                self._draw_curve(panel, f"val_{term}", color, "--", "held-out rows")
            self._mark_stages(panel, named=panel is self.axes_[0])
            panel.set_title(term, fontsize="medium", pad=16)  # above the names of the stages
            panel.set(xlabel="epoch", ylabel="nats a row")
        if any(name.startswith("val_") for name in self.lines_):
            legend_beside(self.axes_[:N_BESIDE][-1], of=self.axes_[1:] or self.axes_)

    def _terms(self):
        known = [name for name in self.history if name != "stage" and not name.startswith("val_")]
        if self.terms is None:
            return [name for name in known if self.history[name].notna().any()]
        unknown = sorted(set(self.terms) - set(known))
        if unknown:
            raise ValueError(f"terms={self.terms!r} names {unknown}, which is not in the history; it has {known}.")
        return list(self.terms)

    def _draw_curve(self, ax, name, color, linestyle, label):
        # with markers, as a stage of a single epoch has no line
        epochs, values = self.history.index, self.history[name]
        (line,) = ax.plot(epochs, values, color=color, linestyle=linestyle, marker=".", markersize=3, label=label)
        self.lines_[name] = line

    def _mark_stages(self, ax, named):
        stage = self.history["stage"]
        starts = np.flatnonzero(stage != stage.shift())
        if len(starts) < 2:
            return
        epochs = self.history.index.to_numpy()[starts] - 0.5
        for epoch in epochs[1:]:
            ax.axvline(epoch, color="grey", linestyle=":", linewidth=1)
        above = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
        for epoch, name in zip(epochs, stage.iloc[starts]) if named else ():
            ax.annotate(name, (epoch, 1), color="grey", fontsize="small", **above)


class LabelSweepDisplay(Display):
    """The score over the number of labels: the mean over the splits, within a band of one standard deviation.

    The axis of the number of labels is logarithmic down to the smallest number, and has a place for 0.

    Parameters
    ----------
    sweep : DataFrame
        The answer of `label_sweep`: columns ``fraction``, ``n_labels``, ``split``, ``score``; a row for each fit. Rows without
        a score are not drawn.
    name : str, default=None
        What the legend calls `sweep`. None gives it no entry.
    others : dict of str to DataFrame, default=None
        Sweeps to compare with, by name.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The means, of `sweep` and then of `others`.
    bands_ : list of matplotlib PolyCollection
        The bands, in the order of `lines_`.

    Examples
    --------
    >>> import pandas as pd
    >>> sweep = pd.DataFrame({"fraction": [0.1, 0.1], "n_labels": [10, 10], "split": [0, 1], "score": [0.5, 0.7]})
    >>> LabelSweepDisplay(sweep).plot().lines_[0].get_ydata().round(3).tolist()
    [0.6]
    """

    def __init__(self, sweep: pd.DataFrame, *, name: str | None = None, others: dict[str, pd.DataFrame] | None = None) -> None:
        self.sweep = sweep
        self.name = name
        self.others = others

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike, *, fractions: Iterable[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
        cv: int | BaseCrossValidator | Iterable = 5, scoring: str | Scorer = "accuracy", unlabeled: Mark = UNLABELED,
        random_state: Seed = None, name: str | None = None, others: dict[str, pd.DataFrame] | None = None,
        ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Run `label_sweep` on an estimator and draw the answer.

        Parameters
        ----------
        estimator : estimator
            An estimator; clones of it are fitted.
        X, y, fractions, cv, scoring, unlabeled, random_state : as in `label_sweep`
            What it is fitted to and how it is scored; by default with 1, 3, 10, 30 and 100 % of the labels.
        name : str, default=None
            What the legend calls this estimator. None is the name of its class if there are `others`.
        others, ax : as in the class and in `plot`
        """
        sweep = label_sweep(estimator, X, y, fractions, cv=cv, scoring=scoring, unlabeled=unlabeled, random_state=random_state)
        if name is None and others:
            name = type(estimator).__name__
        return cls(sweep, name=name, others=others).plot(ax=ax)

    def _draw(self, ax):
        self.lines_, self.bands_ = [], []
        sweeps = [(self.name, self.sweep), *(self.others or {}).items()]
        for (name, sweep), color in zip(sweeps, colors(len(sweeps))):
            self._draw_sweep(ax, name, sweep, color)
        n_labels = np.concatenate([line.get_xdata() for line in self.lines_])
        ax.set_xscale("symlog", linthresh=n_labels[n_labels > 0].min(initial=n_labels.max(initial=1)))
        ax.set(xlabel="number of labels", ylabel="score", title="mean and standard deviation over the splits")
        if any(name is not None for name, _ in sweeps):
            legend_beside(ax)

    def _draw_sweep(self, ax, name, sweep, color):
        scored = sweep.dropna(subset="score")
        # by the fraction, as its splits may differ by a label; by its repr, as 1 is one label and 1.0 all
        splits = scored.groupby(scored["fraction"].map(repr))
        points = splits.agg(n_labels=("n_labels", "mean"), mean=("score", "mean"), spread=("score", "std"))
        n_labels, mean, spread = points.sort_values("n_labels").fillna({"spread": 0.0}).to_numpy().T
        (line,) = ax.plot(n_labels, mean, marker="o", color=color, label=name)
        self.lines_.append(line)
        self.bands_.append(
            ax.fill_between(n_labels, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)
        )
