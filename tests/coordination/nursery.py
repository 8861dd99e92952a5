"""Lives of a coordinator that end by kill -9: a nursery process that forks them, and faults to plant in them.

The nursery imports and warms everything once, then forks the coordinator (`coordination.serve.run`, the body of
`muster coordinate`) for each of its lives. A life ends by SIGKILL: from outside, or from inside at one of the points
that `Service.at` names (right before and after commits, acknowledgements and grants).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordination.requests import Submit, Submitted

ROOT = Path(__file__).parents[2]

POINTS = (
    "answer:commit",
    "answer:committed",
    "answer:sent",
    "round:begin",
    "round:commit",
    "round:committed",
    "round:sending",
    "round:sent",
    "round:told",
)
"""Where a life can end from inside: `commit` is right before one, `committed` after it and before anything left."""


@dataclass(frozen=True)
class Kill:
    """How one life of the coordinator ends."""

    point: str = ""
    """One of POINTS; empty: from outside, at a random moment"""
    occurrence: int = 1
    """At which passing of the point; from outside, half of the longest life in rounds"""
    blackout: int = 0
    """Rounds without a coordinator afterwards; a lease is 20"""


class Nursery:
    """Owns the process that forks coordinators, and the newest of them."""

    def __init__(self, folder: Path, arguments: Sequence[str], fault: str = "") -> None:
        """`arguments` are those of `muster coordinate`; `fault` names one of FAULTS to plant."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.coordination.nursery", fault, *arguments]
        with (folder / "coordinator.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=ROOT, text=True
            )
        self.pid = 0
        self.log = folder / "coordinator.log"

    def start(self, kill: Kill) -> None:
        """Give birth to a coordinator that ends as `kill` says."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"point": kill.point, "occurrence": kill.occurrence}) + "\n")
        self.process.stdin.flush()
        self.pid = self._line(60.0)["pid"]

    def alive(self) -> bool:
        """Whether the newest coordinator lives; raises AssertionError when it ended otherwise than by a kill."""
        assert self.process.stdout is not None
        if not self.pid or not select.select([self.process.stdout], [], [], 0.0)[0]:
            return bool(self.pid)
        status = self._line(5.0)["status"]
        self.pid = 0
        assert os.WIFSIGNALED(status), f"the coordinator ended by itself ({status}):\n{self.log.read_text()[-2000:]}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False

    def kill(self) -> None:
        """kill -9."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            while self.alive():
                time.sleep(0.001)

    def close(self) -> None:
        """End everything that was started here."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.process.stdin.close()
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _line(self, patience: float) -> dict[str, int]:
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], patience)[0]
        line = self.process.stdout.readline() if ready else ""
        assert line, f"the nursery is silent:\n{self.log.read_text()[-2000:]}"
        return json.loads(line)


def acknowledge_early() -> None:
    """A fault to plant: answer before the commit."""
    from coordination.service import Service

    honest = Service._answer

    def early(self: Service, requests: Sequence) -> None:
        for message in requests:
            if isinstance(message.body, Submit):
                ids = tuple(task.id for task in message.body.tasks)
                self._send([(message.peer, Submitted(message.body.request, ids))], self.now)
        time.sleep(0.02)
        honest(self, requests)

    Service._answer = early


def grant_early() -> None:
    """A fault to plant: pictures leave before the commit."""
    from coordination.service import Service

    honest = Service.__init__

    def init(self: Service, *arguments: Any, **options: Any) -> None:  # those of Service
        honest(self, *arguments, **options)
        tick = self.core.tick

        def early(now: int) -> Any:
            out = tick(now)
            self._send(out, now)
            time.sleep(0.005)
            return out

        self.core.tick = early

    Service.__init__ = init


FAULTS: dict[str, Callable[[], None]] = {"acknowledge_early": acknowledge_early, "grant_early": grant_early}


def nurse(fault: str, arguments: Sequence[str]) -> None:
    """The nursery's life: one coordinator for each line on stdin."""
    from coordination import coordinator, serve
    from fleet.cli import parse

    config = parse("coordinate", serve.Config, arguments)
    coordinator.warm()
    if fault:
        FAULTS[fault]()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(240)  # whatever happens to us, no coordinator is left behind
            os.dup2(2, 1)
            try:
                os._exit(serve.run(config, at=_ender(order["point"], order["occurrence"])))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                raise
            finally:
                os._exit(1)
        print(json.dumps({"pid": child}), flush=True)
        print(json.dumps({"status": os.waitpid(child, 0)[1]}), flush=True)


def _ender(chosen: str, occurrence: int) -> Callable[[str], None]:
    """For `Service.at`: ends this process at the chosen passing of a point."""
    passed: Counter[str] = Counter()

    def at(point: str) -> None:
        passed[point] += 1
        if point == chosen and passed[point] == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


if __name__ == "__main__":
    nurse(sys.argv[1], sys.argv[2:])
