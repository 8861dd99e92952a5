"""ROS 2 parameter files and values, read as `rcl_yaml_param_parser` reads them.

    /**:                          # every node; /r1/nav one node; /*/nav and /r1/** with wildcards
      ros__parameters:
        speed: 1.5
        lidar: {range: 8.0}       # is lidar.range

The rules of that parser hold, not those of YAML 1.1 or 1.2, so that a file means here what it means to rclpy: `yes`,
`on` and `y` are true, `010` is 8, `08` is 8.0, quoted text is text; an array has one type; no aliases. Its silence is
not copied: a key that stands twice, an empty section and a file above `MAX_BYTES` are refused with their line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from sim.errors import MusterError, shown
from sim.files import FileError, read_file

Value: TypeAlias = bool | int | float | str | list[bool] | list[int] | list[float] | list[str]
"""What a ROS parameter may hold, but for byte arrays, which no file can state."""

MAX_BYTES = 1 << 20
"""A parameter file is some kB; more is a mistake, and YAML costs 100 times its size in memory."""

MAX_DEPTH = 16
"""Levels of a file: namespaces, node, ros__parameters and nested names; deeper is a mistake or an attack."""

SECTION = "ros__parameters"

_TRUE = frozenset(["Y", "y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["N", "n", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")  # strtoll with base 0
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))")  # strtod
_SPECIAL = re.compile(r"(?:\.(?:nan|NaN|NAN)|[+-]?\.(?:inf|Inf|INF))")
_PATTERN = re.compile(r"(?:/(?:[A-Za-z_][A-Za-z0-9_]*|\*\*?))+")
_TEXT_TAG = "tag:yaml.org,2002:str"


class ParameterError(MusterError):
    """A parameter file, a parameter or its value is wrong; the message says where."""


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter's value and who gave it."""

    value: Value
    """As read, typed by how it is written."""
    source: str
    """`FILE:LINE` or the argument."""
    exact: bool
    """Meant for this node or given on the command line, not for all nodes of a file's wildcard."""


GivenByNode: TypeAlias = dict[str, dict[str, Given]]
"""Node pattern -> parameter -> value, in the order in which the patterns first came: what stands later outweighs."""


def read_parameters(path: str) -> GivenByNode:
    """All parameters of a file; raises ParameterError, with the line where there is one."""
    try:
        data = read_file(Path(path), MAX_BYTES)
    except FileError as error:
        why = str(error).removeprefix(f"cannot read {path}: ").rpartition(";")[0]
        raise ParameterError(f"{path}: cannot be read: {why}") from None
    found: GivenByNode = {}
    for tree in _trees(data, path):
        if not isinstance(tree, _Map):
            raise ParameterError(f'{path}:{tree.line}: expected node names with "{SECTION}:" below them')
        _read_nodes(tree, "", path, found)
    return found


def read_value(text: str, source: str) -> Value:
    """The value of `-p name:=text`; raises ParameterError."""
    trees = list(_trees(text.encode(errors="surrogateescape"), source))
    if len(trees) != 1:
        raise ParameterError(f'{source}: expected a value after ":="; for empty text write name:=\'""\'')
    return _value(trees[0], source, inside=False)


def matches(pattern: str, node: str) -> bool:
    """Whether a node's fully qualified name is among those that a pattern names."""
    absolute = pattern if pattern.startswith("/") else "/" + pattern
    return re.fullmatch(re.escape(absolute).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"(/\w+)"), node) is not None


@dataclass(frozen=True, slots=True)
class _Scalar:
    text: str
    quoted: bool
    line: int


@dataclass(frozen=True, slots=True)
class _List:
    items: list[_Tree]
    line: int


@dataclass(frozen=True, slots=True)
class _Map:
    entries: list[tuple[_Scalar, _Tree]]
    line: int


_Tree: TypeAlias = "_Scalar | _List | _Map"


def _trees(data: bytes, source: str) -> Iterator[_Tree]:
    """The documents in `data`."""
    try:
        events = yaml.parse(data, Loader=yaml.SafeLoader)
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                yield _tree(event, events, source, 1)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read as text"
        raise ParameterError(f"{source}{f':{mark.line + 1}' if mark else ''}: not YAML: {problem}") from None


