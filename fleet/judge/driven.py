"""Missions out of control steps: what a robot drove, as the judge reads it.

    state, ended = step(state, inputs, outputs, seconds, gap)

A mission is what `Outputs.mission` names (task/attempt). It begins with the first step that names it and ends where its
last leg is done, where its attempt failed, or where the fleet no longer assigns it. What counts:

    steps          control steps from begin to end
    interventions  times that a person had to help: the robot asks for one (status OPERATOR, an attempt that failed),
                   one drives it (MANUAL), or it is latched until one resets it; not an emergency stop, which stops all
    contacts       times that the bumper was touched
    near_misses    encounters (fleet/judge/near.py); None where one step of the mission could not tell
    energy         what the charge fell by, times the battery's capacity; None without either, and where it rose
    latency_p99    of the seconds that steps took; None where they are not known, as from logs
    done           the last leg was done; None where nobody saw that, nor that it was not

What began before the first step that was seen, or lost more than LOST of its steps, has no counts: they are None, never
0 or too small. A mission that is under way at the end of all steps is not told at all.

What a lease bounds in speed is driven on a rollout's closed course, which is not compared with anything: not told.

The release that drove the first step is the mission's. One that began by a candidate stays the candidate's to its end:
that the old release had to take over is its doing. One that began by the old release and was driven on by a candidate,
or by one candidate after another, says nothing of either: it is told with neither counts nor whether it was done, so
that the judge holds where there are many.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from coordination.messages import RobotStatus
from fleet.judge.missions import Mission
from fleet.judge.near import met
from fleet.records import Inputs, Outputs
from safety.supervisor import Cause, Mode
from sim.robot import SECOND

LOST = 2 * SECOND
"""ns between two steps of one robot: more, and what happened between them was not seen."""
HOUR = 3600 * SECOND
SAMPLES = 36_000
"""Steps whose seconds are kept: an hour of ten a second; of a longer mission the first."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A mission that is under way."""

    id: str
    release: str
    begin: int
    """Stamp of its first step, ns"""
    end: int
    """And of its newest"""
    charge: float | None
    """At its first step"""
    left: float | None
    """At its newest; None from where it was not told, or had risen"""
    whole: bool
    """Every step since its begin was seen"""
    mixed: bool = False
    """Something else drove than its `release`, so that it says nothing of either"""
    course: bool = False
    """Driven within the bounds of a closed course"""
    steps: int = 0
    interventions: int = 0
    contacts: int = 0
    near_misses: int | None = 0
    seconds: tuple[float, ...] | None = ()
    legs: int = -1
    """Of the attempt; -1 before they were seen"""


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one robot from step to step."""

    robot: str
    zone: str = ""
    capacity: float | None = None
    """Of its battery, J; None where nobody says"""
    stamp: int | None = None
    """Of the newest step"""
    helped: bool = False
    """A person is needed, or there"""
    touched: bool = False
    encounter: bool = False
    told: str = ""
    """The mission that ended last: its robot names it until the fleet gives it another"""
    open: Open | None = None


def step(
    state: Driven, inputs: Inputs, outputs: Outputs, seconds: float | None = None, gap: float | None = None
) -> tuple[Driven, tuple[Mission, ...]]:
    """The state after a step, and the missions that ended by it. Pure.

    Args:
        seconds: that the step took. gap: m from the hull to what no map explains (`near.Sight`); None for unknown.
    """
    whole = state.stamp is not None and 0 <= inputs.stamp - state.stamp <= LOST
    ended: tuple[Mission, ...] = ()
    current = state.open
    gone = inputs.picture is not None or bool(outputs.mission)  # without a picture a robot names none, and goes on
    if current is not None and outputs.mission != current.id and gone:
        seen = whole and current.legs >= 0  # else its last leg may have been done unseen
        ended = _mission(state, current, done=False if seen else None)
        state, current = msgspec.structs.replace(state, told=current.id), None
    help_, counted = _helped(state.helped, outputs)
    encounter, missed = met(state.encounter, gap, inputs.twist[0]) if gap is not None else (state.encounter, False)
    if outputs.mission and outputs.mission != state.told:
        if current is None:
            current = _begun(inputs, outputs, whole=whole)
        legs = _legs(inputs, outputs, current.legs)
        other = inputs.release != current.release
        misses = current.near_misses
        sampled = current.seconds
        if sampled is not None and len(sampled) < SAMPLES:
            sampled = (*sampled, seconds) if seconds is not None else None
        current = msgspec.structs.replace(
            current,
            end=inputs.stamp,
            left=_charge(inputs, current.left),
            whole=current.whole and whole,
            mixed=current.mixed or (other and bool(inputs.release)),
            course=current.course or inputs.speed > 0.0,
            steps=current.steps + 1,
            interventions=current.interventions + counted,
            contacts=current.contacts + (inputs.bumper and not state.touched),
            near_misses=misses + missed if misses is not None and gap is not None else None,
            seconds=sampled,
            legs=legs,
        )
        report = outputs.report
        if report.failed or 0 <= legs <= report.legs_done:
            ended = (*ended, *_mission(state, current, done=not report.failed))
            state, current = msgspec.structs.replace(state, told=current.id), None
    state = msgspec.structs.replace(
        state, stamp=inputs.stamp, helped=help_, touched=inputs.bumper, encounter=encounter, open=current
    )
    return state, ended


def shift_of(stamp: int) -> str:
    """The hour of a stamp of the site clock (ns since 1970), such as 2026-11-22T06."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=stamp // HOUR)).strftime("%Y-%m-%dT%H")


