"""The kinematic car: a single-track body behind `sim.backend.Backend`, for traffic by the thousand.

base_link, the middle of the rear axle, follows its steering and accelerates as the drive says, within the tyres' grip:

    |a_y| <= mu g                    a_y = v^2 kappa: beyond it the car understeers, kappa = mu g / v^2
    |a|   <= sqrt((mu g)^2 - a_y^2)  the friction circle
    v     >= 0                       brakes hold it where it stands

What the full body does beyond following its steering is small and regular, and copied: its yaw follows the steering by
YAW_TIME, its tyres creep sideways by CREEP of the lateral acceleration.

Within a step acceleration and curvature are constant, so that the path is an arc of s = v t + a t^2 / 2 (until the
car stands) and its chord is exact: 2 sin(kappa s / 2) / kappa at the yaw of its middle. Controls are what the firmware
gives (sim/driving/drive.py): acceleration after brakes and lags, and curvature of the steering.

For each robot qpos is x, y, yaw, qvel is v, sideways, yaw rate and curvature, ctrl is acceleration and curvature.
Everything is float32 on either device. There is no model, so that no field differs between worlds but `friction`, which
is the backend's own.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import as_mask, unknown_field
from sim.device import start_warp
from sim.fields import Recompute
from sim.launches import record
from sim.robot import SECOND, RobotSpec
from sim.watch import watch
from sim.worldrows import check_mask, check_snapshot, check_substeps

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

GRAVITY_C = wp.constant(9.81)

STRAIGHT = wp.constant(1e-6)
"""Below this angle of an arc (rad) its chord is its length: they differ by 1e-13 of it."""


YAW_TIME = wp.constant(0.028)
"""By how much the full body's yaw lags its steering, s (measured at 5 to 30 m/s, 2026-11)."""

CREEP = wp.constant(0.0118)
"""Speed sideways, outwards, of the full body's rear axle over its lateral acceleration, s (measured, 2026-11)."""


@wp.kernel
def step_cars(
    dt: float,
    robots: int,
    friction: wp.array(dtype=wp.float32),
    ctrl: wp.array2d(dtype=wp.float32),
    qpos: wp.array2d(dtype=wp.float32),
    qvel: wp.array2d(dtype=wp.float32),
) -> None:
    """One step of each row; the equations stand in the module's docstring."""
    row = wp.tid()
    world = row / robots
    at = 3 * (row % robots)
    u = 4 * (row % robots)
    control = 2 * (row % robots)
    v = wp.max(qvel[world, u], 0.0)
    grip = friction[row] * GRAVITY_C
    curvature = qvel[world, u + 3]
    curvature += (ctrl[world, control + 1] - curvature) * dt / (YAW_TIME + dt)
    qvel[world, u + 3] = curvature
    across = v * v * wp.abs(curvature)
    if across > grip:
        curvature = wp.sign(curvature) * grip / (v * v)
        across = grip
    along = wp.sqrt(wp.max(grip * grip - across * across, 0.0))
    a = wp.clamp(ctrl[world, control], -along, along)
    after = v + a * dt
    arc = 0.5 * (v + after) * dt
    if after < 0.0:
        arc = 0.5 * v * v / wp.max(-a, 1.0e-9)
        after = 0.0
    turned = curvature * arc
    chord = arc
    if wp.abs(turned) > STRAIGHT:
        chord = 2.0 * wp.sin(0.5 * turned) / curvature
    yaw = qpos[world, at + 2]
    c = wp.cos(yaw + 0.5 * turned)
    s = wp.sin(yaw + 0.5 * turned)
    sideways = -CREEP * v * v * curvature
    qpos[world, at] += chord * c - sideways * dt * s
    qpos[world, at + 1] += chord * s + sideways * dt * c
    qpos[world, at + 2] = yaw + turned
    qvel[world, u] = after
    qvel[world, u + 1] = -CREEP * after * after * curvature
    qvel[world, u + 2] = after * curvature


@wp.kernel
def reset_cars(
    mask: wp.array(dtype=wp.uint8),
    qpos: wp.array2d(dtype=wp.float32),
    qvel: wp.array2d(dtype=wp.float32),
    ctrl: wp.array2d(dtype=wp.float32),
    flags: wp.array(dtype=wp.uint8),
) -> None:
    """The initial state of the masked worlds: all at the origin, at rest."""
    world = wp.tid()
    if mask[world] == wp.uint8(0):
        return
    flags[world] = wp.uint8(0)
    for k in range(qpos.shape[1]):
        qpos[world, k] = 0.0
    for k in range(qvel.shape[1]):
        qvel[world, k] = 0.0
    for k in range(ctrl.shape[1]):
        ctrl[world, k] = 0.0


