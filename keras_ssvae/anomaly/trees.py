"""Forests as arrays, so that a file can hold them: what all trees say of a row, on average."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest

from keras_ssvae._compat.sklearn import tree_of
from keras_ssvae.registry import register, require, require_keys

__all__ = []

N_ISOLATING, ISOLATED_ROWS = 100, 256
ATTRIBUTES = {"n_features", "sizes", "left", "right", "feature", "threshold", "value"}


@register
class Trees:
    """The mean over trees of the value of the leaf in which a row ends.

    Attributes
    ----------
    n_features : int
        Number of values of a row.
    sizes : (n_trees,) int64 array
        Number of nodes of each tree; their arrays stand one after the other.
    left, right : (n_nodes,) int64 arrays
        Children within the tree, which come later than their parent; -1 of leaves.
    feature : (n_nodes,) int64 array
        Which value of a row is compared; not read in leaves.
    threshold : (n_nodes,) float64 array
        Rows with values up to it go left.
    value : (n_nodes,) float32 array
        What a leaf says.
    """

    def __init__(self, n_features: int, trees: list, values: list[np.ndarray]) -> None:
        self.n_features = n_features
        self.sizes = np.array([tree.node_count for tree in trees], np.int64)
        self.left = np.concatenate([tree.children_left for tree in trees]).astype(np.int64)
        self.right = np.concatenate([tree.children_right for tree in trees]).astype(np.int64)
        self.feature = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
        self.threshold = np.concatenate([tree.threshold for tree in trees]).astype(np.float64)
        self.value = np.concatenate(values).astype(np.float32)

    @classmethod
    def isolating(cls, rows: np.ndarray, seed: int) -> "Trees":
        """Random splits of rows, (n, d); values are path lengths relative to those of ordinary rows (F. T. Liu et al. 2008,
        "Isolation Forest", doi 10.1109/ICDM.2008.17, eq. 1)."""
        forest = IsolationForest(n_estimators=N_ISOLATING, max_samples=min(ISOLATED_ROWS, len(rows)), random_state=seed)
        trees = [tree.tree_ for tree in forest.fit(rows).estimators_]
        usual = max(expected_path(np.array([forest.max_samples_]))[0], 1.0)
        values = [(tree.compute_node_depths() - 1 + expected_path(tree.n_node_samples)) / usual for tree in trees]
        return cls(rows.shape[1], trees, values)

    @classmethod
    def of_classifier(cls, forest: ExtraTreesClassifier) -> "Trees":
        """A forest of two classes; values are probabilities of the second."""
        trees = [tree.tree_ for tree in forest.estimators_]
        return cls(forest.n_features_in_, trees, [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Mean values of float32 rows, (n, n_features): (n,)."""
        total, start = np.zeros(len(rows)), 0
        for size in self.sizes:
            nodes = slice(start, start + int(size))
            arrays = (part[nodes] for part in (self.left, self.right, self.feature, self.threshold))
            total += self.value[nodes][tree_of(self.n_features, *arrays).apply(rows)]
            start = nodes.stop
        return total / len(self.sizes)

    def _check_loaded(self):
        require_keys("Trees", vars(self), ATTRIBUTES)
        whole = dict.fromkeys(("sizes", "left", "right", "feature"), np.int64)
        for name, dtype in {**whole, "threshold": np.float64, "value": np.float32}.items():
            array = getattr(self, name)
            require(isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype == dtype, f"{name} of trees is no array")
        require(type(self.n_features) is int and len(self.sizes) and (self.sizes > 0).all(), "there are no trees")
        arrays = (self.left, self.right, self.feature, self.threshold, self.value)
        require({len(array) for array in arrays} == {int(self.sizes.sum())}, "trees have other nodes than they say")
        self._check_nodes()

    def _check_nodes(self):
        """Raise unless a walk from the root of any tree ends in a leaf of it: C code takes that on trust."""
        number = np.arange(len(self.left)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        size, is_leaf = np.repeat(self.sizes, self.sizes), self.left == -1
        require((is_leaf == (self.right == -1)).all(), "a node of a tree has one child")
        for child in (self.left, self.right):
            require((is_leaf | (child > number) & (child < size)).all(), "a child in a tree is none")
        require((is_leaf | (self.feature >= 0) & (self.feature < self.n_features)).all(), "a tree reads what rows do not have")
        require(np.isfinite(self.threshold).all() and np.isfinite(self.value).all(), "trees hold values that are not finite")


def expected_path(n_rows: np.ndarray) -> np.ndarray:
    """The mean path length in a random tree of so many rows, (k,): by how much a leaf that was not split is too shallow."""
    n = np.maximum(np.asarray(n_rows, float), 2.0)
    many = 2.0 * (np.log(np.maximum(n - 1, 1.0)) + np.euler_gamma) - 2.0 * (n - 1) / n
    return np.where(n_rows <= 1, 0.0, np.where(n_rows == 2, 1.0, many))
