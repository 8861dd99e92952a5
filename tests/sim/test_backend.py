"""The contract of `sim.backend.Backend`: every implementation passes the same tests on every model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest
import warp as wp

from sim.backend import Backend, BatchBackend, BufferOverflowError
from sim.bodies.specs import amr, forklift, mobile_manipulator
from sim.env import BatchEnv
from sim.fields import FIELDS
from sim.robot import RobotSpec
from sim.scene import Body, Scene, build_scene
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig

WORLDS = 4

Make = Callable[..., Backend]

MODELS: dict[str, tuple[Callable[[], RobotSpec], Body, int, int]] = {
    "planar": (amr, "planar", 1, 0),
    "planar_x4": (amr, "planar", 4, 0),
    "wheeled": (amr, "wheeled", 1, 0),
    "forklift": (forklift, "planar", 1, 0),
    "forklift_wheeled": (forklift, "wheeled", 1, 0),
    "manipulator": (mobile_manipulator, "planar", 1, 0),
    "manipulator_wheeled": (mobile_manipulator, "wheeled", 1, 0),
    "pods": (amr, "planar", 2, 2),
    "pods_wheeled": (amr, "wheeled", 1, 1),
}
"""What every test runs on: the robot, its body, how many, and how many pods stand ready for them beside the floor (what
becomes of welds: tests/sim/test_snapshots.py); one person walks in each."""

KINDS = ["batch", pytest.param("warp", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]


def scene_of(name: str, spec: RobotSpec | None = None) -> Scene:
    """Six cells in a row for each robot: robot r stands in row r, a rack fills the last cell."""
    robot, body, robots, pods = MODELS[name]
    blocked = np.zeros((robots, 6), bool)
    blocked[:, 5] = True
    site = make_site("rows", blocked)
    return build_scene(site, spec or robot(), robots=robots, people=1, body=body, own_pods=pods)


def maker(kind: str, model: mujoco.MjModel) -> Make:
    if kind == "batch":
        return lambda worlds=WORLDS, **options: BatchBackend(model, worlds, threads=1, **options)

    from sim.warp_backend import WarpBackend

    device = "cuda:0" if kind == "cuda" else "cpu"
    ordered = kind == "cuda"  # bit-identical runs need it there
    return lambda worlds=WORLDS, deterministic=ordered, **options: WarpBackend(
        model, worlds, device, deterministic=deterministic, **options
    )


@contextmanager
def edit(array: wp.array) -> Iterator[np.ndarray]:
    """The array's numbers, to be changed where they lie, or on the host and then copied."""
    values = array.numpy()
    yield values
    if array.device.is_cuda:
        array.assign(values)


@pytest.fixture(scope="module", params=list(MODELS))
def scene(request: pytest.FixtureRequest) -> Scene:
    return scene_of(request.param)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, scene: Scene) -> Make:
    return maker(request.param, scene.model)


def place(backend: Backend, scene: Scene, x: float = 2.0) -> None:
    """Every robot in its row at `x`, the person far away."""
    with edit(backend.qpos) as qpos, edit(backend.mocap_pos) as people:
        for robot in range(scene.robots):
            at = robot * scene.qpos_stride
            if scene.body == "planar":
                qpos[:, at : at + 3] = (x, 0.6 + 1.2 * robot, 0.0)
            else:
                qpos[:, at : at + 7] = (x, 0.6 + 1.2 * robot, scene.rest_height, 1.0, 0.0, 0.0, 0.0)
        people[:, 0] = (-20.0, -20.0, 0.0)


def drive(
    backend: Backend, scene: Scene, steps: int, speeds: np.ndarray | float, turn: np.ndarray | float = 0.0
) -> None:
    """Every robot of a world at one speed (m/s) and yaw rate (rad/s)."""
    wheel = scene.spec.drive
    with edit(backend.ctrl) as ctrl:
        for robot in range(scene.robots):
            at = robot * scene.ctrl_stride
            if scene.body == "planar":
                ctrl[:, at], ctrl[:, at + 2] = speeds, turn
            else:
                ctrl[:, at] = (speeds - turn * wheel.track / 2) / wheel.wheel_radius
                ctrl[:, at + 1] = (speeds + turn * wheel.track / 2) / wheel.wheel_radius
    backend.step(steps)


