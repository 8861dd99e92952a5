"""dds_round_trip: there and back between two processes over the dds bus, beside a bare UDP echo of equal size.

The other process answers each message from a callback on its bus. A trip is `publish`, `spin` and `take` here, so that
every message is encoded and decoded twice: a Twist (52 bytes) and a LaserScan with 360 ranges (1.5 kB), default quality
of service (reliable), loopback. Each DDS trip is followed by a UDP trip with as many bytes, answered by a third process
whose thread does nothing but wait for it, so that both see the same machine.

twist_p50, ...        the next trip begins when the one before is over, as in Cyclone DDS's own roundtrip example
twist_p50_1khz, ...   a pause of 1 ms between two trips
twist_p50_300hz, ...  a pause of 3 ms, nearer to a control loop: by then caches and cores have gone cold

4,000 trips each; 600 with --quick.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]  # where this file is the other process's program

from figure import Figure, NotHere  # noqa: E402

from fleet.ros.bus import Bus, open_bus  # noqa: E402
from fleet.ros.cdr import serialise  # noqa: E402
from fleet.ros.messages.geometry_msgs import Twist, Vector3  # noqa: E402
from fleet.ros.messages.sensor_msgs import LaserScan  # noqa: E402

DOMAIN = 1 + os.getpid() % 100
PAUSES = {"": 0.0, "_1khz": 0.001, "_300hz": 0.003}
"""s between two trips, by the end of the part's name"""
PATIENCE = 20.0
"""s for the other process to be found, or for a trip that goes wrong"""

KINDS: dict[str, type] = {"twist": Twist, "scan": LaserScan}


def messages() -> dict[str, Any]:
    """What is sent."""
    ranges = np.linspace(0.5, 12.0, 360, dtype=np.float32)
    return {
        "twist": Twist(Vector3(1.0, 0.0, 0.0), Vector3(0.0, 0.0, -0.25)),
        "scan": LaserScan(angle_min=-3.14, angle_max=3.14, ranges=ranges),
    }


def measure(quick: bool) -> Iterable[Figure]:
    """Median and 99th percentile of each size, ms."""
    trips = 600 if quick else 4000
    if not importlib.util.find_spec("cyclonedds"):
        raise NotHere("needs Cyclone DDS's Python binding: pip install 'muster[ros]'")
    with on_loopback(), other("echo", str(DOMAIN)), other("udp") as udp:
        bus = open_bus("dds", domain=DOMAIN)
        try:
            assert udp.stdout is not None
            port = int(udp.stdout.readline())
            for name, message in messages().items():
                size = len(serialise(message))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
                    plain.settimeout(PATIENCE)
                    plain.connect(("127.0.0.1", port))
                    taken = played(bus, name, message, lambda: udp_trip(plain, b"x" * size), trips)  # noqa: B023
                for (pause, (ours, bare)), (part, share) in itertools.product(
                    taken.items(), (("p50", 50), ("p99", 99))
                ):
                    rival = float(np.percentile(bare, share))
                    value = float(np.percentile(ours, share))
                    yield Figure(f"{name}_{part}{pause}", value, "ms", "bare UDP echo", rival)
        finally:
            bus.close()


Times = tuple[list[float], list[float]]
"""ms of our trips, and of the bare ones"""


def played(bus: Bus, name: str, message: Any, bare: Callable[[], None], trips: int) -> dict[str, Times]:
    """The times of both kinds of trip, in turns, by the pause between them."""
    node = bus.node(f"here_{name}")
    there, back = node.publisher(KINDS[name], f"{name}_there"), node.subscription(KINDS[name], f"{name}_back")
    end = time.monotonic() + PATIENCE
    while back.take() is None:  # until the other process knows our ends too
        if time.monotonic() > end:
            raise RuntimeError("the other process was not found")
        there.publish(message)
        bus.spin(0.1)
    time.sleep(0.5)
    while back.take() is not None:
        pass

    def trip() -> None:
        there.publish(message)
        end = time.monotonic() + PATIENCE
        while back.take() is None:
            if time.monotonic() > end:
                raise RuntimeError("a message did not come back")
            bus.spin(1.0)

    return {end: _timed(trip, bare, trips, pause) for end, pause in PAUSES.items()}


def _timed(trip: Callable[[], None], bare: Callable[[], None], trips: int, pause: float) -> Times:
    times: Times = ([], [])
    for number in range(100 + trips):
        for one, taken in zip((trip, bare), times, strict=True):
            begun = time.perf_counter()
            one()
            if number >= 100:  # the first ones find their ways into the caches
                taken.append((time.perf_counter() - begun) * 1e3)
        if pause:
            time.sleep(pause)
    return times


def udp_trip(plain: socket.socket, data: bytes) -> None:
    """One datagram there and back."""
    plain.send(data)
    if len(plain.recv(65536)) != len(data):
        raise RuntimeError("another datagram came back")


@contextmanager
def on_loopback() -> Iterator[None]:
    """Nothing leaves the machine, whatever the environment says."""
    before = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    yield
    if before is not None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = before


@contextmanager
def other(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This file as another process."""
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def echo(domain: int) -> None:
    """Answer what comes over the bus, until killed."""
    bus = open_bus("dds", domain=domain)
    node = bus.node("there")
    for name, kind in KINDS.items():
        back = node.publisher(kind, f"{name}_back")
        node.subscription(kind, f"{name}_there", back.publish)
    while True:
        bus.spin(1.0)


def udp() -> None:
    """Answer datagrams, until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.bind(("127.0.0.1", 0))
        print(plain.getsockname()[1], flush=True)
        while True:
            data, sender = plain.recvfrom(65536)
            plain.sendto(data, sender)


if __name__ == "__main__":
    echo(int(sys.argv[2])) if sys.argv[1] == "echo" else udp()
