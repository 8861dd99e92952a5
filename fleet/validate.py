"""`muster validate-sim LOG [LOG ...]`: compare a recorded robot with the simulated one, and refit.

Recorded commands are replayed open loop, with the specification as it is and after a refit (sim/sysid.py), on
recordings that the refit has not seen: of three or more recordings every third, of fewer the last 30 % of each. The
table says how far the simulated robot is from the measured one after each horizon, in each channel that was recorded.

A run directory keeps validate.json, validate.html and robot.yaml, the refitted specification with what varies between
the recordings, which `--spec` of other commands reads. The specification counts as this robot's when what could
be identified keeps to it: wheels, track and mass as stated, acceleration, braking and delay within their bounds. Exit
code 0 either way; 2 for a recording that cannot be used.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from sim.errors import MusterError
from sim.files import write_atomic

if TYPE_CHECKING:
    from fleet.recordings import Recording
    from sim.openloop import Drive, HorizonErrors
    from sim.robot import RobotSpec
    from sim.sysid import Fit

LAST = 0.30
"""Share of each recording that is held out where there are fewer than three."""

THIRD = 3
"""Of this many recordings one is held out."""

NEAR = 0.05
"""How far from its specification a parameter may be found: what a fit may miss a planted one by."""

SHOWN = ("x", "y", "yaw", "v", "w", "wheel_left", "wheel_right", "torque_left", "torque_right")
UNITS = ("m", "m", "rad", "m/s", "rad/s", "rad/s", "rad/s", "N m", "N m")


class ValidationError(MusterError):
    """A validation that cannot be run."""


@dataclass(frozen=True)
class Config:
    """Compare a recorded robot with its simulation, and refit the simulation to it."""

    logs: Positional[tuple[Path, ...]] = ()
    """Black boxes (.mcap), run directories, or tables (.csv, .npz)"""
    spec: Path | None = None
    """What the robot is taken for: a specification file; else that in the black boxes, else the default robot"""
    split: Literal["auto", "log", "time"] = "auto"
    """What is held out: every third recording, or the last 30 % of each"""
    fit: bool = True
    """Refit; without it only the errors are reported"""
    name: str = ""
    """Name of the refitted robot; <name>-refitted if not given"""
    output: Path | None = None
    """Where the refitted specification is also written"""
    seconds: float = 120.0
    """Driving that is learned from at most, s: the liveliest pieces of the recordings"""
    threads: int = 2
    """Threads that simulate"""


@dataclass(frozen=True)
class Validation:
    """What was found."""

    spec: RobotSpec
    recordings: tuple[tuple[str, float], ...]
    """Name and seconds of each."""
    split: str
    """What was held out, in words."""
    errors: tuple[HorizonErrors, ...]
    """Of the specification, then of the refit where there is one."""
    fit: Fit | None

    @property
    def same(self) -> bool | None:
        """Whether the specification is this robot's; None where nothing was fitted."""
        return None if self.fit is None else not departures(self)


def departures(found: Validation) -> list[str]:
    """Where the recorded robot is not as specified, in words: geometry and load beyond NEAR, bounds that it breaks."""
    from sim.varied import SERVO_RESERVE

    if found.fit is None:
        return []
    spec, drive = found.spec, found.spec.diff
    known = {one.name: one for one in found.fit.estimates if one.identifiable}
    late = sum(known[name].value for name in ("lag", "latency") if name in known) + SERVO_RESERVE
    room = 1.0 + NEAR
    words = []
    for name, believed in (("wheel_radius", drive.wheel_radius), ("track", drive.track)):
        if name in known and not 1.0 / room <= known[name].value / believed <= room:
            words.append(f"{name} {known[name].value:.4g} m, specified {believed:.4g} m")
    if "mass" in known and not spec.mass / room <= known["mass"].value <= (spec.mass + spec.payload_max) * room:
        words.append(
            f"mass {known['mass'].value:.4g} kg, specified {spec.mass:g} kg and up to {spec.payload_max:g} more"
        )
    for name, most in (("accel", drive.accel_max), ("turn_accel", drive.turn_accel_max)):
        if name in known and known[name].value > most * room:
            words.append(f"{name} {known[name].value:.4g}, specified at most {most:g}")
    if "brake" in known and known["brake"].value < drive.brake_min / room:
        words.append(f"brake {known['brake'].value:.4g} m/s^2, specified at least {drive.brake_min:g}")
    if late > spec.latency_bound * room:
        words.append(f"answers after {late:.4g} s, specified {spec.latency_bound:g} s at most")
    return words


def run(config: Config) -> int:
    """Validate, print the table, and leave the run directory."""
    from rich.console import Console

    from fleet.recordings import read_recordings
    from fleet.rundir import join_run
    from fleet.validation_page import page, tables
    from sim.refit import refit
    from sim.robot import RobotSpec
    from sim.specfile import check_spec, read_spec, write_spec

    if not config.logs:
        raise ValidationError("expected at least one recording: muster validate-sim LOG [LOG ...]")
    if not 1 <= config.threads <= 256:
        raise ValidationError(f"--threads: expected 1 to 256 threads, got {config.threads}; take as many as cores")
    if not 3.0 <= config.seconds <= 36_000.0:
        raise ValidationError(
            f"--seconds: expected 3 to 36000 s to learn from, got {config.seconds:g}; give for example 120"
        )
    if config.output is not None and not config.output.parent.is_dir():
        raise ValidationError(
            f"--output: expected a place in a folder that is there, got {config.output}; make the folder"
        )
    given = read_spec(config.spec).spec if config.spec is not None else None
    recordings = read_recordings(config.logs)
    spec = given or next((one.spec for one in recordings if one.spec is not None), None) or RobotSpec()
    check_spec(spec)
    directory = join_run(arguments=sys.argv, config=config)
    found = validate(
        spec, recordings, split=config.split, fit=config.fit, threads=config.threads, seconds=config.seconds, news=_news
    )
    for table in tables(found):
        Console().print(table)
    for line in conclusions(found):
        print(line)
    write_atomic(directory.root / "validate.json", json.dumps(plain(found), indent=2) + "\n")
    write_atomic(directory.root / "validate.html", page(found, directory.root.name))
    if found.fit is not None:
        written = directory.root / "robot.yaml"
        write_spec(written, refit(spec, found.fit, config.name or f"{spec.name}-refitted"))
        if config.output is not None:
            write_atomic(config.output, written.read_bytes())
        print(f"specification: {config.output or written}")
    print(f"report: {directory.root / 'validate.html'}")
    return 0


