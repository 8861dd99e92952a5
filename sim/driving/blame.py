"""The judge of contacts on the road: whose doing each one was, from the truth, while it happens.

    At fault: a contact with ego speed above 0.05 m/s, except
        BEHIND     struck from behind while in lane and braking no harder than comfort
        LATERAL    struck laterally by an actor that left its lane
        BOUNDS     by an actor outside its stated bounds (`ActorArrays.violates`)
        STANDING   the ego stood

Every contact has one class, the first of STANDING, BEHIND, LATERAL, BOUNDS that fits; what fits none is AT_FAULT. Doubt
counts against the ego:

- The side of the ego that was struck is the direction in which the boxes came to overlap last: depth over closing
  speed, along the ego and across it, the smaller of the two. Struck from behind means from behind the ego's middle, by
  one that drives the ego's way, while the ego does not roll back.
- In lane: no corner of the ego's box reaches more than INTRUSION over a border of the lane under its middle.
- Braking counts for REACTION s after it: who brakes hard and lets go is no less to blame.
- An actor left its lane if its box reaches more than INTRUSION over a border of the lane under its middle, or if there
  is no lane there, and it is a vehicle and moves towards the ego faster than the ego towards it. Those who walk have no
  lane, so that they are never exempt as LATERAL; the ego must be in its own lane.

A contact begins when boxes overlap that did not one motor period before. Speeds and accelerations of the ego are those
of the motor period before, since the physics of the full body may have pushed it within the one in which boxes come to
overlap: who stands and is struck stands. The judge keeps its own record of that, and shares no geometry with shield or
contacts' oracle: overlap is what `touching` says.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import warp as wp

from sim.actors import ActorKind
from sim.driving.profile import RoadProfile
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, lane_frame
from sim.launches import Launchable, record
from sim.tasks.task import struct_arrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class Blame(IntEnum):
    """Classes of contacts; all but AT_FAULT are exempt."""

    AT_FAULT = 0
    STANDING = 1
    BEHIND = 2
    LATERAL = 3
    BOUNDS = 4


class Noted(IntEnum):
    """Columns of `BlameArrays.noted`."""

    BLAME = 0
    SLOT = 1
    KIND = 2
    """`sim.actors.ActorKind`"""
    TIME = 3
    """s since the episode's begin"""
    SPEED = 4
    """The ego's, forward, m/s"""
    ACCEL = 5
    """The ego's, m/s^2"""
    OTHER = 6
    """The actor's speed, m/s"""
    CLOSING = 7
    """Speed of the one towards the other along the direction of contact, m/s"""


NOTED = 8
"""Contacts of an episode that are noted in full; all are counted."""

STANDING_C = wp.constant(0.05)
"""m/s; the definition of at fault."""
INTRUSION = wp.constant(0.3)
"""m over a border: less is keeping the lane (R157 5.2.5.2)."""
CLOSES = wp.constant(1.0e-3)
"""m/s; slower than this nothing closes."""
NOTED_C = wp.constant(NOTED)
AT_FAULT_C, BY_STANDING, BY_BEHIND, BY_LATERAL, BY_BOUNDS = (wp.constant(int(blame)) for blame in Blame)
CAR_C, BICYCLE_C = wp.constant(int(ActorKind.CAR)), wp.constant(int(ActorKind.BICYCLE))


@wp.struct
class BlameArrays:
    """What was judged in this episode."""

    counts: wp.array2d(dtype=wp.int32)
    """Contacts of each class, (rows, 5)"""
    noted: wp.array3d(dtype=wp.float32)
    """`Noted` of the first contacts, (rows, NOTED, 8)"""
    many: wp.array(dtype=wp.int32)
    """Contacts of all classes, (rows,)"""
    ticks: wp.array(dtype=wp.int32)
    """Motor periods since the begin, (rows,)"""
    braked: wp.array(dtype=wp.float32)
    """How long braking harder than comfort still counts, s, (rows,)"""
    before: wp.array2d(dtype=wp.uint8)
    """What touched one motor period before, (rows, A)"""
    ended_counts: wp.array2d(dtype=wp.int32)
    """`counts`, `noted` and `many` of the episode before: worlds begin the next one within the step that ends it"""
    ended_noted: wp.array3d(dtype=wp.float32)
    ended_many: wp.array(dtype=wp.int32)
    went: wp.array2d(dtype=wp.float32)
    """The ego's speeds (forward, yaw, sideways) and acceleration one motor period before, (rows, 4)"""


@wp.struct
class Contact:
    """How two boxes came to touch."""

    lateral: int
    """1: across the ego, 0: along it"""
    behind: int
    """1: the other is behind the ego's middle"""
    closing: float
    """m/s"""
    own: float
    """The ego's part of it: its speed towards the other"""


@wp.func
def reach_of(actors: ActorArrays, w: int, slot: int, angle: float) -> wp.vec2:
    """Half of a box's extent along and across a direction at `angle` to the world, m."""
    turn = actors.pose[w, slot, 2] - angle
    c = wp.abs(wp.cos(turn))
    s = wp.abs(wp.sin(turn))
    length = 0.5 * actors.size[w, slot, 0]
    width = 0.5 * actors.size[w, slot, 1]
    return wp.vec2(length * c + width * s, length * s + width * c)


