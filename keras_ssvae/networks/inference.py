"""Questions to a trained network, answered in padded blocks: bounded memory, few shapes, the same answer in any batch."""

import concurrent.futures
import os

import numpy as np
import tensorflow as tf

from keras_ssvae.data.tables import LazyRows, PreparedRows

__all__ = ["run"]

BLOCK = 2048  # rows a call; smaller inputs are padded to a smaller bucket
BUCKETS = (32, 256, BLOCK)
GROUP = 64  # blocks whose answers wait to be put together


def run(network, method, *inputs, then=None, **settings):
    """Call ``network.method(*tensors, **settings)`` on any number of rows.

    Rows are padded with zeros to one of a few bucket sizes, so that nothing is traced anew for another number of rows, and
    what fills a block never reaches a result: every method treats each row by itself.

    Parameters
    ----------
    network : Network
        The trained network.
    method : str
        Name of a method that maps tensors with a leading axis of rows to a tensor, or a dict of tensors, with the same.
    *inputs : PreparedRows, LazyRows or array
        PreparedRows rows become two tensors: x and observed.
    then : function, default=None
        Applied to the arrays of each block, so that what is large before it is never there for all rows.
    **settings
        Python values passed on.

    Returns
    -------
    array or dict of arrays
    """
    n_rows = len(inputs[0])
    function = getattr(network, method)
    if n_rows > BLOCK or settings.get("n_draws", 1) > 5:  # worth a trace
        function = network.graph_function(method, **settings)
        settings = {}

    def answer(start):
        rows = [array for given in inputs for array in _rows(given, slice(start, start + BLOCK))]
        count = len(rows[0])
        size = BLOCK if n_rows > BLOCK else next(b for b in BUCKETS if b >= count)
        if count < size:
            rows = [np.concatenate([r, np.zeros((size - count, *r.shape[1:]), r.dtype)]) for r in rows]
        return tf.nest.map_structure(lambda t: t.numpy()[:count], function(*map(tf.constant, rows), **settings))

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


def _threads():
    """Blocks at a time: as many as TensorFlow may run operations side by side; by default one more than processors, up to four.

    One more, since a block is encoded while others are computed; four, since each needs memory.
    """
    if tf.config.functions_run_eagerly():  # methods keep notes in the network while they run, then
        return 1
    chosen = tf.config.threading.get_inter_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTEROP_THREADS") or 0)
    if chosen > 0:
        return chosen
    return min(4, 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def _rows(given, rows):
    """The arrays of a block."""
    if not isinstance(given, PreparedRows | LazyRows):
        return [np.asarray(given)[rows]]
    encoded = given[rows]
    return [encoded.x, np.ones_like(encoded.x) if encoded.observed is None else encoded.observed]
