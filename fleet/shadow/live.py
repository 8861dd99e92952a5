"""A candidate beside a driving robot: after the command is out, in the idle time of the tick, and dropped first.

    loop: step -> command out -> black box -> offer(step)         keeps one reference
    idle: nobody waits for a step          -> work(time left)     one step of the candidate, or a skip

A shadow has what production's step began with and decided, a `Candidate` with a decision of its own, and a sink for
pairs. It has no robot, no link and no writer: there is no way from it to a motor. What a step is only the candidate
knows: of a robot on a floor `fleet/shadow/floor.py`, of a car `fleet/shadow/road.py`. Skipped, and counted by why, is
a step

    late      the tick itself was late, or the one before it: the machine is busy
    budget    the candidate has had its share of the tick
    busy      the next readings are due before it would be done, or came already
    fault     the candidate raised; after FAULTS of these it is off

The budget is time: each tick adds SHARE of the period (of one process, however many robots it hosts), and each
candidate's step takes what it took. A slow candidate is thus asked less often, not allowed more. One step cannot be
broken off: `candidate.load` refuses a policy whose answer alone would take more than its share, and a step is only
begun where twice what steps take is left. In lockstep time stands still while robots decide, so no tick can be late and
every step is paired: the same run gives the same pairs.
"""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from fleet.shadow.pairs import DIFFERS, Pair
from fleet.shadow.record import FOLDER, Count, write

SHARE = 0.04
"""Of the tick; the goal is 0.05, and handing over and looking take some too."""
ROOM = 2.0
"""What must be left until the next readings, in candidate's steps: the one that is begun may take longer than usual."""
FIRST = 0.002
"""s that a step is expected to take before one was measured."""
FORGET = 0.98
"""By which the longest step of before is shortened at each step or skip: after 100 a hiccup is forgotten."""
FAULTS = 3
"""Steps that may raise until the candidate is off."""
QUEUE = 20_000
"""Pairs that wait for a stuck disk at most: 10 MB."""

Sink = Callable[[Pair], None]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Candidate(Protocol[T_contra]):
    """Who decides beside production. Owns nothing of production's; may raise whatever it likes."""

    hash: str
    """Of its policy"""

    def asked(self, step: T_contra) -> bool:
        """Whether production's policy was at the controls, so that there is something to compare."""
        ...

    def pair(self, step: T_contra, *, hurried: bool) -> Pair:
        """The step once more with its own answer; `hurried`: it may come too late. Who asks adds robot and time."""
        ...


class Skip(Enum):
    """Why a step was not paired."""

    LATE = "late"
    BUDGET = "budget"
    BUSY = "busy"
    FAULT = "fault"


class Shadow(Generic[T]):
    """Owns what one robot's candidate is to be asked next, and its budget."""

    def __init__(
        self,
        robot: str,
        candidate: Candidate[T],
        sink: Sink,
        *,
        tick: float,
        robots: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`tick`: the loop's period, s; `robots` share the ticks of one process."""
        self.robot, self.candidate = robot, candidate.hash
        self.counts: Counter[str] = Counter()
        """pairs, differing, interventions of both sides, and skips by why"""
        self.seconds = 0.0
        """Of all candidate's steps"""
        self._beside, self._sink, self._clock = candidate, sink, clock
        self.lockstep = False
        """Time stands still while robots decide: no tick can be late, and each step is paired"""
        self._tick = tick
        self._robots = robots
        self._budget = 0.0
        self._expected = FIRST
        self._open: T | None = None
        self._newest: Pair | None = None
        self._faults = 0

    @property
    def pending(self) -> bool:
        """Whether there is a step that the candidate is to be asked in."""
        return self._open is not None

    @property
    def off(self) -> bool:
        """Whether it raised too often to be asked again."""
        return self._faults >= FAULTS

    def offer(self, step: T, *, late: bool = False) -> None:
        """After a step of production: keep it for `work`, or skip it. About a microsecond, and raises nothing."""
        if self._open is not None:
            self._skip(Skip.BUSY)
        asked = self._beside.asked(step)
        if late:
            if asked:
                self._skip(Skip.LATE)
            return
        allowance = SHARE * self._tick / self._robots
        self._budget = min(self._budget + allowance, max(allowance, ROOM * self._expected))
        if self.off or not asked:
            return
        if self._budget < self._expected and not self.lockstep:
            self._skip(Skip.BUDGET)
        else:
            self._open = step

    def work(self, left: float = math.inf) -> None:
        """Ask the candidate about what was offered, where `left` s until the next readings suffice."""
        if self._open is None:
            return
        if left < ROOM * self._expected:
            self._skip(Skip.BUSY)
            return
        step, self._open = self._open, None
        begun = self._clock()
        try:
            found = self._beside.pair(step, hurried=not self.lockstep)
        except Exception:  # the candidate's or ours: production drives on, and knows nothing of it
            self._faults += 1
            self._skip(Skip.FAULT)
            if self.off:
                traceback.print_exc()
                print(f"{self.robot}: shadow {self.candidate[:12]} is off, it raised {FAULTS} times", flush=True)
            return
        seconds = self._clock() - begun
        self._expected = max(seconds, FORGET * self._expected)
        self._note(msgspec.structs.replace(found, robot=self.robot, seconds=seconds))
        spent = self._clock() - begun
        self._budget -= spent
        self.seconds += spent

    def newest(self) -> Pair | None:
        """The pair that was made since the last call, for the black box."""
        found, self._newest = self._newest, None
        return found

    def _note(self, found: Pair) -> None:
        counts = self.counts
        counts["pairs"] += 1
        counts["differing"] += found.disagreement > DIFFERS
        counts["production"] += found.production.intervened
        counts["candidate"] += found.candidate.intervened
        self._newest = found
        self._sink(found)

    def _skip(self, why: Skip) -> None:
        self._open = None
        self._expected *= FORGET  # else one hiccup as long as the tick would keep it from being asked ever again
        self.counts[why.value] += 1


class Shadows:
    """Owns the shadows of one process, and what waits to be written to RUN/shadow."""

    def __init__(self, root: Path, shadows: Sequence[Shadow[Any]] = ()) -> None:  # of robots of any kind
        self.shadows = tuple(shadows)
        self._folder = root / FOLDER
        self._waiting: deque[Pair] = deque(maxlen=QUEUE)
        self._told: dict[str, Counter[str]] = {}
        self._stamp = 0

    @property
    def pending(self) -> bool:
        """Whether a candidate is to be asked."""
        return any(shadow.pending for shadow in self.shadows)

    def work(self, left: float) -> None:
        """Ask one candidate, `left` s before anything else is due; all of them in lockstep."""
        for shadow in self.shadows:
            if shadow.pending:
                shadow.work(left)
                if not shadow.lockstep:
                    return

    def take(self, found: Pair) -> None:
        """The shadows' sink."""
        self._waiting.append(found)
        self._stamp = found.stamp

    def close(self) -> None:
        """Write what waits at the end; a full disk must not hide why the process ends."""
        with contextlib.suppress(OSError):
            self.flush()

    def flush(self) -> None:
        """Write what waits. Not for the control loop: files may block. Raises OSError."""
        pairs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for shadow in self.shadows:
            told = self._told.get(shadow.robot, Counter())
            records: list[Pair | Count] = [found for found in pairs if found.robot == shadow.robot]
            skips = Counter({why.value: shadow.counts[why.value] for why in Skip})
            if new := skips - told:
                records.append(Count(shadow.robot, shadow.candidate[:12], self._stamp, dict(new)))
                self._told[shadow.robot] = skips
            if records:
                write(self._folder / f"{shadow.robot}.jsonl", records)
