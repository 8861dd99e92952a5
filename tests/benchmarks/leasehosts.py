"""Processes of robots with leases, for rollback_latency: a module of its own, because processes are spawned."""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from coordination.keys import Keys
from coordination.zmq_transport import ZmqClient
from fleet.rollout.leasing import ROLLOUT, Tether
from fleet.serving import Serving

PERIOD = 0.1
"""s of a control tick"""


@dataclass(frozen=True)
class Version:
    """What a robot of the second part drives by."""

    name: str


class Robots:
    """Some robots with their leases, in one loop."""

    def __init__(self, names: list[str], nodes: list[bytes], address: str) -> None:
        self.links = [
            ZmqClient(name, ROLLOUT, Keys(nodes={name: node}), address) for name, node in zip(names, nodes, strict=True)
        ]
        self.serving = [Serving(Version("old"), lambda place: Version(place.name)) for _ in names]
        self.poller, self.turn = zmq.Poller(), 0
        for link in self.links:
            self.poller.register(link.socket, zmq.POLLIN)
        self.tethers = [Tether(one, link, Path()) for one, link in zip(self.serving, self.links, strict=True)]

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


def host(names: list[str], nodes: list[bytes], address: str, pipe: Connection) -> None:
    """A process of robots: told a version, it says when the last of its robots' versions became that, each."""
    robots = Robots(names, nodes, address)
    wanted, since = "", [0.0] * len(names)
    while True:
        begun = time.monotonic()
        if pipe.poll(0):
            wanted = pipe.recv()
            since = [0.0] * len(names)
            if not wanted:
                return
        robots.tick()
        now = time.monotonic()
        for index, serving in enumerate(robots.serving):
            if wanted and serving.current.name == wanted and not since[index]:
                since[index] = now
        if wanted and all(since):
            pipe.send(since)
            wanted = ""
        time.sleep(max(0.0, PERIOD - (time.monotonic() - begun)))
