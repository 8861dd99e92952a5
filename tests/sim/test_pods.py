from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import warp as wp

from sim.backend import Backend, BatchBackend
from sim.bodies.parts import Body
from sim.bodies.pod import FEET_FRICTION, POD_MASS
from sim.fixtures import Fixtures
from sim.podkernels import LIFT, LIFT_TIME
from sim.pods import Pods
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import Site, make_site, with_fixtures

SPEC = RobotSpec()
PERIOD = 0.02
WORLDS = 3
GRAVITY = 9.81


def site_with_pods(*cells: int) -> Site:
    """8 x 12 free cells; pods stand in some."""
    return with_fixtures(make_site("pods", np.zeros((8, 12), bool)), Fixtures(pods=cells))


class Floor:
    """Worlds with robots and pods, driven by velocities of the base."""

    def __init__(self, scene: Scene, backend: Backend) -> None:
        self.scene, self.backend = scene, backend
        self.pods = Pods(scene, backend, PERIOD)
        width = 7 if scene.falls else 3
        worlds, robots = backend.worlds, scene.robots
        qpos = backend.qpos.numpy()
        self.robots = qpos[:, : robots * scene.qpos_stride].reshape(worlds, robots, -1)
        self.at = qpos[:, robots * scene.qpos_stride :][:, : scene.pods * width].reshape(worlds, scene.pods, -1)
        self.speeds = backend.qvel.numpy()[:, : robots * scene.qvel_stride].reshape(worlds, robots, -1)
        self.control = backend.ctrl.numpy().reshape(worlds, robots, -1)
        self.substeps = round(PERIOD / scene.timestep)

    def run(self, seconds: float, v: float = 0.0, w: float = 0.0) -> None:
        """Drive every robot at v and w, lifts as wanted."""
        for _ in range(round(seconds / PERIOD)):
            if self.control.shape[2] == 3:
                self.control[:] = (v, 0.0, w)
            else:
                half = w * SPEC.drive.track / 2
                self.control[:] = (np.array([v - half, v + half])) / SPEC.drive.wheel_radius
            self.pods.handle.launch()
            self.backend.step(self.substeps)

    def want(self, up: bool) -> None:
        self.pods.state.wanted.fill_(int(up))

    def offset(self) -> np.ndarray:
        """Places of pod 0 seen from robot 0, x and y in the robot's frame; (worlds, 2)."""
        yaw = self.yaw()
        away = self.at[:, 0, :2] - self.robots[:, 0, :2]
        c, s = np.cos(yaw), np.sin(yaw)
        return np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0]], axis=-1)

    def yaw(self) -> np.ndarray:
        robot = self.robots[:, 0]
        if self.scene.qpos_stride == 3:
            return robot[:, 2]
        return 2.0 * np.arctan2(robot[:, 6], robot[:, 3])


def make_floor(body: Body, engine: str = "batch", worlds: int = WORLDS, robots: int = 1) -> Floor:
    """A robot at the left, a pod in the middle, another one to the right."""
    site = site_with_pods(4 * 12 + 4, 4 * 12 + 8)
    scene = build_scene(site, SPEC, robots, 1, body, movable_pods=True)
    if engine == "batch":
        backend: Backend = BatchBackend(scene.model, worlds, threads=1)
    else:
        from sim.warp_backend import WarpBackend

        backend = WarpBackend(scene.model, worlds)
    floor = Floor(scene, backend)
    x, y = site.centre(4 * 12 + 4).tolist()
    floor.robots[:, 0, :2] = (x - 1.5, y)
    if scene.qpos_stride == 9:
        floor.robots[:, :, 3:7] = (1.0, 0.0, 0.0, 0.0)
    return floor


def under(floor: Floor) -> None:
    """Put robot 0 beneath pod 0, a little off its middle and turned, and let things settle."""
    floor.robots[:, 0, :2] = floor.at[:, 0, :2] + np.array([0.02, -0.01])
    yaw = 0.3
    if floor.scene.qpos_stride == 3:
        floor.robots[:, 0, 2] = yaw
    else:
        floor.robots[:, 0, 3:7] = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
    floor.run(0.4)


BODIES: list[Body] = ["planar", "wheeled"]


@pytest.mark.parametrize("body", BODIES)
def test_a_robot_drives_under_a_pod_and_neither_feels_it(body: Body) -> None:
    floor = make_floor(body)
    before = floor.at.copy()
    floor.run(0.4)  # feet settle
    floor.run(2.5, v=1.0)  # through between the legs and out on the other side
    assert (floor.robots[:, 0, 0] > floor.at[:, 0, 0] + 0.6).all()
    np.testing.assert_allclose(floor.at[..., :2], before[..., :2], atol=1e-3)


