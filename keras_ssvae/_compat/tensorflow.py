"""Private names of TensorFlow: on which variables a graph function is executed."""

import typing
from collections.abc import Iterable

import keras
import tensorflow as tf

__all__ = ["TransferableFunction"]


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
        handles = [_handle(v) for v in variables]
        captured = [tensor if place is None else handles[place] for place, tensor in self._captured]
        return self._call([tensors[name] for name in sorted(tensors)], captured)


def _handle(variable):
    """What TensorFlow knows a variable by."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
