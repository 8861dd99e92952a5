"""Robots that drive to and fro, each in a lane of its own, while somebody kills and hangs their loops.

The plant is the real one (`fleet.rounds`, MuJoCo) in a thread of this process; the coordinator is a fake that
answers each report with a picture: the lane's cells ahead, and endless errands between its ends. The robots are real
`muster robot` processes with their watchdogs.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from coordination.keys import read_keys
from coordination.messages import Assignment, Grant, Leg, LegKind, Picture, Report
from coordination.zmq_transport import ZmqServer
from fleet.rounds import Plant
from fleet.rundir import ENVIRONMENT, RunDirectory
from fleet.world import World
from sim.compiled import write_site
from sim.people import Profile
from sim.robot import SECOND, RobotSpec
from sim.site import Site, make_site
from tests.fleet.hand_policy import write_hand_policy

LENGTH = 16
"""Cells of a lane: 19.2 m"""
REST = 0.02
"""m/s and rad/s: slower is at rest (the project's definition of a collision)"""


def lanes(count: int) -> Site:
    """`count` lanes between racks."""
    blocked = np.ones((2 * count + 1, LENGTH), bool)
    blocked[1::2] = False
    return make_site("lanes", blocked)


def base(lane: int) -> int:
    """The first cell of a lane."""
    return (2 * lane + 1) * LENGTH


class LaneCoordinator(threading.Thread):
    """Answers every report at once. Owns its socket and what it asked of each robot."""

    def __init__(self, site: Site, server: ZmqServer) -> None:
        super().__init__(daemon=True)
        self.site, self.server = site, server
        self.end = threading.Event()
        self._attempts: dict[str, int] = {}
        self._grants = 0

    def run(self) -> None:
        """Serve until `end` is set."""
        while not self.end.is_set():
            for message in self.server.receive(0.05):
                if isinstance(message.body, Report):
                    self.server.send(message.peer, self.picture(message.sender, message.body), message.body.stamp)

    def picture(self, robot: str, report: Report) -> Picture:
        """The lane's cells around the robot, those under its footprint first, and its errand."""
        first = base(int(robot[1:]))
        attempt = self._attempts.setdefault(robot, 0)
        if report.task and report.attempt == attempt and report.legs_done == 1:
            attempt = self._attempts[robot] = attempt + 1
        goal = 1 if attempt % 2 else LENGTH - 2
        low, here, high = (
            min(max(math.floor((report.pose[0] + d) / self.site.cell), 0), LENGTH - 1) for d in (-0.45, 0.0, 0.45)
        )
        if goal >= here:
            cells = range(low, max(min(here + 5, LENGTH - 1), high) + 1)
        else:
            cells = range(high, min(max(here - 5, 0), low) - 1, -1)
        self._grants += 1
        return Picture(
            round=report.round,
            stamp=report.stamp,
            site=self.site.hash,
            grant=Grant(self._grants, tuple(first + cell for cell in cells), report.stamp + 2 * SECOND),
            assignment=Assignment("lane", attempt, (Leg(first + goal, LegKind.VISIT),)),
        )


@dataclass
class LaneFleet:
    """Plant, coordinator and robot processes of `count` robots, `per_process` in each."""

    directory: RunDirectory
    count: int
    per_process: int = 1
    words: tuple[str, ...] = ()
    """More of the robots' command line"""
    clock: Literal["lockstep", "wall"] = "wall"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site = lanes(self.count)
        write_site(self.site, self.directory.root / "lanes.npz")
        write_hand_policy(self.directory.root, RobotSpec())
        keys = read_keys(self.directory.key)
        starts = np.array([base(lane) + 2 for lane in range(self.count)], np.int32)
        self.world = World(self.site, RobotSpec(), self.count, profile=Profile.STILL, starts=starts)
        self._plant_end = ZmqServer("plant", keys)
        names = tuple(f"r{index}" for index in range(self.count))
        self.plant = Plant(self.world, self._plant_end, names, clock=self.clock)
        self._coordinator_end = ZmqServer("coordinator", keys)
        self.coordinator = LaneCoordinator(self.site, self._coordinator_end)
        self.coordinator.start()
        self._serving = threading.Thread(target=self.plant.serve, kwargs={"coordinator": False}, daemon=True)
        self.processes = [self.start(index) for index in range(self.count // self.per_process)]
        self._serving.start()

    def start(self, process: int) -> subprocess.Popen[bytes]:
        """Start the process number `process`."""
        names = ",".join(f"r{index}" for index in self.robots_of(process))
        command = [sys.executable, "-m", "fleet.cli", "robot", "--robots", names, "--person-speed", "0"]
        command += ["--site", str(self.directory.root / "lanes.npz"), "--plant", self._plant_end.address]
        command += ["--coordinator", self._coordinator_end.address, "--no-blackbox", *self.words]
        root = Path(__file__).resolve().parent.parent.parent
        environment = {**os.environ, ENVIRONMENT: str(self.directory.root), "PYTHONPATH": str(root)}
        log = (self.directory.logs / f"robot-{process}.log").open("ab")
        with log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def robots_of(self, process: int) -> range:
        """Indices of the robots of a process."""
        return range(process * self.per_process, (process + 1) * self.per_process)

    def speeds(self, robots: Sequence[int]) -> np.ndarray:
        """The larger of |v| and |w| of each robot by the plant's truth."""
        return np.abs(self.world.twists[list(robots)]).max(axis=1)

    def wait_until_driving(self, robots: Sequence[int], timeout: float) -> bool:
        """Whether all of these robots drive faster than 0.2 m/s at some time within `timeout` seconds."""
        waiting = set(robots)
        deadline = time.monotonic() + timeout
        while waiting and time.monotonic() < deadline:
            waiting -= {robot for robot in waiting if abs(self.world.twists[robot][0]) > 0.2}
            time.sleep(0.02)
        return not waiting

    def strike(self, process: int, number: signal.Signals) -> None:
        """Kill (SIGKILL) or hang (SIGSTOP) the loop of a process."""
        self.processes[process].send_signal(number)

    def revive(self, process: int) -> None:
        """Start a killed process again, or let a hung one go on."""
        if self.processes[process].poll() is None:
            self.processes[process].send_signal(signal.SIGCONT)
            time.sleep(0.01)
        if self.processes[process].poll() is not None:
            self.processes[process] = self.start(process)

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.plant._end = self.plant._end or "the test ends"
        self._serving.join(10.0)
        self.coordinator.end.set()
        self.coordinator.join(5.0)
        self._plant_end.close()
        self._coordinator_end.close()
