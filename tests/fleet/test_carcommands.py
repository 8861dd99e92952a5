"""What a car's plant makes of commands: the sound ones move it, all others are told."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from fleet.carcommands import Commands
from fleet.ros.carmessages import Frames, time_of
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.ackermann_msgs import AckermannDrive, AckermannDriveStamped
from fleet.ros.messages.std_msgs import Header
from sim.robot import SECOND

NOW = 20 * SECOND


class Stage:
    """A plant's ear and a driver, on a loop."""

    def __init__(self, *, lockstep: bool = False) -> None:
        self.network = LoopNetwork(lambda: NOW)
        ear = LoopBus(self.network).node("plant", "r1").subscription(AckermannDriveStamped, "ackermann_cmd")
        self.commands = Commands(ear, Frames("r1/"), lockstep=lockstep)
        self.mouth = LoopBus(self.network).node("nav", "r1").publisher(AckermannDriveStamped, "ackermann_cmd")

    def say(self, stamp: int = NOW, frame: str = "r1/base_link", angle: float = 0.1, acceleration: float = 1.0) -> None:
        drive = AckermannDrive(angle, 0.0, 5.0, acceleration, 0.0)
        self.mouth.publish(AckermannDriveStamped(Header(time_of(stamp), frame), drive))
        self.commands.hear(NOW, NOW)

    def told(self, wall: int = NOW) -> str:
        return "\n".join(one.text for one in self.commands.found(wall))


@pytest.mark.parametrize("frame", ["", "base_link", "r1/base_link"])
@pytest.mark.parametrize("stamp", [0, NOW, NOW - SECOND // 10, NOW + SECOND // 50])
def test_a_sound_command_is_obeyed(frame: str, stamp: int) -> None:
    stage = Stage()
    stage.say(stamp, frame)
    assert stage.commands.newest is not None
    assert stage.commands.newest.stamp == stamp
    assert stage.commands.newest.angle == pytest.approx(0.1)
    assert not stage.told()


BAD: dict[str, tuple[Callable[[Stage], None], str]] = {
    "no number": (lambda on: on.say(angle=math.nan), "expected a number as its steering angle, came nan"),
    "no end": (lambda on: on.say(acceleration=-math.inf), "expected a number as its acceleration, came -inf"),
    "the future": (lambda on: on.say(NOW + SECOND), "stamped 1.000 s in the future and not obeyed"),
    "the past": (lambda on: on.say(NOW - SECOND), "stamped 1.000 s ago and not obeyed"),
    "before time began": (lambda on: on.say(-SECOND), "stamped 21.000 s ago"),
    "another car": (lambda on: on.say(frame="r2/base_link"), 'came one in "r2/base_link"; it is not obeyed'),
    "a terminal's": (lambda on: on.say(frame="\x1b[2J"), r'came one in "\x1b[2J"'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_command_is_not_obeyed_but_told_for_a_while(name: str) -> None:
    spoil, said = BAD[name]
    stage = Stage()
    stage.say(angle=0.3)
    assert not stage.told()
    spoil(stage)
    assert stage.commands.newest is not None
    assert stage.commands.newest.angle == pytest.approx(0.3)
    assert dict(stage.commands.counts) == {"taken": 1, "refused": 1}
    assert said in stage.told()
    assert said not in stage.told(NOW + 6 * SECOND)


def test_in_lockstep_an_old_command_is_of_another_step_and_no_fault() -> None:
    stage = Stage(lockstep=True)
    stage.say(NOW - SECOND)
    assert stage.commands.newest is not None
    assert not stage.told()


def test_two_who_command_one_car_are_told() -> None:
    stage = Stage()
    stage.say()
    LoopBus(stage.network).node("other", "r1").publisher(AckermannDriveStamped, "ackermann_cmd")
    assert "/r1/ackermann_cmd: expected one publisher, 2 are there" in stage.told()


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_driver_that_is_there_and_silent_is_told_where_time_goes_on(lockstep: bool) -> None:
    stage = Stage(lockstep=lockstep)
    assert not stage.told(NOW + SECOND), "nobody has commanded it yet"
    stage.say()
    assert not stage.told(NOW + SECOND // 10)
    assert ("no sound command for 3.0 s, though" in stage.told(NOW + 3 * SECOND)) is not lockstep
    stage.mouth.close()
    assert not stage.told(NOW + 3 * SECOND), "he has gone"
