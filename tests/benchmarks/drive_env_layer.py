"""What the road's environment costs over its physics: one run, as `RoadEnv.step` and as bare `Batch.step`.

A hand-written driver follows lanes among the default traffic (16 vehicles, 4 people) on the full body: control steps of
50 ms, 5 motor periods of 10 ms, 2 physics steps each. Its actions, each period's controls and the others' boxes, and
each reset's states and fields are recorded. Then the same run is played twice, in turns, by the environment on the
actions and by `mujoco.batch.Batch.step` alone on the records, as for the warehouse (envlayer.py): only the calls of
`Batch.step` count for the rival, and at the end both must stand in the same state, bit for bit. Times are processor
seconds of the process (one thread).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from envlayer import TURN
from figure import Figure
from numpy.typing import NDArray

from sim.backend import BatchBackend
from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.contract import SIDE, SPEED, STEERING, drive_contract
from sim.driving.env import RoadConfig, RoadEnv
from sim.roadfile import load_road

ROADS = ("highway:7", "rural:7", "town:7")
WORLDS = 64

LAYOUT = drive_contract("lane", CAR).slices()
PREVIEWS, VEHICLES = LAYOUT["preview"].start, LAYOUT["vehicles"].start
"""Where the driver by hand finds in an observation what it needs."""


@dataclass
class Records:
    """One run."""

    start: dict[str, NDArray[Any]]  # arrays of any dtype
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    controls: list[NDArray[np.float32]] = field(default_factory=list)
    """Kernels compute them, places and sizes in float32, so that nothing is lost."""
    places: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    """Positions and quaternions of the others' boxes"""
    sizes: list[tuple[tuple[NDArray[np.intp], ...], NDArray[Any]] | None] = field(default_factory=list)
    """Those of boxes that changed, by index"""
    resets: list[tuple[NDArray[np.bool_], dict[str, NDArray[Any]]] | None] = field(default_factory=list)


def driver(seen: NDArray[Any]) -> NDArray[np.float32]:
    """Follow the line as fast as a brisk driver would; observation float32 (rows, n)."""
    v, side, turn = seen[:, 0] * SPEED, seen[:, 6] * 2.0, seen[:, 7]
    span = np.minimum(STEERING, SIDE / np.maximum(v * v, 1.0))
    bend = -(2.0 * turn / np.maximum(v, 3.0) + side / np.maximum(v, 3.0) ** 2)
    return np.stack([np.zeros_like(v), np.clip(bend / span, -1.0, 1.0)], axis=-1).astype(np.float32)


def make(worlds: int) -> RoadEnv:
    """The drive in lane, as it is trained."""
    atlas = Atlas([load_road(name) for name in ROADS])
    env = RoadEnv(atlas, RoadConfig(), worlds=worlds, seed=1, threads=1, body="full")
    env.reset()
    return env


def record(worlds: int, steps: int) -> Records:
    """Play the run once and write everything down."""
    env = make(worlds)
    records = Records(start=env.backend.snapshot())
    backend, physics = env.backend, env.backend.step
    known = records.start["field.geom_size"].copy()

    def look(substeps: int = 1) -> None:
        records.controls.append(backend.ctrl.numpy().astype(np.float32))
        quaternions = backend.data("mocap_quat").numpy()
        records.places.append((backend.mocap_pos.numpy().astype(np.float32), quaternions.astype(np.float32)))
        sizes = backend.field("geom_size").numpy()
        changed = (sizes != known).nonzero()
        records.sizes.append((changed, sizes[changed].copy()) if len(changed[0]) else None)
        known[...] = sizes
        physics(substeps)

    backend.step = look
    for _ in range(steps):
        action = driver(env.observation.numpy())
        records.actions.append(action)
        mask = env.step(action).ending != 0
        if mask.any():
            records.resets.append((mask, {name: values[mask] for name, values in backend.snapshot().items()}))
        else:
            records.resets.append(None)
    return records


def play(records: Records, worlds: int) -> tuple[float, float]:
    """Processor seconds of the environment's steps and of the bare physics steps."""
    env = make(worlds)
    raw = BatchBackend(env.scene.model, worlds, threads=1)
    raw.restore(records.start)
    resets = (reset[1] for reset in records.resets if reset is not None)
    arrays = {name: _array(raw, name) for name in {name for saved in (records.start, *resets) for name in saved}}
    controls, places, quaternions = (raw.data(name).numpy() for name in ("ctrl", "mocap_pos", "mocap_quat"))
    sizes = arrays["field.geom_size"]
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
                controls[...] = records.controls[period]
                places[...], quaternions[...] = records.places[period]
                changed = records.sizes[period]
                if changed is not None:
                    sizes[changed[0]] = changed[1]
                begin = time.process_time()
                raw.batch.step(nstep=substeps)
                bare += time.process_time() - begin
            reset = records.resets[k]
            if reset is not None:
                for name, values in reset[1].items():
                    arrays[name][reset[0]] = values
    np.testing.assert_array_equal(env.backend.qpos.numpy(), raw.qpos.numpy())
    return ours, bare


def _array(raw: BatchBackend, name: str) -> NDArray[Any]:
    """What a snapshot calls by a name."""
    kind, _, of = name.partition(".")
    if name == "diverged":
        return raw.diverged_flags.numpy()
    if not of:
        return raw.data(name).numpy()
    return raw.field(of).numpy() if kind == "field" else raw.batch.expand(of)


def measure(quick: bool) -> Iterable[Figure]:
    """Part env; the rival's value is what bare physics is to itself."""
    steps = 100 if quick else 800
    ours, bare = play(record(WORLDS, steps), WORLDS)
    rate = WORLDS * steps / bare
    yield Figure("env", bare / ours, "1", rival="Batch.step, world steps per CPU-second", rival_value=rate)