@wp.func
def meet(actors: ActorArrays, w: int, ego: int, slot: int, forward: float, sideways: float) -> Contact:
    """The direction in which an ego's box and another came to overlap, by depth over closing speed."""
    yaw = actors.pose[w, ego, 2]
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    dx = actors.pose[w, slot, 0] - actors.pose[w, ego, 0]
    dy = actors.pose[w, slot, 1] - actors.pose[w, ego, 1]
    along = c * dx + s * dy
    across = c * dy - s * dx
    turn = actors.pose[w, slot, 2] - yaw
    vx = actors.motion[w, slot, 0] * wp.cos(turn) - forward
    vy = actors.motion[w, slot, 0] * wp.sin(turn) - sideways
    other = reach_of(actors, w, slot, yaw)
    depth_x = 0.5 * actors.size[w, ego, 0] + other[0] - wp.abs(along)
    depth_y = 0.5 * actors.size[w, ego, 1] + other[1] - wp.abs(across)
    side_x = wp.where(along < 0.0, -1.0, 1.0)
    side_y = wp.where(across < 0.0, -1.0, 1.0)
    closing_x = -side_x * vx
    closing_y = -side_y * vy
    time_x = wp.where(closing_x > CLOSES, depth_x / closing_x, 1.0e9)
    time_y = wp.where(closing_y > CLOSES, depth_y / closing_y, 1.0e9)
    lateral = time_y < time_x
    if time_x >= 1.0e9 and time_y >= 1.0e9:  # neither: they turned into each other
        lateral = depth_y < depth_x
    contact = Contact()
    contact.lateral = wp.where(lateral, 1, 0)
    contact.behind = wp.where(along < 0.0, 1, 0)
    contact.closing = wp.where(lateral, closing_y, closing_x)
    contact.own = wp.where(lateral, side_y * sideways, side_x * forward)
    return contact


@wp.func
def keeps_lane(lanes: Lanes, actors: ActorArrays, w: int, slot: int) -> wp.bool:
    """Whether a box reaches no more than INTRUSION over the borders of the lane under its middle."""
    lane = actors.lane[w, slot]
    if lane < 0:
        return False
    frame = lane_frame(lanes, lane, actors.place[w, slot, 0])
    reach = reach_of(actors, w, slot, frame.heading)[1] - INTRUSION
    d = actors.place[w, slot, 1]
    return d + reach <= frame.left and d - reach >= -frame.right


@wp.func
def judge(
    lanes: Lanes, actors: ActorArrays, w: int, ego: int, slot: int, twist: wp.vec3, braked: wp.bool, contact: Contact
) -> int:
    """The class of a contact that begins; `twist` of the ego: forward, yaw rate, sideways."""
    forward = twist[0]
    if wp.sqrt(forward * forward + twist[2] * twist[2]) <= STANDING_C:
        return BY_STANDING
    in_lane = keeps_lane(lanes, actors, w, ego)
    turn = actors.pose[w, slot, 2] - actors.pose[w, ego, 2]
    its_way = actors.motion[w, slot, 0] * wp.cos(turn) > 0.0
    if contact.lateral == 0 and contact.behind == 1 and its_way and forward >= 0.0 and in_lane and not braked:
        return BY_BEHIND
    kind = actors.kind[w, slot]
    if contact.lateral == 1 and in_lane and kind >= CAR_C and kind <= BICYCLE_C:
        its_part = contact.closing - contact.own
        if its_part > wp.max(contact.own, 0.0) and not keeps_lane(lanes, actors, w, slot):
            return BY_LATERAL
    if actors.violates[w, slot] != wp.uint8(0):
        return BY_BOUNDS
    return AT_FAULT_C


@wp.func
def keep_motion(
    row: int, twist: wp.array2d(dtype=wp.float32), motion: wp.array2d(dtype=wp.float32), blame: BlameArrays
) -> None:
    """Remember how the ego goes."""
    for k in range(3):
        blame.went[row, k] = twist[row, k]
    blame.went[row, 3] = motion[row, 0]


