"""The table of what varies: what it refuses, what it draws, and that draws know neither worlds nor devices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import warp as wp

from sim.env import BatchEnv
from sim.fields import Recompute
from sim.generate import generate_campus
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.robot import RobotSpec
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS
from sim.varied import plant_rows, plant_table
from sim.vary import (
    DISTRIBUTIONS,
    Change,
    Distribution,
    Row,
    Table,
    VaryError,
    draw_episodes,
    make_arrays,
    vary,
)
from tests.sim.drawnbyhand import between_numpy, values_numpy

SPEC = RobotSpec()
TASK = replace(NavigateConfig(), paths=256)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def row(distribution: Distribution = "uniform", low: float = 0.5, high: float = 2.0, counter: int = 0) -> Row:
    """A row that writes nothing."""
    name = f"{distribution}_{counter}"
    return Row(Term.PAYLOAD, name, distribution, low, high, "kg", "", Recompute.NONE, "a test", counter=counter)


def refusal(*rows: Row) -> str:
    """What a table of these rows is refused for."""
    with pytest.raises(VaryError) as caught:
        Table(rows)
    return str(caught.value)


# what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"high": 45.0, "bounds": (0.0, 40.0)}, "high: expected a number from 0 to 40 kg, got 45"),
        ({"low": -1.0, "bounds": (0.0, 40.0)}, "low: expected a number from 0 to 40 kg, got -1"),
        ({"high": float("nan")}, "high: expected a number from -inf to inf kg, got nan"),
        ({"low": 3.0}, "expected low <= high, got 3 > 2"),
        ({"distribution": "log_uniform", "low": 0.0}, "low: expected a number above 0 for log_uniform, got 0"),
        ({"distribution": "choice"}, "expected whole numbers for choice, got 0.5 to 2"),
        ({"distribution": "bernoulli"}, "expected a chance from 0 to 1, got 0.5 to 2"),
        ({"distribution": "uniforn"}, 'got "uniforn"; did you mean "uniform"?'),
        ({"name": "Two Words"}, "expected a name of small letters"),
        ({"nominal": 9.0, "bounds": (0.0, 5.0)}, "nominal: expected a number from 0 to 5 kg, got 9"),
        ({"source": ""}, "source: expected where the numbers come from"),
        ({"field": "body_mas", "recompute": Recompute.SET_CONST}, 'got "body_mas"; did you mean "body_mass"?'),
        ({"operation": "scale"}, "field: expected the model field to scale"),
    ],
)
def test_a_row_out_of_its_bounds_is_refused_in_one_line(wrong: dict[str, object], words: str) -> None:
    said = refusal(replace(row(), **wrong))  # type: ignore[arg-type]  # values of several types
    assert words in said
    assert "\n" not in said


def test_a_row_whose_field_needs_more_recompute_than_it_states_is_refused() -> None:
    mass = replace(plant_table(SPEC).row("mass"), recompute=Recompute.NONE)
    assert "recompute: body_mass needs SET_CONST, got NONE" in refusal(mass)
    assert "needs SET_CONST" in refusal(replace(mass, recompute=Recompute.INERT0))
    inertia = plant_table(SPEC).row("inertia")
    Table((replace(inertia, recompute=Recompute.SET_CONST),))  # more than needed is no fault


def test_rows_that_would_draw_or_write_the_same_are_refused() -> None:
    assert "the row stands twice" in refusal(row(), row())
    assert "its draws are those of uniform_0 (PAYLOAD, counter 0)" in refusal(row(), row("normal"))
    light = plant_table(SPEC).row("light_x")
    assert "light_x writes light_pos too" in refusal(light, replace(light, name="light_u", counter=7))
    assert "light_x writes light_pos too" in refusal(light, replace(light, name="light_u", counter=7, component=-1))


def test_changes_name_rows_and_stay_within_their_bounds() -> None:
    table = plant_table(SPEC).changed([Change("friction", high=0.5), Change("friction", low=0.4)])
    assert (table.row("friction").low, table.row("friction").high) == (0.4, 0.5)
    with pytest.raises(VaryError, match=r'got "frictoin"; did you mean "friction"'):
        plant_table(SPEC).changed([Change("frictoin", high=0.5)])
    with pytest.raises(VaryError, match="randomization: payload: high: expected a number from 0 to 40 kg, got 50"):
        plant_table(SPEC).changed([Change("payload", high=50.0)])


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_table_whose_defaults_hold(name: str) -> None:
    table = TASKS[name]().table()
    assert {"friction", "payload", "motor_lag", "motor_strength", "brake_strength", "latency", "light"} <= {
        each.name for each in table
    }
    for each in table:
        assert each.low <= each.start <= each.high


# what is drawn ------------------------------------------------------------------------------------------------------


def device_values(table: Table, rows: int, seed: int, episode: int) -> np.ndarray:
    """What the kernel draws, (rows, rows of the table)."""
    arrays = make_arrays(table, rows, "cpu")
    episodes, every = wp.full(rows, episode, dtype=wp.int32), wp.full(rows, 1, dtype=wp.uint8)
    wp.launch(draw_episodes, dim=rows, inputs=[seed, episodes, every, arrays], device="cpu")
    return np.array(arrays.values.numpy())


RANGES = {
    "uniform": (0.5, 2.0),
    "log_uniform": (0.5, 8.0),
    "normal": (-1.0, 3.0),
    "choice": (2.0, 6.0),
    "bernoulli": (0.3, 0.3),
}


def test_kernels_draw_what_numpy_draws() -> None:
    each = [row(kind, *RANGES[kind], counter=number) for number, kind in enumerate(RANGES)]
    table = Table((*each, row(low=-0.7, high=0.7, counter=9), row(low=1.5, high=1.5, counter=10)))
    values = device_values(table, 4096, seed=3, episode=5)
    expected = values_numpy(table, 3, np.arange(4096), 5)
    for k, each in enumerate(table):
        if each.distribution == "log_uniform":
            np.testing.assert_allclose(values[:, k], expected[each.name], rtol=1e-6)
        else:
            np.testing.assert_array_equal(values[:, k], expected[each.name])


def test_distributions_are_what_they_are_called() -> None:
    bits = draw_numpy(1, 2, np.arange(200_000), 0, 0)
    drawn = {kind: between_numpy(row(kind, *RANGES[kind]), bits).astype(np.float64) for kind in DISTRIBUTIONS}
    for kind in ("uniform", "log_uniform", "normal", "choice"):
        assert RANGES[kind][0] <= drawn[kind].min() < drawn[kind].max() <= RANGES[kind][1]
    assert abs(drawn["uniform"].mean() - 1.25) < 0.005
    assert abs(np.log(drawn["log_uniform"]).mean() - np.log(2.0)) < 0.01  # the middle of log 0.5 and log 8
    assert abs(drawn["normal"].mean() - 1.0) < 0.01
    assert abs(drawn["normal"].std() - 4.0 / 6.0) < 0.01
    assert np.unique(drawn["choice"], return_counts=True)[1] == pytest.approx(40_000, rel=0.02)
    assert abs(drawn["bernoulli"].mean() - 0.3) < 0.005
    assert set(drawn["bernoulli"]) == {0.0, 1.0}


def test_world_three_lives_the_same_life_among_four_and_among_sixty_four(site: Site) -> None:
    few, many = (BatchEnv(site, TASK, worlds=worlds, seed=9, threads=1) for worlds in (4, 64))
    for env in (few, many):
        env.reset()
    for _ in range(2):  # of the first episode and of the next
        np.testing.assert_array_equal(few.plant.varies.values.numpy()[3], many.plant.varies.values.numpy()[3])
        for name in ("robot.pose", "robot.friction", "drive.lag", "drive.brake", "people.speed", "people.position"):
            np.testing.assert_array_equal(few.snapshot()[name][3], many.snapshot()[name][3], name)
        for env in (few, many):
            env.step(np.tile(np.array([[0.7, 0.2]], np.float32), (env.rows, 1)))
            env.reset()


def test_default_draws_are_those_from_before_the_table(site: Site) -> None:
    """The formulas that stood in the kernels until 2026-11, on the same keys: every recorded figure rests on them."""
    worlds, seed = 64, 21
    env = BatchEnv(site, TASK, worlds=worlds, seed=seed, threads=1)
    env.reset()
    spec, rows = env.spec, np.arange(worlds)

    def old(term: Term, counter: int) -> np.ndarray:
        return unit_numpy(draw_numpy(seed, term, rows, 0, counter))

    f = np.float32
    load = f(spec.payload_max) * old(Term.PAYLOAD, 0)
    rub = f(0.35) + (f(0.9) - f(0.35)) * old(Term.FRICTION, 0)
    np.testing.assert_array_equal(env.state.payload.numpy(), load)
    np.testing.assert_array_equal(env.state.friction.numpy(), rub)
    mass, room, period = f(spec.mass), f(spec.latency_bound - 0.01), f(0.02)
    pull = mass * np.minimum(rub * f(9.81), f(240.0) / (mass + load))
    np.testing.assert_array_equal(env.plant.limits.numpy()[:, 0, 1].astype(np.float32), pull)
    late = (draw_numpy(seed, Term.LATENCY, rows, 0, 0).astype(np.uint64) * np.uint64(3) >> np.uint64(32)).astype(int)
    np.testing.assert_array_equal(env.drive.latency.numpy(), late)
    empty = np.maximum(room - late.astype(np.float32) * period, f(0.0)) * mass / (mass + f(spec.payload_max))
    lag = f(1.0) * empty * old(Term.MOTOR_LAG, 0)
    np.testing.assert_array_equal(env.drive.lag.numpy(), lag * (mass + load) / mass)
    np.testing.assert_array_equal(env.drive.brake.numpy(), f(spec.drive.brake_min * 1.2))
    values, table = env.plant.varies.values.numpy(), env.plant.table
    for name, term, expected in (
        ("localisation", Term.LOCALISATION, f(spec.localisation_bound) * old(Term.LOCALISATION, 0)),
        ("odometry_scale", Term.ODOMETRY, f(0.02) * (f(2.0) * old(Term.ODOMETRY, 0) - f(1.0))),
        ("stall_share", Term.STALL, old(Term.STALL, 0) < f(0.4)),
        ("stall_time", Term.STALL, f(4.0) * old(Term.STALL, 2)),
    ):
        np.testing.assert_array_equal(values[:, table.index(name)], expected, f"{name} {term}")
    draws = draw_numpy(seed, Term.LOOKAHEAD, rows, 0, 0).astype(np.uint64)
    np.testing.assert_array_equal(values[:, table.index("lookahead")], 2 + (draws * np.uint64(5) >> np.uint64(32)))
    speeds = env.people.speed.numpy()
    for person in range(2):
        u = unit_numpy(draw_numpy(seed, Term.PERSON_SPEED, rows, person, 3))
        np.testing.assert_array_equal(speeds[:, person], f(0.6) + (f(1.6) - f(0.6)) * u)


def test_later_episodes_follow_the_array_that_kernels_read(site: Site) -> None:
    env = BatchEnv(site, TASK, worlds=32, seed=4, threads=1)
    env.reset()
    before = env.state.friction.numpy().copy()
    env.plant.varies.ranges.numpy()[env.plant.table.index("friction")] = (0.5, 0.52)
    np.testing.assert_array_equal(env.state.friction.numpy(), before)  # the episodes under way stay what they are
    env.reset()
    after = env.state.friction.numpy()
    assert 0.5 <= after.min() < after.max() <= 0.52


def test_a_configuration_changes_rows_by_name(site: Site) -> None:
    task = replace(TASK, randomization=vary(friction=(0.6, 0.7), person_share=0.0, latency=1.0, motor_strength=0.8))
    env = BatchEnv(site, task, worlds=32, seed=4, threads=1)
    env.reset()
    assert 0.6 <= env.state.friction.numpy().min() < env.state.friction.numpy().max() <= 0.7
    assert (env.people.origin.numpy() == -1).all()
    assert (env.drive.latency.numpy() == 1).all()
    spec, load = env.spec, env.state.payload.numpy()
    pull = spec.mass * 0.8 * 240.0 / (spec.mass + load)  # friction holds more
    np.testing.assert_allclose(env.plant.limits.numpy()[:, 0, 1], pull, rtol=1e-5)


def test_stronger_brakes_stop_sooner(site: Site) -> None:
    braking = SPEC.drive.brake_min * 1.2
    for strength in (braking, 1.5 * braking):
        task = replace(TASK, people=0, randomization=vary(level=0.0, brake_strength=strength, start_offset=0.0))
        env = BatchEnv(site, task, worlds=1, seed=4, threads=1)
        env.reset()
        for _ in range(4):
            env.step(np.array([[1.0, 0.0]], np.float32))
        before = float(env.drive.setpoint.numpy()[0, 0])
        env.step(np.zeros((1, 2), np.float32))
        assert before - float(env.drive.setpoint.numpy()[0, 0]) == pytest.approx(0.1 * strength, rel=1e-5)


def test_level_zero_switches_errors_load_and_delays_off() -> None:
    for each in plant_rows(SPEC, 0.0):
        if each.name in ("payload", "motor_lag", "latency", "localisation", "lidar_noise", "lidar_dropout"):
            assert each.low == each.high == 0.0
    assert plant_table(SPEC, 0.0).row("friction") == plant_table(SPEC).row("friction")
