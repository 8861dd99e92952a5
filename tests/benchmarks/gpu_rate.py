"""Steps per second on one CUDA device: whole control steps of the training task, resets included, random actions.

amr             environment steps of one robot per world, without lidar
fleet_16        agent steps of worlds with 16 robots, without lidar
fleet_16_lidar  the same with 64 rays each

The best of the numbers of worlds tried counts; wall time from an idle device to an idle device.
"""

from __future__ import annotations

from collections.abc import Iterable

from figure import Figure
from gpu import cuda, make_env, seconds_of, settled

KINDS: tuple[tuple[str, int, bool, tuple[int, ...]], ...] = (
    ("amr", 1, False, (16_384, 65_536)),
    ("fleet_16", 16, False, (1_024, 4_096)),
    ("fleet_16_lidar", 16, True, (1_024, 4_096)),
)
"""Part, robots of a world, lidar, numbers of worlds."""


def rate(device: str, worlds: int, robots: int, steps: int, *, lidar: bool) -> float:
    """Agent steps per second."""
    env = settled(make_env(device, worlds, robots, lidar=lidar))
    seconds = seconds_of(device, env.step, steps)
    env.backend.check_overflow()
    return env.rows * steps / seconds


def measure(quick: bool) -> Iterable[Figure]:
    """All three parts."""
    device = cuda()
    steps = 100 if quick else 1000
    for part, robots, lidar, sizes in KINDS:
        yield Figure(part, max(rate(device, worlds, robots, steps, lidar=lidar) for worlds in sizes), "steps/s")
