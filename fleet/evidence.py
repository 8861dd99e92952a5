"""What a control step's decision rests on beside its inputs: every monitor's value, every candidate that was tried.

A shield that refuses a proposal judges the candidates of its lattice (`safety.simplex`). `TriedViews` reads what became
of each from the shield's own scratch, which costs a copy of half a kilobyte where the lattice was judged and nothing
where the proposal was released; `refused`, `outcome` and `command` say it to people. Robots and cars alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from safety.reason import Reason
from safety.simplex import JUDGE, LATTICE, UNDECIDED, UNFIT, UNTRIED, VERIFIED

PROPOSAL = -1
"""`Tried.chosen`: the proposal was released, perhaps cut to the robot's limits."""
STORED = -2
"""And: the next command of the stored plan."""


class Tried(msgspec.Struct, frozen=True, array_like=True):
    """What the shield tried in one step."""

    chosen: int = PROPOSAL
    """Number of the candidate that was released, PROPOSAL or STORED"""
    verdicts: bytes = b""
    """int8 by candidate: 0 verified, else the `Reason` of its refusal; UNTRIED: a nearer one was verified before it;
    UNFIT: faster than the floor allows. Empty where no candidate was judged"""
    commands: bytes = b""
    """float32 (LATTICE, 2): the candidates, where `verdicts` tells of them"""


LONGEST = 2**63 - 1
"""ns: what a record holds of an age, some 292 years; stamps may say anything."""


def kept(age: int) -> int:
    """An age as it is recorded, ns."""
    return max(-LONGEST, min(age, LONGEST))


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """Of one control step."""

    ages: tuple[int, int, int, int, int]
    """Of scan, pose, twist and picture, and what is left of the grant's lease, ns"""
    tracking: float
    """How far the pose is beyond the bound of where the commands led, m: negative within it, NaN without a pose"""
    strayed: int
    """Cycles in a row outside of it"""
    calibration: tuple[float, float, float]
    """Scores of braking, latency and tracking against the calibration; 0 without one"""
    stuck: float
    """Time without progress, s"""
    played: int
    """Steps in a row without a verified command"""
    authority: int
    """What it may do at most (`safety.calibration.Authority`)"""
    tried: Tried = Tried()


_PROPOSAL, _STORED = Tried(PROPOSAL), Tried(STORED)


class TriedViews:
    """numpy views of the scratch of a shield's memory on the CPU, which has one row."""

    def __init__(self, memory: Any) -> None:  # of either shield: the arrays of safety.simplex.Tried
        self._status, self._best = memory.status.numpy(), memory.best.numpy()
        self._verdicts, self._commands = memory.verdicts.numpy(), memory.commands.numpy()

    def read(self) -> Tried:
        """What the last launch tried."""
        status = self._status[0]
        if status == VERIFIED:
            return _PROPOSAL
        if status != JUDGE:
            return _STORED
        best = int(self._best[0])
        chosen = best % LATTICE if best < UNDECIDED else STORED
        return Tried(chosen, self._verdicts.tobytes(), self._commands.tobytes())


def outcome(tried: Tried) -> str:
    """What was released, in words."""
    if tried.chosen == PROPOSAL:
        return "the proposal"
    return "the stored plan" if tried.chosen == STORED else f"candidate {tried.chosen}"


def command(tried: Tried, candidate: int) -> tuple[float, float]:
    """A candidate's command. Raises ValueError for a record that does not have it."""
    first, second = np.frombuffer(tried.commands, "<f4").reshape(-1, 2)[candidate].tolist()
    return first, second


def refused(tried: Tried) -> Iterator[tuple[int, Reason]]:
    """Candidates that were judged and refused, and why, in the order of their numbers."""
    for number, verdict in enumerate(np.frombuffer(tried.verdicts, np.int8).tolist()):
        if verdict > 0:
            yield number, Reason(verdict)


def passed_over(tried: Tried) -> tuple[int, int]:
    """How many candidates were not judged: those beyond a nearer verified one, and those too fast for the floor."""
    verdicts = np.frombuffer(tried.verdicts, np.int8)
    return int((verdicts == UNTRIED).sum()), int((verdicts == UNFIT).sum())
