"""The launch runner: it starts all, ends all, and says which process failed and how."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from fleet.commands import COMMANDS, Command
from fleet.launch import Config, free_addresses, newest_policy, run
from fleet.launchfile import read_plan
from fleet.launchyaml import LaunchError
from fleet.preflight import check
from fleet.rundir import create_run


def write(folder: Path, text: str) -> str:
    path = folder / "x.launch.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


def launch(folder: Path, text: str, *words: str) -> tuple[int, Path]:
    """Exit code and run directory of a launch in this process."""
    code = run(Config(words=(write(folder, text), *words), runs=folder / "runs", warm=False))
    (directory,) = (folder / "runs").iterdir()
    return code, directory


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSTER_RUN", raising=False)


def test_a_launch_ends_when_its_processes_have(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, directory = launch(
        tmp_path,
        """
        launch:
          - arg: {name: word, default: "hello"}
          - executable: {cmd: echo $(var word), output: both, name: first}
          - executable: {cmd: "sh -c 'echo $MUSTER_RUN'", name: second}
        """,
        "word:=good day",
    )
    assert code == 0
    assert b"[first] good day\n" in capfdbinary.readouterr().out
    assert (directory / "logs" / "first.log").read_text() == "good day\n"
    assert (directory / "logs" / "second.log").read_text() == f"{directory}\n"
    record = json.loads((directory / "run.json").read_text())
    assert record["config"] == {"word": "good day"}
    assert record["ended"] == {"first": 0, "second": 0}
    assert record["exit_code"] == 0
    assert (directory / "fleet.key").stat().st_mode & 0o777 == 0o600


def test_a_failing_process_stops_the_others_and_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    code, directory = launch(
        tmp_path,
        """
        launch:
          - executable: {cmd: "sh -c 'echo fine; exec sleep 60'", name: healthy}
          - executable: {cmd: "sh -c 'echo the disk is gone; exit 7'", name: ill}
        """,
    )
    assert code == 7
    assert time.monotonic() - begin < 20
    error = capfd.readouterr().err
    assert "ill failed (exit code 7)" in error
    assert "the disk is gone" in error
    assert json.loads((directory / "run.json").read_text())["ended"] == {"healthy": -signal.SIGINT, "ill": 7}


def test_a_killed_process_fails_with_its_signal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _ = launch(tmp_path, "launch:\n  - executable: {cmd: \"sh -c 'kill -9 $$'\", name: victim}\n")
    assert code == 128 + signal.SIGKILL
    assert "victim failed (killed by SIGKILL)" in capfd.readouterr().err


def test_a_respawned_service_comes_back_and_ends_with_the_launch(tmp_path: Path) -> None:
    code, directory = launch(
        tmp_path,
        """
        launch:
          - executable: {cmd: "sh -c 'echo up; exit 1'", name: service, respawn: "true", respawn_delay: 0.1}
          - executable: {cmd: sleep 0.6, name: job}
        """,
    )
    assert code == 0
    assert (directory / "logs" / "service.log").read_text().count("up") >= 2


def test_services_alone_are_a_launch_until_the_last_said_goodbye(tmp_path: Path) -> None:
    count = "if [ -e $MUSTER_RUN/once ]; then echo back; else touch $MUSTER_RUN/once; exit 1; fi"
    text = f'launch:\n  - executable: {{cmd: "sh -c \'{count}\'", name: service, respawn: "true"}}\n'
    code, directory = launch(tmp_path, text)
    assert code == 0
    assert (directory / "logs" / "service.log").read_text() == "back\n"


def test_what_a_timer_holds_starts_when_it_is_due(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, directory = launch(
        tmp_path,
        """
        launch:
          - timer: {period: 0.4, children: [{executable: {cmd: echo late, name: late}}, {log: {message: now}}]}
          - executable: {cmd: "sh -c 'sleep 0.2; test ! -e $MUSTER_RUN/logs/late.log'", name: early}
        """,
    )
    assert code == 0
    assert (directory / "logs" / "late.log").read_text() == "late\n"
    assert b"now\n" in capfdbinary.readouterr().out
    assert json.loads((directory / "run.json").read_text())["ended"] == {"early": 0, "late": 0}


def test_a_shutdown_ends_all_that_runs_and_starts_no_more(tmp_path: Path) -> None:
    begin = time.monotonic()
    code, directory = launch(
        tmp_path,
        """
        launch:
          - executable: {cmd: "sh -c 'exec sleep 60'", name: job}
          - executable: {cmd: "sh -c 'echo up; exec sleep 60'", name: service, respawn: "true"}
          - timer: {period: 0.5, children: [{shutdown: {reason: enough}}]}
        """,
    )
    assert code == 0
    assert time.monotonic() - begin < 20
    assert (directory / "logs" / "service.log").read_text() == "up\n"
    assert json.loads((directory / "run.json").read_text())["ended"]["job"] == -signal.SIGINT


def test_a_process_whose_end_is_the_launch_s_ends_it(tmp_path: Path) -> None:
    begin = time.monotonic()
    code, directory = launch(
        tmp_path,
        """
        launch:
          - executable: {cmd: sleep 60, name: job}
          - executable: {cmd: sleep 0.1, name: client, on_exit: shutdown}
        """,
    )
    assert code == 0
    assert time.monotonic() - begin < 20
    assert json.loads((directory / "run.json").read_text())["ended"] == {"job": -signal.SIGINT, "client": 0}


def test_a_node_finds_the_parameter_files_that_its_launch_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "ament"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "other").touch()
    program = prefix / "lib" / "other" / "show"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nfor last; do true; done\ncat "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    node = "{pkg: other, exec: show, name: n, namespace: r1, param: [{name: a, value: 0.5}]}"
    code, directory = launch(tmp_path, f"launch:\n  - node: {node}\n")
    assert code == 0
    assert (directory / "logs" / "r1.n.log").read_text() == "/r1/n:\n  ros__parameters:\n    a: 0.5\n"
    assert (directory / "parameters" / "r1.n-0.yaml").is_file()


def test_what_a_process_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    text = "launch:\n  - executable: {cmd: \"sh -c 'sleep 60 & echo $!'\", name: parent}\n"
    code, directory = launch(tmp_path, text)
    child = int((directory / "logs" / "parent.log").read_text())
    assert code == 0
    for _ in range(100):
        if not _alive(child):
            break
        time.sleep(0.02)
    assert not _alive(child)


def test_an_interrupt_ends_every_process(tmp_path: Path, root: Path) -> None:
    file = write(
        tmp_path, "launch:\n  - executable: {cmd: \"sh -c 'echo $$; exec sleep 60'\", name: a, output: both}\n"
    )
    command = [sys.executable, "-m", "fleet.cli", "launch", file, "--runs", str(tmp_path / "runs"), "--no-warm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as launcher:
        assert launcher.stdout is not None
        child = next(int(line.split()[1]) for line in launcher.stdout if line.startswith("[a]"))
        assert _alive(child)
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(timeout=30) == 130
    assert not _alive(child)


def test_nothing_is_left_behind_when_a_program_is_missing(tmp_path: Path, root: Path) -> None:
    file = write(tmp_path, "launch:\n  - executable: {cmd: sleep 1}\n  - executable: {cmd: no-such-program}\n")
    command = [sys.executable, "-m", "fleet.cli", "launch", file, "--runs", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 2
    assert done.stderr == f"muster: {file}:3: there is no program no-such-program; install it or correct cmd\n"
    assert not (tmp_path / "runs").exists()


def test_an_unknown_module_is_refused_before_anything_starts(tmp_path: Path, root: Path) -> None:
    file = write(tmp_path, "launch:\n  - node: {pkg: fleet, exec: no_such_module}\n")
    command = [sys.executable, "-m", "fleet.cli", "launch", file, "--runs", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 2
    assert "x.launch.yaml:2: there is no Python module fleet.no_such_module" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_show_args_lists_arguments_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path,
        """
        launch:
          - arg: {name: policy, description: "a frozen policy"}
          - arg: {name: clock, default: lockstep, choice: [{value: lockstep}, {value: wall}]}
          - executable: {cmd: muster robot --policy $(var policy)}
        """,
    )
    assert run(Config(words=(file,), show_args=True, runs=tmp_path / "runs")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Arguments of {file} (name:=value):",
        "  policy  (required)",
        "      a frozen policy",
        "  clock  (default: lockstep; one of lockstep, wall)",
    ]
    assert not (tmp_path / "runs").exists()


def test_free_addresses_differ_and_can_be_bound() -> None:
    addresses = free_addresses({})
    ports = [int(address.rpartition(":")[2]) for address in addresses.values()]
    assert len(set(ports)) == len(addresses) == 2
    for port in ports:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", port))
    assert set(free_addresses({"MUSTER_PLANT": "tcp://10.0.0.1:5"})) == {"MUSTER_COORDINATOR"}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_the_newest_run_with_a_policy_is_offered(tmp_path: Path) -> None:
    assert newest_policy({}, tmp_path) == {}
    for name in ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb", "20260103T000000Z-cccccc"):
        (tmp_path / name).mkdir()
    for name in ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"):
        (tmp_path / name / "policy.json").write_text("{}")
    assert newest_policy({}, tmp_path) == {"MUSTER_POLICY": str(tmp_path / "20260102T000000Z-bbbbbb")}
    assert newest_policy({"MUSTER_POLICY": "mine"}, tmp_path) == {}


def test_a_progress_bar_finds_a_terminal_when_the_launcher_has_one(tmp_path: Path, root: Path) -> None:
    text = "launch:\n  - executable:\n      cmd: python -c 'import os; print(os.get_terminal_size().columns)'\n"
    file = write(tmp_path, text + "      output: screen\n")
    command = [sys.executable, "-m", "fleet.cli", "launch", file, "--runs", str(tmp_path / "runs"), "--no-warm"]
    reading, writing = pty.openpty()
    termios.tcsetwinsize(writing, (40, 123))
    with subprocess.Popen(command, stdout=writing, cwd=root) as launcher:
        assert launcher.wait(timeout=60) == 0
    os.close(writing)
    seen = b""
    # an OSError is how Linux says that a terminal's last writer is gone
    with os.fdopen(reading, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while chunk := stream.read(4096):
            seen += chunk
    assert b"123\r" in seen


REFUSING = "sh -c 'echo muster: expected a map, got none; sleep 0.2; exit 2'"


def test_a_run_in_which_nothing_happened_is_removed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A process that refuses its input at its start, although every check passed."""
    file = write(tmp_path, f'launch:\n  - executable: {{cmd: "{REFUSING}", name: picky}}\n')
    assert run(Config(words=(file,), runs=tmp_path / "runs", warm=False)) == 2
    assert not (tmp_path / "runs").exists()
    assert capfd.readouterr().err.splitlines() == [
        "muster launch: picky failed (exit code 2); nothing had happened yet, the run directory is removed",
        "    muster: expected a map, got none",
    ]