@pytest.mark.parametrize("body", BODIES)
def test_a_pod_is_taken_where_it_stands_carried_and_set_down(body: Body) -> None:
    floor = make_floor(body)
    under(floor)
    before, height = floor.at[:, 0].copy(), float(floor.at[0, 0, 2])
    floor.want(True)
    floor.run(PERIOD)
    np.testing.assert_array_equal(floor.pods.carried(), 0)
    np.testing.assert_allclose(floor.at[:, 0, :2], before[:, :2], atol=2e-4)  # nothing jumps
    floor.run(LIFT_TIME + 0.2)
    np.testing.assert_allclose(floor.at[:, 0, :2], before[:, :2], atol=1e-3)
    if body == "wheeled":
        np.testing.assert_allclose(floor.at[:, 0, 2], height + LIFT, atol=1.5e-3)
    held = floor.offset()
    worst = 0.0
    for v, w in ((0.8, 0.0), (0.6, 0.6), (0.0, -1.0), (0.0, 0.0)):
        for _ in range(15):
            floor.run(0.1, v, w)
            worst = max(worst, float(np.abs(floor.offset() - held).max()))
    assert worst < 3e-3, "the pod must stay on its carrier"
    assert np.hypot(*(floor.robots[0, 0, :2] - before[0, :2])) > 0.5
    floor.want(False)
    floor.run(LIFT_TIME + 0.2)
    np.testing.assert_array_equal(floor.pods.carried(), -1)
    down = floor.at[:, 0].copy()
    floor.run(1.6, v=1.0, w=-0.2)  # the robot drives off
    assert np.hypot(*(floor.robots[0, 0, :2] - down[0, :2])) > 0.8
    np.testing.assert_allclose(floor.at[:, 0, :3], down[:, :3], atol=1e-3)  # and the pod stands


@pytest.mark.parametrize("body", BODIES)
def test_a_carriers_acceleration_falls_with_its_load(body: Body) -> None:
    """F = m a: with the same force of its drives a robot of 60 kg speeds up by F / (60 kg + pod + goods)."""
    floor = make_floor(body)
    goods = np.array([[0.0, 0.0], [20.0, 0.0], [60.0, 0.0]], np.float32)
    floor.pods.load(wp.array(goods, device="cpu"), wp.full(WORLDS, 1, dtype=wp.uint8, device="cpu"))
    under(floor)
    floor.want(True)
    floor.run(LIFT_TIME + 0.3)
    force = 100.0
    limits = np.asarray(floor.scene.model.actuator_forcerange, np.float32)
    limits = np.broadcast_to(limits, (WORLDS, *limits.shape)).copy()
    if body == "planar":
        limits[:, 0] = (-force, force)
    else:
        torque = force / 2 * SPEC.drive.wheel_radius
        limits[:, :2] = (-torque, torque)
    floor.backend.set_field("actuator_forcerange", limits)
    assert float(np.abs(floor.speeds[:, 0, :2]).max()) < 0.01
    floor.run(0.5, v=1.5)  # until wheels and weld have taken up the load
    first = np.hypot(floor.speeds[:, 0, 0], floor.speeds[:, 0, 1])
    floor.run(0.4, v=1.5)
    last = np.hypot(floor.speeds[:, 0, 0], floor.speeds[:, 0, 1])
    mass, pull = SPEC.mass + POD_MASS + goods[:, 0], np.full(WORLDS, force)
    if body == "wheeled":
        square = SPEC.drive.wheel_radius**2
        mass = mass + 2 * (0.02 / square + 0.4 * 2.0) + 0.2  # rotors, turning wheels, casters
        pull = pull - 2 * 0.05 * (first + last) / 2 / square  # friction of the axles, 0.05 N m s
    np.testing.assert_allclose((last - first) / 0.4, pull / mass, rtol=0.01)


def test_mass_and_what_follows_from_it_differ_between_worlds() -> None:
    floor = make_floor("planar")
    goods = np.array([[0.0, 0.0], [20.0, 5.0], [60.0, 0.0]], np.float32)
    mask = wp.array(np.array([1, 1, 0], np.uint8), device="cpu")
    floor.pods.load(wp.array(goods, device="cpu"), mask)
    pod = floor.scene.model.body("pod0").id
    mass = floor.backend.field("body_mass").numpy()
    np.testing.assert_allclose(mass[:, pod], POD_MASS + np.array([0.0, 20.0, 0.0]))
    # what the engine derives: the inverse weight of a body that slides freely is one over its mass, in each direction
    site = site_with_pods(4 * 12 + 4, 4 * 12 + 8)
    scene = build_scene(site, SPEC, 1, 1, "planar", movable_pods=True)
    heavy = scene.model
    heavy.body_mass[pod] += 20.0
    heavy.body_inertia[pod] *= (POD_MASS + 20.0) / POD_MASS
    heavy.body_mass[pod + 1] += 5.0
    heavy.body_inertia[pod + 1] *= (POD_MASS + 5.0) / POD_MASS
    mujoco.mj_setConst(heavy, mujoco.MjData(heavy))
    derived = floor.backend.snapshot()["derived.body_invweight0"]
    np.testing.assert_allclose(derived[1], heavy.body_invweight0, rtol=1e-6)
    assert derived[0, pod, 0] > 1.5 * derived[1, pod, 0]


