"""Rows where a model puts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA

from keras_ssvae.data.labels import is_unlabeled
from keras_ssvae.plotting.base import Display
from keras_ssvae.plotting.columns import has_decimals
from keras_ssvae.plotting.drawing import colors, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LatentSpaceDisplay"]

UNLABELED_COLOR = "0.75"


class LatentSpaceDisplay(Display):
    """Rows as points in the latent space, coloured by class or number; unlabelled rows are grey and lie below.

    Parameters
    ----------
    positions : array of shape (n_samples, 2)
        Where the points lie.
    y : array of shape (n_samples,), default=None
        The classes; or numbers with decimals, which a colour bar explains. None draws all points alike.
    unlabeled : bool array of shape (n_samples,), default=None
        True where `y` is not known. None means that all of `y` is known.
    axis_names : tuple of two str, default=("z0", "z1")
        What the axes mean.

    Attributes
    ----------
    points_ : dict of str to matplotlib PathCollection
        The points by the name of their class, "unlabeled" among them if there are any; those of numbers are "known".

    Examples
    --------
    >>> display = LatentSpaceDisplay([[0.0, 0.0], [1.0, 1.0]], y=["cat", "dog"])
    >>> list(display.plot().points_)
    ['cat', 'dog']
    """

    def __init__(
        self, positions: ArrayLike, y: ArrayLike | None = None, *, unlabeled: ArrayLike | None = None,
        axis_names: tuple[str, str] = ("z0", "z1"),
    ) -> None:  # fmt: skip
        self.positions = positions
        self.y = y
        self.unlabeled = unlabeled
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Draw where a fitted estimator puts some rows.

        With two latent dimensions these are the axes; with more, the axes are the first two principal components of the
        posterior means of `X`.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with the method ``transform``, and the parameter ``unlabeled`` if `y` is given. What
            ``transform`` says of the class, beside the latent variables, is left out.
        X : array or DataFrame
            The rows, in the form the estimator was fitted on.
        y : array of shape (n_samples,), default=None
            The classes; the estimator's mark for unlabelled rows is understood. None draws all points alike.
        ax : as in `plot`
        """
        network = getattr(estimator, "network_", None)
        Z = np.asarray(estimator.transform(X))[:, : None if network is None else network.latent_dim]
        positions, axis_names = _plane(Z)
        unlabeled = None if y is None else is_unlabeled(y, estimator.unlabeled)
        return cls(positions, y, unlabeled=unlabeled, axis_names=axis_names).plot(ax=ax)

    def _draw(self, ax):
        self.points_ = {}
        if self.y is None:
            self._scatter(ax, "all", slice(None), None)
        else:
            self._scatter_known(ax)
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], title=f"{len(np.asarray(self.positions))} rows")

    def _scatter_known(self, ax):
        y = np.asarray(self.y)
        unlabeled = np.zeros(len(y), bool) if self.unlabeled is None else np.asarray(self.unlabeled)
        if unlabeled.any():
            self._scatter(ax, "unlabeled", np.flatnonzero(unlabeled), UNLABELED_COLOR, zorder=1)
        known = np.flatnonzero(~unlabeled)  # marks such as pd.NA cannot be compared with a label
        if has_decimals(y[known]):
            self._scatter(ax, "known", known, None, c=y[known].astype(float), cmap="viridis")
            ax.figure.colorbar(self.points_["known"], ax=ax, label="y")
            return
        labels = np.unique(y[known])
        for label, color in zip(labels, colors(len(labels))):
            self._scatter(ax, str(label), known[y[known] == label], color)
        legend_beside(ax)

    def _scatter(self, ax, name, rows, color, zorder=2, **by_number):
        x, look = np.asarray(self.positions)[rows], {"s": 12, "alpha": 0.7, "linewidth": 0, "zorder": zorder, "label": name}
        self.points_[name] = ax.scatter(x[:, 0], x[:, 1], **look, **(by_number or {"color": color}))


def _plane(Z):
    """Z (n, latent_dim) -> positions (n, 2) and the names of the two axes."""
    if Z.shape[1] == 1:
        return np.column_stack([Z[:, 0], np.zeros(len(Z))]), ("z0", "")
    if Z.shape[1] == 2 or len(Z) < 2:  # one row has no principal components
        return Z[:, :2], ("z0", "z1")
    pca = PCA(n_components=2).fit(Z)
    shares = enumerate(pca.explained_variance_ratio_, 1)
    return pca.transform(Z), tuple(f"principal component {i} ({share:.0%} of the variance)" for i, share in shares)
