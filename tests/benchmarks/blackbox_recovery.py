"""blackbox_recovery: whole records that are read of a black box after a cut at any byte and after a bit that flipped.

A file of random messages, closed, and the same as a killed process leaves it. Of each: every length that it can be cut
to, and every byte with one of its bits flipped (drawn with the seed). A record is whole where none of its own bytes is
missing or changed. `share`: whole records that were read, of all, over both kinds of damage; a record that was read
and is not whole makes the share 0. Beside it, on the same damage (each RIVAL-th case, for they are slow): the indexed
reader of the mcap package, which is what opens a file by default, and its stream reader, the rival's value.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from figure import Figure

from fleet.blackbox import BlackBox, Layout
from fleet.box.chain import OWN
from fleet.box.recover import scan

SEED = 1
RIVAL = 29
RAW = Layout(("a", "b"), list)

Record = tuple[int, int, int, bytes]


def measure(quick: bool) -> Iterable[Figure]:
    """The share over all damage; the rival's is the mcap package's stream reader."""
    chunks, each = (3, 4) if quick else (8, 8)
    ours, indexed, streamed = [0, 0], [0, 0], [0, 0]
    wrong = 0
    for closed in (True, False):
        data, records = _made(chunks, each, closed)
        where = [(data.index(one[3]) - 31, data.index(one[3]) + len(one[3])) for one in records]
        for number, (damaged, first, last) in enumerate(_damages(data)):
            whole = {one for one, (begin, end) in zip(records, where, strict=True) if end <= first or begin >= last}
            wrong += _count(ours, _ours(damaged), whole, set(records))
            if number % RIVAL == 0:
                _count(indexed, _indexed(damaged), whole, set(records))
                _count(streamed, _streamed(damaged), whole, set(records))
    share, two, three = ours[0] / ours[1], indexed[0] / indexed[1], streamed[0] / streamed[1]
    print(
        f"{ours[0]:,} of {ours[1]:,} whole records, {wrong} damaged ones taken for whole; indexed reader {two:.3f}, "
        f"stream reader {three:.3f}",
        file=sys.stderr,
    )
    yield Figure("share", 0.0 if wrong else share, "1", "mcap StreamReader", three)


def _made(chunks: int, each: int, closed: bool) -> tuple[bytes, list[Record]]:
    draw = random.Random(SEED)
    records = [
        (1 + number % 2, number, 10**9 + number * 10**7, draw.randbytes(draw.randrange(40, 240)))
        for number in range(chunks * each)
    ]
    with tempfile.TemporaryDirectory() as folder:
        box = BlackBox(Path(folder), "x", {"robot": "x"}, {"site": draw.randbytes(500)}, layout=RAW)
        for number, record in enumerate(records):
            box.append(record)
            if number % each == each - 1:
                box.flush()
        if closed:
            box.close()
        return (Path(folder) / "x-0.mcap").read_bytes(), records


def _damages(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Damaged files, with the bytes that are missing or changed: from, to."""
    for length in range(len(data)):
        yield data[:length], length, len(data)
    draw = random.Random(SEED + 1)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << draw.randrange(8)
        yield bytes(flipped), at, at + 1


def _count(tally: list[int], read: Iterable[Record], whole: set[Record], everything: set[Record]) -> int:
    """Add to (read, whole); how many were read that are none of the file's."""
    got = set(read)
    tally[0] += len(got & whole)
    tally[1] += len(whole)
    return len(got - everything)


def _ours(data: bytes) -> Iterator[Record]:
    for piece in scan(data).pieces:
        for record in piece.records:
            if record.channel not in OWN:
                yield record.channel, record.cycle, record.stamp, record.data


def _indexed(data: bytes) -> list[Record]:
    from mcap.reader import make_reader

    return _gathered(lambda: make_reader(io.BytesIO(data), validate_crcs=True).iter_messages())


def _streamed(data: bytes) -> list[Record]:
    from mcap.records import Message
    from mcap.stream_reader import StreamReader

    records = StreamReader(io.BytesIO(data), validate_crcs=True).records
    return _gathered(lambda: ((None, None, one) for one in records if isinstance(one, Message)))


def _gathered(read: Callable[[], Iterable]) -> list[Record]:
    """What a reader of others gives until it fails, by whatever."""
    got: list[Record] = []
    try:
        for _, _, message in read():
            if message.channel_id not in OWN:
                got.append((message.channel_id, message.sequence, message.log_time, message.data))
    except Exception:  # a damaged file may raise anything there
        return got
    return got
