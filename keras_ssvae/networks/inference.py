"""Questions to a trained network, answered in blocks by graph functions: bounded memory, the same answer in any batch."""

import collections
import concurrent.futures
import functools
import os
import threading
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae._compat.tensorflow import TransferableFunction, check_runtime
from keras_ssvae.data.rows import LazyRows, PreparedRows
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.sharing import architecture_key
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.noise import FixedNoise

__all__ = ["run"]

BLOCK = 2048  # rows a call
DRAWN_BLOCK = 128  # rows a call where each is drawn several times
VECTOR = 8  # rows are padded to a multiple: a vector of a processor may round otherwise than what is left of a vector
GROUP = 64  # blocks whose answers wait to be put together


def row_terms(network: Network, batch: dict) -> dict[str, tf.Tensor]:
    """The terms of the last stage by name, (rows,) each, with noise that is fixed and the same for every row."""
    stage = network.last_stage()
    terms, _ = next(iter(stage.objectives.values()))
    return terms(batch, StepContext("evaluate", stage, FixedNoise(network.seed)))


def run(
    network: Network, question: str | Callable, *inputs: typing.Any, then: Callable | None = None, once: bool = False,
    **settings: typing.Any,
) -> typing.Any:  # fmt: skip
    """Ask a question about any number of rows, ``network.question(*inputs, **settings)``: an array or a dict of arrays.

    Rows are padded with zeros to whole vectors, and what fills a block never reaches a result: every method treats each row by
    itself. A graph function answers, however many rows there are, so that the answer for a row is the same to the bit.

    Parameters
    ----------
    network : Network
        The trained network.
    question : str or function
        Name of a method that maps batches and tensors with a leading axis of rows to a tensor, or a dict of tensors, with the
        same; or a function of the network and these.
    *inputs : PreparedRows, LazyRows or array
        Rows become a batch, a dict of tensors in which "observed" is always there.
    then : function, default=None
        Applied to the arrays of each block, so that what is large before it is never there for all rows.
    once : bool, default=False
        Whether nobody will ask the same again, so that few rows are not worth a trace.
    **settings
        Python values passed on.
    """
    check_runtime()
    n_rows = len(inputs[0])
    size = BLOCK if settings.get("n_draws", 1) == 1 else DRAWN_BLOCK

    def answer(start):
        blocks = [_block(given, slice(start, start + size)) for given in inputs]
        count = min(size, n_rows - start)
        tensors = tf.nest.map_structure(lambda values: tf.constant(_padded(values, -count % VECTOR)), blocks)
        if once and n_rows <= size:
            found = _question(network, question, settings)(*tensors)
        else:
            found = _traced(network, question, settings, tensors)(tf.nest.flatten(tensors))
        return tf.nest.map_structure(lambda t: t.numpy()[:count], found)

    then = then or (lambda block: block)
    first = then(answer(0))  # alone, since it may be traced
    if n_rows <= size:
        return first
    answers = tf.nest.map_structure(lambda part: np.empty((n_rows, *part.shape[1:]), part.dtype), first)

    def enter(start, block):
        for whole, part in zip(tf.nest.flatten(answers), tf.nest.flatten(block), strict=True):
            whole[start : start + len(part)] = part

    enter(0, first)
    with concurrent.futures.ThreadPoolExecutor(_threads()) as pool:
        for group in range(size, n_rows, GROUP * size):  # one by one, entering holds the threads up
            starts = range(group, min(group + GROUP * size, n_rows), size)
            for start, block in zip(starts, list(pool.map(answer, starts)), strict=True):
                enter(start, then(block))
    return answers


def _question(network, question, settings):
    """The question as a function of tensors."""
    asked = getattr(network, question) if isinstance(question, str) else functools.partial(question, network)
    return functools.partial(asked, **settings)


def _traced(network, question, settings, tensors):
    """The question as a function of a list of tensors of any number of rows."""
    shapes = tf.nest.map_structure(lambda t: tf.TensorSpec((None, *t.shape[1:]), t.dtype), tensors)
    names = tuple(tuple(sorted(given)) if isinstance(given, dict) else None for given in tensors)
    key = question, network.seed, *sorted(settings.items()), names, *tf.nest.flatten(shapes)
    if key not in network.held.functions:
        network.held.functions[key] = GRAPHS.bound(network, key, _question(network, question, settings), shapes)
    return network.held.functions[key]


class Graphs:
    """What was traced of questions to networks of the architectures that were asked last; it holds no network.

    Parameters
    ----------
    size : int, default=16
        Of how many architectures.
    """

    def __init__(self, size: int = 16):
        self.size = size
        self._of_networks: collections.OrderedDict = collections.OrderedDict()
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._of_networks.clear()

    def bound(self, network: Network, key: tuple, asked: Callable, shapes: list) -> Callable:
        """A graph function of a list of tensors, on the variables of a network; of its architecture `key` says the rest."""
        architecture = architecture_key(network)
        with self._lock:
            if architecture is None:
                return _traced_alone(asked, shapes)
            functions = self._of_networks.pop(architecture, {})
            self._of_networks[architecture] = functions
            while len(self._of_networks) > self.size:
                self._of_networks.popitem(last=False)
            variables = [*network.variables, *network.constant_variables()]
            if key not in functions:
                graph = tf.function(asked, autograph=False).get_concrete_function(*shapes)
                functions[key] = TransferableFunction(graph, variables)
            return functions[key].bound(variables)


def _traced_alone(asked, shapes):
    """A graph function of a list of tensors, for one network."""
    graph = tf.function(lambda flat: asked(*tf.nest.pack_sequence_as(shapes, flat)), autograph=False)
    return graph.get_concrete_function(tf.nest.flatten(shapes))


GRAPHS = Graphs()


def _threads():
    """Blocks at a time: as many as TensorFlow may run operations side by side; by default one more than processors, up to four.

    One more, since a block is encoded while others are computed; four, since each needs memory.
    """
    chosen = tf.config.threading.get_inter_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTEROP_THREADS") or 0)
    if chosen > 0:
        return chosen
    return min(4, 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def _block(given, rows):
    """The arrays of a block."""
    if not isinstance(given, PreparedRows | LazyRows):
        return np.asarray(given)[rows]
    arrays = given[rows].arrays
    return {"observed": np.ones_like(arrays["x"]), **arrays}


def _padded(values, n_more):
    """The rows of a block, and zeros."""
    if not n_more:
        return values
    return np.concatenate([values, np.zeros((n_more, *values.shape[1:]), values.dtype)])
