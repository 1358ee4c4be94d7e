"""What a stage of training is, and what a loss may know of the step that it is part of."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_ssvae.nn.noise import Noise

__all__ = ["Stage", "StepContext"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes
    ----------
    name : str
        As in the column "stage" of ``history_``.
    objectives : dict
        Objective name -> (terms, layers it trains), in training order; terms is a function (batch, step) -> {name: (rows,)
        tensor}.
    share : float
        Share of the epochs; those of all stages add up to 1.
    learning_rate : float
        Factor on the learning rate.
    labeled_rows : bool or None
        Whether each batch holds a stated number of labelled rows; rows are drawn evenly otherwise. None: where the network has
        classes.
    prepares : bool
        Whether a network that starts from trained weights can leave this stage out.
    continues : bool
        Whether the stage before has trained what this one trains, so that nothing has to be introduced step by step.
    compiles : bool or None
        Whether XLA makes the step faster. None: where the network has no convolutions.
    opposed : bool or None
        Whether objectives work against each other: with momentum their players would circle each other. None: where there are
        several.
    more_steps : int
        Steps that it takes beside those that all stages share, where the number of epochs is open.
    """

    name: str
    objectives: dict
    share: float = 1.0
    learning_rate: float = 1.0
    labeled_rows: bool | None = None
    prepares: bool = False
    continues: bool = False
    compiles: bool | None = None
    opposed: bool | None = None
    more_steps: int = 0


@dataclasses.dataclass(frozen=True)
class StepContext:
    """What a loss may know of its step.

    Attributes
    ----------
    mode : {"build", "train", "evaluate"}
        "build" is the dry call that makes the variables, "evaluate" judges and does not train.
    stage : Stage
        The stage.
    noise : Noise
        Where `normal` and `uniform` come from.
    n_leading_labeled : int
        Rows, the first of the batch, that are known to have a label: their sum over classes is one addend.
    all_labeled : bool
        Whether this holds for all rows of the batch.
    progress : float or scalar tensor
        How far the stage has come, from 0 to 1; 1 where rows are judged, which is always by the final loss.
    current_rate : function
        See `learning_rate`.
    """

    mode: str
    stage: Stage
    noise: Noise
    n_leading_labeled: int = 0
    all_labeled: bool = False
    progress: float | tf.Tensor = 1.0
    current_rate: Callable[[], float | tf.Tensor] = float

    @property
    def learning_rate(self) -> float | tf.Tensor:
        """That of the step, where it trains; 0 elsewhere."""
        return self.current_rate()

    def normal(self, like: tf.Tensor) -> tf.Tensor:
        """Standard normal noise of the shape of a (rows, k) tensor."""
        return self.noise.normal(like)

    def uniform(self, like: tf.Tensor) -> tf.Tensor:
        """Uniform noise on (0, 1) of the shape of a tensor; new at every call."""
        return self.noise.uniform(like)

    def warm(self, share: float) -> float | tf.Tensor:
        """A weight that rises from 0 to 1 over a share of the stage's steps."""
        return 1.0 if share == 0 else tf.minimum(self.progress / share, 1.0)
