"""Whether a black box was changed: every byte of it is made again from its messages, and compared.

A chunk's messages give its link's place, its table, its header and its indexes; all chunks give the summary
(fleet/box/layout.py). So there is no byte that could be changed unseen by who cannot also make seals:

    edit, reorder, delete       the bytes, the chain's heads, or the MACs of seals do not fit
    truncate                    the closing seal is missing; the next file, or a head that the fleet keeps, has its end
    a whole file                the next one names it and its last head; what the quota deleted stands in the log

Without the robot's verify key the MACs are not looked at: then only damage and clumsy changes show. A file whose
process was killed has no closing seal either: it is told, and confirmed where the next file names its end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.box import chain
from fleet.box.chain import CHAIN, EVENTS, OWN, Forgotten, Kept, Link, Seal, Table, file_key
from fleet.box.keep import by_number
from fleet.box.layout import Message, Note, counted, encode_body, end_of_file, note, tie
from fleet.box.mcaprecords import CHUNK, CHUNK_PREFIX, MESSAGE, MESSAGE_PREFIX, PREFIX
from fleet.box.recover import Scan, is_chained, scan
from fleet.box.sealkey import VerifyKey
from fleet.salvage import BlackBoxError


@dataclass(frozen=True)
class HeadNote:
    """A head that the fleet kept: after `chunks` chunks of a file the chain stood at `head`."""

    file: str
    chunks: int
    head: bytes


@dataclass
class Report:
    """What was found in one file."""

    path: Path
    chunks: int = 0
    messages: int = 0
    """Of the layout's channels, in chunks that fit"""
    sealed: int = 0
    """Of these, how many stand before the last seal that holds"""
    seals: int = 0
    keyed: bool = False
    """Its seals have MACs, and they were looked at."""
    closed: bool = False
    faults: list[str] = field(default_factory=list)
    """What shows that it was changed or damaged, or may have been"""
    notes: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    """The chain after 0, 1, 2 ... chunks"""
    previous: tuple[str, str] = ("", "")
    """The file before it and its last head, as it says"""
    forgotten: tuple[str, ...] = ()
    """Files that the quota took while it was written"""
    kept: str = ""
    """Which there were when it was begun, as ranges of numbers"""

    @property
    def good(self) -> bool:
        """Nothing was found."""
        return not self.faults

    def line(self) -> str:
        """The report for a person."""
        what = "; ".join(self.faults) if self.faults else "intact"
        seals = f"{self.seals} seals" + ("" if self.keyed else " (not looked at: no key)")
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{self.path}: {what}; {self.chunks} chunks, {self.messages} messages, {seals}{notes}"


def verify(
    paths: Sequence[Path], key: VerifyKey | None, heads: Sequence[HeadNote] = (), *, whole: bool = True
) -> list[Report]:
    """Reports of a robot's files and of how they follow each other. Raises BlackBoxError for what cannot be read.

    `whole`: these are all that there are; else the file before the first is not missed.
    """
    reports = []
    for path in sorted(paths, key=by_number):
        try:
            data = path.read_bytes()
        except OSError as error:
            why = f"{path}: {error.strerror}"
            raise BlackBoxError(f"expected a black box file, {why}; name an .mcap file or a run") from None
        reports.append(verify_file(path, data, key))
    _follow(reports, whole)
    _compare_heads(reports, heads)
    for report in reports:
        if not report.closed and not any("end is confirmed" in each for each in report.notes):
            report.faults.append(
                "it was not closed: the process was killed, power was cut, or the end was cut off "
                f"({report.messages - report.sealed} messages after its last seal)"
            )
    return reports


def verify_file(path: Path, data: bytes, key: VerifyKey | None) -> Report:
    """The report of one file by itself; that it is not closed is no fault here."""
    report, found = Report(path), scan(data)
    if not is_chained(data):
        report.faults.append("it has no chain: it was cut at its beginning, is older, or is another log")
        return report
    if found.metadata is None or not found.pieces:
        report.faults.append("it has no readable header" if found.metadata is None else "it has no chunk")
        return report
    report.faults += found.faults
    if found.box.get("box_name") != path.name:
        report.faults.append(f"it was written as {found.box.get('box_name')!r}")
    report.previous = (found.box.get("box_previous", ""), found.box.get("box_previous_head", ""))
    Walk(report, data, found, _key_of(found, key, report)).run()
    return report


