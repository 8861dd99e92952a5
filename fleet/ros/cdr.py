"""Messages to bytes and back, as ROS 2's middlewares send them: XCDR1, little endian.

    serialise(message) -> bytes         deserialise(kind, data) -> message

A codec is compiled once per message, when it is first used, from source that `cdrencoder` and `cdrdecoder` write; a
scan of 360 ranges is encoded in a microsecond and decoded in two. The decoder also reads big endian. It trusts nothing:
whatever the bytes are, it returns a message or raises a CdrError, and it makes nothing whose bytes the input does not
hold (a list grows while its elements are read, and a count that the rest of the input cannot cover is refused first).

What is decoded is encoded to the same bytes again: texts that are not UTF-8 keep their bytes as lone surrogates, the
bits of a NaN stay (a single float32 that is a signalling NaN becomes a quiet one, as in C). Only padding is zero
afterwards. Arrays are copies that belong to the message.

Source: OMG DDSI-RTPS 2.5, section 10.2; the bytes of 87 recorded messages (`tests/benchmarks/ros_golden.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fleet.ros.cdrdecoder import Decoder
from fleet.ros.cdrencoder import Encoder
from fleet.ros.cdrsource import HEADER, MAX_ALIGN
from fleet.ros.kinds import DTYPES, NUMBERS, Field, Kind, fields_of, name_of
from sim.errors import MusterError, shown

LITTLE_ENDIAN, BIG_ENDIAN = b"\x00\x01", b"\x00\x00"
"""Of the header; its other two bytes are options, which mean nothing here."""

T = TypeVar("T")

Encode = Callable[[Any], bytes]  # of one kind of message, which only its compiler knows
Decode = Callable[[bytes, int], Any]  # the same

_ENCODERS: dict[type, Encode] = {}
_DECODERS: dict[tuple[type, bytes], Decode] = {}


class CdrError(MusterError):
    """Bytes are not the message that they should be, or a message has a value that its field cannot hold."""


def serialise(message: object) -> bytes:
    """A message's bytes, header first.

    Raises:
        CdrError: a field holds what its type cannot; names it.
        KindError: it is no message.

    """
    encode = _ENCODERS.get(message.__class__) or _encoder(message.__class__)
    try:
        return encode(message)
    except (struct.error, TypeError, ValueError, AttributeError, OverflowError) as error:
        fault = _fault(message, name_of(message.__class__))
        if fault is None:
            raise
        raise CdrError(fault) from error


def deserialise(kind: type[T], data: bytes | bytearray | memoryview) -> T:
    """The message that the bytes hold.

    Raises:
        CdrError: they hold none; says where they fail.
        KindError: the kind is no message.

    """
    owned = data if isinstance(data, bytes) else _owned(data)
    decode = _DECODERS.get((kind, owned[:2])) or _decoder(kind, owned)
    try:
        return decode(owned, len(owned))
    except struct.error:
        raise CdrError(f"{name_of(kind)}: ends after {len(owned)} bytes, in the middle of a field") from None


def source_of(kind: type) -> str:
    """The source of a message's codec, to be read by a person."""
    return f"{Encoder(kind, '<').written()}\n\n\n{Decoder(kind, '<').written()}\n"


def _encoder(kind: type) -> Encode:
    """Compile a message's encoder."""
    encoder = Encoder(kind, "<")
    _ENCODERS[kind] = _compiled(encoder.written(), encoder.constants)["encode"]
    return _ENCODERS[kind]


def _decoder(kind: type, data: bytes) -> Decode:
    """Compile a message's decoder for the byte order of the data."""
    head = data[:2]
    if len(data) < HEADER or head not in (LITTLE_ENDIAN, BIG_ENDIAN):
        got = data[:4].hex(" ") or "nothing"
        raise CdrError(f"{name_of(kind)}: expected a header of 4 bytes, 00 01 (or 00 00) first, got {got}")
    decoder = Decoder(kind, "<" if head == LITTLE_ENDIAN else ">")
    _DECODERS[kind, head] = _compiled(decoder.written(), decoder.constants)["decode"]
    return _DECODERS[kind, head]


def _compiled(source: str, constants: dict[str, object]) -> dict[str, Any]:  # what the source defines
    names = {
        **constants,
        "CdrError": CdrError,
        "HEADER": LITTLE_ENDIAN + b"\x00\x00",
        "ZEROS": tuple(bytes(many) for many in range(MAX_ALIGN)),
        "as_numbers": as_numbers,
        "frombuffer": np.frombuffer,
        "join": b"".join,
        "ndarray": np.ndarray,
        "new": object.__new__,
    }
    exec(compile(source, "<cdr>", "exec"), names)
    return names


def _owned(data: object) -> bytes:
    """Bytes of what else holds bytes."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise CdrError(f"expected bytes, got {type(data).__name__}")


def as_numbers(values: object, dtype: np.dtype, path: str) -> NDArray:
    """What stands where an array of numbers should, as one, provided that nothing but float precision is lost.

    Raises:
        CdrError: it is none, or a number does not fit.

    """
    if isinstance(values, bytes | bytearray | memoryview) and dtype.itemsize == 1 and dtype.kind in "iu":
        return np.frombuffer(values, dtype)
    try:
        found = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        found = np.asarray(None)
    if found.size == 0 and found.dtype.kind in "biuf":
        return np.empty(0, dtype)
    fits = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    if found.ndim == 0 or found.dtype.kind not in fits:
        raise CdrError(f"{path}: expected numbers of type {dtype.name}, got {shown(repr(values))}")
    if dtype.kind in "iu" and not (np.iinfo(dtype).min <= found.min() and found.max() <= np.iinfo(dtype).max):
        raise CdrError(f"{path}: a number is out of {dtype.name}'s range: {found.min()} to {found.max()}")
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
        return found.astype(dtype)


def _fault(message: object, path: str) -> str | None:
    """Which field of a message cannot be encoded, and why; None where each can."""
    for each in fields_of(message.__class__):
        fault = _field_fault(message, each, f"{path}.{each.name}")
        if fault is not None:
            return fault
    return None


def _field_fault(message: object, each: Field, path: str) -> str | None:
    """Of one field."""
    missing = object()
    value = getattr(message, each.name, missing)
    if value is missing:
        return f"{path}: has no value"
    kind = each.kind
    if kind.shape == "one":
        return _value_fault(kind, value, path)
    if kind.base in DTYPES:
        try:
            as_numbers(value, DTYPES[str(kind.base)], path)
        except CdrError as error:
            return str(error)
        return None
    if not isinstance(value, list | tuple):
        return f"{path}: expected a list, got {shown(repr(value))}"
    one = Kind(kind.base, capacity=kind.capacity)
    faults = (_value_fault(one, item, f"{path}[{index}]") for index, item in enumerate(value))
    return next((fault for fault in faults if fault is not None), None)


def _value_fault(kind: Kind, value: object, path: str) -> str | None:
    """Of a single value."""
    if isinstance(kind.base, type):
        if not isinstance(value, kind.base):
            return f"{path}: expected a {name_of(kind.base)}, got {shown(repr(value))}"
        return _fault(value, path)
    try:
        if kind.base == "string":
            value.encode("utf-8", "surrogateescape")  # pyright: ignore[reportAttributeAccessIssue]: which is the question
        else:
            struct.pack("<" + NUMBERS[kind.base], value)
    except (struct.error, TypeError, ValueError, AttributeError, OverflowError) as error:
        return f"{path}: expected a {kind.base}, got {shown(repr(value))} ({error})"
    return None
