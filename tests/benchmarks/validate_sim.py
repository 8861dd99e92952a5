"""validate_sim: planted parameters of the wheeled body, recovered from recordings by `muster validate-sim`'s own fit.

Robots are drawn by key (sim/excitation.py): mass, wheels, track, firmware limits, lag, latency and floor all differ
from the specification that the fit starts from. Each is driven by excitation commands in the plant, which shares no
kernel with the fit's worlds, with the sensors' noise and odometry errors on; poses and odometry at 10 Hz, wheel speeds
and wheel torques with the noise of encoders and current sensors. A figure is the worst relative error over the robots;
one that was called not identifiable counts as 1. `open_loop_1s` is the position error of a second of held-out driving
after the refit, with that of the specification beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np
from figure import Figure

from fleet.recordings import Recording
from fleet.validate import validate
from sim.candidates import NAMES
from sim.excitation import plant_robot, record, true_parameters
from sim.robot import RobotSpec


def measure(quick: bool) -> Iterable[Figure]:
    """The worst relative error of each parameter, and what the refit is good for."""
    robots, runs, seconds = (1, 3, 10.0) if quick else (3, 6, 20.0)
    errors = np.zeros(len(NAMES))
    before, after = [], []
    for robot in range(robots):
        spec, planted = plant_robot(RobotSpec(), robot)
        drives = record(spec, planted, seconds, runs, 100 + robot, wheels=True, torques=True)
        found = validate(
            RobotSpec(),
            [Recording(drive.recording, (drive,), None) for drive in drives],
            news=lambda line: print(line, file=sys.stderr),
        )
        assert found.fit is not None
        truth = true_parameters(spec, planted)
        for k, estimate in enumerate(found.fit.estimates):
            error = abs(estimate.value / truth[k] - 1.0) if estimate.identifiable else 1.0
            errors[k] = max(errors[k], error)
            words = f"planted {truth[k]:.5g}, found {estimate.value:.5g} +- {estimate.error:.2g} {estimate.reason}"
            print(f"robot {robot} {estimate.name}: {words}", file=sys.stderr)
        second = next(one for one in found.errors if one.horizon == 1.0)
        before.append(float(np.hypot(*second.rms[0, :2])))
        after.append(float(np.hypot(*second.rms[1, :2])))
    for name, error in zip(NAMES, errors.tolist(), strict=True):
        yield Figure(name, error, "1")
    yield Figure("open_loop_1s", max(after), "m", "specification", max(before))