def _key_of(found: Scan, key: VerifyKey | None, report: Report) -> bytes | None:
    """key_0 of a file; None where there is none to be had."""
    epoch = found.box.get("box_epoch", "")
    if key is None:
        return None
    if not epoch.isdecimal():
        report.faults.append("its seals were made without a key")
        return None
    base = key.at(int(epoch))
    if base is None:
        report.faults.append(f"it names the epoch {epoch}, for which the key gives none")
        return None
    report.keyed = True
    return file_key(base, bytes.fromhex(found.box["box_file"]))


class Walk:
    """Owns where a file's verification stands: the next byte, the head, the counts."""

    def __init__(self, report: Report, data: bytes, found: Scan, key: bytes | None) -> None:
        self._report, self._data, self._found, self._key = report, data, found, key
        self._key_number = 0
        self._at = found.pieces[0].start
        self._head = chain.first_head(data[: self._at])
        self._crc = self._last = 0
        self._notes: list[Note] = []
        self._topics: tuple[str, ...] = ()
        self._counts: dict[int, int] = {}
        report.heads.append(self._head)

    def run(self) -> None:
        """All chunks, then what follows them."""
        events: list[chain.Own] = []
        for number, piece in enumerate(self._found.pieces):
            if piece.start != self._at:
                self._fault(f"the chunk at byte {piece.start} should begin at byte {self._at}")
                self._at = piece.start
            if self._report.closed:
                self._fault(f"the chunk at byte {piece.start} stands after the closing seal")
            events += self._chunk(number, piece.table)
        self._report.forgotten = tuple(event.file for event in events if isinstance(event, Forgotten))
        self._report.kept = next((event.numbers for event in events if isinstance(event, Kept)), "")
        self._ending()

    def _chunk(self, number: int, table: Table | None) -> list[chain.Own]:
        """Make a chunk again and compare; what its own channels say."""
        start, begin = self._at, self._at + CHUNK_PREFIX
        pieces = self._found.pieces
        following = pieces[number + 1].start if number + 1 < len(pieces) else None
        records = list(_records(self._data, begin))
        own = [_own(record) for record in records]
        ends = [place for place, each in enumerate(own) if isinstance(each, Table)]
        link = own[0] if own else None
        if not isinstance(link, Link) or not ends:
            if following is None:
                self._report.notes.append(f"its last {len(self._data) - start} bytes are a chunk that was cut")
            else:
                self._fault(f"the chunk at byte {start} has no link or no table")
            self._at = len(self._data) if following is None else following
            return []
        messages = [record[:4] for record in records[1 : ends[0]]]
        body = encode_body(link, messages, records[0][2])
        tied = tie(body, self._head)
        expected = b"".join(tied.parts(body))
        self._links(link, start, number)
        there = self._data[start : start + len(expected)]
        if there != expected and not (following is None and len(there) >= CHUNK_PREFIX and expected.startswith(there)):
            self._fault(f"the chunk at byte {start} is not what its messages make")
            self._at = len(self._data) if following is None else following
            self._crc, self._topics = body.crc, link.topics
            self._head = table.head if table is not None else tied.head
            self._report.heads.append(self._head)
            return []
        if there != expected:
            self._report.notes.append("the index of its last chunk was cut off")
        for each in own[1 : ends[0]]:
            if isinstance(each, Seal):
                self._seal(each, link, number, len(messages))
        self._report.chunks += 1
        self._notes.append(note(body, tied, start))
        for channel, count in counted(body).items():
            self._counts[channel] = self._counts.get(channel, 0) + count
            self._report.messages += count if channel not in OWN else 0
        self._at, self._head = start + len(there), tied.head
        self._crc, self._topics = body.crc, link.topics
        self._report.heads.append(self._head)
        return [each for each, record in zip(own, records, strict=True) if each is not None and record[0] == EVENTS]

    def _links(self, link: Link, start: int, number: int) -> None:
        wanted = (number, start, self._report.messages, self._crc)
        if (link.number, link.at, link.count, link.crc) != wanted or link.file.hex() != self._found.box["box_file"]:
            self._fault(f"the chunk at byte {start} does not belong there")

    def _seal(self, seal: Seal, link: Link, number: int, messages: int) -> None:
        report = self._report
        report.seals += 1
        if (seal.chunk, seal.head, seal.count) != (number, self._head, report.messages):
            self._fault(f"the seal in the chunk at byte {link.at} is of something else")
            return
        if self._key is not None:
            if not self._key_number <= seal.number <= self._key_number + 100_000:
                self._fault(f"the seal in the chunk at byte {link.at} has another number than its turn")
                return
            while self._key_number < seal.number:  # a write that failed took a seal with it
                self._key, self._key_number = chain.evolved(self._key), self._key_number + 1
            if chain.mac(self._key, link.file, seal) != seal.mac:
                self._fault(f"the seal in the chunk at byte {link.at} was not made by this robot's key")
                return
            self._key, self._key_number = chain.evolved(self._key), self._key_number + 1
        report.sealed = report.messages
        report.closed = seal.closing
        if seal.closing and messages != 1:
            self._fault(f"messages stand beside the closing seal at byte {link.at}")

    def _ending(self) -> None:
        """What follows the last chunk."""
        rest = self._data[self._at :]
        if not self._report.closed:
            if rest and (rest[0] != CHUNK or self._found.closed):
                self._fault(f"{len(rest)} bytes follow its last chunk, and no closing seal stands before them")
            elif rest:
                self._report.notes.append(f"its last {len(rest)} bytes are a chunk that was cut")
            return
        counts = dict.fromkeys([*range(1, len(self._topics) + 1), *OWN], 0) | self._counts
        wanted = end_of_file(self._at, self._topics, self._notes, counts, len(self._found.attachments))
        if rest != wanted:
            cut = wanted.startswith(rest)  # no message is missing: the closing seal stands before it
            self._fault("its index was cut off, no message is" if cut else "its index is not what its chunks make")

    def _fault(self, what: str) -> None:
        self._report.faults.append(what)


