"""rollback_latency: how long a bad release drives on after somebody, or the robot itself, has decided against it.

    local_ticks   control ticks from a robot's own guard to the first command of the warm old release (100 trips)
    fleet_p99_s   from a revocation to the moment at which each of 1,000 robots lets the old release answer (20 times)
    cut_off_s     from the moment at which the rollout's service is gone to the same, worst of 40 robots

The robots of the second and third part are the real ones' parts: a ZeroMQ client with its own key, the lease, the
references of `fleet.serving`. They share four processes with loops of 100 ms, as robots of one host do; what they would
drive by is a name, for loading is no part of going back.

Beside it: tether's documented 60 s and Flagger's sample of 10 minutes (their own documents; neither runs here).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from figure import Figure
from leasehosts import PERIOD, host

from agents.policy import Policy
from coordination.keys import Keys, new_keys
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.rollout.lease import Lessor
from fleet.rollout.leasing import LeaseServer
from fleet.rollout.makers import BASELINE, GOOD, write_policy
from fleet.served import Served
from fleet.serving import Serving
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls

PROCESSES = 4
"""Of robots"""
PATIENCE = 60.0
"""s until a robot that does not follow ends the measurement"""


class Site:
    """Owns the rollout's server, and the processes of robots."""

    def __init__(self, count: int, processes: int) -> None:
        keys = new_keys()
        self.names = [f"r{number}" for number in range(count)]
        self.server = LeaseServer(Lessor(), keys, "tcp://127.0.0.1:*")
        self.server.start()
        context = multiprocessing.get_context("spawn")
        self.pipes, self.hosts = [], []
        for index in range(processes):
            names = self.names[index::processes]
            mine, theirs = context.Pipe()
            nodes = [_node(keys, name) for name in names]
            process = context.Process(target=host, args=(names, nodes, self.server.address, theirs), daemon=True)
            process.start()
            self.pipes.append(mine)
            self.hosts.append(process)

    def watch(self, version: str) -> None:
        """Robots note from now on when they come to drive by a version."""
        for pipe in self.pipes:
            pipe.send(version)

    def moments(self) -> list[float]:
        """When each did, s of the monotonic clock, which all processes share."""
        found: list[float] = []
        for pipe in self.pipes:
            if not pipe.poll(PATIENCE):
                raise RuntimeError(f"not all robots followed within {PATIENCE:g} s")
            found += pipe.recv()
        return found

    def close(self) -> None:
        """Let everything go."""
        self.server.close()
        for pipe, process in zip(self.pipes, self.hosts, strict=True):
            pipe.send("")
            process.join(5.0)
            process.kill()


def local_ticks(trips: int) -> int:
    """Worst number of ticks from a guard that trips to a command that the old release answered."""
    spec, site = RobotSpec(), aisle()
    with tempfile.TemporaryDirectory() as folder:
        old, new = (write_policy(Path(folder) / name, law, spec) for name, law in (("old", BASELINE), ("new", GOOD)))
        stepper = Stepper(ControlConfig(spec=spec), site, new)
        serving: Serving[Served] = Serving(Served(old), lambda place: Served(Policy.load(place)))
        serving.previous, serving.current = serving.current, Served(new)
        scan = walls(site, spec.lidar.rays, spec.lidar.range_max)
        worst = 0
        for trip in range(trips):
            episode = Episode(stepper, FakeRobot(spec, (0.6, 1.8, 0.0), scan), FakeCoordinator(site, delivery(8)))
            stepper.use(new, None)
            serving.current, serving.previous = Served(new), Served(old)
            episode.run(2.0 + 0.1 * (trip % 10))
            serving.back()  # the guard speaks between two steps
            stepper.use(serving.current.policy, None)
            for ticks in range(1, 10):
                answer = episode.step().answer
                if answer is not None and answer.policy == old.hash[:12]:
                    worst = max(worst, ticks)
                    break
            else:
                worst = 10
    return worst


def measure(quick: bool) -> Iterable[Figure]:
    """The three parts."""
    yield Figure("local_ticks", local_ticks(10 if quick else 100), "ticks")
    seconds: list[float] = []
    site = Site(100 if quick else 1000, PROCESSES)
    try:
        for epoch in range(1, 4 if quick else 21):
            site.watch("new")
            site.server.deploy(dict.fromkeys(site.names, "candidate"), "new", 10 * epoch)
            site.moments()
            site.watch("old")
            time.sleep(4 * PERIOD)
            told = time.monotonic()
            site.server.revoke(10 * epoch + 1)
            seconds += [moment - told for moment in site.moments()]
    finally:
        site.close()
    p50, p99, most = np.percentile(seconds, (50, 99, 100))
    print(
        f"revocations of {len(site.names)} robots: p50 {p50:.3f}, p99 {p99:.3f}, most {most:.3f} s; "
        f"load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    yield Figure("fleet_p99_s", round(float(p99), 4), "s", "tether, documented", 60.0)
    worst = 0.0
    for _ in range(1 if quick else 4):
        few = Site(10, 1)
        few.watch("new")
        few.server.deploy(dict.fromkeys(few.names, "candidate"), "new", 1)
        few.moments()
        few.watch("old")
        time.sleep(4 * PERIOD)
        gone = time.monotonic()
        few.server.close()
        worst = max(worst, *(moment - gone for moment in few.moments()))
        few.close()
    yield Figure("cut_off_s", round(worst, 4), "s", "Flagger's sample, documented", 600.0)


def _node(keys: Keys, name: str) -> bytes:
    key = keys.node(name)
    assert key is not None
    return key
