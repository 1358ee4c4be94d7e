"""The estimator: validate, encode, build, train, and draw from the trained network. The scikit-learn side.

To define a family, write a dataclass whose bases are the mixins of what its network can (`keras_ssvae.estimators.mixins`) and
`GenerativeEstimator`: its fields are the constructor's arguments, ``_constraints`` says what they accept, and
``_network_class`` is the network.
"""

import dataclasses
import numbers

import keras
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, _get_feature_names, check_is_fitted, validate_data

from keras_ssvae import serialization
from keras_ssvae.data.label_summary import summarise_labels
from keras_ssvae.data.labels import UNLABELED, UnreadLabels
from keras_ssvae.data.schema import Schema, as_frame
from keras_ssvae.data.sources import open_source, stack, take
from keras_ssvae.data.streaming import RowStream, SourceSummary
from keras_ssvae.data.tables import KINDS, LazyRows, TablePreprocessor
from keras_ssvae.estimators.documentation import with_shared_parameters
from keras_ssvae.networks import inference
from keras_ssvae.nn.layers import dtype_policy, plain_activation
from keras_ssvae.seeding import derive_seeds, isolated_seed
from keras_ssvae.training import step_cache, trainer

__all__ = ["GenerativeEstimator"]


def _check_X(X, schema, estimator=None):
    """X as numbers: a float array (n, d), or (n, height, width[, channels]) of images; NaN is allowed, infinity is not."""
    frame = as_frame(X)
    if frame is not None:
        X = schema.read(frame)
    ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if ndim in (3, 4):
        X = check_array(X, allow_nd=True, ensure_2d=False, input_name="X", ensure_all_finite="allow-nan")
        if 0 in X.shape:
            raise ValueError(f"X must hold at least one image with at least one pixel; got shape {X.shape}.")
        return X
    dtype = [np.float64, np.float32]
    return check_array(X, dtype=dtype, ensure_all_finite="allow-nan", input_name="X", estimator=estimator)