def second(scene: Scene, seconds: float = 1.0) -> int:
    """Substeps of a time."""
    return round(seconds / scene.timestep)


def test_views_read_and_write_the_state_itself(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene)
    speeds = np.array([0.0, 0.5, 1.0, -0.5])
    drive(backend, scene, second(scene), speeds)
    # 1 s at the commanded speed, less the time that tyres with 0.8 g of grip and the wheels' servo take to reach it
    lost = 0.07 if scene.body == "planar" else 0.2
    for robot in range(scene.robots):
        np.testing.assert_allclose(backend.qpos.numpy()[:, robot * scene.qpos_stride], 2.0 + speeds, atol=lost)
        reached = 1e-3 if scene.body == "planar" else 0.1
        np.testing.assert_allclose(backend.qvel.numpy()[:, robot * scene.qvel_stride], speeds, atol=reached)


@pytest.mark.parametrize("on_device", [False, True])
def test_reset_worlds_start_anew_and_others_stay_bit_identical(make: Make, scene: Scene, on_device: bool) -> None:
    backend = make()
    place(backend, scene)
    backend.set_field("body_mass", np.tile(scene.model.body_mass * 1.5, (WORLDS, 1)))
    drive(backend, scene, 7, np.array([0.1, 0.2, 0.3, 0.4]))
    before = backend.snapshot()
    mask = np.array([False, True, False, True])
    backend.reset(wp.array(mask.astype(np.uint8), dtype=wp.uint8, device=backend.device) if on_device else mask)
    after, fresh = backend.snapshot(), make().snapshot()
    for name in before:
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask], err_msg=name)
        if name in fresh:
            np.testing.assert_array_equal(after[name][mask], fresh[name][mask], err_msg=name)


def test_a_field_set_for_one_world_changes_that_world_alone(make: Make, scene: Scene) -> None:
    if scene.body != "planar" or scene.spec.name != "amr":
        pytest.skip("the numbers are worked out for the planar body of 60 kg")
    plain, weak = make(), make()
    actuators = 3 * scene.robots
    limits = np.zeros((WORLDS, actuators, 2), np.float32)
    limits[..., 0], limits[..., 1] = -300.0, 300.0
    for backend in (plain, weak):
        place(backend, scene)
        backend.set_field("actuator_forcerange", limits)
    limits[2] = [[-6.0, 6.0]] * actuators
    weak.set_field("actuator_forcerange", limits, np.array([False, False, True, False]))
    for backend in (plain, weak):
        drive(backend, scene, 25, 1.0)
    same = np.array([True, True, False, True])
    np.testing.assert_array_equal(plain.qpos.numpy()[same], weak.qpos.numpy()[same])
    # 6 N on 60 kg for 0.5 s: x = a t^2 / 2
    assert weak.qpos.numpy()[2, 0] == pytest.approx(2.0 + 0.1 * 0.5**2 / 2, abs=1e-3)


def test_a_kernel_writes_a_field_where_it_lies(make: Make, scene: Scene) -> None:
    backend = make()
    field = backend.field("actuator_gear")
    assert field.shape == (WORLDS, *scene.model.actuator_gear.shape)
    wp.launch(double_row, dim=field.shape[1:], inputs=[2, field], device=backend.device)
    expected = np.tile(scene.model.actuator_gear, (WORLDS, 1, 1))
    expected[2] *= 2.0
    np.testing.assert_allclose(backend.snapshot()["field.actuator_gear"], expected, rtol=1e-6)
    assert backend.field("actuator_gear") is field


@wp.kernel
def double_row(world: int, field: wp.array3d(dtype=Any)) -> None:
    i, j = wp.tid()
    field[world, i, j] = field[world, i, j] * field.dtype(2.0)


