"""Others as they were recorded: trajectories played back into actor slots, and goals watched.

    replay = Replay(recordings, atlas, actors, road=plant.road, first=1)    a mover: begin(mask), decide, move, arrays()
    replay.reached, replay.when                                             whether and when each world's goal was

Recording k belongs to road k of the atlas (None: nobody, no goals). Between two states place, heading and speed are
linear; an actor is there from its first state to its last, a static one always. Nobody reacts. An actor whose
recorded motion is outside `RoadProfile` is marked as a scenario's would be.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.actors import Actor, ActorKind
from sim.driving.atlas import Atlas
from sim.driving.goals import GoalArrays, goal_arrays, goal_reached
from sim.driving.profile import RoadProfile
from sim.driving.recorded import Recorded, lanes_along
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, lane_frame, lane_project
from sim.launches import Launchable, record
from sim.road import RoadError

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PERIOD, STEP = 0.05, 0.01
"""Control and motor period, s."""

ALWAYS = 1.0e9
"""When a static actor is gone, s."""


@wp.struct
class Recordings:
    """Actors of K recordings, N of them, with M states."""

    first: wp.array(dtype=wp.int32)
    """First actor of each recording, (K + 1,)"""
    kind: wp.array(dtype=wp.int32)
    """(N,)"""
    size: wp.array2d(dtype=wp.float32)
    """Length, width, (N, 2)"""
    state: wp.array(dtype=wp.int32)
    """First state of each actor, (N + 1,)"""
    states: wp.array2d(dtype=wp.float32)
    """Time since the problem's beginning, x, y about the road's middle, heading, speed, s on `lane`; (M, 6)"""
    lane: wp.array(dtype=wp.int32)
    """Of the atlas under each state, -1 for none, (M,)"""
    breaks: wp.array(dtype=wp.uint8)
    """Whether the motion from each state to the next is outside the profile, (M,)"""


@wp.func
def find_state(recordings: Recordings, actor: int, time: float) -> int:
    """The last state of an actor that is not after `time`; its first where none is."""
    low = recordings.state[actor]
    high = recordings.state[actor + 1] - 1
    while low < high:
        middle = (low + high + 1) / 2
        if recordings.states[middle, 0] <= time:
            low = middle
        else:
            high = middle - 1
    return low


@wp.func
def show_actor(
    w: int, slot: int, actor: int, time: float, recordings: Recordings, lanes: Lanes, actors: ActorArrays
) -> None:
    """Write one slot for a moment."""
    last = recordings.state[actor + 1] - 1
    if time < recordings.states[recordings.state[actor], 0] - 1.0e-4 or time > recordings.states[last, 0] + 1.0e-4:
        actors.kind[w, slot] = -1
        actors.lane[w, slot] = -1
        actors.violates[w, slot] = wp.uint8(0)
        return
    i = find_state(recordings, actor, time + 1.0e-4)  # s; clocks are float32
    j = wp.min(i + 1, last)
    step = wp.max(recordings.states[j, 0] - recordings.states[i, 0], 1.0e-6)
    share = wp.clamp((time - recordings.states[i, 0]) / step, 0.0, 1.0)
    x = recordings.states[i, 1] + share * (recordings.states[j, 1] - recordings.states[i, 1])
    y = recordings.states[i, 2] + share * (recordings.states[j, 2] - recordings.states[i, 2])
    turn = recordings.states[j, 3] - recordings.states[i, 3]
    yaw = recordings.states[i, 3] + share * turn
    change = recordings.states[j, 4] - recordings.states[i, 4]
    speed = recordings.states[i, 4] + share * change
    actors.kind[w, slot] = recordings.kind[actor]
    actors.size[w, slot, 0] = recordings.size[actor, 0]
    actors.size[w, slot, 1] = recordings.size[actor, 1]
    actors.pose[w, slot, 0] = x
    actors.pose[w, slot, 1] = y
    actors.pose[w, slot, 2] = yaw
    actors.motion[w, slot, 0] = speed
    actors.motion[w, slot, 1] = wp.where(j > i, change / step, 0.0)
    actors.motion[w, slot, 2] = wp.where(j > i, turn / step, 0.0)
    actors.violates[w, slot] = recordings.breaks[i]
    near = wp.where(share < 0.5, i, j)
    lane = recordings.lane[near]
    actors.lane[w, slot] = lane
    if lane >= 0:
        found = lane_project(lanes, lane, x, y, recordings.states[near, 5])
        actors.place[w, slot, 0] = found[0]
        actors.place[w, slot, 1] = found[1]
        actors.place[w, slot, 2] = speed * wp.sin(yaw - lane_frame(lanes, lane, found[0]).heading)


@wp.func
def show_world(
    w: int, time: float, first: int, slots: int, road: int, recordings: Recordings, lanes: Lanes, actors: ActorArrays
) -> None:
    """Write every slot of a world for a moment; those that the recording does not need are empty."""
    begin = recordings.first[road]
    many = recordings.first[road + 1] - begin
    for k in range(slots):
        if k < many:
            show_actor(w, first + k, begin + k, time, recordings, lanes, actors)
        else:
            actors.kind[w, first + k] = -1
            actors.lane[w, first + k] = -1
            actors.violates[w, first + k] = wp.uint8(0)


@wp.kernel
def begin_replay(
    mask: wp.array(dtype=wp.uint8),
    first: int,
    slots: int,
    road: wp.array(dtype=wp.int32),
    recordings: Recordings,
    lanes: Lanes,
    actors: ActorArrays,
    ticks: wp.array(dtype=wp.int32),
    reached: wp.array(dtype=wp.uint8),
    when: wp.array(dtype=wp.float32),
) -> None:
    """The recording of each masked world, from its beginning."""
    w = wp.tid()
    if mask[w] != wp.uint8(0):
        ticks[w] = 0
        reached[w] = wp.uint8(0)
        when[w] = -1.0
        show_world(w, 0.0, first, slots, road[w], recordings, lanes, actors)


@wp.kernel
def move_replay(
    step: float,
    first: int,
    slots: int,
    road: wp.array(dtype=wp.int32),
    recordings: Recordings,
    lanes: Lanes,
    actors: ActorArrays,
    ticks: wp.array(dtype=wp.int32),
) -> None:
    """One motor period later."""
    w = wp.tid()
    ticks[w] = ticks[w] + 1
    show_world(w, float(ticks[w]) * step, first, slots, road[w], recordings, lanes, actors)


@wp.kernel
def watch_goals(
    step: float,
    grace: float,
    road: wp.array(dtype=wp.int32),
    goals: GoalArrays,
    lanes: Lanes,
    actors: ActorArrays,
    ticks: wp.array(dtype=wp.int32),
    reached: wp.array(dtype=wp.uint8),
    when: wp.array(dtype=wp.float32),
) -> None:
    """Whether the first ego of each world is at a goal now; once reached stays reached."""
    w = wp.tid()
    if reached[w] != wp.uint8(0):
        return
    time = float(ticks[w]) * step
    pose = wp.vec3(actors.pose[w, 0, 0], actors.pose[w, 0, 1], actors.pose[w, 0, 2])
    speed = actors.motion[w, 0, 0]
    if goal_reached(goals, lanes, road[w], grace, time, pose[0], pose[1], pose[2], speed):
        reached[w] = wp.uint8(1)
        when[w] = time


class Replay:
    """Owns the recordings on a device, each world's clock and whether its goal was reached."""

    def __init__(
        self,
        recordings: Sequence[Recorded | None],
        atlas: Atlas,
        actors: ActorArrays,
        *,
        road: wp.array,
        first: int = 1,
        profile: RoadProfile | None = None,
        period: float = PERIOD,
        step: float = STEP,
    ) -> None:
        """`road` (worlds,) int32 of the atlas may change between episodes. Raises `RoadError` for too few slots."""
        if len(recordings) != len(atlas.roads):
            raise RoadError(
                f"expected a recording, or None, for each of the {len(atlas.roads)} roads, got {len(recordings)}"
            )
        worlds, slots = actors.kind.shape
        device = atlas.device
        self.slots = max((len(each.actors) for each in recordings if each is not None), default=0)
        if first + self.slots > slots:
            raise RoadError(
                f"expected {first + self.slots} slots for {first} egos and {self.slots} recorded actors, got {slots}; "
                "make room for more actors"
            )
        self.recordings = _tables(recordings, atlas, profile or RoadProfile())
        self.goals = goal_arrays(
            [
                (each.problem.goals, each.problem.time, atlas.origin(number), int(atlas.first[number]))
                if each is not None
                else ((), 0.0, (0.0, 0.0), 0)
                for number, each in enumerate(recordings)
            ],
            device,
        )
        self.ticks: wp.array = wp.zeros(worlds, dtype=wp.int32, device=device)
        """Motor periods since the beginning, (worlds,)."""
        self.reached: wp.array = wp.zeros(worlds, dtype=wp.uint8, device=device)
        """Whether the first ego reached a goal in this episode, (worlds,)."""
        self.when: wp.array = wp.full(worlds, -1.0, dtype=wp.float32, device=device)
        """When, s since the beginning; -1: not yet."""
        shared = [first, self.slots, road, self.recordings, atlas.lanes, actors, self.ticks]
        told = [self.reached, self.when]
        watched = [step, 0.5 * period, road, self.goals, atlas.lanes, actors, self.ticks, *told]
        self.decide: Launchable = record(watch_goals, worlds, watched, device)
        self.move: Launchable = record(move_replay, worlds, [step, *shared], device)
        self._begin = lambda mask: record(begin_replay, worlds, [mask, *shared, *told], device)

    def begin(self, mask: wp.array) -> Launchable:
        """Masked worlds, uint8 (worlds,), from the beginning of the recording of the road that they are on."""
        return self._begin(mask)

    def arrays(self) -> dict[str, wp.array]:
        """What a snapshot of the worlds needs."""
        return {"replay.ticks": self.ticks, "replay.reached": self.reached, "replay.when": self.when}


