"""A look that may hang or crash, in a process of its own with a time limit.

Libraries with C underneath fail in ways that no `except` hears: rclpy that was built for another Python or NumPy ends
the process, a middleware waits for a network for ever. The child is a fresh interpreter (spawn): it shares no state
with us, and its standard output goes to standard error, so that what libraries print spoils no report.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar, cast

from fleet.checkup.finding import one_line

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Lost:
    """A look that came to nothing."""

    reason: str
    """One line"""


def apart(timeout_s: float, look: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | Lost:
    """What `look` returns, a function of a module, called in another process; Lost after `timeout_s` at the latest."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(theirs, look, arguments, named), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(timeout_s):
            return Lost(f"no answer within {timeout_s:g} s")
        good, value = ours.recv()
        return cast(T, value) if good else Lost(value)
    except EOFError:
        child.join(5.0)
        return Lost(f"its process ended {_ending(child.exitcode)}")
    finally:
        ours.close()
        child.kill()
        child.join(5.0)


def _report(connection: Connection, look: Callable[..., object], arguments: tuple, named: dict) -> None:
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        answer = True, look(*arguments, **named)
    except Exception as error:  # whatever a library raises is what was found
        answer = False, one_line(error)
    connection.send(answer)
    connection.close()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"by {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"
    return f"with exit code {code}"
