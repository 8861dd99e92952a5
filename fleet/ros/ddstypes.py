"""ROS messages and quality of service as Cyclone DDS wants them, and back.

A ROS message `std_msgs/msg/String` is `std_msgs::msg::dds_::String_` on the wire, final, without keys, in XCDR1. The
binding wants an IDL class for each: it is made from the message's fields, and Cyclone's C layer checks all that arrives
against it. The binding's own codec is passed by (83 us for a scan of 360 rays, ours 2): our bytes go in and out.

`typehash=RIHS01_...;` in an endpoint's user data tells its type's hash (REP 2011).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from cyclonedds.core import Policy, Qos
from cyclonedds.idl import IdlStruct, make_idl_struct, types

from fleet.ros.kinds import Kind, fields_of, name_of
from fleet.ros.names import dds_type
from fleet.ros.qos import QoS

IDL: dict[str, Any] = {  # the binding's types are annotations of Python's
    "bool": bool, "byte": types.uint8, "char": types.uint8, "int8": types.int8, "uint8": types.uint8,
    "int16": types.int16, "uint16": types.uint16, "int32": types.int32, "uint32": types.uint32, "int64": types.int64,
    "uint64": types.uint64, "float32": types.float32, "float64": types.float64,
}  # fmt: skip

FOREVER = 2**63 - 1
"""DDS_INFINITY, ns"""

BESIDES = 16
"""Messages that a reader's cache holds besides its queue. DDS overwrites without a word; what passes through here on
its way to the inbox is counted as lost there, one by one as long as no more than this come between two looks."""

LONGEST_NAME = 255
"""Letters of a name that are shown; ROS allows no longer ones."""

_HASH, _END = b"typehash=", b";"


@cache
def idl_class(kind: type) -> type[IdlStruct]:
    """The IDL class of a message; it serves to name and describe the type, no object of it is ever made."""
    fields = {each.name: _idl(each.kind) for each in fields_of(kind)}
    typename = dds_type(name_of(kind)).replace("::", ".")
    return make_idl_struct(kind.__name__, typename, fields or {"structure_needs_at_least_one_member": types.uint8})


def to_dds(qos: QoS, type_hash: str, *, writer: bool) -> Qos:
    """An endpoint's quality of service with its type's hash."""
    lease = _nanoseconds(qos.lease_s)
    policies = [
        # to wait for room would be with Python's lock held; Cyclone never waits where history is keep-last, as here
        Policy.Reliability.Reliable(max_blocking_time=0) if qos.reliable else Policy.Reliability.BestEffort,
        Policy.Durability.TransientLocal if qos.latched else Policy.Durability.Volatile,
        Policy.History.KeepLast(qos.depth if writer else qos.depth + BESIDES),
        Policy.Deadline(_nanoseconds(qos.deadline_s)),
        Policy.Liveliness.ManualByTopic(lease) if qos.manual_liveliness else Policy.Liveliness.Automatic(lease),
        Policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False),
        Policy.Userdata(_HASH + type_hash.encode() + _END),
    ]
    if writer:
        policies.append(Policy.WriterDataLifecycle(autodispose=False))
        if qos.latched:
            policies.append(Policy.DurabilityService(0, Policy.History.KeepLast(qos.depth), -1, -1, -1))
    return Qos(*policies)


def from_dds(qos: Qos) -> QoS:
    """What an endpoint of any vendor offers or asks."""
    reliability, durability = qos[Policy.Reliability], qos[Policy.Durability]
    history, deadline, liveliness = qos[Policy.History], qos[Policy.Deadline], qos[Policy.Liveliness]
    return QoS(
        reliable=isinstance(reliability, Policy.Reliability.Reliable),
        latched=durability is not None and durability != Policy.Durability.Volatile,
        depth=max(1, min(getattr(history, "depth", 1), 10_000)),
        deadline_s=_seconds(deadline.deadline) if deadline is not None else math.inf,
        manual_liveliness=isinstance(liveliness, Policy.Liveliness.ManualByTopic),
        lease_s=_seconds(liveliness.lease_duration) if liveliness is not None else math.inf,
    )


def only_xcdr2(qos: Qos) -> bool:
    """Whether an endpoint speaks XCDR2 alone, which ROS does not."""
    representation = qos[Policy.DataRepresentation]
    return (
        representation is not None
        and representation.use_xcdrv2_representation
        and not representation.use_cdrv0_representation
    )


def hash_in(qos: Qos) -> str:
    """The type hash in an endpoint's user data; empty for none."""
    given = qos[Policy.Userdata]
    data = bytes(given.data) if given is not None else b""
    start = data.find(_HASH)
    end = data.find(_END, start)
    if start < 0 or end < 0:
        return ""
    return data[start + len(_HASH) : end].decode("ascii", "replace")


def printable(text: str) -> str:
    """What somebody on the network calls itself, fit for a line of text."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:LONGEST_NAME])


def _idl(kind: Kind) -> Any:  # an annotation of the binding
    """One field's type."""
    if isinstance(kind.base, type):
        one: Any = idl_class(kind.base)
    elif kind.base == "string":
        one = types.bounded_str[kind.capacity] if kind.capacity else str
    else:
        one = IDL[kind.base]
    if kind.shape == "array":
        return types.array[one, kind.size]
    if kind.shape == "sequence":
        return types.sequence[one, kind.size] if kind.size else types.sequence[one]
    return one


def _nanoseconds(seconds: float) -> int:
    return FOREVER if math.isinf(seconds) else round(seconds * 1e9)


def _seconds(nanoseconds: int) -> float:
    return math.inf if nanoseconds >= FOREVER else max(nanoseconds, 1) / 1e9
