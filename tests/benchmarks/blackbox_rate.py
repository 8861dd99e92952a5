"""blackbox_rate: 1 kB messages a second into a black box with all that it guarantees, and what `append` costs the loop.

`msgs`: a loop appends messages of 1,000 random bytes as fast as it may (it waits where QUEUE wait already); the clock
runs until the last one is in a closed, synced file. On are: links, tables and CRCs of each record, SHA-256 chain, seals
by an evolving key, fdatasync each 150 ms, rotation. Beside it the writer of foxglove-sdk (Rust) in the same run, turn
about: as it comes (zstd), which is the rival's value, and without compression. It syncs nothing. Both it and the writer
of the mcap package for Python are printed to stderr.

`append_p999_us`: what one `append` costs, from a loop of 100 Hz that appends 100 messages each (10,000 a second, a
hundred times a robot's), while the writer works beside it; 0.999 quantile over all of them. A drop counts as infinite.

The best of all rounds counts for `msgs`, ours and theirs: what else the machine does only ever takes away. Random bytes
do not shrink, as ranges of a lidar hardly do.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Iterable
from pathlib import Path

from figure import Figure, NotHere

from fleet.blackbox import BlackBox, Layout, Recorder
from fleet.box.sealkey import SealKey, make_keys

SIZE = 1000
QUEUE = 20_000
"""Messages that may wait: 20 MB"""
RAW = Layout(("raw",), list)
MANY = 4096
"""Different messages: more than a chunk of anybody's, so that no compressor finds one again"""
EACH = 100
"""Messages that the loop of `append_p999_us` appends in each of its cycles"""
LIMIT = 150_000
"""Room in the queue: a stall of the machine of 15 s is a drop."""


def measure(quick: bool) -> Iterable[Figure]:
    """Both parts; the rival's value is foxglove-sdk as it comes."""
    rounds, count, seconds = (3, 40_000, 2.0) if quick else (16, 100_000, 20.0)
    data = [os.urandom(SIZE) for _ in range(MANY)]
    ours, theirs, bare, python = [], [], [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("MUSTER_BENCH_DIR")) as folder:
        place = Path(folder) / "paced"
        place.mkdir()
        yield Figure("append_p999_us", _append(place, data, seconds), "us")
        for number in range(rounds):
            place = Path(folder) / str(number)
            place.mkdir()
            ours.append(_ours(place, data, count))
            theirs.append(_foxglove(place / "default.mcap", data, count, compressed=True))
            bare.append(_foxglove(place / "plain.mcap", data, count, compressed=False))
            python.append(_python(place / "python.mcap", data, count // 4))
            print(
                f"round {number}: ours {ours[-1]:,.0f}/s, foxglove {theirs[-1]:,.0f} (zstd), {bare[-1]:,.0f} (plain), "
                f"mcap for Python {python[-1]:,.0f}",
                file=sys.stderr,
            )
            for path in place.iterdir():
                path.unlink()
        middle = statistics.median(ours), statistics.median(theirs), statistics.median(bare), statistics.median(python)
        print("medians: ours, foxglove, plain, Python " + ", ".join(f"{each:,.0f}" for each in middle), file=sys.stderr)
        print(f"best: foxglove plain {max(bare):,.0f}, mcap for Python {max(python):,.0f}", file=sys.stderr)
        yield Figure("msgs", max(ours), "1/s", "foxglove-sdk", max(theirs))


def _box(folder: Path, queue: int) -> BlackBox:
    make_keys("raw", folder)
    return BlackBox(folder, "raw", {}, {}, layout=RAW, key=SealKey(folder / "raw.seal"), queue_steps=queue)


def _ours(folder: Path, data: list[bytes], count: int) -> float:
    box = _box(folder, QUEUE + 1)
    recorder = Recorder([box])
    append, waiting = box.append, box.waiting
    begun = time.perf_counter()
    for number in range(count):
        append((1, number, number, data[number % MANY]))
        if not number & 255:
            while waiting() > QUEUE - 256:
                time.sleep(0.001)
    recorder.close(600.0)
    seconds = time.perf_counter() - begun
    if box.counts.written != count or box.counts.dropped:
        raise AssertionError(f"expected {count} messages in the file, got {box.counts}")
    return count / seconds


def _foxglove(path: Path, data: list[bytes], count: int, *, compressed: bool) -> float:
    try:
        import foxglove
        from foxglove.mcap import MCAPWriteOptions
    except ModuleNotFoundError as error:
        raise NotHere("foxglove-sdk is not installed (pip install 'muster[rivals]')") from error
    context = foxglove.Context()
    options = MCAPWriteOptions() if compressed else MCAPWriteOptions(compression=None)
    writer = foxglove.open_mcap(path, context=context, writer_options=options)
    schema = foxglove.Schema(name="raw", encoding="msgpack", data=b"")
    channel = foxglove.Channel("/raw", message_encoding="msgpack", schema=schema, context=context)
    begun = time.perf_counter()
    for number in range(count):
        channel.log(data[number % MANY], log_time=number)
    writer.close()
    return count / (time.perf_counter() - begun)


def _python(path: Path, data: list[bytes], count: int) -> float:
    from mcap.writer import CompressionType, Writer

    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start()
        channel = writer.register_channel("/raw", "msgpack", writer.register_schema("raw", "", b""))
        begun = time.perf_counter()
        for number in range(count):
            writer.add_message(channel, number, data[number % MANY], number, number)
        writer.finish()
        return count / (time.perf_counter() - begun)


def _append(folder: Path, data: list[bytes], seconds: float) -> float:
    box = _box(folder, LIMIT)
    recorder = Recorder([box])
    append, clock = box.append, time.perf_counter_ns
    took = array("q")
    begun = time.perf_counter()
    for cycle in range(round(seconds * 100)):
        time.sleep(max(0.0, begun + cycle / 100 - time.perf_counter()))
        for number in range(cycle * EACH, cycle * EACH + EACH):
            message = (1, number, number, data[number % MANY])
            before = clock()
            append(message)
            took.append(clock() - before)
    rate = len(took) / (time.perf_counter() - begun)
    recorder.close(600.0)
    found = sorted(took)
    p50, p999, most = found[len(found) // 2], found[int(0.999 * len(found))], found[-1]
    print(
        f"append at {rate:,.0f}/s: p50 {p50 / 1e3:.2f}, p99.9 {p999 / 1e3:.2f}, max {most / 1e3:.0f} us; {box.counts}",
        file=sys.stderr,
    )
    return p999 / 1e3 if not box.counts.dropped else math.inf
