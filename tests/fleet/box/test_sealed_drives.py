"""Black boxes of cars are sealed as those of robots are: what is changed, taken away or put elsewhere shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.box.recorder import HEADS
from fleet.box.sealkey import SEALED, SealKey
from fleet.cli import main
from fleet.drivelog import recording
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
    from fleet.box.keep import by_number

    names = ["r10-0.mcap", "r2-1.mcap", "drive10-0.mcap", "r2-0.mcap", "drive9-0.mcap", "other.mcap"]
    assert [path.name for path in sorted(map(Path, names), key=by_number)] == [
        "drive9-0.mcap", "drive10-0.mcap", "other.mcap", "r2-0.mcap", "r2-1.mcap", "r10-0.mcap"]  # fmt: skip
