"""The ego that drives as traffic does: it keeps its lane and its route, waits its turn, and touches nobody."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.idmdriver import Following, IdmDriver
from sim.driving.plant import RoadPlant
from sim.driving.skill import Driving
from sim.driving.traffic import Traffic, TrafficConfig, traffic_rows
from sim.driving.variedcars import car_rows
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.vary import Table
from sim.worlds import Worlds
from tests.sim.driving.plainworld import Plain
from tests.sim.driving.trafficrules import contacts, make_site

MAKE = {"highway": generate_highway, "rural": generate_rural, "town": generate_town}


@pytest.mark.parametrize(("kind", "steps"), [("highway", 700), ("rural", 500), ("town", 500)])
def test_it_drives_on_and_touches_nobody(kind: str, steps: int) -> None:
    done, driven = drive(kind, steps, 8)
    assert driven[~done].min(initial=1e9) > 30.0, "nobody stands all the time"
    if kind == "highway":
        assert done.mean() >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["highway", "rural", "town"])
def test_it_reaches_its_goals(kind: str) -> None:
    done, _ = drive(kind, 4000, 16)
    assert done.mean() >= 0.9


def drive(kind: str, steps: int, worlds: int) -> tuple[np.ndarray, np.ndarray]:
    """Which worlds' egos reached their goals, and how far they came, m; lanes are kept and nobody is touched."""
    atlas = Atlas([MAKE[kind](seed) for seed in range(2)], routes=8, seed=1)
    table = Table((*car_rows(CAR), *traffic_rows()))
    config = TrafficConfig(vehicles=16, walkers=4)
    plant = RoadPlant(atlas, CAR, worlds=worlds, actors=1 + 16 + 4, vary=table, seed=3, threads=1)
    traffic = Traffic(
        atlas, plant.actors, road=plant.road, route=plant.footing.route, episode=plant.state.episode, robots=1,
        seed=plant.seed, config=config, vary=plant.varies, first_row=table.index("traffic_speed"), drive_egos=True,
    )  # fmt: skip
    plant.complete(Plain(plant), [traffic])
    Worlds(plant, Driving(plant, "route", 1000.0), about={}).reset()
    driver = IdmDriver(traffic, plant.footing, plant.state.twist, plant.state.proposed)
    opened = plant.open(wp.zeros((worlds, 2), dtype=wp.float32))
    done, start = np.zeros(worlds, bool), plant.footing.left.numpy().copy()
    for step in range(steps):
        opened.launch()
        driver.launch()
        plant.move()
        left = plant.footing.left.numpy()
        done |= left <= 0.0
        if step % 5 == 0:
            assert not [each for each in contacts(plant.actors) if each[1] == 0 and not done[each[0]]]
        assert (plant.footing.lane.numpy()[~done] >= 0).all()
        keeps = ~done & (traffic.movers.side.numpy()[:, 0] == 0) & (traffic.movers.rest.numpy()[:, 0] < 60)
        assert np.abs(plant.footing.place.numpy()[keeps, 1]).max(initial=0.0) < 0.7
    return done, start - plant.footing.left.numpy()


def test_it_needs_traffic_that_drives_egos() -> None:
    atlas = Atlas([generate_rural(0)], routes=2)
    site = make_site(atlas, 1, TrafficConfig(vehicles=1))
    with pytest.raises(ValueError, match="drive_egos=True"):
        IdmDriver(site.traffic, None, wp.zeros((1, 3), dtype=wp.float32), wp.zeros((1, 2), dtype=wp.float32))  # type: ignore[arg-type]


def test_a_filter_drives_the_environment_that_it_was_made_for() -> None:
    atlas = Atlas([generate_rural(0)], routes=2)
    filter = Following(None)
    env = RoadEnv(atlas, RoadConfig(), worlds=1, threads=1, filter=filter, drive_egos=True)
    env.reset()
    with pytest.raises(ValueError, match="call `drive` first"):
        env.step()
    with pytest.raises(ValueError, match="made for, got another"):
        Following(None).drive(env)
    filter.drive(env)
    env.step()
    env.step()  # in the first one traffic has not decided anything yet
    released = env.plant.drive.released.numpy()
    assert released.any()
    assert (released == env.state.proposed.numpy()).all()
