"""Who plays scenarios: rows of parameters compiled to arrays, and the launches that move their actors.

    atlas = scenario_atlas([scenario])
    player = ScenarioPlayer([runs_on(atlas, 0, scenario, grid(scenario))], atlas.lanes, actors, first=1)
    player.choose(rows, episode)   which row each beginning world plays
    player.start(rows, ...)        its ego: pose, speed, lane, road and route (then the plant places the body)
    player.begin(worlds)           its actors, relative to the ego where it now stands
    player.decide                  once per control step, before commands: triggers, events, the profile
    player.move                    once per motor period: the actors go on

`join` does all of that in a `RoadPlant`. Each world plays one row by itself, so that a world is the same however many
there are. Rows of several scenarios may stand side by side: `Runs` after `Runs`. Nothing is decided on the host.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp's struct fields and arrays are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.atlas import Atlas
from sim.driving.maparrays import RoutesArrays
from sim.driving.profile import RoadProfile
from sim.driving.scenario import EGO, Floats, Scenario, ScenarioError, check, evaluate
from sim.driving.scriptkernels import begin_scripts, choose_rows, decide_scripts, move_scripts, start_egos
from sim.driving.scriptstate import Bounds, Played, Script
from sim.driving.state import ActorArrays, Footing
from sim.frenet import Lanes
from sim.launches import Launchable, record
from sim.tasks.task import struct_arrays

if TYPE_CHECKING:
    from sim.driving.plant import RoadPlant

PERIOD, STEP = 0.05, 0.01
"""Decisions and movements, s: the car's control and motor periods."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Rows of one scenario to be played."""

    scenario: Scenario
    parameters: Floats
    """(n, p), checked when they are compiled"""
    road: int = 0
    """Of the atlas"""
    lanes_before: int = 0
    """Number in the atlas of the first lane of that road: `Atlas.first[road]`"""
    route: int = 0
    """Of the atlas, for the ego"""


def scenario_atlas(scenarios: Sequence[Scenario], device: str = "cpu") -> Atlas:
    """The roads of some scenarios, each with the one route that its ego drives."""
    return Atlas([each.road for each in scenarios], routes=[[each.plan] for each in scenarios], device=device)


def runs_on(atlas: Atlas, road: int, scenario: Scenario, parameters: Floats) -> Runs:
    """Rows of a scenario whose road, and whose ego's first route, are those of an atlas."""
    return Runs(scenario, parameters, road, int(atlas.first[road]), atlas.route_of(road)[0])


