"""What is left of a black box: cut at every byte, and with a bit flipped anywhere."""

import random
from pathlib import Path

from fleet.blackbox import BlackBox, Layout
from fleet.box.chain import OWN
from fleet.box.recover import scan

RAW = Layout(("a", "b"), list)


def made(folder: Path, flushes: int = 4, each: int = 5, close: bool = True) -> Path:
    """A file of chunks of random messages."""
    draw = random.Random(1)
    box = BlackBox(folder, "x", {"robot": "x"}, {"site": b"floor" * 9}, layout=RAW)
    for number in range(flushes * each):
        box.append((1 + number % 2, number, 10**9 + number * 10**8, draw.randbytes(draw.randrange(20, 90))))
        if number % each == each - 1:
            box.flush()
    if close:
        box.close()
    return folder / "x-0.mcap"


def messages(data: bytes) -> list[tuple[int, int, int, bytes]]:
    return [
        (record.channel, record.cycle, record.stamp, record.data)
        for piece in scan(data).pieces
        for record in piece.records
        if record.channel not in OWN
    ]


def test_a_bit_that_flips_anywhere_costs_the_record_that_it_hits_and_no_other(tmp_path: Path) -> None:
    for close in (True, False):
        folder = tmp_path / str(close)
        data = made(folder, close=close).read_bytes()
        everything = messages(data)
        assert len(everything) == 20
        where = [(data.index(each[3]) - 31, data.index(each[3]) + len(each[3])) for each in everything]
        draw = random.Random(2)
        for at in range(len(data)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << draw.randrange(8)
            got = messages(bytes(flipped))
            wanted = [one for one, (first, last) in zip(everything, where, strict=True) if not first <= at < last]
            assert [one for one in got if one in wanted] == wanted, at
            damaged = [one for one in got if one not in wanted]
            assert not damaged, (at, damaged)


def test_a_cut_at_any_byte_keeps_every_whole_record(tmp_path: Path) -> None:
    data = made(tmp_path).read_bytes()
    everything = messages(data)
    ends = [data.index(each[3]) + len(each[3]) for each in everything]
    for length in range(len(data)):
        assert messages(data[:length]) == everything[: sum(end <= length for end in ends)], length


def test_a_log_within_a_log_is_not_taken_for_it(tmp_path: Path) -> None:
    inner = made(tmp_path / "inner").read_bytes()
    box = BlackBox(tmp_path, "x", {}, {}, layout=RAW)
    sent = [(1, 0, 5, b"before"), (2, 1, 6, inner), (1, 2, 7, b"after")]
    for message in sent:
        box.append(message)
    box.close()
    assert messages((tmp_path / "x-0.mcap").read_bytes()) == sent


def test_what_was_overwritten_is_lost_and_what_lies_around_it_is_not(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, flushes=12).read_bytes())
    everything = messages(bytes(data))
    where = [(data.index(each[3]) - 31, data.index(each[3]) + len(each[3])) for each in everything]
    first, last = where[17][0], where[41][1]
    data[first:last] = bytes(last - first)
    got = messages(bytes(data))
    wanted = [one for one, (begin, end) in zip(everything, where, strict=True) if end <= first or begin >= last]
    assert [one for one in got if one in wanted] == wanted
    assert not [one for one in got if one not in everything]
