"""The environment on CUDA over the physics that it runs: whole steps in one graph, against `mujoco_warp.step` in one.

In turns of 20 control steps: the environment steps; then its state is copied into a second backend and the same number
of bare physics steps, captured in a graph of their own, go on from there with the controls as they stand. 16,384 worlds
of the training task, one robot each, two people, random actions. Wall time from an idle device to an idle device.
"""

from __future__ import annotations

from collections.abc import Iterable

import mujoco_warp
import warp as wp
from figure import Figure
from gpu import cuda, make_env, seconds_of, settled

from sim.backend import STATE_FIELDS
from sim.env import BatchEnv
from sim.graph import StepGraph
from sim.warp_backend import WarpBackend

WORLDS = 16_384
TURN = 20
"""Control steps played by one side before the other's turn."""


def shares(env: BatchEnv, turns: int) -> tuple[float, float]:
    """Seconds of the environment and of bare physics."""
    assert isinstance(env.backend, WarpBackend)
    raw = WarpBackend(env.scene.model, env.worlds, env.device, fields=("actuator_forcerange",))
    substeps = len(env.plant._drives) * env.plant.substeps

    def physics() -> None:
        with wp.ScopedDevice(raw.device):
            for _ in range(substeps):
                mujoco_warp.step(raw.model, raw.state)

    bare = StepGraph(physics, env.device, parts=raw.parts)
    for _ in range(3):
        bare.launch()
    ours = theirs = 0.0
    for _ in range(turns):
        ours += seconds_of(env.device, env.step, TURN)
        for name in STATE_FIELDS:
            if raw.data(name).size:
                wp.copy(raw.data(name), env.backend.data(name))
        wp.copy(raw.field("actuator_forcerange"), env.backend.field("actuator_forcerange"))
        theirs += seconds_of(env.device, bare.launch, TURN)
    env.backend.check_overflow()
    if env.device != "cpu" and not bare.report.used:
        raise RuntimeError(bare.report.line())
    return ours, theirs


def measure(quick: bool) -> Iterable[Figure]:
    """Parts env and with_lidar; the rival's value is its control steps per second."""
    device = cuda()
    turns = 5 if quick else 50
    for part, lidar in (("env", False), ("with_lidar", True)):
        ours, bare = shares(settled(make_env(device, WORLDS, 1, lidar=lidar)), turns)
        rate = WORLDS * turns * TURN / bare
        yield Figure(part, bare / ours, "1", rival="graph of mujoco_warp.step, world steps/s", rival_value=rate)
