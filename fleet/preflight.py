"""What the commands of a launch file say of their own words, before anything is made for them.

Each muster command checks its words by the function `check` beside its `run`: values, floors, policies and ports are
refused at once, under the names of the launch arguments that they came from. What varies in their episodes they tell by
`randomization`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fleet import cli
from fleet.launchplan import Plan, Process
from fleet.launchyaml import LaunchError
from fleet.processes import write_documents
from fleet.ros.arguments import parse
from sim.errors import MusterError


def check(plan: Plan) -> None:
    """Let each muster command of a plan refuse what cannot work; two that want one port are refused too.

    Raises `LaunchError` that names the process and, where one is to blame, the launch argument.
    """
    taken: dict[str, str] = {}
    for process in plan.processes:
        if process.command[0] != "muster":
            continue
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                contextlib.chdir(process.directory or "."),
                _ros_variables(process),
            ):
                _, *words = write_documents(process, list(process.command), Path(folder))
                listening = _check_command(words)
        except (MusterError, OSError) as error:
            raise LaunchError(_in_words_of_the_file(str(error), process, plan)) from error
        for option, address in listening.items():
            wanted = _in_words_of_the_file(option, process, plan)
            if address in taken and not address.endswith(":*"):
                raise LaunchError(f"{wanted} and {taken[address]} both want {address}; give each a port of its own")
            taken[address] = wanted


def describe_randomization(path: Path, plan: Plan) -> str:
    """The text of --show-randomization: the tables of each command that has some, by `randomization` beside its `run`.

    Raises `LaunchError` where no command has one.
    """
    from sim.vary import Table
    from sim.varyfile import show

    shown = []
    for process in plan.processes:
        _, words = cli.split_when(list(process.command[1:]))
        words, _ = cli.split_ros(words)
        if process.command[0] != "muster" or not words:
            continue
        try:
            module, command = cli.understand(words)
            if not hasattr(module, "randomization"):
                continue
            tables: dict[str, Table] = module.randomization(command)
        except MusterError as error:
            raise LaunchError(_in_words_of_the_file(str(error), process, plan)) from error
        shown += [f"What varies in {task} ({process.name} of {path}):\n{show(table)}" for task, table in tables.items()]
    if not shown:
        raise LaunchError(
            f"{path}: expected a command that draws its episodes from a table, got none; train or simulate"
        )
    return "\n\n".join(shown)


@contextlib.contextmanager
def _ros_variables(process: Process) -> Iterator[None]:
    """ROS 2's variables (domain, range) as the process will find them; all others stay the launcher's own."""
    given = {name: value for name, value in process.environment.items() if name.startswith("ROS_")}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_command(words: list[str]) -> dict[str, str]:
    """Check one command line; what it will listen on, by option."""
    when, words = cli.split_when(words)
    if not words or {"-h", "--help", "help", "--version"} & set(words):
        return {}
    module, config = cli.understand(words)
    parse(getattr(config, "ros_arguments", ()))
    later = Path(when) if when and not Path(when).exists() else None
    if hasattr(module, "check"):
        with cli.libraries(words[0]):
            module.check(config, later)
    return module.ports(config) if hasattr(module, "ports") else {}


def _in_words_of_the_file(text: str, process: Process, plan: Plan) -> str:
    """A command's complaint with its options replaced by the launch arguments that gave them their values.

    Where none did, the place in the file is named.
    """

    def argument(match: re.Match[str]) -> str:
        name = process.sources.get(match.group(), "")
        return f"{name}:={plan.values[name]}" if name in plan.values else match.group()

    plain = re.sub(rf"^({'|'.join(cli.COMMANDS)}): | \(muster \w+ --help\)$", "", text)
    said = re.sub(r"--[a-z][a-z-]*", argument, plain)
    place = f"{process.where}: " if said == plain and plain.startswith("--") else ""
    return f"{place}{process.name}: {said}"
