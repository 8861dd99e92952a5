"""The pods of a fleet's floor: lifts that take, carry and set them down, and what both witnesses see of them.

`sim/pods.py` does the lifting, here on one world that `mj_step` moves: `OneWorld` shows it the simulation's own memory.
A lift takes no pod that weighs more than the robot's payload.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np
import warp as wp
from numpy.typing import NDArray

from fleet.oracle import Touch, on_the_map, rectangles_overlap
from sim.backend import Backend, as_warp
from sim.bodies.pod import LEG, POD_MASS
from sim.fields import Recompute
from sim.people import PERSON_RADIUS
from sim.pods import Pods
from sim.scene import Scene
from sim.site import Site

HANDLINGS = 1000
"""Motor periods within which a lift is up: it takes 2 s."""


class OneWorld:
    """A simulation as `sim.pods.Pods` needs a backend: its arrays with a leading dimension of one world."""

    worlds, device = 1, "cpu"
    memory: Mapping[str, wp.array] = MappingProxyType({})
    """What an engine on a device remembers between steps; the C engine has none that lifts touch."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model, self._data = model, data
        self.qpos, self.qvel = self.data("qpos"), self.data("qvel")
        self.qacc_warmstart = self.data("qacc_warmstart")

    def data(self, name: str) -> wp.array:
        """An array of MjData, (1, ...)."""
        values = getattr(self._data, name)[None]
        return as_warp(values.view(np.uint8) if values.dtype == bool else values)

    def field(self, name: str) -> wp.array:
        """An array of the model, (1, ...)."""
        return as_warp(getattr(self.model, name)[None])

    def recompute(self, level: Recompute, mask: object = None) -> None:
        """What follows from fields that were written, in another MjData: the simulation's own stays as it is."""
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))


class FleetPods:
    """Owns the lifts and pods of one floor."""

    def __init__(
        self, scene: Scene, model: mujoco.MjModel, data: mujoco.MjData, period: float, payload_max: float, goods: float
    ) -> None:
        """`goods` kg lie on each pod; lifts take what weighs up to `payload_max` kg."""
        self.count, self._robots = scene.pods, scene.robots
        self.pods = Pods(scene, one_world(model, data), period)
        self.mass = POD_MASS + goods
        """Of each pod with its goods, kg."""
        self.pods.load(wp.full((1, self.count), goods, dtype=wp.float32), wp.array([1], dtype=wp.uint8))
        self._can = self.mass <= payload_max
        self._width = 7 if scene.falls else 3
        first = scene.robots * scene.qpos_stride
        self._at = data.qpos[first : first + self.count * self._width].reshape(self.count, self._width)
        first, wide = scene.robots * scene.qvel_stride, 6 if scene.falls else 3
        self._speeds = data.qvel[first : first + self.count * wide].reshape(self.count, wide)
        self._wanted: NDArray[np.uint8] = self.pods.state.wanted.numpy()
        self._raised: NDArray[np.float32] = self.pods.state.raised.numpy()
        self.carried: NDArray[np.int32] = self.pods.state.carried.numpy()
        """The pod that each robot holds, -1 for none, (robots,)."""
        self.carrier: NDArray[np.int32] = self.pods.state.carrier.numpy()[0]
        """The robot that holds each pod, -1 where it stands, (pods,)."""

    def command(self, lifts: NDArray[np.bool_]) -> None:
        """Whether each robot's lift is to be up, (robots,)."""
        self._wanted[:] = lifts & self._can

    def handle(self) -> None:
        """One motor period of the lifts."""
        self.pods.handle.launch()

    def put_one(self, pod: int, pose: NDArray[np.floating]) -> None:
        """Let a pod stand at x, y (m), yaw in W, (3,), at rest: for who restores a floor of the past."""
        x, y, yaw = (float(value) for value in pose)
        self._at[pod, :2] = x, y
        if self._width == 3:
            self._at[pod, 2] = yaw
        else:
            self._at[pod, 3:7] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        self._speeds[pod] = 0.0

    def take(self, robot: int, raised: float) -> int:
        """Let a robot that stands at rest under a pod hold it `raised` m up, without time going on; the pod, or -1."""
        self._wanted[robot] = True
        for _ in range(HANDLINGS):
            self.handle()
            if self.carried[robot] < 0 or self._raised[robot] >= raised - 1e-6:
                break
        pod = int(self.carried[robot])
        if pod >= 0 and self._width == 7:
            self._at[pod, 2] += self._raised[robot]
        return pod

    def drift(self, pod: int, velocity: tuple[float, float, float]) -> None:
        """A pod moves by vx, vy (m/s) in W and turns by rad/s, with who holds it."""
        self._speeds[pod, [0, 1, 2 if self._width == 3 else 5]] = velocity

    def lift(self, robot: int) -> float:
        """How far a robot's lift with a pod is up, m; -1 without one."""
        return float(self._raised[robot]) if self.carried[robot] >= 0 else -1.0

    def payload(self) -> NDArray[np.float32]:
        """What each robot carries, kg, (robots,)."""
        return np.where(self.carried >= 0, np.float32(self.mass), np.float32(0.0)).astype(np.float32)

    def poses(self) -> NDArray[np.float64]:
        """x, y (m), yaw of each pod in W, (pods, 3)."""
        if self._width == 3:
            return self._at.copy()
        w, i, j, k = self._at[:, 3:7].T
        yaw = np.arctan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
        return np.column_stack([self._at[:, :2], yaw])


