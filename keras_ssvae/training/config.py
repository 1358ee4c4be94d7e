"""What training reads of an estimator."""

from __future__ import annotations

import dataclasses
import typing

__all__ = ["TrainingConfig"]


class Reducer(typing.Protocol):
    """Several workers that train one network, each on its share of every batch."""

    rank: int
    size: int

    def all_reduce(self, value: typing.Any) -> typing.Any:
        """The mean of a tensor over all workers, the same for all."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes
    ----------
    optimizer, learning_rate, batch_size, labeled_batch_size, epochs, validation_fraction, early_stopping, n_iter_no_change
        As in `keras_ssvae.SemiSupervisedVAE`.
    callbacks, augmentation, jit_compile, verbose, checkpoint, checkpoint_minutes
        As there.
    seed : int
        Seed of the order of rows, the validation split and `augmentation`.
    one_pass : bool
        One epoch a stage, at a constant learning rate.
    prepared : bool
        Whether the network starts from weights for which the stages that only prepare are done.
    goes_on : bool
        Whether the estimator is fitted already.
    reducer : Reducer or None
        Set where several workers train.
    """

    optimizer: typing.Any = "adamw"
    learning_rate: float = 2e-3
    batch_size: int = 128
    labeled_batch_size: int | str | None = None
    epochs: int | typing.Literal["auto"] = "auto"
    validation_fraction: float = 0.1
    early_stopping: bool = False
    n_iter_no_change: int = 10
    callbacks: list | None = None
    augmentation: typing.Any = None
    jit_compile: bool | str = "auto"
    verbose: int | str = 0
    checkpoint: typing.Any = None
    checkpoint_minutes: float = 0.0
    seed: int = 0
    one_pass: bool = False
    prepared: bool = False
    goes_on: bool = False
    reducer: Reducer | None = None

    @classmethod
    def of(cls, estimator: typing.Any, **settings: typing.Any) -> TrainingConfig:
        """The parameters of an estimator by the same names, and settings of one fit, the attributes that are no parameters."""
        params = estimator.get_params(deep=False)
        names = [field.name for field in dataclasses.fields(cls) if field.name in params]
        return cls(**{name: params[name] for name in names}, **settings)

    @property
    def share(self) -> slice:
        """The rows of a batch that are this worker's."""
        return slice(None) if self.reducer is None else slice(self.reducer.rank, None, self.reducer.size)
