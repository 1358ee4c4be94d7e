"""The shell: ``keras-ssvae fit rows.csv --target label -o model.ssvae``, and questions to the model that it leaves."""

import os
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command of the shell.

    Parameters
    ----------
    arguments : list of str, default=None
        What stands behind the name of the program; None reads ``sys.argv``.

    Returns
    -------
    int
        0 for success; 1 where data, a model or a file stood in the way, with one line on stderr that says how; 2 for a command
        that is not understood; 130 after Ctrl-C. With the environment variable ``KERAS_SSVAE_TRACEBACK`` errors come through.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the process is ours; TensorFlow reads it when it is imported
    if sys.stderr is None:  # closed; news would go to stdout, among the answers
        sys.stderr = open(os.devnull, "w")
    try:
        from keras_ssvae.cli.commands import app
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        print('keras-ssvae: the shell needs typer: pip install "keras_ssvae[cli]"', file=sys.stderr)
        return 1
    try:
        app(arguments, prog_name="keras-ssvae")
    except SystemExit as end:
        return int(end.code or 0)
    return 0
