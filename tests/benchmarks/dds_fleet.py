"""dds_fleet: eight robots at 25 Hz over the dds bus, each a process of its own, on two cores; what they miss and weigh.

Plant (real time, people who walk), coordinator and eight `muster robot --bus dds` for five minutes, once every robot is
ready. The robot is the default one with a control period of 40 ms: the goal is for 20 Hz, and the drive's 20 ms, with
which the shield's bounds were measured, do not go into 50. It drives 0.9 m/s at most, so that its stopping plan has
room in sixteen such periods. Its policy is made by hand; black boxes are on.

missed      control steps that ended after their period, cycles that were passed over, and ticks of the plant that came
            more than a period late
unexplained those of them that had been in time if the machine itself had not stood still meanwhile (stalls.py)
bus_mib     private dirty memory of a process that does no more than hold a robot's topics on the bus: it hears and says
            what a robot does, eight robots' worth of rounds, interpreter and NumPy included
robot_mib   private dirty memory of the largest of the eight robots' processes at the end

--quick runs two robots for fifteen seconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any  # a publisher of any message

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import subprocess  # noqa: E402

import numpy as np  # noqa: E402
from figure import Figure, NotHere  # noqa: E402

MIB = 1024.0 * 1024.0
DOMAIN = 101 + os.getpid() % 100
ROUNDS = 400
"""Cycles that the bus's own process goes through before it is weighed."""


def measure(quick: bool) -> Iterable[Figure]:
    """Misses and weights."""
    if not importlib.util.find_spec("cyclonedds"):
        raise NotHere("needs Cyclone DDS's Python binding: pip install 'muster[ros]'")
    from busfleet import Fleet, finish, running, wait
    from stalls import watched

    from sim.robot import MILLISECOND, SECOND, DiffDrive, RobotSpec
    from sim.specfile import SpecFile, write_spec
    from tests.fleet.hand_policy import write_hand_policy

    count, seconds = (2, 15.0) if quick else (8, 300.0)
    spec = RobotSpec(period=40 * MILLISECOND, drive=DiffDrive(speed_max=0.9))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home, place = folder / "policy", folder / "spec.yaml"
        home.mkdir()
        write_spec(place, SpecFile(spec))
        policy = write_hand_policy(home, spec)
        fleet = Fleet(
            "dds",
            robots=count,
            people=2,
            tasks=4 * count,
            hosts=count,
            clock="wall",
            spec=str(place),
            patience=600.0,
        )
        load = os.getloadavg()[0]
        with watched() as stalls, running(fleet, folder / "run", policy, home) as fleets:
            begun = time.monotonic()
            wait(fleets.coordinator, 1.0)
            time.sleep(seconds)
            hosts = [process.pid for key, process in fleets.processes.items() if key.startswith("host")]
            weights = [weight(pid) for pid in hosts]
            finish(fleets)
        root = fleets.directory.root
        told = [json.loads(path.read_text())["robots"] for path in sorted(root.glob("robots-*.json"))]
        late, ticks = read_late(root)
        robots = [robot for each in told for robot in each.values()]
        missed, steps, line = misses(robots, late)
        period = spec.period / SECOND
        spans = [(begin, end, int((end - begin) / period)) for begin, end in ticks]
        spans += [(begin, end, 1) for robot in robots for begin, end in robot["missed_spans"]]
        explained = sum(count for begin, end, count in spans if stalls.explain((begin, end), period))
        took = [(after - begun, end - after, stalls.within((after, end))) for after, end, _ in spans]
        when = "; ".join(f"{1e3 * b:.0f} ms after {a:.1f} s, the machine took {1e3 * c:.0f}" for a, b, c in took)
        print(f"{line} ({when or 'none'}); {stalls.words()}; load average before: {load:.1f}", file=sys.stderr)
    yield Figure("missed", missed, "1", "control steps", steps)
    yield Figure("unexplained", missed - explained, "1", "missed", missed)
    yield Figure("bus_mib", bus_weight() / MIB, "MiB")
    yield Figure("robot_mib", max(weights) / MIB, "MiB", "the smallest of them", min(weights) / MIB)


