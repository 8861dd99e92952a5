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

import pytest

from coordination.keys import Keys, new_keys, read_keys, write_keys
from coordination.messages import Join
from fleet import cli, watchdog
from fleet.replay import replay_all
from fleet.rundir import ENVIRONMENT, RunDirectory, create_run
from sim.robot import RobotSpec
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.recorded_plant import SITE, RecordedPlant, make_recording


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run directory with key, floor, policy and a recorded life."""
    run = create_run(tmp_path)
    write_keys(run.key, new_keys())
    make_recording(run.root, seconds=12.0)
    return run


@pytest.fixture
def recorded(directory: RunDirectory) -> Iterator[RecordedPlant]:
    plant = RecordedPlant(directory.root, read_keys(directory.key))
    yield plant
    plant.close()


@pytest.fixture
def background(directory: RunDirectory, recorded: RecordedPlant) -> Iterator[subprocess.Popen[str]]:
    """A robot as a shell starts a background job: SIGINT ignored."""
    process = start(directory, recorded, before=("sh", "-c", "trap '' INT; exec \"$@\"", "sh"))
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
    directory: RunDirectory, recorded: RecordedPlant
) -> None:
    process = start(directory, recorded)
    assert recorded.serve()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "robots ready: r0" in output
    wanted = {moment.cycle.round: moment.released for moment in recorded.moments}
    assert recorded.commands == wanted
    assert recorded.said_by == ["loop"] * len(wanted)
    assert recorded.reports[-1].legs_done == 1
    (verdict,) = replay_all(directory.root)
    assert verdict.identical, verdict.line()
    assert verdict.steps == len(wanted)
    summary = json.loads((directory.root / "robots-r0.json").read_text())["robots"]["r0"]
    assert summary["steps"] == len(wanted)
    assert summary["blackbox"]["dropped"] == 0
    assert summary["errors"] == 0


def test_a_robot_drives_with_its_own_key_alone_watchdog_and_all(
    directory: RunDirectory, recorded: RecordedPlant
) -> None:
    own = directory.root / "r0.key"
    write_keys(own, Keys(nodes={"r0": read_keys(directory.key).node("r0") or b""}))
    directory.key.unlink()
    process = start(directory, recorded, "--key", str(own))
    assert recorded.serve()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "robots ready: r0" in output
    assert not directory.key.exists(), "nobody made another key"


def test_a_terminated_robot_says_goodbye_and_finishes_its_files(
    directory: RunDirectory, recorded: RecordedPlant
) -> None:
    process = start(directory, recorded)
    serve_until(recorded, recorded.joined.is_set)
    recorded._plant.send("r0", recorded.moments[0].cycle, 0)
    serve_until(recorded, lambda: recorded.commands)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    (verdict,) = replay_all(directory.root)
    assert verdict.steps == 1
    assert not verdict.notes


def serve_until(recorded: RecordedPlant, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30.0
    while not holds() and time.monotonic() < deadline:
        recorded._take(0.05)


def refused(process: subprocess.Popen[str]) -> str:
    """The one line of a process that was refused."""
    _, errors = process.communicate(timeout=40)
    assert process.returncode == 2, errors
    lines = [line for line in errors.splitlines() if line and "Warp" not in line]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    return lines[0]


def test_a_policy_for_another_robot_is_refused_with_both_contracts(
    directory: RunDirectory, recorded: RecordedPlant, tmp_path: Path
) -> None:
    write_hand_policy(tmp_path, RobotSpec(length=0.5))
    line = refused(start(directory, recorded, "--policy", str(tmp_path)))
    assert line.count('"embodiment"') == 2


def test_a_missing_plant_is_said(directory: RunDirectory, recorded: RecordedPlant) -> None:
    recorded.close()
    assert "expected a plant to answer robot r0" in refused(start(directory, recorded, "--patience", "1"))
    assert not list(directory.blackbox.iterdir())


def test_a_busy_metrics_port_is_said(directory: RunDirectory, recorded: RecordedPlant) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert f"--metrics-port: tcp://127.0.0.1:{port} is in use" in refused(
            start(directory, recorded, "--metrics-port", str(port))
        )


def test_another_floor_than_the_plants_is_refused(directory: RunDirectory, recorded: RecordedPlant) -> None:
    recorded._site = "0" * 64
    process = start(directory, recorded)
    serve_until(recorded, recorded.joined.is_set)
    assert "the same site" in refused(process)


def test_a_base_with_another_motor_than_the_bound_was_measured_with_is_refused(
    directory: RunDirectory, recorded: RecordedPlant
) -> None:
    recorded.motor = "0" * 64
    process = start(directory, recorded)
    serve_until(recorded, recorded.joined.is_set)
    assert "r0's drives by 000000000000" in refused(process)


def test_no_robot_joins_before_its_watchdog_is_up(
    directory: RunDirectory,
    recorded: RecordedPlant,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The watchdog here is a process that lives and never watches."""
    sleeper = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(watchdog, "start", lambda *_, **__: sleeper)
    monkeypatch.setattr(watchdog, "START", 0.5)
    monkeypatch.setenv(ENVIRONMENT, str(directory.root))
    words = ["robot", "--site", str(directory.root / SITE), "--plant", recorded.plant]
    with sleeper:
        code = cli.main([*words, "--coordinator", recorded.coordinator, "--patience", "5"])
        sleeper.kill()
    assert code == 2
    assert "expected the watchdog to be up within 0.5 s" in capsys.readouterr().err
    assert not [message for message in recorded._plant.receive(0.5) if isinstance(message.body, Join)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_robot_that_waits_for_its_plant_ends_when_it_is_told_to(
    background: subprocess.Popen[str], recorded: RecordedPlant, number: signal.Signals
) -> None:
    deadline = time.monotonic() + 60.0
    while not recorded._plant.receive(0.05):  # it asks to join, and nobody answers
        assert time.monotonic() < deadline
    background.send_signal(number)
    _, errors = background.communicate(timeout=20)  # its patience is 60 s
    assert background.returncode == 130, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ros-args", "-p", "use_sim_time:=true"], "expected no ROS arguments without a bus"),
        (["--bus", "dds", "--coordinator", "tcp://127.0.0.1:7410x"], "expected ros or ros:/SPACE"),
        (["--bus", "dds", "--robots", "r0,r1", "--ros-args", "-r", "__ns:=/cell"], "a namespace for each of r0, r1"),
        (["--bus", "dds", "--ros-args", "-p", "speed"], 'expected "name:=value"'),
        (["--bus", "zenoh"], "zenoh"),
    ],
)
def test_a_robot_that_cannot_be_on_a_bus_is_one_clear_line(
    words: list[str],
    said: str,
    directory: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(directory.root))
    assert cli.main(["robot", "--site", str(directory.root / SITE), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
