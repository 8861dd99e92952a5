"""The rule of one step: whether a policy may drive on what it has just seen. Pure, recorded, replayed.

    scores (recorded with the answer), in units of their calibrated limits: how new the observation is
    (agents/novelty.py), and how much the readings contradict each other (fleet/guards/senses.py)
      -> one score at 1 or more in one step, or its mean over LASTING steps     Trip, the fallback drives
      -> HOLD without a new one                                                 the policy drives again
      -> TRIPS within SPAN                                                      the breaker opens

An open breaker ends with another version or with an operator (a jog, or an emergency stop that was raised and reset),
never by itself. The first START answers of all are looked at while the robot stands. A policy whose graph tells no
novelty is not guarded by it: `answer.novelty` is empty, and only its action's limits count.
"""

from __future__ import annotations

import enum

import msgspec

from agents.policy import CHANGES, SCORES
from hierarchy.skills import Answer
from safety.supervisor import Cause
from sim.robot import SECOND

LASTING = 4
"""Steps of the mean: with the step in which it is acted upon, the baseline drives within five."""
HOLD = 10 * SECOND
"""ns without novelty until the policy is tried again: a person or a pallet has gone, a broken sensor has not."""
TRIPS = 3
SPAN = 600 * SECOND
"""ns; three in ten minutes are 180 times the calibrated rate of false ones: it is no chance any more."""
START = 3
"""Answers before anything moves: the change needs two, and one more shows noise."""
LIMIT = 1.0
"""Of actions: contracts bound them to [-1, 1], and graphs clip them."""
SPAN_STEPS = 5
"""Steps whose readings are remembered for the next: what a reading's fault does to a way shows in half a second."""

SCANS = 2
"""Of them, those whose scans are remembered too."""


class Trip(enum.IntEnum):
    """Why the guard let the policy not drive, in the order in which one is named of several."""

    NONE = 0
    START = 1
    """The first answers: looked at, not obeyed"""
    ALONE = 2
    """The observation by itself is unlike everything driven"""
    CHANGE = 3
    """So is its change since the step before"""
    DISTANCE = 4
    """Or its distance from what was driven"""
    ALONE_LASTING = 5
    """The same by the mean over LASTING steps"""
    CHANGE_LASTING = 6
    DISTANCE_LASTING = 7
    ACTION = 8
    """The action is outside its limits"""
    HELD = 9
    """One of the above was not long ago"""
    OPEN = 10
    """The breaker is open"""
    ODOMETRY = 11
    """The pose went elsewhere than the odometry says"""
    BEYOND = 12
    """The scan sees through walls of the map"""
    ROUGH = 13
    """Its ranges scatter about them"""
    PLACE = 14
    """It fits the map elsewhere than at the pose"""
    BIAS = 15
    """Its ranges are all too long or too short"""
    DRIFT = 16
    """It moves over the map otherwise than the pose"""
    STILL = 17
    """It is the one before again"""
    ODOMETRY_LASTING = 18
    """The same by the mean over LASTING steps"""
    BEYOND_LASTING = 19
    ROUGH_LASTING = 20
    PLACE_LASTING = 21
    BIAS_LASTING = 22
    DRIFT_LASTING = 23
    STILL_LASTING = 24


SINGLE = tuple(Trip[name.upper()] for name in SCORES)
LASTED = tuple(Trip[f"{name.upper()}_LASTING"] for name in SCORES)
"""In the order of the scores; numbers of trips are recorded, and stay what they were when scores were fewer."""


class Reading(msgspec.Struct, frozen=True):
    """A step's readings as the next steps compare theirs with."""

    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """p_WB"""
    pose_stamp: int = 0
    """ns"""
    twist: tuple[float, float] = (0.0, 0.0)
    twist_stamp: int = 0
    scan_stamp: int = 0
    scan: bytes = b""
    """Ranges of the observation's bins, float32"""


class Trace(msgspec.Struct, frozen=True):
    """What is remembered of a step."""

    reading: Reading
    """With its scan where that is one of the last SCANS"""
    fix: tuple[float, ...]
    """How far the pose was off by the scan (`Answer.fix`)"""


class GuardMemory(msgspec.Struct, frozen=True):
    """What the guard remembers."""

    policy: str = ""
    """Who answered last; another one begins with a closed breaker"""
    cycle: int = -2
    """Cycle of the last answer"""
    before: bytes = b""
    """The observation of that cycle, float32"""
    scores: tuple[tuple[float, ...], ...] = ()
    """Lasting scores of the last steps in a row, at most LASTING"""
    seen: int = 0
    """Answers so far, at most START"""
    until: int = 0
    """Stamp up to which the fallback drives"""
    trips: tuple[int, ...] = ()
    """Stamps at which it was called within SPAN"""
    open: bool = False
    """The breaker"""
    trail: tuple[Trace, ...] = ()
    """The last steps in a row, at most SPAN_STEPS"""
    epoch: int = 0
    """The fleet's emergency stop when it opened"""