def test_what_was_made_for_other_worlds_is_refused_before_anything_is_written(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene)
    drive(backend, scene, 3, 0.5)
    backend.reset(np.array([False, False, False, True]))  # a mask that a shorter one must not be filled up with
    mass = np.tile(scene.model.body_mass, (WORLDS, 1))
    backend.set_field("body_mass", mass)
    before = backend.snapshot()
    short, wide = np.array([True, False]), np.ones((WORLDS, 1), bool)
    on_device = wp.ones(WORLDS + 2, dtype=wp.uint8, device=backend.device)
    for mask in (short, wide, on_device, [0, 2], np.full(WORLDS, 0.5), wp.zeros(WORLDS, dtype=wp.float32)):
        with pytest.raises(ValueError, match=f"mask: expected a flag for each of {WORLDS} worlds, got "):
            backend.reset(mask)  # type: ignore[arg-type]  # what callers get wrong
        with pytest.raises(ValueError, match="mask: expected a flag for each of"):
            backend.set_field("body_mass", 2.0 * mass, mask)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="mask: expected a flag for each of"):
            backend.recompute(FIELDS["body_mass"].recompute, mask)  # type: ignore[arg-type]
    for values in (mass[:2], mass[0], mass[..., None]):
        with pytest.raises(ValueError, match=r"body_mass: expected values of shape \(4, "):
            backend.set_field("body_mass", values)
    for substeps in (0, -1):
        with pytest.raises(ValueError, match=f"expected 1 substep or more, got {substeps}"):
            backend.step(substeps)
    more = make(worlds=WORLDS + 2).snapshot()
    less = {name: values for name, values in before.items() if name != "qvel"}
    cut = before | {"field.body_mass": before["field.body_mass"][:2]}
    turned = np.tile(scene.model.geom_friction.T, (WORLDS, 1, 1))  # as many numbers as there must be
    for saved, said in (
        (more, r"expected shape \(4, .*in the snapshot, got \(6, "),
        (less, 'expected "qvel" in the snapshot'),
        (cut, r"field.body_mass: expected shape \(4, "),
        (before | {"field.geom_friction": turned}, r"field.geom_friction: expected shape \(4, "),
        (before | {"derived.body_subtreemass": mass[:, ::-1, None]}, r"derived.body_subtreemass: expected shape \(4, "),
        (before | {"field.no_such": np.zeros(4)}, 'got "field.no_such"'),
        (before | {"field.body_pos": np.tile(scene.model.body_pos, (WORLDS, 1, 1))}, 'got "field.body_pos"'),
    ):
        with pytest.raises(ValueError, match=said):
            backend.restore(saved)
    for name, values in backend.snapshot().items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_fields_that_a_snapshot_does_not_hold_go_back_to_the_models(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene, x=4.5)  # into the rack on the way, where the inverse weights matter
    saved = backend.snapshot()
    drive(backend, scene, second(scene, 0.8), 1.0)
    first = backend.qpos.numpy().copy()
    heavier = np.tile(scene.model.body_mass, (WORLDS, 1)) * np.array([[1.0], [5.0], [1.0], [1.0]])
    backend.set_field("body_mass", heavier)
    backend.restore(saved)
    np.testing.assert_array_equal(
        backend.field("body_mass").numpy(),
        np.tile(scene.model.body_mass, (WORLDS, 1)).astype(backend.qpos.numpy().dtype),
    )
    drive(backend, scene, second(scene, 0.8), 1.0)
    np.testing.assert_array_equal(backend.qpos.numpy(), first)


def test_an_unknown_field_is_refused_with_the_nearest_one(make: Make) -> None:
    with pytest.raises(ValueError, match=r'body_mas.*did you mean "body_mass"'):
        make().set_field("body_mas", np.zeros(WORLDS))
    with pytest.raises(ValueError, match="body_pos"):  # a model field, but static geometry does not follow it
        make().field("body_pos")
    with pytest.raises(ValueError, match="no_such_data"):
        make().data("no_such_data")


