"""ROS 2 names: which are allowed, how a relative one becomes absolute, how rules change it, what DDS calls it.

A node `n` in namespace `/r1` means by `scan` the topic `/r1/scan`, by `~/state` `/r1/n/state`, by `/clock` `/clock`;
`{node}`, `{ns}` and `{namespace}` stand for the node's. A rule `from:=to` is expanded in the same way on both sides and
compared with the expanded topic; the first rule that fits holds, and its outcome is not remapped again.

Source: ROS 2 design, "Topic and Service name mapping to DDS" and "Remapping names"; rcl `expand_topic_name.c` and
`remap.c`, and rmw `validate_*.c`, whose limits these are. Services and actions have no place here: the bus has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sim.errors import MusterError, shown

TOPIC_LENGTH = 247
"""Longest absolute topic: 255 characters of a DDS topic less 8 kept for prefixes (rmw/validate_full_topic_name.h)."""

NAMESPACE_LENGTH = 245
"""Longest namespace: room for the shortest topic, `/X` (rmw/validate_namespace.h)."""

NODE_LENGTH = 255
"""Longest node name (rmw/validate_node_name.h)."""

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RELATIVE = re.compile(r"(?:~(?=/|$)/?|/)?(?:[A-Za-z0-9_{}]+(?:/[A-Za-z0-9_{}]+)*)?")
_TYPE = re.compile(r"([a-z][a-z0-9_]*)/(msg|srv|action)/([A-Za-z][A-Za-z0-9_]*)")
_BRACES = re.compile(r"\{[^{}]*\}")


class RosNameError(MusterError):
    """A node, namespace, topic or type is named as ROS 2 forbids."""


@dataclass(frozen=True, slots=True)
class Remap:
    """One rule of `--remap`: `[node:]match:=replacement`."""

    match: str
    """A topic as somebody may write it, or `__node` or `__ns`."""
    replacement: str
    """What it becomes."""
    node: str = ""
    """The one node that the rule is for, by its name after remapping (as in rcl); empty for all."""


def check_node_name(name: str) -> str:
    """`name` itself; raises RosNameError where ROS 2 allows no such node."""
    if not _TOKEN.fullmatch(name):
        raise RosNameError(f"a node's name is letters, digits and _ and starts with no digit, came {shown(name)}")
    if len(name) > NODE_LENGTH:
        raise RosNameError(f"a node's name has at most {NODE_LENGTH} characters, came {len(name)}: {shown(name)}")
    return name


def check_namespace(namespace: str) -> str:
    """The namespace as an absolute one (`` is `/`, `r1` is `/r1`); raises RosNameError where ROS 2 allows none such."""
    absolute = namespace if namespace.startswith("/") else "/" + namespace
    if absolute != "/" and not all(_TOKEN.fullmatch(token) for token in absolute[1:].split("/")):
        raise RosNameError(
            f"a namespace is words of letters, digits and _ that start with no digit, with / between them and none at "
            f"the end, came {shown(namespace)}"
        )
    if len(absolute) > NAMESPACE_LENGTH:
        raise RosNameError(f"a namespace has at most {NAMESPACE_LENGTH} characters, came {len(absolute)}")
    return absolute


def check_topic(topic: str) -> str:
    """An absolute topic itself; raises RosNameError where ROS 2 allows none such."""
    if not topic.startswith("/") or not all(_TOKEN.fullmatch(token) for token in topic[1:].split("/")):
        raise RosNameError(
            f"a topic is words of letters, digits and _ that start with no digit, each after a /, came {shown(topic)}"
        )
    if len(topic) > TOPIC_LENGTH:
        raise RosNameError(f"a topic has at most {TOPIC_LENGTH} characters with its namespace, came {len(topic)}")
    return topic


def is_topic(topic: str) -> bool:
    """Whether `topic` is an absolute one that ROS 2 allows: what others put on a domain need not be."""
    try:
        check_topic(topic)
    except RosNameError:
        return False
    return True


def qualified(namespace: str, name: str) -> str:
    """A node's fully qualified name."""
    return f"/{name}" if namespace == "/" else f"{namespace}/{name}"


def expand(topic: str, node: str, namespace: str) -> str:
    """The absolute name of `topic` as the node of that name and absolute namespace means it; raises RosNameError."""
    if not topic or not _RELATIVE.fullmatch(topic):
        raise RosNameError(
            f'expected a topic like "scan", "~/state" or "/clock", came {shown(topic)}; it has letters, digits, _ '
            "and /, a ~ only at the start"
        )
    known = {"{node}": node, "{ns}": namespace, "{namespace}": namespace}
    absolute = qualified(namespace, node) + topic[1:] if topic.startswith("~") else topic
    for word in _BRACES.findall(absolute):
        if word not in known:
            raise RosNameError(f"{shown(topic)}: unknown substitution {shown(word)}; known: {', '.join(known)}")
        absolute = absolute.replace(word, known[word])
    return check_topic(absolute if absolute.startswith("/") else qualified(namespace, absolute))


def resolve(topic: str, node: str, namespace: str, rules: Iterable[Remap]) -> str:
    """The absolute name of `topic` after remapping.

    Raises RosNameError for the topic and for the replacement of the rule that fits; a rule whose match is no topic fits
    nothing.
    """
    absolute = expand(topic, node, namespace)
    for rule in rules:
        if rule.match in ("__node", "__ns") or rule.node not in ("", node):
            continue
        try:
            fits = expand(rule.match, node, namespace) == absolute
        except RosNameError:
            continue
        if fits:
            return expand(rule.replacement, node, namespace)
    return absolute


def mangled(topic: str) -> str:
    """The DDS topic of an absolute ROS topic: `/r1/scan` is `rt/r1/scan`."""
    return "rt" + topic


def demangled(topic: str) -> str:
    """The ROS topic of a DDS topic; empty for what is no ROS topic."""
    return topic[2:] if topic.startswith("rt/") else ""


def dds_type(kind: str) -> str:
    """The DDS type of a ROS type: `std_msgs/msg/String` is `std_msgs::msg::dds_::String_`; raises RosNameError."""
    parts = _TYPE.fullmatch(kind)
    if not parts:
        raise RosNameError(f"expected a type like std_msgs/msg/String, came {shown(kind)}")
    return "{}::{}::dds_::{}_".format(*parts.groups())


def ros_type(kind: str) -> str:
    """The ROS type of a DDS type; empty for what is none."""
    parts = kind.split("::")
    if len(parts) != 4 or parts[2] != "dds_" or not parts[3].endswith("_"):
        return ""
    name = f"{parts[0]}/{parts[1]}/{parts[3][:-1]}"
    return name if _TYPE.fullmatch(name) else ""
