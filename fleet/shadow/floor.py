"""A candidate for robots on a floor: the same control step once more, on production's inputs and memory.

    step = (inputs, memory, outputs)        what production began with, and what it decided
    FloorCandidate(stepper).pair(step)      the same with the candidate's answer

The candidate's stepper has arrays and launches of its own and carries nothing from step to step.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fleet.control import LATE, ControlConfig, Stepper
from fleet.ready import warm
from fleet.records import Inputs, Memory, Outputs
from fleet.served import POLICIES, Served, keep
from fleet.shadow import candidate as candidates
from fleet.shadow.live import SHARE, Shadow, Shadows
from fleet.shadow.pairs import Pair, Side, bounded, finite
from sim.robot import SECOND, RobotSpec
from sim.site import Site

RECORDED = "recorded"
"""Source of outputs that came from somebody else's robot (`muster import`): nobody of ours proposed them."""
FALLBACK = "fallback"


class FloorStep(NamedTuple):
    """A control step of production."""

    inputs: Inputs
    memory: Memory
    """It began with"""
    outputs: Outputs


class FloorCandidate:
    """Owns a control step of its own."""

    def __init__(self, stepper: Stepper) -> None:
        """`stepper`: of `fleet.shadow.candidate.stepper_for`."""
        assert stepper.policy is not None
        self.hash, self._stepper = stepper.policy.hash, stepper

    def asked(self, step: FloorStep) -> bool:
        """As `fleet.shadow.live.Candidate`."""
        return asked(step.outputs)

    def pair(self, step: FloorStep, *, hurried: bool) -> Pair:
        """As `fleet.shadow.live.Candidate`."""
        theirs, _ = self._stepper.step(step.inputs, step.memory, lateness=LATE if hurried else None)
        return pair(step.outputs, theirs, self._stepper.config.spec, self.hash)


def check(word: str, spec: RobotSpec, registry: Path, site: str) -> None:
    """Raise MusterError, with one line, for a candidate that cannot be had or does not fit; nothing is kept."""
    if word:
        with candidates.refusing("--shadow"), tempfile.TemporaryDirectory() as folder:
            candidates.load(candidates.find(word, spec, registry, Path(folder), site), spec)


def begin(word: str, registry: Path, config: ControlConfig, robots: Sequence[str], site: Site, root: Path) -> Shadows:
    """Shadows of a candidate for the robots of one process, ready to answer; its files are kept in RUN/policies.

    They share one control step, which carries nothing from step to step. Raises MusterError, with one line, where the
    candidate cannot be had or does not fit. Without a `word` nothing is beside them.
    """
    if not word:
        return Shadows(root)
    place = candidates.find(word, config.spec, registry, root / POLICIES, site.name)
    period = config.spec.period / SECOND
    policy = candidates.load(place, config.spec, patience=SHARE * period)
    keep(Served(policy), place, root / POLICIES)
    stepper = candidates.stepper_for(config, site, policy)
    warm(stepper)
    desk = Shadows(root)
    beside = FloorCandidate(stepper)
    desk.shadows = tuple(Shadow(robot, beside, desk.take, tick=period, robots=len(robots)) for robot in robots)
    return desk


def asked(outputs: Outputs) -> bool:
    """Whether a policy was at the controls in this step, so that another one can be compared with it.

    Steps in which the robot is stopped, holds its cell, handles a pod or is driven by hand are alike for all policies.
    """
    return outputs.answer is not None or outputs.source == RECORDED


def pair(production: Outputs, candidate: Outputs, spec: RobotSpec, name: str, robot: str = "") -> Pair:
    """The pair of two outputs on the same inputs; `name` is the candidate's hash."""
    ours, theirs = side(production), side(candidate)
    if not theirs.policy:
        theirs = msgspec.structs.replace(theirs, policy=name[:12])
    return Pair(
        robot=robot,
        cycle=production.cycle,
        stamp=production.stamp,
        production=ours,
        candidate=theirs,
        disagreement=distance(ours.proposed, theirs.proposed, spec),
    )


def side(outputs: Outputs) -> Side:
    """What one of the two decided."""
    answer = outputs.answer
    failed = answer is not None and (answer.late or not all(map(math.isfinite, answer.action)))
    return Side(
        policy=answer.policy if answer is not None else "",
        proposed=finite(outputs.proposed),
        released=finite(outputs.released),
        reason=int(outputs.reason),
        margin=bounded(outputs.margin),
        failed=failed or outputs.source == FALLBACK,
    )


def distance(one: tuple[float, float], other: tuple[float, float], spec: RobotSpec) -> float:
    """The largest difference of two commands, in shares of the robot's top speed and turn rate."""
    drive = spec.diff
    return max(abs(one[0] - other[0]) / drive.speed_max, abs(one[1] - other[1]) / drive.turn_max)
