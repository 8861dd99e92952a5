"""`hierarchy_levels`: each learned level over its hand-written twin on held-out draws and floors, over five seeds.

A seed trains its own hierarchy (`muster hierarchy`, default budgets) into runs/bench/hierarchy-<hash>/<seed>/, once for
one state of the code; then both, the learned level and its twin, live the same EPISODES episodes. A part is the learned
levels' mean over the twins' mean, a ratio; the rival's value is the twins' mean. Motor: mean speed error; navigate:
success x speed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from figure import Figure
from policy import ROOT, SOURCES, code_hash

from fleet.hierarchy_train import COMPARES, TRAINS
from hierarchy.curriculum import Comparison

SLOW = True

SEEDS = (1, 2, 3, 4, 5)
EPISODES = 500
MORE = (
    "fleet/compare.py", "fleet/hierarchy_train.py", "fleet/legs.py", "fleet/meta_*.py", "hierarchy/*.py",
    "sim/motornet.py", "sim/vary.py", "sim/varied.py", "sim/wheels.py",
)  # fmt: skip
"""What a hierarchy depends on beside what a navigation policy does."""


def measure(quick: bool) -> Iterable[Figure]:
    """Five hierarchies; `quick` measures nothing, the runner answers with the last committed lines."""
    home = ROOT / "runs" / "bench" / f"hierarchy-{code_hash((*SOURCES, *MORE))}"
    roots = {seed: train(home / str(seed), seed) for seed in SEEDS}
    for level in TRAINS:
        found = [COMPARES[level](root, seed, EPISODES) for seed, root in roots.items()]
        for seed, comparison in zip(SEEDS, found, strict=True):
            print(f"seed {seed}: {comparison.line()}", file=sys.stderr)
        yield figure(level, found)


def figure(level: str, found: list[Comparison]) -> Figure:
    """The mean of the learned levels over the mean of the twins."""
    twin = fmean(comparison.twin for comparison in found)
    learned = fmean(comparison.learned for comparison in found)
    return Figure(level, learned / twin, "1", f"{found[0].twin_name}, {found[0].unit}", twin)


def train(place: Path, seed: int) -> Path:
    """The hierarchy of one seed; trained if it is not there, gone on with if it was left."""
    command = [sys.executable, "-m", "fleet.cli", "hierarchy", "--out", str(place), "--seed", str(seed)]
    print(f"training a hierarchy, seed {seed}, into {place} (minutes)", file=sys.stderr)
    # 1 is a level below its goal: the figures say so
    done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return place
