"""The words that muster's processes say to each other: typed bodies, and the envelope around them.

What clients ask and are answered is in coordination/requests.py; `wire.BODIES` names every body.

The protocol is level-triggered: a robot's `Report` and the coordinator's `Picture` each carry their sender's whole
relevant state, every round, so a lost, repeated or reordered message costs time and never truth. A task attempt is
named by (task, attempt); a robot that reports an attempt as finished goes on reporting it until the picture no
longer assigns it.

A body's wire name is `name/major`. Unknown optional fields are ignored; an unknown major is dropped and counted.
Cells are int: row * width + column. Stamps are int64 ns of the site clock; poses are x, y (m), yaw (rad) in W.
"""

from __future__ import annotations

import enum

import msgspec

MAX_MESSAGE = 64 * 1024
"""Bytes; a longer message is dropped before it is parsed (a 360-ray cycle is under 4 KiB)."""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """What travels: header and body bytes; the keyed MAC over its encoding is appended by `wire`."""

    name: str
    """`name/major` of the body"""
    sender: str
    epoch: int
    """Random at each start of the sender's process: sequence numbers count within it."""
    sequence: int
    stamp: int
    body: bytes


class RobotStatus(enum.IntEnum):
    """What a robot says it is doing."""

    IDLE = 0
    MOVING = 1
    WAITING = 2
    """Has no free cell ahead in its grant."""
    BLOCKED = 3
    """Something that is not in the picture stands in its grant."""
    WORKING = 4
    """Loading, unloading or charging at a station."""
    STOPPED = 5
    """Safety stop, stale input or emergency stop."""
    OPERATOR = 6
    """Has given up replanning and asks for a person."""


class LegKind(enum.IntEnum):
    """What a robot does at the end of a leg."""

    FETCH = 0
    DELIVER = 1
    CHARGE = 2
    VISIT = 3
    """Nothing: an errand that ends on arrival."""
    LIFT = 4
    """Take the pod that stands there."""
    SET_DOWN = 5
    """Leave the pod there."""


class Choice(msgspec.Struct, frozen=True):
    """How something was chosen, as every log of a choice states it: what learning from logs needs to weigh it."""

    mission: str
    """task/attempt, by which delayed outcomes are joined; empty without a task"""
    deterministic: bool = True
    """A rule chose, nothing was drawn"""
    log_probability: float = 0.0
    """Of what was chosen, under the policy that chose"""
    exploration: bool = False


class Leg(msgspec.Struct, frozen=True):
    """Go to a cell and do something there."""

    cell: int
    kind: LegKind
    dwell: float = 0.0
    """Time spent at the cell, s."""


class Assignment(msgspec.Struct, frozen=True):
    """One attempt of one task, for one robot."""

    task: str
    attempt: int
    legs: tuple[Leg, ...]
    payload: float = 0.0
    """kg"""
    legs_done: int = 0
    """Legs of the attempt that the store knows as done: where a robot begins that was started anew"""


class Offered(msgspec.Struct, frozen=True):
    """A task that a robot may choose, with what it would take; distances are true ones, in cells."""

    task: str
    way: int
    """From the robot to the first leg"""
    between: int
    """From leg to leg"""
    level: float
    """How pressing it is: priority, a level for each minute of waiting, one more when its deadline is near"""
    home: int = -1
    """From the last leg to the nearest charger; -1 where no charger can be reached"""
    onward: int = -1
    """From the last leg to the nearest first leg of another queued task; -1 without one"""
    crowd: int = 0
    """Other robots on their way to its first or its last leg, or at work there"""
    dwell: float = 0.0
    """Time at its legs, s"""


class Offer(msgspec.Struct, frozen=True):
    """What the coordinator offers a free robot: tasks to choose from, or to charge. It commits nobody to anything."""

    id: int
    """Stamp at which it was made; an answer names it"""
    tasks: tuple[Offered, ...]
    """The cheapest first, as assignment counts (distance less urgency)"""
    charger: int = -1
    """Cells to the nearest charger at which no other robot stands or is sent to; -1 for no charging now"""
    queued: int = 0
    """Tasks that wait for a robot"""
    robots: int = 1
    """Robots that are served"""
    charging: int = 0
    """Robots that have the errand to charge"""


