"""`muster robot` as a process: it releases what a recorded plant had released; refusals are said in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from coordination.keys import Keys, read_keys, write_keys
from coordination.messages import Join
from fleet import cli, watchdog
from fleet.judge.logs import missions_of
from fleet.judge.missions import FILE as MISSIONS
from fleet.judge.missions import read_missions
from fleet.replay import replay_all
from fleet.rundir import ENVIRONMENT, RunDirectory
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.recorded_plant import SITE, RecordedPlant


@pytest.fixture
def background(recorded_run: RunDirectory, recorded_plant: RecordedPlant) -> Iterator[subprocess.Popen[str]]:
    """A robot as a shell starts a background job: SIGINT ignored."""
    process = start(recorded_run, recorded_plant, before=("sh", "-c", "trap '' INT; exec \"$@\"", "sh"))
    with process:
        yield process
        process.kill()


def start(
    directory: RunDirectory, plant: RecordedPlant, *words: str, before: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "fleet.cli", "robot", "--site", str(directory.root / SITE)]
    command += ["--plant", plant.plant, "--coordinator", plant.coordinator, *words]
    environment = {**os.environ, ENVIRONMENT: str(directory.root), "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(
        command, env=environment, cwd=directory.root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_robot_process_releases_what_was_recorded_and_leaves_a_black_box(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant
) -> None:
    process = start(recorded_run, recorded_plant)
    assert recorded_plant.serve()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "robots ready: r0" in output
    wanted = {moment.cycle.round: moment.released for moment in recorded_plant.moments}
    assert recorded_plant.commands == wanted
    assert recorded_plant.said_by == ["loop"] * len(wanted)
    assert recorded_plant.reports[-1].legs_done == 1
    (verdict,) = replay_all(recorded_run.root)
    assert verdict.identical, verdict.line()
    assert verdict.steps == len(wanted)
    summary = json.loads((recorded_run.root / "robots-r0.json").read_text())["robots"]["r0"]
    assert summary["steps"] == len(wanted)
    assert summary["blackbox"]["dropped"] == 0
    assert summary["errors"] == 0
    assert summary["missions"]["told"] == 1
    (told,) = read_missions(recorded_run.root / MISSIONS)
    (logged,) = missions_of(recorded_run.root).missions  # the black box says the same, but for clock and latency
    ahead = told.begin - logged.begin
    assert ahead > 10**18  # the recorded site began at 0
    assert told.latency_p99 is not None
    assert (
        msgspec.structs.replace(
            told, begin=told.begin - ahead, end=told.end - ahead, shift=logged.shift, latency_p99=None
        )
        == logged
    )
    assert (told.done, told.arm, told.interventions) == (True, "baseline", 0)


def test_a_robot_drives_with_its_own_key_alone_watchdog_and_all(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant
) -> None:
    own = recorded_run.root / "r0.key"
    write_keys(own, Keys(nodes={"r0": read_keys(recorded_run.key).node("r0") or b""}))
    recorded_run.key.unlink()
    process = start(recorded_run, recorded_plant, "--key", str(own))
    assert recorded_plant.serve()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "robots ready: r0" in output
    assert not recorded_run.key.exists(), "nobody made another key"


def test_a_terminated_robot_says_goodbye_and_finishes_its_files(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant
) -> None:
    process = start(recorded_run, recorded_plant)
    serve_until(recorded_plant, recorded_plant.joined.is_set)
    recorded_plant._plant.send("r0", recorded_plant.moments[0].cycle, 0)
    serve_until(recorded_plant, lambda: recorded_plant.commands)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    (verdict,) = replay_all(recorded_run.root)
    assert verdict.steps == 1
    assert not verdict.notes


def serve_until(plant: RecordedPlant, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30.0
    while not holds() and time.monotonic() < deadline:
        plant._take(0.05)


def refused(process: subprocess.Popen[str]) -> str:
    """The one line of a process that was refused."""
    _, errors = process.communicate(timeout=40)
    assert process.returncode == 2, errors
    lines = [line for line in errors.splitlines() if line and "Warp" not in line]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    return lines[0]


def test_a_policy_for_another_robot_is_refused_with_where_the_contracts_differ(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant, tmp_path: Path
) -> None:
    write_hand_policy(tmp_path, RobotSpec(length=0.5))
    line = refused(start(recorded_run, recorded_plant, "--policy", str(tmp_path)))
    assert "they differ in embodiment: expected" in line


def test_a_missing_plant_is_said(recorded_run: RunDirectory, recorded_plant: RecordedPlant) -> None:
    recorded_plant.close()
    assert "expected a plant to answer robot r0" in refused(start(recorded_run, recorded_plant, "--patience", "1"))
    assert not list(recorded_run.blackbox.iterdir())


def test_a_busy_metrics_port_is_said(recorded_run: RunDirectory, recorded_plant: RecordedPlant) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert f"--metrics-port: tcp://127.0.0.1:{port} is in use" in refused(
            start(recorded_run, recorded_plant, "--metrics-port", str(port))
        )


def test_another_floor_than_the_plants_is_refused(recorded_run: RunDirectory, recorded_plant: RecordedPlant) -> None:
    recorded_plant._site = "0" * 64
    process = start(recorded_run, recorded_plant)
    serve_until(recorded_plant, recorded_plant.joined.is_set)
    assert "the same site" in refused(process)


def test_a_base_with_another_motor_than_the_bound_was_measured_with_is_refused(
    recorded_run: RunDirectory, recorded_plant: RecordedPlant
) -> None:
    recorded_plant.motor = "0" * 64
    process = start(recorded_run, recorded_plant)
    serve_until(recorded_plant, recorded_plant.joined.is_set)
    assert "r0's drives by 000000000000" in refused(process)


def test_no_robot_joins_before_its_watchdog_is_up(
    recorded_run: RunDirectory,
    recorded_plant: RecordedPlant,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The watchdog here is a process that lives and never watches."""
    sleeper = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(watchdog, "start", lambda *_, **__: sleeper)
    monkeypatch.setattr(watchdog, "START", 0.5)
    monkeypatch.setenv(ENVIRONMENT, str(recorded_run.root))
    words = ["robot", "--site", str(recorded_run.root / SITE), "--plant", recorded_plant.plant]
    with sleeper:
        code = cli.main([*words, "--coordinator", recorded_plant.coordinator, "--patience", "5"])
        sleeper.kill()
    assert code == 2
    assert "expected the watchdog to be up within 0.5 s" in capsys.readouterr().err
    assert not [message for message in recorded_plant._plant.receive(0.5) if isinstance(message.body, Join)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_robot_that_waits_for_its_plant_ends_when_it_is_told_to(
    background: subprocess.Popen[str], recorded_plant: RecordedPlant, number: signal.Signals
) -> None:
    deadline = time.monotonic() + 60.0
    while not recorded_plant._plant.receive(0.05):  # it asks to join, and nobody answers
        assert time.monotonic() < deadline
    background.send_signal(number)
    _, errors = background.communicate(timeout=20)  # its patience is 60 s
    assert background.returncode == 130, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ros-args", "-p", "use_sim_time:=true"], "expected no ROS arguments without a bus"),
        (["--bus", "dds", "--coordinator", "tcp://127.0.0.1:7410x"], "ros or ros:/SPACE, got"),
        (["--bus", "dds", "--coordinator", "roos"], "expected ros or ros:/SPACE"),
        (["--bus", "dds", "--robots", "r0,r1", "--ros-args", "-r", "__ns:=/cell"], "a namespace for each of r0, r1"),
        (["--bus", "dds", "--ros-args", "-p", "speed"], 'expected "name:=value"'),
        (["--bus", "zenoh"], "zenoh"),
    ],
)
def test_a_robot_that_cannot_be_on_a_bus_is_one_clear_line(
    words: list[str],
    said: str,
    recorded_run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(recorded_run.root))
    assert cli.main(["robot", "--site", str(recorded_run.root / SITE), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
