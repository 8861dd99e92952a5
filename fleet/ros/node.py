"""What every backend's bus and node do alike: names, parameters, time, delivery in order, diagnostics.

A backend brings the transport alone: `_make` a node, `_advertise` a writer of bytes, `_listen` into an inbox, `_known`
ends and nodes of the graph, `_shut` down.
"""

from __future__ import annotations

import heapq
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from fleet.ros.arguments import RosArguments, parse
from fleet.ros.bus import BusError, Diagnostic, Level
from fleet.ros.cdr import deserialise
from fleet.ros.ends import NodePublisher, NodeSubscription, Reader, Writer
from fleet.ros.graph import Census, Endpoint, duplicates, verdicts
from fleet.ros.inbox import Arrivals, Inbox
from fleet.ros.kinds import name_of
from fleet.ros.lifecycle import Behaviour, Lifecycle
from fleet.ros.messages.rosgraph_msgs import Clock as ClockMessage
from fleet.ros.names import qualified, resolve
from fleet.ros.parameters import Parameters
from fleet.ros.qos import CLOCK, DEFAULT, QoS

T = TypeVar("T")
N = TypeVar("N", bound="BaseNode")


class NodeClock:
    """See `bus.Clock`."""

    def __init__(self, ticks: NodeSubscription[ClockMessage] | None) -> None:
        """By /clock where its subscription is given, else by the wall."""
        self._ticks = ticks
        self._now = 0

    @property
    def is_sim(self) -> bool:
        """See `bus.Clock.is_sim`."""
        return self._ticks is not None

    @property
    def kept(self) -> bool:
        """See `bus.Clock.kept`."""
        return self._ticks is None or self._ticks.matched > 0

    def now(self) -> int:
        """See `bus.Clock.now`."""
        if self._ticks is None:
            return time.time_ns()
        newest = self._ticks.newest()
        if newest is not None:
            self._now = newest.message.clock.sec * 1_000_000_000 + newest.message.clock.nanosec
        return self._now


class BaseNode(ABC):
    """Owns one node's ends; see `bus.Node`."""

    def __init__(self, bus: BaseBus, name: str, namespace: str, ros: RosArguments) -> None:
        """Of that final name and absolute namespace."""
        self.name = name
        self.namespace = namespace
        self.fully_qualified = qualified(namespace, name)
        self.parameters = Parameters(self.fully_qualified, ros.given(self.fully_qualified))
        self.publishers: list[NodePublisher] = []
        """Open ones."""
        self.subscriptions: list[NodeSubscription] = []
        """Open ones."""
        self.clock = NodeClock(None)
        self._bus = bus
        self._ros = ros
        self._open = True

    def start(self) -> None:
        """What needs the transport: called once, when the backend's node stands."""
        if self.parameters.declare("use_sim_time", False, "time is what /clock says"):
            self.clock = NodeClock(self.subscription(ClockMessage, "/clock", qos=CLOCK))

    def publisher(self, kind: type[T], topic: str, qos: QoS = DEFAULT) -> NodePublisher[T]:
        """See `bus.Node.publisher`."""
        absolute = self._resolved(kind, topic)
        publisher = NodePublisher(kind, absolute, self._advertise(kind, absolute, qos), self.publishers.remove)
        self.publishers.append(publisher)
        return publisher

    def subscription(
        self, kind: type[T], topic: str, callback: Callable[[T], None] | None = None, qos: QoS = DEFAULT
    ) -> NodeSubscription[T]:
        """See `bus.Node.subscription`."""
        absolute = self._resolved(kind, topic)
        inbox = Inbox(qos.depth, lambda data: deserialise(kind, data), self._bus.arrivals)
        reader = self._listen(kind, absolute, qos, inbox)
        subscription = NodeSubscription(absolute, callback, inbox, reader, self.subscriptions.remove)
        self.subscriptions.append(subscription)
        return subscription

    def diagnostics(self) -> list[Diagnostic]:
        """What came and was no message, and what was given and is no parameter."""
        found = [
            Diagnostic(
                Level.WARN,
                "malformed",
                f"{one.topic}: {one.malformed} messages could not be read and are gone; the last: {one.inbox.fault}",
                self.fully_qualified,
                one.topic,
            )
            for one in self.subscriptions
            if one.malformed
        ]
        given = self.parameters.undeclared()
        return found + [Diagnostic(Level.WARN, "parameter", text, self.fully_qualified) for text in given]

    def close(self) -> None:
        """See `bus.Node.close`."""
        if self._open:
            self._open = False
            for end in (*self.publishers, *self.subscriptions):
                end.close()
            self._bus.nodes.remove(self)
            self._leave()

    def _resolved(self, kind: type, topic: str) -> str:
        if not self._open:
            raise BusError(f"{self.fully_qualified} is closed")
        name_of(kind)  # raises for a class that is no message
        return resolve(topic, self.name, self.namespace, self._ros.remaps)

    @abstractmethod
    def _advertise(self, kind: type, topic: str, qos: QoS) -> Writer:
        """A writer of messages of `kind` on an absolute topic; raises BusError."""

    @abstractmethod
    def _listen(self, kind: type, topic: str, qos: QoS, inbox: Inbox) -> Reader:
        """A reader that puts what comes on an absolute topic into `inbox`, from any thread; raises BusError."""

    @abstractmethod
    def _leave(self) -> None:
        """Let go of the node; its ends are closed."""


