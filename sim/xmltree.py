"""XML read as data from strangers: no document types, no entities, bounds on size and depth, errors with their lines.

    reader = XmlReader(path, RoadError)
    root = reader.root("OpenDRIVE")
    road.number("length", low=0.0)         an attribute as a finite number
    road.one("planView")                   exactly one child; `some` none or one, `all` any number

Python's expat is told to refuse every DOCTYPE, so that no entity can be declared and neither "billion laughs" nor a
file of this machine can be read through one. An error is one line: file,
line, what was expected, what came, what to do.
"""

from __future__ import annotations

import math
import stat
import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import MusterError, shown
from sim.files import FileError

SIZE_MAX = 256 * 1024 * 1024
"""Bytes of a file that are read: the largest scenario of the public CommonRoad collections has 12 MB."""

COUNT_MAX = 4_000_000
"""Elements of a file, some 2 GB of memory; the scenario of 12 MB has a tenth of it."""

DEPTH_MAX = 64
"""Elements inside each other; OpenDRIVE and CommonRoad need 10."""

NAME_MAX = 100
"""Characters of an id; a UUID has 36."""

MESSAGE_MAX = 500
"""Characters of what is said of an element."""

NUMBER_MAX = 1.0e9
"""Size of a number: coordinates of maps reach 1e7 m; sums and squares of larger ones would leave what floats hold."""


@dataclass(eq=False)
class Element:
    """An element with its place. Raises the reader's error where something is missing, wrong or too much."""

    reader: XmlReader
    tag: str
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def fault(self, text: str) -> MusterError:
        """The error for this element: file and line before the text, which may hold what the file says."""
        return self.reader.error(f"{self.reader.path}, line {self.line}: {_plain(text)}")

    def all(self, tag: str) -> Iterator[Element]:
        """Children of one name."""
        return (child for child in self.children if child.tag == tag)

    def some(self, tag: str) -> Element | None:
        """The only child of that name, or None."""
        found = list(self.all(tag))
        if len(found) > 1:
            raise found[1].fault(f"expected one <{tag}> in <{self.tag}>, got {len(found)}; remove the others")
        return found[0] if found else None

    def one(self, tag: str) -> Element:
        """The only child of that name."""
        found = self.some(tag)
        if found is None:
            raise self.fault(f"expected <{tag}> in <{self.tag}>, it is missing; add it")
        return found

    def word(self, name: str, default: str | None = None) -> str:
        """An attribute's text."""
        value = self.attributes.get(name, default)
        if value is None:
            raise self.fault(f'expected the attribute "{name}" of <{self.tag}>, it is missing; add it')
        return value

    def name(self, name: str = "id") -> str:
        """An attribute as a name that messages and reports can show."""
        text = self.word(name)
        if not text.isprintable() or len(text) > NAME_MAX:
            raise self.fault(
                f'expected at most {NAME_MAX} printable characters as "{name}" of <{self.tag}>, got {shown(text)}; '
                "rename it"
            )
        return text

    def number(self, name: str, default: float | None = None, low: float = -math.inf, high: float = math.inf) -> float:
        """An attribute as a finite number from `low` to `high`."""
        if default is not None and name not in self.attributes:
            return default
        return self._number(self.word(name), f'"{name}"', low, high)

    def whole(self, name: str, default: int | None = None) -> int:
        """An attribute as a whole number."""
        if default is not None and name not in self.attributes:
            return default
        text = self.word(name)
        if not (text.strip().isascii() and text.strip().removeprefix("-").isdigit() and len(text) <= 10):
            raise self.fault(f'expected a whole number as "{name}", got {shown(text)}; repair it')
        return int(text)

    def value(self, low: float = -math.inf, high: float = math.inf) -> float:
        """The text inside as a finite number."""
        return self._number(self.text.strip(), f"<{self.tag}>", low, high)

    def _number(self, text: str, name: str, low: float, high: float) -> float:
        try:
            # Python also takes 1_0, and the digits of every script
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        stated = (low, high) != (-math.inf, math.inf)
        low, high = max(low, -NUMBER_MAX), min(high, NUMBER_MAX)
        if not low <= value <= high:
            bounds = f" from {low:g} to {high:g}" if stated or math.isfinite(value) else ""
            raise self.fault(f"expected a finite number{bounds} as {name}, got {shown(text)}; repair it")
        return value


class XmlReader:
    """Reads one file into `Element`s."""

    def __init__(self, path: Path, error: type[MusterError]) -> None:
        self.path, self.error = path, error
        self._stack: list[Element] = []
        self._texts: list[list[str]] = []
        self._root: Element | None = None
        self._count = 0

    def root(self, *tags: str) -> Element:
        """The outermost element, which must have one of these names. Raises the reader's error, or `FileError`."""
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device read for ever
                raise FileError(f"cannot read {self.path}: it is no file; name one")
            if status.st_size > SIZE_MAX:
                raise self.error(
                    f"{self.path}: expected at most {SIZE_MAX} bytes, got {status.st_size}; cut it into parts"
                )
            data = self.path.read_bytes()
        except OSError as error:
            raise FileError(
                f"cannot read {self.path}: {error.strerror or error}; name a file that can be read"
            ) from error
        parser = xml.parsers.expat.ParserCreate()
        self._parser = parser
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(data, True)
        except xml.parsers.expat.ExpatError as error:
            problem = xml.parsers.expat.ErrorString(error.code)
            raise self.error(
                f"{self.path}, line {error.lineno}: expected well-formed XML, got {problem}; repair it"
            ) from error
        except (LookupError, ValueError) as error:  # what expat asks Python for
            raise self.error(f"{self.path}, line 1: expected text in UTF-8, got {error}; convert the file") from error
        assert self._root is not None  # expat refuses an empty document
        if self._root.tag not in tags:
            raise self._root.fault(f"expected <{'> or <'.join(tags)}>, got <{self._root.tag}>; name another file")
        return self._root

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._stack) >= DEPTH_MAX:
            raise self._here(f"expected at most {DEPTH_MAX} elements inside each other, got more; name another file")
        self._count += 1
        if self._count > COUNT_MAX:
            raise self._here(f"expected at most {COUNT_MAX} elements, got more; cut the file into parts")
        element = Element(self, tag.rpartition(":")[2], self._parser.CurrentLineNumber, attributes)
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self._root = element
        self._stack.append(element)
        self._texts.append([])

    def _end(self, tag: str) -> None:
        self._stack.pop().text = "".join(self._texts.pop())

    def _characters(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def _doctype(self, *_: object) -> None:
        raise self._here("expected no document type (it could declare entities), got <!DOCTYPE>; remove it")

    def _here(self, text: str) -> MusterError:
        return self.error(f"{self.path}, line {self._parser.CurrentLineNumber}: {text}")


def _plain(text: str) -> str:
    """A message in one line: cut, and what cannot be printed escaped."""
    text = text if len(text) <= MESSAGE_MAX else text[: MESSAGE_MAX - 3] + "..."
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
