"""What a candidate for cars may be called, and the shadow of a car's computer on a bus.

    desk = begin(...)                    one car's, for as long as its process lives
    with writing(desk): ...              its pairs go to RUN/shadow once a second, by another thread

VERSION is what `fleet.shadow.candidate.find_levels` understands: every level of a car's policies, or one of them in
the place of production's. They must have been trained on each other, as those that drive.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.drivinglevels import TOP, DrivingLevels, contracts_of, read_driving_levels
from fleet.served import POLICIES, rehearse
from fleet.shadow import candidate as candidates
from fleet.shadow.live import SHARE, Shadow, Shadows
from fleet.shadow.road import RoadCandidate
from sim.road import Road
from sim.robot import SECOND, RobotSpec

EVERY = 1.0
"""s between two writings of pairs."""


@dataclass(frozen=True)
class Asked:
    """What is to be in the shadow."""

    word: str
    """VERSION; empty for none"""
    registry: Path = candidates.REGISTRY
    production: Path | None = None
    """Directory of the policies that drive; None for a driver by rule, or where nobody knows"""
    site: str = ""


def check(asked: Asked, spec: RobotSpec) -> None:
    """Raise MusterError, with one line, for a candidate that cannot be had or does not fit; nothing is kept."""
    if asked.word:
        with candidates.refusing("--shadow"), tempfile.TemporaryDirectory() as folder:
            levels_of(asked, spec, Path(folder))


def levels_of(asked: Asked, spec: RobotSpec, keep: Path, *, patience: float = 0.0) -> DrivingLevels:
    """The candidate's policies, checked against the car and each other, and rehearsed; kept below `keep`.

    `patience` (s) above 0: the manoeuvre policy's answer may take that long at most. Raises MusterError.
    """
    place = candidates.find_levels(asked.word, spec, asked.registry, keep, asked.production, asked.site)
    found = read_driving_levels(place, spec)
    rehearse(found.top, contracts_of(spec)[TOP], bound=1.0, **({"patience": patience} if patience > 0.0 else {}))
    candidates.keep_levels(place, keep / f"shadow-{found.top.hash[:12]}")
    return found


def begin(asked: Asked, spec: RobotSpec, road: Road, production: DrivingLevels, name: str, root: Path) -> Shadows:
    """A car's shadow, ready to answer; its files are kept in RUN/policies. Without a word nothing is beside it.

    Raises MusterError, with one line, where the candidate cannot be had or does not fit.
    """
    desk = Shadows(root)
    if asked.word:
        period = spec.period / SECOND
        levels = levels_of(asked, spec, root / POLICIES, patience=SHARE * period)
        beside = RoadCandidate(road, levels, spec, production.top.hash[:12])
        desk.shadows = (Shadow(name, beside, desk.take, tick=period),)
    return desk


@contextlib.contextmanager
def writing(desk: Shadows) -> Iterator[None]:
    """Write what is paired once a second and at the end, by a thread of its own: files may block."""
    end = threading.Event()

    def write() -> None:
        while not end.wait(EVERY):
            with contextlib.suppress(OSError):
                desk.flush()

    writer = threading.Thread(target=write, name="shadow", daemon=True)
    if desk.shadows:
        writer.start()
    try:
        yield
    finally:
        end.set()
        if desk.shadows:
            writer.join(2.0 * EVERY)
        desk.close()
