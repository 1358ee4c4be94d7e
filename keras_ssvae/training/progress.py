"""The epochs of a stage as they end: when to stop, what to go back to, and what to say where training diverged."""

from __future__ import annotations

import math
import typing
import warnings
from collections.abc import Callable

import keras
import numpy as np

from keras_ssvae.networks.stages import Stage
from keras_ssvae.training.step import TrainingStep

__all__ = ["DivergenceError", "DivergenceWarning", "FitInterrupted"]

RISEN = 10.0  # times the loss of the first step, and a nat: no term that is phased in makes so much of it
LARGE = 1e3  # a weight that is none of a network that has learned anything of scaled rows


class DivergenceError(ArithmeticError):
    """Training came to numbers that are not finite before any epoch was better than the first; the estimator is as it was."""


class DivergenceWarning(UserWarning):
    """Training came to numbers that are not finite, and went back to the best epoch; or it ended far above its start."""


class FitInterrupted(KeyboardInterrupt):
    """A fit was interrupted (Ctrl-C) when at least one epoch was done.

    Parameters
    ----------
    message : str
        When that was.
    history : DataFrame
        As ``history_``, of the epochs that were done.
    prepared : bool
        Whether the stages that only prepare were done.

    Attributes
    ----------
    estimator : GenerativeEstimator
        Fitted, as of the last epoch that was done: the estimator itself where it has a `checkpoint`, else one beside it.
    """

    estimator: typing.Any = None

    def __init__(self, message: str, history: typing.Any, prepared: bool):
        super().__init__(message)
        self.history, self.prepared = history, prepared

    def tell(self, estimator: typing.Any, is_the_same: bool) -> None:
        """Carry the fitted estimator, and say where it is found."""
        self.estimator = estimator
        place = "the estimator itself" if is_the_same else "this exception's attribute `estimator` (sys.last_value.estimator)"
        self.add_note(f"What was learned is kept: {place} is fitted as of the last epoch that was done.")


class StageProgress:
    """The epochs of one stage so far.

    Parameters
    ----------
    step : TrainingStep
        What trains.
    monitor : str, default="loss"
        Name of the mean that says which epoch is the best.
    patience : int or None, default=None
        Epochs without improvement after which to stop, and go back to the best; None trains to the end.
    keep : function or None, default=None
        Called with the progress after every epoch of which the weights are known.
    tell : function or None, default=None
        Called with the means of every epoch.
    is_finite : function or None, default=None
        Whether the loss is finite with the weights as they are. Asked where some are so large that the last step of an epoch,
        which no loss has seen, may have made them useless.

    Attributes
    ----------
    record : dict of str to list of float
        The means of each epoch that was done.
    weights : list of arrays
        Of the network, as of the last epoch after which they were known.
    best, best_weights, waited : float, list of arrays, int
        The least mean, what the network was then, and the epochs since.
    """

    def __init__(
        self, step: TrainingStep, monitor: str = "loss", patience: int | None = None,
        keep: Callable[[StageProgress], None] | None = None, tell: Callable[[dict], None] | None = None,
        is_finite: Callable[[], bool] | None = None,
    ):  # fmt: skip
        self.step, self.monitor, self.patience, self._keep, self._tell = step, monitor, patience, keep, tell
        self._is_finite = is_finite
        self.record: dict[str, list[float]] = {}
        self.weights = step.network.get_weights()
        self.best, self.best_weights, self.waited = math.inf, self.weights, 0

    @property
    def epochs(self) -> int:
        """Epochs that were done."""
        return len(self.record.get("loss", []))

    def end_epoch(self, means: dict[str, float]) -> bool:
        """Take down the means of an epoch; whether the stage is to stop here."""
        if self.step.fault is not None or not self.step.is_ahead and self.step.has_diverged():
            return True
        weights = None if self.step.is_ahead else self.step.network.get_weights()  # ahead they are those of a later epoch
        if weights is not None and self._has_overflown(weights):
            return True
        for name, value in means.items():
            self.record.setdefault(name, []).append(value)
        if self._tell is not None:
            self._tell(means)
        if weights is None:
            return False
        self.weights = weights
        self.waited += 1
        if means[self.monitor] < self.best:
            self.best, self.best_weights, self.waited = means[self.monitor], self.weights, 0
        if self._keep is not None:
            self._keep(self)
        return self.is_over

    def _has_overflown(self, weights):
        trained = (w for v, w in zip(self.step.network.weights, weights, strict=True) if v.trainable)
        if self._is_finite is None or max(np.abs(w).max(initial=0) for w in trained) < LARGE:
            return False
        if not self._is_finite():
            self.step.fault = "the loss after the last step"
        return self.step.fault is not None

    @property
    def is_over(self) -> bool:
        """Whether it is not worth while to go on."""
        return self.patience is not None and self.waited >= self.patience and self.epochs > 1

    @property
    def best_epoch(self) -> int | None:
        """The number of the best epoch, from 1, where training goes back to it; else None."""
        return None if self.patience is None or not self.epochs else self.record[self.monitor].index(self.best) + 1

    def go_on(self, record: dict[str, list[float]], best: float, best_weights: list[np.ndarray], waited: int) -> None:
        """Start from what another progress of the same stage had come to."""
        self.record, self.best, self.best_weights, self.waited = record, best, best_weights, waited
        self.weights = self.step.network.get_weights()

    def kept_weights(self) -> list[np.ndarray]:
        """What a fit that ends here is worth: the best weights where held-out rows say so, else the last."""
        return self.weights if self.patience is None else self.best_weights

    def finish(self, stage: Stage, planned: int, likely_cause: Callable[[], str]) -> None:
        """Go back to the best weights where training stopped early or diverged, and say the latter.

        `planned` epochs were to come; `likely_cause` says what may be to blame. A DivergenceError is raised where no epoch was
        better than the first.
        """
        where = f"in stage {stage.name!r}, epoch {self.epochs + 1} of {planned}"
        if self.step.fault is not None:
            message = f"Training diverged {where}: {self.step.fault} is not finite. {likely_cause()}"
            if not self.best < self.record.get(self.monitor, [-math.inf])[0]:
                raise DivergenceError(f"{message} The estimator is as it was before.")
            best = self.record[self.monitor].index(self.best) + 1
            _warn(f"{message} The weights are those of epoch {best}, the best before.")
            self.step.network.set_weights(self.best_weights)
        elif self.patience is not None:
            self.step.network.set_weights(self.best_weights)
        elif self.epochs and self.record["loss"][-1] > RISEN * (abs(self.step.first_loss) + 1.0):
            ends = f"from a loss of {self.step.first_loss:.3g} to {self.record['loss'][-1]:.3g}"
            _warn(f"Training diverged in stage {stage.name!r}, {ends}. {likely_cause()}")


def _warn(message):
    warnings.warn(message, DivergenceWarning, stacklevel=2)


class EndOfEpoch(keras.callbacks.Callback):
    """Tells a `StageProgress` what Keras' `fit` has done."""

    def __init__(self, progress: StageProgress):
        super().__init__()
        self.progress = progress

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        terms = {"loss", *self.progress.step.term_names}  # callbacks may have told Keras of more, a learning rate for one
        if self.progress.end_epoch({k: v for k, v in (logs or {}).items() if k.removeprefix("val_") in terms}):
            self.model.stop_training = True
