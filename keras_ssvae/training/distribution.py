"""Several processes that train one network, each on its share of every batch: what they send each other, and how."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import itertools
import numbers
import typing
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

__all__ = ["Group", "WorkersDisagreeError"]

GROUP_KEY = 7  # TensorFlow's number of the group of all workers; there is no other
_current: contextvars.ContextVar = contextvars.ContextVar("group", default=None)
_functions: dict = {}  # of groups, types and lengths
_cluster: list = []  # (addresses, rank) that TensorFlow was started with: it can be so once in a process
_instance_keys = itertools.count(1)  # of every collective operation, the same in all workers, which trace in the same order


class WorkersDisagreeError(RuntimeError):
    """Workers that are to run one fit were given other data, parameters or checkpoints than their peers."""


@dataclasses.dataclass(frozen=True)
class Group:
    """The workers of one fit; rows of a batch, and noise, are dealt out among ``size * micro_batches`` shares.

    Attributes
    ----------
    rank, size : int
        Which worker this process is, and of how many.
    micro_batches : int
        Shares of a batch that each worker computes, one after the other, before gradients are added up: less memory, and less
        to send for each row.
    local_steps : int
        Optimizer steps that each worker makes alone before all take the mean of their weights. With 1 gradients are added up at
        every step.
    timeout : float
        Seconds to wait for the others; 0 waits for ever.
    """

    rank: int = 0
    size: int = 1
    micro_batches: int = 1
    local_steps: int = 1
    timeout: float = 600.0

    @property
    def shares(self) -> list[int]:
        """The numbers of the shares of this worker, in the order in which its rows of a batch are dealt out to them."""
        return list(range(self.rank, self.n_shares, self.size))

    @property
    def n_shares(self) -> int:
        """In how many shares a batch is split."""
        return self.size * self.micro_batches

    def all_reduce(self, vector: tf.Tensor) -> tf.Tensor:
        """The sum of a (k,) tensor over all workers, the same bits for all."""
        if self.size == 1:
            return vector
        return tf.raw_ops.CollectiveReduceV2(
            input=vector, group_size=self.size, group_key=GROUP_KEY, instance_key=next(_instance_keys), ordering_token=[],
            merge_op="Add", final_op="Id", communication_hint="ring", timeout_seconds=self.timeout,
        )  # fmt: skip

    def agree(self, what: str, *values: float) -> None:
        """Wait for all workers, and raise a `WorkersDisagreeError` unless they hand over the same numbers."""
        own = np.array(values, np.float64)
        own = np.concatenate([own, own**2])
        both = _at_once(self, tf.constant(own)).numpy()
        if not np.allclose(both, self.size * own, rtol=1e-9, atol=0):
            mean = (both / self.size)[: len(values)]
            raise WorkersDisagreeError(
                f"Workers of one fit must have the same data, parameters and checkpoints: {what} differ, {list(values)} here, "
                f"in the mean {mean.tolist()}."
            )

    def follow(self, variables: Iterable) -> None:
        """Take over the values of worker 0, of variables of any number type."""
        variables = list(variables)
        own = tf.concat([tf.cast(tf.reshape(tf.convert_to_tensor(v), [-1]), tf.float64) for v in variables], axis=0)
        first = _at_once(self, own if self.rank == 0 else tf.zeros_like(own))
        sizes = [int(np.prod(v.shape, dtype=int)) for v in variables]
        for variable, value in zip(variables, tf.split(first, sizes), strict=True):
            variable.assign(tf.cast(tf.reshape(value, variable.shape), variable.dtype))


def _at_once(group, vector):
    """`all_reduce` outside of any graph."""
    if group.size == 1:
        return vector
    kind = group, vector.dtype, len(vector)
    if kind not in _functions:
        graph = tf.function(group.all_reduce, autograph=False)
        _functions[kind] = graph.get_concrete_function(tf.TensorSpec(vector.shape, vector.dtype))
    return _functions[kind](vector)


def current_group(random_state: object, batch_size: int) -> Group | None:
    """The workers that a fit of these parameters, in this block of code, is part of; None where it is alone.

    A ValueError is raised where the parameters allow for no fit by several.
    """
    group = _current.get()
    if group is None:
        return None
    if not isinstance(random_state, numbers.Integral):
        raise ValueError(f"random_state must be an int, so that all workers run one fit; got {random_state!r}.")
    if batch_size < 2 * group.n_shares:
        raise ValueError(f"batch_size is that of all workers: {batch_size} rows are too few for {group.n_shares} shares.")
    return group


@contextlib.contextmanager
def joined(group: Group) -> Iterator[Group]:
    """Let the fits in this block be those of a group."""
    token = _current.set(group if group.n_shares > 1 else None)
    try:
        yield group
    finally:
        _current.reset(token)


def connect(addresses: Sequence[str], rank: int) -> None:
    """Start TensorFlow as one of several processes, which listens at ``addresses[rank]``, "host:port".

    A RuntimeError is raised where TensorFlow has computed in this process before, or is one of others already.
    """
    wanted = tuple(addresses), rank
    if len(addresses) == 1:
        return
    if _cluster and _cluster[0] != wanted:
        raise RuntimeError(f"This process is worker {_cluster[0][1]} of {list(_cluster[0][0])}, and can be no other.")
    if _cluster:
        return
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(addresses)}), task_type="worker", task_id=rank, rpc_layer="grpc"
    )
    # it starts the server, and a thread that ends what waits for a worker which is gone
    _cluster[:] = [wanted, tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)]


# One vector a step


class Parts(typing.NamedTuple):
    """What one share of a batch has come to, and what can be added up over shares: all times the weight of its rows."""

    gradients: list  # of each variable, or None
    moves: list  # of each variable of running means, from its value before the step
    terms: dict  # name -> scalar, with "loss"
    weight: tf.Tensor  # scalar

    def pack(self) -> tf.Tensor:
        """All as one vector."""
        flat = [_flat(g) for g in self.gradients if g is not None]
        flat += [_flat(move) for move in self.moves]
        vector = tf.concat([*flat, tf.stack([tf.cast(v, tf.float32) for v in self.terms.values()])], axis=0)
        return tf.concat([tf.math.multiply_no_nan(vector, self.weight), self.weight[None]], axis=0)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a vector of `Parts` is cut up again."""

    gradients: tuple  # shapes, or None
    moves: tuple  # shapes
    terms: tuple  # names

    @classmethod
    def of(cls, parts: Parts) -> Layout:
        """That of parts whose shapes are known."""
        shapes = tuple(None if g is None else tuple(g.shape) for g in parts.gradients)
        return cls(shapes, tuple(tuple(m.shape) for m in parts.moves), tuple(parts.terms))

    def unpack(self, vector: tf.Tensor) -> Parts:
        """The weighted means of a sum of packed parts."""
        shapes = [*(shape for shape in self.gradients if shape is not None), *self.moves]
        sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
        means = vector[:-1] / tf.maximum(vector[-1], 1e-12)
        *flat, terms = tf.split(means, [*sizes, len(self.terms)])
        values = [tf.reshape(part, shape) for part, shape in zip(flat, shapes, strict=True)]
        count = len(values) - len(self.moves)
        given = iter(values[:count])
        gradients = [None if shape is None else next(given) for shape in self.gradients]
        return Parts(gradients, values[count:], dict(zip(self.terms, tf.unstack(terms), strict=True)), vector[-1])


def _flat(tensor):
    return tf.reshape(tf.cast(tensor, tf.float32), [-1])
