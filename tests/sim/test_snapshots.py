"""Snapshots of what lies beside the state: welds, sleep, fields; and what does not fit is refused by both engines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import warp as wp

from sim.backend import Backend, BatchBackend
from sim.bodies.parts import Body
from sim.boxes import spill
from sim.fixtures import Fixtures
from sim.pods import Pods
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import make_site, with_fixtures

SPEC = RobotSpec()
WORLDS = 3
PERIOD = 0.02
ENGINES = ["batch", pytest.param("warp", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
BODIES: list[Body] = ["planar", "wheeled"]


def backend_of(scene: Scene, engine: str, worlds: int = WORLDS, threads: int = 1) -> Backend:
    if engine == "batch":
        return BatchBackend(scene.model, worlds, threads=threads)
    from sim.warp_backend import WarpBackend

    return WarpBackend(scene.model, worlds, "cuda:0" if engine == "cuda" else "cpu", deterministic=engine == "cuda")


def assign(array: wp.array, change: Callable[[np.ndarray], None]) -> None:
    """Change an array's numbers on the host."""
    values = array.numpy().copy()
    change(values)
    array.assign(values)


def drive(backend: Backend, scene: Scene, v: float, w: float) -> None:
    def write(ctrl: np.ndarray) -> None:
        if scene.ctrl_stride == 3:
            ctrl[:, :3] = (v, 0.0, w)
        else:
            half = w * SPEC.drive.track / 2
            ctrl[:, :2] = np.array([v - half, v + half]) / SPEC.drive.wheel_radius

    assign(backend.ctrl, write)


def assert_same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> None:
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


class Carrying:
    """A robot beneath a pod in each world."""

    def __init__(self, body: Body, engine: str) -> None:
        site = with_fixtures(make_site("pods", np.zeros((8, 12), bool)), Fixtures(pods=(4 * 12 + 4, 4 * 12 + 8)))
        self.scene = build_scene(site, SPEC, 1, 0, body, movable_pods=True)
        self.backend = backend_of(self.scene, engine)
        self.pods = Pods(self.scene, self.backend, PERIOD)
        x, y = site.centre(4 * 12 + 4).tolist()

        def place(qpos: np.ndarray) -> None:
            qpos[:, :2] = (x + 0.02, y - 0.01)
            if body == "wheeled":
                qpos[:, 3] = 1.0

        assign(self.backend.qpos, place)

    def run(self, periods: int, v: float = 0.0, w: float = 0.0) -> None:
        drive(self.backend, self.scene, v, w)
        for _ in range(periods):
            self.pods.handle.launch()
            self.backend.step(round(PERIOD / self.scene.timestep))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_restored_carrier_goes_on_with_its_pod_bit_for_bit(engine: str, body: Body) -> None:
    floor = Carrying(body, engine)
    floor.pods.state.wanted.fill_(1)
    floor.run(6)
    floor.run(20, 0.6, 0.8)  # fast and turning: what the weld remembers of speeds is not zero
    saved = floor.backend.snapshot()
    lifts = {name: array.numpy().copy() for name, array in floor.pods.arrays().items()}
    assert saved["eq_active"].any()
    floor.run(10, 0.3, -0.8)
    first = floor.backend.snapshot()
    floor.run(7, -0.2, 0.3)  # something else is remembered now
    floor.backend.restore(saved)
    for name, array in floor.pods.arrays().items():
        array.assign(lifts[name])
    assert_same(floor.backend.snapshot(), saved)
    floor.run(10, 0.3, -0.8)
    assert_same(floor.backend.snapshot(), first)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_carrier_that_begins_anew_and_lifts_at_once_knows_nothing_of_its_last_ride(engine: str) -> None:
    """A weld that is switched on before the first substep must not be made of the speeds of the episode before."""
    ends = []
    for before in ("nothing", "a ride", "numbers that blew up"):
        floor = Carrying("planar", engine)
        start = floor.backend.qpos.numpy().copy()
        floor.pods.state.wanted.fill_(1)
        floor.run(2)
        if before != "nothing":
            floor.run(10, 0.6, 2.0)
        if before == "numbers that blew up":
            floor.backend.qvel.fill_(np.nan)
            floor.backend.step(1)
            floor.backend.watch()
        everybody = wp.full(WORLDS, 1, dtype=wp.uint8, device=floor.backend.device)
        floor.pods.begin(everybody).launch()
        for array in (floor.backend.qvel, floor.backend.qacc_warmstart):
            array.zero_()
        floor.backend.qpos.assign(start)
        floor.pods.state.wanted.fill_(1)
        floor.run(3, 0.2)
        assert floor.backend.data("eq_active").numpy()[:, 0].all()
        ends.append([floor.backend.qpos.numpy().copy(), floor.backend.qvel.numpy().copy()])
    for each in ends[1:]:
        for fresh, after in zip(ends[0], each, strict=True):
            np.testing.assert_array_equal(fresh, after)


BOXES = 3


def spilled(body: Body, engine: str, threads: int = 1) -> tuple[Scene, Backend]:
    """Boxes 0.6, 1.6 and 2.6 m before the robot of each world."""
    scene = build_scene(make_site("open", np.zeros((6, 10), bool)), SPEC, 1, 0, body, boxes=BOXES)
    backend = backend_of(scene, engine, threads=threads)
    lay_out(scene, backend)
    return scene, backend


def lay_out(scene: Scene, backend: Backend) -> None:
    places = np.zeros((WORLDS, BOXES, 3), np.float32)
    places[:, :, 0] = 2.6 + np.arange(BOXES)
    places[:, :, 1], places[:, :, 2] = 3.0, 0.4
    device = backend.device

    def place(qpos: np.ndarray) -> None:
        qpos[:, :2] = (2.0, 3.0)

    assign(backend.qpos, place)
    everywhere = wp.full(WORLDS, 1, dtype=wp.uint8, device=device)
    count = wp.full(WORLDS, BOXES, dtype=wp.int32, device=device)
    spill(scene, backend, everywhere, wp.array(places, device=device), count).launch()


@pytest.mark.parametrize("after", [0.04, 0.15, 1.0])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_restored_run_goes_on_bit_for_bit_while_boxes_sleep(engine: str, body: Body, after: float) -> None:
    """Taken when boxes still come to rest, when they have fallen asleep, and when one was pushed awake again."""
    scene, backend = spilled(body, engine)
    drive(backend, scene, 0.6, 0.1)
    backend.step(round(after / scene.timestep))
    saved = backend.snapshot()
    steps = round(0.5 / scene.timestep)
    backend.step(steps)
    first = backend.snapshot()
    for other in (backend, backend_of(scene, engine, threads=2)):
        other.restore(saved)
        assert_same(other.snapshot(), saved)
        other.step(steps)
        assert_same(other.snapshot(), first)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("engine", ENGINES)
def test_boxes_that_are_spilled_anew_know_nothing_of_how_long_they_lay(engine: str, body: Body) -> None:
    ends = []
    for before in (0, 4, 40):  # fresh, about to fall asleep, asleep
        scene, backend = spilled(body, engine)
        start = {name: backend.data(name).numpy().copy() for name in ("qpos", "qvel", "qacc_warmstart", "ctrl")}
        backend.step(before) if before else None
        for name, values in start.items():
            backend.data(name).assign(values)
        lay_out(scene, backend)
        backend.step(25)
        ends.append(np.concatenate([backend.qpos.numpy(), backend.qvel.numpy()], axis=1))
    np.testing.assert_array_equal(ends[1], ends[0])
    np.testing.assert_array_equal(ends[2], ends[0])
