"""How the Python source of a message's codec is written: what `cdrencoder` and `cdrdecoder` have in common.

A message is mostly numbers of fixed size, which `struct` converts in one call however many they are. So the source
gathers neighbours into *runs*, through nested messages too. What cannot be in a run (the bytes of a string, a sequence
of numbers) goes between runs, as it is. A twist becomes one `pack`; a scan five chunks that are joined.

The difficulty is padding. CDR aligns a number to its size, counted from the first byte after the header, and after a
string the writer of the source no longer knows where that is. `Place` holds what it knows: the position modulo a power
of two. Where that settles the padding, it is written into the run. Where it does not, the run begins anew and its
padding is computed when it runs: the encoder picks one of a few `pack`s, each with another padding in front, and the
decoder moves its position. A loop's body is written for what holds before its first round and after each.

In the source `pos` is a position in the whole message with its header; what is known to lie past it, `ahead`, is not
added before it must be. `cdr.py` compiles the source and says what the names in it are.

Source: OMG DDSI-RTPS 2.5, section 10 (encapsulation), and CORBA 3.4, section 9.3 (CDR); an empty sequence has no
padding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fleet.ros.kinds import Kind, name_of

HEADER = 4
"""Bytes before the first field, from which no alignment counts."""
MAX_ALIGN = 8
"""XCDR1 aligns nothing further."""
SURROGATES = '"utf-8", "surrogateescape"'
"""Any bytes make a text, and the same bytes come of it again."""


@dataclass(frozen=True)
class Place:
    """A position of which only its rest by a power of two is known."""

    modulus: int
    rest: int

    def padding(self, size: int) -> int | None:
        """Bytes to the next multiple of a size, None where that is not known."""
        return -self.rest % size if size <= self.modulus else None

    def after(self, count: int) -> Place:
        """The place that many bytes further on."""
        return Place(self.modulus, (self.rest + count) % self.modulus)

    def meet(self, other: Place) -> Place:
        """What holds of both places."""
        modulus = min(self.modulus, other.modulus)
        while (self.rest - other.rest) % modulus:
            modulus //= 2
        return Place(modulus, self.rest % modulus)


@dataclass
class Source:
    """Source in the making: what encoder and decoder have in common, the runs."""

    kind: type
    order: Literal["<", ">"]
    """`<` or `>`, as in struct."""
    constants: dict[str, object] = field(default_factory=dict)
    """What the source's own names stand for."""
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    count: int = 0
    place: Place = Place(MAX_ALIGN, 0)
    ahead: int = 0
    run: str = ""
    """The run's codes."""
    names: list[str] = field(default_factory=list)
    """What is packed, or unpacked into, in the run's order."""
    loose: int = 1
    """The alignment that is reached before the run when it is executed."""

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text)

    def fresh(self, letter: str) -> str:
        """A name that nothing has."""
        self.count += 1
        return f"{letter}{self.count}"

    def constant(self, value: object) -> str:
        """A name for a value."""
        name = f"C{len(self.constants)}"
        self.constants[name] = value
        return name

    def here(self, beyond: int = 0) -> str:
        """The position, or one beyond it, as an expression."""
        return f"pos + {self.ahead + beyond}" if self.ahead + beyond else "pos"

    def number(self, code: str, name: str) -> None:
        """Take a number into the run, or begin another with it."""
        size = struct.calcsize("<" + code)
        padding = self.place.padding(size)
        if padding is None:
            if self.run:
                self.flush()
            self.loose, self.place, padding = size, Place(size, 0), 0
        self.run += "x" * padding + code
        self.names.append(name)
        self.place = self.place.after(padding + size)

    def flush(self) -> None:
        """Write the run down: what an encoder or a decoder does with it."""
        raise NotImplementedError

    def loop(self, head: str, body: Callable[[], None]) -> None:
        """Write a loop whose body fits wherever a round of it begins."""
        self.flush()
        self.settle()
        begin, written = self.place, len(self.lines)
        while True:
            self.line(head)
            self.depth += 1
            body()
            self.flush()
            self.settle()
            self.depth -= 1
            holds = begin.meet(self.place)
            self.place = holds
            if holds == begin:
                return
            begin = holds
            del self.lines[written:]

    def settle(self) -> None:
        """Bring `pos` to where it is, as other source needs it."""
        if self.ahead:
            self.line(f"pos += {self.ahead}")
            self.ahead = 0

    def refuse(self, condition: str, path: str, text: str) -> None:
        """Write a check; the text is the inside of an f-string."""
        self.line(f"if {condition}:")
        self.line(f'    raise CdrError(f"{name_of(self.kind)}{path}: {text}")')


def after_numbers(place: Place, size: int, kind: Kind) -> Place:
    """Where an array or a sequence of numbers ends, given where its elements could begin at the earliest."""
    padding = place.padding(size)
    begin = Place(size, 0) if padding is None else place.after(padding)
    if kind.shape == "array":
        return begin.after(size * kind.size)
    return place.meet(begin.meet(begin.after(size)))
