"""The bus over rclpy, where ROS 2 is sourced: raw CDR in and out, everything else is rclpy's.

One codec serves every backend, so rclpy never converts a message: subscriptions are raw, publishers are given bytes,
and the message classes are imported only for their type support. Names, remapping and parameters are settled before
rclpy hears of them, by the same code as on every bus; parameters are declared to rclpy too (read-only), so that
`ros2 param` shows them. Its executor turns in the caller's thread, inside `spin` and `take`, and nowhere else: services
(parameters, a managed node's life cycle) are answered there.

rclpy's own warnings of incompatible quality are left out: they cost a look as much as all else in it, and `diagnostics`
tells the same.

rclpy says when a message was sent and, with some middlewares, when it came, by the wall clock. Neither is trusted
alone: `received` lies between the last moment at which nothing waited and now, whatever the clocks of other hosts say.

Source: the documented API of rclpy 4 and later (Iron, Jazzy, Lyrical; Humble tells no stamps and counts no writers).
rclpy's messages have no writer's id: `Sample.publisher` is empty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any  # rclpy's objects: its types are not known where it is not installed

import rclpy  # pyright: ignore[reportMissingImports]
import rclpy.context  # pyright: ignore[reportMissingImports]
import rclpy.executors  # pyright: ignore[reportMissingImports]
import rclpy.lifecycle  # pyright: ignore[reportMissingImports]
import rclpy.node  # pyright: ignore[reportMissingImports]
import rclpy.parameter  # pyright: ignore[reportMissingImports]
from rcl_interfaces.msg import ParameterDescriptor  # pyright: ignore[reportMissingImports]
from rclpy.event_handler import (  # pyright: ignore[reportMissingImports]
    PublisherEventCallbacks,
    SubscriptionEventCallbacks,
)

from fleet.ros.arguments import RosArguments
from fleet.ros.bus import BusError, Diagnostic, Level
from fleet.ros.ddsdomain import here
from fleet.ros.graph import Endpoint
from fleet.ros.inbox import Arrivals, Inbox
from fleet.ros.kinds import name_of
from fleet.ros.lifecycle import Behaviour, Lifecycle, Outcome, Transition
from fleet.ros.names import is_topic, qualified
from fleet.ros.node import BaseBus, BaseNode
from fleet.ros.paramfile import Value
from fleet.ros.qos import QoS
from fleet.ros.rclpytypes import endpoint_of, imported, profile_of
from fleet.ros.typehash import hash_of
from sim.errors import MusterError

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
FRESH_NS = 1_000_000
"""A look at the middleware this long ago is good enough for `take`: a turn of rclpy's executor costs 0.2 to 0.5 ms.
Where a look takes longer than this, one that ended no longer ago than it took is good enough too."""

MOST = 128
"""Turns of one look at most, 25 to 60 ms: what comes faster than it is taken must not keep the caller from its work."""

IDLE = 4
"""Turns in a row without a message that end a look: services, events and rclpy's own clock are served in turns too."""


class _Link:
    """An end of rclpy's, and what the graph calls it."""

    def __init__(self, node: RclpyNode, end: Endpoint, entity: Any, destroy: Callable[[Any], bool]) -> None:
        self.end = end
        self._node, self._entity, self._destroy = node, entity, destroy
        node.links.append(self)

    def close(self) -> None:
        self._node.links.remove(self)
        self._destroy(self._entity)


class _Writer(_Link):
    """A publisher, which is given bytes."""

    @property
    def matched(self) -> int:
        return self._entity.get_subscription_count()

    def send(self, data: bytes) -> None:
        self._entity.publish(data)


class _Reader(_Link):
    """A raw subscription, which fills an inbox.

    A message does not say whose it is: while a publisher of another definition is at the topic, all are dropped.
    """

    judged = -1
    """Publishers that the last verdict is about; -1 for none: the next message asks for another."""
    _foreign = False

    @property
    def matched(self) -> int:
        return self._entity.get_publisher_count()

    @property
    def foreign(self) -> bool:
        """Whether a message may be of another definition; discovery is asked again when somebody came or went."""
        count = self.matched
        if count != self.judged:
            end = self.end
            told = self._node.native.get_publishers_info_by_topic(end.topic)
            known = [endpoint_of(end.topic, info, writer=True) for info in told]
            self._foreign = any(
                one.type_name == end.type_name and one.type_hash not in ("", end.type_hash) for one in known
            )
            self.judged = count if len(known) >= count else -1  # discovery may be behind
        return self._foreign


@contextmanager
def _asked(what: str) -> Iterator[None]:
    """Say in one line what rclpy would not make: its exceptions come from several layers and share no class."""
    try:
        yield
    except MusterError:
        raise
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else ""
        raise BusError(f"rclpy refuses {what}: {type(error).__name__}: {why}") from error


class _Executor(rclpy.executors.SingleThreadedExecutor):
    """rclpy's executor, which also notes what `spin_once` keeps to itself: that there was nothing to do."""

    vain = False

    def wait_for_ready_callbacks(self, *args: Any, **words: Any) -> Any:
        """As rclpy's own, whatever arguments its version has."""
        try:
            return super().wait_for_ready_callbacks(*args, **words)
        except rclpy.executors.TimeoutException:
            self.vain = True
            raise


