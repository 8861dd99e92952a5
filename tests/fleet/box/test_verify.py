"""A black box that was changed shows it; one that was not does not."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.blackbox import BlackBox, Layout
from fleet.box.sealkey import SealKey, SealKeyError, VerifyKey, make_keys
from fleet.box.verify import HeadNote, Report, verify
from tests.fleet.box.tampering import apart, forged

RAW = Layout(("a", "b"), list, None, 10.0)
SECOND = 10**9


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which each look at the clock takes 50 ms: a seal in some chunks."""
    now = [10**12]

    def look() -> int:
        now[0] += SECOND // 20
        return now[0]

    monkeypatch.setattr("time.monotonic_ns", look)


def recorded(folder: Path, seconds: int = 9, close: bool = True, key: bool = True) -> Path:
    """A robot's file, or files, of some messages a second, and the folder of its keys."""
    draw = random.Random(4)
    keys = folder / "keys"
    if key and not keys.exists():
        keys.mkdir(parents=True)
        make_keys("r0", keys)
    box = BlackBox(
        folder, "r0", {"robot": "r0"}, {"site": b"x" * 50}, layout=RAW, key=SealKey(keys / "r0.seal") if key else None
    )
    for number in range(seconds * 4):
        box.append((1 + number % 2, number, number * SECOND // 4, draw.randbytes(draw.randrange(20, 60))))
        if number % 2:
            box.flush()
    if close:
        box.close()
    return folder / "r0-0.mcap"


def looked(folder: Path, heads: tuple[HeadNote, ...] = (), key: bool = True) -> list[Report]:
    return verify(list(folder.glob("*.mcap")), VerifyKey(folder / "keys" / "r0.verify") if key else None, heads)


def test_what_nobody_touched_is_intact(tmp_path: Path) -> None:
    recorded(tmp_path)
    (report,) = looked(tmp_path)
    assert report.good, report.line()
    assert (report.messages, report.sealed, report.closed, report.keyed) == (36, 36, True, True)
    assert report.seals > 2


def test_every_byte_of_a_file_is_watched_with_a_key_or_without(tmp_path: Path) -> None:
    path = recorded(tmp_path, seconds=4)
    data = path.read_bytes()
    draw = random.Random(5)
    for key in (True, False):
        for at in range(0, len(data), 3):
            changed = bytearray(data)
            changed[at] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            (report,) = looked(tmp_path, key=key)
            assert not report.good, at


def test_a_forger_who_computes_everything_anew_has_no_seals(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    parts = apart(path.read_bytes())
    assert forged(parts) == path.read_bytes()  # the forger's craft is sound: nothing changed, nothing to see
    chunks = [list(chunk) for chunk in parts.chunks]
    channel, cycle, stamp, data = chunks[3][-1]
    chunks[3][-1] = (channel, cycle, stamp, data[:-1] + b"!")
    path.write_bytes(forged(replace(parts, chunks=chunks)))
    (report,) = looked(tmp_path)
    assert "not made by this robot's key" in report.line()
    (report,) = looked(tmp_path, key=False)
    assert report.good  # without the key nobody can know


def test_an_end_that_was_cut_off_shows_even_where_the_index_was_made_anew(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    parts = apart(path.read_bytes())
    path.write_bytes(forged(replace(parts, links=parts.links[:-4], chunks=parts.chunks[:-4])))
    (report,) = looked(tmp_path)
    assert "no closing seal" in report.line()
    path.write_bytes(forged(replace(parts, links=parts.links[:-4], chunks=parts.chunks[:-4]), closed=False))
    (report,) = looked(tmp_path)
    assert "was not closed" in report.line()


def test_a_killed_process_leaves_a_file_that_its_successor_confirms(tmp_path: Path) -> None:
    path = recorded(tmp_path, close=False)
    (report,) = looked(tmp_path)
    assert "was not closed" in report.line()
    recorded(tmp_path)
    first, second = looked(tmp_path)
    assert first.good, first.line()
    assert second.good, second.line()
    parts = apart(path.read_bytes())
    path.write_bytes(forged(replace(parts, links=parts.links[:-2], chunks=parts.chunks[:-2]), closed=False))
    first, second = looked(tmp_path)
    assert "does not end as r0-1.mcap says" in first.line()
    assert "does not follow on r0-0.mcap" in second.line()


def test_a_file_that_was_taken_away_is_missed_and_one_that_the_quota_took_is_not(tmp_path: Path) -> None:
    recorded(tmp_path, seconds=60)
    reports = looked(tmp_path)
    assert len(reports) == 6
    assert all(report.good for report in reports), [report.line() for report in reports]
    (tmp_path / "r0-2.mcap").unlink()
    assert any(
        "r0-2.mcap, which was there when it was begun, is missing" in report.line() for report in looked(tmp_path)
    )
    ring = tmp_path / "ring"
    keys = ring / "keys"
    keys.mkdir(parents=True)
    make_keys("r0", keys)
    box = BlackBox(ring, "r0", {}, {}, layout=RAW, key=SealKey(keys / "r0.seal"), quota_bytes=60_000)
    for second in range(120):
        box.append((1, second, second * SECOND, bytes(900)))
        box.flush()
    box.close()
    assert box.counts.deleted > 0
    assert all(report.good for report in looked(ring)), [report.line() for report in looked(ring)]


def test_a_file_under_another_name_and_a_chunk_of_another_file_show(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    path.rename(tmp_path / "r0-7.mcap")
    (report,) = looked(tmp_path)
    assert "was written as 'r0-0.mcap'" in report.line()


def test_a_head_that_the_fleet_kept_shows_a_tail_that_was_cut(tmp_path: Path) -> None:
    path = recorded(tmp_path, close=False)
    (report,) = looked(tmp_path)
    kept = HeadNote("r0-0.mcap", report.chunks, report.heads[-1])
    assert not any("fleet saw" in fault for fault in looked(tmp_path, (kept,))[0].faults)
    parts = apart(path.read_bytes())
    path.write_bytes(forged(replace(parts, links=parts.links[:-1], chunks=parts.chunks[:-1]), closed=False))
    assert any("fleet saw" in fault for fault in looked(tmp_path, (kept,))[0].faults)


def test_a_box_without_a_key_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    recorded(tmp_path, key=False)
    (tmp_path / "keys").mkdir()
    make_keys("r0", tmp_path / "keys")
    (report,) = looked(tmp_path)
    assert "made without a key" in report.line()


def test_the_robot_keeps_no_key_of_a_file_that_it_has_begun(tmp_path: Path) -> None:
    seal, verifying = make_keys("r0", tmp_path)
    epoch, key = SealKey(seal).spend()
    assert key.hex() not in seal.read_text()
    assert VerifyKey(verifying).at(epoch) == key
    assert SealKey(seal).spend()[0] == epoch + 1
    with pytest.raises(SealKeyError, match="never replaced"):
        make_keys("r0", tmp_path)
    seal.chmod(0o644)
    with pytest.raises(SealKeyError, match="chmod 600"):
        SealKey(seal)


def test_a_gap_that_the_quota_made_beside_a_locked_event_is_none_that_somebody_made(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    make_keys("r0", keys)
    for life in range(2):
        box = BlackBox(tmp_path, "r0", {}, {}, layout=RAW, key=SealKey(keys / "r0.seal"), quota_bytes=100_000)
        for second in range(life * 300, life * 300 + 300):
            if second == 100:
                box.trigger("button")
            box.append((1, second, second * SECOND, bytes(900)))
            box.flush()
        box.close()
    reports = looked(tmp_path)
    assert [report.line() for report in reports if not report.good] == []
    numbers = [int(report.path.stem.partition("-")[2]) for report in reports]
    assert numbers[0] > 0
    assert max(two - one for one, two in itertools.pairwise(numbers)) > 5
    (tmp_path / f"r0-{numbers[-2]}.mcap").unlink()
    assert any(f"r0-{numbers[-2]}.mcap, which was there" in report.line() for report in looked(tmp_path))
