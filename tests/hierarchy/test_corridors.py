"""Corridors over a hand-made floor of 4 x 3 cells of 1.2 m; row 0 is at the top, so cell 8 lies at (0.6, 0.6)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hierarchy.corridors import NO_WAY, cells_under, centre, corridor, obstructed, window
from sim.geometry import CORRIDOR_POINTS
from sim.site import Site, make_site

SITE = make_site("hand", np.zeros((3, 4), bool))
LONG = make_site("long", np.zeros((1, 20), bool))


def test_the_centre_of_a_cell_agrees_with_the_site() -> None:
    for cell in range(12):
        assert centre(SITE, cell) == pytest.approx(tuple(SITE.centre(cell)))


def test_the_window_shows_the_cell_before_the_robots_and_the_next_ones() -> None:
    way = window(LONG, tuple(range(3, 16)), (5.1 * 1.2, 0.6), goal=-1, radius=0.4)
    assert way.cells == (4, 5, 6, 7, 8, 9, 10, 11)
    assert len(way.cells) == CORRIDOR_POINTS
    assert (way.here, way.ahead) == (1, (6, 7, 8, 9, 10, 11))
    assert not way.final
    assert way.left == pytest.approx(6.4 * 1.2)


def test_the_cell_behind_is_shown_while_the_footprint_reaches_into_it() -> None:
    for ahead, cells in ((0.39, (4, 5, 6)), (0.41, (5, 6))):
        assert window(LONG, (4, 5, 6), (5 * 1.2 + ahead, 0.6), goal=-1, radius=0.4).cells == cells


def test_the_first_granted_cell_has_none_before_it() -> None:
    way = window(LONG, (3, 4), (3.5 * 1.2, 0.6), goal=9, radius=0.4)
    assert (way.cells, way.here, way.final) == ((3, 4), 0, False)


def test_the_window_ends_at_the_goal_when_the_grant_leads_past_it() -> None:
    way = window(LONG, (3, 4, 5, 6), (3.5 * 1.2, 0.6), goal=5, radius=0.4)
    assert (way.cells, way.final) == ((3, 4, 5), True)


def test_without_a_goal_the_end_of_the_grant_is_final() -> None:
    assert window(LONG, (3, 4), (3.5 * 1.2, 0.6), goal=-1, radius=0.4).final


def test_a_way_that_turns_back_is_cut_where_it_would_enter_a_cell_again() -> None:
    assert window(LONG, (3, 4, 5, 4, 3), (3.5 * 1.2, 0.6), goal=-1, radius=0.4).cells == (3, 4, 5)
    way = window(LONG, (4, 5, 4, 3), (5.1 * 1.2, 0.6), goal=-1, radius=0.4)  # the footprint still reaches into cell 4
    assert (way.cells, way.here) == ((5, 4, 3), 0)


def test_a_robot_at_its_goal_keeps_the_ground_under_its_footprint() -> None:
    way = window(LONG, (5, 6, 7), (5.9 * 1.2, 0.6), goal=5, radius=0.43)
    assert (way.cells, way.here, way.end, way.ahead, way.final) == ((5, 6), 0, 0, (), True)
    assert way.left == pytest.approx(0.48)
    assert window(LONG, (5, 6, 7), (5.5 * 1.2, 0.6), goal=5, radius=0.43).cells == (5,)


def test_a_robot_outside_of_its_grant_has_no_way() -> None:
    assert window(LONG, (3, 4), (6.5 * 1.2, 0.6), goal=-1, radius=0.4) == NO_WAY
    assert window(LONG, (), (6.5 * 1.2, 0.6), goal=-1, radius=0.4) == NO_WAY
    assert corridor(LONG, NO_WAY).points.shape == (0, 2)


def test_the_corridor_is_the_union_of_the_cells() -> None:
    lane = corridor(SITE, window(SITE, (8, 4, 5), (0.6, 0.6), goal=-1, radius=0.4))
    np.testing.assert_allclose(lane.points, [(0.6, 0.6), (0.6, 1.8), (1.8, 1.8)], atol=1e-6)
    np.testing.assert_allclose(lane.half_width, 0.6)


def overlapped(site: Site, position: tuple[float, float], radius: float) -> tuple[int, ...]:
    """The same by brute force: sample the disc densely."""
    angle, r = np.meshgrid(np.linspace(0, 2 * math.pi, 721), np.linspace(0, radius, 60))
    points = np.stack([position[0] + r * np.cos(angle), position[1] + r * np.sin(angle)], axis=-1)
    found = np.unique(site.cell_at(points))
    return tuple(int(cell) for cell in found if cell >= 0)


def test_the_cells_under_a_disc_agree_with_dense_sampling() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        position = (float(rng.uniform(0, 4.8)), float(rng.uniform(0, 3.6)))
        assert cells_under(SITE, position, 0.43) == overlapped(SITE, position, 0.43)


def test_a_robot_in_the_middle_of_its_cell_is_in_no_other() -> None:
    assert cells_under(SITE, (1.8, 1.8), 0.43) == (5,)


def scan_of(points: list[tuple[float, float]], pose: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A scan with one ray for each point in W, and the ray directions."""
    rays = np.array([(math.dist(pose[:2], p), math.atan2(p[1] - pose[1], p[0] - pose[0]) - pose[2]) for p in points])
    return rays[:, 0].astype(np.float32), np.stack([np.cos(rays[:, 1]), np.sin(rays[:, 1])], -1).astype(np.float32)


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5])
def test_an_obstacle_in_the_middle_of_a_cell_ahead_closes_it(yaw: float) -> None:
    way = window(LONG, (3, 4, 5, 6), (3.5 * 1.2, 0.6), goal=-1, radius=0.4)
    pose = (3.5 * 1.2, 0.6, yaw)
    person = [(5.5 * 1.2 - 0.2, 0.6 + d) for d in (-0.1, 0.0, 0.1)]
    scan, directions = scan_of(person, pose)
    assert obstructed(LONG, way, scan, directions, 10.0, pose) == (5,)
    assert obstructed(LONG, way, scan[:2], directions[:2], 10.0, pose) == ()  # two points may be noise
    assert obstructed(LONG, way, scan, directions, float(scan.min()), pose) == ()  # rays that met nothing


def test_a_rack_at_the_edge_of_a_cell_does_not_close_it() -> None:
    way = window(LONG, (3, 4, 5, 6), (3.5 * 1.2, 0.6), goal=-1, radius=0.4)
    pose = (3.5 * 1.2, 0.6, 0.0)
    rack = [(x, 0.09) for x in np.linspace(4.2, 8.0, 60)]  # 9 cm inside of the cells: noise and localisation error
    scan, directions = scan_of(rack, pose)
    assert obstructed(LONG, way, scan, directions, 10.0, pose) == ()