@wp.kernel
def judge_contacts(
    robots: int,
    step: float,
    comfort: float,
    reaction: float,
    middle: float,
    lanes: Lanes,
    actors: ActorArrays,
    twist: wp.array2d(dtype=wp.float32),
    motion: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    blame: BlameArrays,
) -> None:
    """Class, count and note the contacts of each row that begin in this motor period."""
    row = wp.tid()
    w = row / robots
    ego = row % robots
    if blame.ticks[row] == 0:
        keep_motion(row, twist, motion, blame)
    blame.ticks[row] = blame.ticks[row] + 1
    accel = blame.went[row, 3]
    braked = blame.braked[row] - step
    if accel < -comfort - 0.05:  # m/s^2; differences of float32 speeds over 10 ms
        braked = reaction
    blame.braked[row] = wp.max(braked, 0.0)
    for slot in range(touching.shape[1]):
        now = touching[row, slot]
        if now != wp.uint8(0) and blame.before[row, slot] == wp.uint8(0):
            # of the middle of the box, which swings out before base_link
            v = wp.vec3(blame.went[row, 0], blame.went[row, 1], blame.went[row, 2] + middle * blame.went[row, 1])
            contact = meet(actors, w, ego, slot, v[0], v[2])
            found = judge(lanes, actors, w, ego, slot, v, braked > 0.0, contact)
            blame.counts[row, found] = blame.counts[row, found] + 1
            k = blame.many[row]
            if k < NOTED_C:
                blame.noted[row, k, 0] = float(found)
                blame.noted[row, k, 1] = float(slot)
                blame.noted[row, k, 2] = float(actors.kind[w, slot])
                blame.noted[row, k, 3] = float(blame.ticks[row]) * step
                blame.noted[row, k, 4] = v[0]
                blame.noted[row, k, 5] = accel
                blame.noted[row, k, 6] = actors.motion[w, slot, 0]
                blame.noted[row, k, 7] = contact.closing
            blame.many[row] = k + 1
        blame.before[row, slot] = now
    keep_motion(row, twist, motion, blame)


@wp.kernel
def begin_judging(mask: wp.array(dtype=wp.uint8), blame: BlameArrays) -> None:
    """Nothing has happened in the masked rows; what had is the episode's before."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    many = blame.many[row]
    blame.ended_many[row] = many
    for k in range(wp.min(many, NOTED_C)):
        for j in range(blame.noted.shape[2]):
            blame.ended_noted[row, k, j] = blame.noted[row, k, j]
    blame.many[row] = 0
    blame.ticks[row] = 0
    blame.braked[row] = 0.0
    for k in range(blame.counts.shape[1]):
        blame.ended_counts[row, k] = blame.counts[row, k]
        blame.counts[row, k] = 0
    for slot in range(blame.before.shape[1]):
        blame.before[row, slot] = wp.uint8(0)


@dataclass(frozen=True)
class Verdict:
    """One contact, for people and for the lines of a campaign."""

    blame: Blame
    slot: int
    kind: ActorKind
    time: float
    """s since the episode's begin"""
    speed: float
    """m/s"""
    accel: float
    """m/s^2"""
    other: float
    """m/s"""
    closing: float
    """m/s"""

    @property
    def at_fault(self) -> bool:
        """Whether it counts."""
        return self.blame == Blame.AT_FAULT


class Judge:
    """Owns what was judged of each row; `watch` runs once a motor period, after `touching` and the lanes are known."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        actors: ActorArrays,
        twist: wp.array,
        motion: wp.array,
        touching: wp.array,
        robots: int,
        comfort: float,
        middle: float,
        profile: RoadProfile | None = None,
        step: float = 0.01,
    ) -> None:
        """`twist` (rows, 3) and `motion` (rows, 2: acceleration first) of base_link; `middle` m ahead of it the box's.

        `touching` (rows, A), uint8, of this motor period; `comfort` is `Ackermann.brake_comfort`.
        """
        rows, slots = touching.shape
        device = touching.device
        self.blame = BlameArrays()
        for name in ("counts", "ended_counts"):
            setattr(self.blame, name, wp.zeros((rows, len(Blame)), dtype=wp.int32, device=device))
        for name in ("noted", "ended_noted"):
            setattr(self.blame, name, wp.zeros((rows, NOTED, len(Noted)), dtype=wp.float32, device=device))
        for name in ("many", "ended_many", "ticks"):
            setattr(self.blame, name, wp.zeros(rows, dtype=wp.int32, device=device))
        self.blame.braked = wp.zeros(rows, dtype=wp.float32, device=device)
        self.blame.before = wp.zeros((rows, slots), dtype=wp.uint8, device=device)
        self.blame.went = wp.zeros((rows, 4), dtype=wp.float32, device=device)
        reaction = (profile or RoadProfile()).reaction
        inputs = [robots, step, comfort, reaction, middle, lanes, actors, twist, motion, touching, self.blame]
        self.watch: Launchable = record(judge_contacts, rows, inputs, device)

    def begin(self, mask: wp.array) -> Launchable:
        """The next episode of the masked rows, uint8 (rows,)."""
        rows, device = self.blame.many.shape[0], self.blame.many.device
        return record(begin_judging, rows, [mask, self.blame], device)

    def verdicts(self, row: int, *, ended: bool = False) -> list[Verdict]:
        """The first contacts of a row's episode, or of the one that `ended` before it, up to NOTED; on the host."""
        blame = self.blame
        many, noted = (blame.ended_many, blame.ended_noted) if ended else (blame.many, blame.noted)
        found = []
        for values in noted.numpy()[row, : min(int(many.numpy()[row]), NOTED)].tolist():
            kind, slot, actor, *numbers = values
            found.append(Verdict(Blame(int(kind)), int(slot), ActorKind(int(actor)), *numbers))
        return found

    def arrays(self) -> dict[str, wp.array]:
        """What a snapshot needs."""
        return struct_arrays("blame", self.blame)
