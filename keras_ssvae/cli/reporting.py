"""How a command ends where something stands in its way: one line on stderr, and an exit code."""

import functools
import os
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

__all__ = []

FAILED = 1
INTERRUPTED = 130  # 128 and the number of the signal, as shells count
# what the package raises for data, files, parameters and diverged fits; all else is a fault of ours and keeps its traceback
ERRORS = (ValueError, TypeError, ArithmeticError, OSError, ImportError)
STDERR = 2


def reported(command: Callable) -> Callable:
    """Let a command end with a line on stderr and an exit code where it raises an error that its user can mend."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:  # as with `| head`: who reads has enough; typer ends quietly
            raise
        except ERRORS as error:
            if "KERAS_SSVAE_TRACEBACK" in os.environ:
                raise
            say(f"keras-ssvae: {error or type(error).__name__}")
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            say(f"keras-ssvae: {str(error) or 'interrupted'}")
            raise typer.Exit(INTERRUPTED) from error

    return run


def say(text: str) -> None:
    """News, on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what TensorFlow's libraries write about the machine while they are loaded off the terminal of a process of ours.

    They write to the file behind stderr, whatever Python's is. With ``TF_CPP_MIN_LOG_LEVEL`` set lower by the user, they write.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3" or "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept, nothing = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nothing)


def start() -> typing.Any:
    """The package with all its models, TensorFlow loaded in silence."""
    with quiet_start():
        from keras_ssvae import models
    return models
