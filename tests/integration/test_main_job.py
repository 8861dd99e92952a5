"""The main job in small: train, freeze, run a fleet in separate processes through the coordinator's death, replay."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

TASKS = 6
ROBOTS = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, str]:
    """Run directory and console text of one launch in which the coordinator was killed while it had work under way."""
    runs = tmp_path_factory.mktemp("runs")
    words = [
        "launch/warehouse_demo.launch.yaml", "steps:=150000", "worlds:=64", "seconds:=170", "target:=0.5",
        f"robots:={ROBOTS}", f"tasks:={TASKS}", "people:=1", "respawn:=true", "video:=false", "limit:=120",
    ]  # fmt: skip
    command = [sys.executable, "-m", "fleet.cli", "launch", *words, "--runs", str(runs)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    launcher = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        kill_coordinator_at_work(runs, launcher)
        text, _ = launcher.communicate(timeout=240)
    finally:
        launcher.terminate()
        launcher.wait(timeout=30)
    assert launcher.returncode == 0, text
    (run,) = runs.iterdir()
    return run, text


def kill_coordinator_at_work(runs: Path, launcher: subprocess.Popen[str]) -> None:
    """kill -9 as soon as the store says that a robot is carrying out a task."""
    deadline = time.monotonic() + 240.0
    while launcher.poll() is None and time.monotonic() < deadline:
        for store in runs.glob("*/tasks.sqlite"):
            if running_tasks(store):
                record = json.loads(store.with_name("run.json").read_text())
                os.kill(record["pids"]["coordinator"], signal.SIGKILL)
                return
        time.sleep(0.1)


def running_tasks(store: Path) -> int:
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM tasks WHERE state = 2").fetchone()
        connection.close()
    except sqlite3.OperationalError:  # the coordinator is just making it
        return 0
    return count


def test_training_reaches_half_of_the_unseen_layouts(job: tuple[Path, str]) -> None:
    manifest = json.loads((job[0] / "policy.json").read_text())
    assert manifest["training"]["steps"] <= 160_000
    assert manifest["evaluation"]["success"] >= 0.5


def test_every_task_is_done_once_though_the_coordinator_was_killed(job: tuple[Path, str]) -> None:
    run, text = job
    assert "[coordinator] ended with -9; started again" in text
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM tasks")]
    connection.close()
    assert states == [3] * TASKS  # TaskState.DONE
    assert json.loads((run / "audit.json").read_text())["findings"] == 0


def test_nobody_collides_by_either_count(job: tuple[Path, str]) -> None:
    plant = json.loads((job[0] / "plant.json").read_text())
    assert (plant["collisions"], plant["oracle_collisions"]) == (0, 0)
    assert plant["rounds"] > 100


def test_the_run_directory_holds_what_it_should(job: tuple[Path, str]) -> None:
    run, _ = job
    for name in ("run.json", "policy.onnx", "policy.json", "tasks.sqlite", "report.html", "plant.npz", "fleet.key"):
        assert (run / name).stat().st_size > 0, name
    assert {path.name for path in (run / "logs").iterdir()} >= {
        f"{name}.log" for name in ("train", "plant", "coordinator", "host-0", "host-1", "fleet")
    }
    assert list((run / "tb").iterdir())
    page = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page), "the report must be self-contained"


def test_a_black_box_of_the_run_replays_identically(job: tuple[Path, str], root: Path) -> None:
    boxes = sorted((job[0] / "blackbox").glob("*.mcap"))
    assert {box.name.partition("-")[0] for box in boxes} == {f"r{number}" for number in range(ROBOTS)}
    done = subprocess.run(
        [sys.executable, "-m", "fleet.cli", "replay", str(boxes[0])],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical" in done.stdout
