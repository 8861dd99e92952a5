"""What a car does, in a file of its run's directory, for the operator page on the same computer.

RUN/cars/<name>.json is written anew twice a second by a thread of its own: files may block, and the control loop does
not. The page reads them (fleet/ops/cars.py); a car's drive needs neither.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from sim.errors import MusterError
from sim.files import read_file, write_atomic

FOLDER = "cars"
EVERY = 0.5
"""s between two writings."""
FILE_MAX = 1 << 16


class CarStatus(msgspec.Struct, frozen=True):
    """One car as it is."""

    name: str
    stamp: int
    """Of the control step, ns"""
    pose: tuple[float, float, float]
    """In the road's own coordinates, m and rad; zeros while it does not know"""
    mode: str
    """HELD, POLICY, FALLBACK or STOPPED"""
    reason: str = ""
    """The shield's, in words"""
    speed: float = 0.0
    """m/s"""
    drives: bool = False
    """Whether it commands; else it is in shadow"""
    doubt: str = ""
    """The first of what is wrong"""
    battery: float = -1.0
    """Share of its charge; -1 where nobody says"""
    muster: int = 1


@contextlib.contextmanager
def telling(root: Path, look: Callable[[], CarStatus | None]) -> Iterator[None]:
    """Write what `look` says, from a thread of its own, until the block ends; then the file goes."""
    end, name = threading.Event(), ""

    def write() -> None:
        nonlocal name
        while not end.wait(EVERY):
            with contextlib.suppress(MusterError, OSError):
                status = look()
                if status is not None:
                    name = status.name
                    (root / FOLDER).mkdir(exist_ok=True)
                    write_atomic(root / FOLDER / f"{name}.json", msgspec.json.encode(status).decode() + "\n")

    writer = threading.Thread(target=write, name="status", daemon=True)
    writer.start()
    try:
        yield
    finally:
        end.set()
        writer.join(2.0 * EVERY)
        if name:
            with contextlib.suppress(OSError):
                (root / FOLDER / f"{name}.json").unlink(missing_ok=True)


def read_statuses(root: Path) -> list[tuple[CarStatus, float]]:
    """Every car's status, and when it was written (s, wall clock); what cannot be read is left out."""
    found = []
    for path in sorted((root / FOLDER).glob("*.json"))[:256]:
        with contextlib.suppress(MusterError, OSError, msgspec.MsgspecError):
            found.append((msgspec.json.decode(read_file(path, FILE_MAX), type=CarStatus), path.stat().st_mtime))
    return found
