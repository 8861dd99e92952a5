"""`muster car` and `muster road`: what they refuse, and a drive of the two as processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet import cli
from tests.fleet.drivepolicies import write_driving_policies


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["car"], "--policy: expected a run of driving-train, got none"),
        (["car", "--policy", "nowhere"], "expected driving policies in nowhere"),
        (["car", "--policy", "nowhere", "--site", "tow:7"], "expected a road"),
        (["car", "--policy", "nowhere", "--bus", "loop"], "--bus: expected auto, dds or rclpy, got loop"),
        (["car", "--policy", "nowhere", "--dead-man", "5"], "--dead-man"),
        (["road", "--site", "town:1,town:2"], "--site: expected one road, got 2"),
        (["road", "--fault", "policy:3"], "--fault: expected a sensor's fault"),
        (["road", "--bus", "none"], "--bus: expected auto, dds or rclpy, got none"),
        (["road", "--traffic", "-1"], "--traffic"),
        (["road", "--charge", "87"], "--charge"),
    ],
)
def test_a_wrong_command_line_is_refused_in_a_line(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    said = capsys.readouterr().err.strip()
    assert why in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("clock", ["lockstep", "wall"])
def test_a_car_and_its_plant_drive_as_processes(tmp_path: Path, clock: str) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    policies = write_driving_policies(tmp_path / "policies")
    domain = {"ROS_DOMAIN_ID": str(101 + os.getpid() % 100), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "fleet.cli", *words], env=os.environ | domain, stdout=subprocess.PIPE, text=True
        )

    where = ("--ros-args", "-r", "__ns:=/r1")
    lockstep, seconds = clock == "lockstep", 3
    waits = "--lockstep" if lockstep else "--no-lockstep"
    car = start("car", "--site", "highway:3", "--policy", str(policies), "--drive", waits, "--bus", "dds",
                "--out", str(tmp_path / "runs"), *where, "-p", "use_sim_time:=true")  # fmt: skip
    processes = [car]
    try:
        assert car.stdout is not None
        assert "/r1/car drives" in car.stdout.readline(), "in real time nobody waits for a car that is still loading"
        road = start("road", "--site", "highway:3", "--seed", "5", "--seconds", str(seconds), "--clock", clock,
                     "--bus", "dds", "--wait", "120", *where)  # fmt: skip
        processes.append(road)
        assert road.stdout is not None
        assert road.stdout.readline().endswith(f"{clock}\n")
        began = time.monotonic()
        said, _ = road.communicate(timeout=240)
        took = time.monotonic() - began
        assert road.returncode == 0
        commands, missed = re.findall(r"(\d+) commands, (\d+) missed", said)[0]
        assert int(commands) == 20 * seconds
        assert int(missed) == 0 if lockstep else took > seconds - 0.2
        car.terminate()
        said, _ = car.communicate(timeout=60)
        assert car.returncode == 130
        steps = int(said.split()[0])
        assert steps == 60 if lockstep else steps > 30, "in real time it has steps before and after the drive, too"
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=60)
    (box,) = tmp_path.glob("runs/*/blackbox/drive0-0.mcap")
    assert cli.main(["replay", str(box)]) == 0
