"""What a file states and its reader has no room for: counted by name, with the first lines, told for people.

    left = LeftOut()
    left.walk(root, {"road": {"lanes", "link"}, "lanes": {"laneSection"}})
    left.note("signal", element)
    left.told()          ("surface of road, line 12", "40 x signal, lines 20, 24, 28 and on")

`walk` takes a table of what is read: for elements that stand in it, every child that their row lacks is noted. So what
nobody thought of is told too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sim.errors import shown
from sim.xmltree import Element

FIRST = 3
"""Lines that are told of each name."""

NAMES = 24
"""Names that are told apart; more, in files from strangers, are one: OTHERS."""

OTHERS = "others"

TOOLS = ("userData", "dataQuality")
"""Elements that tools keep for themselves."""


class LeftOut:
    """Owns the names of one file, how often each stands there, and where first."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._lines: dict[str, list[int]] = {}  # the first ones, and one more

    def note(self, name: str, element: Element) -> None:
        """One more of a name."""
        if name not in self._count and len(self._count) >= NAMES:
            name = OTHERS
        self._count[name] = self._count.get(name, 0) + 1
        lines = self._lines.setdefault(name, [])
        if element.line not in lines and len(lines) <= FIRST:
            lines.append(element.line)

    def walk(self, element: Element, read: Mapping[str, Collection[str]]) -> None:
        """Note every element below that the row of the one around it lacks; what has no row is not looked into."""
        for child in element.children:
            if child.tag in read[element.tag]:
                if child.tag in read:
                    self.walk(child, read)
            elif child.tag not in TOOLS:
                self.note(f"{word(child.tag)} of {element.tag}", child)

    def told(self) -> tuple[str, ...]:
        """A phrase for each name, in the order of their first lines."""
        return tuple(self._phrase(name) for name in sorted(self._count, key=lambda name: self._lines[name][0]))

    def _phrase(self, name: str) -> str:
        count, lines = self._count[name], self._lines[name]
        first = ", ".join(map(str, lines[:FIRST])) + (" and on" if len(lines) > FIRST else "")
        return f"{f'{count:,} x ' if count > 1 else ''}{name}, line{'s' if len(lines) > 1 else ''} {first}"


def word(text: str) -> str:
    """A name from a file as a message shows it: cut, nothing unprintable."""
    return shown(text)[1:-1]
