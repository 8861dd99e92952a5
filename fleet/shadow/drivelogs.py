"""A candidate on the black boxes of cars: each recorded step once more with its proposal.

A step's view and commands are recorded in every step, the shield's memory at the first step of each second; between
these production's own guard decides once more, as `muster replay` does, and says what it remembered. Production's
policies are not needed for that, only what they said and wished.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from fleet.drivelog import SCHEMA, read_course
from fleet.drivereplay import Again, bounds_of, decisions
from fleet.drivinglevels import DrivingLevels
from fleet.salvage import BlackBoxError, Recording
from fleet.shadow.pairs import Pair
from fleet.shadow.road import RoadCandidate, RoadStep
from sim.robot import RobotSpec


def is_drive(recording: Recording) -> bool:
    """Whether a black box is of a car."""
    return recording.metadata.get("schema") == SCHEMA


def pairs(recording: Recording, levels: DrivingLevels, spec: RobotSpec) -> Iterator[Pair]:
    """The pairs of one drive; raises BlackBoxError for a file that cannot be decided again."""
    course, _ = read_course(recording)
    if "bounds" not in recording.metadata:
        raise BlackBoxError(f"expected the decisions of a shield in {recording.path}, the drive had none")
    bounds = bounds_of(recording)
    production = course.driver.removeprefix("policy ")
    candidate = RoadCandidate(course.road, levels, spec, production, bounds)
    again, last, wished = Again(course.road, bounds), None, False
    name = recording.path.stem.rpartition("-")[0]
    try:
        for cycle, decision in decisions(recording):
            memory = again.memory(decision, follows=last is not None and cycle == last + 1)
            last, wished = cycle, wished or bool(decision.wish)
            if memory is not None:
                step = RoadStep(cycle, cycle * spec.period, msgspec.structs.replace(decision, memory=memory))
                if candidate.asked(step):
                    begun = time.perf_counter()
                    found = candidate.pair(step, hurried=False)
                    yield msgspec.structs.replace(found, robot=name, seconds=time.perf_counter() - begun)
                again.decide(decision, cycle)
    except ValueError as error:
        raise BlackBoxError(f"expected a drive of this version in {recording.path}: {error}") from error
    if last is not None and not wished:
        raise BlackBoxError(
            f"expected what was wished of the car in {recording.path}, an older version did not record it; drive again"
        )
