"""The driving policies that benchmarks share: of `--policies DIR` or MUSTER_BENCH_DRIVING, else a short training's.

The training is the driving demo's (`muster driving-train --seconds 210`) into runs/bench/, under the hash of what makes
it; it counts into no figure.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from figure import Figure
from policy import ROOT, code_hash

SECONDS = 210
"""What the demo's training takes, s."""

SOURCES = (
    "agents/*.py", "fleet/driving_train.py", "fleet/leveltrain.py", "fleet/roadmotor.py", "safety/road*.py",
    "safety/simplex.py", "sim/driving/*.py", "sim/frenet.py", "sim/perceptron.py", "sim/road*.py", "sim/worlds.py",
)  # fmt: skip
"""What trained policies depend on."""


def driving_policies() -> Path:
    """The directory that holds motor, lane, change, pull_over and manoeuvre; trains them if they are not there."""
    given = os.environ.get("MUSTER_BENCH_DRIVING")
    if given:
        return Path(given)
    directory = ROOT / "runs" / "bench" / f"driving-{code_hash(SOURCES)}"
    if not (directory / "manoeuvre" / "policy.json").exists():
        print(f"training the driving policies that benchmarks share, into {directory}", file=sys.stderr)
        command = [sys.executable, "-m", "fleet.cli", "driving-train", "--out", str(directory)]
        command += ["--seconds", str(SECONDS)]
        done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return directory


def run(measure: Callable[[bool], Iterable[Figure]]) -> None:
    """A benchmark by itself, with `--policies` and `--quick`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--policies", help="run directory of muster driving-train")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.policies:
        os.environ["MUSTER_BENCH_DRIVING"] = options.policies
    for figure in measure(options.quick):
        print(f"{figure.part}: {figure.value} {figure.unit}", flush=True)
