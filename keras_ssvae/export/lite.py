"""Methods as files of TensorFlow Lite: in its own operations alone, and so in single precision throughout."""

import re
import tempfile

import numpy as np
import tensorflow as tf

from keras_ssvae._compat.tensorflow import converted, without_variables
from keras_ssvae.export.inputs import Input

__all__ = []

DOUBLE, SINGLE = tf.float64.as_datatype_enum, tf.float32.as_datatype_enum
OPERATION = re.compile(r'fused\["(\w+):')  # where the converter says what it could not convert
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}  # in which it stands
LARGEST = float(np.finfo(np.float32).max)


def lite_of(name: str, graph: tf.types.experimental.PolymorphicFunction, inputs: list[Input]) -> bytes:
    """A file of a graph function of a dict of columns, with its name as signature; numbers are float32.

    Raises
    ------
    ValueError
        If a column is of texts, or TensorFlow Lite lacks an operation.
    """
    texts = [i.column for i in inputs if i.spec.dtype == tf.string]
    if texts:
        raise ValueError(
            f"format='tflite' reads numbers alone, and columns {texts} are of text. Pass format='savedmodel' or 'onnx', or "
            "fit to numbers in their place."
        )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures={name: _single(name, graph, inputs)})
        try:
            return converted(tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name]))
        except ValueError as error:
            lacking = sorted(set(OPERATION.findall(str(error))) - CALLS)
            raise ValueError(
                f"TensorFlow Lite has no operation {lacking}, of which {name!r} of this model consists. Leave the method out, "
                "or pass format='savedmodel' or 'onnx'."
            ) from error


def single_precision(spec: tf.TensorSpec) -> tf.TensorSpec:
    """The same of float32 in place of float64."""
    return tf.TensorSpec(spec.shape, tf.float32, name=spec.name) if spec.dtype == tf.float64 else spec


def _single(name, graph, inputs):
    """A graph function as one of named columns, in which all that was in double precision is in single."""
    fixed = without_variables(graph.get_concrete_function())
    definition = fixed.graph.as_graph_def()
    for node in definition.node:
        for attribute in node.attr.values():
            if attribute.type == DOUBLE:
                attribute.type = SINGLE
            if attribute.HasField("tensor") and attribute.tensor.dtype == DOUBLE:
                values = np.clip(tf.make_ndarray(attribute.tensor), -LARGEST, LARGEST)
                attribute.tensor.CopyFrom(tf.make_tensor_proto(values.astype(np.float32)))
    names = sorted(i.name for i in inputs)  # in the order in which TensorFlow lists the columns of a dict
    given = [tensor.op.name for tensor in fixed.inputs]

    def answer(**columns):
        by_name = {tensor: columns[column] for tensor, column in zip(given, names, strict=True)}
        return {name: tf.graph_util.import_graph_def(definition, by_name, [fixed.outputs[0].name], name="")[0]}

    return tf.function(answer, autograph=False).get_concrete_function(**{i.name: single_precision(i.spec) for i in inputs})
