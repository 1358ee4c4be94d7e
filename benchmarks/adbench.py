"""Do labels of any rows, from none to half of the anomalies, help to find the others? ADBench's tables.

70 % of the rows train, stratified; at most 10,000 rows of a set; columns standardised by the training rows. A share of the
training anomalies is known, at least one; of all other rows nothing is. Area under the ROC curve and average precision of the
test rows. The sets are in two halves: defaults were chosen on the first with seed 0, the second is only reported.
"""

import functools

import numpy as np
from common import Rows, add_methods, argument_parser, command_line, fit_seconds, markdown, ours, variant, write_section
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

OURS = "AnomalyDetector"
SHARES = (0.0, 0.01, 0.05, 0.25, 0.5)
MAX_ROWS = 10_000
TUNED_ON = (
    "2_annthyroid", "11_donors", "14_glass", "16_http", "20_letter", "24_mnist", "32_shuttle", "37_Stamps", "39_vertebral",
    "42_WBC", "45_wine",
)  # fmt: skip
NOTES = """
Sets "chosen on" are those that defaults were looked at with seed 0, "reported" the others. ECOD (the three sums of tail
probabilities), KNN (distance to the fifth nearest row), PCA (squared scores over their variances) and XGBOD (gradient
boosted trees on columns and the scores of IsolationForest, KNN, LOF, ECOD and PCA) are written in the script after their
papers; all others have their defaults (LocalOutlierFactor: novelty=True). Detectors without labels stand in the column of
0 % alone.
"""


def split(X, y, seed):
    """Return ``X_train, X_test, y_train, y_test``, standardised."""
    if len(X) > MAX_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=MAX_ROWS, stratify=y, random_state=seed)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    center, spread = X_train.mean(axis=0), X_train.std(axis=0)
    spread[spread == 0] = 1.0
    return (X_train - center) / spread, (X_test - center) / spread, y_train, y_test


def known_anomalies(y, share, seed):
    """Return labels in which all but a share of the anomalies, at least one if the share is not 0, are -1."""
    found = np.random.default_rng(seed).permutation(np.flatnonzero(y == 1))
    known = np.full(len(y), -1)
    if share:
        known[found[: max(1, round(share * len(found)))]] = 1
    return known


class Ecod:
    """Z. Li et al. (2022), "ECOD", arXiv 2201.00382: tail probabilities of the columns, multiplied."""

    def fit(self, X):
        """Keep the sorted columns and the signs of their skewness."""
        self.columns, self.skewness = np.sort(X, axis=0), ((X - X.mean(axis=0)) ** 3).mean(axis=0)
        return self

    def anomaly_score(self, X):
        """Return the largest of three sums of -log tail probabilities."""
        n = len(self.columns)
        pairs = list(zip(self.columns.T, X.T, strict=True))
        left = np.stack([-np.log((np.searchsorted(c, x, "right") + 1) / (n + 2)) for c, x in pairs], axis=1)
        right = np.stack([-np.log((n - np.searchsorted(c, x, "left") + 1) / (n + 2)) for c, x in pairs], axis=1)
        automatic = np.where(self.skewness < 0, left, right)
        return np.maximum.reduce([part.sum(axis=1) for part in (left, right, automatic)])


class Knn:
    """S. Ramaswamy et al. (2000): the distance to the fifth nearest training row."""

    def fit(self, X):
        """Keep the rows."""
        self.nearest = NearestNeighbors(n_neighbors=min(5, len(X) - 1)).fit(X)
        return self

    def anomaly_score(self, X):
        """Return the distances."""
        return self.nearest.kneighbors(X)[0][:, -1]


class PrincipalComponents:
    """M.-L. Shyu et al. (2003): squared scores on all components, over their variances."""

    def fit(self, X):
        """Learn the components."""
        self.pca = PCA().fit(X)
        return self

    def anomaly_score(self, X):
        """Return the sums."""
        return (self.pca.transform(X) ** 2 / np.maximum(self.pca.explained_variance_, 1e-9)).sum(axis=1)


class Sklearn:
    """A detector of scikit-learn."""

    def __init__(self, detector):
        self.detector = detector

    def fit(self, X):
        """Fit it."""
        self.detector.fit(X)
        return self

    def anomaly_score(self, X):
        """Return its score, higher = stranger."""
        return -self.detector.score_samples(X)


class Supervised:
    """A classifier that takes all rows that are not known anomalies for normal, maybe of columns and scores (XGBOD)."""

    def __init__(self, classifier, detectors=()):
        self.classifier, self.detectors = classifier, detectors

    def fit(self, X, y):
        """Fit the detectors, and the classifier."""
        for detector in self.detectors:
            detector.fit(X)
        self.classifier.fit(self._features(X), y == 1)
        return self

    def _features(self, X):
        return np.concatenate([X, *(detector.anomaly_score(X)[:, None] for detector in self.detectors)], axis=1)

    def anomaly_score(self, X):
        """Return the probability of an anomaly."""
        return self.classifier.predict_proba(self._features(X))[:, 1]


