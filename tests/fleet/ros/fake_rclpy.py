"""A strict fake of the part of rclpy that `fleet.ros.rclpybus` uses, with the signatures of its documentation (Jazzy).

What is not here does not exist: another call, another keyword or a positional argument too many fails as it would with
a library that never had it. The middleware behind it is a small one of its own (types, RxO, keep-last, latched) that
shares no code with muster, so that it can contradict it.

Source: https://docs.ros.org/en/jazzy/p/rclpy/ and the REPs and design articles that it names.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import re
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum

INFINITE = 2**63 - 1
PACKAGES = frozenset(
    [
        "ackermann_msgs",
        "builtin_interfaces",
        "diagnostic_msgs",
        "geometry_msgs",
        "lifecycle_msgs",
        "nav_msgs",
        "rosgraph_msgs",
        "sensor_msgs",
        "std_msgs",
        "tf2_msgs",
        "visualization_msgs",
    ]
)
"""Installed in this ROS: muster's own messages are not among them."""


class ReliabilityPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2


class DurabilityPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2


class HistoryPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class LivelinessPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3


class Duration:
    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self.nanoseconds = int(seconds * 1e9) + nanoseconds


class QoSProfile:
    def __init__(
        self,
        *,
        history: HistoryPolicy = HistoryPolicy.KEEP_LAST,
        depth: int,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
        lifespan: Duration | None = None,
        deadline: Duration | None = None,
        liveliness: LivelinessPolicy = LivelinessPolicy.SYSTEM_DEFAULT,
        liveliness_lease_duration: Duration | None = None,
        avoid_ros_namespace_conventions: bool = False,
    ) -> None:
        assert isinstance(history, HistoryPolicy)
        assert isinstance(depth, int)
        assert isinstance(reliability, ReliabilityPolicy)
        assert isinstance(durability, DurabilityPolicy)
        assert isinstance(liveliness, LivelinessPolicy)
        self.history, self.depth = history, depth
        self.reliability, self.durability, self.liveliness = reliability, durability, liveliness
        self.lifespan, self.deadline = lifespan or Duration(), deadline or Duration()
        self.liveliness_lease_duration = liveliness_lease_duration or Duration()
        self.avoid_ros_namespace_conventions = avoid_ros_namespace_conventions


def _meets(offered: QoSProfile, asked: QoSProfile) -> bool:
    """Whether a writer's profile is at least a reader's."""

    def span(duration: Duration) -> int:
        return duration.nanoseconds or INFINITE

    manual = LivelinessPolicy.MANUAL_BY_TOPIC
    return (
        (offered.reliability == ReliabilityPolicy.RELIABLE or asked.reliability == ReliabilityPolicy.BEST_EFFORT)
        and (offered.durability == DurabilityPolicy.TRANSIENT_LOCAL or asked.durability == DurabilityPolicy.VOLATILE)
        and (offered.liveliness == manual or asked.liveliness != manual)
        and span(offered.deadline) <= span(asked.deadline)
        and span(offered.liveliness_lease_duration) <= span(asked.liveliness_lease_duration)
    )


class Middleware:
    """Owns what the nodes of all contexts share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.nodes: list[Node] = []
        self.skew_ns = 0
        """How far the senders' wall clock is ahead."""
        self.receipts = False
        """Whether this middleware stamps receipts."""
        self.broken = ""
        """Why no context can be had."""
        self.strange: list[tuple[str, TopicEndpointInfo]] = []
        """Topics and publishers of no rclpy's, on every domain."""
        self.hashes: dict[str, str] = {}
        """Type hashes by ROS type; others are not told."""

    def publishers(self, domain: int) -> list[Publisher]:
        return [end for node in self.nodes if node.context.domain == domain for end in node.ends if end.writes]

    def subscriptions(self, domain: int) -> list[Subscription]:
        return [end for node in self.nodes if node.context.domain == domain for end in node.ends if not end.writes]