def _tree(event: yaml.Event, events: Iterator[yaml.Event], source: str, depth: int) -> _Tree:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent):
        raise ParameterError(f"{source}:{line}: ROS reads no aliases (*{event.anchor}); write the value out")
    if isinstance(event, yaml.ScalarEvent):
        return _Scalar(event.value, event.style in ("'", '"') or event.tag == _TEXT_TAG, line)
    if depth > MAX_DEPTH:
        raise ParameterError(f"{source}:{line}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_tree(event, events, source, depth + 1))
        return _List(items, line)
    entries: list[tuple[_Scalar, _Tree]] = []
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _tree(event, events, source, depth + 1)
        if not isinstance(key, _Scalar) or not key.text:
            raise ParameterError(f"{source}:{key.line}: expected a word as key")
        entries.append((key, _tree(next(events), events, source, depth + 1)))
    return _Map(entries, line)


def _read_nodes(tree: _Map, prefix: str, path: str, found: GivenByNode) -> None:
    """Namespaces and node names, until a section of parameters comes."""
    for key, below in tree.entries:
        if key.text != SECTION:
            if not isinstance(below, _Map):
                raise ParameterError(
                    f'{path}:{key.line}: {shown(key.text)}: expected "{SECTION}:" below a node\'s name'
                )
            name = key.text if not prefix else prefix + key.text if key.text.startswith("/") else f"{prefix}/{key.text}"
            _read_nodes(below, name, path, found)
            continue
        if not prefix:
            raise ParameterError(f'{path}:{key.line}: "{SECTION}" needs a node above it; for all nodes write "/**:"')
        if not isinstance(below, _Map):
            raise ParameterError(f'{path}:{key.line}: expected parameters, "name: value", below "{SECTION}:"')
        pattern = prefix if prefix.startswith("/") else "/" + prefix
        if not _PATTERN.fullmatch(pattern):
            raise ParameterError(
                f"{path}:{key.line}: {shown(prefix)} names no node: expected words of letters, digits and _ with / "
                "between them, or the wildcards * and ** for whole words"
            )
        _read_section(below, "", path, "*" not in pattern, found.setdefault(pattern, {}))


def _read_section(tree: _Map, prefix: str, path: str, exact: bool, found: dict[str, Given]) -> None:
    """Parameters, nested names joined by dots."""
    seen = set()
    for key, below in tree.entries:
        name = prefix + key.text
        if key.text in seen:
            raise ParameterError(f'{path}:{key.line}: "{name}" stands twice; keep one')
        seen.add(key.text)
        if isinstance(below, _Map):
            _read_section(below, name + ".", path, exact, found)
        else:
            where = f"{path}:{key.line}"
            found[name] = Given(_value(below, f"{where}: {name}", inside=False), where, exact)


def _value(tree: _Tree, where: str, *, inside: bool) -> Value:
    if isinstance(tree, _Scalar):
        return _scalar(tree, where)
    if isinstance(tree, _Map) or inside:
        raise ParameterError(f"{where}: expected a number, true or false, text, or an array of one of them")
    values = [_value(item, where, inside=True) for item in tree.items]
    for value in values:
        if type(value) is not type(values[0]):
            raise ParameterError(
                f"{where}: an array has one type, came {_kind(values[0])} and {_kind(value)}; write each number with a "
                "point, or none"
            )
    return values  # pyright: ignore[reportReturnType] - one type, just checked


def _scalar(scalar: _Scalar, where: str) -> bool | int | float | str:
    text = scalar.text
    if scalar.quoted:
        return text
    if not text:
        raise ParameterError(f'{where}: no value; for empty text write ""')
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text) and len(text) <= 32:
        digits = text.lstrip("+-")
        octal = digits.startswith("0") and len(digits) > 1 and digits[1] not in "xX"
        number = int(digits, 8 if octal else 0) * (-1 if text[0] == "-" else 1)
        if -(1 << 63) <= number < 1 << 63:
            return number
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isinf(number) or "n" in text.lower():
            return number
    return text


def _kind(value: object) -> str:
    return {bool: "true or false", int: "an integer", float: "a number with a point", str: "text"}[type(value)]
