"""A fleet in one process: MuJoCo plant, control steps, a coordinator on its store, an operator on the signed wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from agents.policy import Policy
from coordination.auditor import Auditor, Finding
from coordination.client import CoordinatorClient
from coordination.coordinator import Coordinator
from coordination.estop import raise_stop, reset_stop
from coordination.jogclient import JogClient
from coordination.keys import new_keys
from coordination.messages import Report
from coordination.requests import StopRaise, StopReset
from coordination.tasks import Store
from coordination.transport import Network
from coordination.wire import Received
from fleet.blackbox import Step
from fleet.control import ControlConfig, Stepper
from fleet.records import Memory, Outputs, at_start
from fleet.world import World
from hierarchy.corridors import cells_under
from sim.robot import RobotSpec
from sim.site import Site
from tests.fleet.episodes import inputs_of

SPEC = RobotSpec()


def config_of(robot: str) -> ControlConfig:
    return ControlConfig(robot=robot, spec=SPEC, person_speed=0.0, capabilities=("carry", robot))


@dataclass
class Link:
    """The operator's end, for a caller that waits: the fleet goes on meanwhile."""

    fleet: JogFleet
    name: str

    def __post_init__(self) -> None:
        self.end = self.fleet.network.client(self.name, "coordinator", self.fleet.keys)
        self.counts = self.end.counts

    def send(self, peer: str, body: msgspec.Struct, stamp: int) -> bool:
        return self.end.send(peer, body, stamp)

    def receive(self, timeout: float) -> list[Received]:
        if timeout > 0.0:
            self.fleet.cycle()
        return self.end.receive(0.0)

    def close(self) -> None:
        self.end.close()


@dataclass
class JogFleet:
    """Owns the world, the store and everything that robots remember."""

    site: Site
    folder: Path
    policy: Policy
    starts: tuple[int, ...]
    network: Network = field(default_factory=Network)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    dead: bool = False
    """The coordinator is"""

    def __post_init__(self) -> None:
        self.keys = new_keys()
        self.names = [f"r{index}" for index in range(len(self.starts))]
        self.world = World(self.site, SPEC, len(self.names), starts=np.array(self.starts), seed=5)
        self.steppers = {name: Stepper(config_of(name), self.site, self.policy) for name in self.names}
        self.memory: dict[str, Memory] = {name: at_start() for name in self.names}
        self.server = self.network.server("coordinator", self.keys)
        self.links = {
            name: CoordinatorClient(self.network.client(name, "coordinator", self.keys)) for name in self.names
        }
        self.steps = {name: [] for name in self.names}
        self.store = Store(self.folder / "tasks.sqlite")
        self.core = Coordinator(self.site, self.store)
        self.auditor = Auditor(self.folder / "tasks.sqlite")
        self.round = 0

    def operator(self, name: str = "operator_ann", by: str = "ann@desk") -> JogClient:
        return JogClient(Link(self, name), by)

    def cycle(self) -> None:
        """One control cycle of everyone."""
        self.round += 1
        commands = np.zeros((len(self.names), 2), np.float32)
        for index, name in enumerate(self.names):
            commands[index] = self._step(index, name).released
        self.world.command(commands)
        self.world.step()
        if not self.dead:
            self._coordinate()
        under = {
            name: cells_under(self.site, (float(x), float(y)), SPEC.radius)
            for name, (x, y, _) in zip(self.names, self.world.poses, strict=True)
        }
        self.found += self.auditor.follow(self.world.stamp, under)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.cycle()

    def drive(self, operator: JogClient, seconds: float, v: float, w: float = 0.0) -> None:
        """The operator's wish in every cycle."""
        for _ in range(round(seconds * 10)):
            operator.move(v, w)
            self.cycle()

    def kill(self) -> None:
        """The coordinator ends; what it had not committed is gone, and so is all that it heard."""
        self.store.close()
        self.dead = True

    def restart(self) -> None:
        """Another one goes on from the disk."""
        self.server.receive(0.0)
        self.store = Store(self.folder / "tasks.sqlite")
        self.core = Coordinator(self.site, self.store)
        self.dead = False

    def stop(self) -> None:
        raise_stop(self.store, StopRaise("a person", "look"), "passer_by", self.world.stamp)

    def reset(self) -> None:
        assert not reset_stop(self.store, StopReset("ann", 1), "operator_ann", True, self.world.stamp).error

    def modes(self, robot: str, last: int) -> set[str]:
        return {step.outputs.mode.name for step in self.steps[robot][-last:]}

    def place(self, robot: str) -> tuple[float, float, float]:
        x, y, yaw = self.world.poses[self.names.index(robot)]
        return float(x), float(y), float(yaw)

    def close(self) -> None:
        self.found += self.auditor.close()
        self.store.close()

    def _step(self, index: int, name: str) -> Outputs:
        readings, link = self.world.readings(index), self.links[name]
        link.poll()
        inputs = inputs_of(readings, self.round, link.view(readings.stamp).picture)
        outputs, after = self.steppers[name].step(inputs, self.memory[name])
        self.steps[name].append(Step(inputs.cycle, inputs.stamp, inputs, self.memory[name], outputs))
        self.memory[name] = after
        link.report(outputs.report)
        return outputs

    def _coordinate(self) -> None:
        """What `Service` does in a round: requests in a commit of their own, reports and tick in one."""
        now, messages = self.world.stamp, self.server.receive(0.0)
        with self.store.transaction():
            answers = [
                out
                for message in messages
                if not isinstance(message.body, Report)
                for out in self.core.handle(message.sender, message.body, now)
            ]
        for peer, body in answers:
            self.server.send(peer, body, now)
        with self.store.transaction():
            for message in sorted(messages, key=lambda message: message.sender):
                if isinstance(message.body, Report):
                    self.core.handle(message.sender, message.body, now)
            pictures = self.core.tick(now)
        for peer, body in pictures:
            self.server.send(peer, body, now)
