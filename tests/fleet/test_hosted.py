"""What every robot that a seat can drive does alike, whatever is between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from coordination.messages import Cycle, Done, Joined
from coordination.transport import Network
from fleet.hardware import PlantRobot
from fleet.hosted import FakeHosted, HostedRobot, JoinError
from fleet.ros.loop import LoopNetwork
from sim.robot import RobotCommand, RobotSpec
from tests.fleet.ros.bodies import Body, robot_on

SPEC = RobotSpec()
PERIOD = SPEC.period


@dataclass
class Rig:
    """A robot, and the other side of it: gives it cycles, hears its commands, refuses it."""

    robot: HostedRobot
    give: Callable[[Cycle], object]
    commands: Callable[[], list[tuple[int, tuple[float, float]]]]
    refuse: Callable[[str], object] = lambda why: None


def cycle(number: int, v: float = 0.5) -> Cycle:
    stamp = number * PERIOD
    scan = np.linspace(1.0, 9.0, SPEC.lidar.rays, dtype=np.float32)
    pose = tuple(np.array((1.1 * number, -2.3, 0.7), np.float32).tolist())
    told = Cycle(number, stamp, scan.tobytes(), stamp, pose, stamp, (v, -0.25), stamp, 0.75, False, number > 0)
    return msgspec.structs.replace(told, battery_stamp=stamp, yaw_rate=-0.2503, yaw_rate_stamp=stamp)


def fake() -> Rig:
    robot = FakeHosted()
    return Rig(
        robot,
        robot.give,
        lambda: [(number, (command.v, command.w)) for number, command, _ in robot.answers],
        lambda why: setattr(robot, "refusal", why),
    )


def wire() -> Rig:
    network = Network()
    plant = network.server("plant", None)
    robot = PlantRobot("r0", network.client("r0", "plant", None), SPEC)
    heard: list[tuple[int, tuple[float, float]]] = []

    def commands() -> list[tuple[int, tuple[float, float]]]:
        bodies = [message.body for message in plant.receive(0.0)]
        heard.extend((body.round, body.command) for body in bodies if isinstance(body, Done))
        return heard

    plant.send("r0", Joined(clock="lockstep"), 0)
    return Rig(
        robot,
        lambda one: plant.send("r0", one, one.stamp),
        commands,
        lambda why: plant.send("r0", Joined(error=why), 0),
    )


def bus() -> Rig:
    network = LoopNetwork()
    robot, ours = robot_on(network, "use_sim_time:=true", "lockstep:=true", pictures=lambda: 10**6)
    body = Body(network)
    heard: list[tuple[int, tuple[float, float]]] = []

    def give(one: Cycle) -> None:
        body.give(one)
        ours.spin(0.0)
        robot.read(0.0)  # time waits: a cycle is taken in before the next one comes

    def commands() -> list[tuple[int, tuple[float, float]]]:
        heard.extend((stamp // PERIOD, command) for stamp, command in body.told())
        return heard

    return Rig(robot, give, commands)


RIGS = {"fake": fake, "wire": wire, "bus": bus}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Rig:
    return RIGS[request.param]()


def test_a_cycle_is_read_whole_until_it_is_answered(rig: Rig) -> None:
    robot, given = rig.robot, cycle(3)
    robot.join(1.0)
    assert robot.read(0.0) is None
    rig.give(given)
    for _ in range(2):
        readings = robot.read(0.0)
        assert readings is not None
        assert robot.cycle == given
        assert readings.scan.tobytes() == given.scan
        assert readings.stamp == readings.pose_stamp == given.stamp
        assert readings.pose.tolist() == list(given.pose)
        assert (readings.yaw_rate, readings.yaw_rate_stamp) == (-0.2503, given.stamp)
        assert (readings.battery, readings.battery_stamp) == (0.75, given.stamp)
    robot.write(RobotCommand(0.4, -0.1))
    assert robot.read(0.0) is None
    assert robot.cycle == given, "what was answered is still known"
    ((number, command),) = rig.commands()
    assert number == 3
    assert command == pytest.approx((0.4, -0.1))


def test_a_robot_that_lags_reads_the_newest_cycle_and_counts_the_others(rig: Rig) -> None:
    rig.robot.join(1.0)
    for number in range(4):
        rig.give(cycle(number))
    readings = rig.robot.read(0.0)
    assert readings is not None
    assert readings.stamp == 3 * PERIOD
    assert rig.robot.skipped == 3


def test_a_command_without_a_cycle_is_sent_to_nobody(rig: Rig) -> None:
    rig.robot.join(1.0)
    rig.robot.write(RobotCommand(1.0, 0.0))
    assert rig.commands() == []


@pytest.mark.parametrize("rig", ["fake", "wire"], indirect=True)  # on a bus there is nobody to ask
def test_a_refused_robot_says_why(rig: Rig) -> None:
    rig.refuse("no room")
    with pytest.raises(JoinError, match="no room"):
        rig.robot.join(1.0)


def test_closing_twice_is_no_harm(rig: Rig) -> None:
    rig.robot.close("enough")
    rig.robot.close()
