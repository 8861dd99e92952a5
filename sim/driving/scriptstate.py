"""The arrays by which scenarios are played: what is to happen, what is assumed, how far each world is."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.struct
class Script:
    """What is played: R rows of parameters, S actors and E events at most; fixed but for `ScenarioPlayer.load`."""

    kind: wp.array2d(dtype=wp.int32)
    """-1: no such actor; (R, S)"""
    side: wp.array2d(dtype=wp.int32)
    """Lanes to the left of the ego's, (R, S)"""
    start: wp.array3d(dtype=wp.float32)
    """Gap, offset, speed, length, width; (R, S, 5)"""
    event: wp.array3d(dtype=wp.int32)
    """Actor (-1: no such event), `When`, to whom, after which event, `Do`; (R, E, 5)"""
    values: wp.array3d(dtype=wp.float32)
    """Of the trigger; speed, acceleration, distance of the action; (R, E, 4)"""
    where: wp.array2d(dtype=wp.int32)
    """Lane of the atlas on which the ego begins, its road and its route; (R, 3)"""
    ego: wp.array2d(dtype=wp.float32)
    """s of the middle of its box, its speed, the run's duration; (R, 3)"""
    onward: wp.array2d(dtype=wp.int32)
    """The lane after each lane, and the one before, -1: none; (L, 2)"""
    first: int
    """Slot of the first scripted actor"""
    robots: int
    """Egos in each world; the scenario is about the first"""
    seed: int
    draws: int
    """1: `choose` draws the row of each episode; 0: rows are what somebody wrote into `Played.row`"""
    period: float
    """Of decisions, s"""
    step: float
    """Of movements, s"""


@wp.struct
class Bounds:
    """`RoadProfile`, and what follows from it."""

    accel: float
    brake: float
    over_limit: float
    speed: float
    lateral_change: float
    pedestrian: float
    cyclist: float
    cyclist_accel: float
    reaction: float
    brake_least: float
    cut_in_reaction: float
    cut_in_brake: float


@wp.struct
class Played:
    """Where the actors of W worlds are."""

    row: wp.array(dtype=wp.int32)
    """Row of parameters that the world plays, (W,)"""
    ticks: wp.array(dtype=wp.int32)
    """Decisions since the beginning, (W,)"""
    driven: wp.array(dtype=wp.float32)
    """By the ego since then, m, (W,)"""
    fired: wp.array2d(dtype=wp.int32)
    """The decision at which each event happened, -1: not yet; (W, E)"""
    lane: wp.array2d(dtype=wp.int32)
    """Reference lane, -1: the actor is not there; (W, S)"""
    place: wp.array3d(dtype=wp.float32)
    """s and d on it; (W, S, 2)"""
    speed: wp.array3d(dtype=wp.float32)
    """Along it, across it, acceleration along it, yaw relative to it; (W, S, 4)"""
    aim: wp.array3d(dtype=wp.float32)
    """Speed to be reached and acceleration; (W, S, 2)"""
    across: wp.array3d(dtype=wp.float32)
    """Distance still to be moved across, its speed, its acceleration, whether it is walked; (W, S, 4)"""
    ahead: wp.array3d(dtype=wp.float32)
    """Middle of the box before the ego's and left of the centre of the ego's lane, m; (W, S, 2)"""
    inside: wp.array2d(dtype=wp.uint8)
    """Whether its box reaches into the ego's lane, (W, S)"""
    blame: wp.array2d(dtype=wp.float32)
    """How long what it did outside the profile still counts, s, (W, S)"""
    missing: wp.array(dtype=wp.uint8)
    """Whether an actor found no lane to begin on, (W,)"""
