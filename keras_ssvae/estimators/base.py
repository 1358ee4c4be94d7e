"""The estimator: prepare, build, train, commit, and draw from the trained network. The scikit-learn side.

To define a family, write a class decorated by `keras_ssvae.estimators.parameters.estimator`, whose bases are the mixins of what
its network can (`keras_ssvae.estimators.mixins`) and `GenerativeEstimator`: its fields are the constructor's arguments, made by
`param`, and ``_network_class`` is the network.
"""

import copyreg
import numbers
import os
import typing
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_ssvae import serialization
from keras_ssvae._compat.keras import detached_callback
from keras_ssvae._compat.numpy import FLOAT_ERRORS
from keras_ssvae._compat.sklearn import BaseEstimator, fit_context
from keras_ssvae._compat.tensorflow import check_runtime
from keras_ssvae.data.containers import opened, split_labels
from keras_ssvae.data.labels import UNLABELED, UnreadLabels, distinct_labels
from keras_ssvae.data.rows import LazyRows
from keras_ssvae.data.schema import as_frame
from keras_ssvae.data.sources import open_source, stack
from keras_ssvae.data.validation import check_X
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.exporting import ExportMixin
from keras_ssvae.estimators.fit_data import prepare
from keras_ssvae.estimators.loading import restore, saved_attributes
from keras_ssvae.estimators.parameters import (
    AUTO,
    NOT_NEGATIVE,
    POSITIVE,
    HasMethods,
    Interval,
    check_callbacks,
    estimator,
    layer_sizes,
    param,
    refuse_legacy_keras,
)
from keras_ssvae.estimators.sampling import SamplingMixin
from keras_ssvae.networks import inference
from keras_ssvae.networks.sharing import plain
from keras_ssvae.nn.layers import dtype_policy
from keras_ssvae.training.checkpoint import Checkpoint
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.distribution import current_group
from keras_ssvae.training.progress import FitInterrupted
from keras_ssvae.training.step_cache import STEP_CACHE
from keras_ssvae.training.trainer import train

__all__ = ["GenerativeEstimator"]

AT_LEAST_TWO = Interval(numbers.Integral, 2, None, closed="left")


