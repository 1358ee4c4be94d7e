"""Questions to a trained network, answered in padded blocks: bounded memory, few shapes, the same answer in any batch."""

import numpy as np
import tensorflow as tf

from keras_ssvae.tables import Encoded, EncodedLater

__all__ = ["run"]

BLOCK = 2048  # rows a call; smaller inputs are padded to a smaller bucket
BUCKETS = (32, 256, BLOCK)


def run(network, method, *inputs, **settings):
    """Call ``network.method(*tensors, **settings)`` on any number of rows.

    Rows are padded with zeros to one of a few bucket sizes, so that nothing is traced anew for another number of rows, and
    what fills a block never reaches a result: every method treats each row by itself.

    Parameters
    ----------
    network : Network
        The trained network.
    method : str
        Name of a method that maps tensors with a leading axis of rows to a tensor, or a dict of tensors, with the same.
    *inputs : Encoded, EncodedLater or array
        Encoded rows become two tensors: x and observed.
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
    blocks = []
    for start in range(0, n_rows, BLOCK):
        rows = [array for given in inputs for array in _rows(given, slice(start, start + BLOCK))]
        count = len(rows[0])
        size = BLOCK if n_rows > BLOCK else next(b for b in BUCKETS if b >= count)
        if count < size:
            rows = [np.concatenate([r, np.zeros((size - count, *r.shape[1:]), r.dtype)]) for r in rows]
        answer = function(*map(tf.constant, rows), **settings)
        blocks.append(tf.nest.map_structure(lambda t, count=count: t.numpy()[:count], answer))
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *blocks)


def _rows(given, rows):
    """The arrays of a block."""
    if not isinstance(given, Encoded | EncodedLater):
        return [np.asarray(given)[rows]]
    encoded = given[rows]
    return [encoded.x, np.ones_like(encoded.x) if encoded.observed is None else encoded.observed]
