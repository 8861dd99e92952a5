"""A world for scenarios without a plant: a stand-in for the ego drives slot 0 along its lane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.device import start_warp
from sim.driving.profile import RoadProfile
from sim.driving.scenario import Scenario
from sim.driving.script import Runs, ScenarioPlayer
from sim.driving.state import ActorArrays, make_actors
from sim.frenet import lane_arrays, middle
from sim.road import Road

Floats = NDArray[np.float64]
Driver = Callable[[Floats, Floats, Floats], Floats]
"""Acceleration of (ego's speed, free gap to the nearest in its lane, that one's speed), all (W,)."""

EGO_LENGTH, EGO_WIDTH = 4.8, 1.9


def keep_speed(speed: Floats, gap: Floats, lead: Floats) -> Floats:
    return np.zeros_like(speed)


def idm(speed: Floats, gap: Floats, lead: Floats) -> Floats:
    """Treiber, Hennecke and Helbing 2000, with a brake of 8 m/s^2 at most."""
    wanted = 2.0 + 1.0 * speed + speed * (speed - lead) / (2.0 * np.sqrt(1.5 * 2.0))
    return np.clip(1.5 * (1.0 - (speed / 36.0) ** 4 - (np.maximum(wanted, 0.0) / np.maximum(gap, 0.1)) ** 2), -8.0, 1.5)


class ScriptedWorld:
    """Some rows of a scenario, one in each world; `step` is a control step of 50 ms."""

    def __init__(
        self,
        scenario: Scenario,
        parameters: Floats,
        *,
        worlds: int | None = None,
        driver: Driver = keep_speed,
        actors: int = 4,
        profile: RoadProfile | None = None,
    ) -> None:
        start_warp()
        self.road: Road = scenario.road
        self.lanes = lane_arrays(self.road)
        many = len(parameters) if worlds is None else worlds
        self.actors: ActorArrays = make_actors(many, actors, "cpu")
        self.player = ScenarioPlayer([Runs(scenario, parameters)], self.lanes, self.actors, first=1, profile=profile)
        self.driver = driver
        rows = self.player.played.row.numpy()
        self.lane = self.player.script.where.numpy()[rows, 0]
        self.s, self.speed = self.player.script.ego.numpy()[rows, :2].astype(float).T
        self.mask = wp.full(many, 1, dtype=wp.uint8)
        self.time = 0.0
        self.write(np.zeros(many))
        self.begin(self.mask)

    def begin(self, mask: wp.array) -> None:
        self.player.begin(mask).launch()

    def write(self, accel: Floats) -> None:
        road, origin = self.road, np.array(middle(self.road))
        pose, motion, size, place, kind, lane = (
            array.numpy()
            for array in (
                self.actors.pose, self.actors.motion, self.actors.size, self.actors.place, self.actors.kind,
                self.actors.lane,
            )
        )  # fmt: skip
        for which in np.unique(self.lane):
            on, worlds = road.lanes[which], self.lane == which
            pose[worlds, 0, :2] = on.at(self.s[worlds]) - origin
            pose[worlds, 0, 2] = np.interp(self.s[worlds], on.s, on.heading)
        motion[:, 0, 0], motion[:, 0, 1], place[:, 0, 0] = self.speed, accel, self.s
        size[:, 0] = EGO_LENGTH, EGO_WIDTH
        kind[:, 0], lane[:, 0] = int(ActorKind.CAR), self.lane

    def gap(self) -> tuple[Floats, Floats]:
        """Free metres to the nearest actor ahead that reaches into the ego's lane, and its speed."""
        played = self.player.played
        ahead, inside = played.ahead.numpy()[..., 0], played.inside.numpy().astype(bool)
        length, there = self.actors.size.numpy()[:, 1 : 1 + ahead.shape[1], 0], played.lane.numpy() >= 0
        free = ahead - 0.5 * (length + EGO_LENGTH)
        free[~(inside & there & (ahead > 0.0))] = 1e3
        nearest = free.argmin(axis=1)
        rows = np.arange(len(free))
        speed = np.where(free[rows, nearest] < 1e3, played.speed.numpy()[rows, nearest, 0], 36.0)
        return free[rows, nearest], speed

    def step(self) -> None:
        self.player.decide.launch()
        accel = self.driver(self.speed, *self.gap())
        for _ in range(5):
            self.player.move.launch()
        after = np.maximum(self.speed + 0.05 * accel, 0.0)
        self.s += 0.05 * 0.5 * (self.speed + after)
        self.speed = after
        self.write(accel)
        self.time += 0.05

    def run(self, seconds: float) -> dict[str, Floats]:
        """What happens: time (steps,), and of the scripted actors pose, motion, place, lane, violates (steps, W, S)."""
        found: dict[str, list[Floats]] = {name: [] for name in ("pose", "motion", "place", "lane", "violates", "kind")}
        times = []
        for _ in range(round(seconds / 0.05)):
            self.step()
            times.append(self.time)
            for name, rows in found.items():
                rows.append(getattr(self.actors, name).numpy()[:, 1 : 1 + self.player.slots].copy())
        return {"time": np.array(times)} | {name: np.array(rows) for name, rows in found.items()}
