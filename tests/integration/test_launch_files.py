"""The launch files that muster ships: each can be read, and every command in them is understood."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fleet import cli
from fleet.launchactions import read_actions
from fleet.launchfile import read_plan
from fleet.processes import resolve

FOLDER = Path(__file__).resolve().parents[2] / "launch"
FILES = sorted(path.name for path in FOLDER.glob("*.launch.yaml"))
GIVEN = {"shadow.launch.yaml": {"shadow": "candidate"}}
"""Arguments that have no default"""
ENVIRONMENT = {"MUSTER_RUN": "runs/x", "MUSTER_PLANT": "tcp://127.0.0.1:1", "MUSTER_COORDINATOR": "tcp://127.0.0.1:2"}


def test_the_launch_files_are_there() -> None:
    assert FILES == [
        "car.launch.yaml", "driving_demo.launch.yaml", "driving_train.launch.yaml", "fleet_ros.launch.yaml",
        "hierarchy_train.launch.yaml", "robot.launch.yaml", "rollout_demo.launch.yaml", "shadow.launch.yaml",
        "warehouse.launch.yaml", "warehouse_demo.launch.yaml", "warehouse_train.launch.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("environment", [ENVIRONMENT, {}], ids=["launched", "bare"])
def test_every_command_of_a_launch_file_is_understood(name: str, environment: dict[str, str]) -> None:
    """An option that was renamed in a Config fails here, not after three minutes of training."""
    plan = read_plan(FOLDER / name, GIVEN.get(name, {}), environment)
    assert plan.processes
    for process in plan.processes:
        assert resolve(process)
        program, *words = process.command
        assert program == "muster"
        if words[0] == "--when":
            words = words[2:]
        assert cli.understand(words)


@pytest.mark.parametrize("name", FILES)
def test_a_launch_file_is_in_the_portable_subset(name: str) -> None:
    """Whatever its conditions say: `ros2 launch` reads all of it before it starts anything."""
    assert read_actions(FOLDER / name)


@pytest.mark.parametrize("name", FILES)
def test_no_quotation_of_a_command_reaches_over_a_substitution(name: str) -> None:
    """launch splits each stretch between two substitutions alone, and refuses a quotation that does not end there."""
    commands = list(_values(yaml.safe_load((FOLDER / name).read_text()), {"cmd", "args"}))
    for command in commands:
        for stretch in re.split(r"\$\([^()]*\)", command):
            assert "$(" not in stretch
            shlex.split(stretch)
    assert commands or name == "warehouse_demo.launch.yaml"


def _values(tree: object, keys: set[str]) -> Iterator[str]:
    """Every text under one of the keys."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in keys and isinstance(value, str):
                yield value
            yield from _values(value, keys)
    elif isinstance(tree, list):
        for value in tree:
            yield from _values(value, keys)


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_described(name: str) -> None:
    plan = read_plan(FOLDER / name, {}, ENVIRONMENT, listing=True)
    assert all(argument.description for argument in plan.arguments)


@pytest.mark.parametrize("flag", ["true", "false"])
def test_training_stops_at_its_target_only_when_told(flag: str) -> None:
    plan = read_plan(FOLDER / "warehouse_train.launch.yaml", {"until_target": flag}, ENVIRONMENT)
    (train,) = plan.processes
    assert train.command[-1] == {"true": "--until-target", "false": "--no-until-target"}[flag]


@pytest.mark.parametrize(("name", "command"), [("warehouse_train", "train"), ("hierarchy_train", "hierarchy")])
def test_a_plain_launch_trains_as_a_plain_command_does(name: str, command: str) -> None:
    """A launch file that repeats a default goes stale when the default is tuned."""
    (train,) = read_plan(FOLDER / f"{name}.launch.yaml", {}, ENVIRONMENT).processes
    config = cli.parse(command, cli.load(command).Config, train.command[2:])
    assert config == cli.load(command).Config()
