"""The road plant's kernels: how rows begin and leave, which contacts began, what others and senses are shown.

`RoadPlant` (sim/driving/plant.py) records and owns their launches. Rows are cars, row = world * robots + robot.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.aside import stand_aside
from sim.driving.footing import onward
from sim.driving.maparrays import RoutesArrays
from sim.driving.state import ActorArrays, Footing
from sim.frenet import Lanes
from sim.rows import RobotArrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

STANDING = wp.constant(0.05)
"""m/s; a car slower than this stands: whoever touches it then is not touched by it (the definition of at fault)."""


@wp.kernel
def next_episode(mask: wp.array(dtype=wp.uint8), state: RobotArrays) -> None:
    """The masked rows' next episodes have begun; nothing has happened in them."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    state.episode[row] = state.episode[row] + 1
    state.step[row] = 0
    for slot in range(state.touching.shape[1]):
        state.touching[row, slot] = wp.uint8(0)


@wp.kernel
def note_contacts(now: wp.array2d(dtype=wp.uint8), went: wp.array(dtype=wp.float32), state: RobotArrays) -> None:
    """Contacts that began in this motor period: of cars that moved before it, and of those that stood.

    The physics may have pushed who stood within the period, so that its speed now says nothing.
    """
    row = wp.tid()
    for slot in range(now.shape[1]):
        if now[row, slot] != wp.uint8(0) and state.touching[row, slot] == wp.uint8(0):
            if wp.abs(went[row]) > STANDING:
                state.collided[row] = wp.uint8(1)
            else:
                state.bumped[row] = wp.uint8(1)
        state.touching[row, slot] = now[row, slot]
    went[row] = state.twist[row, 0]


@wp.kernel
def show_footing(
    robots: int,
    middle: float,
    lanes: Lanes,
    routes: RoutesArrays,
    footing: Footing,
    state: RobotArrays,
    actors: ActorArrays,
) -> None:
    """Lane and place of the egos' slots: those of their boxes' middles. Cars that take no part have no slot."""
    row = wp.tid()
    world = row / robots
    slot = row % robots
    if state.active[row] == wp.uint8(0):
        actors.kind[world, slot] = -1
        actors.lane[world, slot] = -1
        return
    lane = footing.lane[row]
    turn = footing.place[row, 2]
    s = footing.place[row, 0] + middle * wp.cos(turn)
    if lane >= 0 and s > lanes.length[lane]:
        after = onward(lanes, routes, footing.route[row], lane)
        if after >= 0:
            s -= lanes.length[lane]
            lane = after
    actors.lane[world, slot] = lane
    actors.place[world, slot, 0] = s
    actors.place[world, slot, 1] = footing.place[row, 1] + middle * wp.sin(turn)
    actors.place[world, slot, 2] = state.twist[row, 0] * wp.sin(turn) + state.twist[row, 2] * wp.cos(turn)


@wp.kernel
def leave_road(
    mask: wp.array(dtype=wp.uint8), state: RobotArrays, footing: Footing, speed: wp.array(dtype=wp.float32)
) -> None:
    """The masked rows take no part: far away, at rest."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        stand_aside(row, state, footing, speed)


@wp.kernel
def rolling(
    mask: wp.array(dtype=wp.uint8),
    footing: Footing,
    speed: wp.array(dtype=wp.float32),
    bend: wp.array(dtype=wp.float32),
    went: wp.array(dtype=wp.float32),
) -> None:
    """How the masked rows begin: on their lane's curvature, at their speed."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        bend[row] = footing.place[row, 3]
        went[row] = speed[row]


@wp.kernel
def find_whole(robots: int, mask: wp.array(dtype=wp.uint8), whole: wp.array(dtype=wp.uint8)) -> None:
    """The worlds all of whose rows are masked: nobody else is where their episodes begin."""
    world = wp.tid()
    found = wp.uint8(1)
    for k in range(robots):
        if mask[world * robots + k] == wp.uint8(0):
            found = wp.uint8(0)
    whole[world] = found


@wp.kernel
def tell_motion(
    twist: wp.array2d(dtype=wp.float32), motion: wp.array2d(dtype=wp.float32), out: wp.array2d(dtype=wp.float32)
) -> None:
    """Speed, acceleration, curvature of the steering, yaw rate of each row."""
    row = wp.tid()
    out[row, 0] = wp.max(twist[row, 0], 0.0)
    out[row, 1] = motion[row, 0]
    out[row, 2] = motion[row, 1]
    out[row, 3] = twist[row, 1]
