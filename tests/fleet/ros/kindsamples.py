"""What the tests of the codec share: messages with every kind of field, a second writer of CDR, drawn messages."""

import importlib
import pkgutil
import random
import struct
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fleet.ros import kinds, messages
from fleet.ros.kinds import DTYPES, NUMBERS, Kind, array, default, fields_of, message, sequence


@message("test_msgs/msg/Nothing")
class Nothing:
    pass


@message("test_msgs/msg/Mixed")
class Mixed:
    flag: kinds.Bool = False
    wide: kinds.Float64 = 0.0
    text: kinds.String = ""
    small: kinds.Int8 = 0
    long: kinds.UInt64 = 0
    short: kinds.Int16 = -3


@message("test_msgs/msg/Sequences")
class Sequences:
    flags: kinds.Bools = default()
    bytes: kinds.Bytes = default()
    doubles: kinds.Float64s = default()
    shorts: kinds.UInt16s = default()
    texts: list[str] = default()
    mixed: list[Mixed] = default()
    nothing: list[Nothing] = default()


@message("test_msgs/msg/Bounds")
class Bounds:
    name: Annotated[str, Kind("string", capacity=4)] = ""
    few: Annotated[NDArray[np.float64], sequence("float64", 3)] = default()
    names: Annotated[list[str], Kind("string", "sequence", 2, 4)] = default()
    pair: Annotated[list[Mixed], array(Mixed, 2)] = default()
    triple: Annotated[list[str], array("string", 3)] = default()
    six: Annotated[NDArray[np.int64], array("int64", 6)] = default()
    bits: Annotated[NDArray[np.bool_], array("bool", 3)] = default()
    some: Annotated[list[Mixed], sequence(Mixed, 1)] = default()


for each in pkgutil.iter_modules(messages.__path__):
    importlib.import_module(f"{messages.__name__}.{each.name}")
KINDS = sorted(kinds._MESSAGES.values(), key=kinds.name_of)
"""Every message that is defined, and those above."""


def written(value: object, order: str = "<") -> bytes:
    """A message's bytes by the rule alone, value after value: the oracle, which shares nothing with the codec."""
    out = bytearray()

    def number(code: str, given: object) -> None:
        size = struct.calcsize("=" + code)
        out.extend(bytes(-len(out) % size) + struct.pack(order + code, given))

    def one(kind: Kind, given: object) -> None:
        if isinstance(kind.base, type):
            whole(given)
        elif kind.base == "string":
            data = given.encode("utf-8", "surrogateescape") + b"\0"
            number("I", len(data))
            out.extend(data)
        else:
            number(NUMBERS[kind.base], given)

    def whole(given: object) -> None:
        fields = fields_of(type(given))
        if not fields:
            number("B", 0)
        for field in fields:
            part = getattr(given, field.name)
            if field.kind.shape == "one":
                one(field.kind, part)
                continue
            if field.kind.shape == "sequence":
                number("I", len(part))
            for item in part:
                one(field.kind, item)

    whole(value)
    return (b"\0\1\0\0" if order == "<" else b"\0\0\0\0") + bytes(out)


def drawn(kind: type, draw: random.Random) -> object:
    """Any message of a kind."""
    return kind(**{field.name: _values(field.kind, draw) for field in fields_of(kind)})


def _values(kind: Kind, draw: random.Random) -> object:
    if kind.shape == "one":
        return _one(kind, draw)
    many = kind.size if kind.shape == "array" else draw.randint(0, min(kind.size or 3, 3))
    values = [_one(kind, draw) for _ in range(many)]
    return np.array(values, DTYPES[kind.base]) if kind.base in DTYPES else values


def _one(kind: Kind, draw: random.Random) -> object:
    if isinstance(kind.base, type):
        return drawn(kind.base, draw)
    if kind.base == "string":
        return draw.randbytes(draw.randint(0, kind.capacity or 9)).decode("utf-8", "surrogateescape")
    if kind.base == "bool":
        return draw.random() < 0.5
    dtype = DTYPES[kind.base]
    if dtype.kind == "f":
        return float(np.array(draw.choice((0.0, -0.0, np.inf, draw.gauss(0, 1e3), draw.uniform(-1e38, 1e38))), dtype))
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return draw.choice((low, high, 0, draw.randint(low, high)))
