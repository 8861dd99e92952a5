"""The wheel with the base install alone: a robot runs where there is no simulator, no learner and no planner.

A short session of a real plant and control step is recorded with everything installed; a small server plays it back,
and the robot of the fresh environment drives against it, with its policy, its shield and its black box. The same inputs
make the same commands, so the body moves as the robot commands it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.export import export
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.policy import Policy
from coordination.keys import Keys, ensure_keys
from coordination.messages import Assignment, Cycle, Done, Grant, Join, Joined, Leave, Leg, LegKind, Picture, Report
from coordination.zmq_transport import ZmqServer
from fleet.control import ControlConfig, Stepper
from fleet.hosted import cycle_of
from fleet.records import at_start
from fleet.rundir import RunDirectory, create_run
from fleet.world import World
from sim.compiled import write_site
from sim.robot import SECOND, RobotSpec
from sim.site import Site, make_site
from sim.tasks.navigate_contract import navigate_contract
from tests.fleet.episodes import inputs_of

CYCLES = 40
SILENT = 1
"""Rounds whose report goes unanswered: the first may be lost while the robot's connection is made."""
HEAVY = ("torch", "mujoco", "mujoco_warp", "gymnasium", "pettingzoo", "numba", "networkx", "scipy", "onnx")


def corridor_floor() -> Site:
    """Ten free cells in a row."""
    return make_site("lane", np.zeros((1, 10), bool))


def picture(site: Site, cycle: Cycle) -> Picture:
    """What the coordinator answers to the report of a round."""
    grant = Grant(1 + cycle.round, (0, 1, 2, 3, 4), cycle.stamp + 2 * SECOND)
    work = Assignment("01900000-0000-7000-8000-000000000000", 1, (Leg(4, LegKind.VISIT),))
    return Picture(cycle.round, cycle.stamp, site.hash, grant, assignment=work)


def record_session(site: Site, spec: RobotSpec, policy: Policy) -> tuple[list[Cycle], list[tuple[float, float]]]:
    """What the plant tells a robot that drives from the lane's left end, and what the control step released."""
    world = World(site, spec, 1, starts=np.array([0], np.int32))
    stepper, memory = Stepper(ControlConfig(robot="r0", spec=spec), site, policy), at_start()
    cycles: list[Cycle] = []
    released: list[tuple[float, float]] = []
    for number in range(CYCLES):
        readings = world.readings(0)
        cycles.append(cycle_of(readings, number, coordinator=number > SILENT))
        told = picture(site, cycles[-2]) if number > SILENT else None
        outputs, memory = stepper.step(inputs_of(readings, number, told), memory)
        released.append(outputs.released)
        world.command(np.array([outputs.released], np.float32))
        world.step()
    return cycles, released


@dataclass
class Playback:
    """Plant and coordinator of a recorded session, in one thread; owns both sockets."""

    site: Site
    cycles: list[Cycle]
    keys: Keys
    commands: list[tuple[float, float]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    embodiments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plant = ZmqServer("plant", self.keys)
        self.coordinator = ZmqServer("coordinator", self.keys)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        name = self.admit(time.monotonic() + 60.0)
        for cycle in self.cycles:
            self.plant.send(name, cycle, cycle.stamp)
            self.answer(name, cycle)
        self.plant.send(name, Leave("the recording ends"), self.cycles[-1].stamp)
        time.sleep(0.5)  # the sockets' last words
        self.plant.close()
        self.coordinator.close()

    def admit(self, deadline: float) -> str:
        while time.monotonic() < deadline:
            for message in self.plant.receive(0.1):
                if isinstance(message.body, Join) and message.body.role == "robot":
                    self.embodiments.append(message.body.embodiment)
                    self.plant.send(message.peer, Joined(self.site.hash, "lockstep", 0), 0)
                    return message.sender
        raise AssertionError("no robot joined the recorded plant")

    def answer(self, name: str, cycle: Cycle) -> None:
        """Wait for the robot's command and report of one round, then send the round's picture."""
        deadline = time.monotonic() + 20.0
        done, reported = False, cycle.round < SILENT
        while not (done and reported) and time.monotonic() < deadline:
            for message in self.coordinator.receive(0.01):
                if isinstance(message.body, Report) and message.body.round == cycle.round:
                    self.reports.append(message.body)
                    if cycle.round >= SILENT:
                        self.coordinator.send(message.peer, picture(self.site, cycle), cycle.stamp)
                    reported = True
            for message in self.plant.receive(0.01):
                if isinstance(message.body, Done) and message.body.round == cycle.round:
                    assert message.body.robot == name
                    self.commands.append(message.body.command)
                    done = True


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The bin folder of a fresh environment with the wheel's base install."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        root, source, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs", "tests", "*.egg-info", "build", "dist")
    )
    _run([sys.executable, "-m", "venv", folder / "venv"])
    binaries = folder / "venv" / "bin"
    _skip_without_an_index(binaries / "python")
    _run([sys.executable, "-m", "build", "--wheel", "-o", folder, source])
    (wheel,) = folder.glob("*.whl")
    _run([binaries / "python", "-m", "pip", "install", "-q", "-c", root / "constraints.txt", wheel])
    return binaries