MIDDLEWARE = Middleware()


class NotInitializedException(Exception):
    pass


class InvalidHandle(Exception):
    pass


class ParameterAlreadyDeclaredException(Exception):
    pass


class InvalidParameterTypeException(Exception):
    pass


class ExternalShutdownException(Exception):
    pass


class TimeoutException(Exception):
    pass


class InvalidTopicNameException(Exception):
    pass


class RCLError(RuntimeError):
    pass


class Context:
    def __init__(self) -> None:
        self._up = False
        self.domain = 0
        self.arguments: list[str] = []

    def ok(self) -> bool:
        return self._up

    def try_shutdown(self) -> None:
        self._up = False


def init(
    *,
    args: list[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: object = None,
) -> None:
    assert context is not None, "the fake has no default context, whose arguments would be pytest's"
    assert args is not None, "None means sys.argv to rclpy"
    if MIDDLEWARE.broken:
        raise RCLError(MIDDLEWARE.broken)
    context._up, context.domain, context.arguments = True, domain_id or 0, list(args)


class PublisherEventCallbacks:
    def __init__(
        self,
        *,
        deadline: Callable | None = None,
        liveliness: Callable | None = None,
        incompatible_qos: Callable | None = None,
        incompatible_type: Callable | None = None,
        matched: Callable | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        self.some = use_default_callbacks or any((deadline, liveliness, incompatible_qos, incompatible_type, matched))


class SubscriptionEventCallbacks:
    def __init__(
        self,
        *,
        deadline: Callable | None = None,
        incompatible_qos: Callable | None = None,
        liveliness: Callable | None = None,
        message_lost: Callable | None = None,
        incompatible_type: Callable | None = None,
        matched: Callable | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        given = (deadline, incompatible_qos, liveliness, message_lost, incompatible_type, matched)
        self.some = use_default_callbacks or any(given)


class _End:
    """What a publisher and a subscription have in common."""

    writes = False

    def __init__(self, node: Node, msg_type: type, topic: str, profile: QoSProfile) -> None:
        self.node, self.msg_type, self.topic, self.profile = node, msg_type, topic, profile
        self.alive = True
        self.events = True
        """Whether rclpy watches events of it."""

    def _peers(self) -> list[_End]:
        if not self.alive:
            raise InvalidHandle("destroyed")
        domain = self.node.context.domain
        others = MIDDLEWARE.subscriptions(domain) if self.writes else MIDDLEWARE.publishers(domain)
        return [end for end in others if end.topic == self.topic and end.msg_type is self.msg_type and self._fits(end)]

    def _fits(self, other: _End) -> bool:
        writer, reader = (self, other) if self.writes else (other, self)
        return _meets(writer.profile, reader.profile)


class Publisher(_End):
    writes = True

    def __init__(self, node: Node, msg_type: type, topic: str, profile: QoSProfile) -> None:
        super().__init__(node, msg_type, topic, profile)
        self.kept: deque[bytes] = deque(maxlen=profile.depth)

    def publish(self, msg: object) -> None:
        if not isinstance(msg, bytes):
            raise TypeError(f"the fake takes bytes alone, came {type(msg)}")
        with MIDDLEWARE.changed:
            self.kept.append(msg)
            for end in self._peers():
                end._receive(msg)  # pyright: ignore[reportAttributeAccessIssue] - a subscription
            MIDDLEWARE.changed.notify_all()

    def get_subscription_count(self) -> int:
        return len(self._peers())


class Subscription(_End):
    def __init__(self, node: Node, msg_type: type, topic: str, profile: QoSProfile, callback: Callable) -> None:
        super().__init__(node, msg_type, topic, profile)
        self.waiting: deque[tuple[bytes, dict]] = deque(maxlen=profile.depth)
        self.callback = callback
        try:
            inspect.signature(callback).bind(object())
            self.with_info = False
        except TypeError:
            inspect.signature(callback).bind(object(), object())
            self.with_info = True

    def _receive(self, data: bytes) -> None:
        now = time.time_ns()
        info = {
            "source_timestamp": now + MIDDLEWARE.skew_ns,
            "received_timestamp": now if MIDDLEWARE.receipts else 0,
            "publication_sequence_number": None,
            "reception_sequence_number": None,
        }
        self.waiting.append((data, info))

    def get_publisher_count(self) -> int:
        return len(self._peers())


class Parameter:
    def __init__(self, name: str, type_: object = None, value: object = None) -> None:
        assert isinstance(value, bool | int | float | str | list)
        self.name, self.value = name, value


class ParameterDescriptor:
    def __init__(
        self,
        *,
        name: str = "",
        type: int = 0,
        description: str = "",
        additional_constraints: str = "",
        read_only: bool = False,
        dynamic_typing: bool = False,
    ) -> None:
        self.description, self.read_only = description, read_only


class Log:
    ros_name = "rcl_interfaces/msg/Log"


class ParameterEvent:
    ros_name = "rcl_interfaces/msg/ParameterEvent"


class TypeHash:
    def __init__(self, told: str = "") -> None:
        self._told = told

    def __str__(self) -> str:
        return self._told or "INVALID"


class TopicEndpointInfo:
    """As discovery tells it: neither history nor depth, and what was left to the system as the middleware filled it."""

    def __init__(
        self, node_name: str, node_namespace: str, topic_type: str, qos_profile: QoSProfile, endpoint_gid: list[int]
    ) -> None:
        self.node_name, self.node_namespace = node_name, node_namespace
        self.topic_type = topic_type
        self.topic_type_hash = TypeHash(MIDDLEWARE.hashes.get(topic_type, ""))
        self.endpoint_gid = endpoint_gid
        system = qos_profile.liveliness == LivelinessPolicy.SYSTEM_DEFAULT
        self.qos_profile = QoSProfile(
            history=HistoryPolicy.UNKNOWN,
            depth=0,
            reliability=qos_profile.reliability,
            durability=qos_profile.durability,
            lifespan=_filled(qos_profile.lifespan),
            deadline=_filled(qos_profile.deadline),
            liveliness=LivelinessPolicy.AUTOMATIC if system else qos_profile.liveliness,
            liveliness_lease_duration=_filled(qos_profile.liveliness_lease_duration),
        )


def _filled(duration: Duration) -> Duration:
    return Duration(nanoseconds=duration.nanoseconds or INFINITE)


def _told(end: _End) -> TopicEndpointInfo:
    kind = end.msg_type.ros_name  # pyright: ignore[reportAttributeAccessIssue] - the fake's classes
    gid = list(id(end).to_bytes(16, "big"))
    return TopicEndpointInfo(end.node.name, end.node.namespace, kind, end.profile, gid)


class Node:
    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: list[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
        enable_logger_service: bool = False,
    ) -> None:
        assert context is not None
        if not context.ok():
            raise NotInitializedException("cannot create node")
        self.context, self.name, self.namespace = context, node_name, namespace or "/"
        self.ends: list = []
        self.requests: deque[Callable[[], object]] = deque()
        """Of services, as the executor would find them."""
        self.parameters: dict[str, tuple[object, ParameterDescriptor]] = {}
        self.overrides = {one.name: one.value for one in parameter_overrides or ()}
        self.executor: SingleThreadedExecutor | None = None
        MIDDLEWARE.nodes.append(self)
        try:
            self._own_ends()
            self.declare_parameter("start_type_description_service", True)
        except InvalidParameterTypeException:
            MIDDLEWARE.nodes.remove(self)
            raise

    def _own_ends(self) -> None:
        """What every node of rclpy's has beside what it is asked for: others see it, and its executor serves it."""
        message = importlib.import_module
        self.create_publisher(message("rcl_interfaces.msg").Log, "/rosout", QoSProfile(depth=1000))
        self.create_publisher(message("rcl_interfaces.msg").ParameterEvent, "/parameter_events", QoSProfile(depth=1000))
        self.declare_parameter("use_sim_time", False)
        if self.parameters["use_sim_time"][0]:
            profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            clock = Subscription(self, message("rosgraph_msgs.msg").Clock, "/clock", profile, lambda message: None)
            self.ends.append(clock)

    def create_publisher(
        self,
        msg_type: type,
        topic: str,
        qos_profile: QoSProfile,
        *,
        callback_group: object = None,
        event_callbacks: PublisherEventCallbacks | None = None,
        qos_overriding_options: object = None,
        publisher_class: type = Publisher,
    ) -> Publisher:
        self._check(msg_type, topic, qos_profile)
        publisher = Publisher(self, msg_type, topic, qos_profile)
        publisher.events = (event_callbacks or PublisherEventCallbacks()).some
        self.ends.append(publisher)
        return publisher

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable,
        qos_profile: QoSProfile,
        *,
        callback_group: object = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: object = None,
        raw: bool = False,
    ) -> Subscription:
        assert raw, "the fake converts no messages"
        self._check(msg_type, topic, qos_profile)
        subscription = Subscription(self, msg_type, topic, qos_profile, callback)
        subscription.events = (event_callbacks or SubscriptionEventCallbacks()).some
        self.ends.append(subscription)
        if qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            for publisher in subscription._peers():
                for data in publisher.kept:  # pyright: ignore[reportAttributeAccessIssue] - a publisher
                    subscription._receive(data)
        return subscription

    def destroy_publisher(self, publisher: Publisher) -> bool:
        return self._destroy(publisher)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        return self._destroy(subscription)

    def destroy_node(self) -> None:
        for end in list(self.ends):
            self._destroy(end)
        MIDDLEWARE.nodes.remove(self)

    def has_parameter(self, name: str) -> bool:
        return name in self.parameters

    def declare_parameter(
        self,
        name: str,
        value: object = None,
        descriptor: ParameterDescriptor | None = None,
        ignore_override: bool = False,
    ) -> Parameter:
        assert value is not None, "deprecated in rclpy"
        if name in self.parameters:
            raise ParameterAlreadyDeclaredException(name)
        chosen = value if ignore_override else self.overrides.get(name, value)
        if type(chosen) is not type(value):
            raise InvalidParameterTypeException(f"Trying to set parameter '{name}' to '{chosen}' of another type")
        self.parameters[name] = (chosen, descriptor or ParameterDescriptor())
        return Parameter(name, value=chosen)

    def get_publishers_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        _check_topic(topic_name)
        ends = MIDDLEWARE.publishers(self.context.domain)
        strange = [info for topic, info in MIDDLEWARE.strange if topic == topic_name]
        return [_told(end) for end in ends if end.topic == topic_name] + strange

    def get_subscriptions_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]:
        _check_topic(topic_name)
        ends = MIDDLEWARE.subscriptions(self.context.domain)
        return [_told(end) for end in ends if end.topic == topic_name]

    def get_topic_names_and_types(self, no_demangle: bool = False) -> list[tuple[str, list[str]]]:
        domain, found = self.context.domain, {}
        for end in [*MIDDLEWARE.publishers(domain), *MIDDLEWARE.subscriptions(domain)]:
            found.setdefault(end.topic, set()).add(end.msg_type.ros_name)
        for topic, info in MIDDLEWARE.strange:
            found.setdefault(topic, set()).add(info.topic_type)
        return [(topic, sorted(names)) for topic, names in sorted(found.items())]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        return [(n.name, n.namespace) for n in MIDDLEWARE.nodes if n.context.domain == self.context.domain]

    def _check(self, msg_type: type, topic: str, qos_profile: object) -> None:
        assert self in MIDDLEWARE.nodes, "InvalidHandle: the node is destroyed"
        assert hasattr(msg_type, "ros_name"), "no type support"
        assert topic.startswith("/")
        assert isinstance(qos_profile, QoSProfile)

    def _destroy(self, end: _End) -> bool:
        if end not in self.ends:
            return False
        self.ends.remove(end)
        end.alive = False
        return True


def _check_topic(topic: str) -> None:
    """Topics that are listed need not be ones that may be asked about."""
    if not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", topic):
        raise InvalidTopicNameException(f"Invalid topic name: {topic}")


class TransitionCallbackReturn(Enum):
    SUCCESS = 97
    FAILURE = 98
    ERROR = 99


TABLE = """
unconfigured configure inactive unconfigured
inactive cleanup unconfigured inactive
inactive activate active inactive
active deactivate inactive active
unconfigured shutdown finalized finalized
inactive shutdown finalized finalized
active shutdown finalized finalized
"""
"""Where, transition, and where success and failure lead: the picture of the design article "Managed nodes"."""


class StateMachine:
    """What rclpy lets go when Python collects it, or when it is told to."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def destroy_when_not_in_use(self) -> None:
        MIDDLEWARE.nodes.remove(self._node)


class LifecycleNode(Node):
    def __init__(self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: object) -> None:
        super().__init__(node_name, **kwargs)  # pyright: ignore[reportArgumentType] - checked by Node
        self.current = "unconfigured"
        self._state_machine = StateMachine(self)

    def destroy_node(self) -> None:
        """Its state machine holds the node where others see it until it goes too."""
        for end in list(self.ends):
            self._destroy(end)

    def on_configure(self, state: object) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    on_cleanup = on_shutdown = on_activate = on_deactivate = on_configure

    def on_error(self, state: object) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def trigger_configure(self) -> TransitionCallbackReturn:
        return self._change("configure")

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        return self._change("cleanup")

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        return self._change("shutdown")

    def trigger_activate(self) -> TransitionCallbackReturn:
        return self._change("activate")

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        return self._change("deactivate")

    def _change(self, transition: str) -> TransitionCallbackReturn:
        rows = [row.split() for row in TABLE.split("\n") if row]
        found = [row[2:] for row in rows if row[:2] == [self.current, transition]]
        if not found:
            raise RCLError(f"Transition is not registered: {transition} from {self.current}")
        returned = self._ask(getattr(self, f"on_{transition}"))
        if returned is TransitionCallbackReturn.ERROR:
            recovered = self._ask(self.on_error)
            self.current = "unconfigured" if recovered is TransitionCallbackReturn.SUCCESS else "finalized"
        else:
            self.current = found[0][returned is TransitionCallbackReturn.FAILURE]
        return returned

    def _ask(self, callback: Callable[[object], TransitionCallbackReturn]) -> TransitionCallbackReturn:
        try:
            returned = callback(object())
        except Exception:
            return TransitionCallbackReturn.ERROR
        assert isinstance(returned, TransitionCallbackReturn)
        return returned


class SingleThreadedExecutor:
    """Asks the middleware once, hands out all that was ready then, one at a time, then times out, then asks anew.

    As in rclpy, a call with the same arguments goes on where the last one was, and one with others begins anew; the
    time-out that ends a round which found something comes without another look.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        assert context is not None
        self._context = context
        self._nodes: list[Node] = []
        self._down = False
        self._round: Iterator[Callable[[], object]] | None = None
        self._last: object = None
        self.looks = 0
        """How often the middleware was asked."""

    def add_node(self, node: Node) -> bool:
        self._nodes.append(node)
        return True

    def remove_node(self, node: Node) -> None:
        self._nodes.remove(node)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        self._down = True
        return True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """One callback at most, as the documentation says."""
        assert not self._down
        try:
            work = self.wait_for_ready_callbacks(timeout_sec, None)
        except TimeoutException:
            return
        work()

    def wait_for_ready_callbacks(self, *args: object, **kwargs: object) -> Callable[[], object]:
        while True:
            if self._round is None or self._last != (args, kwargs):
                self._last = (args, kwargs)
                self._round = self._ready(*args, **kwargs)  # pyright: ignore[reportArgumentType] - as rclpy has it
            try:
                return next(self._round)
            except StopIteration:
                self._round = None

    def _ready(self, timeout_sec: float | None, nodes: None) -> Iterator[Callable[[], object]]:
        with MIDDLEWARE.changed:
            self.looks += 1
            found = self._look()
            if timeout_sec and not found:
                MIDDLEWARE.changed.wait_for(lambda: self._look() or not self._context.ok(), timeout_sec)
                found = self._look()
        if not self._context.ok():
            raise ExternalShutdownException
        yield from found
        if not timeout_sec or not found:
            raise TimeoutException

    def _look(self) -> list[Callable[[], object]]:
        """What is ready: of each node its subscriptions in the order in which they were made, then its services."""
        found: list[Callable[[], object]] = []
        for node in self._nodes:
            found += [lambda end=end: self._serve(end) for end in node.ends if not end.writes and end.waiting]
            if node.requests:
                found.append(lambda node=node: node.requests.popleft()())
        return found

    def _serve(self, end: Subscription) -> None:
        if not end.alive or not end.waiting:
            return
        data, info = end.waiting.popleft()
        if end.with_info:
            end.callback(data, info)
        else:
            end.callback(data)


class _Messages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Packages of messages: `std_msgs.msg` with a class for whatever name is asked for that ROS has."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, below = fullname.partition(".")
        if package not in PACKAGES or below not in ("", "msg"):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=not below)

    def exec_module(self, module: types.ModuleType) -> None:
        if not module.__name__.endswith(".msg"):
            return
        package = module.__name__.partition(".")[0]

        def made(name: str) -> type:
            if not name[0].isupper():
                raise AttributeError(name)
            kind = type(name, (), {"ros_name": f"{package}/msg/{name}"})
            setattr(module, name, kind)
            return kind

        module.__getattr__ = made  # pyright: ignore[reportAttributeAccessIssue] - PEP 562


