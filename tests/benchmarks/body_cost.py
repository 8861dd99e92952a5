"""What each body costs: microseconds of processor time per physics step and world, one thread.

One robot on an open floor of 12 m x 12 m drives in circles; the bare `Batch.step` is timed, with its contact sensors.
The rival of a robot is the small one on the same base, that of boxes the same boxes awake. A step is 20 ms where
nothing falls and 5 ms elsewhere, so compare steps of one length only. The car drives on a bend among twenty others,
20 m apart; the kinematic one steps 10 ms, its rival is the full one over the same time.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import mujoco
import numpy as np
from figure import Figure
from mujoco import batch

from sim.bodies import specs
from sim.bodies.parts import Body
from sim.driving.scene import RoadBody
from sim.fixtures import Fixtures
from sim.loads import Shelf
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import Site, make_site, with_fixtures
from tests.sim.driving.carstand import Stand

WORLDS = 32
CELLS = 10
BOXES = 32


def floor(pods: int = 0) -> Site:
    """An open floor with pods in every second cell of its lower half."""
    cells = [row * CELLS + column for row in (6, 8) for column in range(0, CELLS, 2)][:pods]
    return with_fixtures(make_site("open", np.zeros((CELLS, CELLS), bool)), Fixtures(pods=tuple(cells)))


def cost(scene: Scene, steps: int, *, sleep: bool = False, carried: bool = False) -> float:
    """Microseconds per step and world, the best of three."""
    model = scene.model
    model.opt.enableflags = int(mujoco.mjtEnableBit.mjENBL_SLEEP) if sleep else 0
    worlds = batch.Batch(model, WORLDS, nthread=1, persistent=sleep)
    qpos, control = worlds.bind("qpos"), worlds.bind("ctrl")
    qpos[:, :2] = 4.0
    pod_width = 7 if scene.falls else 3
    first = scene.qpos_stride + scene.pods * pod_width
    for number in range(scene.boxes):
        at = first + number * pod_width
        qpos[:, at : at + 2] = (6.0 + number % 8 * 0.6, 6.0 + number // 8 * 0.6)
    if carried:
        qpos[:, :2] = model.qpos0[scene.qpos_stride :][:2]
        worlds.bind("eq_active")[:, 0] = 1
        worlds.expand("dof_frictionloss")[:, scene.qvel_stride : scene.qvel_stride + 3] = 0.0
    if scene.qpos_stride == scene.qvel_stride:
        control[:, 0], control[:, 2] = 0.3, 0.6
    else:
        control[:, :2] = 2.0, 4.0
    worlds.step(nstep=100)
    best = np.inf
    for _ in range(3):
        begin = time.process_time()
        worlds.step(nstep=steps)
        best = min(best, time.process_time() - begin)
    return best / WORLDS / steps * 1.0e6


def car_cost(body: RoadBody, steps: int) -> float:
    """Microseconds per physics step and world, the best of three."""
    stand = Stand(body, worlds=WORLDS, actors=21)
    stand.actors.kind.numpy()[:, 1:] = 1
    stand.actors.pose.numpy()[:, 1:, :2] = np.stack([60.0 + 20.0 * np.arange(20), np.full(20, 3.5)], axis=1)
    stand.actors.size.numpy()[:] = (4.5, 1.8)
    stand.place(15.0)
    stand.go((0.0, 0.01), 10)
    best = np.inf
    for _ in range(3):
        begin = time.process_time()
        stand.backend.step(steps)
        best = min(best, time.process_time() - begin)
    return best / WORLDS / steps * 1.0e6


def measure(quick: bool) -> Iterable[Figure]:
    """One part for each body, then loads."""
    steps = 60 if quick else 1000
    small = np.nan
    robots: tuple[tuple[str, Callable[[], RobotSpec], Body], ...] = (
        ("planar", specs.amr, "planar"),
        ("forklift_planar", specs.forklift, "planar"),
        ("wheeled", specs.amr, "wheeled"),
        ("forklift_wheeled", specs.forklift, "wheeled"),
    )
    for part, make, body in robots:
        value = cost(build_scene(floor(), make(), 1, 0, body), steps)
        small = value if make is specs.amr else small
        yield Figure(part, value, "us", rival="the small AMR on the same base", rival_value=small)
    yield Figure("manipulator", cost(build_scene(floor(), specs.mobile_manipulator(), 1), steps), "us")
    picking = build_scene(floor(), specs.mobile_manipulator(), 1, shelves=[Shelf(at=(9.0, 9.0, 0.0))])
    yield Figure("manipulator_item", cost(picking, steps), "us")
    for part, count, carried in (("pods_10_standing", 10, False), ("pod_carried", 1, True)):
        scene = build_scene(floor(count), specs.amr(), 1, movable_pods=True)
        still = build_scene(floor(count), specs.amr(), 1)
        yield Figure(part, cost(scene, steps, carried=carried), "us", "the pods as fixed boxes", cost(still, steps))
    bases: tuple[Body, ...] = ("planar", "wheeled")
    for body in bases:
        scene = build_scene(floor(), specs.amr(), 1, 0, body, boxes=BOXES)
        awake, asleep = cost(scene, steps), cost(scene, steps, sleep=True)
        yield Figure(f"boxes_{BOXES}_{body}", asleep, "us", rival="the boxes awake", rival_value=awake)
    full, kinematic = (car_cost(body, steps) for body in ("full", "kinematic"))
    yield Figure("car_20_actors", full, "us")
    yield Figure("car_kinematic", kinematic, "us", rival="the full car for 10 ms", rival_value=2.0 * full)
