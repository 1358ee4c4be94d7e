"""From what a user hands to `fit` to what a fit is made of: validated, encoded, and summed up."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from keras_ssvae._compat.sklearn import get_feature_names
from keras_ssvae.data.containers import has_column, opened, split_labels
from keras_ssvae.data.domains import Domains
from keras_ssvae.data.label_summary import LabelSummary, summarise_labels
from keras_ssvae.data.labels import LabelCodec
from keras_ssvae.data.marginals import Marginals
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.schema import Schema, as_frame
from keras_ssvae.data.sources import open_source, stack, take
from keras_ssvae.data.streaming import RowStream
from keras_ssvae.data.survey import SourceSummary
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.data.validation import check_weight, check_X
from keras_ssvae.evidence.domains import adapted, distances, trust
from keras_ssvae.evidence.pool import Evidence, gather, narrowed, rows_to_ask
from keras_ssvae.evidence.shift import warn_of_shift
from keras_ssvae.seeding import derive_seeds
from keras_ssvae.training.checkpoint import lasting_seed, open_directory

__all__ = []


@dataclasses.dataclass(frozen=True)
class FitData:
    """What a fit is made of; nothing of it changes while it runs."""

    table: TablePreprocessor
    codec: LabelCodec
    rows: PreparedRows  # in memory, with "y" and the estimator's extra arrays
    weight: np.ndarray  # (n,), how often each row counts
    summary: LabelSummary  # what the labels say about scales
    seeds: list  # of the weights, of the noise, and of the order of rows
    evidence: typing.Any  # what experts say of the rows
    distances: np.ndarray | None  # how far domains lie apart, if rows have any
    extra: dict  # what `fit` was given for the estimator's extra arrays
    stream: RowStream | None  # where the rows that are not in memory come from
    held_out: tuple[PreparedRows, np.ndarray] | None  # rows and weights to judge by that the user gave
    columns: dict  # n_features_in_ and, where X has names, feature_names_in_
    label_column: str | None  # the name of the column that was y
    marginals: Marginals | None  # how numbers are distributed; None: not known
    goes_on: bool  # whether the fit adds to the ones before it: `partial_fit` of a fitted estimator
    warm: bool  # whether it starts from what the estimator has learned
    one_pass: bool  # whether every row is seen once


def prepare(
    estimator: typing.Any, X: typing.Any, y: typing.Any, sample_weight: typing.Any, *, warm: bool, classes: typing.Any = None,
    one_pass: bool = False, validation_data: typing.Any = None, **extra: typing.Any,
) -> FitData:  # fmt: skip
    """Read, check and encode the rows of a fit: X, y, sample_weight and classes as in `GenerativeEstimator.partial_fit`, `warm`
    and `one_pass` as in `FitData`, `validation_data` as in `fit`, `extra` for the estimator's ``_extra_arrays``. The estimator
    is read and not changed. Raises a ValueError if something cannot be read."""
    random_state = estimator.random_state
    if estimator.checkpoint is not None and not one_pass:
        open_directory(estimator.checkpoint)
        random_state = lasting_seed(estimator.checkpoint) if random_state is None else random_state
    seeds = derive_seeds(random_state, 3 * (1 + (estimator.n_iter_ if warm else 0)))[-3:]
    label_column = y if isinstance(y, str) else None
    distinct = functools.partial(estimator._distinct_labels, unlabeled=estimator.unlabeled)
    X, y, sample_weight, source = in_memory(estimator, X, y, seeds[2], distinct, sample_weight, **extra)
    if warm:
        schema, values = estimator.table_.schema_, estimator._read(X)
    else:
        get_feature_names(X)  # raises on names of mixed types, before the work is done
        schema = Schema().fit(X)
        values = check_X(X, schema, estimator)
    stands_for = check_weight(sample_weight, values)
    codec = estimator._make_codec(y, stands_for, warm and one_pass, classes)
    arrays = {**codec.arrays(y, len(values)), **estimator._extra_arrays(X, **extra)}
    counts = stands_for > 0
    if not counts.all():
        values, stands_for = values[counts], stands_for[counts]
        arrays = {name: array[counts] for name, array in arrays.items()}
    weight = _with_class_weights(estimator.class_weight, codec, arrays["y"], stands_for)
    table = estimator.table_.widened(values) if warm else TablePreprocessor(estimator.likelihood).fit(values, schema, weight)
    rows = table.encode(values).joined(**arrays)
    if not warm and estimator._reads_pieces(table):
        table.learn_quantiles(rows, weight)
    marginals = estimator._marginals if warm and one_pass else Marginals.of(table, values, stands_for)
    columns = _columns(take(X, slice(0, 1)) if source is not None else X)
    summary = summarise_labels(lambda chosen: table.features(rows.x[chosen]), rows.y, weight, codec.n_classes)
    if warm and one_pass and len(estimator.classes_) == len(codec.classes_):  # the class prior remembers all passes
        summary = dataclasses.replace(summary, class_weight=summary.class_weight + estimator._labels.class_weight)
    experts = None if one_pass else estimator._experts(table, summary)
    domain = arrays["domain"] if isinstance(extra.get("domain"), Domains) else None
    evidence, advice, apart = _evidence(table, rows, weight, codec.n_classes, domain, experts)
    if evidence is not None:
        rows, summary = rows.joined(advice=advice), dataclasses.replace(summary, **evidence.summary)
        if len(codec.classes_):
            marginals = dataclasses.replace(marginals, class_shares=_class_shares(advice, rows.y, stands_for))
    block = functools.partial(_block, estimator, table, codec, advice, extra)
    stream = held_out = None
    if source is not None and sample_weight is not None:  # there are more rows than those in memory
        stream = RowStream(source, block, estimator.buffer_size, rows, stands_for, weight)
    if validation_data is not None:
        judged = block(*_validation_rows(validation_data, table, label_column))
        if judged.observed is None and rows.observed is not None:
            judged = judged.joined(observed=np.ones_like(judged.x))
        held_out = judged, np.ones(len(judged))
    goes_on = warm and one_pass
    return FitData(
        table, codec, rows, weight, summary, seeds, evidence, apart, extra, stream, held_out, columns, label_column,
        marginals, goes_on, warm, one_pass,
    )  # fmt: skip


def _validation_rows(validation_data, table, label_column):
    """The rows and labels of `validation_data`, with the columns of a fitted table."""
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError(f"validation_data must be a tuple (X, y); got {validation_data!r:.100}.")
    X, y = validation_data
    X = opened(X)
    X, y = split_labels(X, label_column if y is None and has_column(X, label_column) else y)
    source = open_source(X, y)
    if source is not None:
        X, y = map(stack, zip(*source.blocks(), strict=True))
    frame, names = as_frame(X), table.schema_.names
    given = names if frame is None or names is None else frame.columns
    if names is not None and list(given) != list(names):
        raise ValueError(f"validation_data must have the columns of X, {list(names)[:20]}; got {list(given)[:20]}.")
    shape = np.shape(X)[1:]
    if shape != table.row_shape_:
        raise ValueError(f"validation_data has rows of shape {shape}; those of X have {table.row_shape_}.")
    return X, y


def _block(estimator, table, codec, advice, extra, X, y):
    """Rows of a stream, prepared."""
    more = {**codec.arrays(y, len(X)), **estimator._extra_arrays(X, **extra)}
    if advice is not None:
        more["advice"] = np.zeros((len(X), advice.shape[1]), np.float32)
    return table.encode(check_X(X, table.schema_)).joined(**more)


def _evidence(table, rows, weight, n_classes, domain, experts):
    """What experts say, if there are any, as the batch's "advice", and how far domains lie apart, if rows have any."""
    if experts is None and domain is None:
        return None, None, None
    asked = rows_to_ask(rows)
    views, y = table.views(rows.x[asked]), rows.y[asked]
    apart = counts = x = None
    if domain is not None:
        domain, n_domains = domain[asked].argmax(axis=1), domain.shape[1]
        x = narrowed(views["scaled"])
        apart, error = distances(x, domain, n_domains)
        counts = trust(apart, error, np.bincount(domain[y >= 0], minlength=n_domains))
    evidence = None if experts is None else experts(views, rows[asked], weight[asked], n_classes)
    if evidence is None:
        return None, None, apart
    if domain is None:
        warn_of_shift(evidence.unlabeled_distance)
    advice = np.zeros((len(rows), evidence.advice.shape[1]), np.float32)  # zeros: nothing was said
    advice[asked] = evidence.advice
    if counts is not None:
        advice[asked] = adapted(evidence.advice, evidence.left_out, x, y, domain, counts)
    return evidence, advice, apart


