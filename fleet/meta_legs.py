"""What legs cost: a short measured campaign of the frozen navigate skill, as the table that the meta level trains on.

The skill drives keyed episodes on a campus of the training range, under the shield and past people who stand (what it
trained on). Of each episode count the cells from where it began to the path's end, the time it took, and
whether it arrived. A straight line through the arrived ones gives seconds per cell and the constant, the measured over
the fitted times their spread; what a leg costs more that did not arrive is the mean time that failed ones took.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agents.errors import TrainingError
from agents.layers import read_layers
from agents.navigation import BLOCKS, TRAINING, shielded_environment, training_task
from agents.policy import Policy
from fleet.learning import driven_by
from fleet.legs import LegTable
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.motornet import NavigateOnMotor
from sim.robot import SECOND, RobotSpec
from sim.tasks.task import Ending

CAMPUS = 500_000
"""Of the range of training campuses, one that no lane of the skill's own training stands on."""

SHARES = 20
"""Equal groups of the sorted ratios whose means are the spread: their mean is the measured one, outliers included."""


def measure_legs(
    skill: Policy, spec: RobotSpec, motor: Path | None = None, *, episodes: int = 200, worlds: int = 50, seed: int = 0
) -> LegTable:
    """Drive `episodes` legs or a few more, the same number in every world. The table is of this skill and robot alone.

    On the planar body, or with `motor`, the folder of a frozen motor policy, on the wheels that it drives (no shield).
    """
    site = generate_campus(TRAINING + CAMPUS + seed, blocks=BLOCKS)
    if motor is None:
        environment = shielded_environment(site, driven_by(training_task(), spec), worlds, seed, person_speed=0.0)
    else:
        task = driven_by(NavigateOnMotor(motor=read_layers(motor)), spec)
        environment = BatchEnv(site, task, worlds=worlds, seed=seed, body="wheeled", threads=1)
    built: Any = environment.task  # Navigate, on its own or with wheels around it
    navigate = built.task if motor is not None else built
    course, lengths = navigate.course, np.asarray(navigate.paths.lengths.numpy())
    path, index = np.asarray(course.path.numpy()), np.asarray(course.index.numpy())
    period = environment.spec.period / SECOND
    observation = environment.reset()
    cells, steps = (lengths[path] - 1 - index).copy(), np.zeros(worlds, np.int64)
    done = np.zeros(worlds, np.int64)
    rows: list[tuple[float, float, bool]] = []
    while done.min() < -(-episodes // worlds):
        step = environment.step(skill.act(observation))
        observation = step.observation
        steps += 1
        for world in np.flatnonzero(np.asarray(step.ending)):
            if done[world] < -(-episodes // worlds):
                rows.append((float(cells[world]), steps[world] * period, step.ending[world] == Ending.SUCCEEDED))
            done[world] += 1
            cells[world], steps[world] = lengths[path[world]] - 1 - index[world], 0
    return fit(np.array([row[:2] for row in rows]), np.array([row[2] for row in rows]), skill.hash)


def fit(legs: np.ndarray, arrived: np.ndarray, skill: str) -> LegTable:
    """The table of legs (legs, 2) of cells and seconds, (legs,) whether they arrived.

    Raises TrainingError for a skill of which too few arrive for a line.
    """
    cells, seconds = legs[arrived].T
    if len(np.unique(cells)) < 2:
        raise TrainingError(
            f"expected a navigate skill that arrives over ways of different lengths, {arrived.sum()} of its "
            f"{len(arrived)} measured legs did; train it longer"
        )
    slope, constant = np.polyfit(cells, seconds, 1)
    ratio = np.sort(seconds / np.maximum(cells * slope + constant, 1.0))
    return LegTable(
        seconds_per_cell=float(slope),
        constant=float(max(constant, 0.0)),
        spread=tuple(float(group.mean()) for group in np.array_split(ratio, min(SHARES, len(ratio)))),
        failure=float(1.0 - arrived.mean()),
        retry=float(legs[~arrived, 1].mean()) if not arrived.all() else 0.0,
        skill=skill,
    )
