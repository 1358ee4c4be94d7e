"""A fit by workers that Ray starts, and starts again where one is lost."""

from __future__ import annotations

import copy
import numbers
import os
import typing
import warnings

import tensorflow as tf

from keras_ssvae.distributed.cluster import WorkerLostError, connected_ray, on_all_machines, one_line, resources, start, stop
from keras_ssvae.distributed.workers import free_addresses, group
from keras_ssvae.estimators.base import GenerativeEstimator
from keras_ssvae.seeding import derive_seeds
from keras_ssvae.training.checkpoint import lasting_seed, open_directory
from keras_ssvae.training.distribution import WorkersDisagreeError

__all__ = ["fit"]

# what a worker comes to where another is lost, or where it started from a state that was written in that moment
OF_OTHERS = (tf.errors.OpError, WorkersDisagreeError)
# of these, when another hangs or is gone: at the time limit, or where TensorFlow has noticed it before
OF_SILENCE = (tf.errors.DeadlineExceededError, tf.errors.UnavailableError, tf.errors.AbortedError)


class FittingWorker:
    """One process of a fit."""

    def ready(self) -> str:
        """An address at which it can be reached, of a port that is free."""
        import ray

        return free_addresses(ray.util.get_node_ip_address(), 1)[0]

    def fit(
        self, rank: int, addresses: list[str], model: typing.Any, X: typing.Any, y: typing.Any, given: dict, settings: dict
    ) -> tuple[str, typing.Any]:
        """("fitted", the model), of worker 0, or ("lost", why) where others are gone; other errors are raised."""
        try:
            with group(rank, addresses, **settings):
                model.fit(X, y, **given)
        except OF_OTHERS as error:
            if len(addresses) == 1:
                raise
            if isinstance(error, OF_SILENCE):
                return (
                    "lost",
                    f"worker {rank} had no answer of another ({type(error).__name__}, timeout={settings['timeout']:g})",
                )
            return "lost", one_line(error)
        return "fitted", model if rank == 0 else None


def fit(
    model: typing.Any, X: typing.Any, y: typing.Any = None, *, num_workers: int, checkpoints: str | os.PathLike | None = None,
    max_failures: int = 0, resources_per_worker: dict[str, float] | None = None, micro_batches: int = 1, local_steps: int = 1,
    timeout: float = 600.0, **given: typing.Any,
) -> typing.Any:  # fmt: skip
    """The same fit by several processes, on the machines of a Ray cluster.

    Parameters
    ----------
    model : GenerativeEstimator
        It stays as it is. Its `batch_size` is that of all workers.
    X, y : as in its `fit`
        A folder must be found by the same path on all machines, or be an address, as "s3://bucket/rows"; rows in memory are
        sent to all. A tf.data.Dataset cannot be sent: pass a function that makes it and iterates over it.
    num_workers : int
        Processes.
    checkpoints : str or path-like, default=None
        Folder that all machines reach, or an address, where the state is kept, every `checkpoint_minutes`, for workers that are
        started again, and for a second call after the first. None: `model.checkpoint`, or starting again is from the beginning.
    max_failures : int, default=0
        How often all workers are started again after one was lost.
    resources_per_worker : dict, default=None
        Of each worker, as ``{"CPU": 4, "GPU": 1}``; None is one CPU and no GPU. It has a thread for each of its CPUs.
    micro_batches, local_steps, timeout
        As in `keras_ssvae.distributed.group`.
    **given
        Further arguments of the model's `fit`.

    Returns
    -------
    fitted : GenerativeEstimator
        A copy of `model`, fitted, as by its own `fit`.

    Raises
    ------
    TypeError
        If `model` trains no network itself, as an `AnomalyDetector`.
    WorkerLostError
        If workers were lost more than `max_failures` times.
    TimeoutError
        If the cluster has no room for all workers.
    """
    if num_workers < 1 or max_failures < 0:
        raise ValueError(f"num_workers must be positive and max_failures not negative; got {num_workers} and {max_failures}.")
    if not isinstance(model, GenerativeEstimator):
        raise TypeError(f"model must be an estimator that trains one network; got a {type(model).__name__}.")
    ray = connected_ray()
    unfitted = copy.copy(model)
    checkpoint = on_all_machines(model.checkpoint if checkpoints is None else checkpoints)
    unfitted.set_params(checkpoint=checkpoint, random_state=_seed(model.random_state, checkpoint))
    settings = {"micro_batches": micro_batches, "local_steps": local_steps, "timeout": timeout}
    shared = [ray.put(value) for value in (unfitted, on_all_machines(X), y, given, settings)]
    options, reasons = resources(resources_per_worker), list[str]()
    while True:
        fitted, reason = _attempt(ray, num_workers, options, shared)
        if fitted is not None:
            return fitted.set_params(checkpoint=model.checkpoint, random_state=model.random_state)
        reasons.append(reason)
        if len(reasons) > max_failures:
            raise WorkerLostError(f"Workers were lost {len(reasons)} times, max_failures={max_failures}: {reasons}.")
        warnings.warn(f"A worker was lost ({reason}); all are started again.", RuntimeWarning, stacklevel=2)


def _seed(random_state, checkpoint):
    """An int for all workers, the same after a loss."""
    if isinstance(random_state, numbers.Integral):
        return random_state
    if random_state is None and checkpoint is not None:
        open_directory(checkpoint)
        return lasting_seed(checkpoint)
    return int(derive_seeds(random_state, 1)[0])


def _attempt(ray, num_workers, options, shared):
    """(the fitted model, None), or (None, why workers were lost)."""
    actors = []
    try:
        actors = start(ray, FittingWorker, num_workers, options)
        addresses = ray.get([actor.ready.remote() for actor in actors])
        waiting = [actor.fit.remote(rank, addresses, *shared) for rank, actor in enumerate(actors)]
        fitted = None
        while waiting:
            (done,), waiting = ray.wait(waiting, num_returns=1)
            outcome, value = ray.get(done)
            if outcome == "lost":
                return None, value
            fitted = value if value is not None else fitted
        return fitted, None
    except ray.exceptions.RayActorError as error:
        return None, one_line(error)
    finally:
        stop(ray, actors)