def test_a_run_with_a_result_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = "sh -c 'touch $MUSTER_RUN/plant.npz; exit 2'"
    file = write(tmp_path, f'launch:\n  - executable: {{cmd: "{command}", name: late, output: screen}}\n')
    assert run(Config(words=(file,), runs=tmp_path / "runs", warm=False)) == 2
    (directory,) = (tmp_path / "runs").iterdir()
    assert (directory / "plant.npz").exists()
    error = capfd.readouterr().err
    assert error == f"muster launch: late failed (exit code 2); its log is {directory / 'logs' / 'late.log'}\n"


def test_a_run_directory_that_was_given_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = create_run(tmp_path / "mine")
    monkeypatch.setattr("fleet.rundir._made", [])  # as if another process had made it
    monkeypatch.setenv("MUSTER_RUN", str(given.root))
    file = write(tmp_path, f'launch:\n  - executable: {{cmd: "{REFUSING}"}}\n')
    assert run(Config(words=(file,), warm=False)) == 2
    assert given.record.exists()


def test_a_process_is_checked_where_it_will_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.map").write_text("type octile\nheight 1\nwidth 3\nmap\n...\n")
    monkeypatch.chdir(tmp_path)
    plan = "launch:\n  - executable: {cmd: muster sim --robots r0 --site a.map --address 'tcp://127.0.0.1:*'%s}\n"
    check(read_plan(Path(write(tmp_path, plan % ", cwd: elsewhere")), {}, {}))
    with pytest.raises(LaunchError, match=r"sim: cannot read a\.map"):
        check(read_plan(Path(write(tmp_path, plan % "")), {}, {}))
    assert Path.cwd() == tmp_path


