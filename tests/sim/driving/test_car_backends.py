"""The contract of `sim.backend.Backend` for cars: both bodies, on every engine (robots: tests/sim/test_backend.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import warp as wp

from sim.backend import Backend, BatchBackend
from sim.bodies.specs import CAR
from sim.driving.kinematic import CREEP, KinematicBackend
from sim.driving.scene import build_road_scene
from tests.sim.driving.carstand import Stand

WORLDS, ROBOTS, ACTORS = 4, 2, 5

Make = Callable[[], Backend]

FULL = build_road_scene(CAR, ROBOTS, ACTORS, "full")

KINDS = [
    "batch",
    "kinematic",
    pytest.param("warp", marks=pytest.mark.slow),
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param("kinematic_cuda", marks=pytest.mark.gpu),
]


def maker(kind: str) -> Make:
    if kind == "batch":
        return lambda: BatchBackend(FULL.model, WORLDS, threads=1)
    if kind.startswith("kinematic"):
        return lambda: KinematicBackend(CAR, WORLDS, ROBOTS, "cuda:0" if kind.endswith("cuda") else "cpu")

    from sim.warp_backend import WarpBackend

    device = "cuda:0" if kind == "cuda" else "cpu"
    return lambda: WarpBackend(FULL.model, WORLDS, device, deterministic=kind == "cuda")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(kind: str) -> Make:
    return maker(kind)


def stand_on(backend: Backend) -> Stand:
    body = "kinematic" if isinstance(backend, KinematicBackend) else "full"
    return Stand(body, WORLDS, ROBOTS, ACTORS, backend=backend)


POSES = np.array([(0.0, 4.0 * (row % ROBOTS), 0.1 * row) for row in range(WORLDS * ROBOTS)])
SPEEDS = np.linspace(2.0, 30.0, WORLDS * ROBOTS)


def drive(stand: Stand, cycles: int = 4) -> None:
    """Every row brakes on its own arc."""
    stand.go(np.stack([-0.5 * np.arange(stand.rows), 0.9 / SPEEDS**2], axis=1), cycles)


def test_cars_move_as_told_and_what_is_read_is_the_state(make: Make) -> None:
    stand = stand_on(make())
    stand.place(SPEEDS, POSES)
    seen = stand.go((0.0, 0.0), 2)
    gone = 0.1 * SPEEDS
    expected = POSES[:, :2] + gone[:, None] * np.stack([np.cos(POSES[:, 2]), np.sin(POSES[:, 2])], axis=1)
    np.testing.assert_allclose(seen[:, -1, :2], expected, atol=0.01)
    np.testing.assert_allclose(seen[:, -1, 2], POSES[:, 2], atol=1e-3)
    stride = stand.scene.qpos_stride
    np.testing.assert_allclose(
        stand.backend.qpos.numpy()[:, : stride * ROBOTS : stride].ravel(), seen[:, -1, 0], atol=0.01
    )


@pytest.mark.parametrize("on_device", [False, True])
def test_reset_worlds_start_anew_and_others_stay_bit_identical(make: Make, on_device: bool) -> None:
    backend = make()
    stand = stand_on(backend)
    stand.place(SPEEDS, POSES)
    drive(stand)
    before = backend.snapshot()
    mask = np.array([False, True, False, True])
    backend.reset(wp.array(mask.astype(np.uint8), dtype=wp.uint8, device=backend.device) if on_device else mask)
    after, fresh = backend.snapshot(), make().snapshot()
    for name in ("qpos", "qvel", "ctrl", "diverged"):
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask], err_msg=name)
        np.testing.assert_array_equal(after[name][mask], fresh[name][mask], err_msg=name)


def test_a_world_placed_anew_harms_no_other(make: Make) -> None:
    ways = []
    for begin in (False, True):
        stand = stand_on(make())
        stand.place(SPEEDS, POSES)
        drive(stand)
        if begin:  # worlds 1 and 3 begin an episode while the others drive on
            mask = np.repeat(np.array([0, 1, 0, 1], np.uint8), ROBOTS)
            stand.mask.assign(mask)
            stand.place(SPEEDS, POSES)
        drive(stand)
        ways.append(stand.backend.qpos.numpy().copy())
    np.testing.assert_array_equal(ways[0][[0, 2]], ways[1][[0, 2]])
    assert np.abs(ways[0][[1, 3]] - ways[1][[1, 3]]).max() > 0.1


def test_a_restored_run_goes_on_bit_for_bit(make: Make) -> None:
    backend = make()
    stand = stand_on(backend)
    stand.place(SPEEDS, POSES)
    drive(stand)
    saved, told = backend.snapshot(), backend.ctrl.numpy().copy()
    backend.step(20)
    first = backend.snapshot()
    other = make()
    other.restore(saved)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, saved[name], err_msg=name)
    np.testing.assert_array_equal(other.ctrl.numpy(), told)
    other.step(20)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, first[name], err_msg=name)
    with pytest.raises(ValueError, match='expected "qvel" in the snapshot'):
        other.restore({name: values for name, values in saved.items() if name != "qvel"})


@pytest.mark.parametrize("speed", [np.nan, np.inf, 1.0e5])
def test_a_world_that_diverges_is_told_once_and_harms_no_other(make: Make, speed: float) -> None:
    backend, healthy = make(), make()
    for each in (backend, healthy):
        stand_on(each).place(SPEEDS, POSES)
    qvel = backend.qvel.numpy()
    qvel[2] = speed
    if backend.device != "cpu":
        backend.qvel.assign(qvel)
    for each in (backend, healthy):
        each.step(3)
        each.watch()
    np.testing.assert_array_equal(backend.diverged_flags.numpy(), [0, 0, 1, 0])
    assert not backend.qvel.numpy()[2].any()
    np.testing.assert_array_equal(backend.diverged(), [False, False, True, False])
    for each in (backend, healthy):
        each.step(3)
    assert not backend.diverged().any()
    others = np.array([True, True, False, True])
    np.testing.assert_array_equal(backend.qpos.numpy()[others], healthy.qpos.numpy()[others])


def test_what_was_made_for_other_worlds_is_refused(make: Make) -> None:
    backend = make()
    before = backend.snapshot()
    for mask in (np.array([True, False]), np.full(WORLDS, 0.5), wp.ones(WORLDS + 2, dtype=wp.uint8)):
        with pytest.raises(ValueError, match=f"mask: expected a flag for each of {WORLDS} worlds, got "):
            backend.reset(mask)
    with pytest.raises(ValueError, match="expected 1 substep or more, got 0"):
        backend.step(0)
    with pytest.raises(ValueError, match=r"expected shape .* in the snapshot, got"):
        backend.restore(before | {"qpos": before["qpos"][:2]})
    with pytest.raises(ValueError, match="body_mas"):
        backend.set_field("body_mas", np.zeros(WORLDS))
    with pytest.raises(ValueError, match="no_such_data"):
        backend.data("no_such_data")


def test_friction_of_one_world_changes_that_world_alone(make: Make) -> None:
    ways = []
    for weak in (1.0, 0.3):
        stand = stand_on(make())
        stand.cars.friction.assign(np.repeat(np.array([1.0, 1.0, weak, 1.0], np.float32), ROBOTS))
        stand.place(15.0, POSES)
        stand.go((-6.0, 0.0), 20)
        ways.append(stand.pose.numpy().reshape(WORLDS, ROBOTS, 3).copy())
    np.testing.assert_array_equal(ways[0][[0, 1, 3]], ways[1][[0, 1, 3]])
    # 0.95 x 0.3 g instead of 6 m/s^2 for 0.7 s, after braking grew: 0.5 x 3.2 x 0.7^2 = 0.8 m further
    assert np.hypot(*(ways[1] - ways[0])[2, 0, :2]) == pytest.approx(0.8, abs=0.25)


def test_a_kinematic_car_moves_on_the_closed_form_of_its_arc() -> None:
    backend = KinematicBackend(CAR, 1, 1)
    for v, a, k in ((10.0, 2.0, 0.05), (3.0, -4.0, -0.1), (0.02, -6.0, 0.2), (30.0, 0.0, 0.0)):
        backend.qpos.numpy()[:] = (1.0, 2.0, 0.3)
        backend.qvel.numpy()[:] = (v, 0.0, 0.0, k)
        backend.ctrl.numpy()[:] = (a, k)
        backend.step()
        after = max(v + 0.01 * a, 0.0)
        s = (v + after) / 2 * 0.01 if after > 0.0 else v * v / (2.0 * -a)
        x, y = (np.sin(k * s) / k, (1.0 - np.cos(k * s)) / k) if k else (s, 0.0)
        y -= 0.01 * CREEP * v * v * k  # its tyres creep outwards
        c, n = np.cos(0.3), np.sin(0.3)
        np.testing.assert_allclose(backend.qpos.numpy()[0], (1.0 + c * x - n * y, 2.0 + n * x + c * y, 0.3 + k * s),
                                   atol=2e-6)  # fmt: skip
        np.testing.assert_allclose(backend.qvel.numpy()[0, [0, 2]], (after, after * k), atol=1e-6)


@pytest.mark.parametrize("friction", [0.3, 0.9])
def test_a_kinematic_cars_tyres_hold_what_their_friction_circle_says(friction: float) -> None:
    backend = KinematicBackend(CAR, 1, 1)
    backend.friction.fill_(friction)
    backend.qvel.numpy()[:] = (20.0, 0.0, 0.0, 0.0)
    last = 20.0
    for _ in range(100):
        backend.ctrl.numpy()[:] = (-8.0, 0.02)  # 8 m/s^2 in either direction
        backend.step()
        v, _, turn, _ = backend.qvel.numpy()[0]
        assert np.hypot((last - v) / 0.01, v * turn) <= friction * 9.81 * 1.02
        last = float(v)
    assert last < 20.0  # it brakes all the same


def test_a_kinematic_body_has_no_fields_and_drops_no_contacts() -> None:
    backend = KinematicBackend(CAR, 2, 1)
    with pytest.raises(ValueError, match="geom_friction"):
        backend.field("geom_friction")
    assert backend.varied() == {}
    backend.check_overflow()
    with pytest.raises(ValueError, match=r"field\.body_mass"):
        backend.restore(backend.snapshot() | {"field.body_mass": np.zeros((2, 3))})


def test_the_number_of_threads_changes_nothing() -> None:
    ends = []
    for threads in (1, 2):
        stand = stand_on(BatchBackend(FULL.model, WORLDS, threads=threads))
        stand.place(SPEEDS, POSES)
        drive(stand, 6)
        ends.append(stand.backend.qpos.numpy().copy())
    np.testing.assert_array_equal(*ends)


@pytest.mark.slow
def test_the_engines_drive_alike() -> None:
    ways: list[Any] = []
    for kind in ("batch", "warp"):
        stand = stand_on(maker(kind)())
        stand.place(SPEEDS, POSES)
        drive(stand, 10)
        ways.append(stand.pose.numpy().copy())
    np.testing.assert_allclose(ways[0], ways[1], atol=0.01)  # float32, half a second at up to 30 m/s
