"""What if: at each recorded step, what another policy would have proposed, or another assumption released.

    recorded inputs, memory --+-- recorded answer --> step --> as decided
                              +-- other answer    --> step --> what would have been released instead

One step at a time: each comparison begins with the inputs and the memory that the recorded drive had at that step. The
world does not answer, and no deviation adds up: the figures say how often and how much two deciders differ on the
situations that one of them met, not where the other would have led. Who wants that lets it drive on
(fleet/incident/playon.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from agents.policy import Policy
from fleet.control import Stepper
from fleet.incident.walk import Log, Walked, answer_as_recorded, choose_as_recorded, walk
from fleet.records import Outputs
from hierarchy.skills import Answer
from safety.reason import Reason
from sim.errors import MusterError
from sim.robot import SECOND

FASTEST = 3.0
"""m/s that people may be assumed to walk at: nearly twice ISO 13855's 1.6; nobody on a warehouse's floor is faster."""
DIFFERS = 0.01
"""m/s and rad/s from which two commands are told apart: below it a drive's own tracking hides the difference."""


class QuestionError(MusterError):
    """A recording cannot be asked this."""


@dataclass(frozen=True)
class Other:
    """One step as another decider has it, beside the recorded one."""

    step: Walked
    other: Outputs

    @property
    def differs(self) -> bool:
        """Whether something else would have been released, by more than DIFFERS."""
        return _apart(self.step.now.released, self.other.released) > DIFFERS


@dataclass
class Tally:
    """What differs over a recording. Owns its counts."""

    what: str
    """The other decider, in words"""
    steps: int = 0
    asked: int = 0
    """Steps in which a policy proposed"""
    proposed: int = 0
    """Of them, with another proposal"""
    released: int = 0
    """Steps with another release"""
    first: Other | None = None
    """The first of them"""
    slower: int = 0
    faster: int = 0
    refused: int = 0
    """Releases that the shield let pass as proposed, and of which it would have made something else"""
    stops: int = 0
    """Of them, those for which it would have played the stored plan"""
    interventions: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    """Commands that the shield changed, by reason: recorded, other"""
    margins: tuple[float, float] = (math.inf, math.inf)
    """Smallest, m: recorded, other; inf where none was verified"""
    gap: float = 0.0
    """Largest difference of two proposals, m/s or rad/s"""
    strange: int = 0
    """Steps that this code decides otherwise than they were recorded"""

    def add(self, one: Other) -> None:
        """Count a step."""
        now, other = one.step.now, one.other
        self.steps += 1
        self.strange += not one.step.same
        if now.answer is not None:
            self.asked += 1
            gap = _apart(now.proposed, other.proposed)
            self.proposed += not gap <= DIFFERS
            self.gap = max(self.gap, gap) if math.isfinite(gap) else math.inf
        if one.differs:
            self.released += 1
            self.first = self.first or one
            faster = abs(other.released[0]) - abs(now.released[0])
            self.slower += faster < -DIFFERS
            self.faster += faster > DIFFERS
        refused = one.differs and now.reason is Reason.NONE and other.reason is not Reason.NONE
        self.refused += refused
        self.stops += refused and other.margin < 0.0
        for counts, outputs in zip(self.interventions, (now, other), strict=True):
            if outputs.reason is not Reason.NONE:
                counts[outputs.reason.name.lower()] += 1
        least = [min(a, b.margin) if b.margin >= 0.0 else a for a, b in zip(self.margins, (now, other), strict=True)]
        self.margins = (least[0], least[1])

    def lines(self, zero: int) -> list[str]:
        """The tally for a person; times are seconds since the stamp `zero`."""
        found = [f"{self.what}, one step at a time (the world does not answer):"]
        if self.asked and self.gap > 0.0:
            found.append(
                f"  proposed otherwise in {self.proposed} of {self.asked} answers, "
                f"by {self.gap:.2f} m/s or rad/s at most"
            )
        text = f"  released otherwise in {self.released} of {self.steps} steps"
        if self.first is not None:
            a, b = self.first.step, self.first.other
            text += (
                f": {self.slower} slower, {self.faster} faster; first at cycle {a.inputs.cycle} "
                f"({(a.inputs.stamp - zero) / SECOND:.1f} s): {_command(b.released)} instead of "
                f"{_command(a.now.released)}, {b.reason.name.lower()}"
            )
        found.append(text)
        changed = [f"{sum(counts.values())}{_by(counts)}" for counts in self.interventions]
        found.append(f"  commands changed by the shield: {changed[1]}; recorded {changed[0]}")
        least = ["none verified" if math.isinf(margin) else f"{margin:.2f} m" for margin in self.margins]
        found.append(
            f"  releases that would have been refused: {self.refused}, {self.stops} of them for the stored plan"
        )
        found.append(f"  smallest margin: {least[1]}; recorded {least[0]}")
        if self.strange:
            found.append(
                f"  {self.strange} steps are decided otherwise by this code than recorded; compared is this code's"
            )
        return found


def other_policy(log: Log, policy: Policy, begin: int = 0, end: int = 2**63) -> Iterator[Other]:
    """Each step as it would be with the policy's answer. Raises agents.errors.ContractMismatch if it does not fit."""
    header = log.header
    stepper = Stepper(header.config, header.site, policy)
    own = Stepper(header.config, header.site, None)
    for step in walk(log, own, begin, end):
        if step.now.answer is None:
            yield Other(step, step.now)
            continue
        seen = np.frombuffer(step.now.observation, np.float32).reshape(1, -1)
        said = Answer(tuple(float(value) for value in policy.act(seen)[0]), policy=policy.hash[:12])
        stepper.controller.navigate.version = own.controller.navigate.version
        yield Other(step, _again(stepper, step, lambda observation, said=said: said))


def other_speed(log: Log, speed: float, begin: int = 0, end: int = 2**63) -> Iterator[Other]:
    """Each step as it would be under a shield that assumes people to walk at `speed`, m/s. Raises QuestionError."""
    if not 0.0 <= speed <= FASTEST:
        raise QuestionError(f"--speed-assumption: expected 0 to {FASTEST:g} m/s, got {speed:g}; people walk at 1.6")
    header = log.header
    stepper = Stepper(replace(header.config, person_speed=speed), header.site, None)
    for step in walk(log, begin=begin, end=end):
        yield Other(step, _again(stepper, step, answer_as_recorded(stepper, step.recorded)))


def tally(what: str, others: Iterator[Other]) -> Tally:
    """What differs over all steps."""
    found = Tally(what)
    for one in others:
        found.add(one)
    return found


def _again(stepper: Stepper, step: Walked, act: Callable[..., Answer]) -> Outputs:
    outputs, _ = stepper.step(step.inputs, step.memory, act, choose_as_recorded(step.recorded))
    return outputs


def _apart(one: tuple[float, float], two: tuple[float, float]) -> float:
    """How far two commands are apart; inf where one is no number."""
    gap = max(abs(a - b) for a, b in zip(one, two, strict=True))
    return gap if math.isfinite(gap) else 0.0 if repr(one) == repr(two) else math.inf


def _command(command: tuple[float, float]) -> str:
    return f"{command[0]:+.2f} m/s {command[1]:+.2f} rad/s"


def _by(counts: Counter[str]) -> str:
    return f" ({', '.join(f'{name} {count}' for name, count in counts.most_common(4))})" if counts else ""
