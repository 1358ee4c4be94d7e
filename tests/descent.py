"""A network whose every step is known: one number that descends to the mean of the rows."""

from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.networks.base import Network
from keras_ssvae.networks.stages import Stage
from keras_ssvae.training import trainer
from keras_ssvae.training.config import TrainingConfig
from keras_ssvae.training.step_cache import StepCache


class Mean(Network):
    """loss(w) = mean_i (x_i - w)**2: a step of gradient descent at rate a takes w to m + (1 - 2 a) (w - m)."""

    def __init__(self, stages=None, start=0.0):
        super().__init__(seed=0)
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(start), name="w")
        self._stages = stages or {"train": {}}

    def _terms(self, batch, step):
        square = tf.square(batch["x"][:, 0] - self.w)
        return {"half": 0.5 * square, "other_half": 0.5 * square}

    def stages(self):
        return [Stage(name, {"loss": (self._terms, [self])}, **settings) for name, settings in self._stages.items()]


X = np.random.RandomState(0).standard_normal((8, 1)).astype(np.float32) + 3
MEAN = X.mean()


SPEC = {"x": ((1,), "float32"), "y": ((), "int32")}


def config_of(**changes):
    defaults = dict(  # noqa: C408
        optimizer="sgd", learning_rate=0.1, batch_size=8, labeled_batch_size="auto", epochs=10, validation_fraction=0.25,
        n_iter_no_change=3,
    )  # fmt: skip
    return TrainingConfig(**{**defaults, **changes})


def data_of(x, codes=None, weight=None):
    codes = np.full(len(x), -1, np.int32) if codes is None else codes
    weight = np.ones(len(x)) if weight is None else weight
    return SimpleNamespace(rows=PreparedRows(x, y=codes), weight=weight, stream=None, held_out=None)


def train(network, x=X, codes=None, weight=None, **changes):
    network.build_for(SPEC)
    return trainer.train(network, data_of(x, codes, weight), config_of(**changes), StepCache())


def descent(rates, mean=MEAN, start=0.0):
    """w before each step, and after the last."""
    path = [start]
    for rate in rates:
        path.append(mean + (1 - 2 * rate) * (path[-1] - mean))
    return np.array(path)
