"""The way out: a fitted estimator as graphs that other programs read, and as a page that says what it is."""

import functools
import inspect
import os
import typing
from collections.abc import Callable, Sequence

import pandas as pd
import tensorflow as tf
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from keras_ssvae._compat.tensorflow import check_runtime
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.estimators.mixins import N_DRAWS, DensityMixin, LabelPredictorMixin
from keras_ssvae.export.card import card_of
from keras_ssvae.export.formats import MARK, writer_of
from keras_ssvae.serialization.files import write_atomically
from keras_ssvae.serialization.folders import write_folder
from keras_ssvae.serialization.versions import versions

__all__ = ["ExportMixin"]

METHODS = ("predict_proba", "predict", "anomaly_score", "transform")


class ExportMixin:
    """Files for others: what answers without this package, and what is read."""

    @consistent
    def export(
        self: typing.Any, path: str | os.PathLike, methods: Sequence[str] | None = None, format: str = "savedmodel"
    ) -> None:
        """Write methods as graphs that read raw columns, for processes that have no keras_ssvae.

        Parameters
        ----------
        path : str or path-like
            The folder to be; it is there as a whole or not at all. An earlier export in its place is replaced.
        methods : sequence of str, default=None
            What to write, of "predict_proba", "predict" where it predicts a number, "anomaly_score" and "transform"; and of an
            `AnomalyDetector`, of its "predict_proba", "anomaly_score", "decision_function", "score_samples" and "predict". None
            is all of these that the model has.
        format : {"savedmodel", "onnx", "tflite"}, default="savedmodel"
            "savedmodel": what `served = tf.saved_model.load(path)` answers by ``served.predict_proba({"age": ages, ...})``,
            with a signature for each method.
            "onnx": a file ``<method>.onnx`` for each; it needs tf2onnx, ``pip install 'keras_ssvae[export]'``.
            "tflite": a file ``<method>.tflite`` for each, of columns of numbers, which are float32, in the operations of
            TensorFlow Lite: "anomaly_score" of categories has others.

        Raises
        ------
        ValueError
            If the model lacks a method, it consists of what a graph cannot do, or a column is of a kind that a graph cannot
            read; the message names the column and says what to pass.
        FileExistsError
            If something else is at `path`.
        ImportError
            If tf2onnx is needed and not installed.

        Notes
        -----
        A column is a tensor (n,): numbers, truth values, and categories that are numbers as float64, NaN where missing; texts
        and categories that are texts as strings, "" where missing unless that is a category; dates as seconds since 1970. A
        category that the fit did not see counts as missing. An array of numbers is one tensor, "X". ``export.json`` lists all
        inputs by name, and the classes; ``model_card.md`` is `model_card`. Answers are float32, the same as those of the method
        up to rounding (1e-5), all rows at once: ask for some thousand rows at a time.
        """
        check_is_fitted(self)
        check_runtime()
        has, without = self._exported(), self._not_in_a_graph()
        if methods is None:
            methods = [method for method in has if method not in without]
        if isinstance(methods, str) or not len(methods) or not set(methods) <= set(has):
            raise ValueError(f"methods must be some of {has}, which this {type(self).__name__} has; got {methods!r}.")
        refused = [without[method] for method in methods if method in without]
        if refused:
            raise ValueError(refused[0])
        facts = {"model": type(self).__name__, **self._export_facts(methods)}
        write = writer_of(self._exported_table(), self._answers(methods), format, facts, self._card())
        write_folder(path, write, MARK)

    @consistent
    def model_card(self: typing.Any, path: str | os.PathLike) -> None:
        """Write what the model knows of itself: columns, labels, training, parameters, versions, on a page in Markdown.

        Parameters
        ----------
        path : str or path-like
            The file; it is replaced only when all is written. It holds ranges of the columns and their categories.
        """
        check_is_fitted(self)
        text = self._card().encode()
        write_atomically(path, lambda file: file.write(text))

    # Hooks: what is exported of an estimator of this kind

    def _exported(self):
        """Names of the methods that may be asked for."""
        return [method for method in METHODS if _can_export(self, method)]

    def _not_in_a_graph(self):
        """Those of them that no graph gives -> why."""
        own = LabelPredictorMixin._class_logits
        if getattr(type(self), "_class_logits", own) is own:
            return {}
        why = (
            "a classifier of scikit-learn gives it, and no graph. Export 'transform', and apply `classifier_` to what it gives."
        )
        return {"predict_proba": f"methods must not hold 'predict_proba' for a {type(self).__name__}: {why}"}

    def _exported_table(self):
        """The columns."""
        return self.table_

    def _export_facts(self, methods):
        """What else the JSON file says."""
        columns = {"transform": self.get_feature_names_out().tolist()} if "transform" in methods else {}
        return {"classes": self.classes_.tolist(), "columns": columns}

    def _answers(self, methods):
        """Methods as functions of a batch to a tensor, by name."""
        return {method: _answer(self, method) for method in methods}

    def _card(self):
        """The page of the model, in Markdown."""
        weights = self._labels.class_weight[: len(self.classes_)]  # without classes there is one that all rows have
        labels = dict(zip(self.classes_.tolist(), weights.tolist(), strict=True))
        return page_of(self, self.table_, labels or "The model knows no class.", self.history_)


def page_of(model: typing.Any, table: TablePreprocessor, labels: dict[str, float] | str, history: pd.DataFrame) -> str:
    """The page of a model, in Markdown, as `card_of`, given its columns, labels and epochs."""
    defaults = type(model)().get_params(deep=False)
    params = {name: value for name, value in model.get_params(deep=False).items() if repr(value) != repr(defaults[name])}
    about = (inspect.getdoc(type(model)) or "").partition("\n\n")[0]
    return card_of(type(model).__name__, about, table, labels, params, history, versions())


def _can_export(model, method):
    """Whether a fitted model has a method that says more than another."""
    if method == "predict":
        return is_regressor(model) and model._codec.scale_ is not None
    return hasattr(model, method) and (method != "predict_proba" or len(model.classes_) > 0)


def _answer(model: typing.Any, method: str) -> Callable[[dict], tf.Tensor]:
    """A method as a function of a batch to a tensor."""
    network = model.network_
    if method == "predict_proba":
        return lambda batch: tf.cast(tf.nn.softmax(tf.cast(network.class_logits(batch), tf.float64)), tf.float32)
    if method == "predict":
        scale, center = model._codec.scale_, model._codec.center_
        return lambda batch: network.target(batch)[:, 0] * scale + center
    if method == "transform":
        return getattr(network, model._encoding)
    score = functools.partial(network.log_likelihood, n_draws=N_DRAWS) if isinstance(model, DensityMixin) else network.score
    return lambda batch: -score(batch)
