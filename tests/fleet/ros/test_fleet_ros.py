"""launch/fleet_ros.launch.yaml as processes over DDS."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.replay import replay_all
from tests.fleet.hand_policy import write_hand_policy


@pytest.mark.slow
def test_in_real_time_a_fleet_over_dds_does_its_tasks_without_a_collision(root: Path, tmp_path: Path) -> None:
    """Nobody waits for anybody: what a loaded machine delays stops robots, and moves none into another."""
    run, said = launched(root, tmp_path, "lockstep:=false", "people:=2", "tasks:=4")
    assert states(run) == [3, 3, 3, 3], said  # TaskState.DONE
    plant = json.loads((run / "plant.json").read_text())
    assert (plant["clock"], plant["ended"]) == ("wall", "all tasks have ended")
    assert (plant["collisions"], plant["oracle_collisions"]) == (0, 0)
    robots = [line for path in run.glob("robots-*.json") for line in json.loads(path.read_text())["robots"].values()]
    assert len(robots) == 2, "robots end with their plant, and leave their records before the report is written"
    assert all(line["steps"] > 100 and line["errors"] == 0 for line in robots)
    assert "left no record" not in said
    verdicts = list(replay_all(run))
    assert {verdict.path.stem.partition("-")[0] for verdict in verdicts} == {"r0", "r1"}
    assert all(verdict.identical for verdict in verdicts), [verdict.line() for verdict in verdicts]


@pytest.mark.slow
def test_a_fleet_over_dds_does_its_tasks_and_its_black_boxes_replay(root: Path, tmp_path: Path) -> None:
    run, said = launched(root, tmp_path, "tasks:=2", "people:=0")
    assert states(run) == [3, 3], said  # TaskState.DONE
    verdicts = list(replay_all(run))
    assert {verdict.path.stem.partition("-")[0] for verdict in verdicts} == {"r0", "r1"}
    assert all(verdict.identical for verdict in verdicts), [verdict.line() for verdict in verdicts]


def launched(root: Path, tmp_path: Path, *more: str) -> tuple[Path, str]:
    """Launch two robots over DDS, and wait for the end; the run, and what was said."""
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    (tmp_path / "policy").mkdir()
    write_hand_policy(tmp_path / "policy")
    words = ["launch/fleet_ros.launch.yaml", f"policy:={tmp_path / 'policy'}", "robots:=2", *more]
    words += ["video:=false", "bus:=dds", f"domain:={101 + os.getpid() % 100}", "limit:=250", "site:=generate:7:14x12"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "ROS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "fleet.cli", "launch", *words, "--runs", str(tmp_path / "runs")],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    return run, done.stdout + done.stderr


def states(run: Path) -> list[int]:
    """Of every task."""
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        found = [state for (state,) in connection.execute("SELECT state FROM tasks")]
    connection.close()
    return found
