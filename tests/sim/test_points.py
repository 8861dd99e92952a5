"""What each lidar point may do, and who may hide: hand-made floors, and a search that shares no code."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.filter import PHANTOMS, make_inputs
from sim.pointkernels import BLOCKED, PERSON_FREE
from sim.points import Points, PointsError, grid_flags, relevant_range
from sim.robot import Lidar, RobotSpec
from sim.site import Site, make_site, merged_boxes

SPEC = RobotSpec()
PERSON = 0.25


def floor_with_crossing() -> Site:
    """An aisle along row 3 crossing a column aisle; everything else is rack."""
    blocked = np.ones((7, 9), bool)
    blocked[3, 1:8] = False
    blocked[1:6, 4] = False
    return make_site("crossing", blocked)


def open_floor(person_free: bool = False) -> Site:
    blocked = np.zeros((9, 9), bool)
    blocked[[0, -1]] = True
    blocked[:, [0, -1]] = True
    return make_site("open", blocked, person_free=np.full_like(blocked, person_free))


def look(
    site: Site, pose: NDArray[np.float64], people: list[tuple[float, float]], spec: RobotSpec = SPEC
) -> NDArray[np.float64]:
    """Exact ranges by slabs and circles."""
    angle = spec.lidar.angles().astype(np.float64) + pose[2]
    d = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    d[np.abs(d) < 1e-12] = 1e-12
    best = np.full(len(angle), spec.lidar.range_max)
    for x0, y0, x1, y1 in merged_boxes(site):
        tx = np.sort(np.stack([(x0 - pose[0]) / d[:, 0], (x1 - pose[0]) / d[:, 0]]), axis=0)
        ty = np.sort(np.stack([(y0 - pose[1]) / d[:, 1], (y1 - pose[1]) / d[:, 1]]), axis=0)
        enter, leave = np.maximum(tx[0], ty[0]), np.minimum(tx[1], ty[1])
        best = np.where((enter <= leave) & (enter > 0.0), np.minimum(best, enter), best)
    for x, y in people:
        ox, oy = x - pose[0], y - pose[1]
        along = d[:, 0] * ox + d[:, 1] * oy
        square = PERSON**2 - (ox**2 + oy**2 - along**2)
        hit = (square > 0.0) & (along > 0.0)
        best = np.where(hit, np.minimum(best, along - np.sqrt(np.maximum(square, 0.0))), best)
    return best


class Seen:
    """One robot's scan and what the points say of it."""

    def __init__(
        self, site: Site, pose: tuple[float, float, float], person_speed: float, people: list[tuple[float, float]]
    ) -> None:
        wp.config.quiet = True
        self.pose = np.array(pose)
        self.inputs = make_inputs(1, SPEC.lidar.rays)
        self.points = Points(site, SPEC, person_speed)
        self.memory = self.points.init(1)
        self.scan = look(site, self.pose, people)
        self.inputs.scan.numpy()[0] = self.scan
        self.inputs.pose.numpy()[0] = pose

    def launch(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Speeds (rays,) and the phantoms in use (n, 6)."""
        self.points.launch(self.inputs, self.memory)
        phantoms = self.inputs.phantoms.numpy()[0]
        return self.inputs.point_speed.numpy()[0].copy(), phantoms[phantoms[:, 4] > 0.0]

    def ray(self, x: float, y: float) -> int:
        """The ray that looks at a point of W."""
        bearing = np.arctan2(y - self.pose[1], x - self.pose[0]) - self.pose[2]
        return round((bearing + np.pi) / (2 * np.pi) * SPEC.lidar.rays) % SPEC.lidar.rays


def test_robot_that_sees_less_far_than_it_must_is_refused() -> None:
    # 0.40 + 1.5 (0.25 + 0.5) + 1.6 (0.25 + 1.0) + 0.5
    assert relevant_range(SPEC, 1.6) == pytest.approx(4.025)
    with pytest.raises(PointsError, match=r"4\.0 m, its lidar sees 3\.0 m"):
        Points(open_floor(), RobotSpec(lidar=Lidar(range_max=3.0)), 1.6)


def test_grid_flags_tell_blocked_and_person_free_cells() -> None:
    site = make_site("two", np.array([[True, False]]), person_free=np.array([[False, True]]))
    assert grid_flags(site).tolist() == [[BLOCKED, PERSON_FREE]]


def test_walls_of_the_map_stand_and_people_walk() -> None:
    seen = Seen(open_floor(), (5.4, 5.4, 0.4), 1.6, [(7.2, 5.9)])
    speed, _ = seen.launch()
    person = seen.ray(7.2, 5.9)
    assert speed[person] == pytest.approx(1.6)
    bare = look(open_floor(), seen.pose, [])
    assert np.all(speed[seen.scan == bare] == -1.0)
    assert np.all(speed[seen.scan < bare - 0.2] == pytest.approx(1.6))


def test_localisation_error_does_not_make_walls_walk() -> None:
    seen = Seen(open_floor(), (5.4, 5.4, 0.4), 1.6, [])
    seen.inputs.pose.numpy()[0, :2] += (0.021, -0.021)
    seen.inputs.scan.numpy()[0] += np.float32(0.03)
    assert np.all(seen.launch()[0] == -1.0)
    seen.inputs.pose.numpy()[0, :2] += (0.30, 0.0)
    assert np.any(seen.launch()[0] > 0.0)  # a wall that is not where the map says is none


def test_person_who_leans_at_a_wall_is_seen_but_for_the_part_that_touches_it() -> None:
    seen = Seen(open_floor(), (5.4, 5.4, 0.0), 1.6, [(9.6 - 0.26, 5.4)])
    speed, _ = seen.launch()
    assert speed[seen.ray(9.34, 5.4)] == pytest.approx(1.6)


def test_person_free_floor_and_the_still_profile_make_points_stand() -> None:
    for site, person_speed in ((open_floor(person_free=True), 1.6), (open_floor(), 0.0)):
        seen = Seen(site, (5.4, 5.4, 0.4), person_speed, [(7.2, 5.9)])
        speed, _ = seen.launch()
        assert speed[seen.ray(7.2, 5.9)] == 0.0


def test_without_a_fresh_picture_anything_may_move_as_fast_as_a_robot() -> None:
    for person_speed, fastest in ((0.0, 1.5), (1.6, 1.6)):
        seen = Seen(open_floor(person_free=True), (5.4, 5.4, 0.4), person_speed, [(7.2, 5.9)])
        seen.memory.others_fresh.numpy()[0] = 0
        speed, _ = seen.launch()
        assert speed[seen.ray(7.2, 5.9)] == pytest.approx(fastest)
        assert speed[seen.ray(5.4, 1.0)] == -1.0  # the map stands all the same


def test_reported_robot_keeps_to_its_own_ground_but_a_person_beside_it_walks() -> None:
    seen = Seen(open_floor(), (5.4, 5.4, 0.4), 1.6, [(7.2, 5.9), (7.2, 4.6)])
    seen.memory.robots.numpy()[0, 2] = (7.3, 5.9, 0.5)
    speed, _ = seen.launch()
    assert speed[seen.ray(7.2, 5.9)] == 0.0
    assert speed[seen.ray(7.2, 4.6)] == pytest.approx(1.6)


def test_straight_wall_hides_nobody() -> None:
    seen = Seen(open_floor(), (5.4, 1.5, 0.0), 1.6, [])
    assert len(seen.launch()[1]) == 0


def test_corner_of_an_aisle_hides_a_body_not_a_point() -> None:
    # the crossing column's walls stand at x = 4.8 and 6.0; the aisle is y from 3.6 to 4.8, its middle 4.2
    site = floor_with_crossing()
    seen = Seen(site, (4.8 - 0.7, 4.2, 0.0), 1.6, [])
    _, phantoms = seen.launch()
    assert len(phantoms) >= 2
    first = phantoms[:, :2] + seen.pose[:2]
    # by hand: the line of sight and the rack's face make 49.4 degrees at the corner (4.8, 4.8); the disc between them
    # is 0.25 / sin(24.7 degrees) = 0.598 m from it, 0.25 off the face: (5.05, 5.343). It may stand 6 cm nearer
    for side in (1.0, -1.0):
        hand = np.array((5.05, 4.2 + side * 1.143))
        nearest = np.hypot(*(first - hand).T).min()
        assert nearest < 0.20
        assert np.all(np.hypot(*(first - (4.8, 4.2 + side * 0.6)).T) > 0.35)
    assert np.all(phantoms[:, 5] == pytest.approx(1.6))


def test_nobody_hides_where_the_site_says_that_nobody_goes() -> None:
    site = floor_with_crossing()
    free = make_site("crossing", site.blocked, person_free=~site.blocked)
    assert len(Seen(free, (4.1, 4.2, 0.0), 1.6, []).launch()[1]) == 0


def test_single_ray_that_drops_out_opens_no_door() -> None:
    site = floor_with_crossing()
    seen = Seen(site, (2.0, 4.2, 0.0), 1.6, [])
    before = len(seen.launch()[1])
    seen.inputs.scan.numpy()[0, seen.ray(2.2, 4.8)] = SPEC.lidar.range_max
    seen.inputs.scan.numpy()[0, seen.ray(2.5, 3.6)] = 0.2
    assert len(seen.launch()[1]) == before


def test_too_many_hiding_places_keep_the_nearest() -> None:
    spec = RobotSpec(lidar=Lidar(rays=360))
    people = [
        (10.8 + r * np.cos(a), 10.8 + r * np.sin(a))
        for r, a in zip(np.tile((1.6, 2.4, 3.2), 12), np.arange(36) * 0.1745, strict=True)
    ]
    blocked = np.zeros((18, 18), bool)
    site = make_site("wide", blocked)
    seen = Seen(site, (10.8, 10.8, 0.0), 1.6, people)
    _, phantoms = seen.launch()
    assert spec.lidar.rays == SPEC.lidar.rays
    assert len(phantoms) <= PHANTOMS
    assert np.hypot(phantoms[:, 0], phantoms[:, 1]).min() < 2.6


@pytest.mark.parametrize("seed", range(4))
def test_no_hidden_body_is_nearer_than_what_the_phantoms_say(seed: int) -> None:
    """Every place near the robot where a body could stand unseen is no nearer to its way than some phantom allows.

    The search: a grid of centres; a centre is hidden when no ray reads past where it enters the disc, and possible when
    the disc overlaps no rack. The way: 0.5 m straight ahead, as far as a robot at such a place goes before it stops.
    """
    rng = np.random.default_rng(seed)
    site = floor_with_crossing()
    places = 0
    for _ in range(25):
        x, y = (
            (rng.uniform(1.5, 8.5), 4.2 + rng.uniform(-0.1, 0.1))
            if rng.random() < 0.7
            else (5.4, rng.uniform(1.6, 6.6))
        )
        yaw = rng.uniform(-3.1, 3.1)
        people = [] if rng.random() < 0.5 else [(float(rng.uniform(1.5, 8.5)), 4.2)]
        people = [p for p in people if np.hypot(p[0] - x, p[1] - y) > 0.8]
        seen = Seen(site, (x, y, yaw), 1.6, people)
        _, phantoms = seen.launch()
        if np.any(seen.scan < 0.3):
            continue
        way = np.linspace(0.0, 0.5, 6)[:, None] * np.array((1.0, 0.0))
        grid = np.stack(np.meshgrid(np.arange(-3.0, 3.0, 0.1), np.arange(-3.0, 3.0, 0.1)), axis=-1).reshape(-1, 2)
        c, s = np.cos(yaw), np.sin(yaw)
        world = np.stack([x + c * grid[:, 0] - s * grid[:, 1], y + s * grid[:, 0] + c * grid[:, 1]], axis=-1)
        possible = np.ones(len(grid), bool)
        for x0, y0, x1, y1 in merged_boxes(site):
            ex = np.maximum(np.maximum(x0 - world[:, 0], world[:, 0] - x1), 0.0)
            ey = np.maximum(np.maximum(y0 - world[:, 1], world[:, 1] - y1), 0.0)
            possible &= np.hypot(ex, ey) >= PERSON
        possible &= (world >= 0.0).all(-1) & (world[:, 0] <= 10.8) & (world[:, 1] <= 8.4)
        angles = SPEC.lidar.angles().astype(np.float64)
        along = grid @ np.stack([np.cos(angles), np.sin(angles)])
        square = PERSON**2 - ((grid**2).sum(-1)[:, None] - along**2)
        enter = along - np.sqrt(np.maximum(square, 0.0))
        seen_by = (square > 0.0) & (along > 0.0) & (seen.scan[None] > enter)
        inside = np.hypot(grid[:, 0], grid[:, 1]) <= PERSON
        hidden = possible & ~seen_by.any(axis=1) & ~inside
        for centre in grid[hidden]:
            places += 1
            gap = np.hypot(*(way - centre).T).min()
            if gap > 2.0:
                continue
            a, b = phantoms[:, :2].astype(float), phantoms[:, 2:4].astype(float)
            near = np.inf
            for p in way:
                u = b - a
                share = np.clip(((p - a) * u).sum(-1) / np.maximum((u**2).sum(-1), 1e-9), 0.0, 1.0)
                near = min(near, np.hypot(*(p - a - share[:, None] * u).T).min(initial=np.inf))
            assert near <= gap + 0.05, (x, y, yaw, centre, gap, near)
    assert places > 1000


def test_ground_that_people_never_enter_is_as_wide_as_the_way_to_their_nearest_cell() -> None:
    site = floor_with_crossing()
    free = np.zeros_like(site.blocked)
    free[3, 1:4] = True  # the left arm of the aisle; x = 4.8 is its mouth
    declared = make_site("arm", site.blocked, person_free=free)
    for x, expected in ((4.1, 0.70 - 0.06), (3.0, 1.80 - 0.06), (1.8, 2.4 - 0.06), (4.85, 0.0), (5.4, 0.0)):
        seen = Seen(declared, (x, 4.2, 0.3), 1.6, [])
        seen.launch()
        assert seen.inputs.person_free.numpy()[0] == pytest.approx(expected, abs=1e-5)
    seen = Seen(declared, (3.0, 4.2, 0.3), 1.6, [])
    seen.memory.others_fresh.numpy()[0] = 0
    seen.launch()
    assert seen.inputs.person_free.numpy()[0] == 0.0
