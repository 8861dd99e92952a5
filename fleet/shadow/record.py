"""Files of pairs: RUN/shadow/<robot>.jsonl, one record per line.

    {"kind": "pair", ...}     one step of production and candidate (fleet/shadow/pairs.py)
    {"kind": "count", ...}    steps that were not paired since the last such line, by why

A robot that is started again goes on in its file. A black box holds the same pairs in its channel `shadow`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from fleet.salvage import read_recording
from fleet.shadow.candidate import ShadowError
from fleet.shadow.pairs import Pair
from sim.errors import printable

FOLDER = "shadow"
"""Of a run's directory"""
CHANNEL = "shadow"
"""Of a black box"""
LINE_MAX = 1 << 16
"""Bytes of a line; a pair has some 500."""


class Count(msgspec.Struct, frozen=True, tag="count", tag_field="kind"):
    """What was not paired, and how many were."""

    robot: str
    candidate: str
    """Hash, twelve digits"""
    stamp: int
    """Site clock, ns"""
    skipped: dict[str, int]
    """Steps since the last count, by why (`fleet.shadow.live.Skip`)"""


def files(path: Path) -> list[Path]:
    """The files that hold a path's pairs. Raises ShadowError where there are none."""
    if path.is_file():
        return [path]
    found = sorted(path.glob(f"{FOLDER}/*.jsonl")) or sorted(path.glob("*.jsonl"))
    if not found:
        raise ShadowError(
            f"expected {path}/{FOLDER}/*.jsonl, there is none; run the robots with --shadow, or muster shadow LOG"
        )
    return found


def read(path: Path) -> Iterator[Pair | Count]:
    """The records of one file in its order; a last line without its end is left out.

    Raises ShadowError for a line that is no record, with its number.
    """
    if path.suffix == ".mcap":
        for chunk in read_recording(path).chunks:
            for message in chunk:
                if message.channel == CHANNEL:
                    yield _pair(path, message.data)
        return
    decoder = msgspec.json.Decoder(Pair | Count)
    number = 0
    try:
        with path.open("rb") as file:
            while text := file.readline(LINE_MAX):
                number += 1
                if not text.endswith(b"\n"):
                    return
                yield decoder.decode(text)
    except OSError as error:
        raise ShadowError(f"expected pairs in {path}, it cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise ShadowError(
            f"expected a pair in line {number} of {path}, it is none ({printable(str(error))}); is it another file?"
        ) from error


def _pair(path: Path, data: bytes) -> Pair:
    try:
        return msgspec.msgpack.decode(data, type=Pair)
    except msgspec.MsgspecError as error:
        raise ShadowError(f"expected pairs in {path}, one cannot be read ({printable(str(error))})") from error


def write(path: Path, records: Iterable[Pair | Count]) -> None:
    """Add records to a file, which is made with its folder when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = msgspec.json.encode
    with path.open("ab") as file:
        file.write(b"".join(encode(record) + b"\n" for record in records))