def _begun(inputs: Inputs, outputs: Outputs, *, whole: bool) -> Open:
    charge = inputs.battery if inputs.battery_stamp >= 0 else None
    begin = inputs.stamp
    return Open(
        id=outputs.mission, release=inputs.release, begin=begin, end=begin, charge=charge, left=charge, whole=whole
    )


def _helped(before: bool, outputs: Outputs) -> tuple[bool, bool]:
    """Whether a person is needed or there, and whether that began with this step."""
    stopped_by_all = outputs.mode is Mode.LATCHED and outputs.cause is Cause.EMERGENCY_STOP
    latched = outputs.mode is Mode.LATCHED and (before or not stopped_by_all)
    asks = outputs.report.status is RobotStatus.OPERATOR or bool(outputs.report.failed)
    now = latched or asks or outputs.mode is Mode.MANUAL
    return now, now and not before


def _legs(inputs: Inputs, outputs: Outputs, known: int) -> int:
    """Legs of the attempt that is driven."""
    assignment = inputs.picture.assignment if inputs.picture is not None else None
    report = outputs.report
    if assignment is None or (assignment.task, assignment.attempt) != (report.task, report.attempt):
        return known
    return len(assignment.legs)


RISE = 0.01
"""Of a battery, that a gauge may tell too much from one moment to the next; more was charged."""


def _charge(inputs: Inputs, left: float | None) -> float | None:
    """The newest charge; None once it has risen or was not told."""
    if left is None or inputs.battery_stamp < 0 or not 0.0 <= inputs.battery <= left + RISE:
        return None
    return inputs.battery


def _mission(state: Driven, told: Open, *, done: bool | None) -> tuple[Mission, ...]:
    """The record of a mission that is over; none of one that was driven on a closed course."""
    if told.course:
        return ()
    clear = told.whole and not told.mixed
    energy = None
    if clear and state.capacity is not None and told.charge is not None and told.left is not None:
        energy = max(0.0, told.charge - told.left) * state.capacity
    mission = Mission(
        id=told.id,
        robot=state.robot,
        shift=shift_of(told.begin),
        zone=state.zone,
        release=told.release,
        arm="candidate" if told.release else "baseline",
        begin=told.begin,
        end=told.end,
        steps=told.steps if clear else None,
        interventions=told.interventions if clear else None,
        contacts=told.contacts if clear else None,
        near_misses=told.near_misses if clear else None,
        energy=energy,
        latency_p99=float(np.quantile(told.seconds, 0.99)) if clear and told.seconds else None,
        done=None if told.mixed else done,
    )
    return (mission,)
