"""Tables of recorded driving: what anyone can write from the logs of any robot with two driven wheels.

FILE.csv has a header line, decimal points and commas; FILE.npz holds the same columns as arrays of equal length:

    t                          s, ascending                                            required
    v_command, w_command       m/s and rad/s: what was released at t; empty: no change  required
    x, y, yaw                  localised pose of the middle of the driven axle, m, rad  required
    v, w                       odometry in the robot's frame, m/s, rad/s
    wheel_left, wheel_right    wheel speeds, rad/s
    torque_left, torque_right  torques at the wheels, N m (motor current times constant times gear)

An empty cell or nan means "not measured at t", so that sensors of different rates fit in one table. Where there is no
row for GAP s the recording is cut into stretches.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.candidates import Stretch
from sim.errors import MusterError, nearest
from sim.openloop import Drive, Samples

REQUIRED = ("t", "v_command", "w_command", "x", "y", "yaw")
PAIRS = (("v", "w"), ("wheel_left", "wheel_right"), ("torque_left", "torque_right"))
COLUMNS = (*REQUIRED, *(name for pair in PAIRS for name in pair))
"""Columns of a table."""

GAP = 1.0
"""s without a row that end a stretch: ten control cycles; a robot stops by itself in less."""

SHORTEST = 1.0
"""Stretches below this are left out, s: they hold no horizon of interest."""


class RecordingError(MusterError):
    """A recording cannot be used."""


def read_table(path: Path) -> tuple[Drive, ...]:
    """The stretches of a table; raises `RecordingError` with file and row for the first thing that is wrong."""
    return _table(path, _read_csv(path) if path.suffix == ".csv" else _read_npz(path))


def make_drive(
    name: str,
    times: NDArray[np.float64],
    commands: NDArray[np.float64],
    duration: float,
    pose: Samples,
    twist: Samples | None,
    wheels: Samples | None = None,
    torques: Samples | None = None,
) -> Drive:
    """A stretch that starts with the twist that was measured there."""
    still = Drive(name, Stretch(times, commands, (0.0, 0.0), duration), pose, twist, wheels, torques)
    return Drive(name, Stretch(times, commands, still.start_twist(0.0), duration), pose, twist, wheels, torques)


def samples(times: Sequence[float], values: Sequence[Sequence[float]]) -> Samples | None:
    """Finite readings, each once and in order; None when there are fewer than two."""
    when, what = np.asarray(times, np.float64), np.asarray(values, np.float64)
    good = np.isfinite(what).all(axis=1)
    when, what = when[good], what[good]
    when, first = np.unique(when, return_index=True)
    return Samples(when, what[first]) if len(when) > 1 else None


def write_table(path: Path, drive: Drive) -> None:
    """Write a drive as a table (.csv, or .npz): a row for each time at which something was commanded or measured."""
    parts: list[tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]] = [
        (("v_command", "w_command"), drive.stretch.times.clip(0.0), drive.stretch.commands)
    ]
    readings = zip((("x", "y", "yaw"), *PAIRS), (drive.pose, drive.twist, drive.wheels, drive.torques), strict=True)
    parts += [(names, part.times, part.values) for names, part in readings if part is not None]
    times = np.unique(np.concatenate([when for _, when, _ in parts]).round(9))
    table = {"t": times}
    for names, when, values in parts:
        at = np.searchsorted(times, when.round(9))
        for column, name in enumerate(names):
            table[name] = np.full(len(times), np.nan)
            table[name][at] = values[:, column]  # of the commands before the start the last one stands
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **table)
        return
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            writer.writerow("" if np.isnan(cell) else repr(float(cell)) for cell in row)


def _read_csv(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = list(csv.reader(stream))
    except OSError as error:
        raise RecordingError(f"expected a recording, {path}: {error.strerror}; name a file that can be read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(
            f"expected a table of text in {path}, got something else ({error}); export it as CSV"
        ) from error
    if not lines:
        raise RecordingError(f"expected a table with a header line in {path}, got an empty file; export it again")
    names = [name.strip() for name in lines[0]]
    table = np.full((len(lines) - 1, len(names)), np.nan)
    for number, line in enumerate(lines[1:]):
        if len(line) != len(names):
            raise RecordingError(
                f"{path}, line {number + 2}: expected {len(names)} cells, got {len(line)}; repair the line"
            )
        for column, cell in enumerate(line):
            try:
                table[number, column] = float(cell) if cell.strip() else np.nan
            except ValueError:
                raise RecordingError(
                    f'{path}, line {number + 2}: {names[column]}: expected a number, got "{cell[:24]}"; correct it'
                ) from None
    return {name: table[:, column] for column, name in enumerate(names)}


def _read_npz(path: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], np.float64) for name in archive.files}
    except OSError as error:
        raise RecordingError(
            f"expected a recording, {path}: {error.strerror or error}; name a file that can be read"
        ) from error
    except (ValueError, TypeError, EOFError, KeyError) as error:
        raise RecordingError(
            f"expected arrays of numbers in {path}, got something else ({error}); save them by numpy.savez"
        ) from error


def _table(path: Path, table: dict[str, NDArray[np.float64]]) -> tuple[Drive, ...]:
    for name in table:
        if name not in COLUMNS:
            raise RecordingError(f'{path}: unknown column "{name}"{nearest(name, COLUMNS)}')
    for name in REQUIRED:
        if name not in table:
            raise RecordingError(f'{path}: the column "{name}" is missing; required are {", ".join(REQUIRED)}')
    sizes = {name: column.shape for name, column in table.items()}
    if len(set(sizes.values())) > 1 or len(sizes["t"]) != 1:
        raise RecordingError(f"{path}: expected columns of one length, got {sizes}; save one row per time")
    for a, b in PAIRS:
        if (a in table) != (b in table):
            raise RecordingError(f'{path}: expected "{a}" and "{b}" together, got one of them; add the other')
    times = table["t"]
    if len(times) < 3 or not np.isfinite(times).all():
        raise RecordingError(
            f'{path}: expected at least 3 rows with finite "t", got {len(times)} rows; record a longer run'
        )
    back = np.flatnonzero(np.diff(times) <= 0.0)
    if len(back):
        raise RecordingError(
            f'{path}, row {back[0] + 2}: expected "t" to ascend, got {times[back[0]]:g}, then '
            f"{times[back[0] + 1]:g}; sort the rows"
        )
    edges = [0, *(np.flatnonzero(np.diff(times) > GAP) + 1).tolist(), len(times)]
    drives = [_rows(path, {name: column[a:b] for name, column in table.items()}) for a, b in itertools.pairwise(edges)]
    kept = tuple(drive for drive in drives if drive is not None)
    if not kept:
        raise RecordingError(
            f"{path}: expected {SHORTEST:g} s of driving with commands and poses, got none; record a longer run"
        )
    return kept


def _rows(path: Path, table: dict[str, NDArray[np.float64]]) -> Drive | None:
    """One stretch of a table; None when it is too short or lacks commands or poses."""
    times = table["t"] - table["t"][0]
    told = np.isfinite(table["v_command"]) & np.isfinite(table["w_command"])
    commands = np.stack([table["v_command"], table["w_command"]], axis=-1)[told]
    if not told.any() or times[-1] < SHORTEST:
        return None

    def some(*names: str) -> Samples | None:
        return (
            samples(times.tolist(), np.stack([table[name] for name in names], axis=-1).tolist())
            if names[0] in table
            else None
        )

    pose = some("x", "y", "yaw")
    if pose is None:
        return None
    pose.values[:, 2] = np.unwrap(pose.values[:, 2])
    pairs = [some(*pair) for pair in PAIRS]
    return make_drive(path.stem, times[told], commands, float(times[-1]), pose, *pairs)
