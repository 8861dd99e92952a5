"""YAML read strictly: exactly the known keys, each value of its type and range, each error with file and line.

Every muster file but a launch file has `muster: 1` as its first key. A `Reader` owns the name of one file and the error
that is raised for it; nodes keep their places because `yaml.compose` does (`yaml.safe_load` throws them away). An error
is one line: place, what was expected, what came, what to do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from sim.errors import MusterError, nearest
from sim.files import read_file

NUMBER = re.compile(r"[-+]?(0|[1-9]\d*|(?=\.\d))(\.\d*)?([eE][-+]?\d+)?", re.ASCII)
"""What every YAML reads as the same number: 012 is ten in YAML 1.1, 1_2 twelve, and "12" in quotes is text."""

SIZE_MAX = 4 << 20
"""Bytes of a file: a floor of 1000 x 1000 cells has 1 MB, and YAML costs up to 100 times its size in memory."""

DEPTH_MAX = 20
"""Of lists and keys in each other: four times what any of our files needs, far below Python's recursion limit."""

_BOOLEANS = {"true": True, "false": False}


class Reader:
    """Reads the nodes of one file."""

    def __init__(self, path: Path, error: type[MusterError]) -> None:
        self.path, self.error = path, error

    def root(
        self, required: tuple[str, ...], optional: tuple[str, ...], *, muster: bool = True
    ) -> dict[str, yaml.Node]:
        """The file's keys, beside `muster: 1` where it is one of ours.

        Raises the reader's error, or `FileError` when it cannot be read.
        """
        try:
            text = read_file(self.path, SIZE_MAX).decode()
            self._check_depth(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except UnicodeDecodeError as error:
            raise self.error(f"{self.path}: expected UTF-8 text, got byte 0x{error.object[error.start]:02x}") from error
        except yaml.YAMLError as error:
            mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
            raise self.error(f"{self.path}{place}: expected YAML, got {problem or 'something else'}; repair it") from (
                error
            )
        if not muster and node is not None:
            return self.keys(node, "file", required, optional)
        if isinstance(node, yaml.SequenceNode):
            raise self.error(f'{self.path}, line 1: expected keys, "muster: 1" first, got a list; write keys')
        if not isinstance(node, yaml.MappingNode) or not node.value or node.value[0][0].value != "muster":
            raise self.error(f'{self.path}, line 1: expected "muster: 1" as the first key; add it')
        entries = self.keys(node, "file", ("muster", *required), optional)
        if entries["muster"].value != "1":
            raise self.fault(entries["muster"], f'expected "muster: 1", got "{entries["muster"].value}"; convert it')
        return entries

    def _check_depth(self, text: str) -> None:
        """Raise the reader's error where lists and keys are nested beyond all use: PyYAML composes by recursion."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEPTH_MAX:
                raise self.error(
                    f"{self.path}, line {event.start_mark.line + 1}: expected lists and keys nested at most "
                    f"{DEPTH_MAX} deep, got more; take some away"
                )

    def fault(self, node: yaml.Node, text: str) -> MusterError:
        """The error for a node: file and line before the text."""
        return self.error(f"{self.path}, line {node.start_mark.line + 1}: {text}")

    def keys(
        self, node: yaml.Node, what: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        """A mapping with all of `required` and any of `optional`."""
        names = (*required, *optional)
        if not isinstance(node, yaml.MappingNode):
            raise self.fault(node, f"{what}: expected the keys {', '.join(names)}, got {_kind(node)}; write them")
        entries: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in names:
                raise self.fault(key, f'{what}: unknown key "{name}"{nearest(name, names)}')
            if name in entries:
                raise self.fault(key, f'{what}: the key "{name}" stands twice; keep one')
            entries[name] = value
        for name in required:
            if name not in entries:
                raise self.fault(node, f'{what}: the key "{name}" is missing; add it')
        return entries

    def items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The entries of a list; none where there is no node."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            raise self.fault(node, f"{what}: expected a list, got {_kind(node)}; put each entry after a dash")
        return node.value

    def text(self, node: yaml.Node, what: str) -> str:
        """A word or words."""
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str" or not node.value:
            raise self.fault(node, f"{what}: expected text, got {_kind(node)}; write it in quotes")
        return node.value

    def choice(self, node: yaml.Node, what: str, words: Iterable[str]) -> str:
        """One of some words."""
        names = tuple(words)
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        if value not in names:
            came = f'"{value}"{nearest(value, names)}' if value is not None else f"{_kind(node)}; write one of them"
            raise self.fault(node, f"{what}: expected {', '.join(names)}, got {came}")
        return value

    def boolean(self, node: yaml.Node, what: str) -> bool:
        """`true` or `false`."""
        return _BOOLEANS[self.choice(node, what, _BOOLEANS)]

    def number(self, node: yaml.Node, what: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from `low` to `high`, not in quotes, decimal, without underscores or leading zeros."""
        plain = isinstance(node, yaml.ScalarNode) and node.style is None and NUMBER.fullmatch(node.value)
        value = float(node.value) if plain else math.nan
        if not (math.isfinite(value) and low <= value <= high):
            raise self.fault(node, f"{what}: expected a number{_range(low, high)}, got {_kind(node)}; correct it")
        return value

    def whole(self, node: yaml.Node, what: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.number(node, what, low, high)
        if value != int(value):
            raise self.fault(node, f"{what}: expected a whole number, got {node.value}; correct it")
        return int(value)

    def numbers(self, node: yaml.Node, what: str, count: int) -> list[float]:
        """A list of `count` numbers."""
        nodes = self.items(node, what)
        if len(nodes) != count:
            raise self.fault(node, f"{what}: expected {count} numbers, got {len(nodes)}; correct the list")
        return [self.number(each, what) for each in nodes]


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        shown = node.value if len(node.value) <= 24 else node.value[:21] + "..."
        return '"' + shown.encode("unicode_escape").decode() + '"'
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys"


def _range(low: float, high: float) -> str:
    if math.isfinite(low) and math.isfinite(high):
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if math.isfinite(low) else ""
