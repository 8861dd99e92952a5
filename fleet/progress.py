"""How a training goes, for whoever watches: a bar on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agents.progress import Progress


class Bar(Protocol):
    """Shows how a training goes while it is entered."""

    def __enter__(self) -> Bar:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, progress: Progress) -> None:
        """After each iteration."""
        ...


def progress_bar(name: str, seconds: float, steps: int) -> Bar:
    """A bar on a terminal, lines in a log; the budget of wall time (s) and of control steps fills it."""
    pace = _Pace(seconds, steps)
    return _LiveBar(name, pace) if sys.stdout.isatty() else _Lines(name, pace)


class _Pace:
    """Owns the last iteration's place, for the rate between two."""

    def __init__(self, seconds: float, steps: int) -> None:
        self._budget = (seconds, steps)
        self._steps, self._seconds = 0, 0.0
        self.rate = 0.0
        """Control steps per second, smoothed over some ten iterations."""
        self.held_out = float("nan")

    def update(self, progress: Progress) -> None:
        spent = progress.seconds - self._seconds
        rate = (progress.steps - self._steps) / spent if spent > 0 else 0.0
        self.rate = rate if self.rate == 0.0 else 0.9 * self.rate + 0.1 * rate
        self._steps, self._seconds = progress.steps, progress.seconds
        if progress.held_out is not None:
            self.held_out = progress.held_out.success

    def left(self) -> float:
        """Until the budget is spent, s; the target may come sooner."""
        seconds = self._budget[0] - self._seconds
        steps = (self._budget[1] - self._steps) / self.rate if self.rate else seconds
        return max(0.0, min(seconds, steps))

    def spent(self) -> float:
        """Share of the budget."""
        return min(1.0, max(self._seconds / self._budget[0], self._steps / self._budget[1]))

    def text(self, progress: Progress) -> str:
        held_out = "" if self.held_out != self.held_out else f"  held out {self.held_out:.1%}"
        success = "  -  " if progress.success != progress.success else f"{progress.success:.1%}"
        left = int(self.left())
        diverged = f"  diverged {progress.diverged}" if progress.diverged else ""
        return (
            f"{progress.steps / 1e6:.2f} M steps  {self.rate:,.0f} steps/s  success {success}{held_out}{diverged}  "
            f"at most {left // 60}:{left % 60:02d} left"
        )


class _LiveBar:
    """Owns the terminal line."""

    def __init__(self, name: str, pace: _Pace) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._pace = pace
        self._progress = Progress(TextColumn(name), BarColumn(), TextColumn("{task.description}"))
        self._task = self._progress.add_task("starting", total=1.0)

    def __enter__(self) -> _LiveBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: Progress) -> None:
        self._pace.update(progress)
        self._progress.update(self._task, completed=self._pace.spent(), description=self._pace.text(progress))


class _Lines:
    """For logs: a line every ten seconds, and one at each held-out check."""

    def __init__(self, name: str, pace: _Pace) -> None:
        self._name, self._pace = name, pace
        self._printed = -float("inf")

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        self._pace.update(progress)
        now = time.monotonic()
        if now - self._printed >= 10.0 or progress.held_out is not None:
            self._printed = now
            print(f"{self._name}  {self._pace.text(progress)}", flush=True)
