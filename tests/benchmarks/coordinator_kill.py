"""`coordinator_kill`: what tasks and leases suffer when the coordinator is killed, and when the power fails.

The coordinator (the body of `muster coordinate`, in a process of its own, over ZeroMQ) is ended by SIGKILL 50 times in
each clock mode while five puppet robots work: half of the kills at random moments from outside, half at its own points
right before and after commits, acknowledgements and grants; every fourth is followed by darkness longer than a lease.
Power loss is tried on the store by cutting its write-ahead log at every frame, whole and torn.

Parts, all counts of failures: `lost` (an acknowledged task missing or not done, or a commit that a cut lost),
`doubled` (a task carried out or ended twice), `moved_after_lease` (a robot that moved past its lease or against a
stop, touched another, or was granted or stood on ground that was not its own on disk; a half commit after a cut),
`stuck` (a task that was not done in the end).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from figure import Figure

from tests.coordination.killing import drill, planned
from tests.coordination.power_cuts import cut_everywhere

KILLS, QUICK_KILLS = 50, {"lockstep": 10, "wall": 4}
TICKS, QUICK_TICKS = 80, 10
SEED = 20


def measure(quick: bool) -> Iterable[Figure]:
    """Drill in both clock modes, then cut the power."""
    lost = doubled = moved = stuck = 0
    for clock in ("lockstep", "wall"):
        kills = planned(QUICK_KILLS[clock] if quick else KILLS, SEED, longest=40 if clock == "lockstep" else 8)
        with tempfile.TemporaryDirectory() as folder:
            outcome = drill(Path(folder), clock=clock, kills=kills, seed=SEED)
        lost, doubled = lost + outcome.lost, doubled + outcome.doubled
        moved, stuck = moved + outcome.moved_after_lease, stuck + outcome.stuck
        ends = ", ".join(f"{point} {count}" for point, count in sorted(outcome.kills.items()))
        print(f"{clock}: {outcome.tasks} tasks, {outcome.rounds} rounds; killed: {ends}", file=sys.stderr)
        for note in outcome.notes:
            print(f"{clock}: {note}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        cuts = cut_everywhere(Path(folder), ticks=QUICK_TICKS if quick else TICKS, seed=SEED)
    print(f"power: {cuts.tried} cuts", file=sys.stderr)
    yield Figure("lost", lost + cuts.lost, "1")
    yield Figure("doubled", doubled, "1")
    yield Figure("moved_after_lease", moved + cuts.half, "1")
    yield Figure("stuck", stuck, "1")