def test_mass_and_inertia_act_as_in_a_model_compiled_with_them(make: Make, scene: Scene) -> None:
    """World w carries w thirds of its mass; each must move as a world of its own, compiled so."""
    backend = make()
    start = 6.0 - scene.spec.length / 2 - 0.58
    place(backend, scene, x=start)  # into the rack within a second: the solver's weights follow from the inertia
    name = next(
        name
        for name, each in MODELS.items()
        if (each[0](), *each[1:]) == (scene.spec, scene.body, scene.robots, scene.pods)
    )
    loaded = [scene_of(name, replace(scene.spec, mass=scene.spec.mass * (1 + world / 3))) for world in range(WORLDS)]
    for each in loaded:
        for field in ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange"):  # the motors of the first
            getattr(each.model, field)[:] = getattr(scene.model, field)
    for field in FIELDS:
        values = np.stack([getattr(each.model, field) for each in loaded])
        if (values != values[0]).any():
            backend.set_field(field, values)
    alone = [BatchBackend(each.model, 1) for each in loaded]
    exact = isinstance(backend, BatchBackend)
    for each in alone:
        place(each, scene, x=start)
    for _ in range(4):
        drive(backend, scene, second(scene, 0.2), 1.0, 0.3)
        for each in alone:
            drive(each, scene, second(scene, 0.2), 1.0, 0.3)
        together, apart = backend.qpos.numpy(), np.concatenate([each.qpos.numpy() for each in alone])
        if exact:
            np.testing.assert_allclose(together, apart, atol=1e-12)
        else:  # float32, contacts that begin a step apart, 4 of two boxes where the C engine has 8; wheels that slip
            np.testing.assert_allclose(together[:, :7], apart[:, :7], atol=3e-3)
    assert np.ptp(backend.qpos.numpy()[:, 0]) > 1e-4  # the masses mattered


def test_a_recompute_of_some_worlds_changes_no_bit_of_the_others(make: Make, scene: Scene) -> None:
    backend = make()
    masses = np.tile(scene.model.body_mass, (WORLDS, 1)) * np.array([[1.0], [1.1], [1.2], [1.3]])
    backend.set_field("body_mass", masses)
    before = backend.snapshot()
    mask = np.array([False, True, True, False])
    backend.set_field("body_mass", masses * 1.7, mask)
    after = backend.snapshot()
    changed = {name for name in before if not np.array_equal(before[name][mask], after[name][mask])}
    assert {"field.body_mass", "derived.body_invweight0", "derived.dof_invweight0"} <= changed
    for name in before:
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask], err_msg=name)


def test_a_restored_run_goes_on_bit_for_bit(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene, x=4.0)  # drives into the rack on the way, so that the solver's memory matters
    limits = np.full((WORLDS, *scene.model.actuator_forcerange.shape), 250.0, np.float32)
    limits[..., 0] = -250.0
    backend.set_field("actuator_forcerange", limits)
    backend.set_field("body_mass", np.tile(scene.model.body_mass * 1.3, (WORLDS, 1)), np.arange(WORLDS) == 2)
    speeds = np.array([0.2, 0.6, 1.0, 1.4])
    drive(backend, scene, second(scene, 0.8), speeds)
    saved = backend.snapshot()
    drive(backend, scene, second(scene, 0.8), 1.0)
    first = backend.snapshot()
    other = make()
    other.restore(saved)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, saved[name], err_msg=name)
    drive(other, scene, second(scene, 0.8), 1.0)
    for name, values in other.snapshot().items():
        np.testing.assert_array_equal(values, first[name], err_msg=name)