class _Turns(Arrivals):
    """Owns rclpy's executor and turns it where somebody waits or takes: nothing is received elsewhere.

    The executor asks the middleware once, serves what was ready then turn by turn, says with one more turn that this is
    done, and asks anew in the next. So nothing waits only where a turn was in vain right after another one in vain.
    """

    def __init__(self, context: Any) -> None:
        super().__init__()
        self.executor = _Executor(context=context)
        self.count = 0
        """Messages received."""
        self.fault = ""
        """Why the last request of somebody else failed."""
        self._emptied = self._ended = time.monotonic_ns()
        self._took = 0
        """What the last look took, ns; and when it ended."""
        self._anew = True
        """Whether the next turn asks the middleware."""
        self._turning = False

    def wait(self, timeout_s: float) -> None:
        """See `Arrivals.wait`."""
        if timeout_s > 0.0:
            self._turn(timeout_s)
            self._anew = True  # another timeout than the last turn's: the executor begins anew
        self._drain()

    def poll(self) -> None:
        """See `Arrivals.poll`."""
        if not self._turning and time.monotonic_ns() - self._ended > max(FRESH_NS, self._took):
            self._drain()

    def came(self, info: dict[str, int]) -> int:
        """When a message came, ns of our monotonic clock: by its stamps, but no earlier than the last empty moment."""
        self.count += 1
        now = time.monotonic_ns()
        stamp = max(info.get("received_timestamp") or 0, 0) or info.get("source_timestamp") or 0
        if stamp <= 0:
            return now
        return min(now, max(self._emptied, now - (time.time_ns() - stamp)))

    def _drain(self) -> None:
        """Look: see `_look`, and note how long that took."""
        began = time.monotonic_ns()
        try:
            self._look()
        finally:
            self._ended = time.monotonic_ns()
            self._took = self._ended - began

    def _look(self) -> None:
        """Turn until the middleware was asked and had nothing, or long enough."""
        idle = 0
        for _ in range(MOST):
            before, began, asked = self.count, time.monotonic_ns(), self._anew
            self._anew = self._turn(0.0)
            if asked and self._anew:
                self._emptied = began
                return
            idle = 0 if self.count > before else idle + 1
            if idle == IDLE:
                return

    def _turn(self, timeout_s: float) -> bool:
        """One turn; whether it was in vain."""
        self._turning, self.executor.vain = True, False
        try:
            self.executor.spin_once(timeout_sec=timeout_s)
        except rclpy.executors.ExternalShutdownException:
            raise BusError("rclpy's context was shut down under this bus; close it and open another one") from None
        except Exception as error:  # a stranger's bad request (a transition that does not begin here) raises here
            self.fault = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        finally:
            self._turning = False
        return self.executor.vain


class RclpyNode(BaseNode):
    """A node of ours and the node of rclpy's that it is."""

    def __init__(self, bus: RclpyBus, name: str, namespace: str, ros: RosArguments, kind: Callable[..., Any]) -> None:
        """`kind` is rclpy's class; made by `RclpyBus`."""
        super().__init__(bus, name, namespace, ros)
        self.links: list[_Link] = []
        """Open ends."""
        self._rclpy = bus
        given = ros.given(self.fully_qualified)
        with _asked(f"the node {self.fully_qualified}"):
            self.native = kind(
                name,
                context=bus.context,
                namespace=namespace,
                use_global_arguments=False,
                parameter_overrides=[rclpy.parameter.Parameter(key, value=one.value) for key, one in given.items()],
            )
        self.parameters.told = self._declare
        bus.turns.executor.add_node(self.native)

    def _declare(self, name: str, value: Value, description: str) -> None:
        if not self.native.has_parameter(name):  # rclpy declares use_sim_time itself
            descriptor = ParameterDescriptor(description=description, read_only=True)
            self.native.declare_parameter(name, value, descriptor, ignore_override=True)

    def _advertise(self, kind: type, topic: str, qos: QoS) -> _Writer:
        with _asked(f"a publisher on {topic}"):
            publisher = self.native.create_publisher(
                imported(name_of(kind)),
                topic,
                profile_of(qos),
                event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
            )
        return _Writer(self, self._end(kind, topic, qos, writer=True), publisher, self.native.destroy_publisher)

    def _listen(self, kind: type, topic: str, qos: QoS, inbox: Inbox) -> _Reader:
        def receive(data: bytes, info: dict[str, int]) -> None:  # rclpy tells by the signature that the info is wanted
            received = self._rclpy.turns.came(info)
            if reader.foreign:
                inbox.reject("it may be of another definition, whose publisher is at this topic")
            else:
                inbox.put(data, received, b"")

        with _asked(f"a subscription to {topic}"):
            subscription = self.native.create_subscription(
                imported(name_of(kind)),
                topic,
                receive,
                profile_of(qos),
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
                raw=True,
            )
        end = self._end(kind, topic, qos, writer=False)
        reader = _Reader(self, end, subscription, self.native.destroy_subscription)
        return reader

    def _end(self, kind: type, topic: str, qos: QoS, *, writer: bool) -> Endpoint:
        return Endpoint(topic, name_of(kind), hash_of(kind), qos, writer, self.fully_qualified, b"")

    def _leave(self) -> None:
        self._rclpy.turns.executor.remove_node(self.native)
        self.native.destroy_node()
        machine = getattr(self.native, "_state_machine", None)  # a managed node's, which rclpy lets go when collected:
        if machine is not None:  # until then it would hold the node on the graph
            machine.destroy_when_not_in_use()


