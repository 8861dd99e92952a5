"""Which contacts are sensed: a sensor for each pair that can touch, and where the pairs of a robot or a pod lie.

The engine's contact sensor tells of two geoms or bodies whether they touch. A robot is its hull, and its fork or its
arm; racks and walls are one counterpart, every other thing is one of its own, so that a contact that begins while
another lasts is not missed.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.robot import RobotSpec

Part = tuple[mujoco.mjtObj, str]
"""A geom, a body, or a body with all that hangs on it (xbody), by name."""

MAP: Part = (mujoco.mjtObj.mjOBJ_BODY, "world")
"""Racks, walls and all else that never moves and is one body of the engine."""


def parts(spec: RobotSpec, number: int) -> list[Part]:
    """What of a robot counts where contacts are sensed: its hull, and the body of its fork or all links of its arm."""
    parts: list[Part] = [(mujoco.mjtObj.mjOBJ_GEOM, f"hull{number}")]
    if spec.fork is not None:
        parts.append((mujoco.mjtObj.mjOBJ_BODY, f"fork{number}"))
    if spec.arm is not None:
        parts.append((mujoco.mjtObj.mjOBJ_XBODY, f"arm{number}"))
    return parts


def of_robot(spec: RobotSpec, one: int, robots: int, things: list[Part]) -> list[tuple[Part, Part]]:
    """Pairs that a robot's contacts are: with the map, the other robots by number, and things."""
    others = [part for two in range(robots) if two != one for part in parts(spec, two)]
    return [(part, other) for part in parts(spec, one) for other in (MAP, *others, *things)]


def of_pod(spec: RobotSpec, one: int, robots: int, things: list[Part]) -> list[tuple[Part, Part]]:
    """Pairs that a carried pod's contacts are; with the map its deck alone, because its feet stand on the floor."""
    whole: Part = (mujoco.mjtObj.mjOBJ_BODY, f"pod{one}")
    pairs: list[tuple[Part, Part]] = [((mujoco.mjtObj.mjOBJ_GEOM, f"shelf{one}"), MAP)]
    pairs += [(whole, thing) for thing in things if thing != whole]
    return pairs + [(part, whole) for number in range(robots) for part in parts(spec, number)]


def add_sensors(world: mujoco.MjSpec, made: dict[frozenset[str], str], pairs: list[tuple[Part, Part]]) -> list[str]:
    """Names of the sensors of the pairs; those that are not yet `made` are added."""
    names: list[str] = []
    for (kind, part), (other_kind, other) in pairs:
        key = frozenset((part, other))
        if key not in made:
            made[key] = f"{part} {other}"
            world.add_sensor(
                name=made[key],
                type=mujoco.mjtSensor.mjSENS_CONTACT,
                objtype=kind,
                objname=part,
                reftype=other_kind,
                refname=other,
                intprm=(1, 0, 1),  # data = found (bit 0), no reduction, one slot
            )
        names.append(made[key])
    return names


def addresses(model: mujoco.MjModel, sensors: list[list[str]]) -> NDArray[np.int32]:
    """Where in the sensor data the named sensors lie, int32 (lists, sensors of each)."""
    return np.array([[model.sensor(name).adr[0] for name in names] for names in sensors], np.int32).reshape(
        len(sensors), -1 if sensors else 0
    )