def test_a_fault_of_the_file_itself_is_placed(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "launch:\n  - executable: {cmd: muster sim --people lots}\n"))
    with pytest.raises(LaunchError, match=r'x\.launch\.yaml:2: sim: --people: expected a whole number, got "lots"$'):
        check(read_plan(path, {}, {}))
    path = Path(write(tmp_path, "launch:\n  - executable: {cmd: muster smi}\n"))
    with pytest.raises(LaunchError, match=r'unknown command "smi"; did you mean "sim"'):
        check(read_plan(path, {}, {}))


def test_a_node_s_ros_arguments_are_checked_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Node:
        """A node for this test."""

        ros_arguments: tyro.conf.Suppress[tuple[str, ...]] = ()

    module = types.ModuleType("node_for_tests")
    checked: list[Node] = []
    vars(module).update(Config=Node, run=None, check=lambda config, later: checked.append(config))
    monkeypatch.setitem(sys.modules, "fleet.node_for_tests", module)
    monkeypatch.setitem(COMMANDS, "robot", Command("fleet.node_for_tests", "for these tests"))
    good = "launch:\n  - node: {pkg: muster_ros, exec: robot, name: n, param: [{name: a, value: 1}]}\n"
    check(read_plan(Path(write(tmp_path, good)), {}, {}))
    (config,) = checked
    assert config.ros_arguments[:4] == ("--ros-args", "-r", "__node:=n", "--params-file")
    wrong = good.replace("param: [{name: a, value: 1}", "remap: [{from: a b, to: c}")
    with pytest.raises(LaunchError, match=r'^n: -r a b:=c: expected a topic like "scan"'):
        check(read_plan(Path(write(tmp_path, wrong)), {}, {}))


