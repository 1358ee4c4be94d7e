"""Private names of TensorFlow: on which variables a graph function is executed, and whether it can be executed at all."""

import os
import typing
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf
from tensorflow.python.eager import context, record
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

__all__ = ["TransferableFunction", "check_runtime", "converted", "is_endless", "without_variables"]

SPREADING = (
    tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy, tf.distribute.TPUStrategy,
    tf.distribute.ParameterServerStrategy,
)  # fmt: skip


def _runs():
    """Whether TensorFlow has computed anything in this process, or in those from which it was forked."""
    here = context.context_safe()
    return here is not None and here._initialized


def _is_alone():
    """Whether this thread is the only one of the process, which no process is in which TensorFlow has computed anything."""
    threads = "/proc/self/task"  # of Linux, where processes are forked
    return os.path.isdir(threads) and len(os.listdir(threads)) == 1


class _Threads:
    """Whether TensorFlow's threads were lost: a process that is forked has no thread but the one that forked it."""

    def __init__(self):
        self.are_lost = _runs() and _is_alone()  # where a forked process is the first to import this file
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.note)

    def note(self):
        self.are_lost = self.are_lost or _runs()


_THREADS = _Threads()


def check_runtime(makes_variables: bool = False) -> None:
    """Raise a RuntimeError where TensorFlow would wait for ever, computes nothing or, if asked, has no plain variables to give.

    It would wait in a process forked from one in which it had threads. They cannot be started again: they belong to the
    process, not to TensorFlow's context, which could be made anew. A process that is forked before TensorFlow computes anything
    has threads of its own. It computes nothing while a graph is made. Variables that a strategy spreads over devices are none
    that a function can be called on.
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "Nothing is computed here, inside `tf.function`, `Dataset.map` or `tf.Graph().as_default()`, or after "
            "`tf.compat.v1.disable_eager_execution()`: TensorFlow makes a graph. Call the estimator outside of it; what "
            "`export` writes can be called inside."
        )
    strategy = tf.distribute.get_strategy()
    if makes_variables and isinstance(strategy, SPREADING):
        raise RuntimeError(
            f"A network cannot be made inside the scope of a {type(strategy).__name__}, which spreads variables over devices. "
            "Fit and load outside of it; several machines train together by `keras_ssvae.distributed`."
        )
    if _THREADS.are_lost:
        raise RuntimeError(
            "This process was forked from one in which TensorFlow had run. Its threads are lost in a fork, so that a fit or a "
            "prediction here would wait for them for ever. Start processes by multiprocessing.get_context('spawn') or "
            "('forkserver'), or by joblib with its default backend, loky; threads work, too."
        )


def is_endless(dataset: tf.data.Dataset) -> bool:
    """Whether a dataset repeats without end, as far as it can be told: behind a filter, TensorFlow does not know."""
    count = dataset.cardinality()
    if count != tf.data.UNKNOWN_CARDINALITY:
        return bool(count == tf.data.INFINITE_CARDINALITY)
    if type(dataset).__name__ in ("_TakeDataset", "_TakeWhileDataset"):
        return False
    return any(is_endless(source) for source in dataset._inputs())


class TransferableFunction:
    """A graph function that can be called on other variables than those with which it was traced.

    TensorFlow takes variables from where a function was traced. What is traced here serves networks of the same architecture,
    each with variables of its own: they are handed over in the place of those that were captured.
    """

    def __init__(self, function: typing.Any, variables: Iterable):
        """From a ConcreteFunction of a dict of tensors, and all variables that it reads and writes.

        A ValueError is raised if it captured any other: another caller would write into it.
        """
        places = {id(_handle(v)): i for i, v in enumerate(variables)}
        self._call = function._call_flat
        self._captured = []
        for tensor in function.captured_inputs:
            place = places.get(id(tensor))
            if place is None and tensor.dtype == tf.resource:
                raise ValueError("The function reads a variable that is not in the list.")
            self._captured.append((place, None if place is not None else tensor))

    def __call__(self, tensors: dict[str, tf.Tensor], variables: Iterable) -> typing.Any:
        """The function of tensors, on variables in the order of those with which it was made."""
        return self.bound(variables)([tensors[name] for name in sorted(tensors)])

    def bound(self, variables: Iterable) -> Callable[[list[tf.Tensor]], typing.Any]:
        """The function on these variables, of a list of tensors in the order of the arguments: dicts by their sorted keys."""
        handles = [_handle(v) for v in variables]
        captured = [tensor if place is None else handles[place] for place, tensor in self._captured]

        def call(tensors):
            with record.stop_recording():  # a GradientTape of the user's would want variables that are gone
                return self._call(tensors, captured)

        return call


def _handle(variable):
    """What TensorFlow knows a variable by."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def without_variables(graph: typing.Any) -> typing.Any:
    """A concrete function that holds the values of its variables, and has no functions within it."""
    return convert_variables_to_constants_v2(graph)


def converted(converter: typing.Any) -> bytes:
    """What a converter to TensorFlow Lite makes; a ValueError in its words where it cannot."""
    from tensorflow.lite.python.convert_phase import ConverterError  # seldom needed, and slow to import

    try:
        return converter.convert()
    except ConverterError as error:
        raise ValueError(str(error)) from error
