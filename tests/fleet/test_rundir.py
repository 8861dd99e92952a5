"""The run directory."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from fleet.rundir import RunError, amend_record, create_run, join_run, open_run, read_record


def test_a_run_directory_is_named_by_time_and_explains_itself(tmp_path: Path) -> None:
    noon = datetime.datetime(2026, 11, 21, 12, 0, 5, tzinfo=datetime.UTC)
    run = create_run(tmp_path / "runs", arguments=["muster", "sim"], config={"site": Path("x")}, seed=3, now=noon)
    assert run.root.name.startswith("20261121T120005Z-")
    assert len(run.root.name) == len("20261121T120005Z-") + 6
    record = json.loads(run.record.read_text())
    assert record["arguments"] == ["muster", "sim"]
    assert record["config"] == {"site": "x"}
    assert (record["seed"], record["clock"]) == (3, "lockstep")
    assert record["versions"]["numpy"]
    assert record["cpu"]["cores"] >= 1
    assert run.logs.is_dir()
    assert run.blackbox.is_dir()


def test_two_runs_of_one_second_are_two(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert len({create_run(tmp_path, now=now).root for _ in range(5)}) == 5


def test_a_process_of_a_launch_joins_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path)
    monkeypatch.setenv("MUSTER_RUN", str(run.root))
    assert join_run(tmp_path / "other") == run
    monkeypatch.delenv("MUSTER_RUN")
    assert join_run(tmp_path / "other").root.parent == tmp_path / "other"


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run directory: it has no run\.json"):
        open_run(tmp_path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunError, match="cannot make the run directory"):
        create_run(tmp_path / "runs")


def test_entries_are_added_to_the_record(tmp_path: Path) -> None:
    run = create_run(tmp_path, seed=5)
    amend_record(run, exit_code=0, places=(tmp_path,))
    assert read_record(run)["exit_code"] == 0
    assert read_record(run)["places"] == [str(tmp_path)]
    assert read_record(run)["seed"] == 5