def test_a_contact_is_sensed_in_its_own_world(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene)
    with edit(backend.qpos) as qpos, edit(backend.mocap_pos) as people:
        qpos[1, 0] = 6.0 - scene.spec.length / 2 + 0.01  # a centimetre into the rack
        people[3, 0] = (2.0, 1.0, 0.0)  # a person touches the hull's side: 0.4 < 0.24 + 0.25, the narrowest robot's
    backend.step(1)
    found = backend.sensordata.numpy()[:, scene.contacts[0]] > 0.0  # the map, other robots, the person
    np.testing.assert_array_equal(found.any(axis=1), [False, True, False, True])


@pytest.mark.parametrize("speed", [np.nan, np.inf, 1.0e5])
def test_a_world_that_diverges_is_told_once_and_harms_no_other(make: Make, scene: Scene, speed: float) -> None:
    backend, healthy = make(), make()
    for each in (backend, healthy):
        place(each, scene)
    with edit(backend.qvel) as qvel:
        qvel[2] = speed
    for each in (backend, healthy):
        drive(each, scene, 3, 0.5)
        each.watch()
    np.testing.assert_array_equal(backend.diverged_flags.numpy(), [0, 0, 1, 0])
    np.testing.assert_array_equal(backend.qpos.numpy()[2], scene.model.qpos0.astype(backend.qpos.numpy().dtype))
    assert not backend.qvel.numpy()[2].any()
    np.testing.assert_array_equal(backend.diverged(), [False, False, True, False])
    for each in (backend, healthy):
        each.step(3)
    assert not backend.diverged().any()
    with edit(backend.qvel) as qvel:
        qvel[2] = speed  # and again, which the engine's own counter does not tell from the first time
    for each in (backend, healthy):
        each.step(3)
    np.testing.assert_array_equal(backend.diverged(), [False, False, True, False])
    assert np.isfinite(backend.qpos.numpy()).all()
    others = np.array([True, True, False, True])
    np.testing.assert_array_equal(backend.qpos.numpy()[others], healthy.qpos.numpy()[others])


def test_a_reset_forgets_that_a_world_diverged(make: Make, scene: Scene) -> None:
    backend = make()
    place(backend, scene)
    with edit(backend.qvel) as qvel:
        qvel[1:3] = np.nan
    backend.step(1)
    backend.watch()
    backend.reset(np.array([False, True, False, False]))
    np.testing.assert_array_equal(backend.diverged(), [False, False, True, False])


def test_the_c_engine_tells_whose_contacts_did_not_fit_its_memory() -> None:
    spec = mujoco.MjSpec()
    spec.memory = 20_000
    for number in range(12):
        ball = spec.worldbody.add_body(pos=(0.05 * number, 0.0, 0.0))
        ball.add_freejoint()
        ball.add_geom(size=(0.2, 0.0, 0.0))
    backend = BatchBackend(spec.compile(), WORLDS)
    for world in (0, 1, 3):  # in world 2 alone every ball touches every other
        backend.qpos.numpy()[world, ::7] = 10.0 * np.arange(12)
    backend.step(1)
    backend.reset(np.ones(WORLDS, bool))  # the engine forgets at a reset
    with pytest.raises(BufferOverflowError, match="world 2 and 0 others") as caught:
        backend.check_overflow()
    assert (caught.value.world, caught.value.memory) == (2, 2 * int(backend.model.narena))
    backend.check_overflow()  # told once


def stand_in_racks(backend: Backend, scene: Scene, world: int) -> None:
    place(backend, scene)
    with edit(backend.qpos) as qpos:
        qpos[world, : scene.robots * scene.qpos_stride : scene.qpos_stride] = 5.8
    backend.step(1)