def test_show_randomization_prints_the_table_with_the_arguments_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text("muster: 1\nrows:\n  friction: {low: 0.45, high: 0.55}\n")
    file = str(root / "launch" / "warehouse_train.launch.yaml")
    words = (file, f"randomization:={ranges}")
    assert run(Config(words=words, show_randomization=True, runs=tmp_path / "runs")) == 0
    shown = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert shown["friction"].split()[2:7] == ["uniform", "0.45", "0.55", "1", "actuator_forcerange"]
    assert "SET_CONST" in shown["mass"]
    assert {"payload", "latency", "brake_strength", "lidar_dropout", "light", "layout", "person_speed"} <= set(shown)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("launch", "changed", "expected", "missing"),
    [
        ("driving_demo", "cut_in_gap", ["uniform", "4", "30", "m", "-", "NONE", "0..120"], ()),
        ("driving_train", "town_lane_width", ["uniform", "3", "3.5", "m", "-", "NONE", "2.75..4"], ("cut_in_gap",)),
    ],
)
def test_show_randomization_of_driving_lists_roads_and_scenarios(
    launch: str,
    changed: str,
    expected: list[str],
    missing: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    root: Path,
) -> None:
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text(
        "muster: 1\nrows:\n  cut_in_gap: {low: 4, high: 30}\n  town_lane_width: {low: 3.0, high: 3.5}\n"
        "  tyre_friction: {high: 1.1}\n"
    )
    words = (str(root / "launch" / f"{launch}.launch.yaml"), f"randomization:={ranges}")
    assert run(Config(words=words, show_randomization=True, runs=tmp_path / "runs")) == 0
    shown = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if len(line.split()) > 6}
    assert shown[changed].replace(" *", "").split()[2:9] == expected
    assert {"highway_radius", "highway_lanes", "rural_limit", "tyre_friction"} <= set(shown)
    assert not set(missing) & set(shown)


def test_show_randomization_of_a_file_that_draws_nothing_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "launch:\n  - executable: {cmd: muster keys create}\n")
    with pytest.raises(LaunchError, match="expected a command that draws its episodes from a table"):
        run(Config(words=(file,), show_randomization=True, runs=tmp_path / "runs"))
