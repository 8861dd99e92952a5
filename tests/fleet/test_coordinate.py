"""`muster coordinate`, `muster estop` and `muster jog` over a bus."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coordination.client import FleetClient, new_task_id
from coordination.keys import read_keys
from coordination.messages import Leg, LegKind
from coordination.requests import Task
from fleet import cli
from fleet.ros.bus import open_bus
from fleet.ros.transport import BusClient
from sim.compiled import write_site
from tests.coordination.puppets import make_floor

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bus", "dds", "--plant", "tcp://127.0.0.1:7411"], "--plant: over a bus expected ros or ros:/SPACE"),
        (["--clock", "wall", "--ros-args", "-r", "__ns:=/hall2"], "expected no ROS arguments without a bus"),
        (["--clock", "lockstep"], "--plant: lockstep needs the plant's address"),
        (["--bus", "zenoh"], "zenoh"),
    ],
)
def test_a_coordinator_that_cannot_be_is_one_clear_line(
    refused: Callable[..., str], words: list[str], said: str, tmp_path: Path
) -> None:
    assert said in refused("coordinate", "--run", tmp_path, *words)


@pytest.mark.slow
def test_a_coordinator_over_dds_takes_tasks_and_stops_from_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
    write_site(make_floor(), tmp_path / "floor.npz")
    words = ["--site", str(tmp_path / "floor.npz"), "--run", str(tmp_path), "--clock", "wall", "--bus", "dds"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", "coordinate", *words, "--ros-args", "-r", "__ns:=/hall2"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 120.0)[0], "not ready within 120 s"
        assert process.stdout.readline() == "coordinator ready on dds /hall2/coordinator, 0 open tasks\n"
        bus = open_bus("dds")
        keys = read_keys(tmp_path / "fleet.key")
        end = BusClient(bus, bus.node("person"), "person", "coordinator", keys, "/hall2/coordinator")
        assert end.connected(20.0)
        task = Task(new_task_id(), (Leg(int(make_floor().free_cells[0]), LegKind.VISIT),))
        assert FleetClient(end).submit([task], timeout=20.0) == (task.id,)
        assert FleetClient(end).query(20.0).counts["QUEUED"] == 1
        address = ["--bus", "dds", "--address", "ros:/hall2/coordinator", "--timeout", "20"]
        assert cli.main(["estop", "raise", "--reason", "smoke", *address]) == 0
        assert "STOPPED" in capsys.readouterr().out
        assert FleetClient(end).query(20.0).stopped
        there = ["--key", str(tmp_path / "fleet.key"), *address]
        assert cli.main(["jog", *there]) == 0
        assert "no robot asks for an operator" in capsys.readouterr().out
        assert cli.main(["jog", "r0", "--seconds", "1", *there]) == 2
        assert "r0 is not taken: no robot r0 has been heard" in capsys.readouterr().err
        bus.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        process.communicate()
