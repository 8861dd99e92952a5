"""dds_lockstep: what a fleet's black boxes say otherwise when its robots are ROS 2's instead of the plant's own.

The warehouse fleet (generated floor, people who walk, deliveries) in lockstep, twice with the same seed: over ZeroMQ
and over the dds bus, as processes. Every control step of every robot is compared bit for bit, its inputs (scan, pose,
twist, battery, the coordinator's picture) and what it decided (commands, plans, reports). A difference is a step of the
shorter run that is not the same in the other, or is not there. 8 robots, 6 people, 60 simulated seconds; 2 robots, 1
person and 10 s with --quick.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import msgspec  # noqa: E402
from busfleet import Fleet, Wire, play  # noqa: E402
from figure import Figure, NotHere  # noqa: E402

from fleet.recordings import read_steps  # noqa: E402
from sim.robot import SECOND, RobotSpec  # noqa: E402
from tests.fleet.hand_policy import write_hand_policy  # noqa: E402

Steps = dict[tuple[str, int], tuple[bytes, bytes]]
"""By robot and cycle: inputs and outputs, as the black box has them."""


def measure(quick: bool) -> Iterable[Figure]:
    """The count of differences, beside the count of steps that were compared."""
    try:
        import cyclonedds  # noqa: F401
    except ImportError as error:
        raise NotHere("needs Cyclone DDS's Python binding: pip install 'muster[ros]'") from error
    seconds = 10.0 if quick else 60.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policy").mkdir()
        policy = write_hand_policy(folder / "policy", RobotSpec())
        wires: tuple[Wire, Wire] = ("zmq", "dds")
        runs = [
            read(play(fleet(wire, quick), folder / wire, policy, folder / "policy", seconds).blackbox, seconds)
            for wire in wires
        ]
    differences, compared, first = compare(*runs)
    if first:
        print(first, file=sys.stderr)
    yield Figure("differences", differences, "1", "steps compared", compared)


def fleet(wire: Wire, quick: bool) -> Fleet:
    """What is run."""
    return Fleet(wire, robots=2, people=1, tasks=4) if quick else Fleet(wire, robots=8, people=6, tasks=24)


def read(folder: Path, seconds: float) -> Steps:
    """The control steps of a run's first seconds."""
    encode = msgspec.msgpack.encode
    found: Steps = {}
    for path in sorted(folder.glob("*.mcap")):
        robot = path.name.partition("-")[0]
        for inputs, outputs in read_steps(path)[1]:
            if inputs.stamp < seconds * SECOND:
                found[robot, inputs.cycle] = (encode(inputs), encode(outputs))
    return found


def compare(one: Steps, other: Steps) -> tuple[int, int, str]:
    """How many steps differ, how many there are in all, and which one differs first."""
    steps = sorted(one.keys() | other.keys(), key=lambda step: step[1])
    differing = [step for step in steps if one.get(step) != other.get(step)]
    if not differing:
        return 0, len(steps), ""
    robot, cycle = differing[0]
    first = [step.get((robot, cycle)) for step in (one, other)]
    return len(differing), len(steps), f"{robot}, cycle {cycle}: {_said(first[0])} / {_said(first[1])}"


def _said(step: tuple[bytes, bytes] | None) -> str:
    return "missing" if step is None else str([msgspec.msgpack.decode(part) for part in step])[:2000]
