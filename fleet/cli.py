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
import signal
import sys
import time
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.commands import COMMANDS
from sim.errors import MusterError, nearest, printable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: pools of tiny networks spin against each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


LARGEST = 1e15
"""Of any number on a command line, unless it is that option's own default: as ns it is still one, seconds for ever."""
ROS_OPTIONS = ("-r", "--remap", "-p", "--param", "--params-file", "--log-level", "--enclave")
"""Options of ROS's that stand behind `--ros-args` and are most often forgotten there."""


class UsageError(MusterError):
    """The command line is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except MusterError as error:
        print(f"muster: {printable(' '.join(str(error).splitlines()))}", file=sys.stderr)
        _tidy()
        return 2
    except KeyboardInterrupt:
        _tidy()
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _main(arguments: list[str]) -> int:
    when, arguments = split_when(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"muster {version('muster')}")
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs deaf to it
    module, config = understand(arguments)
    if COMMANDS[arguments[0]].joins:
        from fleet.sharedrun import make_named_run

        make_named_run()
    if when:
        wait_for(Path(when))
    with libraries(arguments[0]):
        return int(module.run(config) or 0)


def split_when(arguments: list[str]) -> tuple[str, list[str]]:
    """The file to wait for, empty for none, and the arguments after it."""
    if arguments[:1] != ["--when"]:
        return "", arguments
    if len(arguments) < 2:
        raise UsageError("--when expects a file to wait for")
    return arguments[1], arguments[2:]


def split_ros(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """A command's own words and ROS's: from each `--ros-args` to a lone `--` or the end, both with ROS."""
    plain: list[str] = []
    ros: list[str] = []
    inside = False
    for word in arguments:
        inside = inside or word == "--ros-args"
        (ros if inside else plain).append(word)
        inside = inside and word != "--"
    return plain, tuple(ros)


def understand(arguments: Sequence[str]) -> tuple[Any, Any]:  # a module and an instance of its Config
    """The module of a subcommand with its Config, from `COMMAND [options]`.

    ROS's arguments, as `ros2 run` and launch files give them to a node, go into the Config's field `ros_arguments`.
    """
    name = arguments[0]
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(f'unknown {kind} "{name}"{nearest(name.lstrip("-"), COMMANDS)} (muster --help lists all)')
    module = load(name)
    words, ros = split_ros(arguments[1:])
    config = parse(name, module.Config, words)
    if "ros_arguments" in {field.name for field in dataclasses.fields(module.Config)}:
        return module, dataclasses.replace(config, ros_arguments=ros)
    if set(ros) - {"--ros-args", "--"}:  # launch gives every node the bare word
        raise UsageError(f"{name}: takes no ROS arguments, got {' '.join(ros)}; it is no ROS node, leave them out")
    return module, config


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
    with libraries(name):
        return importlib.import_module(COMMANDS[name].module)


@contextlib.contextmanager
def libraries(name: str) -> Iterator[None]:
    """Whatever a subcommand does: a library that it lacks becomes a `UsageError` that names the extra with it.

    Heavy libraries are imported where they are needed, so that one may be missed as late as in `check` or `run`.
    """
    command = COMMANDS[name]
    try:
        yield
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
        raise UsageError(f"{name}: {_why(config, arguments, output.getvalue())} (muster {name} --help)") from None
    if unknown:
        word = unknown[0]
        if word in ROS_OPTIONS and "ros_arguments" in {field.name for field in dataclasses.fields(config)}:
            raise UsageError(f'{name}: "{word}" is ROS\'s; give --ros-args before it (muster {name} --help)')
        if word.startswith("-"):
            near = nearest(word.lstrip("-").partition("=")[0], _shown(config)).replace('mean "', 'mean "--')
            raise UsageError(f'{name}: unknown option "{word}"{near} (muster {name} --help)')
        raise UsageError(f'{name}: unexpected argument "{word}" (muster {name} --help)')
    for option, value in _floats(parsed):
        if not abs(value) <= LARGEST and (option, value) not in _floats(config):
            raise UsageError(f'{name}: --{option}: expected a number, got "{value:g}" (muster {name} --help)')
    return parsed


def wait_for(path: Path, period: float = 0.2) -> None:
    """Return when `path` exists; ends with the process, so a launch that fails ends the wait."""
    while not path.exists():
        time.sleep(period)


@dataclass(frozen=True)
class _Option:
    """A field of a Config as the command line knows it."""

    kind: Any  # a type, a union or a Literal
    positional: bool
    required: bool


def _options(config: type, prefix: str = "") -> dict[str, _Option]:
    """Options of a dataclass by their names as tyro spells them, nested ones with a dot."""
    from tyro.conf import Positional

    options: dict[str, _Option] = {}
    hints = typing.get_type_hints(config, include_extras=True)
    marks = typing.get_args(Positional[int])[1:]
    for field in dataclasses.fields(config):
        name = prefix + field.name.replace("_", "-")
        hint = hints[field.name]
        positional = any(mark in marks for mark in getattr(hint, "__metadata__", ()))
        kind = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            options |= _options(kind, f"{name}.")
        else:
            bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            options[name] = _Option(kind, positional, bare)
    return options


def _shown(config: type) -> list[str]:
    """The names of a dataclass's options that a person gives; ROS's arguments come behind `--ros-args`."""
    return [name for name in _options(config) if name != "ros-arguments"]


def _floats(config: Any, prefix: str = "") -> list[tuple[str, float]]:  # any dataclass, or its class
    """Every float of a Config with its option's name; of its class those that it has by default."""
    found = []
    for field in dataclasses.fields(config):
        name, value = prefix + field.name.replace("_", "-"), getattr(config, field.name, None)
        if dataclasses.is_dataclass(value):
            found += _floats(value, f"{name}.")
        elif isinstance(value, float):
            found.append((name, value))
    return found


