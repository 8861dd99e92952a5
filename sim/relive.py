"""`muster diverged RUN|FILE`: the control step in which a world blew up, once more, from what training kept of it.

A record of `sim/diverged.py`, a file or a line of one (sim/lostworlds.py), holds the model, the state at the start of
the control step and all that physics got from outside in it, so neither task nor site, people or policy are needed. It
is played with the C engine: for a world of that engine every motor period begins with the recorded state, bit for bit;
one of mujoco_warp, whose numbers are float32, is met in its neighbourhood.

    000-world3.npz: navigate, seed 9, world 4, episodes 2: blew up again in physics step 3 of 5, bit for bit

Exit code 0: every world played as it was recorded; 1: one did not; 2: there is nothing to play.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from sim.backend import BAD, STATE_FIELDS, BatchBackend
from sim.errors import MusterError
from sim.files import DamagedFile
from sim.lostworlds import MORE, NOT_KEPT, read_worlds
from sim.watch import RUNAWAY_PLACE, RUNAWAY_SPEED

NEIGHBOURHOOD = 1.0e-4
"""Largest relative difference of a state that still counts as the recorded one, for float32 (the bound that both
engines are held to in one step, docs/benchmarks.md)."""


class DivergedError(MusterError):
    """A file that is no record of a diverged world."""


@dataclass(frozen=True)
class Config:
    """Play worlds that blew up in training once more."""

    path: Positional[Path]
    """A file that training kept, a folder of them, or a run directory"""


@dataclass(frozen=True)
class Replayed:
    """What the C engine did with a kept world."""

    about: dict[str, Any]  # parsed JSON
    """Seed, world, task and versions."""
    episodes: list[int]
    """Of the world's robots, by number."""
    diverged: bool
    """Whether it blew up again."""
    substep: int
    """Physics steps until it did, or all of the control step."""
    substeps: int
    """Of the control step."""
    difference: float
    """Largest relative difference from the recorded states at the motor periods' starts; 0: equal in every bit."""
    qpos: NDArray[np.float64]
    """Before each physics step and after the last whole one, (steps, nq)."""
    qvel: NDArray[np.float64]
    """(steps, nv)"""

    @property
    def faithful(self) -> bool:
        """Whether it was the recorded control step."""
        exact = self.about["engine"] == BatchBackend.__name__
        return self.difference == 0.0 if exact else self.difference <= NEIGHBOURHOOD

    def line(self, name: str) -> str:
        """For a person; `name` says where the record lies."""
        about = self.about
        who = f"{name}: {about['task']}, seed {about['seed']}, world {about['world']}, episodes {self.episodes}"
        what = f"blew up again in physics step {self.substep} of {self.substeps}"
        if not self.diverged:
            what = f"physics stayed sound for {self.substeps} steps (an action that was no number ended the episode)"
        how = f"differs from the record by {self.difference:.1e}"
        if self.faithful:
            how = "bit for bit" if self.difference == 0.0 else f"within {self.difference:.1e} of the record"
        return f"{who}: {what}, {how}"


def run(config: Config) -> int:
    """Play and print a line per world; 0 as recorded, 1 otherwise. Raises `DivergedError` where there is none."""
    faithful = True
    for file in find_files(config.path):
        for name, world in play_file(file):
            print(world.line(name), flush=True)
            faithful &= world.faithful
    for note in sorted(_folder(config.path).rglob(NOT_KEPT)):
        print(f"{note}: {'; '.join(note.read_text(encoding='utf-8').splitlines())}", flush=True)
    return 0 if faithful else 1


def find_files(path: Path) -> list[Path]:
    """The files of a run, of a folder, or the file itself. Raises `DivergedError` where there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DivergedError(f"expected a file of a diverged world or a run directory, {path} does not exist")
    files = sorted([*_folder(path).rglob("*-world*.npz"), *_folder(path).rglob(MORE)])
    if not files:
        raise DivergedError(f"expected {path}/diverged/**/*.npz, there is none; no world of this run blew up")
    return files


def _folder(path: Path) -> Path:
    return path / "diverged" if (path / "diverged").is_dir() else path


def replay_diverged(path: Path) -> Replayed:
    """Play the control step in which a file's world, the first one, blew up; DivergedError for what is no record."""
    for _, world in play_file(path):
        return world
    raise DivergedError(f"{path}: expected the record of a diverged world, got none; take one that a run kept")


