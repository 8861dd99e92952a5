"""Recorded planning problems as drives: their worlds, and when a drive has solved its problem or cannot any more.

    env = problem_env(recordings, config, worlds=..., seed=..., filter=shield)
    problems = Problems(env, recordings)
    env.reset(), then each step: env.step(), problems.look()

What others did is played as recorded, and reacts to nobody. A problem is solved when its goal is reached as it is
stated (time, place, heading, speed) without any contact and without leaving the road; where it states no place, or
there is no goal, its whole time must be driven. Routes end no drive here: who is early goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.plant import RoadPlant
from sim.driving.recorded import AFTER, Recorded, recorded_places
from sim.driving.replay import Replay
from sim.driving.scene import RoadBody
from sim.filter import Filter
from sim.robot import SECOND

BEYOND = 1.0
"""s for which an episode goes on after its problem's last moment, so that it ends by its verdict."""

GRACE = 1.5
"""Control steps after the last moment until a problem is given up: that a goal is reached is known one step later."""


class Standing(IntEnum):
    """How a drive stands with its problem."""

    GOING = 0
    SOLVED = 1
    ENDED = 2
    """The drive ended: by a contact, off the road, by its time limit"""
    STRUCK = 3
    """It stood and was struck"""
    LATE = 4
    """The last moment at which it could be solved has passed"""


def problem_env(
    recordings: Sequence[Recorded],
    config: RoadConfig,
    *,
    worlds: int,
    seed: int,
    filter: Filter | None = None,
    body: RoadBody = "kinematic",
    drive_egos: bool = False,
    threads: int = 2,
) -> RoadEnv:
    """Worlds each of which draws one of the recordings' roads; `config` without traffic and people of its own.

    Its time limit is cut to the longest problem's. Raises what `RoadEnv` does.
    """
    longest = max(each.duration for each in recordings) + BEYOND
    atlas = Atlas([each.road for each in recordings], routes=[[each.plan] for each in recordings])

    def movers(plant: RoadPlant) -> list[Replay]:
        return [Replay(recordings, atlas, plant.actors, road=plant.road)]

    return RoadEnv(
        atlas,
        replace(config, skill="route", traffic=0, walkers=0, time_limit=min(config.limit, longest)),
        worlds=worlds,
        seed=seed,
        filter=filter,
        body=body,
        places=recorded_places(recordings, config.spec.middle),
        open_ended=True,
        drive_egos=drive_egos,
        movers=movers,
        slots=max(len(each.actors) for each in recordings),
        threads=threads,
    )


def asked(recording: Recorded) -> tuple[bool, float]:
    """Whether a problem asks for a place, and until when it lasts, s since its beginning."""
    return any(goal.areas or goal.lanes for goal in recording.problem.goals), recording.duration - AFTER


class Problems:
    """Watches the first episode of every world of `problem_env`, one car each. Owns how each stands."""

    def __init__(self, env: RoadEnv, recordings: Sequence[Recorded]) -> None:
        """Call after `reset`. Raises ValueError for an environment without recordings."""
        replays = [mover for mover in env.plant.movers if isinstance(mover, Replay)]
        if not replays:
            raise ValueError("expected an environment of recorded problems, got one that plays no recording")
        asks = [asked(recordings[number]) for number in env.plant.road.numpy()]
        self.standing: NDArray[np.int64] = np.zeros(env.rows, np.int64)
        """`Standing` of each row"""
        self.time = 0.0
        """s since the beginning"""
        self._places, self._ends = np.array([place for place, _ in asks]), np.array([end for _, end in asks])
        self._period, self._steps = env.spec.period / SECOND, 0
        self._ended, self._bumped = env.task.outcome.ended.numpy(), env.state.bumped.numpy()
        self._reached = replays[0].reached.numpy()

    @property
    def over(self) -> bool:
        """Whether no row is going any more."""
        return bool(self.standing.all())

    def look(self) -> NDArray[np.int64]:
        """After a control step: the `Standing` of rows that were going until then, GOING (0) for all others."""
        self._steps += 1
        self.time = self._steps * self._period
        solved = np.where(self._places, self._reached != 0, self.time >= self._ends)
        late = self.time > self._ends + GRACE * self._period
        found = np.select(
            [self._ended != 0, self._bumped != 0, solved, late],
            [Standing.ENDED, Standing.STRUCK, Standing.SOLVED, Standing.LATE],
            Standing.GOING,
        )
        found[self.standing != Standing.GOING] = Standing.GOING
        self.standing += found
        return found
