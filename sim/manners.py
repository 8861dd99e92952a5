"""Who the people of a crowd are, and what is known of each: manners, conduct, arrays.

What they choose to do stands in sim/conduct.py, how that becomes motion in sim/crowd.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import warp as wp

from sim.lidar import Boxes
from sim.people import SPEED_HIGH

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

RUN_LOW, RUN_HIGH = 2.5, 3.5
"""Running, m/s: above the 2.1 m/s at which people begin to run (Hreljac, Med. Sci. Sports Exerc. 25, 1993)."""


class Conduct(IntEnum):
    """What a person does."""

    WALKING = 0
    STANDING = 1
    CROSSING = 2
    """Straight over the way of a robot that comes."""
    GIVING_WAY = 3
    """Straight back from a robot."""
    RUNNING = 4
    """To a goal like walking, faster than any profile allows."""


WALKING_C = wp.constant(int(Conduct.WALKING))
STANDING_C = wp.constant(int(Conduct.STANDING))
CROSSING_C = wp.constant(int(Conduct.CROSSING))
GIVING_WAY_C = wp.constant(int(Conduct.GIVING_WAY))
RUNNING_C = wp.constant(int(Conduct.RUNNING))


@dataclass(frozen=True)
class Manners:
    """How a crowd behaves."""

    crossing: float = 0.2
    """Chance that a leg begins by crossing the way of a robot that comes."""
    heeding: float = 0.7
    """Share of people who take robots for obstacles; the others look at their telephones."""
    stopping: float = 0.03
    """Chance to stop on entering a cell."""
    stop_longest: float = 3.0
    """s"""
    stay_longest: float = 8.0
    """Longest stay at a goal, s."""
    running: float = 0.0
    """Share of people who run. Above 0 the crowd breaks every profile: for tests of what happens then."""

    @property
    def bound(self) -> float:
        """What nobody's speed exceeds, m/s."""
        return RUN_HIGH if self.running > 0.0 else SPEED_HIGH


SHARES = ("crossing", "heeding", "stopping", "running")
"""What of the manners is a share and may differ between episodes: rows `crowd_<name>` of sim/moverrows.py."""

CROSSING_SHARE, HEEDING_SHARE, STOPPING_SHARE, RUNNING_SHARE = (wp.constant(k) for k in range(len(SHARES)))


@wp.struct
class MannersArray:
    """`Manners` as kernels read it."""

    values: wp.array2d(dtype=wp.float32)
    """What the shares are: of each row's episode, or one row for all."""
    first: int
    """Column of the first of `SHARES`."""
    robots: int
    """Rows from one world to the next; 0: the same for all."""
    stop_longest: float
    stay_longest: float


@wp.func
def share_of(manners: MannersArray, world: int, share: int) -> float:
    """One of the shares in a world: what its first robot's episode was given."""
    return manners.values[world * manners.robots, manners.first + share]


def pack_manners(manners: Manners, device: str, values: wp.array | None, first: int, robots: int) -> MannersArray:
    """On a device; `values` (rows, columns) hold the shares from column `first` on, None: all are as `manners` says."""
    packed = MannersArray()
    packed.values, packed.first, packed.robots = values, first, robots
    if values is None:
        shares = np.array([[getattr(manners, name) for name in SHARES]], np.float32)
        packed.values, packed.first, packed.robots = wp.array(shares, dtype=wp.float32, device=device), 0, 0
    packed.stop_longest, packed.stay_longest = float(manners.stop_longest), float(manners.stay_longest)
    return packed


@wp.struct
class Around:
    """What surrounds the people of all worlds: the floor, the ways over it, the robots."""

    flags: wp.array(dtype=wp.uint8)
    """Of the cells, (cells,)."""
    width: int
    height: int
    cell: float
    towards: wp.array2d(dtype=wp.uint8)
    """`sim.ways.Ways.towards`"""
    robots: int
    """Robots of one world."""
    radius: float
    """Of a robot's circle, m."""
    pose: wp.array2d(dtype=wp.float32)
    """(rows, 3)"""
    twist: wp.array2d(dtype=wp.float32)
    """(rows, 3)"""
    boxes: Boxes
    """Forklifts."""


@wp.struct
class CrowdArrays:
    """What social forces need beside `PeopleArrays`; every array (worlds, people)."""

    velocity: wp.array3d(dtype=wp.float32)
    """(worlds, people, 2), m/s."""
    push: wp.array3d(dtype=wp.float32)
    """Acceleration of this step, (worlds, people, 2), m/s^2."""
    aim: wp.array3d(dtype=wp.float32)
    """Where those who cross or give way go, (worlds, people, 2), m."""
    goal: wp.array2d(dtype=wp.int32)
    """Row of the table of ways; -1 for none."""
    conduct: wp.array2d(dtype=wp.int32)
    """`Conduct`"""
    left: wp.array2d(dtype=wp.float32)
    """Time left to cross or give way, s."""
    lived: wp.array2d(dtype=wp.int32)
    """The life that the other arrays belong to; another one than `PeopleArrays.life`: they say nothing."""
    heeds: wp.array2d(dtype=wp.uint8)
    """Whether robots are obstacles to them."""


def make_crowd(worlds: int, people: int, device: str) -> CrowdArrays:
    """Nobody has lived yet."""
    shape = (worlds, people)
    arrays = CrowdArrays()
    for name in ("velocity", "push", "aim"):
        setattr(arrays, name, wp.zeros((*shape, 2), dtype=wp.float32, device=device))
    for name in ("goal", "conduct"):
        setattr(arrays, name, wp.zeros(shape, dtype=wp.int32, device=device))
    arrays.left = wp.zeros(shape, dtype=wp.float32, device=device)
    arrays.lived = wp.array(np.full(shape, -1, np.int32), dtype=wp.int32, device=device)
    arrays.heeds = wp.zeros(shape, dtype=wp.uint8, device=device)
    return arrays
