"""replay_rate: how fast recorded control steps are decided again, over ten robot-hours of a fleet at 10 Hz.

Fleets of the demo's floor (16 robots, 6 people who walk on; with --quick 4 and 2) drive in lockstep, in processes of
their own and each with another seed, until their black boxes hold ten robot-hours (2 robot-minutes with --quick):
36,000 control steps an hour. Then one process replays all of it as `muster replay` does, file by file: reading,
decoding, the control step, the policy's own answer, and the comparison of every field and memory bit by bit.

`differences` counts the black boxes that differ, cannot be replayed or are missing; outputs within a tolerance count
too, for the machine is the same. `speed` is recorded time over the processor time of that one process, which is the
real-time factor of a core that nobody else uses; the wall time, which others on the machine lengthen, goes to stderr.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from figure import Figure
from launched import launch
from policy import trained_policy

from fleet.replay import find_files, replay_all
from sim.errors import MusterError

HOUR_STEPS = 36_000
"""Control steps in a robot-hour at 10 Hz."""


def measure(quick: bool) -> Iterable[Figure]:
    """Black boxes with a difference, and recorded seconds replayed in a second of one core."""
    robots, tasks, people, wanted = (4, 6, 2, HOUR_STEPS // 30) if quick else (16, 400, 6, 10 * HOUR_STEPS)
    policy = trained_policy()
    differences, steps, files, processor, wall, seed = 0, 0, 0, 0.0, 0.0, 0
    while steps < wanted:
        seed += 1
        given = {"policy": policy, "robots": robots, "tasks": tasks, "people": people, "seed": seed, "video": "false"}
        run = launch("warehouse.launch.yaml", [f"{name}:={value}" for name, value in given.items()], limit=3600.0)
        before = steps
        for file in _boxes(run.directory):
            files += 1
            cpu, clock = time.process_time(), time.perf_counter()
            try:
                for verdict in replay_all(file):
                    steps += verdict.steps
                    differences += not verdict.identical or bool(verdict.policy_error) or verdict.steps == 0
                    if not verdict.identical or verdict.notes:
                        print(verdict.line(), file=sys.stderr)
            except MusterError as error:
                differences += 1
                print(error, file=sys.stderr)
            processor, wall = processor + time.process_time() - cpu, wall + time.perf_counter() - clock
        differences += max(robots * seed - files, 0)
        if steps == before:
            raise RuntimeError(f"{run.directory} holds no step that could be replayed; its logs say why")
        shutil.rmtree(run.directory)  # a robot-hour is 0.1 GB
        print(f"{files} black boxes, {steps} steps ({steps / HOUR_STEPS:.2f} robot-hours)", file=sys.stderr, flush=True)
    seconds = steps * 0.1
    print(f"processor {processor:.1f} s, wall {wall:.1f} s ({seconds / wall:.0f} x)", file=sys.stderr)
    yield Figure("differences", float(differences), "1")
    yield Figure("speed", seconds / processor, "x real time per core")


def _boxes(run: Path) -> list[Path]:
    try:
        return find_files(run)
    except MusterError as error:
        print(error, file=sys.stderr)
        return []