@estimator
class GenerativeEstimator(SamplingMixin, ExportMixin, BaseEstimator):
    """Base of all estimators: parameters of the bodies and of the training, `fit`, and `sample`."""

    latent_dim: int = param(default=10, accepts=[POSITIVE], kw_only=False)
    hidden_layer_sizes: tuple = param(default=(128, 128), accepts=["array-like"])
    activation: str | Callable = param(default="silu", accepts=[str, callable])
    encoder: typing.Any = param(default=None, accepts=[None, str, callable])
    decoder: typing.Any = param(default=None, accepts=[None, str, callable])
    likelihood: str | dict = param(default="auto", accepts=[str, dict], role="data")
    optimizer: typing.Any = param(default="adamw", accepts=[str, HasMethods(["get_config", "from_config"])], role="training")
    learning_rate: float = param(default=2e-3, accepts=[Interval(numbers.Real, 0, None, closed="neither")], role="training")
    batch_size: int = param(default=128, accepts=[AT_LEAST_TWO], role="training")
    buffer_size: int = param(default=100_000, accepts=[AT_LEAST_TWO], role="data")
    epochs: int | str = param(default="auto", accepts=[POSITIVE, AUTO], role="training")
    validation_fraction: float = param(default=0.1, accepts=[Interval(numbers.Real, 0, 1, closed="neither")], role="training")
    early_stopping: bool = param(default=False, accepts=["boolean"], role="training")
    n_iter_no_change: int = param(default=10, accepts=[POSITIVE], role="training")
    callbacks: list | None = param(default=None, accepts=[None, list], role="training")
    augmentation: typing.Any = param(default=None, accepts=[None, callable], role="training")
    jit_compile: bool | str = param(default="auto", accepts=["boolean", AUTO], role="training")
    warm_start: bool = param(default=False, accepts=["boolean"], role="training")
    verbose: int | str = param(default=0, accepts=["verbose", AUTO], role="training")
    checkpoint: typing.Any = param(default=None, accepts=[None, str, os.PathLike], role="training")
    checkpoint_minutes: float = param(default=0.0, accepts=[NOT_NEGATIVE], role="training")
    random_state: typing.Any = param(default=None, accepts=["random_state"], role="training")

    unlabeled: typing.ClassVar[typing.Any] = UNLABELED  # where a family does not predict labels; see `LabelPredictorMixin`
    class_weight: typing.ClassVar[typing.Any] = None
    _distinct_labels: typing.ClassVar[typing.Any] = staticmethod(distinct_labels)  # of which rows in memory stand for others
    _label_column = None  # the name that was y in the fit
    _dtype_policy = "float32"  # of Keras, when the network was made

    # What a family defines

    _network_class: typing.ClassVar[typing.Any] = None

    @classmethod
    def _resolve(cls, params, table, summary):
        """The network's arguments: its parameters, with what is "auto" decided from a `TablePreprocessor`, a `LabelSummary`."""
        return {**params, "hidden_layer_sizes": layer_sizes(params, "hidden_layer_sizes")}

    def _extra_arrays(self, X, **extra):
        """{}: (n, ...) arrays that join the batch under their names; `extra` is what `fit` was given for them, if anything."""
        return {}

    def _fit_head(self, network, data):
        """{}: attributes of what is fitted to the trained network, from the `FitData`."""
        return {}

    def _experts(self, table, summary):
        """What is asked for y, (views, rows, weight, n_classes) -> evidence, or None; by a table and what labels sum up to."""
        return None

    def _reads_pieces(self, table):
        """Whether the encoder reads numbers piece by piece between their quantiles, those of a `TablePreprocessor`."""
        return False

    def _draw(self, y_index, rng):
        """Prepared rows of the given classes, drawn from the model."""
        return self.network_.sample(y_index, rng, self.table_.graded_)

    @property
    def _class_prior(self):
        """p(y) of a fitted model, (n_classes,) array."""
        return self.network_.class_prior

    def _make_codec(self, y, weight, keep, classes):
        """The `LabelCodec` of a fit to rows that count as often as `weight` says."""
        return UnreadLabels().fit(y, len(weight))

    # Training

    @fit_context
    def fit(
        self,
        X: typing.Any,
        y: typing.Any = None,
        sample_weight: npt.ArrayLike | None = None,
        validation_data: tuple | None = None,
    ) -> typing.Self:
        """Fit the model to rows of which any number is labelled.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d), or array of shape (n, height, width[, channels]), or a source
            Rows or images. The columns of a DataFrame may be numbers, truth values, strings, categories, dates (also as
            text) and durations, see `keras_ssvae.data.schema`; NaN, None, pd.NA and NaT mark missing cells, and later on a
            category that this fit does not see counts as missing. A sparse matrix of SciPy is made dense. Tensors, dicts of
            columns, tables of pyarrow, lazy frames of polars, relations of DuckDB, datasets of Hugging Face, structured and
            masked arrays (the mask marks missing cells) are read, too; docs/inputs.md has all of them. Rows that are too many
            for the memory are read in blocks, if X is

            - a folder (str or path) of Parquet or CSV files, one such file, or a pyarrow Dataset;
            - a function without arguments that returns an iterator of blocks X or (X, y), arrays or DataFrames;
            - a tf.data.Dataset, or a keras.utils.PyDataset, of batches X or (X, y), where X may be a dict of columns;
            - a numpy.memmap of more than `buffer_size` rows.
        y : array-like of shape (n,), default=None
            Labels; -1 (or `unlabeled`), None, NaN and pd.NA mark rows without one. None: no row has a label. Of a DataFrame,
            files, or blocks that are DataFrames: the name of the column of the labels.
        sample_weight : array-like of shape (n,), default=None
            How often each row counts: weight 2 is a row given twice, weight 0 a row left out. None for rows read in blocks; a
            numpy.memmap is read as a whole with it.
        validation_data : tuple (X, y), default=None
            Rows and labels to judge each epoch by, for ``history_``, callbacks, and `early_stopping`, which then holds out no
            training rows. y may be None or, of a DataFrame, the name of its column.

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
        warm = self.warm_start and hasattr(self, "network_")
        return self._fit(X, y, sample_weight, warm=warm, validation_data=validation_data)

    @fit_context
    def partial_fit(
        self, X: typing.Any, y: typing.Any = None, classes: typing.Any = None, sample_weight: npt.ArrayLike | None = None
    ) -> typing.Self:
        """One more pass over these rows, keeping all that was learned; the first call fixes columns, scaling and classes.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
            Rows, with the columns of the first call, labels and weights.
        classes : array-like or int, default=None
            All labels that will ever come, for the first call; by default the `classes` parameter, then those in `y`. Of no
            effect where the model has no classes.
        """
        return self._fit(X, y, sample_weight, warm=hasattr(self, "network_"), classes=classes, one_pass=True)

    @np.errstate(**FLOAT_ERRORS)
    def _fit(self, X, y, sample_weight, *, warm, **given):
        """The four steps of every fit, of the estimator as it is at the first; until the last, it stays as it is."""
        check_runtime(makes_variables=True)
        before = self._snapshot()
        refuse_legacy_keras(before.get_params(deep=False))
        check_callbacks(before.callbacks)
        group = current_group(before.random_state, before.batch_size)
        data = prepare(before, X, y, sample_weight, warm=warm, **given)
        network = before._build(data)
        prepared, goes_on = warm and before._prepared, hasattr(before, "n_iter_")
        settings = {"seed": data.seeds[2], "one_pass": data.one_pass, "prepared": prepared, "goes_on": goes_on, "group": group}
        config = TrainingConfig.of(before, **settings)
        checkpoint = Checkpoint.of(network, data, config)
        try:
            history = train(network, data, config, STEP_CACHE, checkpoint)
        except FitInterrupted as interrupted:
            shown = self if checkpoint is not None else before._snapshot()
            head, prepared = before._fit_head(network, data), prepared or interrupted.prepared
            interrupted.tell(shown._commit(before, data, network, interrupted.history, head, prepared), shown is self)
            raise
        head = before._fit_head(network, data)
        self._commit(before, data, network, history, head, prepared or not data.one_pass)
        if group is not None:
            group.agree("epochs", len(history))
        if checkpoint is not None and config.leads:
            checkpoint.remove()
        return self

    def _build(self, data):
        """An untrained network, or one with all that was learned so far."""
        network = self._make_network(self._network_params(), data.table, data.summary, data.rows.spec, *data.seeds[:2])
        if data.warm:
            known = list(self.classes_)
            network.inherit(self.network_, [known.index(c) if c in known else None for c in data.codec.classes_])
        return network

    def _commit(self, before, data, network, history, head, prepared):
        """Show the result of a fit of the estimator as it was before, all at once.

        `prepared` says whether stages that only prepare have run to their end.
        """
        if data.goes_on:
            history = pd.concat([before.history_, history], ignore_index=True)
        return self._publish({
            **data.columns,
            "table_": data.table,
            "network_": network,
            "classes_": data.codec.classes_,
            "history_": history,
            "n_iter_": len(history),
            "_codec": data.codec,
            "_label_column": data.label_column,
            "_labels": data.summary,
            "_marginals": data.marginals,
            "_spec": data.rows.spec,
            "_fitted_params": before._network_params(),
            "_dtype_policy": keras.config.dtype_policy().name,
            "_prepared": prepared,
            **head,
        })  # fmt: skip

    def _publish(self, fitted):
        """Set the attributes of a fit, the one place that does; who asks meanwhile sees those of before or these."""
        state = vars(self).copy()  # at once, where a loop over it would see what other threads set
        state.pop("feature_names_in_", None)
        self.__dict__ = {**state, **fitted}
        return self

    def _snapshot(self):
        """A copy that shares parameters and attributes, and does not see what is set or fitted later; see `consistent`."""
        copy = object.__new__(type(self))
        copy.__dict__ = vars(self).copy()
        return copy

    def _network_params(self):
        """The parameters that shape the network; Keras takes no integers of NumPy."""
        return {name: plain(value) for name, value in self.get_params(deep=False).items() if name in self._network_parameters}

    @classmethod
    def _make_network(cls, params, table, summary, spec, weights_seed, seed):
        """A built network of untrained weights: a pure function of parameters, table, label summary, spec and two seeds."""
        return cls._network_class.make(seed, weights_seed, spec, table=table, **cls._resolve(params, table, summary))

    # Rows of questions

    def _read(self, X):
        """X as numbers; raises unless X has the columns of the fit."""
        frame = as_frame(X)
        if frame is not None:  # columns are read by position, so their names come first
            validate_data(self, X, skip_check_array=True, reset=False)
        values = check_X(X if frame is None else frame, self.table_.schema_, self)
        given, fitted = values.shape[1:], self.table_.row_shape_
        if given != fitted and (len(given) > 1 or len(fitted) > 1):
            raise ValueError(f"X has rows of shape {given}; {type(self).__name__} was fitted to rows of shape {fitted}.")
        if frame is None:
            validate_data(self, X, skip_check_array=True, reset=False)
        return values

    def _open(self, X, y=None):
        """X as an array or a frame, y, and where X is read from in blocks, None if it lies in memory."""
        X, y = split_labels(opened(X), y, self._label_column)
        return X, y, open_source(X, y, self.buffer_size, self._label_column)

    def _rows(self, X):
        """Rows of a question, prepared when they are needed."""
        check_is_fitted(self)
        return LazyRows(self.table_, self._read(X), **self._extra_arrays(X))

    # Questions to the trained network

    def _draw_labels(self, n_samples, rng):
        """What `LabelCodec.decode` reads, drawn from p(y)."""
        prior = self._class_prior
        return rng.choice(len(prior), n_samples, p=prior / prior.sum())

    @consistent
    def loss_terms(self, X: typing.Any, y: typing.Any = None) -> pd.DataFrame:
        """The terms of the loss, row by row, as in the last stage of training but with fixed noise.

        Parameters
        ----------
        X, y : as in `fit`
            Rows and labels.

        Returns
        -------
        terms : DataFrame of shape (n, n_terms)
            In nats a row; a row's values do not depend on other rows.
        """
        X, y, source = self._open(X, y)
        if source is not None:
            return stack([self.loss_terms(*block) for block in source.blocks()])
        rows = self._rows(X)
        rows = rows.joined(**self._codec.arrays(y, len(rows)))
        return pd.DataFrame(inference.run(self.network_, inference.row_terms, rows))

    # Files

    @consistent
    def save(self, path: typing.Any) -> None:
        """Write the fitted estimator to one file that `keras_ssvae.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file; it is replaced only when all is written.

        Raises
        ------
        TypeError
            If a parameter cannot be written as data, or the class is not one that `load` could make.
        """
        serialization.save(self, path)

    def __sklearn_clone__(self):
        unfitted = self._snapshot()
        unfitted.callbacks = _detached(self.callbacks)
        return super(GenerativeEstimator, unfitted).__sklearn_clone__()

    def __getstate__(self):
        """Plain data, for those who write no other: a fitted estimator is the bytes of its file."""
        state = super().__getstate__()
        state = {**state, "callbacks": _detached(state["callbacks"])}
        return {"saved": serialization.to_bytes(self._snapshot())} if "network_" in state else state

    def __reduce_ex__(self, protocol):
        """What pickle and copies read: all attributes, whatever they are."""
        state = super().__getstate__()
        state = {**state, "callbacks": _detached(state["callbacks"])}
        packed = serialization.pack_network(state) if "network_" in state else state
        return copyreg.__newobj__, (type(self),), packed

    def __setstate__(self, state):
        if set(state) == {"saved"}:
            self.__dict__.update(saved_attributes(type(self), state["saved"]))
        else:
            super().__setstate__(serialization.unpack_network(type(self).__new__(type(self)), state))

    @classmethod
    def _from_file(cls, state):
        """The fitted estimator of what a file says; a ValueError unless all of it fits together."""
        return restore(cls, state)

    def _check_loaded(self):
        """Raise a ValueError unless the attributes that a family adds, from a file, fit the others."""

    def _rebuild_network(self, seed):
        """The network of this fitted estimator, with untrained weights."""
        with dtype_policy(self._dtype_policy):
            return self._make_network(self._fitted_params, self.table_, self._labels, self._spec, seed, seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = True
        return tags


def _detached(callbacks):
    """Copies of callbacks without the network of the last fit."""
    if not isinstance(callbacks, list):
        return callbacks
    return [detached_callback(c) if isinstance(c, keras.callbacks.Callback) else c for c in callbacks]
