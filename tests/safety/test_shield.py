"""The shield at its bounds: hand-worked gaps, memory, and rows that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import warp as wp

from safety.dynamics import needed_gap
from safety.shield import LATTICE, Reason
from sim.filter import make_outputs
from sim.robot import Lidar, RobotSpec

SPEC = RobotSpec()
RHO = 0.15
"""latency 0.05 s and period 0.10 s, the scan fresh"""

SPACING = 2.0 * np.pi / 360


def bound_ahead(v: float, person_speed: float, age: float = 0.0) -> float:
    """The range, m, at which a thing straight ahead is just too near for full acceleration from v, by hand."""
    rho = RHO + age
    reached = v + 1.0 * rho
    end = rho + reached / 1.5
    gap = needed_gap(v, person_speed, brake=1.5, accel=1.0, rho=rho)
    if age > 0.0:  # during the age the last command goes on: no speeding up in it
        way = v * age + v * RHO + RHO**2 / 2 + (v + RHO) ** 2 / 3.0
        end = age + RHO + (v + RHO) / 1.5
        gap = way + person_speed * end
    error = SPEC.tracking_e0 + SPEC.tracking_e1 * end
    fixed = SPEC.radius + 3.0 * SPEC.lidar.noise + error + 0.001 + gap
    return fixed / (1.0 - 2.0 * SPACING)  # the range r also grows the point by 2 r d


@pytest.mark.parametrize("person_speed", [0.0, 1.6])
@pytest.mark.parametrize("v", [0.0, 0.3, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("off", [-0.05, -0.004, 0.004, 0.05])
def test_gap_ahead_decides_to_the_millimetre(
    make_scene: Callable[..., object], v: float, person_speed: float, off: float
) -> None:
    scene = make_scene()
    scene.ask(1.5, twist=(v, 0.0))
    scene.point(0.0, bound_ahead(v, person_speed) + off, person_speed)
    _, margin, reason = scene.judge()
    if off > 0.0:
        assert reason is Reason.NONE
        assert 0.0 < margin < off + 0.004
    else:
        assert reason is (Reason.PERSON if person_speed else Reason.OBSTACLE)


@pytest.mark.parametrize("age", [0.0, 0.05, 0.1])
def test_age_of_the_scan_lengthens_the_gap_by_what_happens_in_it(make_scene: Callable[..., object], age: float) -> None:
    for off, free in ((-0.004, False), (0.004, True)):
        scene = make_scene()
        scene.ask(1.5, twist=(1.0, 0.0))
        scene.inputs.scan_age.numpy()[:] = age
        scene.point(0.0, bound_ahead(1.0, 1.6, age) + off, 1.6)
        assert (scene.judge()[2] is Reason.NONE) is free


@pytest.mark.parametrize(("ulps", "free"), [(-1, False), (0, False), (1, True)])
def test_gap_that_equals_the_bound_is_unsafe(make_scene: Callable[..., object], ulps: int, free: bool) -> None:
    # turning on the spot the distance is the range itself; all margins but the circle and the rounding are set to 0
    scene = make_scene()
    for name in ("e0", "e1", "range_noise", "ray_angle"):
        setattr(scene.shield.bounds, name, 0.0)
    radius, rounding = np.float32(0.4), np.float32(0.001)
    scene.shield.bounds.radius = float(radius)
    distance = radius + rounding
    for _ in range(abs(ulps)):
        distance = np.nextafter(distance, np.float32(np.sign(ulps) * 10.0))
    scene.ask(0.0, 1.0)
    scene.point(0.0, float(distance), 1e-30)  # as good as standing, but nothing that may be crept away from
    assert (scene.judge()[2] is Reason.NONE) is free


def test_obstacle_that_is_inside_already_at_the_start_is_seen(scene: object) -> None:
    scene.ask(0.5)
    scene.point(0.0, 0.39)
    command, margin, reason = scene.judge()
    assert reason is Reason.OBSTACLE
    assert command == (0.0, 0.0)
    assert margin == pytest.approx(0.5)  # standing is verified: a full stop of the lattice


def test_turning_on_the_spot_beside_something_is_judged(scene: object) -> None:
    scene.ask(0.0, 1.0)
    scene.point(np.pi / 2, 0.39)
    assert scene.judge()[2] is Reason.OBSTACLE
    scene.point(np.pi / 2, 0.60)
    assert scene.judge()[2] is Reason.NONE


def test_obstacle_beside_the_way_does_not_stop_the_robot_but_turning_into_it_does(scene: object) -> None:
    for bearing, distance in (
        (np.arctan2(0.56, 0.6), np.hypot(0.56, 0.6)),
        (np.arctan2(-0.56, 0.3), np.hypot(0.56, 0.3)),
    ):
        scene.point(bearing, distance, -1.0)
    scene.ask(1.0, 0.0, twist=(1.0, 0.0))
    assert scene.judge()[2] is Reason.NONE
    scene.ask(1.0, 1.6, twist=(1.0, 1.2))
    command, margin, reason = scene.judge()
    assert reason is Reason.OBSTACLE
    assert margin >= 0.0
    assert command[0] > 0.5  # the lattice goes on, straighter


def test_curve_is_judged_along_the_curve(scene: object) -> None:
    # v = 1, w = 1: radius 1 m, stop after 0.15 s + 0.67 s: 0.15 + 0.33 m of way. Straight on it ends 0.44 m from
    # (0.8, -0.3), on the arc 0.54 m; the bound is 0.47 m
    scene.point(np.arctan2(-0.3, 0.8), np.hypot(0.3, 0.8), -1.0)
    scene.ask(1.0, 0.0, twist=(1.0, 0.0))
    assert scene.judge()[2] is Reason.OBSTACLE
    scene.ask(1.0, 1.0, twist=(1.0, 1.0))
    assert scene.judge()[2] is Reason.NONE


@pytest.mark.parametrize(("off", "free"), [(-0.03, False), (-0.004, False), (0.004, True)])
def test_person_behind_meets_the_drive_that_answers_early_where_it_trails(
    make_scene: Callable[..., object], off: float, free: bool
) -> None:
    # steady 1.5 m/s; the last of 8 slices of the stop ends at 0.15 + 1.0 s and begins at 0.225 + 0.75 (1 - 1/64) m;
    # a drive that heard its commands at once is 1.5 * 0.05 m behind there
    end = 0.15 + 1.0
    begins = 0.225 + 0.75 * (1.0 - 1.0 / 64.0) - 0.075
    error = SPEC.tracking_e0 + SPEC.tracking_e1 * end + 0.001
    behind = (0.40 + 0.03 + error + 1.6 * end - begins) / (1.0 - 2.0 * SPACING)
    scene = make_scene()
    scene.point(np.pi, behind + off, 1.6)
    scene.ask(1.5, twist=(1.5, 0.0))
    assert (scene.judge()[2] is Reason.NONE) is free


def test_arc_bulges_out_of_its_chord(make_scene: Callable[..., object]) -> None:
    # 1.5 m/s and 2 rad/s: the period's arc of 0.15 m leaves its chord by 0.15 * 0.2 / 8 = 3.75 mm. A point that the
    # circle would just touch on the arc, R + 3 mm from the chord, is found only with the sagitta (latency, noise and
    # error set to 0; ROUNDING is 1 mm)
    t = np.linspace(0.0, 0.1, 2001)
    arc = 0.75 * np.stack([np.sin(2.0 * t), 1.0 - np.cos(2.0 * t)], axis=-1)  # radius v / w
    found = 0
    for ray in range(-75, -15):
        direction = np.array((np.cos(np.radians(ray)), np.sin(np.radians(ray))))
        reach = np.linspace(0.3, 0.8, 5001)
        gap = np.linalg.norm(reach[:, None, None] * direction - arc[None, ::20], axis=-1)
        k = int(np.argmax(gap.min(axis=1) > 0.40 - 0.0005)) - 1  # the last range at which the circle touches
        nearest = t[::20][gap[k].argmin()]
        if k <= 0 or not 0.045 < nearest < 0.055:
            continue
        found += 1
        scene = make_scene()
        for name in ("latency", "e0", "e1", "range_noise"):
            setattr(scene.shield.bounds, name, 0.0)
        scene.point(np.radians(ray), float(reach[k]), -1.0)
        scene.ask(1.5, 2.0, twist=(1.5, 2.0))
        assert scene.judge()[2] is Reason.OBSTACLE
    assert found > 0


def test_lattice_releases_the_nearest_slower_command_on_the_same_way(scene: object) -> None:
    scene.ask(1.2, 0.3, twist=(1.0, 0.3))
    scene.point(0.12, 1.0, 0.0)
    (v, w), margin, reason = scene.judge()
    assert reason is Reason.OBSTACLE
    assert margin >= 0.0
    assert 0.85 <= v < 1.0
    assert w == pytest.approx(0.3)


def test_robot_stops_before_a_wall_and_stays_there(scene: object) -> None:
    v, x, wall = 0.0, 0.0, 3.0
    for _ in range(80):
        scene.ask(1.5, twist=(v, 0.0))
        scene.inputs.last_command.numpy()[:] = scene.out.command.numpy()
        scene.point(0.0, wall - x, 0.0)
        (command, _), _, _ = scene.judge()
        after = min(max(command, v - 0.15), v + 0.10)
        x += 0.05 * (v + after)
        v = after
    assert v == 0.0
    assert 0.42 < wall - x < 0.55  # circle 0.40, noise 0.03, spacing 0.02, error 0.02, and one lattice step


def test_robot_creeps_away_from_what_was_set_down_beside_it(scene: object) -> None:
    scene.point(np.pi, 0.44, 0.0)  # inside circle, noise, spacing and error; outside the circle
    scene.ask(0.15)
    assert scene.judge()[2] is Reason.NONE
    scene.ask(-0.15)
    assert scene.judge()[2] is Reason.OBSTACLE
    scene.ask(1.0, twist=(0.5, 0.0))
    assert scene.judge()[2] is Reason.OBSTACLE  # away, but not slowly
    scene.point(np.pi, 0.44, 1.6)
    scene.ask(0.15)
    assert scene.judge()[2] is Reason.PERSON  # from somebody who walks nothing leads away


def test_robot_creeps_away_from_where_somebody_may_stand_hidden(scene: object) -> None:
    # the disc of 0.25 m begins 0.44 m from the centre: inside circle, noise and error, outside the circle
    scene.inputs.phantoms.numpy()[0, 0] = (-0.69, 0.0, -2.0, 0.0, 0.25, 0.0)
    scene.ask(0.15)
    assert scene.judge()[2] is Reason.NONE
    scene.ask(0.0, 0.6)
    assert scene.judge()[2] is Reason.NONE  # turning on the spot brings it no nearer
    scene.ask(-0.15)
    assert scene.judge()[2] is Reason.PHANTOM
    scene.inputs.phantoms.numpy()[0, 0, 5] = 1.6
    scene.ask(0.15)
    assert scene.judge()[2] is Reason.PHANTOM  # from somebody who may walk out nothing leads away


def test_hidden_person_is_a_disc_that_walks(make_scene: Callable[..., object]) -> None:
    v = 0.5
    gap = needed_gap(v, 1.6, brake=1.5, accel=1.0, rho=RHO)
    error = SPEC.tracking_e0 + SPEC.tracking_e1 * (RHO + (v + RHO) / 1.5) + 0.001
    bound = 0.40 + 0.25 + 0.03 + error + gap
    for off, reason in ((-0.004, Reason.PHANTOM), (0.004, Reason.NONE)):
        scene = make_scene()
        scene.inputs.phantoms.numpy()[0, 3] = (bound + off, 0.0, bound + 2.0, 1.0, 0.25, 1.6)
        scene.ask(1.5, twist=(v, 0.0))
        assert scene.judge()[2] is reason


def test_where_no_body_can_come_moving_things_do_not_count_but_standing_ones_do(
    make_scene: Callable[..., object],
) -> None:
    # at 0.5 m/s: way 0.15 * 0.5 + 0.01125 + 0.65^2 / 3 = 0.227 m, growth 0.033 m, circle 0.40 m: 0.660 m
    for free, speed, reason in (
        (0.66 + 0.01, 1.6, Reason.NONE),
        (0.66 - 0.01, 1.6, Reason.PERSON),
        (0.66 + 0.01, 0.0, Reason.OBSTACLE),
        (np.nan, 1.6, Reason.PERSON),
    ):
        scene = make_scene()
        scene.point(0.0, 0.68, speed)
        scene.inputs.person_free.numpy()[:] = free
        scene.ask(1.5, twist=(0.5, 0.0))
        assert scene.judge()[2] is reason, (free, speed)
    scene = make_scene()
    scene.inputs.phantoms.numpy()[0, 0] = (1.0, 0.0, 2.0, 0.0, 0.25, 1.6)
    scene.ask(1.5, twist=(0.5, 0.0))
    assert scene.judge()[2] is Reason.PHANTOM
    scene.inputs.person_free.numpy()[:] = 0.67
    assert scene.judge()[2] is Reason.NONE


def test_point_between_the_ends_of_a_phantom_is_met_too(scene: object) -> None:
    scene.inputs.phantoms.numpy()[0, 0] = (1.0, -3.0, 1.0, 3.0, 0.25, 0.0)
    scene.ask(1.0, twist=(0.8, 0.0))
    assert scene.judge()[2] is Reason.PHANTOM


def test_unseen_half_of_a_person_counts(make_scene: Callable[..., object]) -> None:
    # one hit at 0.9 m straight to the left: the person's far half reaches to 1.4 m. A tight left arc of radius 1.0 m
    # passes the hit itself at more than its bound only where the tail is not counted
    scene = make_scene()
    scene.point(np.pi / 2, 0.62, 0.0)
    scene.ask(0.0, 0.0)
    scene.judge()
    assert scene.memory.point_count.numpy()[0] == 3
    tails = scene.memory.points.numpy()[0, 1:3]
    assert np.hypot(tails[:, 0], tails[:, 1]) == pytest.approx((0.87, 1.12), abs=1e-5)
    scene.point(np.pi / 2, 0.62, -1.0)  # of the site map nothing is hidden
    scene.judge()
    assert scene.memory.point_count.numpy()[0] == 1


def test_coarser_lidar_asks_for_more_distance(make_scene: Callable[..., object]) -> None:
    scene = make_scene(spec=RobotSpec(lidar=Lidar(rays=64)))
    # spacing 5.6 degrees: a thing at 1.1 m may reach 0.22 m beyond its hit
    scene.point(0.0, 1.1, 0.0)
    scene.ask(1.0, twist=(1.0, 0.0))
    assert scene.judge()[2] is Reason.OBSTACLE
    fine = make_scene()
    fine.point(0.0, 1.1, 0.0)
    fine.ask(1.0, twist=(1.0, 0.0))
    assert fine.judge()[2] is Reason.NONE


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_in_what_goes_out_is_a_command_within_limits(
    make_scene: Callable[..., object], seed: int
) -> None:
    rows = 256
    scene = make_scene(rows=rows)
    rng = np.random.default_rng(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, 1e-40, -0.0, 1e6, -7.0], np.float32)
    names = ("command", "last_command", "scan", "point_speed", "scan_age", "pose", "twist", "corridor_points",
             "corridor_half_width", "phantoms", "person_free")  # fmt: skip
    for _ in range(4):
        random_rows(scene, seed)
        for row in range(rows):
            for name in rng.choice(names, 1 + seed % 3, replace=False):
                flat = getattr(scene.inputs, name).numpy()[row : row + 1].reshape(-1)
                hit = rng.integers(0, flat.size, min(flat.size, 3))
                flat[hit] = rng.choice(odd, len(hit))
        scene.inputs.corridor_count.numpy()[::17] = rng.choice([-5, 0, 9, 1000])
        scene.judge()
        out, margin, reason = scene.out.command.numpy(), scene.out.margin.numpy(), scene.out.reason.numpy()
        assert np.isfinite(out).all()
        assert np.all((out[:, 0] >= -0.3 - 1e-6) & (out[:, 0] <= 1.5 + 1e-6))
        assert np.all(np.abs(out[:, 1]) <= 2.0 + 1e-6)
        assert np.all((margin == -1.0) | ((margin >= 0.0) & (margin <= 0.5)))
        assert np.all((reason >= 0) & (reason <= int(max(Reason))))
        assert np.isfinite(scene.memory.plan.numpy()).all()


def test_noise_of_a_standing_robot_is_no_motion(scene: object) -> None:
    scene.point(0.0, 0.41, 1.6)
    scene.ask(0.0)
    scene.inputs.twist.numpy()[:] = (0.015, -0.015)
    assert scene.judge()[::2] == ((0.0, 0.0), Reason.NONE)


def random_rows(scene: object, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, rays = scene.rows, scene.spec.lidar.rays
    view = scene.inputs
    view.command.numpy()[...] = rng.uniform((-0.4, -2.2), (1.7, 2.2), (rows, 2))
    view.twist.numpy()[...] = rng.uniform((-0.3, -2.0), (1.5, 2.0), (rows, 2))
    view.last_command.numpy()[...] = view.twist.numpy() + rng.uniform(-0.1, 0.1, (rows, 2))
    view.scan.numpy()[...] = np.where(rng.random((rows, rays)) < 0.9, 10.0, rng.uniform(0.45, 6.0, (rows, rays)))
    view.scan.numpy()[:, ::7] = 10.0
    view.point_speed.numpy()[...] = rng.choice([-1.0, 0.0, 1.6], (rows, rays), p=[0.6, 0.3, 0.1])
    view.scan_age.numpy()[...] = rng.choice([0.0, 0.05, 0.1], rows)
    view.pose.numpy()[...] = rng.uniform((-0.2, -0.2, -3.1), (0.2, 0.2, 3.1), (rows, 3))
    points = np.cumsum(rng.uniform(-1.5, 1.5, (rows, 8, 2)), axis=1).astype(np.float32)
    points[:, 0] = 0.0
    view.corridor_points.numpy()[...] = points
    view.corridor_half_width.numpy()[...] = rng.uniform(0.5, 3.0, (rows, 8))
    view.corridor_count.numpy()[...] = rng.integers(0, 9, rows)
    view.command.numpy()[::29] = np.nan


def test_row_alone_decides_bit_for_bit_as_among_many(make_scene: Callable[..., object]) -> None:
    rows = 96
    many = make_scene(rows=rows)
    random_rows(many, 1)
    for _ in range(3):
        many.shield.launch(many.inputs, many.memory, many.out)
    seen = set()
    for row in range(rows):
        one = make_scene(rows=1)
        for name in ("command", "last_command", "scan", "point_speed", "scan_age", "pose", "twist", "corridor_points",
                     "corridor_half_width", "corridor_count"):  # fmt: skip
            getattr(one.inputs, name).numpy()[0] = getattr(many.inputs, name).numpy()[row]
        for _ in range(3):
            one.shield.launch(one.inputs, one.memory, one.out)
        for name in ("command", "margin", "reason"):
            alone, among = getattr(one.out, name).numpy()[0], getattr(many.out, name).numpy()[row]
            assert alone.tobytes() == among.tobytes(), (row, name)
        assert one.memory.plan.numpy()[0].tobytes() == many.memory.plan.numpy()[row].tobytes()
        seen.add((int(one.out.reason.numpy()[0]), bool(one.out.margin.numpy()[0] < 0.0)))
    assert len(seen) >= 5  # refusals of several kinds, with and without a lattice command


def test_lattice_verdict_does_not_depend_on_its_order(make_scene: Callable[..., object]) -> None:
    """The released candidate is the nearest of all that the judge accepts when each is proposed alone."""
    scene = make_scene()
    rng = np.random.default_rng(4)
    compared = 0
    for _ in range(150):
        scene = make_scene()
        scene.ask(float(rng.uniform(0.3, 1.5)), float(rng.uniform(-1, 1)), twist=(float(rng.uniform(0, 1.2)), 0.3))
        scene.inputs.last_command.numpy()[:] = scene.inputs.twist.numpy()
        for _ in range(6):
            scene.point(float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.6, 1.6)), 0.0)
        command, margin, reason = scene.judge()
        if reason is Reason.NONE or margin < 0.0:
            continue
        scene.ask(*command, twist=tuple(scene.inputs.twist.numpy()[0]))
        again, margin_again, reason_again = scene.judge()
        assert reason_again is Reason.NONE
        assert again == command
        assert margin_again == margin
        compared += 1
    assert compared > 10


def test_reset_forgets_the_masked_rows_only(make_scene: Callable[..., object]) -> None:
    scene = make_scene(rows=4)
    scene.ask(1.0, 0.1, twist=(1.0, 0.1))
    scene.judge()
    before = scene.memory.plan.numpy().copy()
    mask = wp.array(np.array([0, 1, 0, 1], np.uint8), dtype=wp.uint8, device="cpu")
    scene.shield.reset(mask, scene.memory)
    after = scene.memory.plan.numpy()
    assert np.all(after[[1, 3]] == 0.0)
    assert after[[0, 2]].tobytes() == before[[0, 2]].tobytes()
    assert np.all(before != 0.0)


def test_launch_allocates_nothing(scene: object) -> None:
    scene.ask(1.0)
    scene.judge()
    recording = scene.shield.recorded
    assert len(recording) == 1
    scene.judge()
    assert len(recording) == 1
    scene.shield.launch(scene.inputs, scene.memory, make_outputs(1))
    assert len(recording) == 2
    assert LATTICE == 64
