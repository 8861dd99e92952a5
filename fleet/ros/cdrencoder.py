"""The source of a message's encoder: `encode(message) -> bytes`, chunks that are joined (see `cdrsource`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from fleet.ros.cdrsource import HEADER, SURROGATES, Place, Source, after_numbers
from fleet.ros.kinds import DTYPES, NUMBERS, Kind, fields_of, name_of


@dataclass
class Encoder(Source):
    """Source of `encode(message) -> bytes`."""

    ended: int = 0
    """Of the string before, its NUL, which the next run brings along."""
    pending: list[str] = field(default_factory=list)
    """Chunks since the last loop."""
    spilled: bool = False

    def written(self) -> str:
        """The whole function."""
        self.fields(self.kind, "message", "")
        self.flush()
        if self.spilled:
            self.spill()
        joined = "out" if self.spilled else f"({', '.join(['HEADER', *self.pending])},)"
        begin = ["def encode(message):", "    pos = 4", *(["    out = [HEADER]"] if self.spilled else [])]
        return "\n".join([*begin, *self.lines, f"    return join({joined})"])

    def fields(self, kind: type, name: str, path: str) -> None:
        """A message's fields."""
        if not fields_of(kind):
            self.number("B", "0")  # CDR knows no empty structure: ROS gives it one byte
        for each in fields_of(kind):
            self.value(each.kind, f"{name}.{each.name}", f"{path}.{each.name}")

    def value(self, kind: Kind, name: str, path: str) -> None:
        """One field."""
        if kind.shape != "one":
            (self.numbers if kind.base in DTYPES else self.several)(kind, name, path)
        elif isinstance(kind.base, type):
            inner = self.fresh("m")
            self.line(f"{inner} = {name}")
            self.fields(kind.base, inner, path)
        elif kind.base == "string":
            self.text(kind, name, path)
        else:
            self.number(NUMBERS[kind.base], name)

    def text(self, kind: Kind, name: str, path: str) -> None:
        """A string: its length with the NUL, its bytes, the NUL."""
        text = self.fresh("s")
        self.line(f"{text} = {name}.encode({SURROGATES})")
        if kind.capacity:
            self.refuse(f"len({text}) > {kind.capacity}", path, f"{{len({text})}} bytes, at most {kind.capacity} fit")
        self.number("I", f"len({text}) + 1")
        self.flush()
        self.pending.append(text)
        self.line(f"pos += len({text}) + {self.ahead + 1}")
        self.ahead, self.ended, self.place = 0, 1, Place(1, 0)

    def numbers(self, kind: Kind, name: str, path: str) -> None:
        """An array or sequence of numbers: their bytes as they lie in memory."""
        dtype = DTYPES[str(kind.base)]
        values, known = self.fresh("v"), self.constant(dtype)
        self.line(f"{values} = {name}")
        self.line(f"if {values}.__class__ is not ndarray or {values}.dtype is not {known}:")
        self.line(f'    {values} = as_numbers({values}, {known}, "{name_of(self.kind)}{path}")')
        self.length(kind, f"{values}.size", path)
        padding = self.place.padding(dtype.itemsize)
        if kind.shape == "array" and padding is not None:
            self.run += "x" * padding
            padding = 0
        self.flush()
        chunk = self.chunk(f"{values}.tobytes()")
        if padding != 0:
            self.line(f"if {chunk}:")
            self.line(f"    p = {HEADER - self.ahead} - pos & {dtype.itemsize - 1}")
            self.line(f"    {chunk} = ZEROS[p] + {chunk}")
        self.line(f"pos += len({chunk})" + (f" + {self.ahead}" if self.ahead else ""))
        self.ahead = 0
        self.place = after_numbers(self.place, dtype.itemsize, kind)

    def several(self, kind: Kind, name: str, path: str) -> None:
        """An array or sequence of strings or messages, one after the other."""
        values, each = self.fresh("v"), self.fresh("e")
        self.line(f"{values} = {name}")
        self.length(kind, f"len({values})", path)
        one = Kind(kind.base, capacity=kind.capacity)

        def body() -> None:
            if isinstance(one.base, type):
                self.fields(one.base, each, f"{path}[]")
            else:
                self.value(one, each, f"{path}[]")

        self.loop(f"for {each} in {values}:", body)

    def length(self, kind: Kind, length: str, path: str) -> None:
        """Check a length, and write that of a sequence."""
        if kind.shape == "array":
            self.refuse(f"{length} != {kind.size}", path, f"{{{length}}} elements, expected {kind.size}")
            return
        if kind.size:
            self.refuse(f"{length} > {kind.size}", path, f"{{{length}}} elements, at most {kind.size} fit")
        self.number("I", length)

    def flush(self) -> None:
        """Write the run as one `pack`; where its padding is not known, as the choice of one."""
        if not self.run and not self.ended:
            return
        packs = [
            struct.Struct(self.order + "x" * (self.ended + padding) + self.run).pack for padding in range(self.loose)
        ]
        size = struct.calcsize("<" + self.run)
        if self.loose == 1:
            self.chunk(f"{self.constant(packs[0])}({', '.join(self.names)})")
            self.ahead += size
        else:
            self.line(f"p = {HEADER - self.ahead} - pos & {self.loose - 1}")
            self.chunk(f"{self.constant(tuple(packs))}[p]({', '.join(self.names)})")
            self.line(f"pos += p + {self.ahead + size}")
            self.ahead = 0
        self.run, self.names, self.loose, self.ended = "", [], 1, 0

    def settle(self) -> None:
        """As for any source, and no chunk is left waiting."""
        super().settle()
        self.spill()

    def chunk(self, value: str) -> str:
        """Name some of the message's bytes."""
        name = self.fresh("c")
        self.line(f"{name} = {value}")
        self.pending.append(name)
        return name

    def spill(self) -> None:
        """Put the chunks where those of a loop can follow."""
        self.spilled = True
        if self.pending:
            self.line(f"out += ({', '.join(self.pending)},)")
            self.pending = []
