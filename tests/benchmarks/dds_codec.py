"""dds_codec: a scan of 360 ranges and 360 intensities, to bytes and back, beside the DDS binding's own codec.

Both sides make the same bytes of the same numbers; ours holds them as NumPy arrays and the binding as lists, which is
what each side's caller has. The rounds alternate, so that what the machine does otherwise meets both. A round is 200
calls of ours and 4 of the binding's; the figure is the median round's time of one call, in processor time of the
thread, with garbage collection as in any program.

    serialise, deserialise   us: the goals are 2 and 8; the rival is cyclonedds' IdlStruct, where it is installed
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from figure import Figure

from fleet.ros.cdr import deserialise, serialise
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.std_msgs import Header

BEAMS = 360
CALLS, RIVAL_CALLS = 200, 4


@dataclass(frozen=True)
class Rival:
    """The binding's codec on the same scan."""

    serialise: Callable[[], bytes]
    deserialise: Callable[[], object]


def measure(quick: bool) -> Iterable[Figure]:
    """Time of one call each."""
    rounds = 50 if quick else 500
    scan = a_scan()
    data = serialise(scan)
    rival = binding(scan, data)
    for part, ours, theirs in (
        ("serialise", lambda: serialise(scan), rival and rival.serialise),
        ("deserialise", lambda: deserialise(LaserScan, data), rival and rival.deserialise),
    ):
        value, beside = timed(ours, theirs, rounds)
        yield Figure(part, value, "us", "cyclonedds IdlStruct" if theirs else "", beside)


def a_scan() -> LaserScan:
    """A scan as a lidar sends it."""
    generator = np.random.default_rng(5)
    return LaserScan(
        Header(Time(1_700_000_000, 250_000_000), "laser"),
        *(-3.125, 3.125, 0.0175, 0.0, 0.1, 0.05, 12.0),
        ranges=generator.uniform(0.05, 12.0, BEAMS).astype(np.float32),
        intensities=generator.uniform(0.0, 255.0, BEAMS).astype(np.float32),
    )


def timed(ours: Callable[[], object], theirs: Callable[[], object] | None, rounds: int) -> tuple[float, float | None]:
    """The median time of a call of each, us."""
    mine, others = [], []
    for _ in range(rounds):
        mine.append(once(ours, CALLS))
        if theirs is not None:
            others.append(once(theirs, RIVAL_CALLS))
    return statistics.median(mine), statistics.median(others) if others else None


def once(call: Callable[[], object], calls: int) -> float:
    """Time of one of so many calls, us."""
    begin = time.thread_time_ns()
    for _ in range(calls):
        call()
    return (time.thread_time_ns() - begin) / calls / 1000.0


def binding(scan: LaserScan, data: bytes) -> Rival | None:
    """The binding's codec, checked to make the same bytes; None where it is not installed."""
    try:
        import cyclonedds_scan
    except ImportError:
        return None
    theirs = cyclonedds_scan.made(scan)
    if theirs.serialize(use_version_2=False) != data:
        raise AssertionError("the binding makes other bytes of the same scan")
    return Rival(lambda: theirs.serialize(use_version_2=False), lambda: type(theirs).deserialize(data))
