"""blackbox_tamper: changes to black boxes that `verify` finds, of 2,000.

Logs of three files, sealed by a key that the forger does not have; the verifier has it. Drawn with the seed, 500 of
each kind, half of them crude (bytes of a file are changed and nothing else) and half by a forger who makes anew all
that needs no key: CRCs, digests, tables, chain, seals' heads, indexes, statistics.

    edit        a byte, a stamp or a whole message; the metadata; an attachment
    delete      messages, a chunk, a seal; a whole file
    reorder     messages in a chunk, chunks; two files under each other's names
    truncate    at any byte; after any chunk, with or without a footer; the newest file as a whole, which a head shows

`found`: share of them that are found. The logs that nobody touched must be found intact, or the figure is 0.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from figure import Figure

from fleet.blackbox import BlackBox, Layout
from fleet.box.sealkey import SealKey, VerifyKey, make_keys
from fleet.box.verify import HeadNote, verify
from tests.fleet.box.tampering import apart, forged

SEED = 6
RAW = Layout(("a", "b"), list, None, 10.0)
KINDS = ("edit", "delete", "reorder", "truncate")


def measure(quick: bool) -> Iterable[Figure]:
    """The share of changes that are found."""
    count = 200 if quick else 2000
    draw = random.Random(SEED)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heads = _recorded(folder / "log")
        key = VerifyKey(folder / "log" / "r0.verify")
        reports = verify(list((folder / "log").glob("*.mcap")), key, heads)
        if not all(report.good for report in reports):
            raise AssertionError(f"expected logs that are intact, got {[report.line() for report in reports]}")
        for number in range(count):
            kind = KINDS[number % 4]
            place = folder / "changed"
            shutil.copytree(folder / "log", place)
            what = _change(place, kind, draw, clever=number % 8 >= 4)
            bad = [report for report in verify(list(place.glob("*.mcap")), key, heads) if not report.good]
            found[kind] += bool(bad)
            if not bad:
                print(f"{number}: {kind} not found: {what}", file=sys.stderr)
            shutil.rmtree(place)
    print(f"found of {count // 4} each: {dict(found)}", file=sys.stderr)
    yield Figure("found", found.total() / count, "1")


def _recorded(folder: Path) -> list[HeadNote]:
    """Three files of a robot, and the head that its fleet has of the end."""
    folder.mkdir()
    make_keys("r0", folder)
    draw = random.Random(SEED)
    key = SealKey(folder / "r0.seal")
    box = BlackBox(folder, "r0", {"robot": "r0"}, {"site": draw.randbytes(200)}, layout=RAW, key=key)
    for number in range(116):
        box.append((1 + number % 2, number, number * 250_000_000, draw.randbytes(draw.randrange(20, 120))))
        if number % 3 == 2:
            box.flush()
    box.close()
    (report,) = [each for each in verify(list(folder.glob("*.mcap")), None) if each.path.name == "r0-2.mcap"]
    return [HeadNote("r0-2.mcap", report.chunks, report.heads[-1])]


def _change(folder: Path, kind: str, draw: random.Random, *, clever: bool) -> str:
    """Change one log; what was done."""
    files = sorted(folder.glob("*.mcap"))
    path = draw.choice(files)
    data = path.read_bytes()
    if kind == "truncate":
        return _truncate(path, data, draw, clever)
    if draw.random() < 0.1 and kind in ("delete", "reorder"):
        if kind == "delete":
            path.unlink()
            return f"{path.name} deleted"
        one, two = draw.sample(files, 2)
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        return f"{one.name} and {two.name} swapped"
    if clever:
        return _forge(path, data, kind, draw)
    at, size = draw.randrange(8, len(data)), draw.choice((1, 1, 4, 40))
    piece = data[at : at + size]
    if kind == "edit":
        changed = bytes(byte ^ draw.randrange(1, 256) for byte in piece)
        path.write_bytes(data[:at] + changed + data[at + size :])
    elif kind == "delete":
        path.write_bytes(data[:at] + data[at + size :])
    else:
        other = draw.randrange(8, len(data) - 1)
        size = draw.randrange(1, 60)
        low, high = sorted((at, other))
        if high - low < size or data[low : low + size] == data[high : high + size]:
            size, low, high = 1, *next((i, i + 1) for i in range(low, len(data) - 1) if data[i] != data[i + 1])
        first, second = data[low : low + size], data[high : high + size]
        path.write_bytes(data[:low] + second + data[low + size : high] + first + data[high + size :])
    return f"{path.name}: {size} bytes at {at}"


def _truncate(path: Path, data: bytes, draw: random.Random, clever: bool) -> str:
    if not clever:
        length = draw.randrange(len(data))
        path.write_bytes(data[:length])
        return f"{path.name} cut to {length}"
    parts = apart(data)
    keep = draw.randrange(1, len(parts.chunks))
    closed = draw.random() < 0.5
    path.write_bytes(forged(replace(parts, links=parts.links[:keep], chunks=parts.chunks[:keep]), closed=closed))
    return f"{path.name} cut to {keep} chunks, closed {closed}"


def _forge(path: Path, data: bytes, kind: str, draw: random.Random) -> str:
    """A change with all made anew that needs no key."""
    parts = apart(data)
    chunks = [list(chunk) for chunk in parts.chunks]
    links = list(parts.links)
    full = [number for number, chunk in enumerate(chunks) if sum(each[0] < 100 for each in chunk) > 1]
    number = draw.choice(full)
    mine = [at for at, each in enumerate(chunks[number]) if each[0] < 100]
    if kind == "edit":
        at = draw.choice(mine)
        channel, cycle, stamp, body = chunks[number][at]
        changed = draw.choice(((3 - channel, cycle, stamp, body), (channel, cycle + 1, stamp, body),
                               (channel, cycle, stamp + 1, body), (channel, cycle, stamp, body[:-1])))  # fmt: skip
        chunks[number][at] = changed
    elif kind == "delete" and draw.random() < 0.5:
        del chunks[number], links[number]
    elif kind == "delete":
        del chunks[number][draw.choice(mine)]
    elif draw.random() < 0.5:
        one, two = draw.sample(mine, 2)
        chunks[number][one], chunks[number][two] = chunks[number][two], chunks[number][one]
    else:
        one, two = draw.sample(full, 2)
        chunks[one], chunks[two] = chunks[two], chunks[one]
    path.write_bytes(forged(replace(parts, chunks=chunks, links=links)))
    return f"{path.name}, chunk {number}, all made anew"