def _class_shares(advice, y, weight):
    """How often each class is there, (n_classes,), among rows of which some have advice, zeros where they have none."""
    asked, shares = advice.any(axis=1), np.zeros(advice.shape[1])
    for kind in (y >= 0, y < 0):  # of each some are asked
        told = kind & asked
        if told.any():
            shares += weight[kind].sum() * np.average(np.exp(advice[told]), axis=0, weights=weight[told])
    return shares / shares.sum()


def ask_for_classes(views: dict[str, np.ndarray], rows: PreparedRows, weight: np.ndarray, n_classes: int) -> Evidence:
    """What `keras_ssvae.evidence.pool.gather` says of rows with "y"."""
    return gather(views, rows.y, weight, n_classes)


def in_memory(
    estimator: typing.Any, X: typing.Any, y: typing.Any, seed: int, distinct: Callable, sample_weight: typing.Any = None,
    **extra: typing.Any,
) -> tuple:  # fmt: skip
    """Rows, labels and weights that lie in memory, and the source that they stand for, if any, of which `distinct` as
    `keras_ssvae.data.labels.distinct_labels` reads the labels."""
    weighted_memmap = isinstance(X, np.memmap) and sample_weight is not None  # as joblib hands arrays to its processes
    X, y = split_labels(opened(X), y)
    source = None if weighted_memmap else open_source(X, y, estimator.buffer_size)
    if source is None:
        return X, y, sample_weight, None
    if sample_weight is not None:
        raise ValueError("sample_weight must be None where X is read in blocks; repeat rows in X instead.")
    if isinstance(extra.get("domain"), Domains):
        raise ValueError("domain must be None where X is read in blocks; pass X as an array or a DataFrame.")
    summary = SourceSummary(source, estimator.buffer_size, distinct, seed)
    return summary.X, summary.y, summary.weight, source


