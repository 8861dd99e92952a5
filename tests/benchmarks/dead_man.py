"""dead_man: how long after its driver was killed a robot's command is zero, over the dds bus.

The plant serves one robot in real time; another process drives it, ten commands a second by /clock, and is killed (-9)
at a random moment. Measured is the time from the kill until the command in force at the plant is zero. 200 times, each
with a driver of its own; 20 with --quick. The rival is what DDS alone says: how long after the last kill its reader
still counted the dead writer as there.
"""

from __future__ import annotations

import importlib.util
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]  # where this file is the driver's program

import numpy as np  # noqa: E402
from figure import Figure, NotHere  # noqa: E402

from fleet.ros.bus import open_bus  # noqa: E402
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped, Vector3  # noqa: E402
from fleet.ros.messages.rosgraph_msgs import Clock  # noqa: E402
from fleet.ros.planar import header, stamp_of  # noqa: E402
from fleet.ros.topics import CLOCK, COMMAND, SCAN  # noqa: E402

DOMAIN = 1 + os.getpid() % 100
PATIENCE = 60.0
"""s for a driver to load and be heard, and for a killed one's robot to stand: much more is no figure but a failure."""
LEASE = 40.0
"""s for DDS to find a dead peer: 10 with Cyclone's defaults, 20 with Fast DDS's."""
LOOK = 0.0005
"""s between two looks at the command."""


class Driver:
    """A driver's process: loaded, and on the bus once it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(DOMAIN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def go(self) -> None:
        """Begin to drive."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Reap it."""
        self.process.kill()
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            if end is not None:
                end.close()


def measure(quick: bool) -> Iterable[Figure]:
    """The worst and the median time, ms."""
    if not importlib.util.find_spec("cyclonedds"):
        raise NotHere("needs Cyclone DDS's Python binding: pip install 'muster[ros]'")
    from fleet.ros.plantbase import DEAD_MAN
    from fleet.ros.plantnode import BusPlant
    from fleet.ros.transport import BusServer
    from fleet.rounds import Plant
    from fleet.world import World
    from sim.robot import RobotSpec
    from sim.site import make_site

    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    spec = RobotSpec()
    world = World(make_site("hall", np.zeros((8, 8), bool)), spec, 1, seed=1)
    bus = open_bus("dds", domain=DOMAIN)
    times: list[float] = []
    lease: list[float] = []
    try:
        node = bus.node("plant")
        end = BusPlant(bus, node, BusServer(bus, node, "plant", None, "~"), world, ("r0",), lockstep=False)
        plant = Plant(world, end, ("r0",), clock="wall", dead_man=DEAD_MAN)

        def told() -> bool:
            return bool(plant.commands.any())

        def killing() -> None:
            try:
                times.extend(trials(20 if quick else 200, told))
                lease.append(waited(lambda: not end.bases["r0"].commanded, LEASE))
            finally:
                plant._end = "measured"

        killer = threading.Thread(target=killing)
        killer.start()
        plant.serve(coordinator=False, patience=math.inf, gather=False)
        killer.join()
    finally:
        bus.close()
    if not lease:
        raise RuntimeError("the drivers were not heard")
    name = "DDS alone counts the peer as gone"
    yield Figure("worst_ms", 1e3 * max(times), "ms", name, 1e3 * lease[0])
    yield Figure("median_ms", 1e3 * float(np.median(times)), "ms", name, 1e3 * lease[0])


def trials(count: int, told: Callable[[], bool], make: Callable[[], Driver] = Driver, seed: int = 7) -> list[float]:
    """Kill so many drivers, one after the other; `told()` is whether the robot has a command. Times in s."""
    draws, times = random.Random(seed), []
    ready = make()
    try:
        for _ in range(count):
            driver, ready = ready, make()  # the next one loads meanwhile
            try:
                driver.go()
                waited(told, PATIENCE)
                time.sleep(0.3 + draws.uniform(0.0, 0.1))  # at any moment of a period
                driver.kill()
                times.append(waited(lambda: not told(), PATIENCE))
            finally:
                driver.close()
    finally:
        ready.close()
    return times


def waited(holds: Callable[[], bool], patience: float) -> float:
    """How long it took until something held, s; raises RuntimeError after `patience`."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > patience:
            raise RuntimeError(f"it did not come to hold within {patience:g} s")
        time.sleep(LOOK)
    return time.monotonic() - begun


def drive(domain: int) -> None:
    """Be a driver, until killed."""
    sys.stdin.readline()
    bus = open_bus("dds", domain=domain)
    node = bus.node("driver", "r0")
    commands = COMMAND.publisher(node)
    SCAN.subscription(node)

    def answer(clock: Clock) -> None:
        commands.publish(TwistStamped(header(stamp_of(clock.clock), ""), Twist(Vector3(0.2), Vector3(0.0, 0.0, 0.3))))

    CLOCK.subscription(node, callback=answer)
    while True:
        bus.spin(1.0)


if __name__ == "__main__":
    drive(int(sys.argv[1]))
