"""The estimator: validate, encode, build, train, and answer questions of the trained network. The scikit-learn side.

To define a family, subclass `GenerativeEstimator` (and `LabelPredictorMixin` where the model predicts labels) and write
``_make_network``, a pure function of the parameters, the table and the classes.
"""

import numbers

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, _get_feature_names, check_is_fitted, validate_data

from keras_ssvae import inference, persistence, training
from keras_ssvae.label_statistics import summarise_labels
from keras_ssvae.labels import LabelCodec
from keras_ssvae.seeding import derive_seeds, isolated_seed
from keras_ssvae.tables import Table

__all__ = ["GenerativeEstimator", "LabelPredictorMixin"]


def _check_X(X, estimator=None):
    """X as a float array (n, d), or (n, height, width[, channels]) for images; NaN is allowed, infinity is not."""
    ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if ndim in (3, 4):
        X = check_array(X, allow_nd=True, ensure_2d=False, input_name="X", ensure_all_finite="allow-nan")
        if 0 in X.shape:
            raise ValueError(f"X must hold at least one image with at least one pixel; got shape {X.shape}.")
        return X
    dtype = [np.float64, np.float32]
    return check_array(X, dtype=dtype, ensure_all_finite="allow-nan", input_name="X", estimator=estimator)


class GenerativeEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of all estimators: what every generative model with an encoder and a decoder has."""

    _parameter_constraints = {
        "latent_dim": [Interval(numbers.Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [str, callable],
        "encoder": [None, str, callable],
        "decoder": [None, str, callable],
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli"})],
        "optimizer": [str, HasMethods(["get_config", "from_config"])],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "batch_size": [Interval(numbers.Integral, 2, None, closed="left")],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left")],
        "callbacks": [None, list],
        "augmentation": [None, callable],
        "jit_compile": ["boolean", StrOptions({"auto"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    # What a family defines

    _network_params = ()  # names of the parameters that `_make_network` reads

    @staticmethod
    def _make_network(params, table, summary, seed):
        """A network of untrained weights: a pure function of `_network_params`, a `Table`, a `LabelSummary` and a seed."""
        raise TypeError("this family defines no network")

    # Training

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to rows of which any number is labelled.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d), or array of shape (n, height, width[, channels])
            Rows or images; NaN marks missing cells.
        y : array-like of shape (n,), default=None
            Labels; -1 (or `unlabeled`), None, NaN and pd.NA mark rows without one. None: no row has a label.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts: weight 2 is a row given twice, weight 0 a row left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y or sample_weight cannot be read; the estimator is unchanged then.
        """
        return self._fit(X, y, sample_weight, warm=self.warm_start and hasattr(self, "network_"))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, classes=None, sample_weight=None):
        """One more pass over these rows, keeping all that was learned; the first call fixes columns, scaling and classes.

        Parameters
        ----------
        X : as in `fit`
            Rows; the columns of the first call.
        y : as in `fit`
            Labels.
        classes : array-like or int, default=None
            All labels that will ever come, for the first call; by default the `classes` parameter, then those in `y`.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, warm=hasattr(self, "network_"), classes=classes, one_pass=True)

    def _fit(self, X, y, sample_weight, warm, classes=None, one_pass=False):
        values = _check_X(X, self)
        if warm:
            self._check_columns(X, values)
        else:
            _get_feature_names(X)  # raises on names of mixed types, before the work is done
        codec = self._make_codec(y, len(values), warm and one_pass, classes)
        codes = codec.encode(y, len(values))
        weight = _check_sample_weight(
            sample_weight, values, dtype=np.float64, ensure_non_negative=True, ensure_same_device=False
        )
        kept = np.flatnonzero(weight > 0)
        if len(kept) == 0:
            raise ValueError("sample_weight must be positive for at least one row; all weights are zero.")
        if len(kept) < len(values):
            values, codes, weight = values[kept], codes[kept], weight[kept]
        seeds = derive_seeds(self.random_state, 3 * (1 + (self.n_iter_ if warm else 0)))[-3:]
        table = self.table_ if warm else Table(self.likelihood).fit(values, X, weight)
        encoded = table.encode(values)
        summary = summarise_labels(encoded.x, codes, weight, codec.n_classes)
        if warm and one_pass and len(self.classes_) == len(codec.classes_):
            summary.class_weight = summary.class_weight + self._labels.class_weight  # the class prior remembers all passes
        params = {name: getattr(self, name) for name in self._network_params}
        with isolated_seed(seeds[0]):
            network = self._make_network(params, table, summary, seeds[1])
            network.build_for(table.n_columns_)
        if warm:
            network.inherit(
                self.network_, [list(self.classes_).index(c) if c in self.classes_ else None for c in codec.classes_]
            )
        prepared = warm and self._prepared
        history = training.train(network, encoded, codes, weight, self, seeds[2], prepared, one_pass)
        validate_data(self, X, skip_check_array=True, reset=True)
        self.table_, self.network_, self._codec = table, network, codec
        self._labels, self._fitted_params = summary, params
        self.classes_ = codec.classes_
        if one_pass and warm:
            history = pd.concat([self.history_, history], ignore_index=True)
        self.history_, self.n_iter_ = history, len(history)
        self._n_features_out = self.latent_dim
        self._prepared = prepared or not one_pass  # whether stages that only prepare have run to their end
        return self

    def _make_codec(self, y, n_rows, keep, classes):
        if keep:
            if classes is not None and list(LabelCodec(classes, self.unlabeled).fit(None, 0).classes_) != list(self.classes_):
                raise ValueError(f"classes must be those of the first call, {list(self.classes_)}; got {classes!r}.")
            if len(self.classes_):
                return self._codec
        return LabelCodec(self.classes if classes is None else classes, self.unlabeled).fit(y, n_rows)

    def _check_columns(self, X, values):
        """Raise unless X has the columns of the fit."""
        given, fitted = values.shape[1:], self.table_.row_shape_
        if given != fitted and (len(given) > 1 or len(fitted) > 1):
            raise ValueError(f"X has rows of shape {given}; {type(self).__name__} was fitted to rows of shape {fitted}.")
        validate_data(self, X, skip_check_array=True, reset=False)

    def _encode(self, X):
        check_is_fitted(self)
        values = _check_X(X, self)
        self._check_columns(X, values)
        return self.table_.encode(values)

    # Questions to the trained network

    def transform(self, X):
        """Posterior means of the latent variables.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        Z : (n, latent_dim) array
            E[z | x] of the encoder.
        """
        encoded = self._encode(X)
        single = getattr(X, "dtype", None) == np.float32
        return inference.run(self.network_, "encode", encoded).astype(np.float32 if single else np.float64)

    def inverse_transform(self, Z, y=None):
        """Decode latent variables: the mean of p(x given z, y).

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Latent variables.
        y : label or array-like of shape (n,), default=None
            Labels of the rows; by default the mean over the class prior.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float32, input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(f"Z has {Z.shape[1]} columns; {type(self).__name__} has latent_dim={self._n_features_out}.")
        return self.table_.decode(inference.run(self.network_, "decode", Z, self._label_weights(y, len(Z))))

    def _label_weights(self, y, n_rows):
        """Rows of class probabilities: one-hot for labels, the class prior without."""
        if y is None:
            return np.tile(self.network_.class_prior, (n_rows, 1)).astype(np.float32)
        return np.eye(len(self.network_.class_prior), dtype=np.float32)[self._codec.codes_of(y, n_rows)]

    def reconstruct(self, X):
        """The model's version of X: the mean of p(x) given the posterior mean of what the encoder makes of it.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.
        """
        decoded = self.table_.decode(inference.run(self.network_, "reconstruct", self._encode(X)))
        if isinstance(X, pd.DataFrame) and isinstance(decoded, pd.DataFrame):
            decoded.index = X.index
        return decoded

    def impute(self, X):
        """X with its missing cells filled by `reconstruct`, and every other cell as it was.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows with NaN in missing cells.

        Returns
        -------
        X : array or DataFrame
            A copy without missing cells.
        """
        filled = self.reconstruct(X)
        if isinstance(X, pd.DataFrame):
            if not isinstance(filled, pd.DataFrame):
                filled = pd.DataFrame(filled, index=X.index, columns=X.columns)
            return X.where(X.notna(), filled)
        given = _check_X(X, self)
        return np.where(np.isnan(given), filled, given)

    def sample(self, n_samples=1, y=None, random_state=None):
        """Draw rows from the model.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows; with an array `y`, one row a label.
        y : label or array-like, default=None
            The class of the rows; by default drawn from the class prior.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        X : array or DataFrame of n_samples rows
            In the columns, dtypes and units of the fit. Grey pixels are means, all other values draws.
        y : (n_samples,) array
            The labels; -1 throughout where the model knows no class.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1; got {n_samples!r}.")
        if y is not None and np.ndim(y) == 1:
            if n_samples not in (1, len(y)):
                raise ValueError(f"n_samples={n_samples} does not match the {len(y)} labels in y.")
            n_samples = len(y)
        seed = derive_seeds(random_state, 1)[0]
        rng = np.random.RandomState(seed)
        prior = self.network_.class_prior
        codes = rng.choice(len(prior), n_samples, p=prior / prior.sum()) if y is None else self._codec.codes_of(y, n_samples)
        draw = self.table_.is_binary_ or self.table_.likelihood_ != "bernoulli"
        x = self.network_.sample(codes, rng, draw)
        return self.table_.decode(x), self._codec.decode(codes)

    def score_samples(self, X, n_draws=50):
        """log p(x) of each row, estimated by importance weighting over its observed cells.

        The draws are the same for every row and every call: the result is deterministic, and no row depends on another.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        n_draws : int, default=50
            Draws from the encoder; the estimate rises towards log p(x) with their number (Burda et al. 2015,
            arXiv 1509.00519, eq. 8).

        Returns
        -------
        scores : (n,) array
            Nats a row, in units of the scaled columns; higher = more normal.
        """
        if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be an integer of at least 1; got {n_draws!r}.")
        return inference.run(self.network_, "log_likelihood", self._encode(X), n_draws=int(n_draws)).astype(float)

    def anomaly_score(self, X):
        """How strange each row is: ``-score_samples(X)``.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        scores : (n,) array
            Higher = stranger.
        """
        return -self.score_samples(X)

    def loss_terms(self, X, y=None):
        """The terms of the loss, row by row, as in the last stage of training but with fixed noise.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        y : as in `fit`, (n,), default=None
            Labels.

        Returns
        -------
        terms : DataFrame of shape (n, n_terms)
            In nats a row; a row's values do not depend on other rows.
        """
        encoded = self._encode(X)
        codes = self._codec.encode(y, len(encoded.x))
        return pd.DataFrame(inference.run(self.network_, "row_terms", encoded, codes))

    def save(self, path):
        """Write the fitted estimator to one file that `keras_ssvae.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file; it is replaced only when all is written.
        """
        persistence.save(self, path)

    def __getstate__(self):
        state = super().__getstate__()
        return persistence.pack_network(state) if "network_" in state else state

    def __setstate__(self, state):
        super().__setstate__(persistence.unpack_network(type(self).__new__(type(self)), state))

    def _rebuild_network(self, seed):
        """The network of this fitted estimator, with untrained weights."""
        with isolated_seed(seed):
            network = self._make_network(self._fitted_params, self.table_, self._labels, seed)
            network.build_for(self.table_.n_columns_)
        return network

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


class LabelPredictorMixin(ClassifierMixin):
    """predict and its relatives, for estimators whose network has `class_logits`."""

    def _class_logits(self, X):
        encoded = self._encode(X)
        if not len(self.classes_):
            raise ValueError(
                f"This {type(self).__name__} was fitted without a label, so there is no class to predict. Fit with some "
                "labels in y, or pass classes=[...] (or a number of classes) to cluster without labels."
            )
        return inference.run(self.network_, "class_logits", encoded).astype(float)

    def predict_log_proba(self, X):
        """Logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        log_proba : (n, n_classes) array
            Columns in the order of ``classes_``.
        """
        logits = self._class_logits(X)
        logits = logits - logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def predict_proba(self, X):
        """q(y | x) at the posterior mean.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        proba : (n, n_classes) array
            Rows sum to one, columns in the order of ``classes_``.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """The most probable label of each row.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.

        Returns
        -------
        y : (n,) array
            Labels as they were given to `fit`.
        """
        codes = self._class_logits(X).argmax(axis=1)
        return self._codec.decode(codes)

    def score(self, X, y, sample_weight=None):
        """Accuracy on the rows of (X, y) that have a label.

        Parameters
        ----------
        X : as in `fit`, (n, ...)
            Rows.
        y : array-like of shape (n,)
            Labels; rows without one are left out.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
        """
        predicted = self.predict(X)
        codec = LabelCodec(None, self.unlabeled).fit(y, len(predicted))
        codes = codec.encode(y, len(predicted))
        known = codes >= 0
        if not known.any():
            raise ValueError("y must hold at least one label to score against; every row is unlabelled.")
        truth = codec.decode(codes[known])
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(truth, predicted[known], sample_weight=weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