def _with_class_weights(class_weight, codec, y_index, weight):
    """The weights of the rows times what `class_weight` makes of those with a label."""
    known = y_index >= 0
    if class_weight is None or not known.any():
        return weight
    totals = np.bincount(y_index[known], weight[known], minlength=codec.n_classes)
    if class_weight == "balanced":
        by_class = totals.sum() / (np.count_nonzero(totals) * np.where(totals > 0, totals, np.inf))
    else:
        classes = codec.classes_.tolist()
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(f"class_weight names labels that are not among the classes: {unknown} of {classes}.")
        by_class = np.array([class_weight.get(label, 1.0) for label in classes], float)
        if not ((by_class > 0) & np.isfinite(by_class)).all():
            raise ValueError(f"class_weight must hold positive weights; got {class_weight!r}.")
    return np.where(known, weight * by_class[y_index], weight)


def _columns(X):
    """The attributes by which scikit-learn knows the columns of X."""
    known = BaseEstimator()
    validate_data(known, X, skip_check_array=True, reset=True)
    return dict(vars(known))


def found_by_experts(evidence: typing.Any) -> dict:
    """The attributes that say what experts found, where any were asked."""
    if evidence is None:
        return {"evidence_": None, "unlabeled_distance_": np.nan}
    return {"evidence_": evidence.experts, "unlabeled_distance_": evidence.unlabeled_distance}