class BaseBus(ABC):
    """Owns the nodes of one process and hands over what comes for them; see `bus.Bus`."""

    kind: str

    def __init__(self, arguments: RosArguments, arrivals: Arrivals | None = None) -> None:
        """With ROS arguments for all nodes; `arrivals` of its own where the backend receives in the caller's thread."""
        self.arrivals = arrivals or Arrivals()
        """Shared by all inboxes."""
        self.nodes: list[BaseNode] = []
        """Open ones."""
        self._ros = arguments
        self._open = True

    def node(self, name: str, namespace: str = "", arguments: Sequence[str] = ()) -> BaseNode:
        """See `bus.Bus.node`."""
        return self._joined(self._make, name, namespace, arguments)

    def managed(self, name: str, behaviour: Behaviour, namespace: str = "", arguments: Sequence[str] = ()) -> Lifecycle:
        """See `bus.Bus.managed`."""
        return Lifecycle(self.node(name, namespace, arguments), behaviour)

    def _joined(
        self, make: Callable[[str, str, RosArguments], N], name: str, namespace: str, arguments: Sequence[str]
    ) -> N:
        """A node that `make` makes, once its name and its arguments are known."""
        self._check_open()
        ros = parse(arguments).over(self._ros)
        node = make(*ros.identity(name, namespace), ros)
        self.nodes.append(node)
        try:
            node.start()
        except BaseException:
            node.close()
            raise
        return node

    def spin(self, timeout_s: float) -> int:
        """See `bus.Bus.spin`."""
        self._check_open()
        self.arrivals.wait(0.0 if self._due() else timeout_s)
        end, ran = self.arrivals.next(), 0
        due = self._due()
        heapq.heapify(due)
        while due:
            _, _, subscription = heapq.heappop(due)
            if 0 < subscription.due() < end:
                ran += subscription.hand_over()
            if 0 < (head := subscription.due()) < end:
                heapq.heappush(due, (head, id(subscription), subscription))
        return ran

    def diagnostics(self) -> list[Diagnostic]:
        """See `bus.Bus.diagnostics`."""
        ours, others, names = self._known()
        found = [*verdicts(ours, others), *duplicates(names), *self._trouble()]
        for node in self.nodes:
            found += node.diagnostics()
        return found

    def census(self) -> Census:
        """See `bus.Bus.census`."""
        self._check_open()
        ours, ends, names, participants = self._everybody()
        gids, own = {end.gid for end in ours if end.gid}, Counter(node.fully_qualified for node in self.nodes)
        others = (end for end in ends if end.gid not in gids and (gids or end.node not in own))
        return Census(tuple(sorted((Counter(names) - own).elements())), tuple(others), participants)

    def close(self) -> None:
        """See `bus.Bus.close`."""
        if self._open:
            self._open = False
            for node in list(self.nodes):
                node.close()
            self._shut()

    def _due(self) -> list[tuple[int, int, NodeSubscription]]:
        """Subscriptions whose callback something waits for, by the order of arrival."""
        ends = ((end.due(), id(end), end) for node in self.nodes for end in node.subscriptions)
        return [end for end in ends if end[0]]

    def _check_open(self) -> None:
        if not self._open:
            raise BusError("this bus is closed; open another one")

    @abstractmethod
    def _make(self, name: str, namespace: str, ros: RosArguments) -> BaseNode:
        """A node of that final name and absolute namespace; raises BusError."""

    @abstractmethod
    def _known(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str]]:
        """Our ends, all ends that are known, and the fully qualified name of every node, ours too."""

    def _everybody(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str], int]:
        """As `_known`, but all ends of the domain; and the other participants, 0 where they are not told."""
        return (*self._known(), 0)

    @abstractmethod
    def _shut(self) -> None:
        """Let go of the transport; the nodes are closed."""

    def _trouble(self) -> list[Diagnostic]:
        """What is wrong with the transport itself."""
        return []
