"""What is the same in every domain: how far domains lie apart, and what labels of some say of the rows of others."""

import itertools

import numpy as np
from scipy.linalg import eigh
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from keras_ssvae.evidence.graphs import NeighborGraph
from keras_ssvae.evidence.rows import directions_of, thinned

__all__ = []

MAX_ROWS = 3000  # of each domain, with a label and as many without, from which is learned
DIMS = (20, 40, 60)  # principal directions that selective pseudo-labels are asked in
N_ROUNDS = 10  # of selection
N_DISCRIMINANT = 20
RESTING = 1e-3  # of the largest spread of a column: below, it does not vary in a domain
VOTE = 0.9  # probability of the class that one adapter says
NEAR, FAR = 0.2, 0.6  # distances up to which domains count as one, and from which labels of another prove nothing by themselves
N_SKEW_ERRORS = 5  # standard errors by which a negative is known
N_ERRORS = 1.64  # standard errors that a distance loses before it counts
HOPE = 0.7, 0.95  # error of experts that know of no domain, in those of adapters, below which there is nothing to gain
FAIR = 0.1, 0.3  # agreement of adapters beyond chance, below which they say nothing


def aligned(x: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Columns standardised in every domain, with far values drawn in, (n, d); `domain` is (n,) indices.

    asinh leaves what is near as it is, and lets no skewed column decide a distance.
    """
    out = np.zeros(x.shape, np.float32)
    for k in np.unique(domain):
        rows = domain == k
        own = x[rows].astype(float)
        spread = own.std(axis=0)
        varies = spread > RESTING * max(spread.max(), 1e-300)
        out[rows] = np.where(varies, np.arcsinh((own - own.mean(axis=0)) / np.where(varies, spread, 1.0)), 0.0)
    return out


def distances(x: np.ndarray, domain: np.ndarray, n_domains: int) -> tuple[np.ndarray, np.ndarray]:
    """How far domains lie apart, from 0 (as one) to 2 (each row tells), and the standard errors of that, (n, n) each.

    It is the proxy A-distance 2 (1 - 2 error) of a linear classifier between two domains, by rows that it was not shown, each
    domain counting the same (S. Ben-David et al. 2007, "Analysis of Representations for Domain Adaptation", section 4).
    """
    x = _turned(aligned(x, np.zeros(len(x), int)), DIMS[1])
    apart, error = np.zeros((2, n_domains, n_domains))
    kept = [thinned(np.flatnonzero(domain == k), MAX_ROWS) for k in range(n_domains)]
    for a, b in itertools.combinations(range(n_domains), 2):
        sizes = len(kept[a]), len(kept[b])
        error[a, b] = error[b, a] = 2 * np.sqrt(0.25 / max(sizes[0], 1) + 0.25 / max(sizes[1], 1))
        if min(sizes) < 2:
            continue
        pair, is_b = x[np.concatenate([kept[a], kept[b]])], np.repeat([0, 1], sizes)
        folds = StratifiedKFold(min(5, *sizes), shuffle=True, random_state=0)
        classifier = LogisticRegression(C=0.1, max_iter=500, tol=1e-3, class_weight="balanced")
        right = cross_val_predict(classifier, pair, is_b, cv=folds) == is_b
        balanced = 0.5 * (right[is_b == 0].mean() + right[is_b == 1].mean())
        apart[a, b] = apart[b, a] = max(0.0, 2 * (2 * balanced - 1))
    return apart, error


def trust(apart: np.ndarray, error: np.ndarray, n_labels: np.ndarray) -> np.ndarray:
    """How much adapters count for the rows of each domain, against what labels say as if domains were one, (n,).

    0 where the labels are those of the domain itself, or of domains that are not proved to be others; 1 where all labels are
    of domains that lie far away. `apart` and `error` are as `distances` gives them, `n_labels` counts the labels of each.
    """
    if not n_labels.any():
        return np.zeros(len(apart))
    proved = np.clip((apart - N_ERRORS * error - NEAR) / (FAR - NEAR), 0.0, 1.0)
    np.fill_diagonal(proved, 0.0)
    return proved @ (n_labels / n_labels.sum())


def adapted(
    log_posterior: np.ndarray, left_out: np.ndarray, x: np.ndarray, y: np.ndarray, domain: np.ndarray, counts: np.ndarray
) -> np.ndarray:  # fmt: skip
    """The experts' opinion where domains count, (n, n_classes) log probabilities, of those where they do not.

    Rows without a label get the geometric mean of both opinions, as `trust` says, `counts` of their domain, (n_domains,), and
    as adapters are worth it there: where they can be better, and agree with each other.

    Parameters
    ----------
    log_posterior, left_out : (n, n_classes) arrays
        What experts say who know of no domain, as log probabilities, and what they would say of a labelled row without its
        label, as probabilities.
    x : (n, d) array
        Rows, categories as indicators.
    y, domain : (n,) integer arrays
        Class indices, negative where unlabelled, and indices of domains.
    counts : (n_domains,) array
        See `trust`.
    """
    asked = (y < 0) & (counts[domain] > 0)
    if not asked.any():
        return log_posterior
    classes, own = np.unique(y[y >= 0], return_inverse=True)
    if len(classes) < 2:
        return log_posterior
    index = np.full(len(y), -1)
    index[y >= 0] = own
    x = aligned(x, domain)
    opinions = _opinions(x, index, domain, len(classes))
    errors = _left_out_errors(left_out, y, x, index, domain, len(classes))
    share = np.zeros(len(y))
    for k in np.unique(domain[asked]):
        rows = asked & (domain == k)
        unsure = 1 - np.exp(log_posterior[rows]).max(axis=1).mean()
        share[rows] = counts[k] * worth(max(errors[0], unsure), errors[1], agreement(opinions[:, rows]))
    p = np.full(log_posterior.shape, (1 - VOTE) / log_posterior.shape[1])
    p[:, classes] += VOTE * _votes(opinions)
    share = share[asked, None]
    joint = (1 - share) * log_posterior[asked] + share * np.log(p[asked])
    out = log_posterior.copy()
    out[asked] = np.log(softmax(joint, axis=1))
    return out


def worth(plain_error: float, adapter_error: float, kappa: float) -> float:
    """How much adapters count by what they can know of rows without a label, from 0 to 1.

    Adapters hardly err less there than at home, where labels are left out (S. Ben-David et al. 2007). So there is nothing to
    gain where experts that know of no domain err less by their own confidence, which on other rows is rather too high (S. Garg
    et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance"). Nor do adapters know anything that
    agree by chance alone.
    """
    return float(np.interp(plain_error / max(adapter_error, 1e-12), HOPE, (0, 1)) * np.interp(kappa, FAIR, (0, 1)))


def agreement(opinions: np.ndarray) -> float:
    """Fleiss' kappa of (n_adapters, n, n_classes) opinions: how often two say the same class, beyond chance."""
    votes = _said(opinions).mean(axis=0)
    n = len(opinions)
    same = (n * np.square(votes).sum(axis=1).mean() - 1) / (n - 1)
    chance = np.square(votes.mean(axis=0)).sum()
    return float((same - chance) / max(1 - chance, 1e-12))


def _left_out_errors(left_out, y, x, index, domain, n_classes):
    """Errors on labels left out, a third of each class: of experts who know of no domain, and at least of adapters."""
    hidden = np.concatenate([np.flatnonzero(index == k)[2::3] for k in range(n_classes)])
    shown = index.copy()
    shown[hidden] = -1
    votes = _votes(_opinions(x, shown, domain, n_classes))
    said = left_out[hidden].argmax(axis=1), votes[hidden].argmax(axis=1)
    plain, adapter = ((np.sum(a != b[hidden]) + 1) / (len(hidden) + 2) for a, b in zip(said, (y, index), strict=True))
    return plain, adapter - np.sqrt(adapter * (1 - adapter) / (len(hidden) + 2))


def _opinions(x, y, domain, n_classes):
    """What each adapter says of aligned rows, (n_adapters, n, n_classes)."""
    kept = [thinned(np.flatnonzero((domain == k) & kind), MAX_ROWS) for k in np.unique(domain) for kind in (y >= 0, y < 0)]
    kept = np.sort(np.concatenate(kept))
    weight = _label_weights(y[kept], domain[kept], n_classes)
    x = _upright(x, domain, y >= 0)
    turned = _turned(x, max(DIMS), kept)
    near = turned[:, : DIMS[1]]
    opinions = [_selected(turned[:, :k], y, kept, weight, n_classes) for k in sorted({min(k, turned.shape[1]) for k in DIMS})]
    opinions += [_spread(view, y, kept, weight, n_classes) for view in (near, _unit(near))]
    labeled = y[kept] >= 0
    linear = LogisticRegression(C=0.1, max_iter=500, tol=1e-3)
    linear.fit(x[kept[labeled]], y[kept[labeled]], sample_weight=weight[labeled])
    opinions.append(linear.predict_proba(x))
    return np.stack(opinions)


def _said(opinions):
    """The class that each adapter says, as indicators."""
    return np.eye(opinions.shape[2])[opinions.argmax(axis=2)]


def _votes(opinions):
    """Shares of the adapters that vote for each class, (n, n_classes)."""
    votes = _said(opinions).sum(axis=0) + 0.01 * opinions[0]
    return votes / votes.sum(axis=1, keepdims=True)


def _upright(x, domain, labeled):
    """Aligned rows where domains that are a negative, skewed against the labelled rows in all, are turned over."""
    reference = np.mean(x[labeled] ** 3, axis=0)
    length = np.linalg.norm(reference)
    out = x.copy()
    for k in np.unique(domain):
        rows = domain == k
        own = x[rows] ** 3
        along = own @ reference / max(length, 1e-12)
        error = along.std() / np.sqrt(len(along))
        if along.mean() < min(-0.5 * np.linalg.norm(own.mean(axis=0)), -N_SKEW_ERRORS * error):
            out[rows] *= -1
    return out


def _label_weights(y, domain, n_classes):
    """Weights of labelled rows, of mean one: a class counts about the same in every domain that has labels of it."""
    group = np.where(y >= 0, domain * n_classes + y, -1)
    _, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
    weight = np.where(y >= 0, 1 / (count[inverse] + 5.0), 0.0)
    return weight * (y >= 0).sum() / weight.sum()


def _turned(x, dim, kept=slice(None)):
    """Up to `dim` principal components, (n, k), learned from the rows that are kept."""
    mean = x[kept].mean(axis=0, dtype=float)
    directions = directions_of(x[kept] - mean, dim)
    return (x - mean) @ directions if directions.shape[1] else np.zeros((len(x), 1))


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _spread(x, y, kept, weight, n_classes):
    """What labels say that spread along neighbours in all domains, (n, n_classes)."""
    labeled = y[kept] >= 0
    marks = np.eye(n_classes)[y[kept]] * (labeled * weight)[:, None]
    graph = NeighborGraph(x[kept], 7)
    said = graph.spread(marks, 0.9)
    said *= marks.sum(axis=0) / np.maximum(said.sum(axis=0), 1e-12)
    out = np.empty((len(x), n_classes))
    others = np.setdiff1d(np.arange(len(x)), kept)
    out[kept] = said
    if len(others):
        out[others] = graph.extended(said, x[others])
    return out


def _selected(x, y, kept, weight, n_classes):
    """What the nearest class says in a space that is learned with pseudo-labels, of which ever more are taken, (n, n_classes).

    Q. Wang, T. Breckon (2020), "Unsupervised Domain Adaptation via Structured Prediction Based Selective Pseudo-Labeling",
    arXiv 1911.07982: locality preserving projection of unit rows, class means of labelled rows and means of clusters that start
    there, and in each round the surest rows of every class.
    """
    x = _unit(x)
    free = kept[y[kept] < 0]
    r = np.zeros((len(x), n_classes))
    known = kept[y[kept] >= 0]
    r[known, y[known]] = weight[y[kept] >= 0]
    fixed, p = r.copy(), np.empty(0)
    for step in range(N_ROUNDS + 1):
        used = np.flatnonzero(r.any(axis=1))
        z = x @ _discriminant(x[used], r[used])
        z = _unit(z - z[used].mean(axis=0))
        means = _unit(fixed[known].T @ z[known])
        p = np.maximum(_near(z, means), _near(z, _clusters(z[free], means)))
        if step < N_ROUNDS:
            r = fixed.copy()
            chosen = _surest(p[free], (step + 1) / N_ROUNDS)
            r[free[chosen], p[free[chosen]].argmax(axis=1)] = 1.0
    return p / p.sum(axis=1, keepdims=True)


def _discriminant(x, r):
    """Directions in which rows of one class lie together, (d, k), by responsibilities r, (n, n_classes)."""
    together, sums = r @ r.sum(axis=0), r.T @ x
    total = (x.T * together) @ x
    within = total - sums.T @ sums + np.eye(x.shape[1])
    _, directions = eigh(total, within)
    return directions[:, ::-1][:, :N_DISCRIMINANT]


def _near(z, means):
    square = np.square(z).sum(axis=1)[:, None] + np.square(means).sum(axis=1) - 2 * z @ means.T
    return softmax(-np.sqrt(np.maximum(square, 0.0)), axis=1)


def _clusters(z, means):
    """Means of clusters that start at the class means, in their order."""
    for _ in range(20):
        nearest = np.eye(len(means))[_near(z, means).argmax(axis=1)]
        count = nearest.sum(axis=0)
        moved = np.where(count[:, None] > 0, (nearest.T @ z) / np.maximum(count, 1)[:, None], means)
        if np.allclose(moved, means):
            break
        means = moved
    return means


def _surest(p, share):
    """Indices of the surest rows of every class, a share of each."""
    label, sure = p.argmax(axis=1), p.max(axis=1)
    chosen = []
    for k in np.unique(label):
        rows = np.flatnonzero(label == k)
        chosen.append(rows[np.argsort(-sure[rows], kind="stable")[: int(np.ceil(share * len(rows)))]])
    return np.concatenate(chosen)
