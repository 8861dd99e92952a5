"""The command line: its help, its errors and its exit codes."""

from __future__ import annotations

import subprocess
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tyro

from fleet import cli
from fleet.commands import COMMANDS, Command
from sim.errors import MusterError


@dataclass(frozen=True)
class Inner:
    """Nested options."""

    speed: float = 1.0
    """m/s"""


@dataclass(frozen=True)
class Config:
    """A command for these tests."""

    robots: int = 3
    """how many"""
    person_speed: float = 1.6
    """m/s"""
    inner: Inner = field(default_factory=Inner)


def command(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException = 0) -> list[Config]:
    """Make `muster probe` known; returns the list of configs that it was run with."""
    calls: list[Config] = []

    def run(config: Config) -> int:
        calls.append(config)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    module = types.ModuleType("probe")
    vars(module).update(Config=Config, run=run)
    monkeypatch.setitem(sys.modules, "fleet.probe_for_tests", module)
    monkeypatch.setitem(COMMANDS, "probe", Command("fleet.probe_for_tests", "a probe"))
    return calls


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in (
        "launch",
        "train",
        "evaluate",
        "sim",
        "validate-sim",
        "coordinate",
        "robot",
        "fleet",
        "replay",
        "diverged",
        "video",
        "estop",
        "keys",
    ):
        assert f"  {name} " in out


def test_options_become_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = command(monkeypatch, 4)
    assert cli.main(["probe", "--robots", "7", "--person-speed", "0", "--inner.speed", "2"]) == 4
    assert calls == [Config(robots=7, person_speed=0.0, inner=Inner(2.0))]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["probee"], 'muster: unknown command "probee"; did you mean "probe"? (muster --help lists all)'),
        (["--robots"], 'muster: unknown option "--robots"'),
        (["probe", "--robot", "3"], 'muster: probe: unknown option "--robot"; did you mean "--robots"?'),
        (["probe", "--person_sped", "3"], 'did you mean "--person-speed"?'),
        (["probe", "--inner.sped=3"], 'did you mean "--inner.speed"?'),
        (["probe", "more"], 'muster: probe: unexpected argument "more"'),
        (["probe", "--robots", "many"], 'muster: probe: --robots: expected a whole number, got "many" (muster probe'),
        (["probe", "--robots=1.5"], '--robots: expected a whole number, got "1.5"'),
        (["probe", "--robots"], "muster: probe: --robots: expected a whole number, got nothing (muster probe --help)"),
        (["probe", "--robots", "--person-speed", "1"], "--robots: expected a whole number, got nothing"),
        (["probe", "--person_speed", "fast"], '--person_speed: expected a number, got "fast"'),
        (["probe", "--person-speed", "nan"], '--person-speed: expected a number, got "nan"'),
        (["probe", "--person-speed=inf"], '--person-speed: expected a number, got "inf"'),
        (["probe", "--person-speed=-1e300"], '--person-speed: expected a number, got "-1e+300"'),
        (["blackbox", "why", "x", "--at=inf"], '--at: expected a number, got "inf"'),
        (["blackbox", "export", "x", "--end=-inf"], '--end: expected a number, got "-inf"'),
        (["probe", "--inner.speed", "x"], '--inner.speed: expected a number, got "x"'),
        (["probe", "--inner.speed", "nan"], '--inner.speed: expected a number, got "nan"'),
        (["keys"], "muster: keys: ACTION: expected one of create, derive, show, got nothing (muster keys --help)\n"),
        (["keys", "frob"], 'muster: keys: ACTION: expected one of create, derive, show, got "frob" (muster keys'),
        (["estop", "--epoch", "3"], "estop: ACTION: expected one of raise, reset, show, got nothing"),
        (["estop", "reset", "--epoch", "x"], 'estop: --epoch: expected a whole number, got "x"'),
        (["replay"], "muster: replay: PATH: expected a path, got nothing (muster replay --help)\n"),
        (["video"], "muster: video: RUN: expected a path, got nothing (muster video --help)\n"),
        (["evaluate"], "muster: evaluate: --policy: expected a path, got nothing (muster evaluate --help)\n"),
        (["robot", "-r", "pose:=amcl_pose"], 'muster: robot: "-r" is ROS\'s; give --ros-args before it (muster robot'),
        (["robot", "--params-file", "r1.yaml"], '"--params-file" is ROS\'s; give --ros-args before it'),
        (["sim", "--clock", "sundial"], '--clock: expected one of lockstep, wall, got "sundial"'),
        (["--when"], "muster: --when expects a file to wait for"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    calls = command(monkeypatch)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert expected in captured.err
    assert not calls


def test_ros_arguments_are_no_option_that_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["robot", "--nothing"]) == 2
    said = capsys.readouterr().err
    assert "known: battery, blackbox, body, bus" in said
    assert "ros-arguments" not in said