def _tables(recordings: Sequence[Recorded | None], atlas: Atlas, profile: RoadProfile) -> Recordings:
    first, kinds, sizes, state = [0], [], [], [0]
    states: list[NDArray[np.float64]] = [np.zeros((0, 6))]
    lanes: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    breaks: list[NDArray[np.bool_]] = [np.zeros(0, bool)]
    for number, each in enumerate(recordings):
        for actor in each.actors if each is not None else ():
            assert each is not None
            path = actor.trajectory
            lane, s = lanes_along(each.road, actor)
            rows = np.column_stack(
                [
                    path.time - each.problem.time,
                    path.position - atlas.origin(number),
                    path.heading,
                    np.abs(path.speed),
                    s,
                ]
            )
            broken = _breaks(actor, profile)
            if not actor.moves:  # there all the time
                rows, lane, broken = (np.repeat(column[:1], 2, axis=0) for column in (rows, lane, broken))
                rows[:, 0], rows[:, 4] = (-ALWAYS, ALWAYS), 0.0
            kinds.append(int(actor.kind))
            sizes.append((actor.length, actor.width))
            states.append(rows)
            lanes.append(np.where(lane >= 0, lane + int(atlas.first[number]), -1))
            breaks.append(broken)
            state.append(state[-1] + len(rows))
        first.append(len(kinds))
    device = atlas.device
    arrays = Recordings()
    for name, values in (("first", first), ("kind", kinds), ("state", state), ("lane", np.concatenate(lanes))):
        setattr(arrays, name, wp.array(np.array(values, np.int32), dtype=wp.int32, device=device))
    arrays.size = wp.array(np.array(sizes, np.float32).reshape(-1, 2), dtype=wp.float32, device=device)
    arrays.states = wp.array(np.concatenate(states).astype(np.float32), dtype=wp.float32, device=device)
    arrays.breaks = wp.array(np.concatenate(breaks).astype(np.uint8), dtype=wp.uint8, device=device)
    return arrays


def _breaks(actor: Actor, profile: RoadProfile) -> NDArray[np.bool_]:
    """Whether the motion from each state to the next is outside the profile, (states,)."""
    path = actor.trajectory
    speed = np.abs(path.speed)
    accel = np.append(np.diff(speed) / np.diff(path.time), 0.0)
    if actor.kind == ActorKind.STATIC:
        return np.zeros(len(speed), bool)
    if actor.kind == ActorKind.PEDESTRIAN:
        return speed > profile.pedestrian
    if actor.kind == ActorKind.BICYCLE:
        return (speed > profile.cyclist) | (accel > profile.cyclist_accel) | (accel < -profile.brake)
    return (speed > profile.speed) | (accel > profile.accel) | (accel < -profile.brake)
