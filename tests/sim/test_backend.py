"""The contract of `sim.backend.Backend`: every implementation passes the same tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sim.backend import Backend, BatchBackend
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import make_site

WORLDS = 4


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Six cells in a row: a robot at 0 in the first, a rack in the last."""
    blocked = np.zeros((1, 6), bool)
    blocked[0, 5] = True
    return build_scene(make_site("row", blocked), RobotSpec(), robots=1, people=1)


@pytest.fixture(params=["batch", pytest.param("warp", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, scene: Scene) -> Callable[[], Backend]:
    if request.param == "batch":
        return lambda: BatchBackend(scene.model, WORLDS, threads=1)

    from sim.warp_backend import WarpBackend

    return lambda: WarpBackend(scene.model, WORLDS)


def place(backend: Backend, x: float = 2.0) -> None:
    backend.qpos.numpy()[:] = (x, 0.6, 0.0)
    backend.mocap_pos.numpy()[:, 0] = (-20.0, -20.0, 0.0)


def drive(backend: Backend, steps: int, speeds: np.ndarray) -> None:
    backend.ctrl.numpy()[:, 0] = speeds
    backend.step(steps)


def test_views_read_and_write_the_state_itself(make: Callable[[], Backend]) -> None:
    backend = make()
    place(backend)
    drive(backend, 50, np.array([0.0, 0.5, 1.0, -0.5]))
    # 1 s at the commanded speed, less the time that tyres with 0.8 g of grip take to reach it
    np.testing.assert_allclose(backend.qpos.numpy()[:, 0], 2.0 + np.array([0.0, 0.5, 1.0, -0.5]), atol=0.06)
    np.testing.assert_allclose(backend.qvel.numpy()[:, 0], [0.0, 0.5, 1.0, -0.5], atol=1e-3)


def test_reset_worlds_start_anew_and_others_stay_bit_identical(make: Callable[[], Backend]) -> None:
    backend = make()
    place(backend)
    drive(backend, 7, np.array([0.1, 0.2, 0.3, 0.4]))
    before = backend.snapshot()
    mask = np.array([False, True, False, True])
    backend.reset(mask)
    after = backend.snapshot()
    fresh = make().snapshot()
    for name in before:
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask], err_msg=name)
        if not name.startswith("field."):
            np.testing.assert_array_equal(after[name][mask], fresh[name][mask], err_msg=name)


def test_a_field_set_for_one_world_changes_that_world_alone(make: Callable[[], Backend]) -> None:
    plain, weak = make(), make()
    limits = np.zeros((WORLDS, 3, 2), np.float32)
    limits[..., 0], limits[..., 1] = -300.0, 300.0
    for backend in (plain, weak):
        place(backend)
        backend.set_field("actuator_forcerange", limits)
    limits[2] = [[-6.0, 6.0]] * 3
    weak.set_field("actuator_forcerange", limits, np.array([False, False, True, False]))
    for backend in (plain, weak):
        drive(backend, 25, np.ones(WORLDS))
    same = np.array([True, True, False, True])
    np.testing.assert_array_equal(plain.qpos.numpy()[same], weak.qpos.numpy()[same])
    # 6 N on 60 kg for 0.5 s: x = a t^2 / 2
    assert weak.qpos.numpy()[2, 0] == pytest.approx(2.0 + 0.1 * 0.5**2 / 2, abs=1e-3)


def test_an_unknown_field_is_refused(make: Callable[[], Backend]) -> None:
    with pytest.raises(ValueError, match="no_such_field"):
        make().set_field("no_such_field", np.zeros(WORLDS))


def test_a_restored_run_goes_on_bit_for_bit(make: Callable[[], Backend]) -> None:
    backend = make()
    place(backend, x=4.0)  # drives into the rack on the way, so that the solver's memory matters
    limits = np.full((WORLDS, 3, 2), 250.0, np.float32)
    limits[..., 0] = -250.0
    backend.set_field("actuator_forcerange", limits)
    drive(backend, 40, np.array([0.2, 0.6, 1.0, 1.4]))
    saved = backend.snapshot()
    drive(backend, 40, np.array([1.0, 1.0, 1.0, 1.0]))
    first = backend.snapshot()
    other = make()
    other.restore(saved)
    drive(other, 40, np.array([1.0, 1.0, 1.0, 1.0]))
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, first[name], err_msg=name)


def test_a_contact_is_sensed_in_its_own_world(make: Callable[[], Backend], scene: Scene) -> None:
    backend = make()
    place(backend)
    backend.qpos.numpy()[1, 0] = 6.0 - 0.32 + 0.01  # a centimetre into the rack
    backend.mocap_pos.numpy()[3, 0] = (2.0, 1.0, 0.0)  # a person touches the hull's side: 0.4 < 0.24 + 0.25
    backend.step(1)
    found = backend.sensordata.numpy()[:, scene.contacts[0]] > 0.0  # the map, the person
    np.testing.assert_array_equal(found, [[0, 0], [1, 0], [0, 0], [0, 1]])


def test_a_world_that_diverges_is_told_once_and_harms_no_other(make: Callable[[], Backend]) -> None:
    backend, healthy = make(), make()
    for each in (backend, healthy):
        place(each)
    backend.qvel.numpy()[2] = np.nan
    for each in (backend, healthy):
        drive(each, 3, np.full(WORLDS, 0.5))
    np.testing.assert_array_equal(backend.diverged(), [False, False, True, False])
    for each in (backend, healthy):
        each.step(3)
    assert not backend.diverged().any()
    assert np.isfinite(backend.qpos.numpy()).all()
    others = np.array([True, True, False, True])
    np.testing.assert_array_equal(backend.qpos.numpy()[others], healthy.qpos.numpy()[others])


def test_the_number_of_threads_changes_nothing(scene: Scene) -> None:
    ends = []
    for threads in (1, 2):
        backend = BatchBackend(scene.model, WORLDS, threads=threads)
        place(backend, x=4.5)
        drive(backend, 60, np.array([0.2, 0.6, 1.0, 1.4]))
        ends.append(backend.snapshot())
    for name, values in ends[0].items():
        np.testing.assert_array_equal(values, ends[1][name], err_msg=name)


@pytest.mark.slow
def test_engines_agree_where_nothing_touches(scene: Scene) -> None:
    from sim.warp_backend import WarpBackend

    rng = np.random.default_rng(3)
    batch, warp = BatchBackend(scene.model, WORLDS), WarpBackend(scene.model, WORLDS)
    for backend in (batch, warp):
        place(backend)
    for _ in range(100):
        speeds = rng.uniform(-0.3, 0.3, WORLDS)
        turn = rng.uniform(-1.0, 1.0, WORLDS)
        for backend in (batch, warp):
            backend.ctrl.numpy()[:, 2] = turn
            drive(backend, 1, speeds)
    # float32 rounding over 100 steps
    np.testing.assert_allclose(warp.qpos.numpy(), batch.qpos.numpy(), atol=1e-5)
    np.testing.assert_allclose(warp.qvel.numpy(), batch.qvel.numpy(), atol=1e-4)
