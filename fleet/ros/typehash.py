"""The type hash by which ROS 2 endpoints know that they mean the same message (REP 2011).

    RIHS01_<SHA-256 of the type description as JSON>

The description names a message's fields with their types, and after it all messages that they are made of, by name.
Defaults and constants are not in it. A peer with another hash sends another message under the same name.

Source: https://github.com/ros-infrastructure/rep/blob/master/rep-2011.rst;
type identifiers from type_description_interfaces/msg/FieldType.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache

from fleet.ros.kinds import Kind, fields_of, name_of

NESTED, STRING, BOUNDED_STRING = 1, 17, 21
IDENTIFIERS = {
    "int8": 2, "uint8": 3, "int16": 4, "uint16": 5, "int32": 6, "uint32": 7, "int64": 8, "uint64": 9,
    "float32": 10, "float64": 11, "char": 3, "bool": 15, "byte": 16,
}  # fmt: skip
"""A .msg file's `char` is an alias of uint8, in the hash too."""
ARRAY, BOUNDED_SEQUENCE, SEQUENCE = 48, 96, 144
"""Added to the type of the elements."""


@cache
def hash_of(kind: type) -> str:
    """A message's type hash, as it stands in an endpoint's user data.

    Raises:
        KindError: it is no message.

    """
    return "RIHS01_" + hashlib.sha256(description(kind).encode()).hexdigest()


def description(kind: type) -> str:
    """A message's type description, as the JSON that is hashed.

    Raises:
        KindError: it is no message.

    """
    referenced = sorted(_referenced(kind) - {kind}, key=name_of)
    return json.dumps(
        {
            "type_description": _described(kind),
            "referenced_type_descriptions": [_described(each) for each in referenced],
        }
    )


def _referenced(kind: type) -> set[type]:
    """A message and all that it is made of."""
    nested = [each.kind.base for each in fields_of(kind) if isinstance(each.kind.base, type)]
    return {kind}.union(*(_referenced(each) for each in nested))


def _described(kind: type) -> dict:
    """One message; an empty one has a byte, as on the wire."""
    fields = [(each.name, each.kind) for each in fields_of(kind)]
    return {
        "type_name": name_of(kind),
        "fields": [
            {"name": name, "type": _type(each)}
            for name, each in fields or [("structure_needs_at_least_one_member", Kind("uint8"))]
        ],
    }


def _type(kind: Kind) -> dict:
    """One field's type."""
    if isinstance(kind.base, type):
        identifier = NESTED
    elif kind.base == "string":
        identifier = BOUNDED_STRING if kind.capacity else STRING
    else:
        identifier = IDENTIFIERS[kind.base]
    if kind.shape == "array":
        identifier += ARRAY
    elif kind.shape == "sequence":
        identifier += BOUNDED_SEQUENCE if kind.size else SEQUENCE
    return {
        "type_id": identifier,
        "capacity": kind.size,
        "string_capacity": kind.capacity,
        "nested_type_name": name_of(kind.base) if isinstance(kind.base, type) else "",
    }
