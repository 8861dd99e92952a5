"""`drive_train_minutes`: minutes of wall time that `muster driving-train` takes on two cores.

    all     every level at its full number of decisions, within the command's own bound
    demo    the brief training before `muster drive` without policies

The whole process counts: interpreter, kernels from a warm cache, roads, held-out checks. What each level reached on
held-out roads is printed beside it. The full set stays in runs/bench/driving-<hash>/, once for one state of the code,
for benchmarks that need driving policies (`policies`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from figure import Figure
from policy import ROOT, SOURCES, code_hash

from fleet.driving import BRIEFLY
from fleet.driving import Config as DriveConfig
from fleet.driving_train import LEVELS

SLOW = True

MORE = (
    "agents/driving.py", "fleet/driving_train.py", "fleet/leveltrain.py", "fleet/roadmotor.py", "safety/road*.py",
    "sim/driving/*.py", "sim/frenet.py", "sim/perceptron.py", "sim/road*.py",
)  # fmt: skip
"""What driving policies depend on beside what a navigation policy does."""

MINUTES = "minutes.json"
"""Beside the levels: what their training took."""


def measure(quick: bool) -> Iterable[Figure]:
    """Both trainings; `quick` measures nothing, the runner answers with the last committed lines."""
    yield Figure("all", json.loads((policies() / MINUTES).read_text())["minutes"], "min")
    brief = home() / f"brief-{time.time_ns()}"
    yield Figure("demo", train(brief, ["--seconds", f"{DriveConfig().train_seconds}", "--steps", f"{BRIEFLY}"]), "min")


def home() -> Path:
    """Where driving policies of this state of the code are."""
    return ROOT / "runs" / "bench" / f"driving-{code_hash((*SOURCES, *MORE))}"


def policies() -> Path:
    """A full set of driving policies of this state of the code; trained if it is not there (40 minutes at most)."""
    place = home() / "full"
    if not (place / MINUTES).exists():
        minutes = train(place, [])
        (place / MINUTES).write_text(json.dumps({"minutes": minutes}) + "\n")
    return place


def train(place: Path, options: list[str]) -> float:
    """Minutes of `muster driving-train`; prints what each level reached."""
    command = [sys.executable, "-m", "fleet.cli", "driving-train", "--out", str(place), *options]
    print(f"training to drive into {place} (minutes)", file=sys.stderr)
    begin = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)
    minutes = (time.monotonic() - begin) / 60.0
    for level in LEVELS:
        last = json.loads((place / level / "train.jsonl").read_text().splitlines()[-1])
        told = ("success", "at_fault", "completion", "speed", "ttc", "ttc_short", "jerk")
        found = (f"{name} {last[f'held_out_{name}']:.3f}" for name in told if f"held_out_{name}" in last)
        print(f"{level}: held out {', '.join(found)}", file=sys.stderr)
    return minutes
