"""car_step: time of one whole control step of a car's node, its black box's writer beside it; ms of wall time.

A car in a town among 16 others and 6 people, in real time over the loop: a step every 50 ms, from the messages that
wait to the command that is said, the append to a black box included, whose writer's thread runs meanwhile. The plant
is stepped between the car's steps, in the same process. 1,200 steps (200 with --quick). The rival is the same drive
without a black box.

The policies are untrained networks of the demo's kind: what they say does not change what asking them takes.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent)]

import numpy as np  # noqa: E402
from figure import Figure  # noqa: E402

from fleet.carlog import CarLog  # noqa: E402
from fleet.carnode import CarNode, CarSettings  # noqa: E402
from fleet.carserve import CarServer  # noqa: E402
from fleet.drivinglevels import DrivingLevels, read_driving_levels  # noqa: E402
from fleet.ros.arguments import parse  # noqa: E402
from fleet.ros.loop import LoopBus, LoopNetwork  # noqa: E402
from sim.bodies.specs import CAR  # noqa: E402
from tests.fleet.carbus import SIM_TIME, make_plant  # noqa: E402
from tests.fleet.drivepolicies import write_driving_policies  # noqa: E402

SITE, SEED = "town:7", 3

BEGIN = 40
"""Steps that are not counted: the car finds itself, and stands."""


def steps_of(levels: DrivingLevels, steps: int, directory: Path | None) -> list[float]:
    """What so many control steps took, s; with a black box where there is a directory for it."""
    plant = make_plant(SITE, SEED, 3600.0, traffic=16, walkers=6)
    network = LoopNetwork()
    server = CarServer(LoopBus(network), plant, lockstep=False, namespace="r1")
    log = None if directory is None else CarLog(directory, plant.road, CAR, SITE, levels.name)
    node = CarNode(
        LoopBus(network, parse(SIM_TIME)), plant.road, levels, CAR, CarSettings(drive=True), namespace="r1", log=log
    )  # fmt: skip
    node.start()
    took: list[float] = []
    try:
        due = time.perf_counter()
        while len(took) < BEGIN + steps and not plant.over:
            server.poll()
            began = time.perf_counter()
            if node.poll():
                took.append(time.perf_counter() - began)
            due += CAR.period / 1e9
            time.sleep(max(due - time.perf_counter(), 0.0))
    finally:
        node.close()
        server.close()
    if len(took) < BEGIN + steps:
        raise RuntimeError(f"expected {BEGIN + steps} control steps, the drive was over after {len(took)}")
    return took[BEGIN:]


def measure(quick: bool) -> Iterable[Figure]:
    """Median, 99th percentile and worst of the steps with a black box, beside those without."""
    steps = 200 if quick else 1200
    with tempfile.TemporaryDirectory() as place:
        levels = read_driving_levels(write_driving_policies(Path(place) / "policies"))
        gc.disable()
        try:
            alone = steps_of(levels, steps, None)
            boxed = steps_of(levels, steps, Path(place) / "box")
        finally:
            gc.enable()
    for part, share in (("p50", 50.0), ("p99", 99.0), ("worst", 100.0)):
        ours, rival = (float(np.percentile(each, share)) * 1e3 for each in (boxed, alone))
        yield Figure(part, ours, "ms", "without a black box", rival)
