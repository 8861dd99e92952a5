"""A YAML tree read strictly: exactly the keys that are known, text where text is meant, each error with file and line.

`yaml.compose` keeps the place of every node, which `yaml.safe_load` throws away. The functions take a node and the name
of its file, and raise `LaunchError`. Text that ROS 2's launch front end wants quoted is wanted quoted here, so that a
file which passes here passes there. Substitutions are found here and given their value by the caller.
"""

from __future__ import annotations

from collections.abc import Callable

import yaml

from sim.errors import MusterError, nearest

ROS_ONLY = {
    "param": "there is no ROS node to take parameters; pass args",
    "remap": "there is no ROS node to remap; pass args",
    "ros_args": "there is no ROS node to take them; pass args",
}
"""Known to ROS and refused here, with the reason."""


class LaunchError(MusterError):
    """A launch file or an argument for it is wrong; the message names file, line and what was expected."""


def at(node: yaml.Node, file: str) -> str:
    """The place of a node, file:line."""
    return f"{file}:{node.start_mark.line + 1}"


def entries_of(
    node: yaml.Node, file: str, what: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> dict[str, yaml.Node]:
    """A mapping with exactly the keys that `what` has."""
    if not isinstance(node, yaml.MappingNode):
        raise LaunchError(f"{at(node, file)}: {what}: expected the keys {', '.join((*required, *optional))}")
    entries: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise LaunchError(f"{at(key, file)}: {what}: expected a word as key")
        name = key.value
        if name in ROS_ONLY and what == "node":
            raise LaunchError(f'{at(key, file)}: node: "{name}" is not supported: {ROS_ONLY[name]}')
        if name not in required and name not in optional:
            raise LaunchError(f'{at(key, file)}: {what}: unknown key "{name}"{nearest(name, (*required, *optional))}')
        if name in entries:
            raise LaunchError(f'{at(key, file)}: {what}: key "{name}" stands twice; keep one')
        entries[name] = value
    for name in required:
        if name not in entries:
            raise LaunchError(f'{at(node, file)}: {what}: the key "{name}" is missing')
    return entries


def list_of(node: yaml.Node | None, file: str, what: str) -> list[yaml.Node]:
    """The entries of a list; none for an absent node."""
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise LaunchError(f"{at(node, file)}: {what}: expected a list, each entry with a dash")
    return node.value


def text_of(node: yaml.Node, file: str, *, loose: bool = False) -> str:
    """A scalar's text; `loose` takes unquoted numbers and booleans too."""
    if not isinstance(node, yaml.ScalarNode):
        raise LaunchError(f"{at(node, file)}: expected text")
    if "\0" in node.value:
        raise LaunchError(f"{at(node, file)}: expected text without NUL, which no process can be given; take it out")
    if not loose and node.tag != "tag:yaml.org,2002:str":
        raise LaunchError(f'{at(node, file)}: expected text, came {node.value}; quote it: "{node.value}"')
    return node.value


def substituted(text: str, where: str, value: Callable[[str], str]) -> str:
    """`text` with each outermost `$(...)` replaced by `value` of what stands inside."""
    out, position = [], 0
    while (start := text.find("$(", position)) >= 0:
        depth, end = 1, start + 2
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if depth:
            raise LaunchError(f"{where}: $( without its ); close it")
        out += [text[position:start], value(text[start + 2 : end - 1])]
        position = end
    return "".join([*out, text[position:]])


def boolean(word: str, where: str) -> bool:
    """A condition as ROS 2 writes it: true, false, 1 or 0."""
    known = {"true": True, "1": True, "false": False, "0": False}
    if word.strip().lower() not in known:
        raise LaunchError(f'{where}: "{word}" is no condition; expected true, false, 1 or 0')
    return known[word.strip().lower()]