def test_a_standing_pod_is_pushed_no_sooner_than_its_friction_says() -> None:
    grip = FEET_FRICTION * POD_MASS * GRAVITY
    for share, moves in ((0.9, False), (1.2, True)):
        floor = make_floor("planar", worlds=1)
        pod = floor.scene.model.body("pod0").id
        before = floor.at[0, 0, 0]
        floor.backend.data("xfrc_applied").numpy()[0, pod, 0] = share * grip
        floor.run(0.5)
        pushed = floor.at[0, 0, 0] - before
        if moves:  # half a second of 20 % of the friction more
            assert pushed == pytest.approx(0.2 * grip / POD_MASS * 0.5**2 / 2, rel=0.15)
        else:
            assert pushed < 1e-3


@pytest.mark.parametrize("body", BODIES)
def test_a_carried_pod_meets_racks_people_and_pods_but_not_its_carrier(body: Body) -> None:
    floor = make_floor(body, worlds=1)
    under(floor)
    floor.want(True)
    floor.run(LIFT_TIME + 0.2)
    twist = wp.array(np.array([[0.5, 0.0, 0.0]], np.float32), device="cpu")
    collided, bumped = (wp.zeros(1, dtype=wp.uint8, device="cpu") for _ in range(2))
    settle = floor.pods.settle(twist, 0.02, collided, bumped)
    sensors = floor.backend.sensordata.numpy()[0]

    def touched() -> list[bool]:
        """The map, the person, the other pod, the robot's hull."""
        floor.backend.step(1)
        return (sensors[floor.scene.pod_contacts[0]] > 0.0).tolist()

    assert touched() == [False, False, False, False]
    settle.launch()
    assert not collided.numpy()[0]
    floor.backend.mocap_pos.numpy()[0, 0, :2] = floor.at[0, 0, :2] + np.array([0.72, 0.0])
    # 0.72 is within the deck's half length and the person's radius, and 0.15 m clear of the robot's hull
    assert touched() == [False, True, False, False]
    settle.launch()
    assert collided.numpy()[0]
    assert not (sensors[floor.scene.contacts[0]] > 0.0).any()
    floor.backend.mocap_pos.numpy()[0, 0, :2] = -20.0
    for sideways, expected in ((0.0, [False, False, True, False]), (-4.82, [True, False, False, False])):
        saved = floor.backend.snapshot()
        goal = floor.at[0, 1, :2] - np.array([0.95, 0.0]) if sideways == 0.0 else np.array([4.0, 0.45])
        shift = goal - floor.at[0, 0, :2]
        floor.at[0, 0, :2] += shift
        floor.robots[0, 0, :2] += shift
        assert touched() == expected
        floor.backend.restore(saved)


def test_a_lift_takes_no_pod_that_is_away_taken_or_passed_by() -> None:
    floor = make_floor("planar", worlds=1)
    floor.want(True)
    floor.run(0.1)
    assert floor.pods.carried()[0, 0] == -1  # 1.5 m away
    floor.want(False)
    under(floor)
    floor.want(True)
    floor.robots[0, 0, 0] += 0.06
    floor.run(0.04)
    assert floor.pods.carried()[0, 0] == -1  # beneath, but beyond REACH
    floor.robots[0, 0, 0] -= 0.06
    floor.speeds[0, 0, 0] = 0.5
    floor.pods.handle.launch()
    assert floor.pods.carried()[0, 0] == -1  # still driving
    floor.speeds[0, 0, 0] = 0.0
    floor.pods.handle.launch()
    assert floor.pods.carried()[0, 0] == 0
    floor.pods.state.carried.fill_(-1)  # as another robot would find it: the pod has a carrier
    floor.pods.handle.launch()
    assert floor.pods.carried()[0, 0] == -1


