import math

import numpy as np
import pytest

from fleet.oracle import ContactTally, Touch, on_the_map, rectangles_overlap, touching
from sim.site import make_site

LENGTH, WIDTH = 0.64, 0.48
NOBODY = np.zeros((1, 0, 2))
OPEN = make_site("open", np.zeros((20, 20), bool), cell=1.0)


def touch_of(*poses: tuple[float, float, float], people: list[tuple[float, float]] | None = None) -> Touch:
    persons = NOBODY if people is None else np.array([people])
    return touching(OPEN, LENGTH, WIDTH, np.array([poses]), persons, 0.25)


@pytest.mark.parametrize(
    ("x", "y", "yaw", "hit"),
    [
        (0.639, 0.0, 0.0, True),  # 0.32 + 0.32 apart along x
        (0.641, 0.0, 0.0, False),
        (0.0, 0.479, 0.0, True),  # 0.24 + 0.24 along y
        (0.0, 0.481, 0.0, False),
        (0.559, 0.0, math.pi / 2, True),  # across: 0.32 + 0.24
        (0.561, 0.0, math.pi / 2, False),
        (0.715, 0.0, math.pi / 4, True),  # a corner: 0.32 + (0.64 + 0.48) / (2 sqrt 2) = 0.71598
        (0.717, 0.0, math.pi / 4, False),
        (0.63, 0.47, 0.0, True),  # corner in corner
        (0.65, 0.47, 0.0, False),
    ],
)
def test_two_footprints_overlap_as_worked_by_hand(x: float, y: float, yaw: float, hit: bool) -> None:
    a, b = np.array([[5.0, 5.0, 0.0]]), np.array([[5.0 + x, 5.0 + y, yaw]])
    assert rectangles_overlap(LENGTH, WIDTH, a, LENGTH, WIDTH, b).tolist() == [hit]
    assert rectangles_overlap(LENGTH, WIDTH, b, LENGTH, WIDTH, a).tolist() == [hit]
    touch = touch_of((5.0, 5.0, 0.0), (5.0 + x, 5.0 + y, yaw))
    assert touch.robot.tolist() == [[[False, hit], [hit, False]]]


def test_overlap_does_not_depend_on_where_and_how_the_pair_is_turned() -> None:
    draws = np.random.default_rng(0)
    a = np.concatenate([draws.uniform(-0.5, 0.5, (400, 2)), draws.uniform(-9, 9, (400, 1))], axis=1)
    b = np.concatenate([draws.uniform(-0.5, 0.5, (400, 2)), draws.uniform(-9, 9, (400, 1))], axis=1)
    before = rectangles_overlap(LENGTH, WIDTH, a, LENGTH, WIDTH, b)
    assert 50 < before.sum() < 390

    def moved(poses: np.ndarray, turn: float) -> np.ndarray:
        c, s = math.cos(turn), math.sin(turn)
        x, y = poses[:, 0].copy(), poses[:, 1].copy()
        return np.stack([c * x - s * y + 7.0, s * x + c * y - 2.0, poses[:, 2] + turn], axis=1)

    assert (rectangles_overlap(LENGTH, WIDTH, moved(a, 1.3), LENGTH, WIDTH, moved(b, 1.3)) == before).all()


def test_overlap_agrees_with_dense_sampling_of_both_rectangles() -> None:
    draws = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.linspace(-0.32, 0.32, 60), np.linspace(-0.24, 0.24, 60)), axis=-1).reshape(-1, 2)
    disagree = 0
    for _ in range(200):
        b = np.array([*draws.uniform(-0.8, 0.8, 2), draws.uniform(-4, 4)])
        c, s = math.cos(b[2]), math.sin(b[2])
        points = grid @ np.array([[c, s], [-s, c]]) + b[:2]
        sampled = ((np.abs(points[:, 0]) < LENGTH / 2) & (np.abs(points[:, 1]) < WIDTH / 2)).any()
        exact = rectangles_overlap(LENGTH, WIDTH, np.zeros((1, 3)), LENGTH, WIDTH, b[None])[0]
        assert exact or not sampled
        disagree += exact != sampled
    assert disagree <= 4  # slivers smaller than the grid


@pytest.mark.parametrize(
    ("x", "y", "hit"),
    [
        (0.569, 0.0, True),  # 0.32 + 0.25 ahead
        (0.571, 0.0, False),
        (0.0, -0.489, True),  # 0.24 + 0.25 aside
        (0.0, -0.491, False),
        (0.32 + 0.15, 0.24 + 0.19, True),  # past the corner: hypot(0.15, 0.19) = 0.2421
        (0.32 + 0.16, 0.24 + 0.20, False),  # hypot(0.16, 0.20) = 0.2561
        (0.0, 0.0, True),
    ],
)
def test_a_person_touches_a_footprint_as_worked_by_hand(x: float, y: float, hit: bool) -> None:
    turn = 2.0
    c, s = math.cos(turn), math.sin(turn)
    person = (5.0 + c * x - s * y, 5.0 + s * x + c * y)
    touch = touch_of((5.0, 5.0, turn), (9.0, 9.0, 0.0), people=[(1.0, 1.0), person])
    assert touch.person.tolist() == [[[False, hit], [False, False]]]
    assert touch.pairs.tolist() == [[[False] * 4 + [hit], [False] * 5]]


