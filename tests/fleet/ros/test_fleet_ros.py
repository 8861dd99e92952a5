"""launch/fleet_ros.launch.yaml as processes over DDS."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.replay import replay_all
from tests.fleet.hand_policy import write_hand_policy


@pytest.mark.slow
def test_a_fleet_over_dds_does_its_tasks_and_its_black_boxes_replay(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    (tmp_path / "policy").mkdir()
    write_hand_policy(tmp_path / "policy")
    words = ["launch/fleet_ros.launch.yaml", f"policy:={tmp_path / 'policy'}", "robots:=2", "tasks:=2", "people:=0"]
    words += ["video:=false", "bus:=dds", f"domain:={101 + os.getpid() % 100}", "limit:=150", "site:=generate:7:14x12"]
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
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        assert [state for (state,) in connection.execute("SELECT state FROM tasks")] == [3, 3]  # TaskState.DONE
    connection.close()
    verdicts = list(replay_all(run))
    assert len(verdicts) == 2
    assert all(verdict.identical for verdict in verdicts), [verdict.line() for verdict in verdicts]
