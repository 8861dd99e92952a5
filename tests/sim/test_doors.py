from __future__ import annotations

import numpy as np

from sim.doors import HOLD, SENSE, Doors
from sim.fixtures import Door, DoorState, Fixtures
from sim.site import make_site, with_fixtures

FAR_OFF = np.array([[50.0, 50.0]])
NOBODY = np.zeros((0, 2))


def doors(opening: float = 1.0) -> Doors:
    """A row of 1 m cells: an automatic door at x 2 to 3, one that stands open, one that stays shut."""
    fixtures = Fixtures(
        doors=(
            Door("a", (2,), opening, DoorState.AUTOMATIC),
            Door("b", (4,), opening, DoorState.OPEN),
            Door("c", (6,), opening, DoorState.SHUT),
        )
    )
    return Doors(with_fixtures(make_site("row", np.zeros((1, 9), bool), cell=1.0), fixtures))


def steps_until(floor: Doors, open_: bool, robots: np.ndarray, people: np.ndarray = NOBODY) -> int:
    """Steps of 0.1 s until the automatic door is open or not."""
    for step in range(1, 200):
        if floor.step(0.1, robots, people):
            assert floor.open[0] == open_
            return step
    raise AssertionError("the door did not move")


def test_an_automatic_door_opens_for_a_robot_after_its_opening_time() -> None:
    floor = doors(opening=1.0)
    assert floor.open.tolist() == [False, True, False]
    assert floor.shut_cells().tolist() == [2, 6]
    assert steps_until(floor, True, np.array([[2.0 - SENSE + 0.01, 0.5]])) == 10
    assert floor.open.tolist() == [True, True, False]
    assert floor.shut_cells().tolist() == [6]


def test_nobody_near_keeps_it_shut_and_a_robot_just_out_of_sight_too() -> None:
    floor = doors()
    for _ in range(100):
        assert not floor.step(0.1, np.array([[2.0 - SENSE - 0.01, 0.5]]), FAR_OFF)
    assert not floor.open[0]


def test_a_door_stays_open_while_somebody_is_near_and_shuts_after_the_hold() -> None:
    floor = doors()
    steps_until(floor, True, np.array([[1.0, 0.5]]))
    for _ in range(100):  # a robot has left, a person stands in the door
        assert not floor.step(0.1, FAR_OFF, np.array([[2.5, 0.5]]))
    assert floor.open[0]
    assert abs(steps_until(floor, False, FAR_OFF) - HOLD / 0.1) <= 1  # in the way from the first moment of closing


def test_who_comes_near_turns_a_closing_door_round() -> None:
    floor = doors(opening=2.0)
    steps_until(floor, True, np.array([[1.0, 0.5]]))
    steps_until(floor, False, FAR_OFF)
    for _ in range(4):  # closes for 0.5 s in all
        floor.step(0.1, FAR_OFF, NOBODY)
    assert steps_until(floor, True, np.array([[1.0, 0.5]])) == 5


def test_a_floor_without_doors_costs_nothing() -> None:
    floor = Doors(make_site("plain", np.zeros((2, 2), bool)))
    assert not floor.step(0.1, FAR_OFF, FAR_OFF)
    assert len(floor.shut_cells()) == 0
