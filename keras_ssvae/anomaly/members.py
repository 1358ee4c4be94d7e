"""The unsupervised score: what a forest, neighbours and a network say of rows, each on a common scale."""

import typing

import numpy as np

from keras_ssvae.anomaly.neighbors import SampledNeighbors
from keras_ssvae.anomaly.network import network_scores
from keras_ssvae.anomaly.scaling import ScoreScale
from keras_ssvae.anomaly.trees import Trees
from keras_ssvae.anomaly.view import RowView
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.registry import register, require, require_keys

__all__ = ["Members"]

BLOCK = 1024  # rows of a product of matrices, always as many: their sums do not depend on how many are asked
UNHEARD = 8.0**2  # square of the distance by which a missing cell counts where none was


@register
class Members:
    """Scores of rows by several methods that share no assumption, and their scale.

    Attributes
    ----------
    view : RowView
        What trees and distances read.
    trees : Trees
        An isolation forest.
    neighbors : SampledNeighbors
        Distances.
    scale : ScoreScale
        Of all scores.
    """

    def fit(self, table: typing.Any, network: typing.Any, rows: PreparedRows, rng: np.random.RandomState) -> "Members":
        """Learn from rows that are mostly normal; `network` was trained on them, or is None."""
        self.view = RowView().fit(table, rows, rng)
        numbers = self.view.numbers(table, rows)
        self.trees = Trees.isolating(numbers, rng.randint(2**31 - 1))
        self.neighbors = SampledNeighbors().fit(self.view.scaled(numbers), rng)
        self.scale = ScoreScale().fit(self.raw(table, network, rows))
        return self

    def raw(self, table: typing.Any, network: typing.Any, rows: PreparedRows) -> np.ndarray:
        """Scores as the methods give them, (n, k): of the forest, of distances, and of the network unless it is None."""
        own = np.concatenate([self._block(table, rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)])
        if network is None:
            return own
        said = network_scores(network, rows)
        said[:, 0] += self.view.rarity * self.view.n_unheard(rows)
        return np.concatenate([own, said], axis=1)

    def _block(self, table, rows):
        """The same of at most `BLOCK` rows, by the forest and distances."""
        padded = _padded(rows)
        numbers, unheard = self.view.numbers(table, padded), self.view.n_unheard(padded)
        depth = 2.0 ** -self.trees(numbers[: len(rows)])
        distance = self.neighbors(self.view.scaled(numbers), (UNHEARD * unheard).astype(np.float32))
        return np.stack([depth, distance[: len(rows)]], axis=1)

    def __call__(self, table: typing.Any, network: typing.Any, rows: PreparedRows) -> np.ndarray:
        """Scores of rows in spreads above those of ordinary ones, (n, k)."""
        return self.scale(self.raw(table, network, rows))

    def features(self, table: typing.Any, rows: PreparedRows, scaled: np.ndarray) -> np.ndarray:
        """What a classifier reads of rows: their numbers, and their scaled scores, (n, k), side by side: float32 (n, d + k)."""
        blocks = [self.view.numbers(table, _padded(rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK)]
        return np.concatenate([np.concatenate(blocks)[: len(rows)], scaled.astype(np.float32)], axis=1)

    def _check_loaded(self):
        require_keys("Members", vars(self), {"view", "trees", "neighbors", "scale"})
        kinds = {"view": RowView, "trees": Trees, "neighbors": SampledNeighbors, "scale": ScoreScale}
        require(all(isinstance(getattr(self, name), kind) for name, kind in kinds.items()), "members of a detector are none")
        width = len(self.view.center)
        same = self.trees.n_features == width == self.neighbors.reference.shape[2]
        require(same and len(self.scale.center) in (3, 4), "members of a detector read other rows")


def _padded(rows):
    """Rows, again and again up to a whole block."""
    return rows if len(rows) == BLOCK else rows[np.arange(BLOCK) % len(rows)]
