"""The bus: nodes that publish and subscribe typed messages, the same over rclpy, over DDS and inside one process.

    bus = open_bus("auto", arguments=sys.argv[1:])
    node = bus.node("robot", namespace="r1")
    speed = node.parameters.declare("speed", 1.5, "m/s, at most")
    command = node.publisher(TwistStamped, "cmd_vel")
    scans = node.subscription(LaserScan, "scan", qos=SENSOR)
    while True:
        bus.spin(0.1)                    # callbacks run here, in the caller's thread, and nowhere else
        if (sample := scans.newest()) is not None: ...

Messages are the dataclasses of `messages/`, and what arrives is always a copy of its own. Backends only put bytes into
bounded inboxes; decoding and callbacks run in the caller's thread, and an exception in a callback is the caller's. What
would be silence in ROS (another type, another hash, incompatible QoS, a name taken twice, bytes that are no message) is
a `Diagnostic`.

Not here: services and actions. The embedded bus cannot offer them to every vendor (see docs/decisions.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from fleet.ros.arguments import parse
from fleet.ros.parameters import Parameters
from fleet.ros.qos import DEFAULT, QoS
from sim.errors import MusterError, nearest

if TYPE_CHECKING:
    from fleet.ros.graph import Census
    from fleet.ros.lifecycle import Behaviour, Lifecycle

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

BusKind = Literal["none", "auto", "dds", "rclpy", "loop"]
"""Of a command line: none is no bus but ZeroMQ, else see `open_bus`."""

KINDS = ("auto", "rclpy", "dds", "loop")
"""What `open_bus` can be asked for."""


class BusError(MusterError):
    """The bus cannot do what it was asked; the message is one line."""


class Level(IntEnum):
    """Severity, as in diagnostic_msgs/msg/DiagnosticStatus (REP-107)."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is not as it should be between nodes, as it stands now."""

    level: Level
    """How bad it is."""
    name: str
    """What kind of thing: type, type_hash, qos, duplicate_node, malformed, parameter, ..."""
    text: str
    """One line: what is, what was expected, what to do."""
    node: str = ""
    """Our node that it is about, fully qualified; empty for all."""
    topic: str = ""
    """The topic that it is about; empty for none."""


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """A message and how it came."""

    message: T
    """Nobody else's: yours to keep or change."""
    received: int
    """When it arrived here, ns of our own monotonic clock; never the sender's stamp."""
    publisher: bytes
    """The writer's 16 bytes (its gid); empty where the backend does not tell."""


class Clock(Protocol):
    """A node's time."""

    @property
    def is_sim(self) -> bool:
        """Whether /clock rules (parameter `use_sim_time`) rather than the wall clock."""
        ...

    @property
    def kept(self) -> bool:
        """Whether somebody keeps this time: a wall clock's is always kept, /clock while it is published."""
        ...

    def now(self) -> int:
        """Nanoseconds of ROS time: since 1970, or the newest /clock, 0 until the first."""
        ...


class Publisher(Protocol[T_contra]):
    """The sending end of a topic."""

    @property
    def topic(self) -> str:
        """The absolute name, remapped."""
        ...

    @property
    def matched(self) -> int:
        """Subscriptions that hear it now."""
        ...

    def publish(self, message: T_contra) -> None:
        """Send a message; raises MusterError when it is of another type or its values do not fit its fields."""
        ...

    def close(self) -> None:
        """End it; safe to call twice."""
        ...


class Subscription(Protocol[T]):
    """The receiving end of a topic."""

    @property
    def topic(self) -> str:
        """The absolute name, remapped."""
        ...

    @property
    def matched(self) -> int:
        """Publishers that it hears now."""
        ...

    @property
    def lost(self) -> int:
        """Messages overwritten before anybody took them."""
        ...

    @property
    def malformed(self) -> int:
        """Arrivals that were no message of this type; they are dropped."""
        ...

    def take(self) -> Sample[T] | None:
        """The oldest message that has come; None for none."""
        ...

    def newest(self) -> Sample[T] | None:
        """The newest message that has come; older ones are gone."""
        ...

    def close(self) -> None:
        """End it; safe to call twice."""
        ...


