"""One process as a worker of a group, however it was started."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence

from keras_ssvae.training.distribution import Group, connect, joined

__all__ = ["group"]


@contextlib.contextmanager
def group(
    rank: int | None = None, addresses: Sequence[str] | None = None, *, micro_batches: int = 1, local_steps: int = 1,
    timeout: float = 600.0,
) -> Iterator[Group]:  # fmt: skip
    """A block of code in which every `fit` is one that several processes make together; each of them runs the same code.

    `batch_size` stays that of the model: each worker computes its share of every batch, gradients are added up, and all end
    with the same weights and the same ``history_``. Layers that standardise over a batch see the share of one worker. All
    must have the same data, or the same folder, and the same parameters, with an int as `random_state`.

    Parameters
    ----------
    rank : int, default=None
        Which of the workers this process is. None: as the environment variable TF_CONFIG says, or the only one.
    addresses : sequence of str, default=None
        "host:port" at which each worker listens, in the same order for all. None: as TF_CONFIG says.
    micro_batches : int, default=1
        Parts of its share that a worker computes one after the other before gradients are added up.
    local_steps : int, default=1
        Steps that each worker makes alone, on its share of every batch, before all take the mean of their weights: less to
        send, and not quite the same fit.
    timeout : float, default=600
        Seconds to wait for the others at any step, after which a fit raises; 0 waits for ever.

    Yields
    ------
    group : Group
        With `rank` and `size`.

    Raises
    ------
    ValueError
        If the arguments do not suit each other.
    RuntimeError
        If TensorFlow has computed in this process before: it can join others at its start only.

    Examples
    --------
    >>> from keras_ssvae import SemiSupervisedVAE, distributed
    >>> with distributed.group(rank, ["10.0.0.1:4000", "10.0.0.2:4000"]):  # doctest: +SKIP
    ...     model = SemiSupervisedVAE(random_state=0).fit("rows/", y="label")
    """
    if (rank is None) != (addresses is None):
        raise ValueError("rank and addresses are given together, or neither is.")
    if rank is None or addresses is None:
        addresses, rank = _of_environment()
    if not 0 <= rank < len(addresses):
        raise ValueError(f"rank must be one of the {len(addresses)} workers, from 0; got {rank}.")
    if micro_batches < 1 or local_steps < 1 or (micro_batches > 1 and local_steps > 1):
        raise ValueError("micro_batches and local_steps must be positive, and only one of them above 1.")
    connect(addresses, rank)
    with joined(Group(rank, len(addresses), micro_batches, local_steps, timeout)) as workers:
        yield workers


def free_addresses(host: str, count: int) -> list[str]:
    """So many "host:port" of this machine at which nobody listens."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((host, 0))
        return [f"{host}:{free.getsockname()[1]}" for free in sockets]


def _of_environment():
    """Addresses and rank of TF_CONFIG, as TensorFlow reads it."""
    config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    if not config:
        return ["alone"], 0
    return config["cluster"]["worker"], int(config["task"]["index"])
