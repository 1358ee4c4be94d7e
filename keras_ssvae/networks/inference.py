"""Questions to a trained network, answered in padded blocks: bounded memory, few shapes, the same answer in any batch."""

import concurrent.futures
import functools
import os
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae._compat.tensorflow import check_threads
from keras_ssvae.data.rows import LazyRows, PreparedRows
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.noise import FixedNoise

__all__ = ["run"]

BLOCK = 2048  # rows a call; smaller inputs are padded to a smaller bucket
BUCKETS = (32, 256, BLOCK)
GROUP = 64  # blocks whose answers wait to be put together


def row_terms(network: Network, batch: dict) -> dict[str, tf.Tensor]:
    """The terms of the last stage by name, (rows,) each, with noise that is fixed and the same for every row."""
    stage = network.stages()[-1]
    terms, _ = next(iter(stage.objectives.values()))
    return terms(batch, StepContext("evaluate", stage, FixedNoise(network.seed)))


def run(
    network: Network, question: str | Callable, *inputs: typing.Any, then: Callable | None = None, alike: bool = False,
    **settings: typing.Any,
) -> typing.Any:  # fmt: skip
    """Ask a question about any number of rows, ``network.question(*inputs, **settings)``: an array or a dict of arrays.

    Rows are padded with zeros to one of a few bucket sizes, so that nothing is traced anew for another number of rows, and
    what fills a block never reaches a result: every method treats each row by itself.

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
    alike : bool, default=False
        Whether a row is to have the same answer, to the last bit, alone and among many: blocks then have one size, which takes
        some milliseconds for a single row.
    **settings
        Python values passed on.
    """
    check_threads()
    n_rows = len(inputs[0])
    many = n_rows > BLOCK or alike
    function = _function(network, question, settings, many or settings.get("n_draws", 1) > 5)  # worth a trace

    def answer(start):
        blocks = [_block(given, slice(start, start + BLOCK)) for given in inputs]
        count = min(BLOCK, n_rows - start)
        size = BLOCK if many else next(b for b in BUCKETS if b >= count)
        tensors = tf.nest.map_structure(lambda values: tf.constant(_padded(values, size)), blocks)
        return tf.nest.map_structure(lambda t: t.numpy()[:count], function(*tensors))

    then = then or (lambda block: block)
    first = then(answer(0))  # alone, since it may be traced
    if n_rows <= BLOCK:
        return first
    answers = tf.nest.map_structure(lambda part: np.empty((n_rows, *part.shape[1:]), part.dtype), first)

    def enter(start, block):
        for whole, part in zip(tf.nest.flatten(answers), tf.nest.flatten(block), strict=True):
            whole[start : start + len(part)] = part

    enter(0, first)
    with concurrent.futures.ThreadPoolExecutor(_threads()) as pool:
        for group in range(BLOCK, n_rows, GROUP * BLOCK):  # one by one, entering holds the threads up
            starts = range(group, min(group + GROUP * BLOCK, n_rows), BLOCK)
            for start, block in zip(starts, list(pool.map(answer, starts)), strict=True):
                enter(start, then(block))
    return answers


def _function(network, question, settings, traced):
    """The question as a function of tensors; a graph function is made once."""
    by_name = isinstance(question, str)
    function = functools.partial(getattr(network, question) if by_name else functools.partial(question, network), **settings)
    if not traced:
        return function
    functions, key = network.held.functions, (question, *sorted(settings.items()))
    if key not in functions:
        functions[key] = tf.function(function, autograph=False, reduce_retracing=True)
    return functions[key]


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


def _padded(values, size):
    """The rows of a block, and zeros up to a size."""
    if len(values) == size:
        return values
    return np.concatenate([values, np.zeros((size - len(values), *values.shape[1:]), values.dtype)])