class Watched(msgspec.Struct, frozen=True):
    """What the guard found in one step."""

    trip: Trip
    memory: GuardMemory

    @property
    def cause(self) -> Cause:
        """What the supervisor is told."""
        return Cause.NONE if self.trip in (Trip.NONE, Trip.START) else Cause.POLICY

    @property
    def stands(self) -> bool:
        """Whether nothing may move in this step, though nothing is wrong."""
        return self.trip is Trip.START


def watch(
    memory: GuardMemory,
    answer: Answer | None,
    observation: bytes,
    cycle: int,
    stamp: int,
    reading: Reading | None = None,
    *,
    jogged: bool = False,
    epoch: int = 0,
) -> Watched:
    """Judge one answer. `stamp` in ns; `jogged`: an operator drives; `epoch`: number of the fleet's newest stop.

    `reading` is remembered for the residuals of the steps to come, where the policy's graph takes them.
    """
    if memory.open and (jogged or epoch > memory.epoch):
        memory = msgspec.structs.replace(memory, open=False, trips=(), until=0)
    if answer is None:
        return Watched(Trip.NONE, memory)
    if answer.policy != memory.policy:
        memory = msgspec.structs.replace(memory, policy=answer.policy, open=False, trips=(), until=0, scores=())
    follows = cycle == memory.cycle + 1 and len(memory.before) == len(observation)
    single, lasting = _split(answer.novelty, follows)
    scores = ((*memory.scores, lasting) if follows else (lasting,))[-LASTING:]
    found = _limits(answer) or _single(single) or _lasting(scores)
    calls = found is not Trip.NONE and stamp >= memory.until
    trips = tuple(each for each in memory.trips if stamp - each < SPAN) + ((stamp,) if calls else ())
    opens = not memory.open and len(trips) >= TRIPS
    seen = min(memory.seen + 1, START)
    trail: tuple[Trace, ...] = ()
    if reading is not None and answer.fix:
        kept = memory.trail if cycle == memory.cycle + 1 else ()
        trail = (*kept[1 - SPAN_STEPS :], Trace(reading, answer.fix))
        if len(trail) > SCANS:
            old = trail[-1 - SCANS]
            bare = Trace(msgspec.structs.replace(old.reading, scan=b""), old.fix)
            trail = (*trail[: -1 - SCANS], bare, *trail[-SCANS:])
    after = GuardMemory(
        policy=answer.policy,
        cycle=cycle,
        before=observation if answer.novelty else b"",
        scores=scores if answer.novelty else (),
        seen=seen,
        until=stamp + HOLD if found is not Trip.NONE else memory.until,
        trips=trips,
        open=memory.open or opens,
        trail=trail,
        epoch=epoch if opens else memory.epoch,
    )
    if found is Trip.NONE and after.open:
        found = Trip.OPEN
    if found is Trip.NONE and stamp < after.until:
        found = Trip.HELD
    if found is Trip.NONE and answer.novelty and memory.seen < START:
        found = Trip.START
    return Watched(found, after)


def calls(trip: Trip) -> bool:
    """Whether something was found in that very step."""
    return trip not in (Trip.NONE, Trip.START, Trip.HELD, Trip.OPEN)


def _split(novelty: tuple[float, ...], follows: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores for one step and for the mean; what needs a step before counts nothing without one."""
    count = len(novelty) // 2
    if len(novelty) % 2 or not 0 < count <= len(SCORES):
        return (), ()
    known = novelty if follows else tuple(0.0 if i % count in CHANGES else value for i, value in enumerate(novelty))
    return known[:count], known[count:]


def _limits(answer: Answer) -> Trip:
    return Trip.NONE if all(abs(value) <= LIMIT for value in answer.action) else Trip.ACTION  # NaN too


def _single(scores: tuple[float, ...]) -> Trip:
    over = [index for index, value in enumerate(scores) if not value < 1.0]
    return SINGLE[over[0]] if over else Trip.NONE


def _lasting(scores: tuple[tuple[float, ...], ...]) -> Trip:
    if len(scores) < LASTING:
        return Trip.NONE
    over = [index for index, values in enumerate(zip(*scores, strict=True)) if not sum(values) < LASTING]
    return LASTED[over[0]] if over else Trip.NONE
