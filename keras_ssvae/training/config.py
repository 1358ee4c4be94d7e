"""What training reads of an estimator."""

from __future__ import annotations

import dataclasses
import typing

from keras_ssvae.training.distribution import Group

__all__ = ["TrainingConfig"]


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
    group : Group or None
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
    group: Group | None = None

    @classmethod
    def of(cls, estimator: typing.Any, **settings: typing.Any) -> TrainingConfig:
        """The parameters of an estimator by the same names, and settings of one fit, the attributes that are no parameters."""
        params = estimator.get_params(deep=False)
        names = [field.name for field in dataclasses.fields(cls) if field.name in params]
        return cls(**{name: params[name] for name in names}, **settings)

    @property
    def share(self) -> slice:
        """The rows of a batch that are this worker's."""
        return slice(None) if self.group is None else slice(self.group.rank, None, self.group.size)

    @property
    def n_shares(self) -> int:
        """In how many shares every batch is split, each with a gradient of its own."""
        return 1 if self.group is None else self.group.n_shares

    @property
    def leads(self) -> bool:
        """Whether this worker is the one that speaks and writes for all."""
        return self.group is None or self.group.rank == 0