class Node(Protocol):
    """A named participant: what `ros2 node list` shows."""

    @property
    def name(self) -> str:
        """Its name, remapped."""
        ...

    @property
    def namespace(self) -> str:
        """Its namespace, absolute and remapped."""
        ...

    @property
    def fully_qualified(self) -> str:
        """Namespace and name."""
        ...

    @property
    def parameters(self) -> Parameters:
        """What ROS arguments gave it."""
        ...

    @property
    def clock(self) -> Clock:
        """Its time."""
        ...

    def publisher(self, kind: type[T], topic: str, qos: QoS = DEFAULT) -> Publisher[T]:
        """Publish messages of `kind` on a topic (relative, `~/private` or absolute); raises MusterError."""
        ...

    def subscription(
        self, kind: type[T], topic: str, callback: Callable[[T], None] | None = None, qos: QoS = DEFAULT
    ) -> Subscription[T]:
        """Receive messages of `kind`: `Bus.spin` hands them to a callback, else take them. Raises MusterError."""
        ...

    def close(self) -> None:
        """Leave, with all publishers and subscriptions; safe to call twice."""
        ...


class Bus(Protocol):
    """One process's way to the others."""

    @property
    def kind(self) -> str:
        """Which backend: rclpy, dds or loop."""
        ...

    def node(self, name: str, namespace: str = "", arguments: Sequence[str] = ()) -> Node:
        """A node; `arguments` may hold ROS arguments for it alone. Raises MusterError."""
        ...

    def managed(self, name: str, behaviour: Behaviour, namespace: str = "", arguments: Sequence[str] = ()) -> Lifecycle:
        """A node with a life cycle: rclpy's own over rclpy, the same machine elsewhere. Raises MusterError."""
        ...

    def spin(self, timeout_s: float) -> int:
        """Run the callbacks of all that has come, after waiting at most so long for something to come.

        Each topic's messages in their order, those of several topics in the order in which the backend received them:
        on the loop as they were published. A message without a callback ends the wait too. What callbacks publish is
        delivered by the next call. Returns how many callbacks ran.
        """
        ...

    def diagnostics(self) -> list[Diagnostic]:
        """What is wrong now."""
        ...

    def census(self) -> Census:
        """Who else is on the domain now, as far as discovery has told; rclpy tells it to a node alone."""
        ...

    def close(self) -> None:
        """Close all nodes and leave; safe to call twice."""
        ...


def open_bus(kind: str = "auto", *, arguments: Sequence[str] = (), domain: int | None = None) -> Bus:
    """The bus of that kind; `auto` is rclpy where ROS 2 is sourced, else DDS.

    `arguments` may hold ROS arguments for all nodes; `domain` stands for ROS_DOMAIN_ID. Raises BusError when the kind
    is not available here, with what to do, and other MusterErrors for bad arguments.
    """
    if kind not in KINDS:
        raise BusError(f"bus: expected one of {', '.join(KINDS)}, came {kind}{nearest(kind, KINDS)}")
    ros = parse(arguments)
    if kind == "loop":
        return importlib.import_module("fleet.ros.loop").LoopBus(arguments=ros)
    reasons = []
    for library, module, name in _backends(kind):
        try:
            importlib.import_module(library)
            backend = getattr(importlib.import_module(module), name)
        except ImportError as error:
            reasons.append(f"{library} cannot be imported ({str(error).splitlines()[0]})")
        else:
            return backend(arguments=ros, domain=domain)
    raise _none_here(reasons)


def check_here(kind: str) -> None:
    """Raise BusError where it is plain, before anything is opened, that `open_bus` will refuse here.

    Its libraries are looked for and not imported: an rclpy of another Python may end the process.
    """
    if kind in ("none", "loop"):
        return
    libraries = [library for library, _, _ in _backends(kind)]
    if not any(map(_is_there, libraries)):
        raise _none_here([f"{library} is not installed" for library in libraries])
    importlib.import_module("fleet.ros.ddsdomain").here()


def _backends(kind: str) -> list[tuple[str, str, str]]:
    """Library, module and class of each backend that `kind` may be, the first choice first."""
    backends = {
        "rclpy": ("rclpy", "fleet.ros.rclpybus", "RclpyBus"),
        "dds": ("cyclonedds", "fleet.ros.dds", "DdsBus"),
    }
    return list(backends.values()) if kind == "auto" else [backends[kind]]


def _is_there(library: str) -> bool:
    return library in sys.modules or importlib.util.find_spec(library) is not None


def _none_here(reasons: Sequence[str]) -> BusError:
    return BusError(
        f"no ROS 2 bus here: {' and '.join(reasons)}; source ROS 2 (/opt/ros/<distribution>/setup.bash), or install "
        "the embedded bus with `pip install 'muster[ros]'` (x86-64, Python up to 3.13)"
    )
