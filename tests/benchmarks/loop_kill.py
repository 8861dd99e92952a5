"""loop_kill: robots that are not at rest after their control loop was killed or hung at a random instant.

Real `muster robot` processes, each with its watchdog, drive to and fro in the real plant (MuJoCo) in wall time. Each is
struck again and again at random instants while it moves, half with SIGKILL and half with SIGSTOP, and started or
continued afterwards. 2.5 s after the blow (0.2 s of silence, one period, and a stop of at most 1 s from full speed,
twice over) the plant's truth must say that it stands: |v| < 0.02 m/s and |w| < 0.02 rad/s. 200 instants; 16 with
--quick. A robot that nobody spoke for would go on with its last command: tests/fleet/test_watchdog.py shows it.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from figure import Figure

from coordination.keys import new_keys, write_keys
from fleet.rundir import create_run
from tests.fleet.lanes import REST, LaneFleet

ROBOTS = 4
"""Struck independently of each other; more would only wait for two cores."""
PATIENCE = 2.5
"""s from the blow to the look"""
TO_DRIVE = 60.0
"""s in which a revived robot must drive again"""


class Blows(threading.Thread):
    """Strikes one robot `count` times."""

    def __init__(self, fleet: LaneFleet, robot: int, count: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.fleet, self.robot, self.count = fleet, robot, count
        self.draw = random.Random(seed)
        self.moving: list[float] = []
        """Speeds of robots that were not at rest"""
        self.seconds: list[float] = []
        """From each blow to rest"""
        self.failure = ""

    def run(self) -> None:
        """All blows, one after the other."""
        for number in range(self.count):
            if not self.fleet.wait_until_driving([self.robot], TO_DRIVE):
                self.failure = f"robot {self.robot} did not drive within {TO_DRIVE:g} s of blow {number}: {self._log()}"
                return
            time.sleep(self.draw.uniform(0.0, 1.5))
            # a robot that turns round at a lane's end stands for a moment: only a moving one can fail to stop
            if not self.fleet.wait_until_driving([self.robot], TO_DRIVE):
                self.failure = f"robot {self.robot} stood still before blow {number}: {self._log()}"
                return
            self.fleet.strike(self.robot, signal.SIGKILL if (number + self.robot) % 2 else signal.SIGSTOP)
            begun = time.monotonic()
            rest = -1.0
            while (now := time.monotonic() - begun) < PATIENCE:
                if rest < 0.0 and self.fleet.speeds([self.robot])[0] < REST:
                    rest = now
                time.sleep(0.02)
            speed = float(self.fleet.speeds([self.robot])[0])
            if speed >= REST:
                self.moving.append(speed)
            else:
                self.seconds.append(rest)
            self.fleet.revive(self.robot)

    def _log(self) -> str:
        """Where the robot stands, and the last words of its process."""
        log = (self.fleet.directory.logs / f"robot-{self.robot}.log").read_text()
        pose, members = self.fleet.world.poses[self.robot].round(2).tolist(), self.fleet.plant.membership.members
        return f"at {pose}, {members}, log: {log[-600:]}"


def measure(quick: bool) -> Iterable[Figure]:
    """The count of robots that were not at rest."""
    count = 4 if quick else 50
    with tempfile.TemporaryDirectory() as folder:
        directory = create_run(Path(folder))
        write_keys(directory.key, new_keys())
        fleet = LaneFleet(directory, ROBOTS)
        try:
            blows = [Blows(fleet, robot, count, seed=100 + robot) for robot in range(ROBOTS)]
            for thread in blows:
                thread.start()
            for thread in blows:
                thread.join()
        finally:
            fleet.close()
        failures = [thread.failure for thread in blows if thread.failure]
        if failures:
            raise RuntimeError("; ".join(failures))
    seconds = sorted(value for thread in blows for value in thread.seconds)
    moving = [speed for thread in blows for speed in thread.moving]
    print(
        f"{ROBOTS * count} blows; to rest: median {seconds[len(seconds) // 2]:.2f} s, longest {seconds[-1]:.2f} s; "
        f"still moving: {moving}",
        file=sys.stderr,
    )
    yield Figure("not_at_rest", float(len(moving)), "1")