def _skip_without_an_index(python: Path) -> None:
    """Skip unless pip can ask an index for pip itself: no pin of ours has a part in that."""
    command = [python, "-m", "pip", "--retries", "1", "--timeout", "10", "index", "versions", "pip"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a package index, none can be reached: {done.stderr.strip().splitlines()[-1]}")


def _run(command: list[object]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, Site, Path]:
    """A run directory with an untrained policy of the right contract, and the floor in a file."""
    run = create_run(tmp_path_factory.mktemp("runs"))
    site = corridor_floor()
    path = run.root / "lane.npz"
    write_site(site, path)
    agreed = navigate_contract(RobotSpec())
    generator = torch.Generator().manual_seed(1)
    network = ActorCritic(agreed.observation_size, agreed.action_size, (16,), generator=generator)
    export(run.root, network, Moments(agreed.observation_size), agreed, training={}, evaluation={})
    return run, site, path


def test_the_base_install_has_neither_simulator_nor_learner(environment: Path) -> None:
    program = f"import importlib.util as u; print([n for n in {HEAVY!r} if u.find_spec(n)])"
    done = subprocess.run([environment / "python", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_wheel_declares_its_plugin_for_gymnasium(environment: Path) -> None:
    program = (
        "import importlib.metadata as m; print([(e.name, e.value) for e in m.entry_points(group='gymnasium.envs')])"
    )
    done = subprocess.run([environment / "python", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[('muster', 'sim.gym:register')]\n"


def test_a_command_that_needs_an_extra_names_it(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "muster", "sim"], capture_output=True, text=True, check=False, cwd=tmp_path, env=_clean()
    )
    assert done.returncode == 2
    assert "pip install 'muster[sim]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_robot_of_the_base_install_drives_against_a_recorded_plant(
    environment: Path, session: tuple[RunDirectory, Site, Path]
) -> None:
    run, site, path = session
    spec = RobotSpec()
    cycles, released = record_session(site, spec, Policy.load(run.root))
    assert any(abs(v) + abs(w) > 0.0 for v, w in released), "the recorded policy never moved the robot"
    playback = Playback(site, cycles, ensure_keys(run.key))
    command = [
        environment / "muster", "robot", "--robots", "r0", "--site", path, "--policy", run.root,
        "--plant", playback.plant.address, "--coordinator", playback.coordinator.address,
    ]  # fmt: skip
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=run.root,
        env={**_clean(), "MUSTER_RUN": str(run.root)},
    )
    playback.thread.join(timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert playback.embodiments == [spec.embodiment_hash()]
    assert len(playback.commands) == CYCLES
    assert len(playback.reports) >= CYCLES - 1
    np.testing.assert_allclose(playback.commands, released, atol=1e-6)
    assert {report.task for report in playback.reports[5:]} == {"01900000-0000-7000-8000-000000000000"}

    boxes = sorted(run.blackbox.glob("r0-*.mcap"))
    assert boxes
    replay = subprocess.run(
        [environment / "muster", "replay", str(boxes[0])], capture_output=True, text=True, check=False, env=_clean()
    )
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert "identical" in replay.stdout


def _clean() -> dict[str, str]:
    """Our environment without what would lead a fresh Python to this checkout."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MUSTER_RUN", "VIRTUAL_ENV")
    }
