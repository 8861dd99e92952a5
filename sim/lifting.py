"""Lifting a pod: whether a kind of robot can, what it is to its shield with one on, and where the pod above it stands.

A robot under the shield is its circle: it drives under a pod only where that circle, grown by what the shield adds to
standing things, passes between the legs, and it turns with a pod only where the pod's own circle stays in the cell.
With a pod it is `loaded`: as long and wide as the pod. The mass of a pod within `payload_max` is what the guaranteed
braking stands for.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.robot import RobotSpec
from sim.site import Site

LEG = 0.04
"""Side of a pod's leg, m (sim/bodies/pod.py; this module needs no physics)."""

HEADROOM = 0.36
"""Highest hull that passes under a pod, m: the deck's lower face (0.38, sim/bodies/pod.py) less the lidar's 0.02."""

EMPTY_POD = 20.0
"""Mass of a pod without goods, kg (sim/bodies/pod.py)."""

CREEPING = 0.5
"""Horizon of the tracking error while a robot creeps, s: from 0.2 m/s it stands within less."""

SPEED, TURN = 0.6, 0.8
"""m/s and rad/s; the most that the shield lets a robot with a pod be told. With a pod of 40 kg the small AMR then stays
within 6 mm of the prediction, well inside its bound; at 1.5 m/s and 2 rad/s it strays by 0.12 m, on wheels by 0.23 m,
because its drives cannot turn the pod as fast as they are told (2026-11)."""

NEAR_LEG = 0.12
"""m; what the lidar hits this near to where a leg should be is that leg."""


def with_pod(spec: RobotSpec, site: Site) -> RobotSpec:
    """The robot with the footprint that it has while it carries one of the site's pods."""
    length, width, _ = site.fixtures.pod_size
    return replace(spec, length=max(length, spec.length), width=max(width, spec.width))


def loaded(spec: RobotSpec, site: Site) -> RobotSpec:
    """The robot as its shield takes it while it carries a pod: as large as that, and no faster than SPEED and TURN."""
    drive = replace(spec.diff, speed_max=min(SPEED, spec.diff.speed_max), turn_max=min(TURN, spec.diff.turn_max))
    return replace(with_pod(spec, site), drive=drive)


def why_not(spec: RobotSpec, site: Site) -> str:
    """Why robots of a kind cannot lift the pods of a site and carry them; empty where they can."""
    if site.fixtures.pod_side is None or not site.fixtures.pods:
        return "the site has no pods that are lifted"
    if spec.height > HEADROOM:
        return f"is {spec.height:.2f} m high, under pods pass {HEADROOM:g} m"
    length, width, _ = site.fixtures.pod_size
    error = spec.tracking_e0 + spec.tracking_e1 * CREEPING
    between = min(length, width) / 2 - LEG
    needed = spec.radius + error + 3.0 * spec.lidar.noise + spec.localisation_bound
    beyond = error + spec.localisation_bound
    if needed > between:
        return (
            f"needs {2 * needed:.2f} m between the legs of pods, they leave {2 * between:.2f} m; "
            f"{_what_would_do(needed, beyond, site.cell)}"
        )
    turning = loaded(spec, site).radius + beyond
    if turning > site.cell / 2:
        return (
            f"turns with a pod in cells of {2 * turning:.2f} m, these are {site.cell:g} m; "
            f"{_what_would_do(needed, beyond, site.cell)}"
        )
    if spec.payload_max < EMPTY_POD:
        return f"carries {spec.payload_max:g} kg, an empty pod weighs {EMPTY_POD:g} kg"
    return ""


def _what_would_do(needed: float, beyond: float, cell: float) -> str:
    """Which square pods a robot lifts in cells of a size, m, to the centimetre; larger cells where none fits these.

    `needed` is half of what it needs between the legs, `beyond` what its shield adds to the pod's circle, m.
    """
    least = math.ceil(200.0 * (needed + LEG)) / 100.0
    most = math.floor(100.0 * math.sqrt(2.0) * (cell / 2 - beyond)) / 100.0
    if least <= most:
        return f"make pods {least:.2f} m to {most:.2f} m long and wide"
    cells = math.ceil(100.0 * (math.sqrt(2.0) * least + 2.0 * beyond)) / 100.0
    return f"make pods {least:.2f} m long and wide, and cells {cells:.2f} m instead of {cell:g} m"


def pod_above(
    scan: NDArray[np.float32],
    directions: NDArray[np.float32],
    pose: tuple[float, float, float],
    size: tuple[float, float, float],
    cell: tuple[float, float],
) -> tuple[float, float] | None:
    """The middle of the pod that stands about a cell's centre, as a robot under it sees its legs, W, m; or None.

    `scan` (rays,), `directions` (rays, 2) in B. What the rays hit of the four legs lies inwards of their middles, but
    on all sides alike, so that the mean of the four hits' means is the pod's middle. A pod is taken to stand along
    the axes of W. None where a leg is not seen: then it is no pod, or not above.
    """
    x, y, yaw = pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    p_B = directions * scan[:, None]
    p_x = x + cos * p_B[:, 0] - sin * p_B[:, 1]
    p_y = y + sin * p_B[:, 0] + cos * p_B[:, 1]
    half_x, half_y = (size[0] - LEG) / 2, (size[1] - LEG) / 2
    middles = []
    for along in (-1.0, 1.0):
        for across in (-1.0, 1.0):
            leg_x, leg_y = cell[0] + along * half_x, cell[1] + across * half_y
            near = (np.abs(p_x - leg_x) < NEAR_LEG) & (np.abs(p_y - leg_y) < NEAR_LEG)
            if not near.any():
                return None
            middles.append((float(p_x[near].mean()), float(p_y[near].mean())))
    return (sum(m[0] for m in middles) / 4.0, sum(m[1] for m in middles) / 4.0)
