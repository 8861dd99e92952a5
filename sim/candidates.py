"""Many guesses about one wheeled robot, driven by recorded commands side by side: what `muster validate-sim` runs.

A world is one candidate of the parameters on one recorded stretch: world = candidate * stretches + stretch. Parameters
of the body are per-world model fields, those of the firmware are rows of one kernel, so that a whole Jacobian by finite
differences is one batch of worlds. Nothing but the floor acts on a robot here and the floor is even, so its motion does
not depend on where it is: one open-loop run of a stretch gives the error over every horizon from every start.

    wheel_radius, track    body: the wheels' size and place; the firmware goes on believing its own
    mass                   body: mass and inertia of the hull, and the gain of the servo that is tuned to it
    traction               body: the torque at which a wheel slips, mass g traction / 2 over the radius
    accel, brake, turn_accel, lag, latency    firmware: as in sim/drive.py, and a latency may be any time

A motor period in which the command changes is taken in two parts, before and after the change, by the same `slew`; at
whole motor periods this is sim/drive.py's step to the bit (a test holds it), in between it is continuous, which a fit
needs. Not a candidate: the time constant of the velocity servo, which cannot be told from the lag before it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself, and mujoco defines its names at run time: neither is what a type checker takes it for.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import BatchBackend
from sim.bodies.parts import GRAVITY, SERVO_TIME, TRACTION
from sim.device import start_warp
from sim.drive import BRAKE_SHARE, slew
from sim.robot import SECOND, RobotSpec
from sim.scene import Scene, build_scene
from sim.site import make_site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NAMES = ("wheel_radius", "track", "mass", "traction", "accel", "brake", "turn_accel", "lag", "latency")
"""Parameters in the order of every parameter array."""

CHANNELS = ("x", "y", "yaw", "v", "w", "wheel_left", "wheel_right", "torque_left", "torque_right")
"""Columns of what a world does: pose in the frame of its start (m, rad), twist in B (m/s, rad/s), rad/s, N m."""

HALL = 4000.0
"""Side of the empty hall, m: an hour at 1 m/s does not reach its walls."""

NOW = wp.constant(1.0e-7)
"""s; a command that is due within this is due: stamps are sums of decimal fractions."""


@dataclass(frozen=True)
class Stretch:
    """Commands of one uninterrupted stretch of driving, times in s from its start."""

    times: NDArray[np.float64]
    """When each command was released, (n,), ascending; the first rules from the start, the later ones after their
    latency."""
    commands: NDArray[np.float64]
    """v, w; (n, 2)."""
    start: tuple[float, float]
    """Measured v and w at the start."""
    duration: float
    """s"""


@dataclass(frozen=True)
class Restart:
    """A moment at which every body gets the twist that was measured; its firmware goes on undisturbed."""

    tick: int
    """Motor periods from the start."""
    twist: NDArray[np.float64]
    """Measured v and w of each stretch then, (stretches, 2)."""


def nominal(spec: RobotSpec) -> NDArray[np.float64]:
    """What a specification says of each parameter, (parameters,); the floor is nominal, the motors have no lag."""
    drive = spec.diff
    return np.array(
        [drive.wheel_radius, drive.track, spec.mass, TRACTION, drive.accel_max, drive.brake_min * BRAKE_SHARE,
         drive.turn_accel_max, 0.0, 0.0]
    )  # fmt: skip


@wp.struct
class Firmware:
    """What the kernel knows of each world, (worlds,)."""

    accel: wp.array(dtype=wp.float32)
    brake: wp.array(dtype=wp.float32)
    turn_accel: wp.array(dtype=wp.float32)
    lag: wp.array(dtype=wp.float32)
    latency: wp.array(dtype=wp.float64)
    stretch: wp.array(dtype=wp.int32)
    """Which stretch it drives."""
    cursor: wp.array(dtype=wp.int32)
    """The command that rules."""
    setpoint: wp.array2d(dtype=wp.float32)
    output: wp.array2d(dtype=wp.float32)
    """As in sim/drive.py, (worlds, 2)."""


@wp.func
def follow(now: float, old: float, new: float, accel: float, brake: float, share: float, dt: float) -> float:
    """The setpoint after a motor period that begins under `old` and is under `new` after a share of it."""
    if share >= 1.0:
        return slew(now, old, accel, brake, dt)
    if share <= 0.0:
        return slew(now, new, accel, brake, dt)
    return slew(slew(now, old, accel, brake, share * dt), new, accel, brake, (1.0 - share) * dt)


@wp.kernel
def step_firmware(
    time: wp.float64,
    dt: float,
    half_track: float,
    wheel_radius: float,
    times: wp.array2d(dtype=wp.float64),
    commands: wp.array3d(dtype=wp.float32),
    counts: wp.array(dtype=wp.int32),
    firmware: Firmware,
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """One motor period of each world, which begins at `time`."""
    world = wp.tid()
    stretch = firmware.stretch[world]
    late = firmware.latency[world]
    at = firmware.cursor[world]
    last = counts[stretch] - 1
    while at < last and times[stretch, at + 1] + late <= time + wp.float64(NOW):
        at = at + 1
    v0 = commands[stretch, at, 0]
    w0 = commands[stretch, at, 1]
    share = wp.float32(1.0)
    end = time + wp.float64(dt)
    while at < last and times[stretch, at + 1] + late < end - wp.float64(NOW):
        at = at + 1
        share = wp.float32(times[stretch, at] + late - time) / dt
    firmware.cursor[world] = at
    v1 = commands[stretch, at, 0]
    w1 = commands[stretch, at, 1]
    accel = firmware.accel[world]
    turn = firmware.turn_accel[world]
    sv = follow(firmware.setpoint[world, 0], v0, v1, accel, firmware.brake[world], share, dt)
    sw = follow(firmware.setpoint[world, 1], w0, w1, turn, turn, share, dt)
    gain = dt / (firmware.lag[world] + dt)
    ov = firmware.output[world, 0] + (sv - firmware.output[world, 0]) * gain
    ow = firmware.output[world, 1] + (sw - firmware.output[world, 1]) * gain
    firmware.setpoint[world, 0] = sv
    firmware.setpoint[world, 1] = sw
    firmware.output[world, 0] = ov
    firmware.output[world, 1] = ow
    ctrl[world, 0] = ctrl.dtype((ov - ow * half_track) / wheel_radius)
    ctrl[world, 1] = ctrl.dtype((ov + ow * half_track) / wheel_radius)


class Candidates:
    """`count` candidates on every stretch. Owns the worlds."""

    def __init__(self, spec: RobotSpec, stretches: Sequence[Stretch], count: int, threads: int = 2) -> None:
        start_warp()
        self.spec, self.stretches, self.count = spec, tuple(stretches), count
        self.worlds = count * len(self.stretches)
        self.scene = build_scene(
            make_site("hall", np.zeros((2, 2), bool), cell=HALL / 2), spec, 1, 0, "wheeled", visual=False,
            contacts=False,
        )  # fmt: skip
        self.backend = BatchBackend(self.scene.model, self.worlds, threads=threads)
        self.dt = spec.motor_period / SECOND
        self.ticks = max(round(np.ceil(stretch.duration / self.dt - 1e-6)) for stretch in self.stretches)
        self._substeps = round(self.dt / self.scene.timestep)
        self._load_commands()
        self._torque = np.asarray(self.backend.data("actuator_force").numpy())  # the same memory

    def _load_commands(self) -> None:
        longest = max(len(stretch.times) for stretch in self.stretches)
        times = np.full((len(self.stretches), longest), np.inf)
        commands = np.zeros((len(self.stretches), longest, 2), np.float32)
        for index, stretch in enumerate(self.stretches):
            times[index, : len(stretch.times)] = stretch.times
            commands[index, : len(stretch.times)] = stretch.commands
        counts = np.array([len(stretch.times) for stretch in self.stretches], np.int32)
        self._commands = [
            wp.array(times, dtype=wp.float64), wp.array(commands, dtype=wp.float32), wp.array(counts, dtype=wp.int32)
        ]  # fmt: skip

    def run(self, parameters: NDArray[np.float64], restart: Restart | None = None) -> NDArray[np.float64]:
        """Drive every candidate over every stretch: (count, stretches, ticks + 1, channels), one entry a motor period.

        `parameters` is (count, parameters) in the order of NAMES. A world that blew up is NaN from there on.
        """
        again = -1 if restart is None else restart.tick
        each = np.repeat(np.asarray(parameters, np.float64), len(self.stretches), axis=0)
        column = {name: each[:, k] for k, name in enumerate(NAMES)}
        backend, worlds = self.backend, self.worlds
        backend.reset(np.ones(worlds, bool))
        write_body(backend, self.scene, column)
        start = np.tile([stretch.start for stretch in self.stretches], (self.count, 1))
        firmware = self._firmware(column, start)
        qpos, qvel = np.asarray(backend.qpos.numpy()), np.asarray(backend.qvel.numpy())
        qpos[:] = (0.0, 0.0, self.scene.rest_height, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        qpos[:, :2] = HALL / 2
        _set_twist(qpos, qvel, start, column)
        drive = self.spec.diff
        believed = [drive.believed_track / 2.0, drive.believed_wheel_radius]
        inputs = [wp.float64(0.0), self.dt, *believed, *self._commands, firmware, backend.ctrl]
        launch = wp.launch(step_firmware, dim=worlds, inputs=inputs, record_cmd=True)
        out = np.empty((self.ticks + 1, worlds, len(CHANNELS)))
        bad = np.zeros(worlds, bool)
        backend.diverged()  # what happened in an earlier run is not this one's
        self._read(out[0], qpos, qvel)
        for tick in range(self.ticks):
            if restart is not None and tick == again:
                _set_twist(qpos, qvel, np.tile(restart.twist, (self.count, 1)), column)
                self._read(out[tick], qpos, qvel)
            launch.set_param_at_index(0, wp.float64(tick * self.dt))
            launch.launch()
            backend.step(self._substeps)
            bad |= backend.diverged()
            self._read(out[tick + 1], qpos, qvel)
            out[tick + 1, bad] = np.nan
        out[:, :, 2] = np.unwrap(out[:, :, 2], axis=0)
        return np.moveaxis(out, 0, 1).reshape(self.count, len(self.stretches), self.ticks + 1, len(CHANNELS))

    def _firmware(self, column: Mapping[str, NDArray[np.float64]], start: NDArray[np.float64]) -> Firmware:
        firmware = Firmware()
        for name in ("accel", "brake", "turn_accel", "lag"):
            setattr(firmware, name, wp.array(column[name].astype(np.float32), dtype=wp.float32))
        firmware.latency = wp.array(column["latency"], dtype=wp.float64)
        indexes = np.tile(np.arange(len(self.stretches), dtype=np.int32), self.count)
        firmware.stretch = wp.array(indexes, dtype=wp.int32)
        firmware.cursor = wp.zeros(self.worlds, dtype=wp.int32)
        drive = self.spec.diff  # the firmware knows its speed by its own radius and track
        scale = drive.believed_wheel_radius / column["wheel_radius"]
        turn = scale * column["track"] / drive.believed_track
        own = np.stack([start[:, 0] * scale, start[:, 1] * turn], axis=-1)
        firmware.setpoint = wp.array(own.astype(np.float32), dtype=wp.float32)
        firmware.output = wp.array(own.astype(np.float32), dtype=wp.float32)
        return firmware

    def _read(self, out: NDArray[np.float64], qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> None:
        quaternion = qpos[:, 3:7]
        yaw = 2.0 * np.arctan2(quaternion[:, 3], quaternion[:, 0])
        out[:, 0:2] = qpos[:, 0:2] - HALL / 2
        out[:, 2] = yaw
        out[:, 3] = np.cos(yaw) * qvel[:, 0] + np.sin(yaw) * qvel[:, 1]
        out[:, 4] = qvel[:, 5]
        out[:, 5:7] = qvel[:, 6:8]
        out[:, 7:9] = self._torque


def _set_twist(
    qpos: NDArray[np.float64],
    qvel: NDArray[np.float64],
    twist: NDArray[np.float64],
    column: Mapping[str, NDArray[np.float64]],
) -> None:
    """Let every body roll with v and w, (worlds, 2), wherever it is."""
    yaw = 2.0 * np.arctan2(qpos[:, 6], qpos[:, 3])
    qvel[:] = 0.0
    qvel[:, 0], qvel[:, 1], qvel[:, 5] = np.cos(yaw) * twist[:, 0], np.sin(yaw) * twist[:, 0], twist[:, 1]
    qvel[:, 6:8] = wheel_speeds(twist, column["track"], column["wheel_radius"])


def wheel_speeds(
    twist: NDArray[np.float64], track: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Left and right wheel of a body that rolls, rad/s: (v -+ w track / 2) / radius; twist (n, 2)."""
    v, w = twist[:, 0], twist[:, 1]
    return np.stack([(v - w * track / 2.0) / radius, (v + w * track / 2.0) / radius], axis=-1)