class Chosen(msgspec.Struct, frozen=True):
    """A robot's answer to an offer."""

    offer: int
    """Its id"""
    task: str
    """One of the offered tasks; empty to charge"""
    deterministic: bool = True
    log_probability: float = 0.0
    """Of the answer, under the policy that gave it"""
    exploration: bool = False

    def choice(self, mission: str) -> Choice:
        """The record of it, with the mission that came of it."""
        return Choice(mission, self.deterministic, self.log_probability, self.exploration)


class Grant(msgspec.Struct, frozen=True):
    """The cells that a robot may cover, in driving order, the ones under its footprint first."""

    id: int
    cells: tuple[int, ...]
    expires: int
    """Stamp at which the robot must be at rest unless a newer picture came."""


class Jog(msgspec.Struct, frozen=True):
    """An operator has a robot, and wants it to move so. Without it in the picture the robot drives by itself."""

    lease: int
    """Its number"""
    operator: str
    expires: int
    """Stamp at which the lease ends: from then on the robot stands, until it is handed back"""
    v: float = 0.0
    """m/s"""
    w: float = 0.0
    """rad/s"""
    stamp: int = 0
    """The wish is no older than this; 0 where there is none"""


# plant <-> robot ----------------------------------------------------------------------------------------------


class Join(msgspec.Struct, frozen=True):
    """A process asks the plant to take part. role: robot, watchdog, coordinator or observer."""

    role: str
    robots: tuple[str, ...] = ()
    embodiment: str = ""
    watchdog: str = ""
    """A robot names who may speak for it when its loop falls silent: nobody else may; empty for none"""


class Joined(msgspec.Struct, frozen=True):
    """The plant's answer; an empty error means yes."""

    site: str = ""
    clock: str = "lockstep"
    stamp: int = 0
    error: str = ""
    motor: str = ""
    """Hash of the drive's controller (`hierarchy.motor.motor_hash`); empty where it is not told"""
    body: str = ""
    """The body that the plant moves, planar or wheeled; empty where it is not told"""


class Cycle(msgspec.Struct, frozen=True):
    """Round `round` begins for one robot: its readings."""

    round: int
    stamp: int
    scan: bytes
    """float32 little-endian"""
    scan_stamp: int
    pose: tuple[float, float, float]
    pose_stamp: int
    twist: tuple[float, float]
    twist_stamp: int
    battery: float
    bumper: bool
    coordinator: bool
    """Whether the coordinator ended the round before: if so its picture of that round is on its way."""
    lift: float = -1.0
    """How far the robot's lift with a pod is up, m; -1 without a pod"""
    battery_stamp: int = -1
    """When the charge was told; -1 for never"""
    yaw_rate: float = 0.0
    """Of the inertial unit, rad/s"""
    yaw_rate_stamp: int = -1
    """When it was measured; -1 for never"""


class Done(msgspec.Struct, frozen=True):
    """A robot (or the watchdog for it) ends its round with the released command."""

    robot: str
    round: int
    command: tuple[float, float]
    role: str = "loop"
    """loop or watchdog; once a watchdog has spoken the plant listens to the loop again only after a new Join"""
    lift: int = -1
    """1: the lift is to be up, 0: down, -1: as it was told before"""


class Round(msgspec.Struct, frozen=True):
    """The plant to the coordinator: every live robot has ended the round; and back: so have I."""

    round: int
    stamp: int
    robots: tuple[str, ...] = ()
    """Members that ended the round: their reports are on their way."""
    gone: tuple[str, ...] = ()
    """Members declared gone since the last round."""


class Leave(msgspec.Struct, frozen=True):
    """The plant ends, or a member goes by its own will."""

    reason: str = ""


# robot <-> coordinator ----------------------------------------------------------------------------------------


LIFT = "lift"
"""Capability of robots that lift the floor's pods, and so fit beneath them."""


class Heard(msgspec.Struct, frozen=True):
    """From an end to its peer, on transports that send again what is not acknowledged: which messages have come.

    It says no more than that: what a message asks for is answered by the protocol, after it is done and stored. Each
    says all, so that it needs no acknowledgement of its own.
    """

    epoch: int = -1
    """Of the peer's process whose messages are meant; -1: none has come yet, tell me whether mine do."""
    highest: int = -1
    """Sequence number"""
    seen: bytes = b""
    """Little-endian: bit k is set when `highest - k` has come."""