class KinematicBackend:
    """`sim.backend.Backend` without an engine. Owns the worlds' state."""

    STRIDE = 3
    """Coordinates of one car."""
    SPEEDS = 4
    CONTROLS = 2

    def __init__(self, spec: RobotSpec, worlds: int, robots: int, device: str = "cpu") -> None:
        start_warp()
        self.worlds, self.device, self.timestep = worlds, device, spec.motor_period / SECOND
        self.captures = device != "cpu"  # a launch on the CPU costs as little by itself as in a graph
        rows = worlds * robots

        def floats(*shape: int) -> wp.array:
            return wp.zeros(shape, dtype=wp.float32, device=device)

        self.qpos, self.qvel = floats(worlds, self.STRIDE * robots), floats(worlds, self.SPEEDS * robots)
        self.ctrl, self.qacc_warmstart = floats(worlds, self.CONTROLS * robots), floats(worlds, 0)
        self.friction = wp.full(rows, 1.0, dtype=wp.float32, device=device)
        """Coefficient of each row's tyres, (worlds * robots,); kernels may write it."""
        self.mocap_pos, self.sensordata = floats(worlds, 0, 3), floats(worlds, 0)
        self.memory: Mapping[str, wp.array] = {}
        self.diverged_flags = wp.zeros(worlds, dtype=wp.uint8, device=device)
        self._mask = wp.zeros(worlds, dtype=wp.uint8, device=device)
        self._data = {
            "qpos": self.qpos, "qvel": self.qvel, "ctrl": self.ctrl, "qacc_warmstart": self.qacc_warmstart,
            "mocap_pos": self.mocap_pos, "mocap_quat": floats(worlds, 0, 4), "sensordata": self.sensordata,
            "friction": self.friction.reshape((worlds, robots)),
        }  # fmt: skip
        self._step = record(
            step_cars,
            dim=rows,
            inputs=[self.timestep, robots, self.friction, self.ctrl, self.qpos, self.qvel],
            device=device,
        )
        self._watch = record(
            watch,
            dim=worlds,
            inputs=[
                wp.zeros((0, 0), dtype=wp.int32, device=device), floats(1, self.STRIDE * robots), self.qpos, self.qvel,
                floats(worlds, self.SPEEDS * robots), floats(worlds, 0), self.ctrl, self.diverged_flags,
            ],
            device=device,
        )  # fmt: skip

    def data(self, name: str) -> wp.array:
        """An array of the state, or `friction`; ValueError for an unknown name."""
        if name not in self._data:
            raise ValueError(f"expected one of {', '.join(self._data)}, got {name!r}")
        return self._data[name]

    def field(self, name: str) -> wp.array:
        """There is no model: ValueError."""
        raise unknown_field(name)

    def varied(self) -> dict[str, wp.array]:
        """No field differs between worlds."""
        return {}

    def recompute(self, level: Recompute, mask: NDArray[np.bool_] | wp.array | None = None) -> None:
        """Nothing follows from anything."""
        if mask is not None:
            check_mask(mask, self.worlds)

    def step(self, substeps: int = 1) -> None:
        """Advance every world."""
        check_substeps(substeps)
        for _ in range(substeps):
            self._step.launch()

    def watch(self) -> None:
        """One kernel over the state."""
        self._watch.launch()

    def reset(self, mask: NDArray[np.bool_] | wp.array) -> None:
        """The initial state where the mask is set."""
        check_mask(mask, self.worlds)
        if not isinstance(mask, wp.array):
            self._mask.assign(as_mask(mask, self.worlds).astype(np.uint8))
        where = mask if isinstance(mask, wp.array) else self._mask
        state = [where, self.qpos, self.qvel, self.ctrl, self.diverged_flags]
        wp.launch(reset_cars, dim=self.worlds, inputs=state, device=self.device)

    def set_field(self, name: str, values: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> None:
        """There is no model: ValueError."""
        raise unknown_field(name)

    def diverged(self) -> NDArray[np.bool_]:
        """Watch, and read and clear the flags."""
        self.watch()
        lost = self.diverged_flags.numpy().astype(bool)
        self.diverged_flags.zero_()
        return lost

    def check_overflow(self) -> None:
        """There is no buffer that could be full."""

    def snapshot(self) -> dict[str, NDArray]:
        """Copies of the state, the flags and the friction."""
        names = ("qpos", "qvel", "ctrl", "friction")
        saved = {name: self._data[name].numpy().copy() for name in names}
        return saved | {"diverged": self.diverged_flags.numpy().copy()}

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Return to a snapshot; stepping on is bit-identical. Raises SnapshotError for another backend's."""
        own = self.snapshot()
        check_snapshot(saved, own, lambda _: None)  # no model, no fields
        for name in own.keys() - {"diverged"}:
            self._data[name].assign(saved[name])
        self.diverged_flags.assign(saved["diverged"])