class ScenarioPlayer:
    """Owns the arrays of what is played; actors take the slots from `first` on."""

    def __init__(
        self,
        runs: Sequence[Runs],
        lanes: Lanes,
        actors: ActorArrays,
        *,
        first: int = 1,
        robots: int = 1,
        seed: int = 0,
        pick: Literal["set", "draw"] = "set",
        profile: RoadProfile | None = None,
        period: float = PERIOD,
        step: float = STEP,
    ) -> None:
        """`pick`: "draw" draws a row for each episode by its key; "set": world w plays row w, or what `play` says.

        Raises ScenarioError for parameters that cannot be run, and where there are fewer slots than actors.
        """
        self.runs = tuple(runs)
        self.lanes, self.actors = lanes, actors
        worlds, slots = actors.kind.shape
        device = actors.kind.device
        tables = _compile(self.runs)
        self.slots: int = tables["kind"].shape[1]
        """How many slots the scripted actors need at most."""
        if first + self.slots > slots:
            raise ScenarioError(
                f"expected {first + self.slots} slots for {first} egos and {self.slots} actors of a scenario, got "
                f"{slots}; make room for more actors"
            )
        self.script = Script()
        for name, table in tables.items():
            dtype = wp.int32 if table.dtype == np.int32 else wp.float32
            setattr(self.script, name, wp.array(table, dtype=dtype, device=device))
        self.script.onward = wp.array(_onward(lanes), dtype=wp.int32, device=device)
        self.script.first, self.script.robots, self.script.seed = first, robots, seed
        self.script.draws = int(pick == "draw")
        self.script.period, self.script.step = period, step
        self.bounds = _bounds(profile or RoadProfile())
        self.played = _make_played(worlds, self.slots, tables["event"].shape[1], device)
        self.play(np.arange(worlds) % self.rows)
        shared = [lanes, self.script, self.played, actors]
        self.decide: Launchable = record(decide_scripts, worlds, [*shared, self.bounds], device)
        self.move: Launchable = record(move_scripts, (worlds, self.slots), shared, device)

    @property
    def rows(self) -> int:
        """Rows of parameters of all scenarios."""
        return self.script.kind.shape[0]

    def choose(self, mask: wp.array, episode: wp.array) -> Launchable:
        """The row of each world all of whose rows are masked, uint8 (rows,), by its episode, int32 (rows,)."""
        return self._record(choose_rows, [mask, episode, self.script, self.played])

    def start(
        self,
        mask: wp.array,
        *,
        routes: RoutesArrays,
        pose: wp.array,
        speed: wp.array,
        road: wp.array,
        footing: Footing,
        middle: float,
    ) -> Launchable:
        """Where the first ego of each world all of whose rows are masked begins, over whatever was drawn before.

        `pose` (rows, 3) and `speed` (rows,) of base_link, which lies `middle` m behind the middle of the box; `road`
        (worlds,).
        """
        return self._record(
            start_egos, [mask, middle, self.lanes, routes, self.script, self.played, pose, speed, road, footing]
        )

    def begin(self, mask: wp.array) -> Launchable:
        """The actors of masked worlds, uint8 (worlds,); the egos' slots must be written."""
        return self._record(begin_scripts, [mask, self.lanes, self.script, self.played, self.actors])

    def _record(self, kernel: Any, inputs: list[Any]) -> Launchable:  # Warp's own types
        return record(kernel, self.played.row.shape[0], inputs, self.played.row.device)

    def join(self, plant: RoadPlant) -> ScenarioPlayer:
        """Itself, as a mover whose rows say where the plant's episodes begin; before the plant's task is built."""
        plant.overrule = lambda mask: [
            self.choose(mask, plant.state.episode),
            self.start(
                mask,
                routes=plant.atlas.routes,
                pose=plant.state.pose,
                speed=plant.start_speed,
                road=plant.road,
                footing=plant.footing,
                middle=plant.spec.middle,
            ),
        ]
        return self

    def play(self, rows: NDArray[np.integer]) -> None:
        """Say which row each world plays when it begins next, (W,); on the host, between steps."""
        if rows.min() < 0 or rows.max() >= self.rows:
            raise ScenarioError(
                f"expected rows from 0 to {self.rows - 1}, got {rows.min()} to {rows.max()}; choose one"
            )
        self.played.row.assign(np.asarray(rows, np.int32))

    def load(self, runs: Sequence[Runs]) -> None:
        """Put other rows in place of all, as many as before; worlds that play go on by them.

        Raises ScenarioError where their number, or that of actors or events, is another.
        """
        tables = _compile(runs)
        for name, table in tables.items():
            there = getattr(self.script, name)
            if table.shape != there.shape:
                raise ScenarioError(
                    f"expected as many rows, actors and events as before ({name} {tuple(there.shape)}), got "
                    f"{table.shape}; make another player"
                )
        for name, table in tables.items():
            getattr(self.script, name).assign(table)
        self.runs = tuple(runs)

    def row_of(self, row: int) -> tuple[Scenario, dict[str, float]]:
        """The scenario of a row, and its parameters by name."""
        for runs in self.runs:
            if row < len(runs.parameters):
                values = np.asarray(runs.parameters, np.float64)[row]
                names = [parameter.name for parameter in runs.scenario.parameters]
                return runs.scenario, dict(zip(names, values.tolist(), strict=True))
            row -= len(runs.parameters)
        raise ScenarioError(f"expected a row from 0 to {self.rows - 1}, got {row + self.rows}; choose one of them")

    def arrays(self) -> dict[str, wp.array]:
        """What a snapshot of the worlds needs."""
        return struct_arrays("scenario", self.played)


