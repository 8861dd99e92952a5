"""rollback_latency: how long a bad release drives on after somebody, or the robot itself, has decided against it.

    local_ticks   control ticks from a robot's own guard to the first command of the warm old release (100 trips)
    fleet_p99_s   from a revocation to the moment at which each of 1,000 robots lets the old release answer (20 times)
    cut_off_s     from the moment at which the rollout's service is gone to the same, worst of 40 robots

The robots of the second and third part are the real ones' parts: a ZeroMQ client with its own key, the lease, the
references of `fleet.serving`. They share one process with a loop of 100 ms, as robots of one host do; what they would
drive by is a name, for loading is no part of going back.

Beside it: tether's documented 60 s and Flagger's sample of 10 minutes (their own documents; neither runs here).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zmq
from figure import Figure

from agents.policy import Policy
from coordination.keys import Keys, new_keys
from coordination.zmq_transport import ZmqClient
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.rollout.lease import Lessor
from fleet.rollout.leasing import ROLLOUT, LeaseServer, Tether
from fleet.rollout.makers import BASELINE, GOOD, write_policy
from fleet.served import Served
from fleet.serving import Serving
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls

PERIOD = 0.1
"""s of a control tick"""
PATIENCE = 30.0
"""s until a robot that does not follow ends the measurement"""


@dataclass(frozen=True)
class Version:
    """What a robot of the second part drives by."""

    name: str


class Robots:
    """Robots with their leases, in one loop."""

    def __init__(self, count: int, folder: Path) -> None:
        keys = new_keys()
        self.names = [f"r{number}" for number in range(count)]
        self.server = LeaseServer(Lessor(), keys, "tcp://127.0.0.1:*")
        self.server.start()
        self.links = [
            ZmqClient(name, ROLLOUT, Keys(nodes={name: _node(keys, name)}), self.server.address) for name in self.names
        ]
        self.serving = [Serving(Version("old"), lambda place: Version(place.name)) for _ in self.names]
        self.poller, self.turn = zmq.Poller(), 0
        for link in self.links:
            self.poller.register(link.socket, zmq.POLLIN)
        self.tethers = [Tether(one, link, folder) for one, link in zip(self.serving, self.links, strict=True)]

    def tick(self) -> None:
        """One turn of the loop: robots to which something came, and a quarter of the others, as asks fall due."""
        self.turn += 1
        ready = {socket for socket, _ in self.poller.poll(0)}
        for index, (serving, tether) in enumerate(zip(self.serving, self.tethers, strict=True)):
            if self.links[index].socket not in ready and index % 4 != self.turn % 4:
                continue
            tether.keep()
            while not serving._jobs.empty():  # loading, without a thread for each of a thousand
                job = serving._jobs.get()
                if job is not None:
                    job()

    def until(self, version: str) -> list[float]:
        """Tick until every robot drives by a version; when each began to, s of the monotonic clock."""
        since = dict.fromkeys(range(len(self.serving)), 0.0)
        deadline = time.monotonic() + PATIENCE
        while any(not moment for moment in since.values()):
            begun = time.monotonic()
            assert begun < deadline, f"not all robots drive by {version}"
            self.tick()
            now = time.monotonic()
            for index, serving in enumerate(self.serving):
                if serving.current.name == version and not since[index]:
                    since[index] = now
            time.sleep(max(0.0, PERIOD - (time.monotonic() - begun)))
        return list(since.values())

    def close(self) -> None:
        """Let everything go."""
        self.server.close()
        for link in self.links:
            link.close()


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
    with tempfile.TemporaryDirectory() as folder:
        robots = Robots(100 if quick else 1000, Path(folder))
        seconds: list[float] = []
        try:
            for epoch in range(1, 4 if quick else 21):
                robots.server.deploy(dict.fromkeys(robots.names, "candidate"), "new", 10 * epoch)
                robots.until("new")
                told = time.monotonic()
                robots.server.revoke("killed", 10 * epoch + 1)
                seconds += [moment - told for moment in robots.until("old")]
        finally:
            robots.close()
        p50, p99, most = np.percentile(seconds, (50, 99, 100))
        print(
            f"revocations of {len(robots.names)} robots: p50 {p50:.3f}, p99 {p99:.3f}, most {most:.3f} s",
            file=sys.stderr,
        )
        yield Figure("fleet_p99_s", round(float(p99), 4), "s", "tether, documented", 60.0)
        worst = 0.0
        for _ in range(1 if quick else 4):
            few = Robots(10, Path(folder))
            few.server.deploy(dict.fromkeys(few.names, "candidate"), "new", 1)
            few.until("new")
            gone = time.monotonic()
            few.server.close()
            worst = max(worst, *(moment - gone for moment in few.until("old")))
            few.close()
        yield Figure("cut_off_s", round(worst, 4), "s", "Flagger's sample, documented", 600.0)


def _node(keys: Keys, name: str) -> bytes:
    key = keys.node(name)
    assert key is not None
    return key