def write_body(backend: BatchBackend, scene: Scene, column: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the body's parameters, (worlds,) each, into the fields of the worlds, from the model's own values.

    Of MuJoCo's C engine alone: where a body hangs (body_pos) is none of the fields that both engines let vary.
    """
    model, worlds = scene.model, backend.worlds
    radius, half_track = column["wheel_radius"], column["track"] / 2.0
    position = np.repeat(model.body_pos[None], worlds, axis=0)
    size, bound = np.repeat(model.geom_size[None], worlds, axis=0), np.repeat(model.geom_rbound[None], worlds, axis=0)
    box = np.repeat(model.geom_aabb.reshape(1, -1), worlds, axis=0).reshape(worlds, model.ngeom, 6)
    for name, side in (("left0", 1.0), ("right0", -1.0)):
        body = model.body(name)
        geom = int(body.geomadr[0])
        position[:, body.id, 1], position[:, body.id, 2] = side * half_track, radius
        size[:, geom, 0] = bound[:, geom] = radius
        box[:, geom, 3:6] = radius[:, None]
    hull = model.body("robot0").id
    own = float(model.body_mass[hull])
    factor = (own + column["mass"] - scene.spec.mass) / own
    mass, inertia = (
        np.repeat(model.body_mass[None], worlds, axis=0),
        np.repeat(model.body_inertia[None], worlds, axis=0),
    )
    mass[:, hull] *= factor
    inertia[:, hull] *= factor[:, None]
    limit = column["mass"] / 2.0 * column["traction"] * GRAVITY * radius
    force = np.stack([-limit, limit], axis=-1)[:, None].repeat(model.nu, axis=1)
    servo = column["mass"] / 2.0 * radius**2 / (2.0 * SERVO_TIME)  # tuned to its robot, as in sim/scene.py
    gain, bias = (np.repeat(part[None], worlds, axis=0) for part in (model.actuator_gainprm, model.actuator_biasprm))
    gain[:, :, 0], bias[:, :, 2] = servo[:, None], -servo[:, None]
    armature = np.repeat(model.dof_armature[None], worlds, axis=0)  # of rotor and gears: goes with what the wheel moves
    spec = scene.spec
    heft = column["mass"] / spec.mass * (radius / spec.diff.wheel_radius) ** 2
    armature[:, -2:] *= heft[:, None]
    for name, values in (
        ("dof_armature", armature), ("actuator_gainprm", gain), ("actuator_biasprm", bias),
        ("geom_size", size), ("geom_rbound", bound), ("geom_aabb", box.reshape(worlds, *model.geom_aabb.shape)),
        ("body_pos", position), ("body_inertia", inertia), ("actuator_forcerange", force), ("body_mass", mass),
    ):  # fmt: skip
        backend.batch.expand(name)[:] = values
    backend.batch.set_const()