def _why(config: type, arguments: Sequence[str], text: str) -> str:
    """Which word tyro refused and what was expected there: the first that does not fit, else the first that lacks.

    Its own text speaks of Python and fills a frame; the first line of that is all that is left for the rare rest.
    """
    options = _options(config)
    places = [name for name, option in options.items() if option.positional]
    seen: set[str] = set()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            name, shown, value = (places[0], places[0].upper(), word) if places else ("", "", word)
            if places and not _is_many(options[name].kind):
                places.pop(0)
        else:
            name, sign, value = word[2:].partition("=")
            name, shown = name.replace("_", "-"), word.partition("=")[0]
            if name in options and options[name].kind is not bool and not sign:
                if not words or words[0].startswith("--"):
                    return f"{shown}: expected {_kind(options[name].kind)}, got nothing"
                value = words.pop(0)
        if name not in options:
            continue
        seen.add(name)
        kind, values = options[name].kind, [value]
        if _is_many(kind):
            kind = typing.get_args(kind)[0]
            while words and not words[0].startswith("--"):
                values.append(words.pop(0))
        for value in values:
            if kind is not bool and not _fits(kind, value):
                return f'{shown}: expected {_kind(kind)}, got "{value}"'
    for name, option in options.items():
        if option.required and name not in seen:
            shown = name.upper() if option.positional else f"--{name}"
            return f"{shown}: expected {_kind(option.kind)}, got nothing"
    lines = [line.strip("│╭╮╰╯─┌┐└┘|+- \t") for line in text.splitlines()]
    return next((line for line in lines if line), "wrong command line")


def _is_many(kind: Any) -> bool:  # any annotation
    return typing.get_origin(kind) is tuple


def _alternatives(kind: Any) -> tuple[Any, ...]:  # any annotation
    """The types of a union without None, or the one type."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(one for one in typing.get_args(kind) if one is not type(None))
    return (kind,)


def _fits(kind: Any, word: str) -> bool:  # any annotation
    """Whether a word can become a value of this type; True for types that are not known here."""
    for one in _alternatives(kind):
        if typing.get_origin(one) is typing.Literal:
            if word in map(str, typing.get_args(one)):
                return True
        elif one in (int, float):
            with contextlib.suppress(ValueError):
                one(word)
                return True
        else:
            return True
    return False


def _kind(kind: Any) -> str:  # any annotation
    """What a type expects, in words."""
    words = []
    for one in _alternatives(kind):
        if typing.get_origin(one) is typing.Literal:
            words.append(f"one of {', '.join(map(str, typing.get_args(one)))}")
        else:
            words.append({int: "a whole number", float: "a number", Path: "a path", str: "text"}.get(one, "a value"))
    return " or ".join(words)


def _tidy() -> None:
    """Remove a run directory that this process made and in which nothing happened."""
    if (rundir := sys.modules.get("fleet.rundir")) is not None:  # else none can have been made
        rundir.discard_unused()


def _terminate(number: int, frame: object) -> None:
    """SIGTERM ends as Ctrl-C does, so that files are closed and children ended."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
