"""replay: black boxes of a fleet's run in which the control step, run again, decides otherwise.

The fleet is the demo's (16 robots, 60 deliveries, 6 people who walk on; with --quick 4, 6 and 2) with the policy that
benchmarks share, in separate processes. Every step of every black box is replayed by `fleet.replay`: inputs to
observation and recorded policy output to decision and memory bit by bit, observation to policy output too, because the
machine is the same. Black boxes that cannot be replayed count as different, and so do missing ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from figure import Figure
from launched import launch
from policy import trained_policy

from fleet.replay import replay_all
from sim.errors import MusterError


def measure(quick: bool) -> Iterable[Figure]:
    """The number of black boxes with a difference."""
    robots, tasks, people = (4, 6, 2) if quick else (16, 60, 6)
    arguments = [f"policy:={trained_policy()}", f"robots:={robots}", f"tasks:={tasks}", f"people:={people}"]
    run = launch("warehouse.launch.yaml", [*arguments, "video:=false"], limit=600.0)
    differences, steps, files = 0, 0, 0
    try:
        for verdict in replay_all(run.directory):
            files += 1
            steps += verdict.steps
            differences += not verdict.identical or bool(verdict.policy_error) or verdict.steps == 0
            print(verdict.line(), file=sys.stderr)
    except MusterError as error:
        differences += 1
        print(error, file=sys.stderr)
    differences += max(robots - files, 0)
    print(f"{files} black boxes, {steps} steps", file=sys.stderr)
    yield Figure("differences", float(differences), "1")