def _compile(runs: Sequence[Runs]) -> dict[str, NDArray[Any]]:  # int32 and float32 tables
    """Every table of `Script` that depends on rows."""
    if not runs:
        raise ScenarioError("expected at least one scenario to play, got none; name one")
    actors = max(1, *(len(each.scenario.actors) for each in runs))
    events = max(1, *(len(each.scenario.events) for each in runs))
    parts = [_compile_one(each, actors, events) for each in runs]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _compile_one(runs: Runs, actors: int, events: int) -> dict[str, NDArray[Any]]:
    scenario = runs.scenario
    rows = check(scenario, runs.parameters)
    values, many = scenario.named(rows), len(rows)
    kind, side = np.full((many, actors), -1, np.int32), np.zeros((many, actors), np.int32)
    start = np.zeros((many, actors, 5), np.float32)
    for k, actor in enumerate(scenario.actors):
        kind[:, k] = int(actor.kind)
        side[:, k] = np.rint(evaluate(actor.lane, values, many))
        for column, value in enumerate((actor.gap, actor.offset, actor.speed, *actor.box)):
            start[:, k, column] = evaluate(value, values, many)
    event, numbers = np.full((many, events, 5), -1, np.int32), np.zeros((many, events, 4), np.float32)
    for e, each in enumerate(scenario.events):
        trigger, action = each.trigger, each.action
        there = (0 <= each.actor < len(scenario.actors), EGO <= trigger.to < len(scenario.actors), trigger.after < e)
        if not all(there):
            raise ScenarioError(
                f"{scenario.name}, event {e}: expected an actor of the {len(scenario.actors)} that there are and an "
                f"earlier event, got actor {each.actor}, to {trigger.to}, after {trigger.after}; correct it"
            )
        event[:, e] = (each.actor, int(trigger.when), trigger.to, trigger.after, int(action.do))
        for column, value in enumerate((trigger.value, action.speed, action.accel, action.distance)):
            numbers[:, e, column] = evaluate(value, values, many)
    ego = np.stack(
        [evaluate(value, values, many) for value in (scenario.ego.s, scenario.ego.speed, scenario.duration)], axis=-1
    )
    where = np.array([runs.lanes_before + scenario.ego.lane, runs.road, runs.route], np.int32)
    return {
        "kind": kind, "side": side, "start": start, "event": event, "values": numbers,
        "where": np.tile(where, (many, 1)), "ego": ego.astype(np.float32),
    }  # fmt: skip


def _onward(lanes: Lanes) -> NDArray[np.int32]:
    """The lane after each lane, which turns least of those that follow, and the one before it, -1: none; (L, 2)."""
    successors, points, first = lanes.successors.numpy(), lanes.points.numpy(), lanes.first.numpy()
    turn = np.abs(points[first[1:] - 1, 2] - points[first[:-1], 2])
    onward = np.full((len(successors), 2), -1, np.int32)
    best = np.full(len(successors), math.inf)
    for lane, after in enumerate(successors):
        there = after[after >= 0]
        if len(there):
            onward[lane, 0] = there[turn[there].argmin()]
        for following in there:
            if turn[lane] < best[following]:
                onward[following, 1], best[following] = lane, turn[lane]
    return onward


def _bounds(profile: RoadProfile) -> Bounds:
    bounds = Bounds()
    names = set(Bounds.vars)  # type: ignore[attr-defined]  # of a Warp struct
    for each in fields(profile):
        if each.name in names:
            setattr(bounds, each.name, float(getattr(profile, each.name)))
    return bounds


def _make_played(worlds: int, actors: int, events: int, device: Any) -> Played:  # Warp's device
    played = Played()
    played.row = wp.zeros(worlds, dtype=wp.int32, device=device)
    played.ticks = wp.zeros(worlds, dtype=wp.int32, device=device)
    played.driven = wp.zeros(worlds, dtype=wp.float32, device=device)
    played.fired = wp.full((worlds, events), -1, dtype=wp.int32, device=device)
    played.lane = wp.full((worlds, actors), -1, dtype=wp.int32, device=device)
    for name, width in (("place", 2), ("speed", 4), ("aim", 2), ("across", 4), ("ahead", 2)):
        setattr(played, name, wp.zeros((worlds, actors, width), dtype=wp.float32, device=device))
    played.inside = wp.zeros((worlds, actors), dtype=wp.uint8, device=device)
    played.blame = wp.zeros((worlds, actors), dtype=wp.float32, device=device)
    played.missing = wp.zeros(worlds, dtype=wp.uint8, device=device)
    return played
