"""What Ray is asked for: processes that keep a model, each started anew where it is lost."""

from __future__ import annotations

import math
import os
import types
import typing
from collections.abc import Sequence

__all__ = ["WorkerLostError"]

STARTING = 600.0  # seconds that the cluster has to start all workers


class WorkerLostError(RuntimeError):
    """Workers were lost more often than `max_failures` allows."""


def connected_ray() -> types.ModuleType:
    """Ray, connected to a cluster, or to this machine where nobody has said which; an ImportError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise ImportError("Ray starts the workers, and is not installed: pip install 'keras_ssvae[ray]'.") from error
    if not ray.is_initialized():
        ray.init()
    return ray


def resources(resources_per_worker: dict[str, float] | None) -> dict[str, typing.Any]:
    """The options of an actor that has so many of what Ray counts, "CPU", "GPU" or others; threads follow the CPUs."""
    wanted = {"CPU": 1.0, **(resources_per_worker or {})}
    others = {name: value for name, value in wanted.items() if name not in ("CPU", "GPU")}
    threads = str(max(1, math.floor(wanted["CPU"])))
    environment = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads, "KERAS_BACKEND": "tensorflow"}
    if not wanted.get("GPU", 0):  # Ray says nothing, and each worker would take all memory of the first
        environment["CUDA_VISIBLE_DEVICES"] = ""
    environment["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")
    return {
        "num_cpus": wanted["CPU"],
        "num_gpus": wanted.get("GPU", 0),
        "resources": others,
        "max_restarts": 0,
        "runtime_env": {"env_vars": environment},
    }


def start(ray: types.ModuleType, worker: type, count: int, options: dict, *arguments: typing.Any) -> list:
    """So many actors of a class with a method `ready`; a TimeoutError where the cluster has no room for all of them."""
    actors = [ray.remote(worker).options(**options).remote(*arguments) for _ in range(count)]
    try:
        ray.get([actor.ready.remote() for actor in actors], timeout=STARTING)
    except ray.exceptions.GetTimeoutError as error:
        stop(ray, actors)
        wanted = {name: options[name] for name in ("num_cpus", "num_gpus", "resources")}
        raise TimeoutError(
            f"{count} workers of {wanted} were not started within {STARTING:.0f} seconds; the cluster has "
            f"{ray.cluster_resources()}."
        ) from error
    except BaseException:
        stop(ray, actors)
        raise
    return actors


def stop(ray: types.ModuleType, actors: Sequence) -> None:
    """End the processes of actors at once."""
    for actor in actors:
        ray.kill(actor, no_restart=True)


def one_line(error: BaseException) -> str:
    """The beginning of what an error says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def on_all_machines(path: typing.Any) -> typing.Any:
    """A path as workers in other folders know it; anything else, and an address with a scheme, as it is."""
    is_path = isinstance(path, os.PathLike) or (isinstance(path, str) and "://" not in path)
    return os.path.abspath(path) if is_path else path
