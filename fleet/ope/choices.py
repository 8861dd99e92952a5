"""The meta level's choices out of black boxes, as episodes that can be evaluated.

A robot that chooses its work answers each offer once; its black box holds the offer, the answer and how probable it
was. What a choice cost is the time until the next one: the mission that it began, or the charging. Choices of one robot
that follow on each other make episodes of `horizon`; the last one is left out: nobody knows what it cost. So are
answers that came too late, because another robot had chosen the same task.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from coordination.messages import Chosen, Offer
from fleet.ope.estimate import Target
from fleet.ope.log import Log, OpeError
from fleet.records import Inputs, Outputs
from fleet.replay import find_files
from fleet.salvage import Message, read_recording
from hierarchy.chooser import CONTEXT, FEATURES, TASKS, Choose, possible, rows_of, write_rows
from sim.robot import SECOND

LONGEST = 3600.0
"""s that a choice can have cost: beyond it the robot was not at work."""


@dataclass(frozen=True)
class Made:
    """One choice."""

    observation: NDArray[np.float32]
    """What the meta policy sees, (TASKS * FEATURES + CONTEXT,)"""
    action: int
    """An offered task's place, TASKS to charge"""
    propensity: float
    seconds: float
    """Until the next one"""


def choices_of(path: Path) -> list[list[Made]]:
    """The choices of each robot of a run, in order. Raises BlackBoxError where there is no black box to read."""
    answers: dict[tuple[Path, str], list[_Answer]] = {}
    for file in sorted(find_files(path), key=_number):
        recording = read_recording(file)
        if recording.metadata.get("schema", "").startswith("drive "):
            continue
        robot = answers.setdefault((file.parent, recording.metadata.get("robot", file.stem)), [])
        _read(robot, (message for chunk in recording.chunks for message in chunk))
    found = []
    for given in answers.values():
        taken = [answer for answer in given if answer.taken]
        made = [(answer.stamp, made_by(answer.offer, answer.battery, answer.chosen)) for answer in taken]
        spans = [(after[0] - before[0]) / SECOND for before, after in itertools.pairwise(made)]
        found.append(
            [
                Made(one[0], one[1], one[2], span)
                for (_, one), span in zip(made, spans, strict=False)
                if one is not None and 0.0 < span <= LONGEST
            ]
        )
    return found


def made_by(offer: Offer, battery: float, chosen: Chosen) -> tuple[NDArray[np.float32], int, float] | None:
    """Observation, action and propensity of an answer; None for one that the offer does not hold."""
    places = [each.task for each in offer.tasks[:TASKS]]
    if chosen.task and chosen.task not in places:
        return None
    action = places.index(chosen.task) if chosen.task else TASKS
    propensity = 1.0 if chosen.deterministic else math.exp(min(chosen.log_probability, 0.0))
    return write_rows(rows_of(offer, battery))[0], action, propensity


def log_of(choices: Iterable[Sequence[Made]], horizon: int) -> Log:
    """Episodes of up to `horizon` choices; rewards are minutes, negative."""
    episodes = [
        made[begin : begin + horizon] for made in choices for begin in range(0, len(made), horizon) if made[begin:]
    ]
    if not episodes:
        raise OpeError(
            "expected choices of the meta level, the logs hold none; record robots that choose their work: "
            "`muster robot --meta learned --explore 0.1`"
        )
    width = TASKS * FEATURES + CONTEXT
    state = np.zeros((len(episodes), horizon, width))
    action = np.zeros((len(episodes), horizon), np.int64)
    reward, propensity = np.zeros(action.shape), np.ones(action.shape)
    alive = np.zeros(action.shape, bool)
    for row, episode in enumerate(episodes):
        for step, made in enumerate(episode):
            state[row, step], action[row, step] = made.observation, made.action
            reward[row, step], propensity[row, step] = -made.seconds / 60.0, made.propensity
            alive[row, step] = True
    return Log(state, action, reward, propensity, alive, TASKS + 1)


def target_of(choose: Choose) -> Target:
    """A meta policy as probabilities: all of its answer, which is certain."""

    def target(states: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = states.astype(np.float32)
        empty = ~possible(rows).any(axis=1)  # padding
        answers = np.where(empty, TASKS, choose(rows))
        return np.eye(TASKS + 1)[answers]

    return target


@dataclass
class _Answer:
    """One answer to an offer."""

    stamp: int
    offer: Offer
    battery: float
    chosen: Chosen
    taken: bool
    """The coordinator gave the robot what it chose; another robot may have been quicker"""


def _read(answers: list[_Answer], messages: Iterable[Message]) -> None:
    """Add the answers of one file: each from the step in which it was given first."""
    inputs = None
    for message in messages:
        if message.channel == "inputs":
            inputs = msgspec.msgpack.decode(message.data, type=Inputs)
        elif message.channel == "outputs" and inputs is not None and inputs.picture is not None:
            outputs = msgspec.msgpack.decode(message.data, type=Outputs)
            chosen, offer, assignment = outputs.report.chosen, inputs.picture.offer, inputs.picture.assignment
            last = answers[-1] if answers else None
            if last is not None and not last.taken and assignment is not None:
                # charging has no task of its own to be known by
                last.taken = assignment.task == last.chosen.task or not last.chosen.task
            if chosen is None or offer is None or chosen.offer != offer.id:
                continue
            if last is None or last.chosen.offer != chosen.offer:
                answers.append(_Answer(inputs.stamp, offer, inputs.battery, chosen, False))


def _number(file: Path) -> tuple[Path, str, int]:
    """Files of one robot in the order in which they were written."""
    robot, _, number = file.stem.rpartition("-")
    return file.parent, robot, int(number) if number.isdigit() else 0
