"""A launch file's YAML read strictly: exactly the known keys, the types that launch wants, errors with their line.

`yaml.compose` keeps the place of every node, which `yaml.safe_load` throws away. The functions take a node and the name
of its file, and raise `LaunchError`. launch checks YAML types: what it wants as text must be quoted (`default: "16"`),
a flag must not be (`scoped: false`), a time must have its point (`respawn_delay: 1.0`); so it is here.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from sim.errors import MusterError, nearest
from sim.files import FileError, read_file
from sim.strictyaml import SIZE_MAX

STRING = "tag:yaml.org,2002:str"
FLAG = "tag:yaml.org,2002:bool"
FLOAT = "tag:yaml.org,2002:float"
INTEGER = "tag:yaml.org,2002:int"


class LaunchError(MusterError):
    """A launch file or an argument for it is wrong; the message names file, line and what was expected."""


def compose(path: Path, asked: str = "") -> yaml.Node:
    """The YAML tree of a file; `asked` is the place of the include that wants it, empty for none."""
    prefix = f"{asked}: " if asked else ""
    try:
        text = read_file(path, SIZE_MAX).decode()
    except FileError as error:
        reason = str(error).removeprefix(f"cannot read {path}: ").rpartition(";")[0]
        raise LaunchError(
            f"{prefix}cannot read launch file {path}: {reason}; give the path of a launch file"
        ) from error
    except UnicodeDecodeError as error:
        raise LaunchError(
            f"{prefix}cannot read launch file {path}: not UTF-8 text; give the path of a launch file"
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        aliases = [event for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LaunchError(f"{path}:{line}: not YAML: {error.problem}; correct the line") from error
    except yaml.YAMLError as error:
        raise LaunchError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if aliases:  # nested ones grow without bound
        raise LaunchError(f"{path}:{aliases[0].start_mark.line + 1}: an alias (*) is not in the subset; write it out")
    if root is None:
        raise LaunchError(f"{path}: empty; expected the root key launch: with a list of actions")
    return root


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
        if name not in required and name not in optional:
            raise LaunchError(f'{at(key, file)}: {what}: unknown key "{name}"{nearest(name, (*required, *optional))}')
        if name in entries:
            raise LaunchError(f'{at(key, file)}: {what}: key "{name}" stands twice; keep one')
        entries[name] = value
    for name in required:
        if name not in entries:
            raise LaunchError(f'{at(node, file)}: {what}: the key "{name}" is missing')
    return entries


def list_of(node: yaml.Node, file: str, what: str) -> list[yaml.Node]:
    """The entries of a list, at least one: launch takes an empty list for no list."""
    if not isinstance(node, yaml.SequenceNode):
        raise LaunchError(f"{at(node, file)}: {what}: expected a list, each entry with a dash")
    if not node.value:
        raise LaunchError(f"{at(node, file)}: {what}: expected at least one entry; leave the key out")
    return node.value


def text_of(node: yaml.Node, file: str) -> str:
    """A scalar's text, quoted where YAML would take it for something else."""
    if not isinstance(node, yaml.ScalarNode):
        raise LaunchError(f"{at(node, file)}: expected text")
    if "\0" in node.value:
        raise LaunchError(f"{at(node, file)}: expected text without NUL, which no process can be given; take it out")
    if node.tag != STRING:
        raise LaunchError(f'{at(node, file)}: expected text, came {node.value}; quote it: "{node.value}"')
    return node.value


def flag_of(node: yaml.Node, file: str, what: str) -> bool:
    """A YAML boolean, unquoted: launch takes any text, `"false"` too, for true."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != FLAG:
        raise LaunchError(f"{at(node, file)}: {what}: expected true or false without quotes")
    return node.value.lower() in ("true", "yes", "on")


def seconds_of(node: yaml.Node, file: str, what: str) -> float:
    """A YAML float that is a duration, s: launch takes neither text nor a number without its point."""
    word = node.value if isinstance(node, yaml.ScalarNode) else ""
    value = float(yaml.safe_load(word)) if isinstance(node, yaml.ScalarNode) and node.tag == FLOAT else -1.0
    if not 0.0 <= value < float("inf"):
        raise LaunchError(
            f'{at(node, file)}: {what} "{word}": expected seconds >= 0, unquoted and with a point, as 1.5'
        )
    return value


def parameter_of(node: yaml.Node, file: str, what: str) -> str | bool | int | float | list[str | bool | int | float]:
    """The value of a ROS parameter as YAML types it: text, flag, number or a list of one of them."""
    if isinstance(node, yaml.SequenceNode):
        found = [parameter_of(entry, file, what) for entry in list_of(node, file, what)]
        scalars = [value for value in found if not isinstance(value, list)]
        if len(scalars) < len(found) or len({type(value) for value in scalars}) > 1:
            raise LaunchError(f"{at(node, file)}: {what}: expected a list of texts, of flags or of numbers of one kind")
        return scalars
    if isinstance(node, yaml.ScalarNode) and node.tag == FLAG:
        return flag_of(node, file, what)
    if isinstance(node, yaml.ScalarNode) and node.tag in (FLOAT, INTEGER):
        return yaml.safe_load(node.value)
    if isinstance(node, yaml.ScalarNode) and node.tag == STRING:
        return text_of(node, file)
    raise LaunchError(f"{at(node, file)}: {what}: expected text, a flag, a number or a list of them")
