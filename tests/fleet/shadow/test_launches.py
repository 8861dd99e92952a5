"""Whole launches with a candidate in the shadow: in lockstep, in real time, over ROS 2, and of one robot by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordination.keys import ensure_keys
from fleet.rundir import ENVIRONMENT, create_run
from fleet.shadow.summary import summary
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy

LAUNCHES = Path(__file__).parents[3] / "launch"
SITE = "generate:7:16x12:person-free"
BOUND = 300.0
"""s: each takes half a minute on two idle cores."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    found = []
    for speed in (0.6, 1.0):
        place = tmp_path_factory.mktemp("policy")
        write_hand_policy(place, RobotSpec(), speed=speed)
        found.append(place)
    return found[0], found[1]


@pytest.fixture
def environment() -> dict[str, str]:
    """A ROS 2 domain of this test's own."""
    domain = {"ROS_DOMAIN_ID": str(101 + os.getpid() % 100), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return {name: value for name, value in os.environ.items() if name != ENVIRONMENT} | domain


def start(words: list[str], where: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleet.cli", *words]
    return subprocess.Popen(
        command, cwd=where, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def judged(run: Path, robots: set[str]) -> None:
    """Each robot's candidate was asked, and production missed nothing by it."""
    found = summary(run)
    assert set(found.robots) <= robots
    assert found.pairs > 20
    assert found.differing > 0.0, "the candidate is another one"
    assert found.failures_candidate == 0
    for file in run.glob("robots-*.json"):
        for line in json.loads(file.read_text())["robots"].values():
            assert line["errors"] == 0


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("shadow", ["clock:=wall"]),
        ("fleet_ros", ["video:=false", "bus:=dds"]),
        ("fleet_ros", ["video:=false", "bus:=dds", "lockstep:=false"]),
    ],
)
def test_a_fleet_drives_with_a_candidate_beside_it(
    file: str, words: list[str], policies: tuple[Path, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    if file == "fleet_ros":
        pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    given = [f"policy:={policies[0]}", f"shadow:={policies[1]}", f"site:={SITE}", "robots:=2", "tasks:=2", "people:=0"]
    launch = ["launch", str(LAUNCHES / f"{file}.launch.yaml"), *given, *words, "--runs", str(tmp_path / "runs")]
    process = start(launch, tmp_path, environment)
    try:
        said, _ = process.communicate(timeout=BOUND)
    finally:
        process.terminate()
    assert process.returncode == 0, said
    (run,) = (tmp_path / "runs").iterdir()
    judged(run, {"r0", "r1"})
    if file == "shadow":
        assert (run / "shadow.html").exists()


def test_one_robot_behind_a_bus_drives_with_a_candidate_beside_it(
    policies: tuple[Path, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    run = create_run(tmp_path / "runs")
    ensure_keys(run.key)
    environment[ENVIRONMENT] = str(run.root)
    shared = ["--bus", "dds", "--site", SITE]
    robot = [f"policy:={policies[0]}", f"shadow:={policies[1]}", f"site:={SITE}", "robot:=r0", "bus:=dds"]
    robot += ["sim_time:=true", "uncalibrated:=drive", f"domain:={environment['ROS_DOMAIN_ID']}"]
    processes = [
        start(["sim", *shared, "--robots", "r0", "--people", "0", "--clock", "wall", "--patience", str(BOUND)],
              tmp_path, environment),
        start(["coordinate", *shared, "--once", "--clock", "wall", "--plant", "ros"], tmp_path, environment),
        start(["launch", str(LAUNCHES / "robot.launch.yaml"), *robot], tmp_path, environment),
        start(["fleet", *shared, "--tasks", "1", "--robots", "1", "--limit", str(BOUND), "--no-video"],
              tmp_path, environment),
    ]  # fmt: skip
    try:
        said, _ = processes[3].communicate(timeout=BOUND)
        assert processes[3].returncode == 0, said
    finally:
        for process in processes[:3]:
            process.terminate()
        told = [process.communicate(timeout=60)[0] for process in processes[:3]]
    assert summary(run.root).pairs > 20, told[2]
    judged(run.root, {"r0"})
