"""launch/car.launch.yaml: what it starts, and the whole of it as processes over DDS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet.launchfile import read_plan
from fleet.replay import replay_all
from tests.fleet.drivepolicies import write_driving_policies


def started(root: Path, given: dict[str, str]) -> dict[str, tuple[list[str], dict[str, object]]]:
    """By process: the words and the ROS parameters that it is given."""
    plan = read_plan(root / "launch" / "car.launch.yaml", given, {})
    found: dict[str, tuple[list[str], dict[str, object]]] = {}
    for process in plan.processes:
        parameters: dict[str, object] = {}
        for text in process.documents:
            ((_, document),) = yaml.safe_load(text).items()
            parameters |= document["ros__parameters"]
        found[process.name] = list(process.command), parameters
    return found


def test_a_car_is_launched_alone_and_in_shadow(root: Path) -> None:
    ((name, (words, parameters)),) = started(root, {}).items()
    assert name == "car1.car"
    assert {"--no-drive", "--no-lockstep"} <= set(words)
    assert (parameters["use_sim_time"], parameters["frame_prefix"]) == (False, "car1/")


def test_its_plant_keeps_the_time_that_it_drives_by(root: Path) -> None:
    found = started(root, {"robot": "r1", "plant": "true", "drive": "true", "lockstep": "true"})
    (plant, _), (car, parameters) = found["r1.plant"], found["r1.car"]
    assert plant[plant.index("--clock") + 1] == "lockstep"
    assert {"--drive", "--lockstep"} <= set(car)
    assert (parameters["use_sim_time"], parameters["frame_prefix"]) == (True, "r1/")


@pytest.mark.slow
def test_a_launched_car_drives_its_plant_over_dds_and_its_black_box_replays(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    policies = write_driving_policies(tmp_path / "policies")
    words = ["launch/car.launch.yaml", f"policy:={policies}", "plant:=true", "drive:=true", "lockstep:=true"]
    words += ["site:=highway:3", "seed:=5", "seconds:=3", "bus:=dds", f"domain:={101 + os.getpid() % 100}"]
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
    assert "60 commands, 0 missed" in done.stdout
    assert "/car1/car drives" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    (verdict,) = replay_all(run)
    assert verdict.identical, verdict.line()
    assert verdict.steps == 60
