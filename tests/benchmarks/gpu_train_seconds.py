"""Wall time until the navigation skill holds 95 % on held-out layouts, learning on one CUDA device.

As nav_train_seconds, but environment, policy and updates are on the device; kernels are compiled before the clock
starts, as there. A run that has not got there within LIMIT counts as LIMIT. Median of three seeds.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from figure import Figure
from gpu import cuda

SEEDS = (1, 2, 3)
LIMIT = 300.0
"""s; a run is given up then."""

WORLDS = 4096
TARGET = 0.95


def seconds(device: str, seed: int) -> float:
    """Of one training, from the first step to the check that is passed."""
    from fleet.train import Config, make_trainer

    config = Config(
        seconds=LIMIT, steps=200_000_000, target=TARGET, until_target=True, seed=seed, worlds=WORLDS, device=device
    )
    with tempfile.TemporaryDirectory() as directory:
        outcome = make_trainer(config, Path(directory)).run(lambda progress: None)
    return outcome.seconds if outcome.reached else LIMIT


def measure(quick: bool) -> Iterable[Figure]:
    """Part seconds; one seed with --quick."""
    device = cuda()
    yield Figure("seconds", statistics.median(seconds(device, seed) for seed in (SEEDS[:1] if quick else SEEDS)), "s")