@pytest.mark.parametrize("body", BODIES)
def test_a_reset_sets_the_pods_of_those_worlds_alone_down_at_their_cells(body: Body) -> None:
    floor = make_floor(body)
    start = floor.at.copy()
    under(floor)
    floor.want(True)
    floor.run(LIFT_TIME)
    floor.run(1.0, v=0.5)
    before = floor.backend.snapshot()
    arrays = {name: array.numpy().copy() for name, array in floor.pods.arrays().items()}
    mask = wp.array(np.array([0, 1, 0], np.uint8), device="cpu")
    floor.pods.begin(mask).launch()
    after = floor.backend.snapshot()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][[0, 2]], values[[0, 2]], err_msg=name)
    for name, array in floor.pods.arrays().items():
        np.testing.assert_array_equal(array.numpy()[[0, 2]], arrays[name][[0, 2]], err_msg=name)
    np.testing.assert_allclose(floor.at[1], start[1], atol=1e-6)
    np.testing.assert_array_equal(floor.pods.carried()[:, 0], [0, -1, 0])
    np.testing.assert_array_equal(after["eq_active"].sum(axis=1), [1, 0, 1])
    np.testing.assert_allclose(after["field.dof_frictionloss"][1], floor.scene.model.dof_frictionloss, rtol=1e-6)
    floor.run(0.5)
    np.testing.assert_allclose(floor.at[1, :, :2], start[1, :, :2], atol=1e-3)


def test_a_robot_that_begins_alone_leaves_its_pod_where_it_is() -> None:
    floor = make_floor("planar", worlds=1, robots=2)
    floor.robots[0, 1, :2] = (1.0, 1.0)
    under(floor)
    floor.want(True)
    floor.run(LIFT_TIME)
    floor.run(1.0, v=0.5)
    before = floor.at.copy()
    floor.pods.begin(wp.array(np.array([1, 0], np.uint8), device="cpu")).launch()
    np.testing.assert_array_equal(floor.pods.carried(), -1)
    assert not floor.backend.data("eq_active").numpy().any()
    floor.robots[0, 0, :3] = (1.0, 3.0, 0.0)
    floor.speeds[:] = 0.0
    floor.run(0.5)
    np.testing.assert_allclose(floor.at, before, atol=1e-3)
    assert np.hypot(*(before[0, 0, :2] - floor.scene.model.qpos0[6:8])) > 0.4


def test_a_scene_without_movable_pods_is_refused() -> None:
    scene = build_scene(site_with_pods(52), SPEC, 1)
    assert scene.pods == 0
    with pytest.raises(ValueError, match="expected a scene with movable pods"):
        Pods(scene, BatchBackend(scene.model, 1, threads=1), PERIOD)


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_both_engines_carry_alike(body: Body) -> None:
    ends = []
    for engine in ("batch", "warp"):
        floor = make_floor(body, engine, worlds=2)
        floor.pods.load(
            wp.array(np.array([[0.0, 0.0], [20.0, 0.0]], np.float32), device="cpu"),
            wp.full(2, 1, dtype=wp.uint8, device="cpu"),
        )
        under(floor)
        floor.want(True)
        floor.run(0.2)
        floor.run(0.6, v=0.5)
        ends.append((floor.robots.copy(), floor.at.copy(), floor.pods.carried().copy()))
    for batch, warp in zip(*ends, strict=True):
        np.testing.assert_allclose(warp, batch, atol=2e-3)


def test_pods_carry_their_size_into_the_scene() -> None:
    site = site_with_pods(52)
    site = replace(site, fixtures=replace(site.fixtures, pod_size=(0.8, 0.9, 1.6)))
    scene = build_scene(site, SPEC, 2, 0, movable_pods=True)
    assert scene.pod_size == (0.8, 0.9, 1.6)
    assert scene.model.neq == 2
    np.testing.assert_allclose(scene.model.geom("shelf0").size[:2], (0.4, 0.45))


@pytest.mark.parametrize("body", BODIES)
def test_every_robot_lifts_the_pod_that_it_stands_under(body: Body) -> None:
    """Two robots and three pods: the weld that is switched on is the one between the two that meet."""
    site = site_with_pods(40, 52, 64)
    scene = build_scene(site, SPEC, 2, 0, body, movable_pods=True)
    names = [f"robot{robot} pod{pod}" for robot in range(2) for pod in range(3)]
    assert [scene.model.equality(number).name for number in range(scene.model.neq)] == names
    floor = Floor(scene, BatchBackend(scene.model, 1, threads=1))
    for robot, pod in ((0, 2), (1, 0)):
        floor.robots[0, robot, :2] = floor.at[0, pod, :2]
    before = floor.at.copy()
    floor.want(True)
    floor.run(LIFT_TIME)
    assert floor.pods.carried().tolist() == [[2, 0]]
    floor.run(1.0, v=0.3)
    moved = np.hypot(*np.moveaxis(floor.at[0, :, :2] - before[0, :, :2], -1, 0))
    assert moved[0] > 0.15
    assert moved[1] < 1e-3  # nobody stood under it
    assert moved[2] > 0.15
