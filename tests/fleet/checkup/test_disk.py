"""What the doctor says of the place for runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.checkup.disk import DiskFacts, check, look
from fleet.checkup.finding import Verdict

WELL = DiskFacts("/runs", "", 10_000_000_000, (0.001, 0.002, 0.01))


def faulty(facts: DiskFacts, robots: int = 1) -> list[str]:
    return [each.name for each in check(facts, robots) if each.verdict is Verdict.MEND]


def test_a_quick_disk_with_room_is_well() -> None:
    assert faulty(WELL) == []


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("writable", DiskFacts("/runs", "Read-only file system")),
        ("free", replace(WELL, free=800_000_000)),
        ("fdatasync", replace(WELL, syncs=(0.06, 0.06, 0.06))),
        ("fdatasync", replace(WELL, syncs=(0.001, 0.001, 0.6))),
    ],
)
def test_a_planted_fault_is_named(name: str, facts: DiskFacts) -> None:
    assert faulty(facts) == [name]


def test_more_robots_need_more_room() -> None:
    """30 kB/s for 8 h are 0.864 GB a robot."""
    assert faulty(replace(WELL, free=870_000_000), robots=1) == []
    assert faulty(replace(WELL, free=870_000_000), robots=2) == ["free"]


def test_a_look_writes_and_leaves_nothing(tmp_path: Path) -> None:
    facts = look(tmp_path / "runs" / "deeper", writes=3)
    assert facts.place == str(tmp_path)
    assert facts.error == ""
    assert facts.free > 0
    assert len(facts.syncs) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert look(tmp_path / "runs").error == "Not a directory"
