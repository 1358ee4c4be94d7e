"""Fitted models in formats that other programs read: methods as graphs of raw columns, in a folder."""

import importlib.util
import json
import os
import typing
from collections.abc import Callable

import tensorflow as tf

from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.export.inputs import batch_of, inputs_of
from keras_ssvae.export.lite import lite_of, single_precision
from keras_ssvae.export.operations import DOMAIN, FUNCTIONS

__all__ = ["MARK", "writer_of"]

MARK = "export.json"  # the file by which an export is known
OPSET = 18  # of ONNX: the newest that tf2onnx writes
LOOK_UP = "ai.onnx.ml", 2  # where texts are looked up


def writer_of(
    table: TablePreprocessor, methods: dict[str, Callable[[dict], tf.Tensor]], format: str, facts: dict[str, typing.Any],
    card: str,
) -> Callable[[str], None]:  # fmt: skip
    """What writes methods as graphs of raw columns into a folder.

    Parameters
    ----------
    table : TablePreprocessor
        How columns become what a network reads.
    methods : dict
        Name -> function of a batch to a tensor with a leading axis of rows.
    format : {"savedmodel", "onnx", "tflite"}
        A SavedModel of TensorFlow with a signature for each method, or a file "<method>.onnx" or "<method>.tflite" for each.
    facts : dict
        What else the JSON file of the export, `MARK`, is to say.
    card : str
        The page of the model, in Markdown.

    Returns
    -------
    write : function
        Of the path of an empty folder. It raises a ValueError if the format lacks an operation, and an ImportError if what
        writes ONNX is not installed.

    Raises
    ------
    ValueError
        If `format` is another one, or a column cannot be read in a graph.
    """
    if format not in list(WRITERS):
        raise ValueError(
            f"format must be one of {list(WRITERS)}; got {format!r}. Keras reads a SavedModel as a layer: "
            "keras.layers.TFSMLayer(path, call_endpoint='predict_proba', dtype='float64')."
        )
    inputs = inputs_of(table, methods)
    specs = [single_precision(i.spec) if format == "tflite" else i.spec for i in inputs]
    given = [
        {"name": i.name, "column": i.column, "dtype": spec.dtype.name, "shape": spec.shape.as_list(), "pass": i.words}
        for i, spec in zip(inputs, specs, strict=True)
    ]
    about = {"format": format, "methods": list(methods), "inputs": given, **facts}

    def write(folder):
        WRITERS[format](folder, table, inputs, methods)
        for name, text in ((MARK, json.dumps(about, indent=1, ensure_ascii=False, default=str)), ("model_card.md", card)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(f"{text.rstrip()}\n")

    return write


def _graph_of(table, inputs, answer):
    """A method as a graph function of a dict of columns."""
    signature = {i.name: i.spec for i in inputs}
    return tf.function(lambda columns: answer(batch_of(table, inputs, columns)), input_signature=[signature], autograph=False)


def _named(name, graph):
    """The same as a function of the columns, whatever they are called, that names what it gives."""
    return tf.function(lambda **columns: {name: graph(columns)}, autograph=False)


def _write_saved_model(folder, table, inputs, methods):
    module, signatures = tf.Module(), {}
    graphs = {name: _graph_of(table, inputs, answer) for name, answer in methods.items()}
    for name, graph in graphs.items():
        setattr(module, name, graph)
        signatures[name] = _named(name, graph).get_concrete_function(**{i.name: i.spec for i in inputs})
    module.read = [graph.get_concrete_function().graph.variables for graph in graphs.values()]  # or they would be lost
    tf.saved_model.save(module, folder, signatures=signatures)


def _write_lite(folder, table, inputs, methods):
    for name, answer in methods.items():
        with open(os.path.join(folder, f"{name}.tflite"), "wb") as file:
            file.write(lite_of(name, _graph_of(table, inputs, answer), inputs))


def _write_onnx(folder, table, inputs, methods):
    missing = [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"format='onnx' needs {' and '.join(missing)}: pip install 'keras_ssvae[export]'.")
    import onnx

    read = [i.as_position() for i in inputs]  # tf2onnx compares no texts
    for name, answer in methods.items():
        model = _onnx_of(name, _graph_of(table, read, answer), read)
        for given, position in zip(inputs, read, strict=True):
            if given.levels is not None:
                _look_up(model, given, position.name)
        onnx.save(model, os.path.join(folder, f"{name}.onnx"))


def _onnx_of(name, graph, read):
    """A graph function as a model of ONNX."""
    import onnx
    import tf2onnx

    named, signature = tf.function(lambda columns: {name: graph(columns)}, autograph=False), [{i.name: i.spec for i in read}]
    model, _ = tf2onnx.convert.from_function(
        named,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={
            "Log": (_as_it_is, []),
            "SelectV2": (_as_where, []),
            **{kind: (_as_function, []) for kind in FUNCTIONS},
        },
        extra_opset=[onnx.helper.make_opsetid(DOMAIN, 1)],
    )
    captures = {inner.name: outer for outer, inner in named.get_concrete_function(*signature).graph.captures}
    used = {tensor for node in _nodes(model.graph) for tensor in node.input}
    for constant in [given for given in model.graph.input if given.name in captures]:  # tensors that the network holds
        model.graph.input.remove(constant)
        if constant.name in used:
            model.graph.initializer.append(onnx.numpy_helper.from_array(captures[constant.name].numpy(), constant.name))
    kinds = {(node.op_type, node.domain) for node in _nodes(model.graph)}
    unknown = sorted(kind for kind, domain in kinds if domain != DOMAIN and not onnx.defs.has(kind, domain))
    if unknown:
        raise ValueError(
            f"ONNX has no operation {unknown}, of which {name!r} of this model consists. Leave the method out, or pass "
            "format='savedmodel'."
        )
    model.functions.extend(onnx.parser.parse_function(FUNCTIONS[kind]) for kind, domain in sorted(kinds) if domain == DOMAIN)
    return model


def _as_it_is(context, node, name, arguments):
    """Leave a logarithm as it is: tf2onnx would take it in single precision, where far cells are infinite."""
    return node


def _as_where(context, node, name, arguments):
    """A choice as a choice: tf2onnx would multiply what is not chosen by zero, infinity too."""
    node.type = "Where"
    return node


def _as_function(context, node, name, arguments):
    """Leave an operation as it is: it is one of ours."""
    node.domain = DOMAIN
    return node


def _nodes(graph):
    """All operations, those of loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)


def _look_up(model, given, position):
    """Put before an input of positions one of texts."""
    from onnx import TensorProto, helper

    graph = model.graph
    graph.input.remove(next(known for known in graph.input if known.name == position))
    graph.input.append(helper.make_tensor_value_info(given.name, TensorProto.STRING, [None]))
    of_levels = {"keys_strings": given.levels, "values_floats": [float(j) for j in range(len(given.levels))]}
    single = f"{position}.single"
    found = helper.make_node("LabelEncoder", [given.name], [single], domain=LOOK_UP[0], default_float=float("nan"), **of_levels)
    graph.node.insert(0, helper.make_node("Cast", [single], [position], to=TensorProto.DOUBLE))
    graph.node.insert(0, found)
    if LOOK_UP[0] not in {known.domain for known in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(*LOOK_UP))


WRITERS: dict[str, Callable] = {"savedmodel": _write_saved_model, "onnx": _write_onnx, "tflite": _write_lite}
