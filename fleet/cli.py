"""The command line `muster`: one subcommand per process or job, each a module with a frozen `Config` and `run(config)`.

    muster --help                    what there is
    muster sim --help                options of one subcommand, made from its Config by tyro
    muster --when FILE sim ...       start once FILE exists: lets one launch file train a policy and run a fleet on it;
                                     an empty name means at once

Only the chosen subcommand's module is imported, and the help above all of them is printed by hand, so `muster --help`
answers at once. Exit codes: what `run` returns; 2 for a `MusterError` or a wrong command line, said in one line on
stderr; 130 after Ctrl-C. An exception that is not a MusterError is our own mistake and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import os
import re
import signal
import sys
import time
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import MusterError, nearest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: pools of tiny networks spin against each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@dataclass(frozen=True)
class Command:
    """A subcommand: the module that has its `Config` and `run`, and what it is for."""

    module: str
    summary: str
    extra: str = ""
    """The extra of the distribution that it needs beyond the base install."""


COMMANDS = {
    "launch": Command("fleet.launch", "start the processes of a launch file: muster launch FILE name:=value ..."),
    "train": Command("fleet.train", "train the navigation skill and freeze it", "sim,train"),
    "evaluate": Command("fleet.evaluate", "measure a frozen policy on unseen layouts", "sim,train"),
    "sim": Command("fleet.plant", "the plant: simulate a site with robots and people", "sim"),
    "coordinate": Command("coordination.serve", "the coordinator: tasks, assignment, right of way", "coordinator"),
    "robot": Command("fleet.robot", "host one robot or several, each with its own loop"),
    "fleet": Command("fleet.warehouse", "submit a warehouse's tasks, wait, write report and video", "sim,view"),
    "replay": Command("fleet.replay", "replay black boxes: identical, or the first field that differs"),
    "view": Command("sim.view", "draw a run as a video", "sim,view"),
    "estop": Command("fleet.estop", "raise or reset the fleet's emergency stop"),
    "keys": Command("fleet.keys", "make the fleet's key and derive keys from it"),
}


class UsageError(MusterError):
    """The command line is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except MusterError as error:
        print(f"muster: {' '.join(str(error).splitlines())}", file=sys.stderr)
        if (rundir := sys.modules.get("fleet.rundir")) is not None:  # else no run directory can have been made
            rundir.discard_unused()
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _main(arguments: list[str]) -> int:
    when = ""
    if arguments[:1] == ["--when"]:
        if len(arguments) < 2:
            raise UsageError("--when expects a file to wait for")
        when, arguments = arguments[1], arguments[2:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"muster {version('muster')}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(f'unknown {kind} "{name}"{nearest(name.lstrip("-"), COMMANDS)} (muster --help lists all)')
    signal.signal(signal.SIGTERM, _terminate)
    module = load(name)
    config = parse(name, module.Config, arguments[1:])
    if when:
        wait_for(Path(when))
    return int(module.run(config) or 0)


def overview() -> str:
    """The text of `muster --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: muster COMMAND [options]      muster COMMAND --help shows a command's options",
            "",
            "Trains, guards and runs fleets of robots.",
            "",
            *lines,
            "",
            "  --when FILE COMMAND ...   start the command once FILE exists",
            "  --version                 print the version",
        ]
    )


def load(name: str) -> Any:  # a module with Config and run
    """The module of a subcommand; a library that is not installed becomes a `UsageError` that names the extra."""
    command = COMMANDS[name]
    try:
        return importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not command.extra or importlib.util.find_spec(command.module.partition(".")[0]) is None or not missing:
            raise
        if missing in ("sim", "safety", "coordination", "agents", "hierarchy", "fleet"):
            raise
        raise UsageError(
            f"muster {name} needs {missing}, which is not installed; pip install 'muster[{command.extra}]'"
        ) from error


def parse(name: str, config: type, arguments: Sequence[str]) -> Any:  # an instance of `config`
    """Read a subcommand's options into its Config; a `UsageError` names the nearest option when one is unknown."""
    import tyro

    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            parsed, unknown = tyro.cli(
                config,
                args=list(arguments),
                prog=f"muster {name}",
                description=config.__doc__,
                return_unknown_args=True,
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise UsageError(f"{name}: {_one_line(output.getvalue())} (muster {name} --help)") from None
    if unknown:
        word = unknown[0]
        if word.startswith("-"):
            known = _options(config)
            near = nearest(word.lstrip("-").partition("=")[0], known).replace('mean "', 'mean "--')
            raise UsageError(f'{name}: unknown option "{word}"{near} (muster {name} --help)')
        raise UsageError(f'{name}: unexpected argument "{word}" (muster {name} --help)')
    return parsed


def wait_for(path: Path, period: float = 0.2) -> None:
    """Return when `path` exists; ends with the process, so a launch that fails ends the wait."""
    while not path.exists():
        time.sleep(period)


def _options(config: type) -> list[str]:
    """Option names of a dataclass as tyro spells them, nested ones with a dot."""
    names = []
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        spelled = field.name.replace("_", "-")
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            names += [f"{spelled}.{inner}" for inner in _options(kind)]
        else:
            names.append(spelled)
    return names


def _one_line(text: str) -> str:
    """The framed error of tyro as one line: without frame, title and hint."""
    lines = [line.strip("│╭╮╰╯─┌┐└┘|+- \t") for line in text.splitlines()]
    lines = [line for line in lines if line and not re.match(r"(Parsing error|For full helptext)", line)]
    return " ".join(lines) or "wrong command line"


def _terminate(number: int, frame: object) -> None:
    """SIGTERM ends as Ctrl-C does, so that files are closed and children ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
