"""Drives that show what a robot is: commands that excite every parameter, and a simulated robot that follows them.

`excitation` draws commands to be driven on an open floor of 30 m or more, for a real robot as for a simulated one: each
held for 0.3 to 1.5 s, a quarter of them straight, a quarter on the spot, a quarter arcs, a quarter stops out of speed
and turn, because a brake, a turn and a slipping wheel show only where they are used to the full.

`record` is the other side of a test of `validate-sim`: the plant (sim/plant.py), its wheeled body, its drive and its
noisy sensors, with planted parameters in place of the drawn ones. It shares no kernel with sim/candidates.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.bodies.parts import GRAVITY
from sim.candidates import NAMES, Stretch, nominal
from sim.openloop import Drive, Samples
from sim.plant import Plant
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.robot import SECOND, RobotSpec
from sim.site import make_site
from sim.varied import plant_table

HALL = 1000.0
"""Side of the empty hall, m."""

WHEEL_NOISE = 0.05
"""Standard deviation of one wheel speed, rad/s: an encoder of 2,500 counts a turn read every 50 ms."""


TORQUE_NOISE = 0.2
"""Standard deviation of one wheel torque, N m: a current sensor's 2 % of a motor of 10 N m."""


@dataclass(frozen=True)
class Planted:
    """What a simulated robot is beside its specification."""

    traction: float = 0.8
    """As in sim/candidates.py."""
    lag: float = 0.0
    """s"""
    latency: int = 0
    """Motor periods."""


def plant_robot(spec: RobotSpec, seed: int) -> tuple[RobotSpec, Planted]:
    """Another robot of the kind: every parameter drawn within what wear, load and floors do to one.

    Its firmware believes the wheels and the track of `spec`. The floor is oily (traction 0.20 to 0.28): on a better one
    no wheel slips within the firmware's limits, and traction cannot be seen.
    """
    u = unit_numpy(draw_numpy(seed, Term.FRICTION, 0, 0, np.arange(9))).astype(float).tolist()
    drive = spec.diff
    planted = replace(
        spec,
        mass=spec.mass * (0.9 + 0.4 * u[0]),
        drive=replace(
            drive,
            wheel_radius=drive.wheel_radius * (0.93 + 0.14 * u[1]),
            track=drive.track * (0.93 + 0.14 * u[2]),
            firmware_wheel_radius=drive.believed_wheel_radius,
            firmware_track=drive.believed_track,
            accel_max=drive.accel_max * (0.7 + 0.6 * u[3]),
            brake_min=drive.brake_min * (0.8 + 0.4 * u[4]),
            turn_accel_max=drive.turn_accel_max * (0.7 + 0.3 * u[5]),
        ),
    )
    return planted, Planted(traction=0.20 + 0.08 * u[6], lag=0.015 + 0.02 * u[7], latency=1 + int(3 * u[8]))


def true_parameters(spec: RobotSpec, planted: Planted) -> NDArray[np.float64]:
    """The planted values in the order of `sim.candidates.NAMES`."""
    values = nominal(spec)
    values[NAMES.index("traction")] = planted.traction
    values[NAMES.index("lag")] = planted.lag
    values[NAMES.index("latency")] = planted.latency * spec.motor_period / SECOND
    return values


