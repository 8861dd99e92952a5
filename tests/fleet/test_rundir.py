"""The run directory."""

from __future__ import annotations

import datetime
import json
import threading
from pathlib import Path

import pytest

from coordination.messages import Leg, LegKind
from coordination.requests import Task
from coordination.tasks import Store
from fleet.rundir import (
    RunError,
    amend_record,
    create_run,
    discard_unused,
    is_unused,
    join_run,
    open_run,
    read_record,
)


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


def test_processes_of_a_run_take_turns_at_its_record(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    writers = [threading.Thread(target=lambda k=k: amend_record(run, **{f"entry_{k}": k})) for k in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert all(read_record(run)[f"entry_{k}"] == k for k in range(16))
    assert not [path for path in run.root.iterdir() if path.is_file() and path != run.record]


@pytest.mark.parametrize(
    ("file", "text", "unused"),
    [
        ("logs/plant.log", "plant: no", True),
        ("fleet.key", "00", True),
        ("tasks.sqlite.lock", "", True),
        ("robots-r0.json", '{"robots": {"r0": {"steps": 0}}}', True),
        ("robots-r0.json", '{"robots": {"r0": {"steps": 1}}}', False),
        ("robots-r0.json", "{", False),
        ("tasks.sqlite", "not a store", False),
        ("plant.npz", "", False),
        ("policy.onnx", "", False),
        ("checkpoints/checkpoint.pt", "", False),
        ("tb/events", "", False),
        ("blackbox/r0-1.mcap", "", False),
        ("logs/deep/x.log", "", False),
        ("notes.txt", "mine", False),
    ],
)
def test_a_run_is_unused_while_it_has_no_result(tmp_path: Path, file: str, text: str, unused: bool) -> None:
    run = create_run(tmp_path)
    path = run.root / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert is_unused(run) is unused
    kept = run in discard_unused()
    assert kept is unused
    assert run.root.exists() is not unused


@pytest.mark.parametrize("deed", ["assign", "grant", "stop"])
def test_a_store_is_a_result_once_something_happened_in_it(tmp_path: Path, deed: str) -> None:
    run = create_run(tmp_path)
    store = Store(run.tasks)
    assert is_unused(run)
    store.submit([Task("a", (Leg(1, LegKind.VISIT),))], now=1)
    assert is_unused(run)  # nobody has begun it
    if deed == "assign":
        store.assign("a", "r0", now=2)
    elif deed == "grant":
        store.hold("r0", [3], 1, 2)
    else:
        store.set_latch(stopped=True, stop_epoch=1, now=2, by="ann")
    assert not is_unused(run)
    store.close()
    assert not is_unused(run)
    assert discard_unused() == ()
    assert run.tasks.exists()


def test_a_run_of_another_process_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tmp_path)
    monkeypatch.setattr("fleet.rundir._made", [])
    assert open_run(run.root) == run
    assert discard_unused() == ()
    assert run.record.exists()
