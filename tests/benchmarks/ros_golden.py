"""ros_golden: messages recorded from ROS 2, encoded and decoded to the byte, and their types' hashes.

`../shared/data/ros2/golden_cdr.json` holds 87 messages of 29 types with their fields, bytes and type hashes, recorded
from rclpy (Jazzy). A message counts where three things hold: made of its fields it encodes to the bytes; the bytes
decode to the same fields; and those encode to the bytes again.

    bytes   messages of which all holds: the goal is 87
    hashes  messages whose type has the recorded hash: the goal is 87
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from figure import Figure, NotHere

from fleet.ros.cdr import deserialise, serialise
from fleet.ros.kinds import fields_of, find, is_message
from fleet.ros.typehash import hash_of
from sim.errors import MusterError

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "data" / "ros2" / "golden_cdr.json"


def measure(quick: bool) -> Iterable[Figure]:
    """Messages that come out right; the number of all is printed as the rival's value."""
    if not GOLDEN.exists():
        raise NotHere("needs ../shared/data/ros2/golden_cdr.json")
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    yield Figure("bytes", sum(same_bytes(case) for case in cases), "1", "messages", len(cases))
    yield Figure(
        "hashes", sum(hash_of(find(case["type"])) == case["hash"] for case in cases), "1", "messages", len(cases)
    )


def same_bytes(case: Mapping) -> bool:
    """Whether one message is encoded and decoded as it was recorded."""
    kind, data = find(case["type"]), bytes.fromhex(case["cdr"])
    try:
        message, decoded = build(kind, case["fields"]), deserialise(kind, data)
        return serialise(message) == data and alike(decoded, message) and serialise(decoded) == data
    except MusterError as error:
        print(f"{case['type']}: {error}")
        return False


def build(kind: type, values: Mapping) -> object:
    """A message of its fields as JSON has them."""
    message = kind()
    for each in fields_of(kind):
        value, base = values[each.name], each.kind.base
        if isinstance(base, type):
            value = build(base, value) if each.kind.shape == "one" else [build(base, item) for item in value]
        setattr(message, each.name, value)
    return message


def alike(one: object, other: object) -> bool:
    """Whether two values are the same; unlike to `==`, NaN is itself."""
    if is_message(one) and one.__class__ is other.__class__:
        return all(alike(getattr(one, each.name), getattr(other, each.name)) for each in fields_of(one.__class__))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(alike(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, np.ndarray | float):
        return np.array_equal(np.asarray(one, float), np.asarray(other, float), equal_nan=True)
    return one == other
