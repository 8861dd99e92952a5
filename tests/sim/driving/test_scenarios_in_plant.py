"""Scenarios and recordings in the road's plant: egos begin where they ask, others move, contacts are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import warp as wp

from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.blame import Blame
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.families import KMH, cut_in, decelerating_lead
from sim.driving.plant import RoadPlant
from sim.driving.recorded import from_commonroad, recorded_places
from sim.driving.replay import Replay
from sim.driving.scenario import grid, sample
from sim.driving.script import ScenarioPlayer, runs_on, scenario_atlas
from sim.driving.skill import Driving
from sim.driving.starts import Places
from sim.driving.state import make_actors
from sim.driving.touching import record_touching
from sim.driving.variedcars import car_rows
from sim.vary import Table
from sim.worlds import Worlds
from tests.sim.driving.plainworld import Plain, by_hand
from tests.sim.driving.test_recorded import moving
from tests.sim.test_commonroad import PROBLEM, ROADS, write


def plant_of(atlas: Atlas, worlds: int, actors: int) -> RoadPlant:
    return RoadPlant(atlas, CAR, worlds=worlds, actors=actors, vary=Table(car_rows(CAR, 0.0)), seed=1, threads=1)


def worlds_of(plant: RoadPlant, places: Places | None = None) -> Worlds:
    env = Worlds(plant, Driving(plant, "lane", 30.0, places), about={})
    env.reset()
    return env


def test_a_lead_that_brakes_is_hit_by_who_sees_nobody() -> None:
    """The driver by hand keeps its lane and the limit, and sees nobody: its fault, unless the lead brakes by 9."""
    scenario = decelerating_lead(60.0).fixed(ego=60 * KMH, headway=1.6)
    rows = grid(scenario)[[3, 8]]
    atlas = scenario_atlas([scenario])
    plant = plant_of(atlas, 2, 2)
    player = ScenarioPlayer([runs_on(atlas, 0, scenario, rows)], atlas.lanes, plant.actors).join(plant)
    plant.complete(Plain(plant), [player])
    env = worlds_of(plant)
    place, speed = plant.actors.place.numpy(), plant.actors.motion.numpy()
    assert place[:, 0, 0] == pytest.approx(100.0, abs=0.05)
    assert speed[:, 0, 0] == pytest.approx(60 * KMH, abs=0.05)
    between = place[:, 1, 0] - place[:, 0, 0] - 0.5 * (plant.actors.size.numpy()[:, :2, 0].sum(axis=1))
    assert between == pytest.approx(1.6 * 60 * KMH, abs=0.1)
    found: dict[int, Blame] = {}
    for _ in range(300):
        step = env.step(by_hand(np.array(env.observation.numpy())))
        for row in np.flatnonzero(step.collision):
            (verdict,) = plant.judge.verdicts(int(row), ended=True)
            assert plant.judge.verdicts(int(row)) == []
            found.setdefault(int(row), verdict.blame)
    assert found == {0: Blame.AT_FAULT, 1: Blame.BOUNDS}


def test_recordings_begin_as_recorded(tmp_path: Path) -> None:
    rows = [(20.0 + k, 0.0, k, 10.0) for k in range(30)]
    recording = from_commonroad(write(tmp_path / "a.xml", ROADS, moving(*rows), PROBLEM))
    atlas = Atlas([recording.road], routes=[[recording.plan]])
    plant = plant_of(atlas, 1, 2)
    replay = Replay([recording], atlas, plant.actors, road=plant.road)
    plant.complete(Plain(plant), [replay])
    env = worlds_of(plant, recorded_places([recording], CAR.middle))
    pose = plant.actors.pose.numpy()[0] + np.array((*atlas.origin(0), 0.0))
    assert pose[0, :2] == pytest.approx((5.0, 0.0), abs=0.02)
    assert pose[1, :2] == pytest.approx((20.0, 0.0), abs=0.02)
    for _ in range(40):
        env.step(np.array([[0.0, 0.0]], np.float32))
    assert plant.actors.kind.numpy()[0, 1] == 1
    assert plant.actors.pose.numpy()[0, 1, 0] + atlas.origin(0)[0] == pytest.approx(40.0, abs=0.02)


def test_traffic_keeps_away_from_whom_a_scenario_places() -> None:
    """Cut-ins among sixteen vehicles: when worlds begin nobody overlaps; scripted actors keep their slots."""
    scenario = cut_in(60.0)
    rows = sample(scenario, 2, 24)
    atlas = scenario_atlas([scenario])
    players: list[ScenarioPlayer] = []

    def movers(plant: RoadPlant) -> list[ScenarioPlayer]:
        runs = [runs_on(atlas, 0, scenario, rows)]
        players.append(ScenarioPlayer(runs, atlas.lanes, plant.actors, first=17, pick="draw", seed=3).join(plant))
        return players

    env = RoadEnv(atlas, RoadConfig(traffic=16, walkers=0), worlds=24, movers=movers, slots=1, threads=1)
    env.reset()
    actors = env.plant.actors
    assert (actors.kind.numpy()[:, 17] == 1).all()
    assert (actors.kind.numpy()[:, 1:17] >= 0).sum() > 100
    played = players[0].played.row.numpy()
    assert len(set(played.tolist())) > 10
    assert actors.motion.numpy()[:, 0, 0] == pytest.approx(rows[played, 0], abs=0.05)
    place = actors.place.numpy()[:, 17, 0] - actors.place.numpy()[:, 0, 0]
    expected = rows[played, 2] + 2.0 * rows[played, 1] + 0.5 * (actors.size.numpy()[:, 0, 0] + 4.6)
    assert place == pytest.approx(expected, abs=0.1)
    touching = wp.zeros((24, 18), dtype=wp.uint8)
    for slot in (0, 17):  # the oracle asks for the slots of egos: put the scripted actor there
        order = [slot, *(k for k in range(18) if k != slot)]
        shown = make_actors(24, 18, "cpu")
        for name in ("kind", "pose", "size"):
            getattr(shown, name).assign(getattr(actors, name).numpy()[:, order])
        record_touching(1, shown, touching, "cpu").launch()
        assert not touching.numpy().any()
    for _ in range(60):
        env.step(np.zeros((24, 2), np.float32))
    assert (actors.kind.numpy()[:, 17] == 1).all()
