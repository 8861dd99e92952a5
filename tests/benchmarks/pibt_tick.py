"""`pibt_tick`: time of one lifelong PIBT tick for 1,000 robots on the League of Robot Runners' large warehouse.

Each tick assigns the next errand to every robot that arrived, computes the distance fields that this needs, and
decides the next move of all robots. Every tick is audited here, outside the timing and without the planner's help:
one robot to a cell, no two exchange places, and only moves along the map or standing still.

Parts: `p50`, `p99` (ms of wall time over all ticks, the first with its 1,000 fields included), `cpu_p50`, `cpu_p99` (ms
of this thread's CPU time: what is left of them when other work takes the cores), `errands_per_tick`, and `faults`
(audited violations, 0 when all is well).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from figure import Figure
from numpy.typing import NDArray

from coordination import pibt, roadmap
from coordination.lifelong import Lifelong
from sim.site import make_site

DOMAIN = Path(__file__).resolve().parents[3] / "shared" / "data" / "lorr2023" / "test" / "warehouse.domain"
ROBOTS = 1000
TICKS = 2000
QUICK_TICKS = 500


def _numbers(path: Path) -> NDArray[np.int32]:
    return np.array(path.read_text().split()[1:], np.int32)


def faults(free: NDArray[np.bool_], width: int, before: NDArray[np.int32], after: NDArray[np.int32]) -> int:
    """Robots that broke the rules of a synchronous move: shared cells, exchanged places, illegal moves."""
    shared = len(after) - len(np.unique(after))
    row, column = np.divmod(before, width)
    next_row, next_column = np.divmod(after, width)
    illegal = int(((np.abs(row - next_row) + np.abs(column - next_column)) > 1).sum() + (~free[after]).sum())
    moves = {(int(a), int(b)) for a, b in zip(before, after, strict=True) if a != b}
    exchanged = sum((b, a) in moves for a, b in moves)
    return shared + illegal + exchanged


def measure(quick: bool) -> Iterable[Figure]:
    """2,000 ticks (500 when quick) of the test round's instance with 1,000 robots."""
    lines = (DOMAIN / "maps" / "warehouse_large.map").read_text().splitlines()[4:]
    free = ~np.array([[character in "@OTW" for character in line] for line in lines])
    fleet = Lifelong(
        roadmap.Roadmap(make_site("warehouse_large", ~free)),
        _numbers(DOMAIN / "agents" / "warehouse_large_1000.agents")[:ROBOTS],
        _numbers(DOMAIN / "tasks" / "warehouse_large.tasks"),
    )
    roadmap.warm()
    pibt.warm()
    ticks = QUICK_TICKS if quick else TICKS
    seconds, cpu = np.zeros(ticks), np.zeros(ticks)
    wrong = 0
    before = fleet.cells
    for tick in range(ticks):
        start, cpu_start = time.perf_counter(), time.thread_time()
        fleet.tick()
        seconds[tick], cpu[tick] = time.perf_counter() - start, time.thread_time() - cpu_start
        after = fleet.cells
        wrong += faults(free.reshape(-1), free.shape[1], before, after)
        before = after
    yield Figure("p50", round(float(np.percentile(seconds, 50)) * 1e3, 3), "ms")
    yield Figure("p99", round(float(np.percentile(seconds, 99)) * 1e3, 3), "ms")
    yield Figure("cpu_p50", round(float(np.percentile(cpu, 50)) * 1e3, 3), "ms")
    yield Figure("cpu_p99", round(float(np.percentile(cpu, 99)) * 1e3, 3), "ms")
    yield Figure("errands_per_tick", round(fleet.done / ticks, 3), "1/tick")
    yield Figure("faults", wrong, "1")
