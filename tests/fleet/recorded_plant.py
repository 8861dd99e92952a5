"""A plant and a coordinator that play a recorded life to a real `muster robot`, over ZeroMQ, and note its commands.

`make_recording` writes the life at test time: cycles, pictures and the commands that the control step released; the
floor and the policy lie beside it. `RecordedPlant.serve` plays it in lockstep. A robot with the same policy on the
same machine must release the same commands.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from coordination.keys import Keys
from coordination.messages import Assignment, Cycle, Done, Join, Joined, Leave, Picture, Report
from coordination.zmq_transport import ZmqServer
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from sim.compiled import write_site
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

LIFE, SITE, ROBOT = "life.msgpack", "site.npz", "r0"


class Moment(msgspec.Struct, frozen=True):
    """One recorded round."""

    cycle: Cycle
    picture: Picture | None
    """The newest one when the cycle was stepped"""
    released: tuple[float, float]


def make_recording(directory: Path, seconds: float = 8.0, assignment: Assignment | None = None) -> list[Moment]:
    """Write life.msgpack, site.npz, policy.onnx and policy.json into `directory`; needs the `onnx` package."""
    spec, site = RobotSpec(), aisle()
    policy = write_hand_policy(directory, spec)
    write_site(site, directory / SITE)
    episode = Episode(
        Stepper(ControlConfig(robot=ROBOT, spec=spec), site, policy),
        FakeRobot(spec, (0.6, 1.8, 0.0), walls(site, spec.lidar.rays, spec.lidar.range_max)),
        FakeCoordinator(site, assignment or delivery(4)),
    )
    episode.run(seconds)
    moments = []
    for step in episode.steps:
        i = step.inputs
        cycle = Cycle(
            round=i.cycle,
            stamp=i.stamp,
            scan=i.scan,
            scan_stamp=i.scan_stamp,
            pose=i.pose,
            pose_stamp=i.pose_stamp,
            twist=i.twist,
            twist_stamp=i.twist_stamp,
            battery=i.battery,
            bumper=i.bumper,
            coordinator=i.picture is not None,
        )
        moments.append(Moment(cycle, i.picture, step.outputs.released))
    (directory / LIFE).write_bytes(msgspec.msgpack.encode(moments))
    return moments


@dataclass
class RecordedPlant:
    """Both servers of a recorded life. `plant` and `coordinator` are the addresses for the robot's command line."""

    directory: Path
    motor = ""
    """What drives its base; a test names another"""
    keys: Keys
    clock: str = "lockstep"
    pace: float = 0.0
    """Wall time per round, s; 0 as fast as the robot answers"""
    joined: threading.Event = field(default_factory=threading.Event)
    commands: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Released commands by round"""
    reports: list[Report] = field(default_factory=list)
    said_by: list[str] = field(default_factory=list)
    """Roles of the commands, in order"""

    def __post_init__(self) -> None:
        self.moments = msgspec.msgpack.decode((self.directory / LIFE).read_bytes(), type=list[Moment])
        self._plant = ZmqServer("plant", self.keys)
        self._coordinator = ZmqServer("coordinator", self.keys)
        self.plant, self.coordinator = self._plant.address, self._coordinator.address
        self._site = aisle().hash

    def serve(self, timeout: float = 60.0) -> bool:
        """Wait for the robot, play the life, say goodbye; False when the robot did not come or stopped answering."""
        deadline = time.monotonic() + timeout
        while not self.joined.is_set():
            if time.monotonic() > deadline:
                return False
            self._take(0.05)
        # a picture can only be sent to a robot that has spoken: its first report makes it known to the coordinator
        for moment in self.moments:
            known = bool(self.reports)
            if moment.picture is not None and known:
                self._coordinator.send(ROBOT, moment.picture, moment.picture.stamp)
            self._plant.send(ROBOT, moment.cycle, moment.cycle.stamp)
            begun = time.monotonic()
            while moment.cycle.round not in self.commands or time.monotonic() - begun < self.pace:
                if time.monotonic() > deadline:
                    return False
                self._take(0.01)
        self._plant.send(ROBOT, Leave("the recording ends"), self.moments[-1].cycle.stamp)
        return True

    def close(self) -> None:
        """Let go of both sockets."""
        self._plant.close()
        self._coordinator.close()

    def _take(self, wait: float) -> None:
        for message in self._plant.receive(wait):
            if isinstance(message.body, Join):
                self._plant.send(message.peer, Joined(self._site, self.clock, 0, motor=self.motor), 0)
                self.joined.set()
            elif isinstance(message.body, Done):
                self.commands[message.body.round] = message.body.command
                self.said_by.append(message.body.role)
        for message in self._coordinator.receive(0.0):
            if isinstance(message.body, Report):
                self.reports.append(message.body)
