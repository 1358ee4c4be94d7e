"""AnomalyDetector: how strange rows are, learned from rows of which any are known to be normal, or anomalies."""

import numbers
import typing

import numpy as np
import pandas as pd
from sklearn.base import MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import ClassifierTags, Tags, get_tags

from keras_ssvae._compat.numpy import FLOAT_ERRORS
from keras_ssvae._compat.sklearn import BaseEstimator, Interval, StrOptions, fit_context
from keras_ssvae.anomaly import explanation, graphs, loading, thresholds, training
from keras_ssvae.data.containers import opened, split_labels
from keras_ssvae.data.labels import LabelCodec, distinct_labels
from keras_ssvae.data.sources import open_source
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.estimators.blockwise import blockwise
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.exporting import ExportMixin, page_of
from keras_ssvae.estimators.fit_data import in_memory
from keras_ssvae.estimators.wrapping import WrapperMixin
from keras_ssvae.models.vae import VAE
from keras_ssvae.registry import register
from keras_ssvae.seeding import derive_seeds, seeded

__all__ = ["AnomalyDetector"]

Constraints = dict[str, list]


@register
class AnomalyDetector(WrapperMixin, ExportMixin, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """How strange rows are, with labels of any of them, or none.

    Four scores of a row, each in spreads above ordinary rows, are averaged: how soon random splits isolate it, how far it is
    from small samples of rows, -log p(x) by a generative network, and how far the code of the network is from its prior. The
    strangest tenth of the unlabelled rows and all known anomalies teach none of them what is normal. Where anomalies are known,
    the log odds of a forest that tells them from other rows are added, with a weight that anomalies decide that are left out in
    turn. A row of a kind that no label names keeps its first score.

    Parameters
    ----------
    estimator : generative estimator of this package, default=None
        A clone of it is fitted, without labels. None: a `VAE`.
    contamination : float in (0, 0.5] or "auto", default="auto"
        Share of the training rows that `predict` takes for anomalies. "auto": where the scores of known anomalies that were
        left out, three at least, stand out best; without them, rows that are 1.5 quartile ranges above the upper quartile.
    random_state : int, RandomState instance or None, default=None
        Seed of all that is random, the fit of `estimator` included unless that has a seed of its own.

    Attributes
    ----------
    estimator_ : generative estimator
        Fitted.
    offset_, threshold_ : float
        `decision_function` is ``score_samples(X) - offset_``; ``threshold_`` is ``-offset_``, in terms of `anomaly_score`.
    decision_scores_ : (n,) array
        `anomaly_score` of the training rows; of those that are kept where rows are read in blocks.
    labels_ : (n,) array
        1 of training rows above the threshold, 0 of others.
    members_, labeled_ : Members, and LabeledScore or None
        The unsupervised scores, and what known anomalies add to them.
    n_features_in_, feature_names_in_ : int and array of names
        Number of columns of X, and their names, if X was a DataFrame with names.

    See Also
    --------
    VAE.anomaly_score : The score of the network alone.

    References
    ----------
    S. Han et al. (2022), "ADBench", arXiv 2206.09426: no method is best on most data, and a few labels beat them all.
    Y. Zhao, M. K. Hryniewicki (2018), "XGBOD", arXiv 1912.00290: trees on columns and unsupervised scores.

    Examples
    --------
    >>> import numpy as np
    >>> from keras_ssvae import VAE, AnomalyDetector
    >>> rng = np.random.RandomState(0)
    >>> X = np.concatenate([rng.standard_normal((200, 3)), [[6.0, 0.0, 0.0]]])
    >>> detector = AnomalyDetector(VAE(latent_dim=2, epochs=10), random_state=0).fit(X)
    >>> int(detector.anomaly_score(X).argmax())
    200
    >>> detector.predict(X[-1:])
    array([-1])
    >>> int(detector.explain(X[-1:]).iloc[0].argmax())
    0
    """

    _parameter_constraints: typing.ClassVar[Constraints] = {
        "estimator": [GenerativeEstimator, None],
        "contamination": [StrOptions({"auto"}), Interval(numbers.Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, estimator: typing.Any = None, contamination: float | str = "auto", random_state: typing.Any = None
    ) -> None:
        self.estimator = estimator
        self.contamination = contamination
        self.random_state = random_state

    @fit_context
    @np.errstate(**FLOAT_ERRORS)
    def fit(self, X: typing.Any, y: typing.Any = None) -> typing.Self:
        """Learn what is normal, and what is known not to be.

        Parameters
        ----------
        X : rows, images or a source
            As `estimator` reads them. Of rows that are read in blocks, as many are kept as its `buffer_size` says, those with a
            label first, and all is learned from these.
        y : array-like of shape (n,) or str, default=None
            -1 (or None, NaN, pd.NA) where nothing is known of a row, 0 of a known normal row, 1 of a known anomaly. A name:
            that column of X.

        Raises
        ------
        ValueError
            If X or y cannot be read, or `estimator` has no score of rows; the detector is unchanged then.
        """
        seeds = derive_seeds(self.random_state, 3)
        estimator = self._fresh(seeds[0])
        label_column = y if isinstance(y, str) else None
        X, y, weight = in_memory(estimator, X, y, seeds[1], distinct_labels)[:3]
        first, y_index = training.first_scores(X, y, estimator, weight, seeds[1])
        normal = training.mostly_normal(first, y_index)
        stands_for = np.where(normal, 1.0 if weight is None else weight, 0.0)
        estimator = estimator.fit(X, sample_weight=stands_for if normal.any() else weight)
        rows = estimator._rows(X).joined(y=y_index)[:]
        return self._show(estimator, training.learn(estimator, rows, normal, seeds[2]), label_column)

    @fit_context
    @np.errstate(**FLOAT_ERRORS)
    def partial_fit(self, X: typing.Any, y: typing.Any = None) -> typing.Self:
        """One more pass of the network over these rows, and all else anew from them and what was kept of earlier ones.

        Of earlier rows 4096 without a label, as many known normals and as many known anomalies are kept, encoded; they are part
        of what `save` and pickle write.

        Parameters
        ----------
        X, y : as in `fit`
            New rows, with the columns of the first call, and new labels: a row may come again, with its label.
        """
        if not hasattr(self, "estimator_"):
            return self.fit(X, y)
        before = self._snapshot()
        seed = derive_seeds(self.random_state, before._n_fits + 1)[-1]
        label_column = y if isinstance(y, str) else None
        estimator = before.estimator_._snapshot()
        X, y, weight = in_memory(estimator, X, y, seed, distinct_labels)[:3]
        rows = estimator._rows(X)[:]
        rows = rows.joined(y=LabelCodec([0, 1]).fit(y, len(rows)).encode(y, len(rows)))
        normal = training.mostly_normal(before._scores(rows), rows.y)
        if normal.any():
            estimator.partial_fit(X, sample_weight=np.where(normal, 1.0 if weight is None else weight, 0.0))
        rows = training.stacked(before._memory, rows)
        normal = training.mostly_normal(before._scores(rows), rows.y)
        return self._show(estimator, training.learn(estimator, rows, normal, seed), label_column)

    def fit_predict(self, X: typing.Any, y: typing.Any = None) -> np.ndarray:
        """`fit`, and `predict` of the same rows: (n,), -1 for anomalies and 1 for others."""
        return self.fit(X, y).predict(X)

    def _fresh(self, seed):
        """An estimator to fit."""
        estimator = VAE() if self.estimator is None else clone(self.estimator)
        if not hasattr(estimator, "score_samples"):
            raise ValueError(f"estimator must have score_samples; {type(estimator).__name__} has none.")
        return seeded(estimator, seed)

    def _show(self, estimator, learned, label_column):
        """Set all attributes of a fit together."""
        contamination, scores = self.contamination, learned.scores
        if contamination == "auto":
            threshold = thresholds.automatic_threshold(learned.others, learned.left_out)
        else:
            threshold = -float(np.percentile(-scores, 100.0 * contamination))
        return self._commit(
            estimator,
            members_=learned.members,
            labeled_=learned.labeled,
            offset_=-threshold,
            threshold_=threshold,
            decision_scores_=scores,
            labels_=(scores > threshold).astype(int),
            _slope=thresholds.slope_of(learned.others),
            _memory=learned.memory,
            _n_fits=1 + vars(self).get("_n_fits", 0),
            _label_column=label_column or vars(self).get("_label_column"),
        )

    # Questions

    @blockwise
    def score_samples(self, X: typing.Any) -> np.ndarray:
        """How normal each row is: (n,), higher = more normal. Deterministic, and no row depends on another."""
        return -self._scores(self.estimator_._rows(X))

    @blockwise
    def anomaly_score(self, X: typing.Any) -> np.ndarray:
        """How strange each row is, ``-score_samples(X)``: (n,), in spreads above ordinary rows, to which log odds are added."""
        return self._scores(self.estimator_._rows(X))

    @blockwise
    def decision_function(self, X: typing.Any) -> np.ndarray:
        """``score_samples(X) - offset_``: (n,), negative for anomalies, as in scikit-learn, and unlike PyOD."""
        return -self._scores(self.estimator_._rows(X)) - self.offset_

    @blockwise
    def predict(self, X: typing.Any) -> np.ndarray:
        """-1 for anomalies, 1 for other rows: (n,)."""
        return np.where(self._scores(self.estimator_._rows(X)) > self.threshold_, -1, 1)

    @consistent
    def predict_proba(self, X: typing.Any, return_confidence: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """How probable it is that each row is normal, and that it is an anomaly.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        return_confidence : bool, default=False
            Whether to say, too, how probable it is that another draw of the training rows would have decided alike.

        Returns
        -------
        proba : (n, 2) array
            One half at the threshold; a spread of ordinary scores multiplies the odds by e. Rows sum to one.
        confidence : (n,) array
            Only with `return_confidence`.
        """
        scores = self.anomaly_score(X)
        strange = thresholds.probability(scores, self.threshold_, self._slope)
        proba = np.stack([1 - strange, strange], axis=1)
        if not return_confidence:
            return proba
        return proba, thresholds.confidence(scores, self.decision_scores_, self.threshold_)

    @blockwise
    def explain(self, X: typing.Any) -> pd.DataFrame | np.ndarray:
        """Which columns make a row strange: contributions that add up to `anomaly_score`.

        That of a column is by how much the score falls if the column alone is made ordinary, which is the more ordinary of what
        the network expects of it and of its median or most frequent level. What no column explains alone, since several have to
        change together, is shared alike by all columns. It takes two scores of each row for each column.

        Returns
        -------
        contributions : DataFrame of shape (n, n_columns)
            In the units of `anomaly_score`, with the columns and the index of X. Of images, an array of their shape, in which
            tiles of pixels take the part of columns.
        """
        rows = self.estimator_._rows(X)
        contributions = explanation.explain(self.estimator_, self._scores, self._typical, rows)
        if self.estimator_.table_.image_shape_ is not None:
            return contributions.reshape(len(contributions), *self.estimator_.table_.row_shape_)
        columns = self.estimator_.table_.schema_.names
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(contributions, index, range(contributions.shape[1]) if columns is None else columns)

    def _scores(self, rows):
        return training.scores_of(self.estimator_, self.members_, self.labeled_, rows)

    @property
    def _typical(self):
        """An ordinary value of each column, encoded."""
        return explanation.typical(self.estimator_.table_, self._memory)

    def _open(self, X, y=None):
        """As the estimator's, which knows how many rows are read at a time."""
        X, y = split_labels(opened(X), y, self._label_column)
        return X, y, open_source(X, y, self.estimator_.buffer_size, self._label_column)

    # What `ExportMixin` asks

    def _exported(self):
        return list(graphs.METHODS)

    def _not_in_a_graph(self):
        return {}

    def _exported_table(self):
        return self.estimator_.table_

    def _export_facts(self, methods):
        return {"classes": [0, 1], "columns": {}, "threshold": self.threshold_}

    def _answers(self, methods):
        score = graphs.score_of(self.estimator_.table_, self.estimator_.network_, self.members_, self.labeled_)
        answers = graphs.answers_of(score, self.threshold_, self._slope)
        return {method: answers[method] for method in methods}

    def _card(self):
        known = "no anomaly was known" if self.labeled_ is None else "some anomalies were known"
        found = f"{self.labels_.sum()} of {len(self.labels_)} training rows"
        said = f"In the fit {known}. Scores above {self.threshold_:g} are anomalies: {found}."
        return page_of(self, self.estimator_.table_, said, self.estimator_.history_)

    @classmethod
    def _from_file(cls, state):
        """The fitted detector of what a file says; a ValueError unless all of it fits together."""
        detector = cls._of_file(state, loading.KINDS)
        loading.check(detector)
        return detector

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags = ClassifierTags(multi_class=False)  # which scikit-learn asks of all that have predict_proba
        tags.input_tags = get_tags(VAE() if self.estimator is None else self.estimator).input_tags
        return tags
