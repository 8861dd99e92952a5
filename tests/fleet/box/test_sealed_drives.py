"""Black boxes of cars are sealed as those of robots are: what is changed, taken away or put elsewhere shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.blackbox import BlackBox
from fleet.box.keep import by_number, read_event
from fleet.box.recorder import HEADS
from fleet.box.recover import last_head
from fleet.box.sealkey import SEALED, SealKey, VerifyKey
from fleet.box.verify import verify
from fleet.cli import main
from fleet.drivelog import layout_of, recording
from fleet.salvage import read_recording
from tests.fleet import drives
from tests.fleet.box.tampering import apart, forged


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drives of one car, sealed, and the heads that the fleet was told."""
    root = tmp_path_factory.mktemp("run")
    assert main(["blackbox", "key", SEALED, "--out", str(root)]) == 0
    key = SealKey(root / "car.seal")
    for number in (0, 1, 2):
        with recording(
            root / "blackbox", drives.course(), {}, f"drive{number}",
            key=key, heads=root / HEADS, policies={"manoeuvre": "ab" * 32},
        ) as box:  # fmt: skip
            for moment in drives.moments(1.0):
                box.append(moment)
    return root


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def said(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["blackbox", "verify", str(run), "--key", str(run), *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_drives_that_nobody_touched_are_intact_by_the_cars_key(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, run, "--heads", str(run / HEADS))
    assert code == 0, text
    assert text.count("intact") == 3
    assert "no key" not in text
    assert main(["blackbox", "why", str(run / "blackbox" / "drive1-0.mcap"), "--at", "0.5"]) == 0
    assert "versions  manoeuvre abababababab" in capsys.readouterr().out
    assert main(["blackbox", "timeline", str(run / "blackbox" / "drive1-0.mcap")]) == 0
    assert "RELEASE   policy abababababab" in capsys.readouterr().out
    assert read_recording(run / "blackbox" / "drive1-0.mcap").metadata["policy_manoeuvre"] == "ab" * 32


def flip(box: Path) -> None:
    data = bytearray((box / "drive1-0.mcap").read_bytes())
    data[len(data) // 2] ^= 1
    (box / "drive1-0.mcap").write_bytes(data)


def forge(box: Path) -> None:
    """A message is changed, and everything made anew that needs no key."""
    path = box / "drive1-0.mcap"
    parts = apart(path.read_bytes())
    chunks = [list(chunk) for chunk in parts.chunks]
    number = next(i for i, chunk in enumerate(chunks) if sum(each[0] < 100 for each in chunk) > 1)
    at = next(i for i, each in enumerate(chunks[number]) if each[0] < 100)
    channel, cycle, stamp, body = chunks[number][at]
    chunks[number][at] = (channel, cycle + 1, stamp, body)
    path.write_bytes(forged(replace(parts, chunks=chunks)))


def swap(box: Path) -> None:
    one, two = box / "drive0-0.mcap", box / "drive1-0.mcap"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def delete(box: Path) -> None:
    (box / "drive1-0.mcap").unlink()


def cut(box: Path) -> None:
    path = box / "drive2-0.mcap"
    path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize("change", [flip, forge, swap, delete, cut])
def test_a_drive_that_was_changed_shows_without_heads(
    copy: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None]
) -> None:
    change(copy / "blackbox")
    code, text = said(capsys, copy)
    assert code == 1, text


def test_the_newest_drive_that_was_taken_away_is_missed_by_its_head(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "blackbox" / "drive2-0.mcap").unlink()
    assert said(capsys, copy)[0] == 0
    code, text = said(capsys, copy, "--heads", str(copy / HEADS))
    assert code == 1
    assert "drive2-0.mcap, whose head the fleet has, is missing" in text


def test_a_disk_that_was_taken_as_a_whole_is_missed_by_its_heads(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "blackbox")
    code, text = said(capsys, copy, "--heads", str(copy / HEADS))
    assert code == 1
    assert "car: nothing is here, the fleet has heads of drive0-0.mcap, drive1-0.mcap, drive2-0.mcap" in text
    assert said(capsys, copy)[0] == 2


def test_robots_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["r10-0.mcap", "r2-1.mcap", "drive10-0.mcap", "r2-0.mcap", "drive9-0.mcap", "other.mcap"]
    assert [path.name for path in sorted(map(Path, names), key=by_number)] == [
        "drive9-0.mcap", "drive10-0.mcap", "other.mcap", "r2-0.mcap", "r2-1.mcap", "r10-0.mcap"]  # fmt: skip


def test_a_fallback_and_a_contact_of_a_drive_are_events_that_the_quota_spares(tmp_path: Path) -> None:
    box = tmp_path / "blackbox"
    key = tmp_path / "keys"
    assert main(["blackbox", "key", SEALED, "--out", str(key)]) == 0
    seal = SealKey(key / "car.seal")
    size = 0
    for number in range(6):
        moments = [replace(moment, contact="", mode="policy") for moment in drives.moments(1.0)]
        if number == 1:
            moments[5] = replace(moments[5], mode="fallback")
            moments[6] = replace(moments[6], mode="fallback", contact="car")
        quota = 0 if number == 0 else 7 * size // 2
        layout = layout_of(drives.course())
        before = max(box.glob("*.mcap"), key=by_number, default=None)
        made = BlackBox(
            box, f"drive{number}", {}, {}, layout=layout, key=seal, quota_bytes=quota or 1 << 30,
            previous=(before.name, last_head(before)) if before is not None else None,
        )  # fmt: skip
        for moment in moments:
            made.append(moment)
        made.close()
        size = size or (box / "drive0-0.mcap").stat().st_size
    left = sorted((path.name for path in box.glob("*.mcap")), key=lambda name: by_number(Path(name)))
    assert left[0] == "drive1-0.mcap", "the event's"
    assert left[-1] == "drive5-0.mcap"
    assert len(left) == 4
    event = read_event(box / "events" / "drive1-0.json")
    assert [trigger.cause for trigger in event.triggers] == ["fallback", "contact"]
    reports = verify([box / name for name in left], VerifyKey(key / "car.verify"))
    assert [report.faults for report in reports] == [[], [], [], []]
    (box / "drive4-0.mcap").unlink()
    reports = verify([box / name for name in left if name != "drive4-0.mcap"], VerifyKey(key / "car.verify"))
    assert reports[-1].faults == ["drive4-0.mcap, the drive before it, is missing"]