def misses(robots: list[dict], late: int) -> tuple[int, int, str]:
    """What was missed in all, of how many steps, and in words; `robots` as their hosts summed them up."""
    steps = sum(robot["steps"] for robot in robots)
    deadlines = sum(robot["missed_deadlines"] for robot in robots)
    skipped = sum(robot["skipped_cycles"] for robot in robots)
    errors = sum(robot["errors"] for robot in robots)
    worst = max((robot["step_seconds"]["p99"] for robot in robots), default=0.0)
    line = (
        f"{len(robots)} robots, {steps} steps: {deadlines} late, {skipped} cycles passed over, {errors} errors, "
        f"{late} late ticks of the plant; 99 % of a robot's steps within {1e3 * worst:.1f} ms"
    )
    return deadlines + skipped + errors + late, steps, line


def read_late(root: Path) -> tuple[int, list[tuple[float, float]]]:
    """How many ticks of the plant came too late, and from when to when it was late, s of CLOCK_MONOTONIC."""
    told = json.loads((root / "plant.json").read_text())
    return int(told["late_ticks"]), [(due, came) for due, came in told["late_spans"]]


def weight(pid: int) -> float:
    """Private dirty memory of a process, bytes: what it costs beyond what it shares or could read again."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return 1024.0 * int(line.split()[1])
    raise RuntimeError("the kernel tells no private dirty memory")


def bus_weight() -> float:
    """Of a process with a robot's topics on the bus, and its body's."""
    done = subprocess.run(
        [sys.executable, __file__],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "OMP_NUM_THREADS": "1"},
    )
    return float(done.stdout)


def weigh() -> float:
    """Say and hear what a robot and its body do; the memory of this process then, bytes."""
    from fleet.ros import bodymessages as say
    from fleet.ros.bus import Publisher, open_bus
    from fleet.ros.messages.geometry_msgs import TwistStamped
    from fleet.ros.messages.rosgraph_msgs import Clock
    from fleet.ros.planar import time_of
    from fleet.ros.topics import BATTERY, CLOCK, COMMAND, IMU, ODOM, POSE, SCAN, TF, frames_of
    from sim.robot import Readings, RobotSpec

    spec, frames, at = RobotSpec(), frames_of("r0"), (0.0, 0.0, 0.0)
    bus = open_bus("dds", domain=DOMAIN)
    body, robot = bus.node("base", "r0"), bus.node("robot", "r0")
    sensors = (SCAN, ODOM, POSE, IMU, BATTERY, CLOCK, TF)
    out: dict[str, Publisher[Any]] = {topic.name: topic.publisher(body) for topic in sensors}
    heard = [topic.subscription(robot) for topic in sensors[:-1]]
    commands, told = COMMAND.publisher(robot), COMMAND.subscription(body)
    came = 0
    for number in range(ROUNDS):
        stamp = number * spec.period
        scan = np.full(spec.lidar.rays, 5.0, np.float32)
        readings = Readings(stamp, scan, stamp, np.zeros(3, np.float32), stamp, np.zeros(2, np.float32), stamp)
        out["scan"].publish(say.scan_message(readings, spec, frames))
        out["odom"].publish(say.odometry_message(readings, at, frames))
        out["pose"].publish(say.pose_message(readings, spec, frames))
        out["imu"].publish(say.inertia_message(stamp, 0.0, frames))
        out["battery_state"].publish(say.battery_message(readings, frames))
        out["/tf"].publish(say.frames_message(readings, at, frames))
        out["/clock"].publish(Clock(time_of(stamp)))
        bus.spin(0.02)
        came += sum(one.newest() is not None for one in heard)
        commands.publish(TwistStamped())
        told.newest()
    if came < ROUNDS * len(heard) // 2:
        raise RuntimeError(f"expected some {ROUNDS * len(heard)} messages, {came} came")
    used = weight(os.getpid())
    bus.close()
    return used


if __name__ == "__main__":
    print(weigh())