def test_an_error_of_the_world_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, MusterError("expected a map, came nothing; give a map"))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "muster: expected a map, came nothing; give a map\n"


def test_our_own_mistake_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["probe"])


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, KeyboardInterrupt())
    assert cli.main(["probe"]) == 130


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "probe", Command("fleet.needs_tensors_for_tests", "a probe", "sim,train"))
    real = cli.importlib.import_module

    def without_tensors(name: str) -> types.ModuleType:
        if name == "fleet.needs_tensors_for_tests":
            raise ModuleNotFoundError("No module named 'tensors'", name="tensors")
        return real(name)

    monkeypatch.setattr(cli.importlib, "import_module", without_tensors)
    assert cli.main(["probe"]) == 2
    expected = "muster: muster probe needs tensors, which is not installed; pip install 'muster[sim,train]'\n"
    assert capsys.readouterr().err == expected


def test_a_command_waits_for_the_file_it_is_told_to(tmp_path: Path, root: Path) -> None:
    awaited = tmp_path / "policy.onnx"
    arguments = ["--when", str(awaited), "launch", "--show-args"]
    with subprocess.Popen(
        [sys.executable, "-m", "fleet.cli", *arguments], stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        awaited.touch()
        assert process.wait(timeout=10) == 2
        assert process.stderr is not None
        assert "expected a launch file" in process.stderr.read()


def test_ros_arguments_are_kept_from_the_commands_own() -> None:
    """rcl's rule: from --ros-args to a lone -- or the end."""
    words = ["--robots", "2", "--ros-args", "-r", "__node:=a", "--", "--person-speed", "0", "--ros-args", "-p", "a:=1"]
    plain, ros = cli.split_ros(words)
    assert plain == ["--robots", "2", "--person-speed", "0"]
    assert ros == ("--ros-args", "-r", "__node:=a", "--", "--ros-args", "-p", "a:=1")


def test_a_ros_node_gets_its_ros_arguments_and_no_other_command_takes_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class Node(Config):
        """A node for this test."""

        ros_arguments: tyro.conf.Suppress[tuple[str, ...]] = ()

    calls = command(monkeypatch)
    assert cli.main(["probe", "--robots", "4", "--ros-args"]) == 0
    assert calls == [Config(robots=4)]
    assert cli.main(["probe", "--ros-args", "-r", "__node:=a"]) == 2
    assert "probe: takes no ROS arguments, got --ros-args -r __node:=a" in capsys.readouterr().err
    vars(sys.modules["fleet.probe_for_tests"])["Config"] = Node
    assert cli.main(["probe", "--ros-args", "-r", "__node:=a", "--", "--robots", "5"]) == 0
    assert calls[1:] == [Node(robots=5, ros_arguments=("--ros-args", "-r", "__node:=a", "--"))]
    assert cli.main(["probe", "--robots", "many", "--ros-args"]) == 2
    assert 'probe: --robots: expected a whole number, got "many"' in capsys.readouterr().err