class BoxHead(msgspec.Struct, frozen=True):
    """How far a robot's black box has come: the end of its chain then, which nobody makes again from another log."""

    file: str
    """Name of the file, <robot>-<n>.mcap"""
    chunks: int
    count: int
    """Messages"""
    head: bytes
    """SHA-256 of the chain after the last chunk"""
    stamp: int
    closed: bool
    """The file was closed"""


class Report(msgspec.Struct, frozen=True):
    """A robot's whole state, every control cycle."""

    round: int
    stamp: int
    pose: tuple[float, float, float]
    twist: tuple[float, float]
    cells: tuple[int, ...]
    """Every cell that the footprint's disc, grown by the localisation bound, overlaps."""
    battery: float
    status: RobotStatus
    grant: int = 0
    """Newest grant seen"""
    task: str = ""
    attempt: int = 0
    legs_done: int = 0
    failed: str = ""
    """Why this attempt cannot go on; empty while it can"""
    goal: int = -1
    """Cell that it wants to reach now; -1 for none"""
    blocked: tuple[int, ...] = ()
    """Granted cells that it finds blocked"""
    stop_epoch: int = 0
    """Newest emergency stop seen"""
    embodiment: str = ""
    site: str = ""
    capabilities: tuple[str, ...] = ()
    payload_max: float = 0.0
    mode: int = 0
    reason: int = 0
    epoch: int = 0
    """Newest epoch of a picture that it heard"""
    chooses: int = 0
    """Tasks among which it would choose for itself; 0 (a peer without offers too): its work is assigned"""
    chosen: Chosen | None = None
    """Its answer to the newest offer, repeated while that is in the picture"""
    loaded: bool = False
    """It carries a pod: its footprint is the pod's"""
    jog: int = -1
    """Lease by which an operator has it; 0 for none, -1 from a peer that knows none"""
    box: BoxHead | None = None
    """Of its black box, about once a minute; the next one says all that this one did, and more"""


class LeaseAsk(msgspec.Struct, frozen=True):
    """A robot asks the rollout by which release it may drive."""

    asked: int
    """ns of the robot's own monotonic clock: the lease counts from here"""
    release: str = ""
    """By which it drives; empty before it knows"""
    epoch: int = 0
    """Newest that it heard"""
    fallen: str = ""
    """Why it went back to the old release by itself; empty unless its own guard tripped"""
    embodiment: str = ""
    """Hash of the robot's specification; empty where it does not say"""
    shield: str = ""
    """Hash of its shield's parameters and code"""


class Lease(msgspec.Struct, frozen=True):
    """By which release a robot may drive, and for how long."""

    release: str
    """Empty: by none but the old one"""
    epoch: int
    """Of the rollout: leases of an older one hold no more"""
    asked: int = 0
    """The question's; 0 for what was told unasked, which only takes away"""
    span: int = 0
    """ns from `asked` on, by the robot's clock"""
    fence: tuple[float, float, float, float] | None = None
    """x, y of the lower left, then of the upper right corner, m, outside of which it does not hold; None: no fence"""
    speed: float = 0.0
    """m/s that may be driven by it at most; 0: no bound of its own"""


class Picture(msgspec.Struct, frozen=True):
    """What the coordinator tells one robot, every round: all that it needs to know."""

    round: int
    stamp: int
    site: str
    grant: Grant | None
    others: tuple[int, ...] = ()
    """Cells near the robot that other robots hold"""
    robots: tuple[tuple[float, float, float], ...] = ()
    """Other robots near this one as they last reported: x, y (m) and the radius (m) within which all of the robot
    now is; what the lidar sees there is no person"""
    assignment: Assignment | None = None
    stop_epoch: int = 0
    stopped: bool = False
    """The fleet's emergency stop is latched"""
    error: str = ""
    """Why this robot is not served (wrong site, unknown robot)"""
    epoch: int = 0
    """Number of the coordinator's life on its store; grants of an older one are not used (0: a peer without them)"""
    offer: Offer | None = None
    """Work to choose from, for a free robot that said that it chooses"""
    jog: Jog | None = None
    """An operator has the robot"""
