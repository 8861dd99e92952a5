"""Checkpoints: the whole state of a training run in one file, so that a killed run goes on as if nothing had happened.

A checkpoint is a NumPy archive (zip of arrays, never pickled objects: loading one runs no code) with one JSON header
under `header`. It appears by rename, complete or not at all. What it must fit, the contract (embodiment included) and
the training configuration, stands in the header and is compared on loading. `sha256` holds the hash of all the rest: a
flipped bit in the names or headers of the archive, which zip's checksums do not cover, would load as other content.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import CheckpointError
from sim.files import FileError, read_arrays, write_atomic

VERSION = 2
"""Of the layout of the archive."""

KEPT = 2
"""Checkpoints kept in a run: the newest, and one in case that a disk loses it."""

_NAME = re.compile(r"step_(\d{10})\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """A training run at one instant."""

    header: dict[str, Any]
    """JSON values: version, steps, contract, config, counters."""
    arrays: dict[str, NDArray[Any]]
    """Every tensor, generator and environment array, by slash-separated name."""


def save_checkpoint(directory: Path, steps: int, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write `step_<steps>.npz` into `directory`, whole or not at all, and drop the oldest beyond KEPT.

    Raises CheckpointError when the file cannot be written (no space, no permission).
    """
    buffer = io.BytesIO()
    text = json.dumps({"version": VERSION, "steps": steps, **header}, sort_keys=True)
    content = {"header": np.frombuffer(text.encode(), np.uint8), **arrays}
    # its stub gives every keyword the type of allow_pickle
    np.savez(buffer, sha256=np.array(_digest(content)), **content)  # pyright: ignore[reportArgumentType]
    path = directory / f"step_{steps:010d}.npz"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    except (FileError, OSError) as error:
        raise CheckpointError(str(error)) from error
    for old in list_checkpoints(directory)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(directory: Path) -> list[Path]:
    """Checkpoints in `directory`, oldest first."""
    found = [path for path in directory.glob("step_*.npz") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name)


def find_checkpoint(place: Path) -> Path:
    """The checkpoint that `place` names: itself, or the newest of a run directory. CheckpointError without one."""
    if place.is_file():
        return place
    for directory in (place / "checkpoints", place):
        found = list_checkpoints(directory)
        if found:
            return found[-1]
    raise CheckpointError(
        f"expected a checkpoint or a run directory with checkpoints/step_*.npz, found none at {place}; "
        "name another run or train without resume"
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint; CheckpointError names what is wrong with it."""
    advice = "resume from another checkpoint or train anew"
    try:
        arrays = read_arrays(path)
        stated = str(arrays.pop("sha256", ""))
        whole = stated == _digest(arrays)
        header = json.loads(arrays.pop("header").tobytes())
        version = header.get("version")
    except (FileError, ValueError, KeyError, AttributeError, RecursionError) as error:
        size = path.stat().st_size if path.exists() else 0
        raise CheckpointError(
            f"expected a whole checkpoint, {path} ({size} bytes) is truncated or damaged ({_one_line(error)}); {advice}"
        ) from error
    if version != VERSION:
        raise CheckpointError(f"expected checkpoint version {VERSION}, {path} has {version!r}; {advice}")
    if not whole:
        raise CheckpointError(
            f"expected a whole checkpoint, {path} is damaged: its content does not match its sha256; {advice}"
        )
    return Checkpoint(header=header, arrays=arrays)


def check_identity(path: Path, checkpoint: Checkpoint, expected: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a checkpoint has the contract and the settings of the training of these (JSON)."""
    its = checkpoint.header
    if its.get("contract_hash") != expected["contract_hash"]:
        embodiment, other = expected["contract"].get("embodiment"), its.get("contract", {}).get("embodiment")
        what = (
            f"embodiment {str(other)[:12]}, expected {str(embodiment)[:12]}"
            if embodiment != other
            else f"contract {str(its.get('contract_hash'))[:12]}, expected {expected['contract_hash'][:12]}"
        )
        raise CheckpointError(f"{path} was trained for {what}; resume from a checkpoint of this robot or train anew")
    check_settings(path, checkpoint, expected["training"])


def check_settings(path: Path, checkpoint: Checkpoint, expected: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless the training in a checkpoint's header had each of these settings (JSON values)."""
    for key, value in expected.items():
        other = checkpoint.header.get("training", {}).get(key)
        if other != value:
            raise CheckpointError(
                f"{path} was trained with {key} {other}, expected {value}; resume with the arguments of its run"
            )


def select(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays under `prefix/`, without it."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(prefix + "/")}


def _digest(content: Mapping[str, NDArray[Any]]) -> str:
    """sha256 (hex) over the names, types, shapes and values of arrays."""
    digest = hashlib.sha256()
    for name in sorted(content):
        array = np.asarray(content[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