def _records(data: bytes, at: int) -> Iterator[Message]:
    """Channel, sequence, stamp and data of message records, one after the other."""
    while at + MESSAGE_PREFIX <= len(data):
        opcode, length, channel, cycle, stamp, _ = struct.unpack_from("<BQHIQQ", data, at)
        if opcode != MESSAGE or length < 22 or at + PREFIX + length > len(data):
            return
        yield channel, cycle, stamp, data[at + MESSAGE_PREFIX : at + PREFIX + length]
        at += PREFIX + length


def _own(record: Message) -> chain.Own | None:
    if record[0] not in (CHAIN, EVENTS):
        return None
    try:
        return chain.decode(record[3])
    except ValueError:
        return None


def _follow(reports: Sequence[Report], whole: bool) -> None:
    """Whether each file names the one before it with its last head, and whether all are there that should be."""
    known = {report.path.name: report for report in reports}
    gone = {name for report in reports for name in report.forgotten}
    newest = max((by_number(Path(name)) for name in gone), default=None)
    for report in reports:
        name, head = report.previous
        before = known.get(name)
        drive = name and _robot_of(name) != _robot_of(report.path.name)
        # where the quota took what is newer than a locked drive, it took what is older, and may have taken its note
        passed = newest is not None and by_number(report.path) < newest
        if whole and drive and before is None and name not in gone and not passed:
            report.faults.append(f"{name}, the drive before it, is missing")
        if before is not None and before.heads and before.heads[-1].hex() != head:
            report.faults.append(f"it does not follow on {name} as that is now")
            before.faults.append(f"it does not end as {report.path.name} says")
        elif before is not None:
            before.notes.append(f"its end is confirmed by {report.path.name}")
    if whole and reports:
        newest = reports[-1]
        missing = _expected(newest) - set(known) - set(newest.forgotten)
        newest.faults += [f"{name}, which was there when it was begun, is missing" for name in sorted(missing)]


def _robot_of(name: str) -> str:
    return name.rpartition("-")[0]


def _expected(report: Report) -> set[str]:
    """Names of the files that were there when a file was begun."""
    robot, names = report.path.stem.rpartition("-")[0], set[str]()
    for match in re.finditer(r"(\d{1,9})(?:-(\d{1,9}))?", report.kept):
        first, last = int(match[1]), int(match[2] or match[1])
        names |= {f"{robot}-{number}.mcap" for number in range(first, min(last, first + 100_000) + 1)}
    return names


def _compare_heads(reports: Sequence[Report], heads: Sequence[HeadNote]) -> None:
    """Whether the chains passed where the fleet saw them."""
    known = {report.path.name: report for report in reports}
    forgotten = {name for report in reports for name in report.forgotten}
    for kept in heads:
        report = known.get(kept.file)
        if report is None:
            if kept.file not in forgotten and reports:
                reports[-1].faults.append(f"{kept.file}, whose head the fleet has, is missing, and no quota took it")
        elif kept.chunks >= len(report.heads) or report.heads[kept.chunks] != kept.head:
            report.faults.append(f"after {kept.chunks} chunks it is not what the fleet saw")
