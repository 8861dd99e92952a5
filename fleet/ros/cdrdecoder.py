"""The source of a message's decoder: `decode(data, size) -> message`, which trusts no byte (see `cdrsource`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from fleet.ros.cdrsource import HEADER, SURROGATES, Place, Source, after_numbers
from fleet.ros.kinds import DTYPES, NUMBERS, Kind, fields_of, name_of

TRAILING = 3
"""Bytes that may follow the last field: RTPS pads a message to a multiple of four."""


@dataclass(frozen=True)
class Made:
    """A message that is to be made."""

    kind: type
    fields: list[str | Made]


@dataclass
class Decoder(Source):
    """Source of `decode(data, size) -> message`."""

    flags: list[tuple[str, str]] = field(default_factory=list)
    """The run's booleans and their paths."""

    def written(self) -> str:
        """The whole function."""
        value = self.message(self.kind, "")
        self.flush()
        made = self.made(value)
        self.refuse(
            f"size > {self.here(TRAILING)}", "",
            f"{{size}} bytes, but its fields end after {{{self.here()}}}",
        )  # fmt: skip
        return "\n".join(["def decode(data, size):", "    pos = 4", *self.lines, f"    return {made}"])

    def message(self, kind: type, path: str) -> Made:
        """Read a message's fields, to be made of them once they are there."""
        if not fields_of(kind):
            self.number("B", self.fresh("n"))
        return Made(kind, [self.value(each.kind, f"{path}.{each.name}") for each in fields_of(kind)])

    def made(self, value: str | Made) -> str:
        """Make a message, without `__init__` and its defaults, which would take most of the time; its name."""
        if isinstance(value, str):
            return value
        parts = [self.made(part) for part in value.fields]
        name = self.fresh("m")
        self.line(f"{name} = new({self.constant(value.kind)})")
        for each, part in zip(fields_of(value.kind), parts, strict=True):
            self.line(f"{name}.{each.name} = {part}")
        return name

    def value(self, kind: Kind, path: str) -> str | Made:
        """One field as an expression, or as a message that can be made after the next flush."""
        if kind.shape != "one":
            return (self.numbers if kind.base in DTYPES else self.several)(kind, path)
        if isinstance(kind.base, type):
            return self.message(kind.base, path)
        if kind.base == "string":
            return self.text(kind, path)
        name = self.fresh("n")
        if kind.base == "bool":
            self.number("B", name)
            self.flags.append((name, path))
            return f"{name} == 1"
        self.number(NUMBERS[kind.base], name)
        return name

    def text(self, kind: Kind, path: str) -> str:
        """Read a string; one of length 0, which some writers send for an empty one, passes as such."""
        length, text, begin = self.fresh("n"), self.fresh("s"), self.fresh("b")
        self.number("I", length)
        self.flush()
        if kind.capacity:
            self.refuse(f"{length} > {kind.capacity + 1}", path, f"{{{length}}} bytes, at most {kind.capacity} fit")
        self.line(f"{begin} = {self.here()}")
        self.line(f"pos = {begin} + {length}")
        self.refuse("pos > size", path, f"{{{length}}} bytes announced, {{size - {begin}}} left")
        self.refuse("data[pos - 1]", path, "the text does not end in NUL")
        self.line(f"{text} = data[{begin} : pos - 1].decode({SURROGATES})")
        self.ahead, self.place = 0, Place(1, 0)
        return text

    def numbers(self, kind: Kind, path: str) -> str:
        """Read an array or sequence of numbers into an array of its own."""
        dtype = DTYPES[str(kind.base)]
        length, values, begin = self.length(kind, path), self.fresh("v"), self.fresh("b")
        padding = self.place.padding(dtype.itemsize)
        if kind.shape == "array" and padding is not None:
            self.run += "x" * padding
            padding = 0
        self.flush()
        self.line(f"{begin} = {self.here()}")
        if padding != 0:
            self.line(f"if {length}:")
            self.line(f"    {begin} += {HEADER} - {begin} & {dtype.itemsize - 1}")
        self.line(f"pos = {begin} + {length} * {dtype.itemsize}")
        self.refuse("pos > size", path, f"{{{length}}} elements announced, {{size - {begin}}} bytes left")
        if kind.base == "bool":
            self.line(f"if {length} and max(data[{begin}:pos]) > 1:")
            self.line(f'    raise CdrError("{name_of(self.kind)}{path}: a boolean is neither 0 nor 1")')
        wire, ours = self.constant(dtype.newbyteorder(self.order)), self.constant(dtype)
        owned = "copy()" if self.order == "<" else f"astype({ours})"
        self.line(f"{values} = frombuffer(data, {wire}, {length}, {begin}).{owned}")
        self.ahead = 0
        self.place = after_numbers(self.place, dtype.itemsize, kind)
        return values

    def several(self, kind: Kind, path: str) -> str:
        """Read an array or sequence of strings or messages into a list."""
        length, values = self.length(kind, path), self.fresh("v")
        self.flush()
        one = Kind(kind.base, capacity=kind.capacity)
        self.refuse(
            f"{length} * {least(one)} > size - ({self.here()})", path,
            f"{{{length}}} elements announced, {{size - ({self.here()})}} bytes left",
        )  # fmt: skip
        self.line(f"{values} = []")

        def body() -> None:
            value = self.value(one, f"{path}[]")
            self.flush()
            self.line(f"{values}.append({self.made(value)})")

        self.loop(f"for _ in range({length}):", body)
        return values

    def length(self, kind: Kind, path: str) -> str:
        """How many elements come: known, or read and checked."""
        if kind.shape == "array":
            return str(kind.size)
        length = self.fresh("n")
        self.number("I", length)
        self.flush()
        if kind.size:
            self.refuse(f"{length} > {kind.size}", path, f"{{{length}}} elements, at most {kind.size} fit")
        return length

    def flush(self) -> None:
        """Write the run as one `unpack`, and the checks of its booleans."""
        if self.names:
            unpack = self.constant(struct.Struct(self.order + self.run).unpack_from)
            if self.loose > 1:
                self.line(f"pos = {self.here()} + ({HEADER - self.ahead} - pos & {self.loose - 1})")
                self.ahead = 0
            self.line(f"{', '.join(self.names)}, = {unpack}(data, {self.here()})")
        self.ahead += struct.calcsize("<" + self.run)
        for name, path in self.flags:
            self.refuse(f"{name} > 1", path, f"a boolean is {{{name}}}, neither 0 nor 1")
        self.run, self.names, self.loose, self.flags = "", [], 1, []


def least(kind: Kind) -> int:
    """The fewest bytes that a value can take: what a count of them must be covered by, before any is made."""
    many = kind.size if kind.shape == "array" else 1
    if kind.shape == "sequence" or kind.base == "string":
        return 4 * many
    if isinstance(kind.base, type):
        return many * (sum(least(each.kind) for each in fields_of(kind.base)) or 1)
    return many * struct.calcsize("<" + NUMBERS[kind.base])
