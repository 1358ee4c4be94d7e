"""Plots of data and fitted estimators, as scikit-learn displays: data in the constructor, drawing in ``plot``.

matplotlib is imported when something is drawn.
"""

import numpy as np

from keras_ssvae.data.labels import UNLABELED, is_unlabeled
from keras_ssvae.model_selection import label_sweep
from keras_ssvae.plotting.drawing import (
    colors,
    draw_mosaic,
    image_shape_of,
    images_of,
    mean_and_scale,
    numeric_columns,
    plane,
    values_of,
)

__all__ = [
    "LabelSweepDisplay",
    "LatentSpaceDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "SamplesDisplay",
]

UNLABELED_COLOR = "0.75"


class Display:
    """What all displays share.

    To add a display, store what is drawn in ``__init__``, draw it in ``_draw(ax)``, and collect it in a classmethod
    ``from_estimator`` that returns the display plotted.
    """

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        Display
            This display; what was drawn is in its attributes.
        """
        self.ax_ = self._new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self

    def _new_axes(self):
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError('Displays need matplotlib: pip install "keras_ssvae[plots]"') from error
        return plt.subplots(figsize=self._figsize(), layout="constrained")[1]

    def _figsize(self):
        return None


class LossCurveDisplay(Display):
    """The loss and its terms over the epochs; a dotted line where a new stage of the training begins.

    Parameters
    ----------
    history : DataFrame
        One row per epoch: a column ``stage`` with the name of the stage, and a column of floats for ``loss`` and for
        each term of it, NaN in the stages that do not have the term. The columns named ``val_...`` are their values on
        validation rows.
    terms : list of str, default=None
        The columns to draw, without their ``val_...`` companions, which follow by themselves. None draws all.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    lines_ : dict of str to matplotlib Line2D
        The curves by the name of their column.

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

    def __init__(self, history, *, terms=None):
        self.history = history
        self.terms = terms

    @classmethod
    def from_estimator(cls, estimator, *, terms=None, ax=None):
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the attribute ``history_``.
        terms : list of str, default=None
            The columns of ``history_`` to draw. None draws all.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.
        """
        return cls(estimator.history_, terms=terms).plot(ax=ax)

    def _draw(self, ax):
        self.lines_ = {}
        for term in self._terms():
            line = self._draw_curve(ax, term, color="black" if term == "loss" else None, linestyle="-")
            if f"val_{term}" in self.history:
                self._draw_curve(ax, f"val_{term}", color=line.get_color(), linestyle="--")
        self._mark_stages(ax)
        ax.set(xlabel="epoch", ylabel="loss")
        ax.legend()

    def _terms(self):
        known = [name for name in self.history if name != "stage" and not name.startswith("val_")]
        if self.terms is None:
            return [name for name in known if self.history[name].notna().any()]
        unknown = sorted(set(self.terms) - set(known))
        if unknown:
            raise ValueError(f"terms={self.terms!r} names {unknown}, which is not in the history; it has {known}.")
        return list(self.terms)

    def _draw_curve(self, ax, name, color, linestyle):
        # with markers, as a stage of a single epoch has no line
        epochs, values = self.history.index, self.history[name]
        (line,) = ax.plot(epochs, values, color=color, linestyle=linestyle, marker=".", markersize=3, label=name)
        self.lines_[name] = line
        return line

    def _mark_stages(self, ax):
        stage = self.history["stage"]
        starts = np.flatnonzero(stage != stage.shift())
        if len(starts) < 2:
            return
        epochs = self.history.index.to_numpy()[starts] - 0.5
        for epoch in epochs[1:]:
            ax.axvline(epoch, color="grey", linestyle=":", linewidth=1)
        for epoch, name in zip(epochs, stage.iloc[starts]):
            ax.annotate(
                name,
                (epoch, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                color="grey",
                fontsize="small",
            )


class LatentSpaceDisplay(Display):
    """Rows as points in the latent space, coloured by class; unlabelled rows are grey and lie below.

    Parameters
    ----------
    positions : array of shape (n_samples, 2)
        Where the points lie.
    y : array of shape (n_samples,), default=None
        The classes. None draws all points alike.
    unlabeled : bool array of shape (n_samples,), default=None
        True where `y` is not known. None means that all of `y` is known.
    axis_names : tuple of two str, default=("z0", "z1")
        What the axes mean.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
    points_ : dict of str to matplotlib PathCollection
        The points by the name of their class, "unlabeled" among them if there are any.

    Examples
    --------
    >>> display = LatentSpaceDisplay([[0.0, 0.0], [1.0, 1.0]], y=["cat", "dog"])
    >>> list(display.plot().points_)
    ['cat', 'dog']
    """

    def __init__(self, positions, y=None, *, unlabeled=None, axis_names=("z0", "z1")):
        self.positions = positions
        self.y = y
        self.unlabeled = unlabeled
        self.axis_names = axis_names

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, ax=None):
        """Draw where a fitted estimator puts some rows.

        With two latent dimensions these are the axes; with more, the axes are the first two principal components of the
        posterior means of `X`.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``transform``, and the parameter ``unlabeled`` if `y` is given.
        X : array or DataFrame
            The rows, in the form the estimator was fitted on.
        y : array of shape (n_samples,), default=None
            The classes; the estimator's mark for unlabelled rows is understood. None draws all points alike.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        LatentSpaceDisplay
            The display, drawn.
        """
        positions, axis_names = plane(np.asarray(estimator.transform(X)))
        unlabeled = None if y is None else is_unlabeled(y, estimator.unlabeled)
        return cls(positions, y, unlabeled=unlabeled, axis_names=axis_names).plot(ax=ax)

    def _draw(self, ax):
        self.points_ = {}
        if self.y is None:
            self._scatter(ax, "all", slice(None), None)
        else:
            self._scatter_classes(ax)
            ax.legend()
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])

    def _scatter_classes(self, ax):
        y = np.asarray(self.y)
        unlabeled = np.zeros(len(y), bool) if self.unlabeled is None else np.asarray(self.unlabeled)
        if unlabeled.any():
            self._scatter(ax, "unlabeled", np.flatnonzero(unlabeled), UNLABELED_COLOR, zorder=1)
        known = np.flatnonzero(~unlabeled)  # marks such as pd.NA cannot be compared with a label
        labels = np.unique(y[known])
        for label, color in zip(labels, colors(len(labels))):
            self._scatter(ax, str(label), known[y[known] == label], color)

    def _scatter(self, ax, name, rows, color, zorder=2):
        x = np.asarray(self.positions)[rows]
        self.points_[name] = ax.scatter(x[:, 0], x[:, 1], s=12, color=color, zorder=zorder, label=name)


class _RowsDisplay(Display):
    """Groups of rows: a mosaic with a line of images for each group, or lines over the columns of a table.

    Subclasses define ``_groups()``, name -> rows; ``_reference(groups)``, the values that set the scale of all; and
    ``_draw_lines(ax, columns, tables, names)``.
    """

    def _figsize(self):
        groups = list(self._groups().values())
        if image_shape_of(groups[0], self.image_shape) is None:
            return None
        return max(2.0, 0.7 * len(groups[0])) + 1.2, max(1.0, 0.7 * len(groups)) + 0.2  # inches

    def _draw(self, ax):
        names, groups = zip(*self._groups().items())
        shape = image_shape_of(groups[0], self.image_shape)
        if shape is not None:
            images = [images_of(X, shape) for X in groups]
            draw_mosaic(ax, images, names, pixels_of=self._reference(images))
            return
        columns = numeric_columns(groups[0])
        tables = [values_of(X, columns) for X in groups]
        mean, scale = mean_and_scale(self._reference(tables))
        self._draw_lines(ax, [str(column) for column in columns], [(values - mean) / scale for values in tables], names)
        ax.set(xlabel="column", ylabel="standardized value")
        ax.tick_params(axis="x", rotation=90)
        if ax.get_legend_handles_labels()[0]:
            ax.legend()


class ReconstructionDisplay(_RowsDisplay):
    """Some rows and the model's version of them: images above each other, rows of a table as lines.

    The lines of a table go over its numeric columns, in units of the standard deviation of `original`; the original is
    drawn solid, the reconstruction dashed.

    Parameters
    ----------
    original : array or DataFrame
        The rows.
    reconstruction : array or DataFrame
        The model's version of them.
    image_shape : tuple of int, None or "auto", default="auto"
        Shape of a row as an image, (height, width) or (height, width, channels); None for a table. "auto": arrays of
        more than two dimensions are images; rows of k * k numbers are images of k by k pixels if k is at least 8; all
        else, and any DataFrame, is a table.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the rows, or a table has no numeric column.

    Examples
    --------
    >>> import numpy as np
    >>> display = ReconstructionDisplay(np.zeros((3, 8, 8)), np.ones((3, 8, 8))).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['original', 'reconstruction']
    """

    def __init__(self, original, reconstruction, *, image_shape="auto"):
        self.original = original
        self.reconstruction = reconstruction
        self.image_shape = image_shape

    @classmethod
    def from_estimator(cls, estimator, X, *, n_rows=8, image_shape="auto", ax=None):
        """Draw the first rows of `X` as a fitted estimator reconstructs them.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``reconstruct``.
        X : array or DataFrame
            The rows, in the form the estimator was fitted on.
        n_rows : int, default=8
            How many of them to draw.
        image_shape : tuple of int, None or "auto", default="auto"
            Shape of a row as an image, see the class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        ReconstructionDisplay
            The display, drawn.
        """
        original = X[:n_rows]
        return cls(original, estimator.reconstruct(original), image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        return {"original": self.original, "reconstruction": self.reconstruction}

    def _reference(self, groups):
        return groups[0]

    def _draw_lines(self, ax, columns, tables, names):
        for values, name, linestyle in zip(tables, names, ["-", "--"]):
            for row, (x, color) in enumerate(zip(values, colors(len(values)))):
                ax.plot(columns, x, color=color, linestyle=linestyle, label=name if row == 0 else None)


class SamplesDisplay(_RowsDisplay):
    """What a model makes up: a row of samples for each class.

    Samples of a table are lines over its numeric columns, in units of the standard deviation of all samples, a colour
    for each class.

    Parameters
    ----------
    samples : dict of label to array or DataFrame
        The samples of each class, as many for each.
    image_shape : tuple of int, None or "auto", default="auto"
        Shape of a sample as an image, (height, width) or (height, width, channels); None for a table. "auto": arrays of
        more than two dimensions are images; rows of k * k numbers are images of k by k pixels if k is at least 8; all
        else, and any DataFrame, is a table.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the samples, or a table has no numeric column.

    Examples
    --------
    >>> import numpy as np
    >>> display = SamplesDisplay({"cat": np.zeros((3, 8, 8)), "dog": np.ones((3, 8, 8))}).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['cat', 'dog']
    """

    def __init__(self, samples, *, image_shape="auto"):
        self.samples = samples
        self.image_shape = image_shape

    @classmethod
    def from_estimator(cls, estimator, *, n_per_class=8, random_state=0, image_shape="auto", ax=None):
        """Draw samples from a fitted estimator, for each of its ``classes_``, or of no class if it has none.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``sample``.
        n_per_class : int, default=8
            Number of samples for each class.
        random_state : int, RandomState instance or None, default=0
            Handed to ``sample`` for each class.
        image_shape : tuple of int, None or "auto", default="auto"
            Shape of a sample as an image, see the class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        SamplesDisplay
            The display, drawn.
        """
        classes = getattr(estimator, "classes_", None)
        labels = [None] if classes is None or len(classes) == 0 else list(classes)
        samples = {label: estimator.sample(n_per_class, y=label, random_state=random_state)[0] for label in labels}
        return cls(samples, image_shape=image_shape).plot(ax=ax)

    def _groups(self):
        return {"" if label is None else str(label): X for label, X in self.samples.items()}

    def _reference(self, groups):
        return np.concatenate(groups)

    def _draw_lines(self, ax, columns, tables, names):
        for values, name, color in zip(tables, names, colors(len(tables))):
            lines = ax.plot(columns, values.T, color=color, linewidth=1)
            lines[0].set_label(name or None)


class LabelSweepDisplay(Display):
    """The score over the number of labels: the mean over the splits, within a band of one standard deviation.

    The axis of the number of labels is logarithmic down to the smallest number, and has a place for 0.

    Parameters
    ----------
    sweep : DataFrame
        The answer of `label_sweep`: columns ``fraction``, ``n_labels``, ``split``, ``score``; a row for each fit. Rows
        without a score are not drawn.
    name : str, default=None
        What the legend calls `sweep`. None gives it no entry.
    others : dict of str to DataFrame, default=None
        Sweeps to compare with, by name.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn on.
    figure_ : matplotlib Figure
        The figure of `ax_`.
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

    def __init__(self, sweep, *, name=None, others=None):
        self.sweep = sweep
        self.name = name
        self.others = others

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        fractions=(0.01, 0.03, 0.1, 0.3, 1.0),
        cv=5,
        scoring="accuracy",
        unlabeled=UNLABELED,
        random_state=None,
        name=None,
        others=None,
        ax=None,
    ):
        """Run `label_sweep` on an estimator and draw the answer.

        Parameters
        ----------
        estimator : estimator
            An estimator; clones of it are fitted.
        X : array or DataFrame
            The rows.
        y : array of shape (n_samples,)
            The classes.
        fractions : sequence of float or int, default=(0.01, 0.03, 0.1, 0.3, 1.0)
            How many labels of the training rows a fit may see: shares, or numbers if they are ints.
        cv : int, splitter or iterable, default=5
            How rows are held out, see `label_sweep`.
        scoring : str or callable, default="accuracy"
            What the score is, see `label_sweep`.
        unlabeled : number, str, bool, None or NaN, default=-1
            What stands for "no label", in `y` and in what the estimator is given.
        random_state : int, RandomState instance or None, default=None
            The folds, and the labels that are kept.
        name : str, default=None
            What the legend calls this estimator. None is the name of its class if there are `others`.
        others : dict of str to DataFrame, default=None
            Sweeps to compare with, by name.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        LabelSweepDisplay
            The display, drawn.
        """
        options = {"cv": cv, "scoring": scoring, "unlabeled": unlabeled, "random_state": random_state}
        sweep = label_sweep(estimator, X, y, fractions, **options)
        if name is None and others:
            name = type(estimator).__name__
        return cls(sweep, name=name, others=others).plot(ax=ax)

    def _draw(self, ax):
        self.lines_, self.bands_ = [], []
        sweeps = [(self.name, self.sweep), *(self.others or {}).items()]
        for name, sweep in sweeps:
            self._draw_sweep(ax, name, sweep)
        n_labels = np.concatenate([line.get_xdata() for line in self.lines_])
        ax.set_xscale("symlog", linthresh=n_labels[n_labels > 0].min(initial=n_labels.max(initial=1)))
        ax.set(xlabel="number of labels", ylabel="score")
        if any(name is not None for name, _ in sweeps):
            ax.legend()

    def _draw_sweep(self, ax, name, sweep):
        scored = sweep.dropna(subset="score")
        # by the fraction, as its splits may differ by a label; by its repr, as 1 is one label and 1.0 all
        splits = scored.groupby(scored["fraction"].map(repr))
        points = splits.agg(n_labels=("n_labels", "mean"), mean=("score", "mean"), spread=("score", "std"))
        n_labels, mean, spread = points.sort_values("n_labels").fillna({"spread": 0.0}).to_numpy().T
        (line,) = ax.plot(n_labels, mean, marker="o", label=name)
        self.lines_.append(line)
        self.bands_.append(
            ax.fill_between(n_labels, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)
        )