def excitation(spec: RobotSpec, seconds: float, seed: int, run: int = 0) -> NDArray[np.float32]:
    """Commands v, w of each control cycle, (cycles, 2): the same for the same spec, seed and run."""
    cycles = round(seconds * SECOND / spec.period)
    drive = spec.diff
    # a stream of its own under the seed; world = run, as everywhere
    drawn = unit_numpy(draw_numpy(seed, Term.PATH, run, np.arange(cycles)[:, None], np.arange(4)[None])).astype(float)
    commands = np.zeros((cycles, 2), np.float32)
    at, turn = 0, 0
    for kind, length, first, second in drawn:
        if at >= cycles:
            break
        hold = 3 + int(length * 13)
        v = -drive.reverse_max + first * (drive.speed_max + drive.reverse_max)
        w = (2.0 * second - 1.0) * drive.turn_max
        shape = int(kind * 4)
        if shape == 0:
            w = 0.0
        elif shape == 1:
            v = 0.0
        elif shape == 3:  # out of speed and turn, at once
            commands[at : at + 16] = (drive.speed_max * (0.7 + 0.3 * first), drive.turn_max * (1.0 - 2.0 * (turn % 2)))
            at, turn = at + 16, turn + 1
            v, w = 0.0, -w
        commands[at : at + hold] = (v, w)
        at += hold
    return commands


def record(
    spec: RobotSpec,
    planted: Planted,
    seconds: float,
    runs: int,
    seed: int,
    *,
    level: float = 1.0,
    wheels: bool = False,
    torques: bool = False,
) -> list[Drive]:
    """Drives of `runs` recordings, r0 .., by the plant's wheeled body with its sensors' errors (level 0: none)."""
    plant = Plant(
        make_site("hall", np.zeros((2, 2), bool), cell=HALL / 2), spec, worlds=runs, vary=plant_table(spec, level),
        seed=seed, body="wheeled", threads=2, lidar=False,
    )  # fmt: skip
    state, drive = plant.state, plant.drive
    plant.renew(plant.all_rows).launch()
    place = np.asarray(state.pose.numpy())
    place[:] = (HALL / 2, HALL / 2, 0.0)
    plant.place(plant.all_rows).launch()
    limit = spec.mass / 2.0 * planted.traction * GRAVITY * spec.diff.wheel_radius
    plant.limits.numpy()[..., 0], plant.limits.numpy()[..., 1] = -limit, limit
    drive.lag.fill_(planted.lag)
    drive.latency.fill_(planted.latency)
    commands = np.stack([excitation(spec, seconds, seed, run) for run in range(runs)], axis=1)
    poses, twists, speeds, efforts = [], [], [], []
    effort = np.asarray(plant.backend.data("actuator_force").numpy())  # the same memory
    sense = plant.sense(plant.all_rows)
    qvel = np.asarray(plant.backend.qvel.numpy(), np.float64)  # the same memory
    begin = plant.open(wp.zeros((runs, 2), dtype=wp.float32))
    plant.read()
    for command in [*commands, commands[-1]]:
        for launch in sense:
            launch.launch()
        poses.append(np.array(state.measured_pose.numpy(), np.float64))
        twists.append(np.array(state.measured_twist.numpy(), np.float64))
        speeds.append(qvel[:, 6:8].copy())
        efforts.append(effort.copy())
        begin.launch()
        state.proposed.assign(command)
        plant.move()
    times = np.arange(len(poses)) * spec.period / SECOND
    pose, twist = np.stack(poses), np.stack(twists)
    pose[..., 2] = np.unwrap(pose[..., 2], axis=0)
    noise = np.random.default_rng(seed).normal(0.0, level, (2, len(poses), runs, 2))
    turning = np.stack(speeds) + WHEEL_NOISE * noise[0]
    pulling = np.stack(efforts) + TORQUE_NOISE * noise[1]
    found = []
    for run in range(runs):
        # it stood before, and the first command is late too
        told = np.array([(0.0, 0.0), *commands[:, run].tolist()], np.float64)
        stretch = Stretch(np.concatenate([[-1.0], times[:-1]]), told, (0.0, 0.0), float(times[-1]))
        pose_seen, twist_seen = Samples(times, pose[:, run]), Samples(times, twist[:, run])
        wheels_seen = Samples(times, turning[:, run]) if wheels else None
        torques_seen = Samples(times, pulling[:, run]) if torques else None
        found.append(Drive(f"r{run}", stretch, pose_seen, twist_seen, wheels_seen, torques_seen))
    return found
