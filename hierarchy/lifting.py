"""Pods at the controls: driving under one, lifting it, driving with it, setting it down. No policy was trained for it.

    square     stand in the middle of a cell or under a pod, square to the axes, as exactly as a lift needs it
    follow     drive from cell centre to cell centre, turning on the spot where the way bends
    wanted     whether the lift is to be up

What they say is proposed like a policy's word: the shield judges it, with the pod's circle while one is carried.
"""

from __future__ import annotations

import math

from coordination.messages import Leg, LegKind
from hierarchy.corridors import Way, centre
from sim.geometry import wrap_angle
from sim.lifting import SPEED, TURN
from sim.site import Site

CARRY_VERSION = "carry/1"
"""Who proposes where a pod is near; nothing was learned for it."""

NEAR = 0.03
"""A lift takes a pod, or sets one down, this near to its place, m: a lift takes what is 0.05 m off
(`sim.podkernels.REACH`), and the lidar says within 0.01 m where the pod is."""
EXACT = 0.02
"""`square` stops this near, m."""
SQUARE = 0.03
"""And within this angle of an axis, rad: pods set down stay square to the aisles to within degrees."""
CREEP = 0.15
"""Fastest while placing itself, m/s: below the shield's own creeping speed."""
UNDER = 0.2
"""Fastest into or out of a pod's cell without one, m/s: its legs are near."""
LADEN = SPEED
"""Fastest with a pod, m/s: what the shield lets pass then."""
RATE = 0.3
"""How fast it slows down towards a bend, m/s^2."""
BEARING = 0.15
"""A bearing beyond this is turned away on the spot, rad."""
ASIDE = 0.10
"""Further beside its line than this it drives to the middle of its cell first, m."""
UP = 0.049
"""A lift this far up, m, is up (`sim.podkernels.LIFT`: 0.05)."""


def _turn(error: float) -> float:
    return max(-TURN, min(TURN, 2.0 * error))


def _off_square(yaw: float) -> float:
    """The angle to the nearest axis, rad."""
    return wrap_angle(round(yaw / (math.pi / 2)) * (math.pi / 2) - yaw)


def placed(pose: tuple[float, float, float], middle: tuple[float, float]) -> bool:
    """Whether a robot stands where a lift may take or leave a pod."""
    return math.dist(pose[:2], middle) <= NEAR and abs(_off_square(pose[2])) <= SQUARE


def square(pose: tuple[float, float, float], middle: tuple[float, float]) -> tuple[float, float]:
    """V and w that bring a robot to `middle`, forwards or backwards, and then square to the axes."""
    distance = math.dist(pose[:2], middle)
    if distance <= EXACT:
        off = _off_square(pose[2])
        return (0.0, 0.0 if abs(off) <= SQUARE / 2 else _turn(off))
    bearing = wrap_angle(math.atan2(middle[1] - pose[1], middle[0] - pose[0]) - pose[2])
    backwards = abs(bearing) > math.pi / 2.0
    if backwards:
        bearing = wrap_angle(bearing + math.pi)
    if abs(bearing) > BEARING:
        # so near it turns no more towards the place, which noise moves about: it becomes square
        return (0.0, _turn(_off_square(pose[2]) if distance <= NEAR else bearing))
    speed = min(CREEP, distance)
    return (-speed if backwards else speed, _turn(bearing))


def follow(pose: tuple[float, float, float], site: Site, way: Way, fastest: float) -> tuple[float, float]:
    """V and w along the centres of the granted cells, at most at `fastest` m/s."""
    here = centre(site, way.cells[way.here])
    if not way.ahead:
        return square(pose, here)
    there = centre(site, way.ahead[0])
    length = math.dist(here, there)
    ux, uy = (there[0] - here[0]) / length, (there[1] - here[1]) / length
    along = (pose[0] - here[0]) * ux + (pose[1] - here[1]) * uy
    beside = ux * (pose[1] - here[1]) - uy * (pose[0] - here[0])
    if abs(beside) > ASIDE:  # the way bends in this cell
        bearing = wrap_angle(math.atan2(here[1] - pose[1], here[0] - pose[0]) - pose[2])
        if abs(bearing) > BEARING:
            return (0.0, _turn(bearing))
        return (min(fastest, max(math.sqrt(2.0 * RATE * math.dist(pose[:2], here)), 0.1)), _turn(bearing))
    straight = length
    last = there
    for cell in way.ahead[1:]:
        at = centre(site, cell)
        if abs((at[0] - last[0]) * uy - (at[1] - last[1]) * ux) > 1e-6:
            break
        straight += math.dist(at, last)
        last = at
    error = wrap_angle(math.atan2(uy, ux) - pose[2]) - max(-0.3, min(0.3, 1.5 * beside))
    if abs(error) > BEARING + 0.15:
        return (0.0, _turn(error))
    speed = min(fastest, math.sqrt(2.0 * RATE * max(straight - along, 0.02)))
    return (speed, _turn(error))


def wanted(leg: Leg | None, working: bool, ready: bool, lift: float) -> bool:
    """Whether the lift is to be up: level-triggered, from the open leg and what the lift is (height, m; -1 empty).

    `working` on the leg, `ready` (`placed`). What a robot carries without a leg that says so it goes on carrying.
    """
    if leg is not None and working and leg.kind is LegKind.LIFT:
        return lift >= 0.0 or ready
    if leg is not None and working and leg.kind is LegKind.SET_DOWN:
        return lift >= UP and not ready
    return lift >= 0.0
