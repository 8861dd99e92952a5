"""What the environment costs over its physics: one run, measured as the environment and as bare `Batch.step`.

A hand-written driver follows corridors past people for `steps` control steps of 5 motor periods of 20 ms (one physics
step each on the planar body, four on the wheeled); its actions, each period's controls and mocap places, and each
reset's states and fields are recorded. Then the same run is played twice, in turns of a hundred control steps so that
both meet the same machine: by `BatchEnv.step` on the actions, and by `mujoco.batch.Batch.step` alone on the records.
Only the calls of `Batch.step` count for the rival; writing the records into its state does not. At the end both must
stand in the same state, bit for bit. Times are processor seconds of the process (one thread), so that other work on the
machine does not enter.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from figure import Figure
from numpy.typing import NDArray

from sim.backend import BatchBackend
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.scene import Body
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import navigate_contract

TURN = 100
"""Control steps played by one side before the other's turn."""

STATE = ("qpos", "qvel", "qacc_warmstart")
"""What a reset writes."""


@dataclass
class Records:
    """One run."""

    start: dict[str, NDArray[Any]]  # arrays of any dtype
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    controls: list[NDArray[np.float32]] = field(default_factory=list)
    """Kernels compute them in float32, so that nothing is lost."""
    people: list[NDArray[np.float32]] = field(default_factory=list)
    resets: list[tuple[NDArray[np.bool_], dict[str, NDArray[np.float64]], NDArray[np.float32]] | None] = field(
        default_factory=list
    )


def driver(env: BatchEnv) -> NDArray[np.float32]:
    """Turn to the next way-point, then drive to it; the corridor alone is looked at, so that it needs no lidar."""
    observation = env.observation.numpy()
    corridor = observation[:, navigate_contract(env.spec).slices()["corridor"]].reshape(env.rows, -1, 3)
    angle = np.arctan2(corridor[:, 1, 1], corridor[:, 1, 0])
    far = 5.0 * np.hypot(corridor[:, 0, 0], corridor[:, 0, 1])
    speed = np.where(np.abs(angle) < 0.4, np.clip(0.3 + 0.4 * far, 0.0, 0.8), 0.0)
    return np.stack([speed, np.clip(2.0 * angle, -1.0, 1.0)], axis=-1).astype(np.float32)


def make(worlds: int, robots: int, body: Body, *, lidar: bool) -> BatchEnv:
    """The environment of the training task."""
    site = generate_campus(0)
    env = BatchEnv(site, NavigateConfig(), worlds=worlds, robots=robots, seed=1, threads=1, body=body, lidar=lidar)
    env.reset()
    return env


def record(worlds: int, robots: int, steps: int, body: Body) -> Records:
    """Play the run once and write everything down."""
    env = make(worlds, robots, body, lidar=False)
    records = Records(start=env.backend.snapshot())

    physics = env.backend.step

    def look(substeps: int = 1) -> None:
        records.controls.append(env.backend.ctrl.numpy().astype(np.float32))
        records.people.append(env.backend.mocap_pos.numpy().astype(np.float32))
        physics(substeps)

    env.backend.step = look
    for _ in range(steps):
        action = driver(env)
        records.actions.append(action)
        step = env.step(action)
        mask = (step.ending != 0).reshape(worlds, robots).any(axis=1)
        if mask.any():
            states = {name: getattr(env.backend, name).numpy()[mask].copy() for name in STATE}
            fields = env.backend.snapshot()["field.actuator_forcerange"][mask]
            records.resets.append((mask, states, fields))
        else:
            records.resets.append(None)
    return records


def play(records: Records, worlds: int, robots: int, body: Body, *, lidar: bool) -> tuple[float, float]:
    """Processor seconds of the environment's steps and of the bare physics steps."""
    env = make(worlds, robots, body, lidar=lidar)
    raw = BatchBackend(env.scene.model, worlds, threads=1)
    raw.restore(records.start)
    state = {name: getattr(raw, name).numpy() for name in (*STATE, "ctrl", "mocap_pos")}
    limits = raw.batch.expand("actuator_forcerange")
    periods, substeps = len(records.controls) // len(records.actions), env.plant.substeps
    ours = bare = 0.0
    for first in range(0, len(records.actions), TURN):
        turn = range(first, min(first + TURN, len(records.actions)))
        begin = time.process_time()
        for k in turn:
            env.step(records.actions[k])
        ours += time.process_time() - begin
        for k in turn:
            for period in range(k * periods, (k + 1) * periods):
                state["ctrl"][...] = records.controls[period]
                state["mocap_pos"][...] = records.people[period]
                begin = time.process_time()
                raw.batch.step(nstep=substeps)
                bare += time.process_time() - begin
            reset = records.resets[k]
            if reset is not None:
                mask, states, fields = reset
                for name, values in states.items():
                    state[name][mask] = values
                limits[mask] = fields
    np.testing.assert_array_equal(env.backend.qpos.numpy(), raw.qpos.numpy())
    return ours, bare


def layer(worlds: int, robots: int, quick: bool, body: Body = "planar") -> Iterable[Figure]:
    """Both parts for one number of robots per world; the rival's value is what bare physics is to itself."""
    steps = 150 if quick else 2000
    records = record(worlds, robots, steps, body)
    for part, lidar in (("env", False), ("with_lidar", True)):
        ours, bare = play(records, worlds, robots, body, lidar=lidar)
        rate = worlds * steps / bare
        yield Figure(part, bare / ours, "1", rival="Batch.step, world steps per CPU-second", rival_value=rate)
