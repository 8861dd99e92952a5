"""What a rollout's state machine is told, what it tells, and what it remembers: events, commands, state."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet.rollout.plan import Plan, Stage

Status = Literal["running", "held", "rolled_back", "killed", "confirmed"]
FINAL = ("rolled_back", "killed")
Decision = Literal["promote", "hold", "rollback"]
SECOND = 1_000_000_000


class Target(msgspec.Struct, frozen=True):
    """A release and what of it decides about the closed course."""

    release: str
    embodiment: str
    shield: str


class Event(msgspec.Struct, frozen=True, tag_field="event", kw_only=True):
    """Something that happened."""

    stamp: int
    """ns of the site clock"""


class Started(Event, frozen=True, tag="started"):
    """A candidate is to replace a baseline."""

    rollout: str
    """Name of this rollout; seeds who is chosen"""
    candidate: Target
    baseline: Target
    robots: dict[str, str]
    """Zone by robot"""
    plan: Plan
    by: str


class Gate(Event, frozen=True, tag="gate"):
    """What an evaluation without the fleet said."""

    stage: Stage
    decision: Decision
    reason: str
    evidence: str = ""
    """File or sha256 of it"""


class Looked(Event, frozen=True, tag="looked"):
    """What the judge said, and how much of the candidate was seen since the stage began."""

    stage: Stage
    decision: Decision
    reason: str
    lacking: tuple[str, ...] = ()
    """What is missing or cannot be believed"""
    missions: int = 0
    hours: float = 0.0
    heard: int = 0
    """Stamp of the candidate's newest mission"""
    evidence: str = ""


class Tripped(Event, frozen=True, tag="tripped"):
    """A robot went back to the old release by itself: its guard, or its lease."""

    robot: str
    reason: str
    lease: bool = False
    """Only its lease ended: it was cut off, the candidate did nothing"""


class Joined(Event, frozen=True, tag="joined"):
    """A robot is new in the fleet."""

    robot: str
    zone: str
    embodiment: str


class Changed(Event, frozen=True, tag="changed"):
    """The robots or their shield are no longer those that the closed course was driven with."""

    embodiment: str
    shield: str


class Order(Event, frozen=True, tag="order"):
    """What an operator said; `fleet.rollout.authority` proves who."""

    verb: Literal["promote", "hold", "resume", "rollback", "kill", "confirm", "sign"]
    by: str
    reason: str = ""
    item: str = ""
    """sign: of the checklist"""
    seen: int = 0
    """Number of the newest event that the operator had seen"""


AnyEvent = Started | Gate | Looked | Tripped | Joined | Changed | Order


class Deploy(msgspec.Struct, frozen=True, tag=True):
    """From now on these robots' leases say so."""

    arms: dict[str, str]
    epoch: int


class Revoke(msgspec.Struct, frozen=True, tag=True):
    """Every lease of an epoch before this one ends now: all robots drive by the baseline."""

    epoch: int
    reason: str


class Name(msgspec.Struct, frozen=True, tag=True):
    """The registry's alias production means this release."""

    release: str
    reason: str


Command = Deploy | Revoke | Name


class State(msgspec.Struct, frozen=True):
    """Everything that the events so far amount to."""

    number: int = 0
    """Events so far"""
    stamp: int = 0
    began: int = 0
    """When the stage began"""
    rollout: str = ""
    candidate: Target = Target("", "", "")
    baseline: Target = Target("", "", "")
    plan: Plan = Plan()
    robots: dict[str, str] = {}
    stage: Stage = Stage.DRAFT
    status: Status = "running"
    reason: str = ""
    epoch: int = 0
    arms: dict[str, str] = {}
    holdout: tuple[str, ...] = ()
    signed: dict[str, str] = {}
    """Item of the checklist to who signed it"""
    tripped: tuple[str, ...] = ()
    passed: bool = False
    """The stage's evidence suffices"""
    look: Looked | None = None
    """Newest of the stage"""

    @property
    def final(self) -> bool:
        """Nothing happens any more."""
        return self.status in FINAL

    @property
    def drives(self) -> str:
        """Release that robots without a lease drive by."""
        return self.candidate.release if self.status == "confirmed" else self.baseline.release