def play_file(path: Path) -> Iterator[tuple[str, Replayed]]:
    """Play every world of a file, with its name for a person; DivergedError for a file that is no record."""
    try:
        for name, kept in read_worlds(path):
            about = json.loads(str(kept["about"]))
            model = mujoco.MjModel.from_binary_path("kept.mjb", assets={"kept.mjb": kept["model"].tobytes()})
            periods = [kept[f"inputs.{period}"] for period in range(sum(name.startswith("inputs.") for name in kept))]
            substeps, episodes = int(about["substeps"]), kept["row.episode"].astype(int).tolist()
            backend = _world(model, kept)
            yield name, _play(backend, kept, periods, substeps, about, episodes)
    except (DamagedFile, OSError, ValueError, KeyError, TypeError) as error:
        raise DivergedError(
            f"{path}: expected a state that muster kept (.npz), got {error}; take one of a run's folder diverged/"
        ) from error


def _world(model: mujoco.MjModel, kept: dict[str, NDArray[Any]]) -> BatchBackend:
    """One world as the control step found it."""
    backend = BatchBackend(model, 1, threads=1)
    for name, values in kept.items():
        kind, _, field = name.partition(".")
        if kind == "field":
            backend.set_field(field, values.reshape((1, *getattr(model, field).shape)))
        elif name == "start.state":
            backend.batch.state[...] = values
        elif kind == "start":
            data = backend.data(field).numpy()
            data[...] = values.reshape(data.shape)
    return backend


def _play(
    backend: BatchBackend,
    kept: dict[str, NDArray[Any]],
    periods: list[NDArray[Any]],
    substeps: int,
    about: dict[str, Any],  # parsed JSON
    episodes: list[int],
) -> Replayed:
    model = backend.model
    changing = {name.split(".")[1] for name in kept if name.startswith("change.")}
    nu, mocap = model.nu, backend.data("mocap_pos").shape[1]
    qpos, qvel = [], []
    lost, difference = 0, 0.0
    for period, notes in enumerate(periods):
        for name in changing:
            values = kept[f"change.{name}.{period}"]
            if name in STATE_FIELDS:
                backend.data(name).numpy()[0] = values
            else:
                backend.set_field(name, values.reshape((1, *getattr(model, name).shape)))
        backend.ctrl.numpy()[0] = notes[:nu]
        places = notes[nu:].reshape(mocap, 7)
        backend.mocap_pos.numpy()[0], backend.data("mocap_quat").numpy()[0] = places[:, :3], places[:, 3:]
        difference = max(difference, _difference(backend, kept, period))
        for substep in range(substeps):
            if not lost:
                qpos.append(backend.qpos.numpy()[0].copy())
                qvel.append(backend.qvel.numpy()[0].copy())
            backend.step(1)
            if not lost and _is_lost(backend):
                lost = period * substeps + substep + 1
    if not lost:
        qpos.append(backend.qpos.numpy()[0].copy())
        qvel.append(backend.qvel.numpy()[0].copy())
    total = len(periods) * substeps
    return Replayed(about, episodes, lost > 0, lost or total, total, difference, np.array(qpos), np.array(qvel))


def _difference(backend: BatchBackend, kept: dict[str, NDArray[Any]], period: int) -> float:
    """Largest relative difference of the state from the recorded one; 0 only where every bit is equal."""
    prefix = f"passed.{period}."
    recorded = {name.removeprefix(prefix): values for name, values in kept.items() if name.startswith(prefix)}
    if not recorded:
        raise KeyError(f"{prefix}*")
    worst = 0.0
    for name, values in recorded.items():
        state = backend.batch.state[0] if name == "state" else backend.data(name).numpy()[0]
        if state.astype(values.dtype).tobytes() != values.tobytes():
            away = np.abs(np.ravel(state) - values) / np.maximum(1.0, np.abs(values))
            # a NaN in one alone, or another sign of zero, is a difference too
            worst = max(worst, float(np.nan_to_num(away, nan=np.inf).max()), float(np.finfo(np.float64).tiny))
    return worst


def _is_lost(backend: BatchBackend) -> bool:
    """As `Backend.watch` sees it, which would also put the world back and so change what follows."""
    fast, far = np.abs(backend.qvel.numpy()[0]), np.abs(backend.qpos.numpy()[0])
    sound = (fast <= float(RUNAWAY_SPEED)).all() and (far <= float(RUNAWAY_PLACE)).all()
    return bool(backend.batch.warning[0, BAD, 1].any() or not sound)