@contextmanager
def installed() -> Iterator[Middleware]:
    """Put the fake where `import rclpy` finds it, over a real one where there is one, with no nodes at all."""
    global MIDDLEWARE
    MIDDLEWARE = Middleware()

    def ours(name: str) -> bool:
        return name.partition(".")[0] in (*PACKAGES, "rclpy", "rcl_interfaces") or name.startswith("fleet.ros.rclpy")

    def cleared() -> dict[str, types.ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if ours(name)}

    real, finder = cleared(), _Messages()
    for name, content in MODULES.items():
        module = types.ModuleType(name)
        vars(module).update({each.__name__: each for each in content})
        sys.modules[name] = module
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, module)
    sys.meta_path.insert(0, finder)
    try:
        yield MIDDLEWARE
    finally:
        sys.meta_path.remove(finder)
        cleared()
        sys.modules.update(real)


MODULES = {
    "rclpy": [init],
    "rclpy.context": [Context],
    "rclpy.duration": [Duration],
    "rclpy.event_handler": [PublisherEventCallbacks, SubscriptionEventCallbacks],
    "rclpy.executors": [SingleThreadedExecutor, ExternalShutdownException, TimeoutException],
    "rclpy.lifecycle": [LifecycleNode, TransitionCallbackReturn],
    "rclpy.node": [Node],
    "rclpy.parameter": [Parameter],
    "rclpy.qos": [DurabilityPolicy, HistoryPolicy, LivelinessPolicy, ReliabilityPolicy, QoSProfile],
    "rcl_interfaces": [],
    "rcl_interfaces.msg": [ParameterDescriptor, Log, ParameterEvent],
}
"""What can be imported, and nothing else."""
