"""The actions of a launch file, read before any of them is evaluated: what is not in the portable subset is refused.

The subset is what `ros2 launch` and `muster launch` do alike. A file is refused, with the line, for anything beyond it,
also in branches that its conditions leave out: launch, too, reads all before it starts.

    arg          name, default, description, choice: [{value}]
    let          name, value
    set_env      name, value
    group        a list of actions; or children, scoped
    push_ros_namespace  namespace
    set_parameter       name, value          for every node after it in its scope
    include      file, arg: [{name, value}]
    executable   cmd, name, cwd, output, env: [{name, value}], respawn, respawn_delay, on_exit
    node         pkg, exec, name, namespace, args, param: [{name, value} or {from}], remap: [{from, to}], and what an
                 executable has but for cmd
    log          message
    timer        period, children
    shutdown     reason

Each but `arg` may have `if` or `unless`. Types are launch's (launch_yaml/entity.py): see fleet/launchyaml.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from fleet.launchtext import Command, Text, read_command, read_text, unescaped
from fleet.launchyaml import (
    STRING,
    LaunchError,
    at,
    compose,
    entries_of,
    flag_of,
    list_of,
    parameter_of,
    seconds_of,
    text_of,
)
from sim.errors import nearest

Kind = Literal["text", "plain", "command", "flag", "seconds", "period", "value", "exit", "children"]
"""text: with substitutions; plain: without; value: a parameter's; exit: the word shutdown; period: seconds or a text;
children: actions."""

ParameterValue = str | bool | int | float | list[str | bool | int | float]


@dataclass(frozen=True)
class Shape:
    """The keys of an action or of an entry in one of its lists."""

    required: dict[str, Kind | Shape] = field(default_factory=dict)
    optional: dict[str, Kind | Shape] = field(default_factory=dict)
    """A `Shape` stands for a list of such entries."""


CONDITIONS: dict[str, Kind | Shape] = {"if": "text", "unless": "text"}
PAIR = Shape({"name": "text", "value": "text"})
PROCESS: dict[str, Kind | Shape] = {
    **CONDITIONS,
    "name": "text",
    "cwd": "text",
    "output": "text",
    "env": PAIR,
    "respawn": "text",
    "respawn_delay": "seconds",
    "on_exit": "exit",
}

SHAPES = {
    "arg": Shape({"name": "plain"}, {"default": "text", "description": "plain", "choice": Shape({"value": "plain"})}),
    "let": Shape(PAIR.required, CONDITIONS),
    "set_env": Shape(PAIR.required, CONDITIONS),
    "group": Shape({"children": "children"}, {**CONDITIONS, "scoped": "flag"}),
    "push_ros_namespace": Shape({"namespace": "text"}, CONDITIONS),
    "set_parameter": Shape(PAIR.required, CONDITIONS),
    "include": Shape({"file": "text"}, {**CONDITIONS, "arg": PAIR}),
    "executable": Shape({"cmd": "command"}, PROCESS),
    "node": Shape(
        {"pkg": "text", "exec": "text"},
        {
            **PROCESS,
            "namespace": "text",
            "args": "command",
            "param": Shape({}, {"name": "text", "value": "value", "from": "text"}),
            "remap": Shape({"from": "text", "to": "text"}),
        },
    ),
    "log": Shape({"message": "text"}, CONDITIONS),
    "timer": Shape({"period": "period", "children": "children"}, CONDITIONS),
    "shutdown": Shape({}, {**CONDITIONS, "reason": "text"}),
}

ELSEWHERE = {
    "set_use_sim_time": "launch fails on it in YAML, and it is about launch's own clock; "
    'write set_parameter: {name: use_sim_time, value: "true"}',
    "push-ros-namespace": "write push_ros_namespace",
}
"""Actions that launch knows and that are refused with a reason."""

RESERVED = (
    *("ros_namespace", "ros_remaps", "global_params", "launch-prefix", "launch-prefix-filter"),
    *("emulate_tty", "sigterm_timeout", "sigkill_timeout"),
)
"""Names under which launch keeps its own: no argument or variable may have them."""


@dataclass(frozen=True)
class Entry:
    """An action, or an entry of a list in one, as it stands in the file; an absent key is in none of the dicts."""

    kind: str
    """The action's name, or the list's key."""
    where: str
    """file:line"""
    texts: dict[str, Text] = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)
    commands: dict[str, Command] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    values: dict[str, ParameterValue | Text] = field(default_factory=dict)
    """Values of parameters: a text with substitutions in it is typed once they are made."""
    lists: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    """Entries of lists; under `children` the actions within."""


def read_actions(path: Path, asked: str = "") -> tuple[Entry, ...]:
    """The actions of a launch file; `asked` is the place of the include that wants it.

    Raises `LaunchError` for a file that cannot be read and for whatever is not in the subset.
    """
    entries = entries_of(compose(path, asked), str(path), "a launch file", required=("launch",))
    return _actions(entries["launch"], str(path))


def _actions(node: yaml.Node, file: str) -> tuple[Entry, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise LaunchError(f"{at(node, file)}: expected a list of actions, each with a dash")
    return tuple(_action(entry, file) for entry in node.value)


def _action(node: yaml.Node, file: str) -> Entry:
    if (
        not isinstance(node, yaml.MappingNode)
        or len(node.value) != 1
        or not isinstance(key := node.value[0][0], yaml.ScalarNode)
    ):
        raise LaunchError(f"{at(node, file)}: expected one action such as `- executable:`")
    name, value = str(key.value), node.value[0][1]
    if name in ELSEWHERE:
        raise LaunchError(f'{at(key, file)}: action "{name}" is not in the subset that muster reads: {ELSEWHERE[name]}')
    if name not in SHAPES:
        raise LaunchError(
            f'{at(key, file)}: action "{name}" is not in the subset that muster reads{nearest(name, SHAPES)}'
        )
    if name == "group" and isinstance(value, yaml.SequenceNode):
        return Entry(name, at(value, file), lists={"children": _actions(value, file)})
    entry = _entry(value, file, name, SHAPES[name])
    if "if" in entry.texts and "unless" in entry.texts:
        raise LaunchError(f"{entry.texts['unless'].where}: both if and unless; expected one of them")
    _check_reserved(entry)
    return entry


def _check_reserved(entry: Entry) -> None:
    """Refuse names that launch uses for itself, as far as they stand in the file."""
    names = [entry.plain["name"]] if entry.kind == "arg" else []
    for pair in (entry, *entry.lists.get("arg", ())):
        if pair.kind in ("let", "arg") and "name" in pair.texts:
            names += [piece for piece in pair.texts["name"].fragments if isinstance(piece, str)]
    for name in names:
        if name in RESERVED:
            raise LaunchError(f'{entry.where}: "{name}" is a name that launch keeps for itself; choose another')


def _entry(node: yaml.Node, file: str, what: str, shape: Shape) -> Entry:
    """An action's or entry's keys, each read as its kind."""
    nodes = entries_of(node, file, what, tuple(shape.required), tuple(shape.optional))
    entry = Entry(what, at(node, file))
    for name, value in nodes.items():
        kind = shape.required.get(name) or shape.optional[name]
        where = at(value, file)
        match kind:
            case Shape():
                entry.lists[name] = tuple(_entry(one, file, name, kind) for one in list_of(value, file, name))
            case "text":
                entry.texts[name] = read_text(text_of(value, file), where)
            case "plain":
                entry.plain[name] = unescaped(text_of(value, file))
            case "command":
                if name == "args" and not text_of(value, file):  # launch makes an empty word of it
                    raise LaunchError(f"{where}: args is empty; leave the key out")
                entry.commands[name] = read_command(text_of(value, file), where)
            case "flag":
                entry.flags[name] = flag_of(value, file, name)
            case "seconds":
                entry.seconds[name] = seconds_of(value, file, name)
            case "period" if isinstance(value, yaml.ScalarNode) and value.tag == STRING:
                entry.texts[name] = read_text(text_of(value, file), where)
            case "period":
                entry.seconds[name] = seconds_of(value, file, name)
            case "value":
                entry.values[name] = _value(parameter_of(value, file, name), where)
            case "exit":
                if text_of(value, file) != "shutdown":
                    raise LaunchError(f'{where}: {name} "{text_of(value, file)}": expected shutdown')
                entry.flags[name] = True
            case "children":
                entry.lists[name] = _actions(value, file)
    if what == "param" and not ({"name", "value"} == set(nodes) or {"from"} == set(nodes)):
        raise LaunchError(f"{entry.where}: param: expected the keys name and value, or the key from")
    return entry


def _value(value: ParameterValue, where: str) -> ParameterValue | Text:
    """A parameter's value; a text with substitutions stays to be evaluated."""
    if isinstance(value, str):
        text = read_text(value, where)
        return "".join(map(str, text.fragments)) if all(isinstance(piece, str) for piece in text.fragments) else text
    if isinstance(value, list) and any(isinstance(one, str) and ("$(" in one or "\\" in one) for one in value):
        raise LaunchError(f'{where}: $(...) in a list; write the list as one text, as "[1.0, $(var x)]"')
    return value
