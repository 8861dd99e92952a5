"""Everything that needs CUDA, in one go: `python tests/benchmarks/gpu.py [--record FILE] [--recording FILE] [--quick]`.

Without an option: the figures of gpu_env_layer, gpu_rate and gpu_train_seconds as JSON lines, then the parity check
against the recording (parity.py), which `--record` makes beforehand on a machine with the C engine; it need not have
CUDA, and the one with CUDA need not compile for its own processor. Where no CUDA device is at hand it says so, leaves
the ids open and exits with 0. Exit codes: 0, 1 when a figure or the check failed or the engines are too far apart.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import numpy as np  # noqa: E402
import warp as wp  # noqa: E402
from figure import NotHere  # noqa: E402

from sim.device import start_warp  # noqa: E402
from sim.env import BatchEnv  # noqa: E402
from sim.generate import generate_campus  # noqa: E402
from sim.tasks.navigate import NavigateConfig  # noqa: E402
from sim.warp_backend import WarpBackend  # noqa: E402

IDS = ("gpu_env_layer", "gpu_rate", "gpu_train_seconds")
STEP_BOUND, RETURN_BOUND = 1e-4, 0.03
"""Goals of the parity check."""

RECORDING = HERE.parent.parent / "runs" / "parity.npz"


def cuda() -> str:
    """The CUDA device. Raises NotHere where there is none."""
    start_warp()
    if not wp.is_cuda_available():
        raise NotHere("no CUDA device is at hand")
    return "cuda:0"


def make_env(device: str, worlds: int, robots: int, *, lidar: bool) -> BatchEnv:
    """The training task on mujoco_warp, with random actions in place; the CPU is for trying this code out."""
    engine = None if device != "cpu" else (lambda scene, count: WarpBackend(scene.model, count))
    env = BatchEnv(
        generate_campus(0), NavigateConfig(), worlds=worlds, robots=robots, seed=1, lidar=lidar, device=device,
        backend=engine,
    )  # fmt: skip
    env.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform((-0.3, -1.0), (1.0, 1.0), (env.rows, 2))
    env.action.assign(actions.astype(np.float32))
    return env


def seconds_of(device: str, play: Callable[[], Any], times: int) -> float:
    """Wall time of `times` plays, from an idle device to an idle device."""
    wp.synchronize_device(device)
    begin = time.perf_counter()
    for _ in range(times):
        play()
    wp.synchronize_device(device)
    return time.perf_counter() - begin


def settled(env: BatchEnv, steps: int = 30) -> BatchEnv:
    """The environment after some steps: compiled, captured, robots spread over their episodes, buffers large enough."""
    for _ in range(steps):
        env.step()
    env.backend.check_overflow()
    print(f"{env.worlds} worlds x {env.robots}: {env.graph.line()}", file=sys.stderr)
    if env.device != "cpu" and not env.graph.used:
        raise RuntimeError(env.graph.line())
    return env


def main(arguments: list[str] | None = None) -> int:
    """Record, or measure and compare."""
    import parity
    import run

    parser = argparse.ArgumentParser(description="Figures and parity of the CUDA backend.")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what the C engine does, and end")
    parser.add_argument("--recording", type=Path, default=RECORDING, metavar="FILE", help="what --record wrote")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    options = parser.parse_args(arguments)
    if options.record is not None:
        parity.record(options.record)
        print(f"recorded into {options.record}")
        return 0
    try:
        device = cuda()
    except NotHere as error:
        print(f"{error}: {', '.join(IDS)} and the parity check stay open")
        return 0
    failed = run.main([*IDS, "--json", *(["--quick"] if options.quick else [])])
    if not options.recording.is_file():
        print(f"{options.recording}: no recording; make one with --record where the C engine runs", file=sys.stderr)
        return 1
    apart = parity.compare(options.recording, device)
    print(apart)
    sound = max(apart.step.values()) < STEP_BOUND and apart.returns < RETURN_BOUND
    print("the engines agree" if sound else f"the engines are too far apart: {STEP_BOUND}, {RETURN_BOUND} are allowed")
    return int(bool(failed) or not sound)


if __name__ == "__main__":
    sys.exit(main())