def add_pods(
    touch: Touch,
    site: Site,
    size: tuple[float, float],
    poses: NDArray[np.floating],
    people: NDArray[np.floating],
    forklifts: NDArray[np.floating],
    forklift_size: tuple[float, float],
    pods: NDArray[np.floating],
    carrier: NDArray[np.integer],
) -> None:
    """The geometric witness's flags of pods, into `touch`: whatever touches a carried pod touches its carrier.

    Robots (steps, robots, 3) of `size` length and width meet legs, for decks are above them; a carried pod, (steps,
    pods, 3) with its robot or -1 in `carrier` (steps, pods), meets map, people, forklifts and other pods with its whole
    outline. A pod that stands is part of the map. `site` shows no pods.
    """
    steps, robots = poses.shape[:2]
    outline = site.fixtures.pod_size[:2]
    legs = legs_of(site.fixtures.pod_size, pods)

    def meet(one: NDArray[np.integer], other: NDArray[np.integer], hit: NDArray[np.bool_]) -> None:
        """Robots `one` (steps,) touched what robots `other` (steps,) hold, or a standing pod (-1)."""
        at = np.flatnonzero(hit & (one >= 0) & (one != other))
        standing = at[other[at] < 0]
        touch.map[standing, one[standing]] = True
        held = at[other[at] >= 0]
        touch.robot[held, one[held], other[held]] = True
        touch.robot[held, other[held], one[held]] = True

    for pod in range(pods.shape[1]):
        holder, at = carrier[:, pod], pods[:, pod]
        cos, sin = np.cos(at[:, 2]), np.sin(at[:, 2])
        for robot in range(robots):
            near = np.hypot(*(poses[:, robot, :2] - at[:, :2]).T) < np.hypot(*outline) / 2 + np.hypot(*size) / 2
            if not near.any():
                continue
            hit = np.zeros(steps, bool)
            for leg in legs:
                hit |= rectangles_overlap(*size, poses[:, robot], LEG, LEG, leg[:, pod])
            meet(np.full(steps, robot), holder, hit & near)
        if (holder < 0).all():
            continue
        held = np.flatnonzero(holder >= 0)
        touch.map[held, holder[held]] |= on_the_map(site, *outline, at)[held]
        for person in range(people.shape[1]):
            gap = people[:, person] - at[:, :2]
            ahead, aside = np.abs(cos * gap[:, 0] + sin * gap[:, 1]), np.abs(cos * gap[:, 1] - sin * gap[:, 0])
            away = np.hypot(np.maximum(ahead - outline[0] / 2, 0.0), np.maximum(aside - outline[1] / 2, 0.0))
            touch.person[held, holder[held], person] |= (away < PERSON_RADIUS)[held]
        for truck in range(forklifts.shape[1]):
            hit = rectangles_overlap(*outline, at, *forklift_size, forklifts[:, truck])
            if touch.forklift is not None:
                touch.forklift[held, holder[held], truck] |= hit[held]
        for other in range(pods.shape[1]):
            if other != pod:
                meet(holder, carrier[:, other], rectangles_overlap(*outline, at, *outline, pods[:, other]))


def legs_of(size: tuple[float, float, float], pods: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Places of the four legs of pods (..., 3), each as x, y, yaw of its middle, (..., 3)."""
    x, y, yaw = np.moveaxis(np.asarray(pods, np.float64), -1, 0)
    cos, sin, legs = np.cos(yaw), np.sin(yaw), []
    for along in (-(size[0] - LEG) / 2, (size[0] - LEG) / 2):
        for across in (-(size[1] - LEG) / 2, (size[1] - LEG) / 2):
            legs.append(np.stack([x + cos * along - sin * across, y + sin * along + cos * across, yaw], axis=-1))
    return legs


def one_world(model: mujoco.MjModel, data: mujoco.MjData) -> Backend:
    """A simulation as the part of a backend that pods and what the lidar sees of loads use."""
    world: Any = OneWorld(model, data)
    return world