def lof(X):
    """Return a local outlier factor that fits the number of rows."""
    return Sklearn(LocalOutlierFactor(n_neighbors=min(20, len(X) - 1), novelty=True))


def xgbod(X, seed):
    """Return gradient boosted trees on columns and scores."""
    scores = [Sklearn(IsolationForest(random_state=seed)), Knn(), lof(X), Ecod(), PrincipalComponents()]
    return Supervised(HistGradientBoostingClassifier(random_state=seed), scores)


WITHOUT_LABELS = {
    "IsolationForest": lambda X, seed: Sklearn(IsolationForest(random_state=seed)),
    "ECOD": lambda X, seed: Ecod(),
    "KNN": lambda X, seed: Knn(),
    "LOF": lambda X, seed: lof(X),
    "PCA": lambda X, seed: PrincipalComponents(),
}
WITH_LABELS = {
    "RandomForest": lambda X, seed: Supervised(RandomForestClassifier(random_state=seed)),
    "ExtraTrees": lambda X, seed: Supervised(ExtraTreesClassifier(random_state=seed)),
    "XGBOD": xgbod,
}
METHODS = (OURS, *WITHOUT_LABELS, *WITH_LABELS)


@functools.cache
def load(path):
    """Return X and y of a set."""
    with np.load(path) as data:
        return data["X"].astype(float), data["y"].astype(int)


def measure(key, path, params):
    """Return the values of a row."""
    X_train, X_test, y_train, y_test = split(*load(path), key["seed"])
    y_known = known_anomalies(y_train, key["share"], key["seed"])
    method = key["method"].split(" ")[0]
    if method == OURS:
        detector, data = ours(key["seed"], params, OURS), (X_train, y_known)
    elif method in WITHOUT_LABELS:
        detector, data = WITHOUT_LABELS[method](X_train, key["seed"]), (X_train,)
    else:
        detector, data = WITH_LABELS[method](X_train, key["seed"]), (X_train, y_known)
    seconds = fit_seconds(detector, *data)
    scores = detector.anomaly_score(X_test)
    return {"auc": roc_auc_score(y_test, scores), "ap": average_precision_score(y_test, scores), "seconds": seconds}


def summary(frame):
    """Means over sets by method and share, of the sets chosen on and of those reported, and the sets of 0 % one by one."""
    frame = frame.assign(sets=np.where(frame["set"].isin(TUNED_ON), "chosen on", "reported"))
    tables = []
    for name, title in (("auc", "ROC-AUC"), ("ap", "Average precision")):
        for sets in ("chosen on", "reported"):
            part = frame[frame["sets"] == sets]
            if len(part):
                table = part.pivot_table(index="method", columns="share", values=name)
                table.columns = [f"{100 * share:g} %" for share in table.columns]
                tables.append(f"{title}, sets {sets} ({part['set'].nunique()}), by the share of known anomalies:\n\n"
                              f"{markdown(table.reset_index(), 3)}")  # fmt: skip
    single = frame[frame["share"] == 0].pivot_table(index=["sets", "set"], columns="method", values="auc").reset_index()
    tables.append(f"ROC-AUC of each set without labels:\n\n{markdown(single, 3)}")
    seconds = frame.groupby("method")["seconds"].agg(["mean", "max"]).reset_index()
    tables.append(f"Seconds of a fit:\n\n{markdown(seconds, 2)}")
    return "\n\n".join(tables)


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=3)
    from pathlib import Path

    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of npz files with X and y")
    parser.add_argument("--sets", nargs="+", help="names of files without the ending; default: all")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=list(SHARES), help="of the training anomalies that are known"
    )
    add_methods(parser, METHODS)
    args = parser.parse_args()
    paths = {path.stem: path for path in sorted(args.data.glob("*.npz"), key=lambda path: path.stat().st_size)}
    rows = Rows(args.out, "adbench", ["method", "share", "set", "seed"], ["auc", "ap", "seconds"], args.resume)
    for seed in args.seeds:
        for name in args.sets or paths:
            for method in args.methods:
                shares = [0.0] if method in WITHOUT_LABELS else [s for s in args.shares if s or method == OURS]
                for share in shares:
                    label = variant(method, args.params) if method == OURS else method
                    key = {"method": label, "share": share, "set": name, "seed": seed}
                    if key not in rows:
                        rows.add(key, **measure(key, paths[name], args.params))
    frame = rows.frame()
    title = "Anomalies in tables: from no label to half of the anomalies known"
    write_section("adbench", title, command_line(), summary(frame), NOTES, rows=frame, out=args.out, needs=OURS)


if __name__ == "__main__":
    main()
