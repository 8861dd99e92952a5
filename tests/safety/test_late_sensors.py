"""The shield in training among sensors that are late: it drives by their true age up to its bound, and no further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import warp as wp

from safety.shield import Reason, Shield
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.points import Points
from sim.sensorspec import LidarSensor, Localisation, Odometry, Sensors, Timing
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending

WORLDS = 16
CONFIG = NavigateConfig(paths=128)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def late(site: Site, latency: float) -> BatchEnv:
    timing = Timing(rate=50.0, latency=latency, phase=0.0)
    sensors = Sensors(lidar=LidarSensor(timing), localisation=Localisation(timing), odometry=Odometry(timing))
    points = Points(site, CONFIG.spec, 0.0)
    memory = points.init(WORLDS)
    return BatchEnv(
        site, replace(CONFIG, sensors=sensors), worlds=WORLDS, seed=1, threads=1,
        filter=Shield(CONFIG.spec), point_speeds=lambda inputs: points.launch(inputs, memory),
    )  # fmt: skip


def drive(env: BatchEnv, steps: int) -> tuple[float, list[int]]:
    """Metres that all rows drove together at full throttle, and how episodes ended."""
    env.reset()
    rng, metres, endings = np.random.default_rng(0), 0.0, []
    for _ in range(steps):
        action = np.stack([np.ones(WORLDS), rng.uniform(-0.5, 0.5, WORLDS)], axis=1).astype(np.float32)
        ending = env.step(action).ending
        endings += ending[ending > 0].tolist()
        metres += float(np.abs(env.state.twist.numpy()[:, 0]).sum()) * 0.1
    return metres, endings


def test_a_shield_drives_by_readings_as_old_as_its_bound_and_touches_nothing(site: Site) -> None:
    env = late(site, 0.1)
    metres, endings = drive(env, 60)
    assert env.filter_inputs.scan_age.numpy() == pytest.approx(0.1)
    assert metres > 10.0
    assert int(Ending.COLLIDED) not in endings


def test_older_readings_are_stale_to_it_and_it_would_drive_if_their_age_were_hidden(site: Site) -> None:
    env = late(site, 0.12)
    metres, _ = drive(env, 20)
    assert metres == 0.0
    assert (env.reason.numpy() == int(Reason.STALE_SCAN)).all()
    liar = late(site, 0.12)
    object.__setattr__(liar.filter_inputs, "scan_age", wp.zeros(WORLDS, dtype=wp.float32))  # the planted fault
    assert drive(liar, 20)[0] > 1.0
