"""`render_mode="rgb_array"` on the road: a world from above (sim/driving/picture.py), about the first car that drives.

What is drawn is the truth of the simulation as it stands; a picture costs 5 to 10 ms, and only who asks for one pays.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.driving.drawn import DrawnRoad, drawn_road
from sim.driving.env import RoadEnv
from sim.driving.moment import CarSize, Course, Moment, Others
from sim.driving.picture import FromAbove
from sim.robot import SECOND

WIDTH, HEIGHT = 640, 480
"""Pixels, as of the warehouse's pictures."""


@dataclass(eq=False)
class _Drive:
    """What a world shows: one car in one episode."""

    row: int
    episode: int
    picture: FromAbove


class RoadPainter:
    """Draws worlds of one atlas, each about its first car that takes part. Owns drawn roads and trails."""

    def __init__(self, environment: RoadEnv, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.environment = environment
        self.width, self.height = width, height
        self._roads: dict[int, DrawnRoad] = {}
        self._drives: weakref.WeakKeyDictionary[RoadEnv, dict[int, _Drive]] = weakref.WeakKeyDictionary()

    def frame(self, world: int = 0) -> NDArray[np.uint8]:
        """One world as it stands, (height, width, 3)."""
        env = self.environment
        rows = range(world * env.robots, (world + 1) * env.robots)
        active = env.state.active.numpy()
        row = next((row for row in rows if active[row]), rows[0])
        episode = int(env.state.episode.numpy()[row])
        drives = self._drives.setdefault(env, {})
        shown = drives.get(world)
        if shown is None or (shown.row, shown.episode) != (row, episode):
            shown = drives[world] = _Drive(row, episode, self._begin(world, row))
        return shown.picture.frame(moment_of(env, row))

    def _begin(self, world: int, row: int) -> FromAbove:
        env = self.environment
        number = int(env.plant.road.numpy()[world])
        if number not in self._roads:
            self._roads[number] = drawn_road(env.atlas.roads[number])
        return FromAbove(course_of(env, row), self.width, self.height, drawn=self._roads[number])

    def close(self) -> None:
        """Forget what was drawn; safe to call again."""
        self._roads.clear()
        self._drives.clear()


def course_of(environment: RoadEnv, row: int) -> Course:
    """The drive that a row is on, from where it is."""
    env = environment
    number = int(env.plant.road.numpy()[row // env.robots])
    road, first = env.atlas.roads[number], int(env.atlas.first[number])
    routes, footing = env.atlas.routes, env.plant.footing
    route, lane = int(footing.route.numpy()[row]), int(footing.lane.numpy()[row])
    following, goal = routes.next_lane.numpy()[route], int(routes.goal_lane.numpy()[route])
    ahead: list[int] = []
    while lane >= 0 and lane - first not in ahead:
        ahead.append(lane - first)
        lane = -1 if lane == goal else int(following[lane - first])
    spec = env.spec
    return Course(
        name=road.name,
        road=road,
        period=spec.period / SECOND,
        size=CarSize(spec.length, spec.width, spec.height, spec.car.rear_overhang),
        route=tuple(ahead),
        length=max(float(footing.left.numpy()[row]), 0.0),
        seed=env.seed,
        shielded=env.filter is not None,
    )


def moment_of(environment: RoadEnv, row: int) -> Moment:
    """A row as it stands, in truth."""
    env, world, slot = environment, row // environment.robots, row % environment.robots
    plant, state = env.plant, env.state
    lanes, actors, footing = env.atlas.lanes, plant.actors, plant.footing
    number = int(plant.road.numpy()[world])
    lane = int(footing.lane.numpy()[row])
    x, y, yaw = state.pose.numpy()[row].tolist()
    speed, accel, curvature, rate = plant.true_motion.numpy()[row].tolist()
    here = np.arange(env.plant.slots) != slot
    left = float(footing.left.numpy()[row])
    one, other = state.proposed.numpy()[row].tolist(), env.drive.released.numpy()[row].tolist()
    return Moment(
        time=int(state.step.numpy()[row]) * env.spec.period / SECOND,
        pose=(x, y, yaw),
        motion=(speed, accel, curvature, rate),
        proposed=(one[0], one[1]),
        released=(other[0], other[1]),
        lane=lane - int(env.atlas.first[number]) if lane >= 0 else -1,
        s=float(footing.place.numpy()[row, 0]),
        d=float(footing.place.numpy()[row, 1]),
        limit=float(lanes.limit.numpy()[lane]) if lane >= 0 else math.inf,
        left=left if math.isfinite(left) else math.nan,
        others=Others(
            actors.kind.numpy()[world][here],
            actors.pose.numpy()[world][here],
            actors.motion.numpy()[world][here],
            actors.size.numpy()[world][here],
        ),
    )
