"""Do the two engines agree? Recorded where the C engine runs, compared where CUDA is.

one step  64 random states of each model, away from everything that they could touch (the wheeled body in the air), and
          where the C engine takes them in one step. The figure is the largest difference of a coordinate or velocity,
          relative to its size where that is above 1.
returns   the first episode of each of 1,000 worlds of the navigate task with the whole randomization, driven by the
          same hand-written driver; draws are keyed, so that both engines live the same episodes until rounding parts
          them.
          The figure is the end of the 95 % interval of the mean paired difference that is farther from 0, over the mean
          size of a return (returns of both signs cancel in their mean, so that nothing can be measured by it).

The recording is one small npz, so that it can be carried to a machine that compiles nothing for its processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.backend import Backend, BatchBackend
from sim.bodies.specs import amr, forklift, mobile_manipulator
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.robot import RobotSpec
from sim.scene import Body, Scene, build_scene
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import navigate_contract

MODELS: dict[str, tuple[Callable[[], RobotSpec], Body, int, int]] = {
    "planar_1": (amr, "planar", 1, 0),
    "planar_4": (amr, "planar", 4, 0),
    "wheeled_1": (amr, "wheeled", 1, 0),
    "forklift_1": (forklift, "planar", 1, 0),
    "forklift_wheeled_1": (forklift, "wheeled", 1, 0),
    "manipulator_1": (mobile_manipulator, "planar", 1, 0),
    "manipulator_wheeled_1": (mobile_manipulator, "wheeled", 1, 0),
    "pods_1": (amr, "planar", 1, 1),
    "pods_wheeled_1": (amr, "wheeled", 1, 1),
}
"""Robot, body, number of robots and of pods, which they carry, of each model whose steps are compared."""

STATES = 64
EPISODES = 1000
TIME_LIMIT = 30.0
"""Of an episode, s; half the training task's, so that a quarter of an hour of processor time is enough to record."""


@dataclass(frozen=True)
class Parity:
    """How far the engines are apart."""

    step: dict[str, float]
    """Largest relative difference after one step, by model."""
    returns: float
    """Bound of the 95 % interval of the mean paired difference, over the mean size of a return."""
    size: float
    """Mean size of a return in the recording."""
    difference: float
    """Mean of the paired differences."""


def scene_of(name: str) -> Scene:
    """The model on a floor of 20 x 20 free cells, with two people."""
    spec, body, robots, pods = MODELS[name]
    site = make_site("open", np.zeros((20, 20), bool))
    return build_scene(site, spec(), robots, people=2, body=body, own_pods=pods)


