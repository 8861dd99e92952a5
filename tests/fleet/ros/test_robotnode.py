"""What holds the process of robots behind a bus, and what must not."""

from __future__ import annotations

from itertools import count

import pytest

from coordination.client import ADDRESS
from coordination.keys import Keys
from fleet.ros.busrobot import BusRobot
from fleet.ros.loop import LoopBus
from fleet.ros.robotnode import BURST, BusWires
from sim.robot import RobotSpec


@pytest.fixture
def wires() -> BusWires:
    ticks = count()
    wires = BusWires("loop", [], ["r0"], Keys(fleet=b"k" * 32), ADDRESS, "floor", clock=lambda: 0.001 * next(ticks))
    wires.robot("r0", RobotSpec(), "")
    return wires


def test_who_floods_a_topic_does_not_hold_the_loop(wires: BusWires, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    def flooded(bus: LoopBus, timeout: float) -> bool:
        nonlocal turns
        turns += 1
        assert turns < 100
        return True

    monkeypatch.setattr(LoopBus, "spin", flooded)
    assert list(wires.wait(0.0)) == ["r0"]
    assert turns == pytest.approx(1000 * BURST, abs=2)


def test_a_look_at_the_bus_that_fails_is_told_once_and_driving_goes_on(
    wires: BusWires, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(robot: BusRobot) -> None:
        raise RuntimeError("the middleware's graph is gone")

    monkeypatch.setattr(BusRobot, "diagnose", broken)
    wires.housekeeping()
    wires.housekeeping()
    assert capsys.readouterr().out.count("the middleware's graph is gone") == 1
