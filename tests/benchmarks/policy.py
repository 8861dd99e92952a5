"""The one trained policy that benchmarks share: `warehouse_train` with its default budget, trained once and kept.

It lies in runs/bench/<hash of configuration and code>/, so it is trained again exactly when what makes it changes: the
learner, the task, the simulator under it. Training takes up to 20 minutes and counts into no figure. To measure with
a policy that is already there, name its run directory in MUSTER_BENCH_POLICY.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SOURCES = (
    "agents/*.py",
    "fleet/train.py",
    "safety/dynamics.py",
    "safety/judge.py",
    "safety/lattice.py",
    "safety/occupancy.py",
    "safety/path.py",
    "safety/reason.py",
    "safety/shield.py",
    "safety/sight.py",
    "safety/simplex.py",
    "sim/backend.py",
    "sim/drive.py",
    "sim/env.py",
    "sim/generate.py",
    "sim/geometry.py",
    "sim/launches.py",
    "sim/lidar.py",
    "sim/pace.py",
    "sim/people.py",
    "sim/plant.py",
    "sim/points.py",
    "sim/randomization.py",
    "sim/rays.py",
    "sim/robot.py",
    "sim/rows.py",
    "sim/scene.py",
    "sim/sensors.py",
    "sim/site.py",
    "sim/tasks/*.py",
    "sim/truth.py",
    "sim/varied.py",
    "sim/variedfields.py",
    "sim/vary.py",
)
"""What a trained policy depends on."""


def trained_policy() -> Path:
    """The directory that holds policy.onnx and policy.json; trains the policy if it is not there."""
    given = os.environ.get("MUSTER_BENCH_POLICY")
    if given:
        return Path(given)
    directory = ROOT / "runs" / "bench" / code_hash(SOURCES)
    if not (directory / "policy.json").exists():
        print(f"training the policy that benchmarks share, into {directory} (up to 20 minutes)", file=sys.stderr)
        command = [sys.executable, "-m", "fleet.cli", "train", "--out", str(directory)]
        # 1 is a policy below the target: the figures say so
        done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return directory


def code_hash(patterns: Iterable[str]) -> str:
    """First 16 hex digits of the sha256 of the named files, names included."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
