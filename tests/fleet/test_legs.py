from collections.abc import Sequence

import numpy as np
import pytest

from coordination.offers import OVERDUE, choice_of
from fleet.legs import (
    CHARGE_SECONDS,
    CLEAR,
    RESERVE,
    WAIT,
    Drain,
    LegsConfig,
    LegTable,
    LegWorlds,
    Places,
    _offered,
)
from hierarchy.chooser import TASKS, Rule
from sim.battery import Battery
from sim.generate import generate_warehouse
from sim.robot import SECOND, RobotSpec

EXACT = LegTable(seconds_per_cell=2.0, constant=1.0, spread=(1.0,), failure=0.0, retry=0.0, crowding=0.0)
LINE = Places(np.abs(np.subtract.outer([0.0, 4.0, 10.0, 12.0], [0.0, 4.0, 10.0, 12.0])), stations=3)
"""Stations at 0, 4 and 10 cells along a line, a charger at 12."""


def one(robots: int = 1, stock: int = 2, rate: float = 0.0, table: LegTable = EXACT) -> LegWorlds:
    config = LegsConfig(robots=(robots, robots), stock=(stock, stock), battery=(0.5, 0.5), table=table)
    return LegWorlds([LINE], config, 1, 0, RobotSpec(), rate)


def arrange(world: LegWorlds, places: list[int], tasks: list[tuple[int, int]]) -> None:
    """Robots free at 0, 1, ... s at their places; tasks that have just come."""
    world.place[0], world.free_at[0] = places, np.arange(len(places))
    world.origin[0, : len(tasks)], world.target[0, : len(tasks)] = np.array(tasks).T
    world.born[0, : len(tasks)] = 0.0
    world._observe()


def test_a_decision_takes_what_its_legs_take() -> None:
    world = one(rate=0.01)
    arrange(world, [0], [(1, 2), (2, 0)])
    slot = world._slots[0].tolist().index(0)
    _, reward = world.step(np.array([slot]))
    driving, standing = (4 * 2.0 + 1.0) + (6 * 2.0 + 1.0), 2 * 2.0
    assert world.now[0] == pytest.approx(driving + standing)
    drained = driving * world.drain.driving + standing * world.drain.standing
    assert world.battery[0, 0] == pytest.approx(0.5 - drained)
    shaped = 2.0 * (1.0 + CHARGE_SECONDS * world.drain.driving) * (6.0 - 20.0 / 3.0)
    assert reward[0] == pytest.approx(1.0 - 0.01 * (driving + standing + CHARGE_SECONDS * drained - shaped))
    assert world.lines[0] == 1
    assert world.place[0, 0] == 2


def test_who_comes_while_another_works_at_the_station_waits() -> None:
    world = one(robots=2)
    arrange(world, [0, 0], [(1, 2), (1, 0)])
    world.step(np.array([0]))
    assert (world.robot[0], world.now[0]) == (1, 1.0)
    assert world.visits[0, 0].tolist() == pytest.approx([9.0, 9.0 + 2.0 + 13.0])
    world.origin[0], world.target[0] = 1, 0
    world.step(np.array([0]))
    arrived, free = 1.0 + 9.0, 9.0 + 2.0 + CLEAR
    assert arrived < free
    assert world.visits[0, 1].tolist() == pytest.approx([free, free + 2.0 + 9.0])


def test_a_later_visit_of_another_holds_nobody_up() -> None:
    world = one(robots=2)
    arrange(world, [0, 0], [(1, 2), (1, 2)])
    world.step(np.array([0]))
    world.origin[0], world.target[0], world.place[0, 1] = 2, 0, 2
    world.step(np.array([0]))
    assert world.visits[0, 1, 0] == pytest.approx(1.0), "the other comes to station 2 at 24 s"


def test_a_charger_serves_one_robot_and_charging_wins_back_what_time_it_takes() -> None:
    world = one(robots=2)
    arrange(world, [2, 2], [(1, 2), (1, 0)])
    assert world._charger[0] == 3
    world.step(np.array([TASKS]))
    gone = 5.0 * world.drain.driving
    assert world.battery[0, 0] == pytest.approx(0.5 - gone + 300.0 / CHARGE_SECONDS)
    assert world.free_at[0, 0] == pytest.approx(305.0)
    assert (world.robot[0], world._charger[0]) == (1, -1), "the only charger is taken"
    assert not world.can[0, TASKS]
    assert world.spent[0] == pytest.approx(5.0 + CHARGE_SECONDS * gone), "the charger's own time is paid for"


def test_a_robot_without_charge_or_charger_waits() -> None:
    world = one()
    arrange(world, [2], [(1, 2), (1, 0)])
    world.battery[0] = RESERVE
    world.place[0] = 3
    world._observe()
    assert not world.can[0, :TASKS].any()
    world._charger[0] = -1
    world.step(np.array([TASKS]))
    assert world.now[0] == WAIT


def reference_offer(feasible: Sequence[bool], waited: Sequence[float], way: Sequence[float]) -> list[int]:
    """One world's offer by the coordinator's own function: what `_offered` must equal."""
    indices = sorted((i for i in range(len(way)) if feasible[i]), key=lambda i: way[i] - waited[i])
    chosen = choice_of(
        [0] * len(indices), [waited[i] >= OVERDUE / SECOND for i in indices], [int(way[i]) for i in indices], TASKS
    )
    return [indices[index] for index in chosen]


def test_worlds_offer_what_the_coordinator_offers() -> None:
    draws = np.random.default_rng(0)
    for case in range(200):
        stock = int(draws.integers(1, 20))
        feasible = draws.random((1, stock)) < draws.choice([0.2, 0.9])
        waited = draws.uniform(0.0, 900.0 if case % 2 else 500.0, (1, stock)).round(3)
        way = draws.integers(0, 40, (1, stock)).astype(float)
        slots, counts = _offered(
            np.pad(feasible, ((0, 0), (0, 8))), *(np.pad(a, ((0, 0), (0, 8))) for a in (waited, way))
        )
        assert slots[0][counts[0]].tolist() == reference_offer(
            feasible[0].tolist(), waited[0].tolist(), way[0].tolist()
        )


def test_the_drain_is_the_batterys() -> None:
    drain = Drain.of(RobotSpec(), Battery(), speed=0.0, payload=0.0)
    assert drain.driving == drain.standing == pytest.approx(60.0 / (20.0 * 3600.0 * 16 * 3.30))


def test_the_same_seed_gives_the_same_hours_on_generated_floors() -> None:
    places = [Places.of(generate_warehouse(seed)) for seed in range(2)]

    def hours() -> LegWorlds:
        worlds = LegWorlds(places, LegsConfig(), 16, 3, RobotSpec(), rate=0.02)
        observation = worlds.reset()
        for _ in range(200):
            observation, reward = worlds.step(Rule(1.0, 0.3, 0.9)(observation))
            assert np.isfinite(observation).all()
            assert np.isfinite(reward).all()
        return worlds

    one, two = hours(), hours()
    assert (one.battery == two.battery).all()
    assert (one.now == two.now).all()
    assert one.battery.min() > 0.0
    per_hour = one.lines.sum() / one.spent.sum() * 3600.0
    assert 30.0 < per_hour < 90.0, "a line takes some 20 + 8 cells of 1.5 s, 2 x 2 s and its charge"