def _news(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def validate(
    spec: RobotSpec,
    recordings: Sequence[Recording],
    *,
    split: Literal["auto", "log", "time"] = "auto",
    fit: bool = True,
    threads: int = 2,
    seconds: float = 120.0,
    news=lambda line: None,  # noqa: ANN001  # called with each line of progress
) -> Validation:
    """Split, refit, and judge both on what was held out. Raises `ValidationError` and `IdentificationError`."""
    import numpy as np

    from sim.candidates import nominal
    from sim.openloop import open_loop_errors
    from sim.sysid import identify

    training, held_out, words = split_recordings(recordings, split) if fit else _everything(recordings)
    found = identify(spec, training, threads, news, seconds) if fit else None
    sets = [nominal(spec)] + ([found.parameters] if found is not None else [])
    errors = open_loop_errors(spec, held_out, np.stack(sets), threads=threads)
    return Validation(spec, tuple((one.name, one.seconds) for one in recordings), words, tuple(errors), found)


def split_recordings(
    recordings: Sequence[Recording], split: Literal["auto", "log", "time"]
) -> tuple[list[Drive], list[Drive], str]:
    """Drives to learn from, drives to judge on, and which is which in words."""
    if split == "log" and len(recordings) < 2:
        raise ValidationError("--split log: expected at least two recordings, got one; give more or use --split time")
    if split == "log" or (split == "auto" and len(recordings) >= THIRD):
        held = set(range(THIRD - 1, len(recordings), THIRD)) or {len(recordings) - 1}
        training = [drive for at, one in enumerate(recordings) if at not in held for drive in one.drives]
        judged = [drive for at, one in enumerate(recordings) if at in held for drive in one.drives]
        return training, judged, "held out by log: " + ", ".join(recordings[at].name for at in sorted(held))
    training, judged = [], []
    for drive in (drive for one in recordings for drive in one.drives):
        edge = drive.duration * (1.0 - LAST)
        training.append(drive.cut(0.0, edge))
        judged.append(drive.cut(edge, drive.duration))
    return training, judged, f"held out by time: the last {LAST:.0%} of each stretch"


def _everything(recordings: Sequence[Recording]) -> tuple[list[Drive], list[Drive], str]:
    return [], [drive for one in recordings for drive in one.drives], "nothing was fitted: errors on every recording"


def conclusions(found: Validation) -> list[str]:
    """The answer in words."""
    lines = [f"{len(found.recordings)} recordings, {sum(s for _, s in found.recordings):.0f} s; {found.split}"]
    if found.fit is None:
        return lines
    for estimate in found.fit.estimates:
        if not estimate.identifiable:
            lines.append(f"not identifiable: {estimate.name} (kept at {estimate.value:g}): {estimate.reason}")
    second = next((one for one in found.errors if one.horizon == 1.0 and one.starts), None)
    if second is None:
        lines.append(
            "nothing of 1 s or more was held out: what the refit is good for cannot be said; record longer runs"
        )
    else:
        rows = zip(SHOWN, UNITS, second.rms[0].tolist(), second.rms[1].tolist(), strict=True)
        gaps = [f"{name} {before:.2g} to {after:.2g} {unit}" for name, unit, before, after in rows if before >= 0.0]
        lines.append(f"the refit takes the error at 1 s (RMS, held out) from {', '.join(gaps)}")
    if found.same:
        return [*lines, f"Is this my robot? Yes: what could be identified is as specified, within {NEAR:.0%}."]
    return [*lines, f"Is this my robot? No: {'; '.join(departures(found))}."]


def plain(found: Validation) -> dict[str, object]:
    """What validate.json says."""

    def numbers(values: Sequence[float]) -> dict[str, float | None]:
        return {name: value if math.isfinite(value) else None for name, value in zip(SHOWN, values, strict=True)}

    sets = ("specification", "refit")
    return {
        "muster": 1,
        "robot": found.spec.name,
        "embodiment": found.spec.embodiment_hash(),
        "recordings": [{"name": name, "seconds": seconds} for name, seconds in found.recordings],
        "split": found.split,
        "units": dict(zip(SHOWN, UNITS, strict=True)),
        "errors": [
            {
                "horizon": one.horizon,
                "starts": one.starts,
                "rms": {name: numbers(row.tolist()) for name, row in zip(sets, one.rms, strict=False)},
                "p95": {name: numbers(row.tolist()) for name, row in zip(sets, one.p95, strict=False)},
            }
            for one in found.errors
        ],
        "parameters": []
        if found.fit is None
        else [{**asdict(one), "error": one.error if math.isfinite(one.error) else None} for one in found.fit.estimates],
        "this_robot": found.same,
    }