@pytest.mark.parametrize(
    ("x", "y", "yaw", "hit"),
    [
        (2.321, 1.5, 0.0, False),  # the cell's face is at x = 2, the footprint ends 0.32 before
        (2.319, 1.5, 0.0, True),
        (2.241, 1.5, math.pi / 2, False),
        (2.239, 1.5, math.pi / 2, True),
        (2.33, 2.25, 0.0, False),  # diagonal: beside the corner
        (2.30, 2.23, 0.0, True),
        (2.30, 2.25, 0.0, False),
        (0.319, 3.5, 0.0, True),  # the outer wall at x = 0
        (0.321, 3.5, 0.0, False),
        (3.5, 3.759, 0.0, False),  # and at the top, y = 4
        (3.5, 3.761, 0.0, True),
        (-3.0, 2.0, 0.0, True),
    ],
)
def test_the_map_is_hit_as_worked_by_hand(x: float, y: float, yaw: float, hit: bool) -> None:
    # One rack at row 2, column 1 of a 4 x 5 floor with 1 m cells: x from 1 to 2, y from 1 to 2.
    blocked = np.zeros((4, 5), bool)
    blocked[2, 1] = True
    site = make_site("rack", blocked, cell=1.0)
    assert bool(on_the_map(site, LENGTH, WIDTH, np.array([x, y, yaw]))) is hit


def test_small_cells_two_rings_away_are_seen() -> None:
    blocked = np.zeros((40, 40), bool)
    blocked[20, 23] = True  # x from 4.6 to 4.8, y from 3.8 to 4.0
    site = make_site("fine", blocked, cell=0.2)
    assert bool(on_the_map(site, LENGTH, WIDTH, np.array([4.29, 3.9, 0.0])))  # reaches 4.61
    assert not bool(on_the_map(site, LENGTH, WIDTH, np.array([4.27, 3.9, 0.0])))


MAP, PERSON = 0, 2
"""Columns of the pairs of one robot among two people: the map, itself, the people."""


def tally_of(flags: dict[int, list[int]], speeds: list[float], turn: float = 0.0) -> ContactTally:
    """One robot and two people; `flags` by column of the pairs, step by step."""
    pairs = np.zeros((len(speeds), 1, 4), bool)
    for column, hits in flags.items():
        pairs[:, 0, column] = hits
    tally = ContactTally(robots=1, people=2)
    touch = Touch(map=pairs[..., 0], robot=pairs[..., 1:2], person=pairs[..., 2:])
    tally.add(touch, np.array(speeds)[:, None], np.full((len(speeds), 1), turn))
    return tally


def test_a_contact_counts_once_by_the_speed_at_its_first_step() -> None:
    assert tally_of({MAP: [0, 1, 1, 1, 0]}, [0, 0.5, 0.0, 0.0, 0.0]).collisions == 1
    assert tally_of({MAP: [0, 1, 1, 0]}, [0, 0.0, 0.9, 0.0]).collisions == 0
    assert tally_of({MAP: [1, 0, 1]}, [0.5, 0.5, 0.5]).collisions == 2
    assert tally_of({MAP: [1]}, [0.02]).collisions == 0
    assert tally_of({MAP: [1]}, [0.0201]).collisions == 1
    assert tally_of({MAP: [1]}, [0.0], turn=-0.03).collisions == 1


def test_a_person_who_walks_into_a_standing_robot_is_counted_apart() -> None:
    tally = tally_of({PERSON: [0, 1, 1]}, [0.3, 0.0, 0.0])
    assert (tally.collisions, tally.person_contacts, tally.struck) == (0, 1, 0)
    tally = tally_of({PERSON: [0, 1]}, [0.3, 0.3])
    assert (tally.collisions, tally.person_contacts) == (1, 0)


def test_a_standing_robot_that_is_driven_into_did_not_collide() -> None:
    tally = tally_of({MAP: [1]}, [0.0])
    assert (tally.collisions, tally.person_contacts, tally.struck) == (0, 0, 1)


@pytest.mark.parametrize("other", [MAP, PERSON + 1])
def test_a_contact_that_begins_during_another_has_a_first_step_of_its_own(other: int) -> None:
    """A person walks into the standing robot; while they touch it drives into a rack, or into another person."""
    tally = tally_of({PERSON: [0, 1, 1, 1, 1], other: [0, 0, 0, 1, 1]}, [0.0, 0.0, 0.3, 0.3, 0.0])
    assert (tally.collisions, tally.person_contacts) == (1, 1)
    assert [(contact.step, contact.other) for contact in tally.contacts] == [(1, PERSON), (3, other)]


def test_one_robot_between_two_touches_each_by_itself() -> None:
    """The left one drives into the middle one, then the middle one into the right one: a collision of each driver."""
    tally = ContactTally(robots=3, people=0)
    for left, middle, right, speeds in (  # 0.64 m apart they touch
        (4.30, 5.00, 5.70, [0.3, 0.0, 0.0]),
        (4.37, 5.00, 5.70, [0.3, 0.0, 0.0]),
        (4.45, 5.07, 5.70, [0.0, 0.3, 0.0]),
    ):
        touch = touch_of((left, 5.0, 0.0), (middle, 5.0, 0.0), (right, 5.0, 0.0))
        tally.add(touch, np.array([speeds]), np.zeros((1, 3)))
    assert (tally.collisions, tally.struck) == (2, 2)
    assert {(each.robot, each.other) for each in tally.contacts if each.collision} == {(0, 2), (1, 3)}


def test_a_contact_that_spans_two_calls_counts_once() -> None:
    tally = ContactTally(robots=1, people=0)
    hit = Touch(np.ones((1, 1), bool), np.zeros((1, 1, 1), bool), np.zeros((1, 1, 0), bool))
    assert len(tally.add(hit, np.ones((1, 1)), np.zeros((1, 1)))) == 1
    assert tally.add(hit, np.ones((1, 1)), np.zeros((1, 1))) == []
    assert tally.collisions == 1
    assert tally.contacts[0].step == 0
