"""What a fit shows of itself while it runs: nothing, one bar over all stages, or a line an epoch, on standard error."""

from __future__ import annotations

import sys
import threading
import typing

from tqdm import tqdm

__all__ = []


class Bar(tqdm):
    """A bar that starts no thread to watch itself."""

    monitor_interval = 0


Bar.set_lock(threading.RLock())  # tqdm's own is one of processes, too


class Report:
    """The epochs of a fit, as they end.

    Parameters
    ----------
    verbose : int, bool or "auto"
        0 shows nothing, 1 a bar, 2 and more a line an epoch; "auto" a bar where somebody sees it, as `is_seen` says.
    """

    def __init__(self, verbose: int | str):
        self.verbose = int(is_seen() if isinstance(verbose, str) else verbose)
        self._bar: typing.Any = None
        self._stage, self._planned, self._done = "", 0, 0

    def begin(self, stage: str, planned: int, left: int, done: int = 0) -> None:
        """Begin a stage of `planned` epochs, of which some are done; about `left` epochs come in later stages."""
        self._stage, self._planned, self._done = stage, planned, done
        if self.verbose != 1:
            return
        if self._bar is None:
            self._bar = Bar(file=sys.stderr, desc=stage, total=planned + left, initial=done, unit=" epochs", dynamic_ncols=True)
            return
        self._bar.n += done
        self._bar.total = self._bar.n + planned - done + left
        self._bar.set_description(stage)

    def epoch(self, means: dict[str, float]) -> None:
        """Show the end of an epoch, with the mean of each term."""
        self._done += 1
        told = ", ".join(f"{name} {value:.4g}" for name, value in sorted(means.items(), key=lambda item: item[0] != "loss"))
        if self._bar is not None:
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update()
        elif self.verbose > 1:
            self._say(f"{self._stage} {self._done}/{self._planned}: {told}")

    def end(self, best: int | None) -> None:
        """End the stage; `best` is the number of the epoch whose weights are kept, None for the last."""
        left = self._planned - self._done
        if not self.verbose or not left:
            return
        kept = "" if best is None else f"; the weights are those of epoch {best}"
        self._say(f"{self._stage} stopped early, after {self._done} of {self._planned} epochs{kept}")
        if self._bar is not None:
            self._bar.total -= left
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, line):
        Bar.write(line, file=sys.stderr)


def is_seen() -> bool:
    """Whether standard error is a terminal or the output of a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
