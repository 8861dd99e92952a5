"""One launch on the site that shows every fixture: loads through door and slow lane, pods to stations and back."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.fixtures import DoorState
from sim.pace import SHARE
from sim.readers import load_site
from sim.robot import RobotSpec
from sim.trace import read_trace
from tests.fleet.hand_policy import write_hand_policy

SITE = "launch/sites/pod_hall.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The run directory of three robots with five loads and three pods."""
    policy, runs = tmp_path_factory.mktemp("policy"), tmp_path_factory.mktemp("runs")
    write_hand_policy(policy)
    words = [
        "launch/warehouse.launch.yaml", f"policy:={policy}", f"site:={SITE}", "robots:=3", "tasks:=8", "pods:=3",
        "people:=0", "video:=false", "limit:=200",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    command = [sys.executable, "-m", "fleet.cli", "launch", *words, "--runs", str(runs)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (directory,) = runs.iterdir()
    return directory


@pytest.mark.slow
def test_all_loads_and_pods_come_where_they_should(run: Path) -> None:
    with sqlite3.connect(run / "tasks.sqlite") as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM tasks")]
    connection.close()
    assert states == [3] * 8  # TaskState.DONE
    plant = json.loads((run / "plant.json").read_text())
    assert (plant["collisions"], plant["oracle_collisions"]) == (0, 0)
    assert json.loads((run / "audit.json").read_text())["findings"] == 0


@pytest.mark.slow
def test_every_pod_was_away_and_is_home_again(run: Path, root: Path) -> None:
    site, trace = load_site(str(root / SITE)), read_trace(run)
    home = site.centre(np.array(site.fixtures.pods))
    away = np.hypot(*np.moveaxis(trace.pods[..., :2] - home, -1, 0))
    assert (away.max(axis=0) > 10.0).all()
    assert (away[-1] < 0.15).all()


@pytest.mark.slow
def test_the_slow_lane_was_kept_and_the_door_passed(run: Path, root: Path) -> None:
    site, trace = load_site(str(root / SITE)), read_trace(run)
    (zone,) = site.fixtures.zones
    spec = RobotSpec()
    cells = site.cell_at(trace.poses[..., :2])
    step = np.hypot(*np.moveaxis(np.diff(trace.poses[..., :2], axis=0), -1, 0)) / (spec.period / 1e9)
    inside = np.isin(cells[1:], zone.cells) & np.isin(cells[:-1], zone.cells)
    assert inside.sum() > 200
    assert step[inside].max() <= 1.02 * zone.limit
    assert step[~inside].max() > 0.8  # elsewhere they drive on
    assert SHARE < 1.0
    (door,) = site.fixtures.doors
    assert door.state is DoorState.AUTOMATIC
    through = np.isin(cells, door.cells)
    assert through.any()
    assert trace.doors[through.any(axis=1), 0].all()  # open whenever somebody is in it