def states(scene: Scene, seed: int) -> dict[str, NDArray[np.float64]]:
    """Random states in which nothing touches: robots 5 m apart, anywhere in their place, at any speed."""
    rng = np.random.default_rng(seed)
    model = scene.model
    state = {"qpos": np.zeros((STATES, model.nq)), "qvel": np.zeros((STATES, model.nv))}
    state["ctrl"] = np.zeros((STATES, model.nu))
    for joint in np.flatnonzero(model.jnt_limited):  # forks and arms: in the middle of what they can
        state["qpos"][:, model.jnt_qposadr[joint]] = model.jnt_range[joint].mean()
        state["qvel"][:, model.jnt_dofadr[joint]] = rng.uniform(-0.1, 0.1, STATES)
    for robot in range(scene.robots):
        q, u, c = (robot * stride for stride in (scene.qpos_stride, scene.qvel_stride, scene.ctrl_stride))
        place = np.array([4.0 + 5.0 * (robot % 3), 4.0 + 5.0 * (robot // 3)]) + rng.uniform(-1.0, 1.0, (STATES, 2))
        yaw = rng.uniform(-np.pi, np.pi, STATES)
        speed, turn = rng.uniform(-0.3, 1.5, (2, STATES)), rng.uniform(-2.0, 2.0, (2, STATES))
        state["qpos"][:, q : q + 2] = place
        state["qvel"][:, u] = speed[0] * np.cos(yaw)
        state["qvel"][:, u + 1] = speed[0] * np.sin(yaw)
        if scene.body == "planar":
            state["qpos"][:, q + 2], state["qvel"][:, u + 2] = yaw, turn[0]
            state["ctrl"][:, c], state["ctrl"][:, c + 2] = speed[1], turn[1]
        else:
            state["qpos"][:, q + 2] = 0.5  # in the air
            state["qpos"][:, q + 3], state["qpos"][:, q + 6] = np.cos(yaw / 2), np.sin(yaw / 2)
            state["qvel"][:, u + 5] = turn[0]
            state["qvel"][:, u + 6 : u + 8] = rng.uniform(-15.0, 15.0, (STATES, 2))
            state["ctrl"][:, c : c + 2] = rng.uniform(-15.0, 15.0, (STATES, 2))
    if scene.pods:
        _lift(scene, state)
    return state


def _lift(scene: Scene, state: dict[str, NDArray[np.float64]]) -> None:
    """Robot r carries pod r: welded where both are, at one speed."""
    wide, fast = (7, 6) if scene.falls else (3, 3)
    state["eq_active"] = np.zeros((STATES, scene.model.neq))
    for robot in range(scene.robots):
        q, u = scene.robots * scene.qpos_stride + robot * wide, scene.robots * scene.qvel_stride + robot * fast
        own_q, own_u = robot * scene.qpos_stride, robot * scene.qvel_stride
        state["qpos"][:, q : q + wide] = state["qpos"][:, own_q : own_q + wide]
        state["qvel"][:, u : u + fast] = state["qvel"][:, own_u : own_u + fast]
        state["eq_active"][:, robot * scene.pods + robot] = 1.0


def one_step(backend: Backend, state: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Where the engine takes the states."""
    for name, values in state.items():
        backend.data(name).assign(values)
    backend.step(1)
    return {name: backend.data(name).numpy().astype(np.float64) for name in ("qpos", "qvel")}


def episodes(make: Callable[..., BatchEnv], worlds: int) -> NDArray[np.float64]:
    """Return of the first episode of each world, (worlds,)."""
    config = replace(NavigateConfig(), time_limit=TIME_LIMIT)
    env = make(generate_campus(4000), config, worlds=worlds, seed=4000)
    env.reset()
    total, running = np.zeros(worlds), np.ones(worlds, bool)
    corridor = navigate_contract(config.spec).slices()["corridor"]
    while running.any():
        step = env.step(driver(host(env.observation), corridor))
        total += np.where(running, host(step.reward), 0.0)
        running &= host(step.ending) == 0
    return total


def driver(observation: NDArray[np.float32], corridor: slice) -> NDArray[np.float32]:
    """Turn to the next way-point, then drive to it."""
    points = observation[:, corridor].reshape(len(observation), -1, 3)
    angle = np.arctan2(points[:, 1, 1], points[:, 1, 0])
    far = 5.0 * np.hypot(points[:, 0, 0], points[:, 0, 1])
    speed = np.where(np.abs(angle) < 0.4, np.clip(0.3 + 0.4 * far, 0.0, 0.8), 0.0)
    return np.stack([speed, np.clip(2.0 * angle, -1.0, 1.0)], axis=-1).astype(np.float32)


def host(array: Any) -> NDArray[Any]:  # a numpy or a Warp array
    """A copy on the host."""
    return np.array(array.numpy() if hasattr(array, "numpy") else array)


def record(path: Path, worlds: int = EPISODES) -> None:
    """Write what the C engine does."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, name in enumerate(MODELS):
        scene = scene_of(name)
        before = states(scene, seed=number)
        after = one_step(BatchBackend(scene.model, STATES), before)
        arrays |= {f"{name}.before.{key}": values for key, values in before.items()}
        arrays |= {f"{name}.after.{key}": values for key, values in after.items()}
    arrays["returns"] = episodes(BatchEnv, worlds)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the keywords for its options


def compare(path: Path, device: str) -> Parity:
    """What mujoco_warp on `device` does with the recording's states and episodes."""
    from sim.warp_backend import WarpBackend

    saved = np.load(path)
    apart: dict[str, float] = {}
    for name in MODELS:
        names = ("qpos", "qvel", "ctrl", "eq_active")
        before = {key: saved[f"{name}.before.{key}"] for key in names if f"{name}.before.{key}" in saved}
        after = one_step(WarpBackend(scene_of(name).model, STATES, device), before)
        apart[name] = max(
            float(np.max(np.abs(values - saved[f"{name}.after.{key}"]) / np.maximum(np.abs(values), 1.0)))
            for key, values in after.items()
        )
    expected = saved["returns"]

    def make(site: Any, config: Any, *, worlds: int, seed: int) -> BatchEnv:  # as BatchEnv's own
        engine = None if device != "cpu" else (lambda scene, count: WarpBackend(scene.model, count, device))
        return BatchEnv(site, config, worlds=worlds, seed=seed, device=device, backend=engine)

    difference = episodes(make, len(expected)) - expected
    half = 1.96 * float(difference.std(ddof=1)) / np.sqrt(len(difference))
    size = float(np.abs(expected).mean())
    return Parity(
        step=apart,
        returns=float((abs(difference.mean()) + half) / size),
        size=size,
        difference=float(difference.mean()),
    )
