"""The unsupervised score: what a forest, neighbours and a network say of rows, each on a common scale."""

import typing

import numpy as np

from keras_ssvae.anomaly.local import LocalDensity
from keras_ssvae.anomaly.neighbors import SampledNeighbors
from keras_ssvae.anomaly.network import codes, network_scores
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
    local : list of LocalDensity
        Of images, what stands alone: in their directions and, where a network encodes them, in their codes. How probable pixels
        are says little of images: plain ones are more probable than any that a network was trained on (E. Nalisnick et al.
        2019, "Do Deep Generative Models Know What They Don't Know?", arXiv 1810.09136).
    scale : ScoreScale
        Of all scores.
    """

    def fit(self, table: typing.Any, network: typing.Any, rows: PreparedRows, rng: np.random.RandomState) -> "Members":
        """Learn from rows that are mostly normal; `network` was trained on them, or is None."""
        self.view = RowView().fit(table, rows, rng)
        numbers = self.view.numbers(table, rows)
        self.trees = Trees.isolating(numbers, rng.randint(2**31 - 1))
        self.neighbors = SampledNeighbors().fit(self.view.scaled(numbers), rng)
        self.local = []
        if table.image_shape_ is not None:
            views = [self.view.scaled(numbers), codes(network, rows)]
            self.local = [LocalDensity().fit(view, rng) for view in views if view is not None]
        self.scale = ScoreScale().fit(self.raw(table, network, rows, self.numbers(table, rows)))
        return self

    def joined(self, scaled: np.ndarray) -> np.ndarray:
        """One score a row, (n,), of scaled ones, (n, k): the mean of all, of images of the local ones, which come last."""
        return scaled[:, -len(self.local) :].mean(axis=1)

    def numbers(self, table: typing.Any, rows: PreparedRows) -> np.ndarray:
        """What trees and distances read of rows, (n, d) float32; see `RowView`."""
        blocks = [self.view.numbers(table, _padded(rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK)]
        return np.concatenate(blocks)[: len(rows)]

    def raw(self, table: typing.Any, network: typing.Any, rows: PreparedRows, numbers: np.ndarray) -> np.ndarray:
        """Scores as the methods give them, (n, k): of the forest, of distances, and of the network unless it is None."""
        unheard = self.view.n_unheard(rows)
        parts = [slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK)]
        own = np.concatenate([self._block(numbers[part], unheard[part]) for part in parts])
        scores = [own[:, :2]]
        if network is not None:
            said = network_scores(network, rows)
            said[:, 0] += self.view.rarity * unheard
            scores.append(said)
        if len(self.local) == 2:
            code = codes(network, rows)
            of_codes = [self.local[1](_padded(code[part])) for part in parts]
            scores.append(np.concatenate(of_codes)[: len(rows), None])
        return np.concatenate([*scores, own[:, 2:]], axis=1)

    def _block(self, numbers, unheard):
        """The same of at most `BLOCK` rows, by the forest and distances."""
        scaled, beyond = self.view.scaled(_padded(numbers)), (UNHEARD * _padded(unheard)).astype(np.float32)
        scores = [self.neighbors(scaled, beyond), *(part(scaled) for part in self.local[:1])]
        return np.stack([2.0 ** -self.trees(numbers), *(score[: len(numbers)] for score in scores)], axis=1)

    def __call__(self, table: typing.Any, network: typing.Any, rows: PreparedRows) -> tuple[np.ndarray, np.ndarray]:
        """Scores of rows in spreads above those of ordinary ones, (n, k), and what a classifier reads of them besides.

        That is their numbers and these scores side by side: float32 (n, d + k).
        """
        numbers = self.numbers(table, rows)
        scaled = self.scale(self.raw(table, network, rows, numbers))
        return scaled, np.concatenate([numbers, scaled.astype(np.float32)], axis=1)

    def _check_loaded(self):
        require_keys("Members", vars(self), {"view", "trees", "neighbors", "local", "scale"})
        kinds = {"view": RowView, "trees": Trees, "neighbors": SampledNeighbors, "scale": ScoreScale}
        require(all(isinstance(getattr(self, name), kind) for name, kind in kinds.items()), "members of a detector are none")
        width = len(self.view.center)
        same = self.trees.n_features == width == self.neighbors.reference.shape[2]
        require(isinstance(self.local, list) and len(self.local) <= 2, "there are too many densities")
        require(all(isinstance(part, LocalDensity) for part in self.local), "densities are none")
        same = same and all(part.reference.shape[1] == width for part in self.local[:1])
        require(same, "members of a detector read other rows")


def _padded(rows):
    """Rows, again and again up to a whole block."""
    return rows if len(rows) == BLOCK else rows[np.arange(BLOCK) % len(rows)]
