"""Regression tests that are cut from a recording: they pass, they bite, and they need nothing beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fleet.cli import main
from fleet.incident.cutting import decide_again
from fleet.replay import Config, run
from tests.fleet.incident.conftest import Run, write_box


def cut(path: Path, folder: Path, *options: str) -> int:
    return main(["replay", str(path), "--to-test", str(folder), *options])


def test_a_cut_test_runs_by_itself_wherever_it_lies(incident_run: Run, tmp_path: Path, root: Path) -> None:
    assert cut(incident_run.box, tmp_path / "made", "--at", "6.5") == 0
    moved = tmp_path / "elsewhere"
    (tmp_path / "made").rename(moved)
    names = sorted(path.name for path in moved.iterdir())
    assert names == ["r0_at_6_5_s.mcap", "test_r0_at_6_5_s.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(moved), str(moved)]
    done = subprocess.run(
        command,
        cwd=moved,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_only_the_steps_around_the_moment_are_kept_from_a_chunk_on(incident_run: Run, tmp_path: Path) -> None:
    assert cut(incident_run.box, tmp_path, "--at", "6.5", "--seconds", "0.5") == 0
    verdict = decide_again(tmp_path / "r0_at_6_5_s.mcap")
    assert verdict.identical
    assert 11 <= verdict.steps <= 11 + 6  # chunks have seven steps
    assert (tmp_path / "r0_at_6_5_s.mcap").stat().st_size < 0.3 * incident_run.box.stat().st_size


def test_a_cut_test_fails_at_the_first_field_that_is_decided_otherwise(incident_run: Run, tmp_path: Path) -> None:
    steps = list(incident_run.steps)
    spoiled = msgspec.structs.replace(steps[62].outputs, margin=9.0)
    steps[62] = msgspec.structs.replace(steps[62], outputs=spoiled)
    box = write_box(tmp_path, incident_run.policy, steps)
    assert run(Config(box, to_test=tmp_path / "made")) == 0  # without --at: where the first difference is
    (segment,) = (tmp_path / "made").glob("*.mcap")
    verdict = decide_again(segment)
    assert verdict.difference is not None
    assert (verdict.difference.cycle, verdict.difference.field) == (62, "outputs.margin")
    (test,) = (tmp_path / "made").glob("test_*.py")
    scope: dict[str, object] = {"__file__": str(test), "__name__": "made"}
    exec(compile(test.read_text(), str(test), "exec"), scope)
    (decides,) = (each for name, each in scope.items() if name.startswith("test_"))
    assert callable(decides)
    with pytest.raises(AssertionError, match=r"differs at cycle 62 in outputs\.margin"):
        decides()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "expected --at"),
        (("--at", "500"), "within the recording, 0.0 to 14.9 s, got 500"),
        (("--at", "3", "--seconds", "900"), "expected 0 to 60 s"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_line(
    incident_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert cut(incident_run.box, tmp_path / "made", *options) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "made").exists()
