"""What known anomalies say of other rows: a forest, and how much its opinion counts beside the unsupervised score."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from keras_ssvae.anomaly.trees import Trees
from keras_ssvae.registry import register, require, require_keys

__all__ = ["LabeledScore"]

N_TREES, N_TREES_LEFT_OUT = 80, 40  # of each of two forests
LEAVES = (2, 10)  # rows: a lone anomaly makes what is around it suspicious, too, far around it where few are known
MAX_OTHERS, MAX_ANOMALIES = 10_000, 10_000
N_FOLDS = 5
SURE_NORMAL = 3.0  # weight of a known normal row, where one without a label has 1
FLOOR = 0.01  # of each probability
WEIGHTS = (2.0, 4.0, 8.0, 16.0, 32.0)
FIRST_WEIGHT = 8.0  # before any anomaly was left out
BEYOND = 5.0  # quartile ranges above the upper quartile, where unsupervised scores are odds as well: of kinds without a label
UNLIKE, LIKELY, STRETCH = -2.0, 3.0, 2.0  # log odds there, the largest, and spreads of the score for one more
CLOSE = 0.002  # costs that are alike
N_PRIOR = 3.0  # left-out anomalies that move the weight half way from the first to the best


@register
class LabeledScore:
    """Log odds of forests that tell known anomalies from all other rows: one of columns, and one of columns and scores.

    Rows without a label count as normal, with less weight than rows that are known to be: most of them are, and leaves of
    several rows make a probability of how many are not. Anomalies that are left out in turn say how much the log odds are worth
    beside the unsupervised score, to which they are added. A kind that was never labelled is unlike the known ones, and
    the forests would clear it: odds below those of half of the rows are all alike, and what is far beyond all ordinary scores
    has the odds of an anomaly.

    Attributes
    ----------
    forests : list of Trees
        That of the first values of a row, its columns, and that of all of them.
    weight : float
        Of the log odds.
    floor, fence : float
        The least log odds, and the unsupervised score from which on rows are unlike anything ordinary.
    """

    def fit(
        self, features: np.ndarray, n_columns: int, strange: np.ndarray, y: np.ndarray, rng: np.random.RandomState
    ) -> "LabeledScore":
        """Learn from features, (n, d) float32, the first of which are columns, unsupervised scores, (n,), and y of -1, 0 and 1,
        anomalies and others among them."""
        rows = np.concatenate([_some(rng, y == 1, MAX_ANOMALIES), _some(rng, y != 1, MAX_OTHERS)])
        features, strange, y = features[rows], strange[rows], y[rows]
        seed = rng.randint(2**31 - 1)
        low, high = np.quantile(strange[y != 1], (0.25, 0.75))
        self.fence = float(high + BEYOND * (high - low))
        odds = _left_out_odds(features, n_columns, y, rng, seed)
        self.floor = float(np.median(odds[y != 1])) if np.isfinite(odds).all() else -np.inf
        odds = self._bounded(odds, strange)
        self.weight = _best_weight(odds, strange, y)
        self.forests = [Trees.of_classifier(forest) for forest in _forests(features, n_columns, y, seed, N_TREES)]
        if not np.isfinite(self.floor):
            self.floor = float(np.median(self._odds(features[y != 1])))
        known = (y == 1) & np.isfinite(odds)
        self._left_out = strange[known] + self.weight * odds[known]
        return self

    def pop_left_out(self) -> np.ndarray:
        """The joined scores of known anomalies that were left out, (k,); once."""
        return vars(self).pop("_left_out")

    def _odds(self, features):
        odds = [log_odds(trees(np.ascontiguousarray(features[:, : trees.n_features]))) for trees in self.forests]
        return np.mean(odds, axis=0)

    def _bounded(self, odds, strange):
        unlike = np.minimum(UNLIKE + (strange - self.fence) / STRETCH, LIKELY)
        return np.maximum(np.maximum(odds, unlike), self.floor)

    def __call__(self, features: np.ndarray, strange: np.ndarray) -> np.ndarray:
        """Weighted log odds of rows, of their features and unsupervised scores, (n,): (n,)."""
        return self.weight * self._bounded(self._odds(features), strange)

    def _check_loaded(self):
        require_keys("LabeledScore", vars(self), {"forests", "weight", "floor", "fence"})
        are_trees = (
            isinstance(self.forests, list) and len(self.forests) == 2 and all(isinstance(f, Trees) for f in self.forests)
        )
        require(
            are_trees and {type(self.weight), type(self.floor), type(self.fence)} == {float}, "what labels say has no trees"
        )
        require(np.isfinite([self.weight, self.floor, self.fence]).all(), "what labels say is not finite")
        require(0 <= self.weight and all((f.value >= 0).all() for f in self.forests), "what labels say has no weight")


def log_odds(p: np.ndarray) -> np.ndarray:
    """Logarithms of floored odds."""
    p = np.clip(p, 0.0, 1.0)
    return np.log((p + FLOOR) / (1 + FLOOR - p))


def _some(rng, chosen, most):
    rows = np.flatnonzero(chosen)
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _forests(features, n_columns, y, seed, n_trees):
    weight = np.where(y == 0, SURE_NORMAL, 1.0)
    weight[y == 1] = weight[y != 1].sum() / np.count_nonzero(y == 1)
    for leaf, width in zip(LEAVES, (n_columns, features.shape[1]), strict=True):
        forest = ExtraTreesClassifier(n_trees, min_samples_leaf=leaf, random_state=seed)
        yield forest.fit(features[:, :width], y == 1, sample_weight=weight)


def _left_out_odds(features, n_columns, y, rng, seed):
    """Mean log odds of each row by forests that did not see it, (n,); NaN throughout where one anomaly is known."""
    odds, n_known = np.full(len(y), np.nan), np.count_nonzero(y == 1)
    n_folds = min(N_FOLDS, n_known, np.count_nonzero(y != 1))
    if n_folds < 2:
        return odds
    fold = np.empty(len(y), int)
    for kind in (y == 1, y != 1):
        fold[kind] = rng.permutation(np.arange(np.count_nonzero(kind)) % n_folds)
    for k in range(n_folds):
        seen, asked = fold != k, features[fold == k]
        forests = _forests(features[seen], n_columns, y[seen], seed, N_TREES_LEFT_OUT)
        said = [log_odds(forest.predict_proba(asked[:, : forest.n_features_in_])[:, 1]) for forest in forests]
        odds[fold == k] = np.mean(said, axis=0)
    return odds


def _best_weight(odds, strange, y):
    """The weight with which left-out anomalies stand highest among other rows, drawn to the first where they are few."""
    n_known = np.count_nonzero(y == 1) if np.isfinite(odds).all() else 0
    if not n_known:
        return FIRST_WEIGHT

    def cost(weight):  # the mean share of rows that stand above an anomaly
        scores = strange + weight * odds
        others, known = np.sort(scores[y != 1]), scores[y == 1]
        return 1 - np.searchsorted(others, known, "left").mean() / len(others)

    costs = np.array([cost(weight) for weight in WEIGHTS])
    best = np.log(WEIGHTS)[costs <= costs.min() + CLOSE].mean()
    trust = n_known / (n_known + N_PRIOR)
    return float(np.exp(trust * best + (1 - trust) * np.log(FIRST_WEIGHT)))