@pytest.mark.slow
@pytest.mark.parametrize("short", ["contacts", "constraints"])
def test_dropped_contacts_are_told_once_with_the_world_and_a_size_that_does(scene: Scene, short: str) -> None:
    if (scene.body, scene.robots, short) == ("planar", 1, "contacts"):
        pytest.skip("the room of four worlds holds the four contacts of one")
    make = maker("warp", scene.model)
    backend = make(**{short: 1 if scene.body == "planar" else 2})
    stand_in_racks(backend, scene, 2)
    backend.reset(np.ones(WORLDS, bool))  # the engine forgets at a reset
    with pytest.raises(BufferOverflowError, match=f"with {short}=") as caught:
        backend.check_overflow()
    if scene.body == "planar":
        assert caught.value.world == 2  # on wheels every world has contacts with the floor
    backend.check_overflow()
    enough = make(**{short: getattr(caught.value, short)})
    stand_in_racks(enough, scene, 2)
    enough.check_overflow()


@pytest.mark.slow
def test_the_sizes_that_the_model_suggests_hold_a_crowd(scene: Scene) -> None:
    backend = maker("warp", scene.model)()
    stand_in_racks(backend, scene, 2)
    backend.step(5)
    backend.check_overflow()


@pytest.mark.slow
def test_the_deterministic_engine_moves_as_the_other_does(scene: Scene) -> None:
    make = maker("warp", scene.model)
    plain, ordered = make(), make(deterministic=True)
    for backend in (plain, ordered):
        place(backend, scene, x=5.1)
        drive(backend, scene, second(scene, 0.4), 1.0)
    # sums in another order
    np.testing.assert_allclose(ordered.qpos.numpy(), plain.qpos.numpy(), atol=1e-4)


def test_the_number_of_threads_changes_nothing(scene: Scene) -> None:
    ends = []
    for threads in (1, 2):
        backend = BatchBackend(scene.model, WORLDS, threads=threads)
        place(backend, scene, x=4.5)
        drive(backend, scene, second(scene, 1.2), np.array([0.2, 0.6, 1.0, 1.4]))
        ends.append(backend.snapshot())
    for name, values in ends[0].items():
        np.testing.assert_array_equal(values, ends[1][name], err_msg=name)


@pytest.mark.slow
def test_engines_agree_where_nothing_touches(scene: Scene) -> None:
    rng = np.random.default_rng(3)
    backends = [maker(kind, scene.model)() for kind in ("batch", "warp")]
    for backend in backends:
        place(backend, scene)
    for _ in range(100):
        speeds, turn = rng.uniform(-0.3, 0.3, WORLDS), rng.uniform(-1.0, 1.0, WORLDS)
        for backend in backends:
            drive(backend, scene, 1, speeds, turn)
    batch, warp = backends
    # float32 rounding over 100 steps; wheels touch the floor
    loose = 1.0 if scene.body == "planar" else 100.0
    np.testing.assert_allclose(warp.qpos.numpy(), batch.qpos.numpy(), atol=1e-5 * loose)
    np.testing.assert_allclose(warp.qvel.numpy(), batch.qvel.numpy(), atol=1e-4 * loose)


def test_an_environment_raises_what_its_physics_dropped_at_the_end_of_a_rollout() -> None:
    env = BatchEnv(make_site("hall", np.zeros((6, 6), bool)), NavigateConfig(paths=64), worlds=WORLDS, threads=1)
    env.reset()
    env.step(np.zeros((WORLDS, 2), np.float32))
    env.end_rollout()
    assert isinstance(env.backend, BatchBackend)
    env.backend.batch.warning[3, mujoco.mjtWarning.mjWARN_CONTACTFULL, 1] = 1  # as the engine counts it
    with pytest.raises(BufferOverflowError, match="world 3"):
        env.end_rollout()


@pytest.mark.parametrize(
    "law",
    [
        test_what_was_made_for_other_worlds_is_refused_before_anything_is_written,
        test_a_field_set_for_one_world_changes_that_world_alone,
        test_a_recompute_of_some_worlds_changes_no_bit_of_the_others,
    ],
)
def test_mujoco_warp_keeps_the_contracts_law_on_the_smallest_model(law: Callable[[Make, Scene], None]) -> None:
    """Three laws of the contract in every run of the tests, whose kernels `make setup` compiles (sim/warm.py)."""
    scene = scene_of("planar")
    law(maker("warp", scene.model), scene)
