"""The folder of worlds that blew up: what a recorder (sim/diverged.py) writes there and `muster diverged` reads.

    000-world3.npz ...   FILES worlds, each whole: model (MuJoCo's binary), arrays, and `about`: seed, world, versions
    more.jsonl           every later one as a line: `about`, episodes, its arrays (a compressed .npz in base64), and
                         the name of a file above that holds its model; MORE_BYTES at most
    not_kept.txt         how many there were beyond that, and beyond the places on the device; absent where none

A line is appended and flushed at once: one that a killed process was writing is cut, and left out by who reads.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.files import read_arrays, replacing, unpack_arrays, write_atomic

Arrays = Mapping[str, Any]  # arrays of any dtype, as numpy.savez takes them

FILES = 32
"""Whole files that one recorder writes at most: they explain themselves, and hold the model again each time."""

MORE_BYTES = 64 * 2**20
"""Of `more.jsonl`: 10,000 worlds of one robot, 2,000 of sixteen (6 and 32 kB each, 2026-11), never a full disk."""

MORE, NOT_KEPT = "more.jsonl", "not_kept.txt"


class LostWorlds:
    """What one recorder writes. Owns how much that is."""

    def __init__(self, model: Any) -> None:  # mujoco.MjModel has no stub
        self._model = model
        self._files = 0
        self._with_model = ""
        self._unkept: dict[str, int] = {}
        self._before: str | None = None

    def keep(self, directory: Path, rows: Arrays, about: Mapping[str, object]) -> Path | None:
        """Write one world; the path that it is in, None where there was no room. `about` must be JSON."""
        directory.mkdir(parents=True, exist_ok=True)
        if self._files < FILES:
            number = sum(1 for _ in directory.glob("*.npz"))  # a resumed run goes on counting
            path = directory / f"{number:03d}-world{about['world']}.npz"
            binary = np.zeros(mujoco.mj_sizeModel(self._model), np.uint8)
            mujoco.mj_saveModel(self._model, None, binary)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, model=binary, about=np.array(json.dumps(about)), **rows)
            self._files += 1
            self._with_model = self._with_model or path.name
            return path
        packed = io.BytesIO()
        np.savez_compressed(packed, **rows)
        line = {
            **about,
            "episodes": rows["row.episode"].astype(int).tolist() if "row.episode" in rows else [],
            "model": self._with_model,
            "arrays": base64.b64encode(packed.getvalue()).decode(),
        }
        text = (json.dumps(line) + "\n").encode()
        path = directory / MORE
        if (path.stat().st_size if path.exists() else 0) + len(text) > MORE_BYTES:
            self.miss(directory, 1, f"beyond the {MORE_BYTES // 2**20} MiB of {MORE}")
            return None
        with path.open("r+b" if path.exists() else "wb") as file:
            _cut(file)
            file.write(text)
        return path

    def miss(self, directory: Path, count: int, why: str) -> None:
        """Say in the folder that so many worlds were counted only."""
        path = directory / NOT_KEPT
        if self._before is None:
            self._before = path.read_text(encoding="utf-8") if path.exists() else ""
        self._unkept[why] = self._unkept.get(why, 0) + count
        directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{count} worlds blew up {why}: counted, not kept\n" for why, count in self._unkept.items()]
        write_atomic(path, self._before + "".join(lines))


def _cut(file: BinaryIO) -> None:
    """Go to the end of the last whole line: what a killed process left of another is dropped."""
    end = file.seek(0, io.SEEK_END)
    while end:
        begin = max(end - 65_536, 0)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    file.seek(end)
    file.truncate()


def read_worlds(path: Path) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """The worlds in a file of the folder, each with the name that a person may call it by.

    Raises FileError, OSError, ValueError, KeyError or TypeError for what no recorder wrote.
    """
    if path.name != MORE:
        yield str(path), _arrays(path)
        return
    models: dict[str, NDArray[Any]] = {}
    with path.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            if not text.endswith("\n"):
                return  # a killed process was writing it
            line = json.loads(text)
            name = line["model"]
            if name not in models:
                models[name] = _arrays(path.with_name(name))["model"]
            packed, about = line.pop("arrays"), np.array(json.dumps(line))
            yield (
                f"{path}:{number}",
                {
                    **_arrays(io.BytesIO(base64.b64decode(packed))),
                    "model": models[name],
                    "about": about,
                },
            )


def _arrays(file: Path | io.BytesIO) -> dict[str, NDArray[Any]]:
    return read_arrays(file) if isinstance(file, Path) else unpack_arrays(file.getvalue())
