"""replay_rate: how fast recorded control steps are decided again, over ten robot-hours of a fleet at 10 Hz.

Fleets of the demo's floor (16 robots, 6 people who walk on; with --quick 4 and 2) drive in lockstep, in processes of
their own and each with another seed, until their black boxes hold ten robot-hours (2 robot-minutes with --quick):
36,000 control steps an hour. Then one process replays all of it as `muster replay` does, file by file: reading,
decoding, the control step, the policy's own answer, and the comparison of every field and memory bit by bit.

To measure on runs that are there already, name their directories in MUSTER_REPLAY_RUNS (`:` between them): all that
they hold is replayed, and stderr says how many robot-hours that were.

`differences` counts the black boxes that differ, cannot be replayed or are missing; outputs within a tolerance count
too, for the machine is the same. `speed` is recorded time over the processor time of that one process, which is the
real-time factor of a core that nobody else uses; the wall time, which others on the machine lengthen, goes to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from figure import Figure
from launched import launch
from policy import trained_policy

from fleet.replay import find_files, replay_all
from sim.errors import MusterError

HOUR_STEPS = 36_000
"""Control steps in a robot-hour at 10 Hz."""


@dataclass
class Tally:
    """What was replayed. Owns its counts."""

    files: int = 0
    steps: int = 0
    differences: int = 0
    processor: float = 0.0
    """s"""
    wall: float = 0.0
    """s"""


def measure(quick: bool) -> Iterable[Figure]:
    """Black boxes with a difference, and recorded seconds replayed in a second of one core."""
    tally = Tally()
    given = [Path(name) for name in os.environ.get("MUSTER_REPLAY_RUNS", "").split(":") if name]
    for run in given:
        _replay(run, tally)
    if not given:
        robots, tasks, people, wanted = (4, 6, 2, HOUR_STEPS // 30) if quick else (16, 200, 6, 10 * HOUR_STEPS)
        for number, run in enumerate(_fleets(robots, tasks, people), 1):
            before = tally.steps
            _replay(run, tally)
            if tally.steps == before:
                raise RuntimeError(f"{run} holds no step that could be replayed; its logs say why")
            tally.differences += max(robots * number - tally.files, 0)
            shutil.rmtree(run)  # a robot-hour is 0.1 GB
            if tally.steps >= wanted:
                break
    seconds = tally.steps * 0.1
    print(
        f"processor {tally.processor:.1f} s, wall {tally.wall:.1f} s ({seconds / tally.wall:.0f} x)",
        file=sys.stderr,
    )
    yield Figure("differences", float(tally.differences), "1")
    yield Figure("speed", seconds / tally.processor, "x real time per core")


def _fleets(robots: int, tasks: int, people: int) -> Iterator[Path]:
    """Recorded runs, one after the other."""
    policy, seed = trained_policy(), 0
    while True:
        seed += 1
        named = {"policy": policy, "robots": robots, "tasks": tasks, "people": people, "seed": seed, "video": "false"}
        yield launch("warehouse.launch.yaml", [f"{name}:={value}" for name, value in named.items()], 3600.0).directory


def _replay(run: Path, tally: Tally) -> None:
    """Replay all black boxes of a run."""
    try:
        found = find_files(run)
    except MusterError as error:
        tally.differences += 1
        print(error, file=sys.stderr)
        return
    for file in found:
        tally.files += 1
        cpu, clock = time.process_time(), time.perf_counter()
        try:
            for verdict in replay_all(file):
                tally.steps += verdict.steps
                tally.differences += not verdict.identical or bool(verdict.policy_error) or verdict.steps == 0
                if not verdict.identical or verdict.notes:
                    print(verdict.line(), file=sys.stderr)
        except MusterError as error:
            tally.differences += 1
            print(error, file=sys.stderr)
        tally.processor += time.process_time() - cpu
        tally.wall += time.perf_counter() - clock
    hours = tally.steps / HOUR_STEPS
    print(f"{tally.files} black boxes, {tally.steps} steps ({hours:.2f} robot-hours)", file=sys.stderr, flush=True)
