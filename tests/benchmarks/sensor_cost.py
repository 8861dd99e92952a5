"""What each sensor in time costs: microseconds of processor time per robot and control step, one core.

The launches of one sensor over 256 rows are run as a control step runs them: after each of its physics steps, then the
delivery. The clock, which all sensors share, is a part of its own and is taken off the others. The lidar's rival is the
sweep once a control step that it replaces (at 40 Hz it sweeps four times). A picture of the depth camera is for one
robot.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from figure import Figure

from sim.bodies.parts import Body
from sim.depth import DepthCameras
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.launches import Launchable
from sim.opengl import OpenGLError
from sim.sensorspec import NAMES, Bumper, LidarSensor, Sensors, Timing, full_suite
from sim.site import Site
from sim.tasks.navigate import NavigateConfig

ROWS = 256
UNIT = "us per robot and step"


def environment(site: Site, sensors: Sensors, body: Body = "planar") -> BatchEnv:
    """Rows that have driven for half a second."""
    env = BatchEnv(site, NavigateConfig(paths=256, sensors=sensors), worlds=ROWS, seed=1, body=body, threads=1)
    env.reset()
    for _ in range(5):
        env.step(np.full((ROWS, 2), 0.3, np.float32))
    return env


def cost(launches: Sequence[Launchable], repeats: int) -> float:
    """Microseconds per row, the median."""
    spent = []
    for _ in range(repeats):
        begin = time.process_time_ns()
        for launch in launches:
            launch.launch()
        spent.append(time.process_time_ns() - begin)
    return float(np.median(spent)) / ROWS / 1000.0


def of_step(env: BatchEnv) -> list[Launchable]:
    """What sensors launch in a control step."""
    suite = env.plant.suite
    assert suite is not None
    periods = round(env.spec.period / env.spec.motor_period) * env.plant.substeps
    return [*(suite.step * periods), *suite.deliver(env.plant.all_rows)]


def measure(quick: bool) -> Iterable[Figure]:
    """Part clock and one part for each sensor, planar, with its default rate; all of them; all on wheels; depth."""
    repeats = 40 if quick else 400
    site = generate_campus(3, blocks=(4, 4))
    plain = environment(site, Sensors())
    sweep = cost(plain.plant.senses.sweep(plain.plant.all_rows, plain.state.scan, plain.plant.senses.errors), repeats)
    full = full_suite()
    # a sensor that never looks: the clock, and what asking costs
    clock = cost(of_step(environment(site, Sensors(bumper=replace(Bumper(), timing=Timing(rate=1e-3))))), repeats)
    yield Figure("clock", clock, UNIT)
    for name in NAMES:
        env = environment(site, Sensors(**{name: getattr(full, name)}))
        value = cost(of_step(env), repeats) - clock
        if name == "lidar":
            yield Figure(name, value, UNIT, "the sweep once a control step", sweep)
        else:
            yield Figure(name, value, UNIT)
    once = environment(site, Sensors(lidar=LidarSensor(Timing(rate=10.0, latency=0.04, phase=0.0))))
    yield Figure("lidar_10_hz", cost(of_step(once), repeats) - clock, UNIT, "the sweep once a control step", sweep)
    bodies: tuple[Body, ...] = ("planar", "wheeled")
    for body in bodies:
        yield Figure(f"all_{body}", cost(of_step(environment(site, full, body)), repeats), UNIT)
    try:
        cameras = DepthCameras(plain, [0])
    except OpenGLError:
        return
    spent = []
    for _ in range(5 if quick else 30):
        begin = time.process_time_ns()
        cameras._picture(0, 1)
        spent.append(time.process_time_ns() - begin)
    cameras.close()
    yield Figure("depth_picture", float(np.median(spent)) / 1000.0, "us per picture")
