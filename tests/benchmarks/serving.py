"""serving: what asking the policy costs over the raw onnxruntime session; us.

Raw is `InferenceSession.run` on one observation. Ours is what a control step does to be answered: look for another
version (`fleet.serving`), ask the policy in force, take its time, make the record of its answer. Both ask the same
session about the same observation, one directly after the other, in turns first; a figure is a percentile of their
differences.
20,000 pairs; 3,000 with `--quick`.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from control_step import SITE, SPEC, random_policy
from figure import Figure

from fleet.control import LATE, ControlConfig, Stepper
from fleet.guards.ask import asker
from fleet.guards.watch import GuardMemory
from fleet.ready import quieten
from fleet.served import Loader, Served
from fleet.serving import Serving


def measure(quick: bool) -> Iterable[Figure]:
    """Percentiles of the differences, beside the raw session's."""
    pairs, first = 3_000 if quick else 20_000, 200
    interval = sys.getswitchinterval()
    with tempfile.TemporaryDirectory() as name:
        policy = random_policy(Path(name))
        config = ControlConfig(spec=SPEC)
        stepper = Stepper(config, SITE, policy)
        serving = Serving(Served(policy), Loader(config, policy, Path(name) / "policies"))
        size = stepper.controller.navigate.observe(
            np.zeros(SPEC.lidar.rays, np.float32), *(np.zeros(n, np.float32) for n in (3, 2, 2))
        ).shape[1]
        observations = np.random.default_rng(1).uniform(-1.0, 1.0, (pairs + first, 1, size)).astype(np.float32)
        clock, raw, wrapped = time.perf_counter, [], []

        def bare(observation: np.ndarray) -> None:
            began = clock()
            policy.session.run(["action"], {"observation": observation})
            raw.append(clock() - began)

        def ours(observation: np.ndarray) -> None:
            began = clock()
            serving.take()
            asker(stepper.policy, LATE, GuardMemory(), 0)(observation)
            wrapped.append(clock() - began)

        serving.start()
        try:
            quieten()
            for number, observation in enumerate(observations):
                for ask in (bare, ours) if number % 2 else (ours, bare):
                    ask(observation)
        finally:
            serving.close()
            gc.unfreeze()
            sys.setswitchinterval(interval)
    over = 1e6 * (np.array(wrapped) - np.array(raw))[first:]
    both = 1e6 * np.percentile([raw[first:], wrapped[first:]], (50, 99), axis=1)
    print(
        f"{pairs} pairs; raw p50 {both[0, 0]:.1f}, p99 {both[1, 0]:.1f} us; "
        f"wrapped {both[0, 1]:.1f}, {both[1, 1]:.1f} us; load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    for row, (name, share) in enumerate((("wrapper_p50", 50), ("wrapper_p99", 99))):
        value = float(np.percentile(over, share))
        yield Figure(name, round(value, 2), "us", "onnxruntime session", round(float(both[row, 0]), 2))