class _Managed(rclpy.lifecycle.LifecycleNode):
    """rclpy's managed node, whose callbacks are those of a `Lifecycle`."""

    lifecycle: Lifecycle | None = None

    def on_configure(self, state: object) -> object:
        return self._step(Transition.CONFIGURE)

    def on_activate(self, state: object) -> object:
        return self._step(Transition.ACTIVATE)

    def on_deactivate(self, state: object) -> object:
        return self._step(Transition.DEACTIVATE)

    def on_cleanup(self, state: object) -> object:
        return self._step(Transition.CLEANUP)

    def on_shutdown(self, state: object) -> object:
        return self._step(Transition.SHUTDOWN)

    def on_error(self, state: object) -> object:
        return _returned(self.lifecycle.recover() if self.lifecycle is not None else Outcome.ERROR)

    def _step(self, transition: Transition) -> object:
        return _returned(self.lifecycle.step(transition) if self.lifecycle is not None else Outcome.FAILURE)


class RclpyBus(BaseBus):
    """A bus over rclpy; see the module's text."""

    kind = "rclpy"

    def __init__(self, arguments: RosArguments | None = None, domain: int | None = None) -> None:
        """In a context of its own; `domain` None: ROS_DOMAIN_ID. On this machine alone where nobody asks for more.

        Raises BusError for variables of ROS's that are wrong.
        """
        arguments = arguments or RosArguments()
        reach = here(domain).reach  # and what is wrong with ROS's variables is one line, as over DDS
        if os.environ.get("ROS_LOCALHOST_ONLY", "").strip() != "1":
            os.environ[RANGE] = reach  # rcl reads it, takes SUBNET where it is empty, LOCALHOST for `subnet`
        self.context = rclpy.context.Context()
        words = ["--ros-args", *arguments.logging] if arguments.logging else []
        with _asked("to begin (RMW_IMPLEMENTATION, or a middleware's own settings?)"):
            rclpy.init(args=words, context=self.context, domain_id=domain)
        self.turns = _Turns(self.context)
        super().__init__(arguments, self.turns)

    def managed(self, name: str, behaviour: Behaviour, namespace: str = "", arguments: Sequence[str] = ()) -> Lifecycle:
        """See `bus.Bus.managed`."""
        node = self._joined(lambda *identity: RclpyNode(self, *identity, kind=_Managed), name, namespace, arguments)
        lifecycle = Lifecycle(node, behaviour, lambda to: getattr(node.native, f"trigger_{to.value}")())
        node.native.lifecycle = lifecycle
        return lifecycle

    def _make(self, name: str, namespace: str, ros: RosArguments) -> RclpyNode:
        return RclpyNode(self, name, namespace, ros, rclpy.node.Node)

    def _known(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str]]:
        return self._seen(lambda native, ours: {end.topic for end in ours})

    def _everybody(self) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str], int]:
        def topics(native: Any, ours: list[Endpoint]) -> set[str]:  # rclpy lists more than it lets be asked about
            return {topic for topic, _ in native.get_topic_names_and_types() if is_topic(topic)}

        return (*self._seen(topics), 0)

    def _seen(
        self, topics: Callable[[Any, list[Endpoint]], set[str]]
    ) -> tuple[Iterable[Endpoint], Iterable[Endpoint], Iterable[str]]:
        """Our ends, all ends of those topics, and all nodes, through the first node's eyes."""
        nodes = [node for node in self.nodes if isinstance(node, RclpyNode)]
        if not nodes:
            return [], [], []
        ours = [link.end for node in nodes for link in node.links]
        for reader in (link for node in nodes for link in node.links if isinstance(link, _Reader)):
            reader.judged = -1  # one may have gone and another come
        native, others = nodes[0].native, []
        for topic in topics(native, ours):
            others += [endpoint_of(topic, info, writer=True) for info in native.get_publishers_info_by_topic(topic)]
            others += [endpoint_of(topic, info, writer=False) for info in native.get_subscriptions_info_by_topic(topic)]
        return ours, others, [qualified(space, name) for name, space in native.get_node_names_and_namespaces()]

    def _trouble(self) -> list[Diagnostic]:
        fault = self.turns.fault
        return [Diagnostic(Level.ERROR, "rclpy", f"rclpy failed to serve a request: {fault}")] if fault else []

    def _shut(self) -> None:
        self.turns.executor.shutdown()
        self.context.try_shutdown()


def _returned(outcome: Outcome) -> object:
    """An outcome as rclpy's."""
    return getattr(rclpy.lifecycle.TransitionCallbackReturn, outcome.name)
