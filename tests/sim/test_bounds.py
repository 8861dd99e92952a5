"""Configurations that no environment can have: each is refused in one line before a kernel reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.bounds import ConfigError, check_number
from sim.env import BatchEnv
from sim.errors import MusterError
from sim.forklifts import ForkliftSpec
from sim.generate import generate_campus
from sim.loads import Item
from sim.manners import Manners
from sim.plant import Plant
from sim.robot import RobotSpec
from sim.seeds import seed_key
from sim.sensorspec import LidarSensor, SensorError, Sensors, Timing
from sim.site import Site
from sim.specfile import SpecError
from sim.tasks.fleet import fleet
from sim.tasks.navigate import NavigateConfig, Reward
from sim.tasks.pick import PickConfig
from sim.tasks.registry import TASKS
from sim.tasks.task import TaskConfig
from sim.vary import VaryError, vary

NAN = float("nan")
CONFIG = replace(NavigateConfig(), paths=64, people=0)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def refusal(site: Site, config: TaskConfig, **options: Any) -> MusterError:  # of BatchEnv, wrong ones
    """What an environment is refused for."""
    with pytest.raises(MusterError) as caught:
        BatchEnv(site, config, **({"worlds": 2} | options))
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paths": 0}, "paths: expected a whole number, from 1 to 1000000, got 0"),
        ({"paths": 2.5}, "paths: expected a whole number, from 1 to 1000000, got 2.5"),
        ({"half_width": -1.0}, "half_width: expected a finite number of 0 or more, got -1.0; give metres"),
        ({"success_distance": NAN}, "success_distance: expected a finite number of 0 or more, got nan"),
        ({"shortest": 9, "longest": 4}, "shortest: expected a whole number, from 1 to 4, got 9; exchange them"),
        ({"path_seed": -1}, "path_seed: expected a whole number, 0 or more, got -1"),
        ({"people": -1}, "people: expected a whole number, from 0 to 64, got -1"),
        ({"people": True}, "people: expected a whole number, from 0 to 64, got True"),
        ({"forklifts": -1}, "forklifts: expected a whole number, from 0 to 64, got -1"),
        ({"time_limit": 0.0}, "time_limit: expected a finite number above 0, got 0.0; give seconds"),
        ({"time_limit": NAN}, "time_limit: expected a finite number above 0, got nan"),
        ({"time_limit": 0.01}, "time_limit: expected one control step of 0.1 s or more"),
        ({"time_limit": 1e12}, "time_limit: expected one control step of 0.1 s or more, up to 2147483647"),
        ({"crowd": "social-force"}, 'got "social-force"; did you mean "social_force"?'),
        ({"profile": 7}, "profile: expected one of 0 (still), 1 (walking), got 7"),
        ({"manners": Manners(heeding=1.5)}, "manners.heeding: expected a finite number of 0 or more up to 1, got 1.5"),
        ({"forklift": ForkliftSpec(brake=0.0)}, "forklift.brake: expected a finite number above 0 up to 100, got 0.0"),
        ({"reward": Reward(progress=NAN)}, "reward.progress: expected a finite number, got nan"),
        ({"randomization": vary(NAN)}, "randomization.level: expected a finite number of 0 or more up to 1, got nan"),
    ],
)
def test_a_number_that_no_task_can_have_is_refused(site: Site, change: dict[str, Any], words: str) -> None:
    error = refusal(site, replace(CONFIG, **change))
    assert isinstance(error, ConfigError)
    assert words in str(error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worlds": 0}, "worlds: expected a whole number, 1 or more, got 0; correct it"),
        ({"worlds": -1}, "worlds: expected a whole number, 1 or more, got -1"),
        ({"worlds": 2**30, "robots": 4}, "rows (worlds * robots): expected a whole number, 1 or more, got"),
        ({"robots": 0}, "robots: expected a whole number, 1 or more, got 0"),
        ({"threads": -1}, "threads: expected a whole number, 1 or more, got -1"),
        ({"seed": -1}, "seed: expected a whole number, from 0 to 18446744073709551615, got -1"),
        ({"seed": 1.5}, "seed: expected a whole number, from 0 to 18446744073709551615, got 1.5"),
        ({"seed": 2**64}, "seed: expected a whole number, from 0 to 18446744073709551615, got"),
        ({"body": "hover"}, 'body: expected planar or wheeled, got "hover"; known: planar, wheeled'),
        ({"device": "gpu"}, 'got "gpu"; take cpu'),
    ],
)
def test_a_plant_that_cannot_be_is_refused(site: Site, options: dict[str, Any], words: str) -> None:
    error = refusal(site, CONFIG, **options)
    assert isinstance(error, ConfigError)
    assert words in str(error)


def test_the_robot_and_its_sensors_are_checked_before_what_follows_from_them(site: Site) -> None:
    for spec, words in (
        (RobotSpec(motor_period=0), "motor_period: expected a number from"),
        (RobotSpec(payload_max=-3.0), "payload_max: expected a number from 0"),
    ):
        error = refusal(site, replace(CONFIG, spec=spec))
        assert isinstance(error, SpecError)
        assert words in str(error)
        with pytest.raises(SpecError):
            Plant(site, spec, worlds=1)
    wrong = Sensors(lidar=LidarSensor(Timing(rate=-1.0)))
    assert isinstance(refusal(site, replace(CONFIG, sensors=wrong)), SensorError)
    assert isinstance(refusal(site, replace(CONFIG, randomization=vary(friction=9.0))), VaryError)


def test_tasks_check_their_own_numbers(site: Site) -> None:
    assert "paths: expected" in str(refusal(site, fleet(replace(CONFIG, paths=0)), robots=2))
    assert "item.size: height" in str(refusal(site, PickConfig(item=Item(size=(0.1, 0.1, 0.0)))))
    assert "height: expected" in str(refusal(site, PickConfig(height=NAN)))


@pytest.mark.parametrize("name", TASKS)
def test_every_tasks_defaults_can_be(name: str) -> None:
    TASKS[name]().check()


def test_long_seeds_count_all_their_bits_and_short_ones_stay_as_they_are() -> None:
    assert [seed_key(seed) for seed in (0, 5, 2**31, 2**32 - 1)] == [0, 5, 2**31, 2**32 - 1]
    long = [seed_key(seed) for seed in (2**32 + 5, 2**33 + 5, 2**63 + 5, 2**64 - 1)]
    assert len({5, *long}) == 5
    assert all(0 <= key < 2**32 for key in long)


def test_a_bound_is_said_as_it_is() -> None:
    check_number("x", 1, 0.0, 1.0)
    for value in (1.5, "1", None, True, NAN):
        with pytest.raises(ConfigError, match="x: expected a finite number of 0 or more up to 1, got"):
            check_number("x", value, 0.0, 1.0)
