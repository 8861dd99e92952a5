"""What only the rclpy backend does, over the fake: profiles, parameters, stamps, strangers' requests."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from fleet.ros.bus import BusError
from fleet.ros.kinds import String as StringKind
from fleet.ros.kinds import message
from fleet.ros.lifecycle import Behaviour, State, Transition
from fleet.ros.messages.rosgraph_msgs import Clock
from fleet.ros.messages.std_msgs import String
from fleet.ros.qos import QoS
from tests.fleet.ros import fake_rclpy


@message("muster_tests/msg/Nowhere")
class Nowhere:
    """A message of a package that no ROS has."""

    data: StringKind = ""


@pytest.fixture
def rclpybus() -> Iterator[ModuleType]:
    with fake_rclpy.installed():
        yield importlib.import_module("fleet.ros.rclpybus")


def rclpytypes() -> ModuleType:
    return importlib.import_module("fleet.ros.rclpytypes")


def test_a_quality_of_service_is_rclpys_profile_and_back(rclpybus: ModuleType) -> None:
    for qos in (
        QoS(),
        QoS(reliable=False, latched=True, depth=3),
        QoS(deadline_s=0.25, manual_liveliness=True, lease_s=1.5),
    ):
        assert rclpytypes().qos_of(rclpybus.profile_of(qos)) == qos


def test_a_profile_that_was_not_told_is_the_least(rclpybus: ModuleType) -> None:
    profile = fake_rclpy.QoSProfile(depth=0, deadline=fake_rclpy.Duration(nanoseconds=fake_rclpy.INFINITE))
    assert rclpytypes().qos_of(profile) == QoS(depth=1)
    assert rclpytypes().qos_of(profile).deadline_s == math.inf


@pytest.mark.parametrize(
    ("given", "alone", "left"),
    [
        ("", "", "LOCALHOST"),
        ("", "0", "LOCALHOST"),
        ("", "1", ""),
        ("SUBNET", "", "SUBNET"),
        ("OFF", "", "OFF"),
        (" subnet ", "", "SUBNET"),
    ],
)
def test_nothing_leaves_this_machine_unless_somebody_asks_for_it(
    rclpybus: ModuleType, monkeypatch: pytest.MonkeyPatch, given: str, alone: str, left: str
) -> None:
    """ROS 2 itself would take SUBNET for nothing, and LOCALHOST for what it cannot read."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", given)
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", alone)
    at_start: list[str] = []
    init = rclpybus.rclpy.init

    def noted(**words: object) -> None:
        at_start.append(os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"])
        init(**words)

    monkeypatch.setattr(rclpybus.rclpy, "init", noted)
    rclpybus.RclpyBus().close()
    assert at_start == [left]


@pytest.mark.parametrize(("name", "value"), [("ROS_DOMAIN_ID", "many"), ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ALL")])
def test_a_wrong_variable_of_ros_is_one_line(
    rclpybus: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BusError, match=f"{name}: expected"):
        rclpybus.RclpyBus()


def test_parameters_are_shown_to_ros_and_cannot_be_set_there(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav", arguments=["--ros-args", "-p", "speed:=2", "-p", "use_sim_time:=true"])
    assert node.parameters.declare("speed", 1.0, "m/s") == 2.0
    value, descriptor = node.native.parameters["speed"]
    assert (value, type(value), descriptor.description, descriptor.read_only) == (2.0, float, "m/s", True)
    assert node.native.parameters["use_sim_time"][0] is True
    bus.close()


def test_a_message_whose_package_is_not_installed_is_one_clear_line(rclpybus: ModuleType) -> None:
    node = rclpybus.RclpyBus().node("nav")
    with pytest.raises(BusError, match="muster_tests/msg/Nowhere is not installed") as caught:
        node.publisher(Nowhere, "x")
    assert "\n" not in str(caught.value)
    assert node.publishers == []


def test_what_rclpy_refuses_is_one_clear_line(rclpybus: ModuleType) -> None:
    with pytest.raises(BusError, match="rclpy refuses the node /nav: InvalidParameterTypeException") as caught:
        rclpybus.RclpyBus().node("nav", arguments=["--ros-args", "-p", "use_sim_time:=1"])
    assert "\n" not in str(caught.value)
    assert fake_rclpy.MIDDLEWARE.nodes == []


def test_the_time_of_arrival_is_no_older_than_the_last_empty_moment_whatever_clocks_say(rclpybus: ModuleType) -> None:
    for skew_s, receipts in ((0.0, False), (-100.0, False), (100.0, False), (-100.0, True)):
        fake_rclpy.MIDDLEWARE.skew_ns = int(skew_s * 1e9)
        fake_rclpy.MIDDLEWARE.receipts = receipts
        bus = rclpybus.RclpyBus(domain=1)
        publisher = bus.node("talker").publisher(String, "chatter")
        subscription = bus.node("listener").subscription(String, "chatter")
        bus.spin(0.0)
        before = time.monotonic_ns()
        publisher.publish(String("x"))
        time.sleep(0.02)  # it lies in the middleware, and nobody looks
        looked = time.monotonic_ns()
        sample = subscription.take()
        assert sample is not None
        if skew_s == 0.0 or receipts:
            assert before - 10**6 <= sample.received <= before + 10**7
        elif skew_s < 0.0:
            assert before - 10**7 <= sample.received <= before  # the last empty moment, not 100 s ago
        else:
            assert looked <= sample.received <= time.monotonic_ns()
        bus.close()


def test_what_rclpy_does_for_itself_makes_no_message_younger(rclpybus: ModuleType) -> None:
    """Its own clock's message, an event or a service takes a turn, in which the others still wait."""
    bus = rclpybus.RclpyBus(domain=1)
    node = bus.node("nav", arguments=["--ros-args", "-p", "use_sim_time:=true"])
    talker = bus.node("talker")
    ticks, publisher = talker.publisher(Clock, "/clock"), talker.publisher(String, "chatter")
    subscription = node.subscription(String, "chatter")
    bus.spin(0.0)
    published: list[int] = []

    def publish() -> None:
        publisher.publish(String("x"))
        published.append(time.monotonic_ns())
        time.sleep(0.02)

    node.native.requests.append(publish)
    ticks.publish(Clock())
    publish()
    bus.spin(0.0)
    samples = list(iter(subscription.take, None))
    assert len(samples) == 2
    for sample, at in zip(samples, published, strict=True):
        assert sample.received <= at + 10**6
    bus.close()


def test_no_end_has_handlers_of_events_that_every_look_would_ask(rclpybus: ModuleType) -> None:
    node = rclpybus.RclpyBus().node("nav")
    node.publisher(String, "a")
    node.subscription(String, "a")
    assert [end.topic for end in node.native.ends if end.events] == ["/rosout", "/parameter_events"]


def test_a_look_that_finds_nothing_asks_the_middleware_once(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    publisher, subscription = node.publisher(String, "a"), node.subscription(String, "a")
    bus.spin(0.0)
    looks = bus.turns.executor.looks
    bus.spin(0.0)
    assert bus.turns.executor.looks == looks + 1
    for _ in range(3):
        publisher.publish(String("x"))
    bus.spin(0.0)
    assert bus.turns.executor.looks <= looks + 5
    assert len(list(iter(subscription.take, None))) == 3
    bus.close()


def test_where_looks_are_slow_takes_do_not_look_without_end(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    publisher, subscription = node.publisher(String, "a"), node.subscription(String, "a")
    spin = fake_rclpy.SingleThreadedExecutor.spin_once

    def slow(timeout_sec: float) -> None:
        time.sleep(0.1)
        spin(bus.turns.executor, timeout_sec)

    bus.turns.executor.spin_once = slow
    bus.spin(0.0)
    looks = bus.turns.executor.looks
    assert [subscription.newest() for _ in range(20)] == [None] * 20
    assert bus.turns.executor.looks == looks
    publisher.publish(String("x"))
    end = time.monotonic() + 5.0
    while (sample := subscription.newest()) is None:
        assert time.monotonic() < end
    assert sample.message == String("x")
    bus.close()


def test_a_look_ends_also_where_rclpy_does_not_say_that_it_found_nothing(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    publisher, subscription = node.publisher(String, "a"), node.subscription(String, "a")
    turns: list[float] = []
    spin = fake_rclpy.SingleThreadedExecutor.spin_once

    def silent(timeout_sec: float) -> None:
        turns.append(timeout_sec)
        spin(bus.turns.executor, timeout_sec)
        bus.turns.executor.vain = False

    bus.turns.executor.spin_once = silent
    publisher.publish(String("x"))
    bus.spin(0.0)
    assert subscription.take() is not None
    assert len(turns) <= 2 * rclpybus.IDLE
    bus.close()


def test_a_middleware_that_cannot_be_had_is_one_clear_line(rclpybus: ModuleType) -> None:
    fake_rclpy.MIDDLEWARE.broken = "failed to initialize rcl: rmw_nothing_cpp\nat init.c:5"
    with pytest.raises(BusError, match=r"rclpy refuses to begin .*RMW_IMPLEMENTATION.*rmw_nothing_cpp") as caught:
        rclpybus.RclpyBus()
    assert "\n" not in str(caught.value)


def test_a_census_stands_what_others_put_on_a_domain(rclpybus: ModuleType) -> None:
    """rclpy lists topics that it refuses to be asked about, and names nodes that it does not know."""
    names = [("_NODE_NAME_UNKNOWN_", "_NODE_NAMESPACE_UNKNOWN_"), ("_CREATED_BY_BARE_DDS_APP_",) * 2, ("nav", "/r2")]
    for gid, (name, space) in enumerate(names):
        info = fake_rclpy.TopicEndpointInfo(name, space, "a/msg/B", fake_rclpy.QoSProfile(depth=1), [gid] * 16)
        fake_rclpy.MIDDLEWARE.strange += [("/odd-topic", info), ("/fine", info)]
    bus = rclpybus.RclpyBus()
    bus.node("onlooker")
    assert sorted((end.topic, end.node) for end in bus.census().ends) == [
        ("/fine", ""), ("/fine", ""), ("/fine", "/r2/nav"),
    ]  # fmt: skip
    bus.close()


def test_another_definition_of_a_type_is_told_by_the_hash_that_rclpy_tells(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    node.subscription(String, "chatter")
    kind = importlib.import_module("std_msgs.msg").String
    node.native.create_publisher(kind, "/chatter", rclpybus.profile_of(QoS()))
    assert not [each for each in bus.diagnostics() if each.name == "type_hash"]
    fake_rclpy.MIDDLEWARE.hashes["std_msgs/msg/String"] = "RIHS01_" + "ab" * 32
    (found,) = {each.text for each in bus.diagnostics() if each.name == "type_hash" and each.topic == "/chatter"}
    assert "another definition of std_msgs/msg/String (RIHS01_abababab" in found
    bus.close()


def test_while_another_definition_is_published_nothing_of_the_topic_is_believed(rclpybus: ModuleType) -> None:
    """rclpy does not say whose message it is: its own one would be misread as ours."""
    bus, other = rclpybus.RclpyBus(), rclpybus.RclpyBus()
    chatter = bus.node("nav").subscription(String, "chatter", qos=QoS(depth=10))
    ours = other.node("ours").publisher(String, "/chatter", qos=QoS(depth=10))

    def heard() -> list[str]:
        ours.publish(String("x"))
        bus.spin(0.01)
        return [sample.message.data for sample in iter(chatter.take, None)]

    assert heard() == ["x"]
    fake_rclpy.MIDDLEWARE.hashes["std_msgs/msg/String"] = "RIHS01_" + "ab" * 32
    kind = importlib.import_module("std_msgs.msg").String
    native = bus.nodes[0].native
    foreign = native.create_publisher(kind, "/chatter", rclpybus.profile_of(QoS()))
    assert heard() == [], "from its coming on, before anybody looked"
    assert chatter.malformed == 1
    (found,) = (one.text for one in bus.diagnostics() if one.name == "malformed")
    assert "it may be of another definition" in found
    native.destroy_publisher(foreign)
    fake_rclpy.MIDDLEWARE.hashes.clear()
    assert heard() == ["x"]
    fake_rclpy.MIDDLEWARE.hashes["std_msgs/msg/String"] = "RIHS01_" + "cd" * 32
    assert heard() == ["x"], "as many as before: nobody asks"
    bus.diagnostics()
    assert heard() == [], "until somebody looks, once a second"
    bus.close()
    other.close()


def test_a_bad_request_of_a_stranger_is_told_and_ends_nothing(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    lifecycle = bus.managed("nav", Behaviour())
    native = lifecycle.node.native
    native.requests.append(native.trigger_activate)  # `ros2 lifecycle set /nav activate`, too early
    assert bus.spin(0.0) == 0
    (found,) = (d for d in bus.diagnostics() if d.name == "rclpy")
    assert "Transition is not registered" in found.text
    native.requests.extend([native.trigger_configure, native.trigger_activate])
    for _ in range(3):
        bus.spin(0.0)
    assert lifecycle.state is State.ACTIVE
    assert native.current == "active"
    lifecycle.trigger(Transition.DEACTIVATE)
    assert native.current == "inactive"
    bus.close()


def test_requests_between_messages_delay_none_beyond_the_next_spin(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    publisher, subscription = node.publisher(String, "a"), node.subscription(String, "a")
    served: list[int] = []
    node.native.requests.extend(lambda n=n: served.append(n) for n in range(5))
    publisher.publish(String("x"))
    bus.spin(0.0)
    assert subscription.take() is not None
    for _ in range(5):
        bus.spin(0.0)
    assert served == [0, 1, 2, 3, 4]
    bus.close()


def test_who_publishes_without_end_keeps_nobody_from_his_work(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    node = bus.node("nav")
    flood = node.publisher(String, "a")
    heard: list[str] = []

    def on(message: String) -> None:
        heard.append(message.data)

    node.subscription(String, "a", on)
    taken = bus.turns.came

    def came(info: dict[str, int]) -> int:
        flood.publish(String("and another one"))  # before the one that came is out of rclpy's hands
        return taken(info)

    bus.turns.came = came
    flood.publish(String("x"))
    assert bus.spin(0.0) > 0
    assert len(heard) <= rclpybus.MOST
    assert bus.spin(0.0) > 0, "and the rest is heard by the next"
    bus.turns.came = taken
    bus.close()


def test_a_context_that_somebody_shuts_down_is_one_clear_line(rclpybus: ModuleType) -> None:
    bus = rclpybus.RclpyBus()
    bus.node("nav")
    bus.context._up = False
    with pytest.raises(BusError, match="shut down"):
        bus.spin(0.0)


def calls() -> Iterator[tuple[str, str, Callable]]:
    """Module, name and function of all that the fake offers."""
    made = {"rclpy.publisher": [fake_rclpy.Publisher], "rclpy.subscription": [fake_rclpy.Subscription]}
    for module, content in (fake_rclpy.MODULES | made).items():
        for each in content:
            if not isinstance(each, type):
                yield module, each.__name__, each
                continue
            kinds = {base for base in each.__mro__ if base.__module__ == fake_rclpy.__name__}
            for name, call in ((n, c) for kind in kinds for n, c in vars(kind).items() if inspect.isfunction(c)):
                if not name.startswith("_") or (name == "__init__" and module not in made):
                    yield module, f"{each.__name__}.{name}", call


@pytest.mark.ros
def test_the_fake_promises_nothing_that_rclpy_does_not_keep() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not sourced: rclpy cannot be imported", exc_type=ImportError)
    for module, name, call in calls():
        real = importlib.import_module(module)
        for part in name.split("."):
            real = getattr(real, part)
        has = inspect.signature(real).parameters.values()
        by_place = [p.name for p in has if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        by_word = [p.name for p in has if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        ours = inspect.signature(call).parameters.values()
        places = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert by_place[: len(places)] == places, name
        if not any(p.kind is p.VAR_KEYWORD for p in has):
            assert {p.name for p in ours if p.kind is p.KEYWORD_ONLY} <= set(by_word), name


def test_the_fake_refuses_what_rclpy_does_not_have(rclpybus: ModuleType) -> None:
    node = rclpybus.RclpyBus().node("nav").native
    string = importlib.import_module("std_msgs.msg").String
    profile = rclpybus.profile_of(QoS())
    with pytest.raises(TypeError):
        node.create_publisher(string, "/a", profile, depth=3)
    with pytest.raises(TypeError):
        node.create_publisher(string, "/a", profile, None)
    with pytest.raises(AttributeError):
        node.create_topic(string, "/a")
    with pytest.raises(TypeError):
        node.create_publisher(string, "/a", profile).publish(bytearray(b"x"))
    with pytest.raises(ImportError):
        importlib.import_module("rclpy.clocks")
