"""Appointments: what is wished of somebody who must be somewhere at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.bodies.specs import CAR
from sim.driving.appointment import Appointments
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.plant import RoadPlant
from sim.driving.recorded import from_commonroad, recorded_places
from sim.driving.replay import Replay
from tests.sim.driving.test_recorded import moving, problem
from tests.sim.test_commonroad import ROADS, lanelet, write

OTHER = moving((20.0, 0.0, 0, 10.0), (21.0, 0.0, 1, 10.0))


def kept(
    path: Path, goal: str, step: int = 0, roads: str = ROADS, other: str = OTHER, x: float = 5.0
) -> tuple[float, float, int, float]:
    """Most, least and side that a goal leads to `step` control steps after the beginning, and the way to lane's end."""
    recording = from_commonroad(write(path, roads, other, problem(f"<goalState>{goal}</goalState>", x=x)))
    atlas = Atlas([recording.road], routes=[[recording.plan]])

    def movers(plant: RoadPlant) -> list[Replay]:
        return [Replay([recording], atlas, plant.actors, road=plant.road)]

    env = RoadEnv(
        atlas, RoadConfig(skill="route", traffic=0, walkers=0), worlds=1, slots=1, open_ended=True,
        places=recorded_places([recording], CAR.middle), movers=movers,
    )  # fmt: skip
    env.reset()
    env.state.step.fill_(step)
    env.task.wish.pull.fill_(1)
    Appointments(env, [recording]).keep.launch()
    wish = env.task.wish
    assert wish.pull.numpy()[0] == (0 if step == 0 else 1)
    left = float(env.view.goal.numpy()[0, 0]) - CAR.middle
    return float(wish.most.numpy()[0]), float(wish.least.numpy()[0]), int(wish.side.numpy()[0]), left


def times(low: int, high: int) -> str:
    return f"<time><intervalStart>{low}</intervalStart><intervalEnd>{high}</intervalEnd></time>"


def speeds(low: float, high: float) -> str:
    return f"<velocity><intervalStart>{low}</intervalStart><intervalEnd>{high}</intervalEnd></velocity>"


AREA = (
    "<position><rectangle><length>10</length><width>3</width><orientation>0</orientation>"
    "<center><x>35</x><y>0</y></center></rectangle></position>"
)


def test_one_is_neither_early_nor_late(tmp_path: Path) -> None:
    """From x = 5 into 30 to 40 m between 5 and 6 s: out of it no sooner than 5 s, in it within 6 s."""
    most, least, side, _ = kept(tmp_path / "a.xml", times(50, 60) + AREA)
    assert most == pytest.approx((35.0 - 1.5) / 5.2, abs=0.3)
    assert least == pytest.approx((25.0 + 1.5) / 5.8, abs=0.3)
    assert side == 0


def test_one_comes_no_faster_than_a_goal_allows(tmp_path: Path) -> None:
    most, _, _, _ = kept(tmp_path / "a.xml", times(0, 60) + AREA + speeds(2.0, 4.0))
    assert most == pytest.approx((3.7**2 + 2.0 * 1.5 * 26.5) ** 0.5, abs=0.3)


def test_nothing_is_wished_of_a_goal_without_a_place_or_after_its_time(tmp_path: Path) -> None:
    assert kept(tmp_path / "a.xml", times(0, 60))[:3] == (1000.0, 0.0, 0)
    assert kept(tmp_path / "a.xml", times(50, 60) + AREA, step=130)[:3] == (1000.0, 0.0, 0)


@pytest.mark.parametrize(
    ("x", "speed", "side"),
    [(80.0, 10.0, 1), (29.0, 10.0, 0), (38.0, 10.0, 1), (38.0, 0.0, 0), (11.0, 20.0, 0), (5.0, 8.0, 1)],
)
def test_a_lane_is_asked_for_where_nobody_there_has_to_brake_hard(
    tmp_path: Path, x: float, speed: float, side: int
) -> None:
    """From x = 25 at 10 m/s into the lane to the left, where one drives at x, ahead or behind."""
    roads = lanelet(1, 0.0, '<adjacentLeft ref="2" drivingDir="same"/>', end=120.0)
    roads += lanelet(2, 3.5, '<adjacentRight ref="1" drivingDir="same"/>', end=120.0)
    other = moving((x, 3.5, 0, speed), (x + 0.1 * speed, 3.5, 1, speed), (x + 0.2 * speed, 3.5, 2, speed))
    area = AREA.replace("<x>35</x><y>0</y>", "<x>90</x><y>3.5</y>")
    assert kept(tmp_path / "a.xml", times(50, 80) + area, roads=roads, other=other, x=25.0)[2] == side


@pytest.mark.parametrize(("x", "speed", "asked"), [(29.0, 12.0, 11.0), (29.0, 9.5, 5.5), (80.0, 12.0, None)])
def test_who_is_too_near_ahead_in_the_lane_to_come_is_let_go(
    tmp_path: Path, x: float, speed: float, asked: float | None
) -> None:
    """At 10 m/s: 1 m/s slower than he, or, beside one at 9.5 m/s, for 1.5 m/s too fast another 3 m/s less."""
    roads = lanelet(1, 0.0, '<adjacentLeft ref="2" drivingDir="same"/>', end=120.0)
    roads += lanelet(2, 3.5, '<adjacentRight ref="1" drivingDir="same"/>', end=120.0)
    area = AREA.replace("<x>35</x><y>0</y>", "<x>90</x><y>3.5</y>")
    other = moving((x, 3.5, 0, speed), (x + 0.1 * speed, 3.5, 1, speed))
    most = kept(tmp_path / "a.xml", times(20, 120) + area, roads=roads, other=other, x=25.0)[0]
    assert (most == pytest.approx(asked, abs=0.5)) if asked is not None else most > 12.0