@with_shared_parameters
@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class GenerativeEstimator(BaseEstimator):
    """Base of all estimators: parameters of the bodies and of the training, `fit`, and `sample`."""

    latent_dim: int = dataclasses.field(default=10, kw_only=False)
    hidden_layer_sizes: tuple = (128, 128)
    activation: object = "silu"
    encoder: object = None
    decoder: object = None
    likelihood: object = "auto"
    optimizer: object = "adamw"
    learning_rate: float = 2e-3
    batch_size: int = 128
    buffer_size: int = 100_000
    epochs: object = "auto"
    validation_fraction: float = 0.1
    early_stopping: bool = False
    n_iter_no_change: int = 10
    callbacks: list = None
    augmentation: object = None
    jit_compile: object = "auto"
    warm_start: bool = False
    verbose: int = 0
    random_state: object = None

    _constraints = {
        "latent_dim": [Interval(numbers.Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [str, callable],
        "encoder": [None, str, callable],
        "decoder": [None, str, callable],
        "likelihood": [StrOptions({"auto", *KINDS}), dict],
        "optimizer": [str, HasMethods(["get_config", "from_config"])],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "batch_size": [Interval(numbers.Integral, 2, None, closed="left")],
        "buffer_size": [Interval(numbers.Integral, 2, None, closed="left")],
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

    _outside = frozenset(_constraints) - {"latent_dim", "hidden_layer_sizes", "activation", "encoder", "decoder"}

    unlabeled = UNLABELED  # where a family does not predict labels; see `LabelPredictorMixin`
    class_weight = None
    _label_column = None  # the name that was y in the fit
    _dtype_policy = "float32"  # of Keras, when the network was made

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._parameter_constraints = {}
        cls._not_of_the_network = set()  # parameters that shape the training, the table or the labels
        for base in reversed(cls.__mro__):
            cls._parameter_constraints.update(vars(base).get("_constraints", {}))
            cls._not_of_the_network.update(vars(base).get("_outside", ()))

    # What a family defines

    _network_class = None

    @classmethod
    def _resolve(cls, params, table, summary):
        """Keyword arguments of the network: the parameters, with what is "auto" decided from table and label summary."""
        return {**params, "hidden_layer_sizes": tuple(params["hidden_layer_sizes"])}

    def _fit_beyond(self, network, encoded, codes, weight, codec, goes_on):
        """What is fitted to the trained network, from these rows, or with `goes_on` from all so far: attributes to be set."""
        return {}

    @property
    def _class_prior(self):
        """p(y) of a fitted model, (n_classes,) array."""
        return self.network_.class_prior

    def _draw(self, codes, rng):
        """PreparedRows rows of the given classes, drawn from the model."""
        return self.network_.sample(codes, rng, self.table_.graded_)

    def _network_params(self):
        """The parameters that shape the network; Keras takes no integers of NumPy."""
        params = self.get_params(deep=False)
        return {name: step_cache.plain(value) for name, value in params.items() if name not in self._not_of_the_network}

    @classmethod
    def _make_network(cls, params, table, summary, weights_seed, seed):
        """A built network of untrained weights: a pure function of parameters, table, label summary and two seeds."""
        arguments = cls._resolve(params, table, summary)
        with isolated_seed(weights_seed):
            activation = plain_activation(arguments["activation"])
            network = cls._network_class(seed, table=table, **{**arguments, "activation": activation})
            step_cache.build(network, table.n_columns_, step_cache.architecture(cls, network, table, arguments, {}))
        return network

    def _step_key(self, network, params, table, summary, one_pass):
        """See `step_cache.architecture`; None where the user has a hold on the network that trains."""
        if self.callbacks:
            return None
        step = {"one_pass": one_pass, **{name: getattr(self, name) for name in ("optimizer", "learning_rate")}}
        return step_cache.architecture(type(self), network, table, self._resolve(params, table, summary), step)

    # Training

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to rows of which any number is labelled.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d), or array of shape (n, height, width[, channels]), or a source
            Rows or images. The columns of a DataFrame may be numbers, truth values, strings, categories, dates (also as
            text) and durations, see `keras_ssvae.data.schema`; NaN, None, pd.NA and NaT mark missing cells, and later on a
            category that this fit does not see counts as missing. Rows that are too many for the memory are read in blocks, if
            X is

            - a folder (str or path) of Parquet or CSV files, one such file, or a pyarrow Dataset;
            - a function without arguments that returns an iterator of blocks X or (X, y), arrays or DataFrames;
            - a tf.data.Dataset of batches X or (X, y), where X may be a dict of columns;
            - a numpy.memmap of more than `buffer_size` rows.
        y : array-like of shape (n,), default=None
            Labels; -1 (or `unlabeled`), None, NaN and pd.NA mark rows without one. None: no row has a label. Of files, or of
            blocks that are DataFrames: the name of the column of the labels.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts: weight 2 is a row given twice, weight 0 a row left out. None for rows read in blocks; a
            numpy.memmap is read as a whole with it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y or sample_weight cannot be read; the estimator is unchanged then.

        Notes
        -----
        Of rows that are read in blocks, at most `buffer_size` with a label and as many without are kept in memory. If these are
        all, the fit is that of an array. Otherwise they are a random choice, from which columns, categories, scales and ranges
        are learned: a category that they do not have counts as missing, and if they have no gap, rows with one are left out of
        the training. Small classes are kept as a whole. `early_stopping` holds out some of the rows kept, which are left out
        where they are read again.

        Every epoch reads all rows once. Files, and groups of rows within them, come in random order, and a pool of
        `buffer_size` rows shuffles what comes; rows that a function or a dataset gives should not be sorted by class.

        `predict` and all other methods that take X read it block by block as well, and return the answers for all rows.
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
            All labels that will ever come, for the first call; by default the `classes` parameter, then those in `y`. Of no
            effect where the model has no classes.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, warm=hasattr(self, "network_"), classes=classes, one_pass=True)

    def _fit(self, X, y, sample_weight, warm, classes=None, one_pass=False):
        seeds = derive_seeds(self.random_state, 3 * (1 + (self.n_iter_ if warm else 0)))[-3:]
        label_column = y if isinstance(y, str) else None
        weighted_memmap = isinstance(X, np.memmap) and sample_weight is not None  # as joblib hands arrays to its processes
        source = None if weighted_memmap else open_source(X, y, self.buffer_size)
        if source is not None:
            if sample_weight is not None:
                raise ValueError("sample_weight must be None where X is read in blocks; repeat rows in X instead.")
            survey = SourceSummary(source, self.buffer_size, self.unlabeled, seeds[2])
            X, y, sample_weight = survey.X, survey.y, survey.weight
            del survey
        if warm:
            schema, values = self.table_.schema_, self._read(X)
        else:
            _get_feature_names(X)  # raises on names of mixed types, before the work is done
            schema = Schema().fit(X)
            values = _check_X(X, schema, self)
        codec = self._make_codec(y, len(values), warm and one_pass, classes)
        codes = codec.encode(y, len(values))
        weight = np.broadcast_to(1.0, len(values))  # one number in memory
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, values, dtype=np.float64, ensure_non_negative=True, ensure_same_device=False
            )
        kept = weight > 0
        if not kept.any():
            raise ValueError("sample_weight must be positive for at least one row; all weights are zero.")
        if not kept.all():
            values, codes, weight = values[kept], codes[kept], weight[kept]
        stands_for, weight = weight, self._with_class_weights(codec, codes, weight)
        table = self.table_.widened(values) if warm else TablePreprocessor(self.likelihood).fit(values, schema, weight)
        encoded = table.encode(values)
        del values
        if source is not None:
            X = take(X, slice(0, 1))  # of which the names are still to be read; the rest may need much memory
        summary = summarise_labels(lambda rows: table.indicators(encoded.x[rows]), codes, weight, codec.n_classes)
        if warm and one_pass and len(self.classes_) == len(codec.classes_):
            summary.class_weight = summary.class_weight + self._labels.class_weight  # the class prior remembers all passes
        params = self._network_params()
        network = self._make_network(params, table, summary, *seeds[:2])
        if warm:
            network.inherit(
                self.network_, [list(self.classes_).index(c) if c in self.classes_ else None for c in codec.classes_]
            )
        prepared, train = warm and self._prepared, trainer.train
        if source is not None and sample_weight is not None:  # there are more rows than those in memory

            def encode(X, y):
                return table.encode(_check_X(X, table.schema_)), codec.encode(y, len(X))

            train = RowStream(source, encode, self.buffer_size, encoded, codes, stands_for, weight).train
        key = self._step_key(network, params, table, summary, one_pass)
        with step_cache.trainee(network, key, lambda: self._make_network(params, table, summary, 0, 0)) as trained:
            history = train(trained, encoded, codes, weight, self, seeds[2], prepared, one_pass)
        beyond = self._fit_beyond(network, encoded, codes, weight, codec, goes_on=warm and one_pass)
        validate_data(self, X, skip_check_array=True, reset=True)
        self.table_, self.network_, self._codec, self._label_column = table, network, codec, label_column
        self._labels, self._fitted_params, self._dtype_policy = summary, params, keras.config.dtype_policy().name
        self.classes_ = codec.classes_
        if one_pass and warm:
            history = pd.concat([self.history_, history], ignore_index=True)
        self.history_, self.n_iter_ = history, len(history)
        self._prepared = prepared or not one_pass  # whether stages that only prepare have run to their end
        vars(self).update(beyond)
        return self

    def _with_class_weights(self, codec, codes, weight):
        """The weights of the rows times what `class_weight` makes of those with a label."""
        if self.class_weight is None or not (codes >= 0).any():
            return weight
        totals = np.bincount(codes[codes >= 0], weight[codes >= 0], minlength=codec.n_classes)
        if self.class_weight == "balanced":
            by_class = totals.sum() / (np.count_nonzero(totals) * np.where(totals > 0, totals, np.inf))
        else:
            classes = codec.classes_.tolist()
            unknown = [label for label in self.class_weight if label not in classes]
            if unknown:
                raise ValueError(f"class_weight names labels that are not among the classes: {unknown} of {classes}.")
            by_class = np.array([self.class_weight.get(label, 1.0) for label in classes], float)
            if not ((by_class > 0) & np.isfinite(by_class)).all():
                raise ValueError(f"class_weight must hold positive weights; got {self.class_weight!r}.")
        return np.where(codes >= 0, weight * by_class[codes], weight)

    def _make_codec(self, y, n_rows, keep, classes):
        """The `LabelCodec` of a fit."""
        return UnreadLabels().fit(y, n_rows)

    def _read(self, X):
        """X as numbers; raises unless X has the columns of the fit."""
        frame = as_frame(X)
        if frame is not None:  # columns are read by position, so their names come first
            validate_data(self, X, skip_check_array=True, reset=False)
        values = _check_X(X if frame is None else frame, self.table_.schema_, self)
        given, fitted = values.shape[1:], self.table_.row_shape_
        if given != fitted and (len(given) > 1 or len(fitted) > 1):
            raise ValueError(f"X has rows of shape {given}; {type(self).__name__} was fitted to rows of shape {fitted}.")
        if frame is None:
            validate_data(self, X, skip_check_array=True, reset=False)
        return values

    def _source(self, X, y=None):
        """Where X is read from in blocks; None if it lies in memory."""
        return open_source(X, y, self.buffer_size, self._label_column)

    def _encode(self, X):
        check_is_fitted(self)
        return LazyRows(self.table_, self._read(X))

    # Questions to the trained network

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
        prior = self._class_prior
        codes = rng.choice(len(prior), n_samples, p=prior / prior.sum()) if y is None else self._codec.indices_of(y, n_samples)
        return self.table_.decode(self._draw(codes, rng)), self._codec.decode(codes)

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
        source = self._source(X, y)
        if source is not None:
            return stack([self.loss_terms(*block) for block in source.blocks()])
        encoded = self._encode(X)
        codes = self._codec.encode(y, len(encoded))
        return pd.DataFrame(inference.run(self.network_, "row_terms", encoded, codes))

    def save(self, path):
        """Write the fitted estimator to one file that `keras_ssvae.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file; it is replaced only when all is written.
        """
        serialization.save(self, path)

    def __getstate__(self):
        state = super().__getstate__()
        return serialization.pack_network(state) if "network_" in state else state

    def __setstate__(self, state):
        super().__setstate__(serialization.unpack_network(type(self).__new__(type(self)), state))

    def _rebuild_network(self, seed):
        """The network of this fitted estimator, with untrained weights."""
        with dtype_policy(self._dtype_policy):
            return self._make_network(self._fitted_params, self.table_, self._labels, seed, seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags
