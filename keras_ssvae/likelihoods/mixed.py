"""p(x | what the decoder gives): columns of several kinds of likelihood side by side, each kind one block of columns."""

import itertools
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae.likelihoods.base import Likelihood
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import ColumnGroup
from keras_ssvae.nn.layers import Layer

__all__ = ["MixedLikelihood"]


class MixedLikelihood(Layer):
    """What the encoder reads of x, and the distribution of x whose parameters the decoder gives.

    x has `n_columns` columns, of which the encoder reads `n_features` values.

    The terms of the columns are balanced by their scaling: continuous columns are standardised and their likelihoods' spread
    has a floor of a twentieth of the column's, counts have the same floor in relative terms, and a column of categories is
    worth at most the entropy of its levels. So no column is worth more than a few nats, whatever its unit.

    Parameters
    ----------
    groups : list of ColumnGroup
        Kinds of the columns.
    link_center, link_scale : (n_columns,) arrays or None
        See `TablePreprocessor`; None is 0 and 1.
    incomplete : (n_columns,) bool array or None
        Columns for which the encoder is told whether the cell was observed.
    """

    def __init__(
        self, groups: list[ColumnGroup], link_center: np.ndarray | None = None, link_scale: np.ndarray | None = None,
        incomplete: np.ndarray | None = None, **kwargs: object,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.n_columns = groups[-1].stop
        self._slices = [slice(g.start, g.stop) for g in groups]

        def of(values, columns):
            return None if values is None else values[columns]

        self.parts = [
            LIKELIHOODS[g.kind](g.stop - g.start, g.n_levels, of(link_center, c), of(link_scale, c), name=f"{g.kind}_{g.start}")
            for g, c in zip(groups, self._slices, strict=True)
        ]
        self._incomplete = [] if incomplete is None else [int(j) for j in incomplete.nonzero()[0]]
        self.n_features = sum(part.n_features for part in self.parts) + len(self._incomplete)
        self._parameter_slices = _side_by_side([part.n_parameters * part.n_columns for part in self.parts])
        self._expectation_slices = _side_by_side([part.n_expectations for part in self.parts])
        self.n_parameters = self._parameter_slices[-1].stop

    @classmethod
    def of_table(cls, table: typing.Any, **kwargs: typing.Any) -> "MixedLikelihood":
        """The observation of a fitted `TablePreprocessor`."""
        incomplete = None if table.image_shape_ else table.incomplete_
        return cls(table.groups_, table.link_center_, table.link_scale_, incomplete, **kwargs)

    def constant_variables(self) -> list[tf.Variable]:
        """What the likelihoods' links are made of."""
        return [variable for part in self.parts for variable in (part.link.center, part.link.scale)]

    @classmethod
    def gaussian(cls, n_columns: int, **kwargs: typing.Any) -> "MixedLikelihood":
        """Gaussian columns that are standardised already."""
        return cls([ColumnGroup("gaussian", 0, n_columns)], **kwargs)

    def after(self, output_kind: str) -> "MixedLikelihood":
        """This layer, made for a decoder that gives "features", parameters ("location"), or the "mean" of x.

        Features get a dense head. A decoder of the user's with one value a column is read as its mean where the parameters of
        all columns follow from that.
        """
        plain = all(type(part).location_of_mean is not Likelihood.location_of_mean for part in self.parts)
        self.reads = "features" if output_kind == "mean" and not plain else output_kind
        # in the user's precision, as bodies are: with many columns it is the largest layer
        self.head: typing.Any = keras.layers.Dense(self.n_parameters, name="location") if self.reads == "features" else None
        return self

    def build(self, shape: tuple) -> None:
        if self.head is not None:
            self.head.build(shape)
        for part in self.parts:
            part.build(shape)

    def call(self, decoded: tf.Tensor) -> tf.Tensor:
        """Decoder output -> parameters, (rows, n_parameters)."""
        if self.reads == "features":
            return tf.cast(self.head(decoded), tf.float32)
        if self.reads == "mean":
            return self._by_part(lambda part, mean: part.location_of_mean(mean), decoded)
        return decoded

    def _split(self, values, slices):
        return [values] if len(slices) == 1 else [values[..., s] for s in slices]

    def _by_part(self, function, *columns):
        """A function of the columns of each part, side by side."""
        blocks = zip(*(self._split(values, self._slices) for values in columns), strict=True)
        return _join([function(part, *block) for part, block in zip(self.parts, blocks, strict=True)])

    def _by_parameters(self, function, parameters):
        blocks = self._split(parameters, self._parameter_slices)
        return _join([function(part, block) for part, block in zip(self.parts, blocks, strict=True)])

    def features(self, x: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
        """What the encoder reads: (rows, n_features); zero where a cell is missing, and a mark in incomplete columns."""
        return self._shown(self._by_part(lambda part, x: part.features(x), x), x, observed)

    def expected_features(self, parameters: tf.Tensor, observed: tf.Tensor | None = None) -> tf.Tensor:
        """`features` of the row that is expected, not drawn, with gradients to its parameters: probabilities for indicators."""
        values = self._by_parameters(lambda part, block: part.expected_features(block), parameters)
        return self._shown(values, tf.ones((tf.shape(values)[0], self.n_columns)), observed)

    def _shown(self, values, cells, observed):
        """Features of observed cells and, in incomplete columns, the marks of those; all are where `observed` is None."""
        if observed is not None:
            values *= self._by_part(lambda part, o: _repeated(o, part.n_features // part.n_columns), observed)
        if not self._incomplete:
            return values
        marks = tf.ones_like(cells) if observed is None else observed
        return tf.concat([values, tf.gather(marks, self._incomplete, axis=-1)], axis=-1)

    def noisy(self, x: tf.Tensor, uniform: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """What a training step sees of x; `uniform` maps a tensor to noise on (0, 1) of its shape."""
        return self._by_part(lambda part, values: part.noisy(values, uniform), x)

    def mixed(self, x: tf.Tensor, other: tf.Tensor, share: tf.Tensor, uniform: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Mixtures of rows, as rows: share * x + (1 - share) * other, but cells of codes are taken from the one or the other.

        `x` and `other` are encoded rows, (rows, n_columns), `share` is (rows, 1), from 0 to 1; `uniform` as in `noisy`.
        """

        def of_part(part, x, other):
            return tf.where(uniform(x) < share, x, other) if part.kind.is_code else share * x + (1 - share) * other

        return self._by_part(of_part, x, other)

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """log p(x | parameters), one value a row and column: (..., n_columns)."""
        blocks = zip(self._split(x, self._slices), self._split(parameters, self._parameter_slices), strict=True)
        return _join([part.log_prob(*block) for part, block in zip(self.parts, blocks, strict=True)])

    def expectation(self, parameters: tf.Tensor) -> tf.Tensor:
        """What may be averaged over draws and classes: means, and the probabilities of levels."""
        return self._by_parameters(lambda part, block: part.expectation(block), parameters)

    def value(self, expectation: tf.Tensor) -> tf.Tensor:
        """Averaged expectations -> x: means, and the most probable levels, (..., n_columns)."""
        blocks = self._split(expectation, self._expectation_slices)
        return _join([part.value(block) for part, block in zip(self.parts, blocks, strict=True)])

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        """E[x | parameters], (..., n_columns); of categories the most probable."""
        return self.value(self.expectation(parameters))

    def draw(self, parameters: tf.Tensor, seeds: Callable[[], tf.Tensor]) -> tf.Tensor:
        """x ~ p(x | parameters); `seeds` gives a new (2,) int32 tensor at every call."""
        return self._by_parameters(lambda part, block: part.draw(block, seeds()), parameters)


def _side_by_side(sizes):
    """Slices of these sizes, one after the other."""
    ends = list(itertools.accumulate(sizes))
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _repeated(observed, times):
    """Each column so many times; none is a slice, since ONNX takes a size of 0 for one that stays."""
    return tf.repeat(observed, times, axis=-1) if times else observed[..., :0]


def _join(blocks):
    return blocks[0] if len(blocks) == 1 else tf.concat(blocks, axis=-1)
