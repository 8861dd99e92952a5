"""The messages of a rosbag2 recording: a folder with its files, or one file, as MCAP or SQLite, compressed or not.

`open_bag` says which topics there are, `Bag.messages` gives the raw messages of some in the order in which they were
recorded. What is cut or damaged ends a file, not the import: what was read before counts, and `Bag.notes` says so.

Formats: https://mcap.dev/spec; rosbag2_storage_sqlite3 (tables topics and messages). Compression: MCAP chunks of zstd
or lz4; whole files (.zstd) and single messages of zstd, as rosbag2_compression writes them.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
import zstandard
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader

from sim.errors import MusterError, printable

ODD_BYTES = (struct.error, EOFError, ValueError, RuntimeError)
"""What readers raise besides their own errors: the mcap package unpacks before it looks, lz4 raises RuntimeError."""
METADATA = "metadata.yaml"
KINDS = (".mcap", ".db3")
ZSTD = (".zstd", ".zst")
SIZE_MAX = 64 << 30
"""Bytes that a compressed file may become: a recording of a day, not a bomb."""


class BagError(MusterError):
    """A recording cannot be read, or lacks what is asked of it."""


@dataclass(frozen=True)
class Raw:
    """One recorded message."""

    topic: str
    stamp: int
    """When it was recorded, ns"""
    data: bytes


@dataclass
class Bag:
    """A recording; owns its files."""

    name: str
    files: tuple[Path, ...]
    per_message: bool
    """Whether each message of an SQLite file is compressed by itself"""
    topics: dict[str, str] = field(default_factory=dict)
    """Type by topic"""
    counts: Counter[str] = field(default_factory=Counter)
    """Messages by topic"""
    notes: list[str] = field(default_factory=list)
    """What is wrong with it, one line each"""

    def messages(self, wanted: Sequence[str]) -> Iterator[Raw]:
        """The messages of some topics, in the order of the files."""
        for path in self.files:
            with _plain(path) as file:
                read = _read_mcap if _kind(path) == ".mcap" else _read_sqlite
                try:
                    for topic, kind, stamp, data in read(file, wanted, self.per_message):
                        self.topics.setdefault(topic, kind)
                        if topic in wanted:
                            yield Raw(topic, stamp, data)
                        else:
                            self.counts[topic] += 1
                except (McapError, sqlite3.Error, zstandard.ZstdError, *ODD_BYTES) as error:
                    said = printable(str(error).splitlines()[0]) if str(error) else type(error).__name__
                    self.notes.append(f"{path.name} is cut or damaged, what was read before counts ({said})")


def open_bag(path: Path) -> Bag:
    """The recording at a path, with its topics. Raises BagError, one line, where there is none."""
    files = _files(path)
    if not files:
        raise BagError(
            f"expected a rosbag2 recording (.mcap, .db3, either as .zstd, or their folder), {path} "
            + ("holds none; give its folder" if path.exists() else "does not exist")
        )
    folder = path if path.is_dir() else path.parent
    bag = Bag(path.name.partition(".")[0] or path.resolve().name, files, _per_message(folder / METADATA))
    for _ in bag.messages(()):
        pass
    if not bag.topics:
        why = f": {bag.notes[0]}" if bag.notes else ""
        raise BagError(f"expected messages in {path}, none can be read{why}; give another recording")
    return bag


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,) if _kind(path) else ()
    return tuple(sorted((one for one in path.glob("*") if one.is_file() and _kind(one)), key=_in_turn))


def _in_turn(path: Path) -> list[tuple[int, str]]:
    """By the numbers in a name as numbers: rosbag2 splits a recording into name_0, ..., name_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _kind(path: Path) -> str:
    """.mcap or .db3, empty for another file."""
    name = path.name.lower()
    for ending in ZSTD:
        name = name.removesuffix(ending)
    return next((kind for kind in KINDS if name.endswith(kind)), "")


def _per_message(path: Path) -> bool:
    """Whether the recording says that its messages are compressed one by one."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        return str(said["rosbag2_bagfile_information"]["compression_mode"]).upper() == "MESSAGE"
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return False  # the files themselves say all that is needed otherwise


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The file itself, or its decompressed copy for as long as it is read."""
    if path.suffix.lower() not in ZSTD:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.stem
        size = 0
        try:
            with path.open("rb") as source, copy.open("wb") as sink:
                for part in zstandard.ZstdDecompressor().read_to_iter(source):
                    size += sink.write(part)
                    if size > SIZE_MAX:
                        raise BagError(f"expected at most {SIZE_MAX >> 30} GiB in {path}, it becomes more; split it")
        except (zstandard.ZstdError, OSError) as error:
            raise BagError(
                f"expected a file compressed by zstd, {path} cannot be read ({error}); copy it anew"
            ) from error
        yield copy


Row = tuple[str, str, int, bytes]
"""Topic, type, ns, data."""


def _read_mcap(path: Path, wanted: Sequence[str], _: bool) -> Iterator[Row]:
    """In the file's own order, without its index: one that was cut is read as far as it goes."""
    with path.open("rb") as file:
        for schema, channel, message in NonSeekingReader(file, validate_crcs=True).iter_messages(log_time_order=False):
            if channel.message_encoding != "cdr":
                continue
            yield channel.topic, schema.name if schema is not None else "", message.log_time, message.data


def _read_sqlite(path: Path, wanted: Sequence[str], per_message: bool) -> Iterator[Row]:
    unpack = zstandard.ZstdDecompressor()
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
        names = {
            number: (name, kind)
            for number, name, kind, encoding in base.execute("SELECT id, name, type, serialization_format FROM topics")
            if encoding == "cdr"
        }
        for number, stamp, data in base.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id"):
            if number not in names:
                continue
            name, kind = names[number]
            whole = unpack.decompress(data) if per_message and name in wanted else data
            yield name, kind, stamp, whole
