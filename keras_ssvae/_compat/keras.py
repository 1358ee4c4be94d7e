"""Private names of Keras: what its `fit` calls, what a model is made of, what an optimizer holds, where seeds come from."""

import contextlib
import contextvars
import copy
import random
import types
import typing
import weakref
from collections.abc import Iterator

import keras
from keras.src.random import seed_generator

__all__ = [
    "TrainableModel", "all_layers", "detached_callback", "isolated_seed", "layer_below", "learning_rate_of", "noting_changes",
    "variables_of",
]  # fmt: skip

_generator: contextvars.ContextVar = contextvars.ContextVar("generator", default=random)  # of each thread its own


class _SeedSource:
    """What Keras takes for Python's module `random`: that module, and inside `isolated_seed` a generator of the block.

    Keras draws a seed from it for each initializer and each layer of noise that is given none. These may stand in a model of
    the user's, so that they cannot all be given one; and to seed the module itself would be noticed by all other threads.
    """

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(_generator.get(), name)


seed_generator.python_random = _SeedSource()


@contextlib.contextmanager
def isolated_seed(seed: int) -> Iterator[None]:
    """Let the layers of Keras that this thread makes inside the block take their seeds from this one; no generator is touched.

    Parameters
    ----------
    seed : int
        Equal seeds give equal layers.
    """
    token = _generator.set(random.Random(seed))
    try:
        yield
    finally:
        _generator.reset(token)


class TrainableModel(keras.Model):
    """A model whose `fit` calls functions that it is given, for what Keras would make of `train_step` and `test_step`.

    Keras nests two graph functions, of which it never frees the inner one; and its metrics cost more than a small step.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # objects that belong to the model and that Keras must not take for parts of it
        self.held = types.SimpleNamespace(functions={}, driver=None)

    def drive(self, driver, optimizer, run_eagerly=False):
        """Let `fit` call ``driver.train`` and ``driver.evaluate``, iterator -> {name: mean so far}, and ``driver.reset``.

        Callbacks find `optimizer` as the model's; `run_eagerly` is what Keras is told of how the driver works.
        """
        self.held.driver = driver
        self.compile(optimizer=optimizer, jit_compile=False, run_eagerly=run_eagerly)

    def release(self):
        """Let go of the driver and its optimizer."""
        self.held.driver = self.train_function = self.test_function = None
        if self.compiled:
            self.compiled = False
            self._compile_config = None  # where Keras keeps the optimizer, too
            del self.optimizer  # and not None, which TensorFlow's own list of attributes would not notice

    def make_train_function(self, force=False):
        self.train_function = self.held.driver.train

    def make_test_function(self, force=False):
        self.test_function = self.held.driver.evaluate

    def get_compile_config(self):
        return {}  # what `drive` is given is no part of the model

    @property
    def metrics(self):
        return []  # the driver's functions return the means so far

    def reset_metrics(self):
        if self.held.driver is not None:
            self.held.driver.reset()


_ABSENT = object()
_before: dict[int, dict] = {}  # of each callback that lives: attributes that fits have changed, as they were before the first


@contextlib.contextmanager
def noting_changes(callbacks):
    """Note which attributes of callbacks change inside the block, for `detached_callback`."""
    states = [(callback, vars(callback).copy()) for callback in callbacks]
    try:
        yield
    finally:
        for callback, state in states:
            if id(callback) not in _before:
                weakref.finalize(callback, _before.pop, id(callback), None).atexit = False
            earlier = _before.setdefault(id(callback), {})
            for name, value in vars(callback).items():
                if value is not state.get(name, _ABSENT):
                    earlier.setdefault(name, state.get(name, _ABSENT))


def detached_callback(callback):
    """A copy of a callback as it was before any fit: afterwards it has the model, files and writers, none of which is copied.

    What the user has changed since is copied as it is. A TypeError is raised, and names the attribute, where it has no copy.
    """
    state = {**vars(callback), **_before.get(id(callback), {})}
    if state.get("_model") is not None:
        state["_model"] = None  # of a fit that runs, or one by Keras alone
    detached = object.__new__(type(callback))
    for name, value in state.items():
        if value is not _ABSENT:
            try:
                vars(detached)[name] = copy.deepcopy(value)
            except TypeError as error:
                raise TypeError(
                    f"callbacks holds a {type(callback).__name__} whose attribute {name!r} cannot be copied: {error}. Make it "
                    "in `on_train_begin` and not before, so that copies of the estimator need not have it."
                ) from error
    return detached


def all_layers(model):
    """The layers of a model at any depth, in the order in which they are its attributes."""
    return list(model._flatten_layers(include_self=False))


def layer_below(tensor):
    """The inputs of the layer that gave a tensor of a functional model: a list of tensors."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def learning_rate_of(optimizer):
    """The learning rate as it was given, a number, a variable or a schedule: the public property evaluates it."""
    return optimizer._learning_rate


def variables_of(optimizer):
    """The variables that an optimizer was built for."""
    return optimizer._trainable_variables
