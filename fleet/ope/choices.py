"""The meta level's choices out of black boxes, as episodes that can be evaluated.

A robot that chooses its work answers each offer once; its black box holds the offer, the answer and how probable it
was. What a choice cost is the time until the next one: the mission that it began, or the charging. Choices of one robot
that follow on each other make episodes of `horizon`; the last of a file is left out: nobody knows what it cost.
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
from fleet.salvage import read_recording
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
    """The choices of each black box of a run, in order. Raises BlackBoxError where there is none to read."""
    found = []
    for file in find_files(path):
        recording = read_recording(file)
        if recording.metadata.get("schema", "").startswith("drive "):
            continue
        made = [
            (stamp, made_by(offer, battery, chosen))
            for stamp, offer, battery, chosen in _answers(m for chunk in recording.chunks for m in chunk)
        ]
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


def _answers(messages: Iterable) -> Iterable[tuple[int, Offer, float, Chosen]]:  # salvage.Message
    """Stamp, offer, battery and answer of each choice: the step in which an answer was given first."""
    inputs, last = None, -1
    for message in messages:
        if message.channel == "inputs":
            inputs = msgspec.msgpack.decode(message.data, type=Inputs)
        elif message.channel == "outputs" and inputs is not None:
            outputs = msgspec.msgpack.decode(message.data, type=Outputs)
            chosen = outputs.report.chosen
            offer = inputs.picture.offer if inputs.picture is not None else None
            if chosen is not None and offer is not None and chosen.offer == offer.id and chosen.offer != last:
                last = chosen.offer
                yield inputs.stamp, offer, inputs.battery, chosen
