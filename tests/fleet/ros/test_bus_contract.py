"""What every bus does alike: one contract over the loop, DDS, the fake of rclpy, and rclpy itself where it is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import pytest

from fleet.ros.bus import BusError, Diagnostic, Publisher, Sample, Subscription
from fleet.ros.ends import NodeSubscription
from fleet.ros.kinds import name_of
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped
from fleet.ros.messages.rosgraph_msgs import Clock as ClockMessage
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.std_msgs import Header, Int32, String
from fleet.ros.names import RosNameError
from fleet.ros.qos import LATCHED, SENSOR, QoS
from sim.errors import MusterError
from tests.fleet.ros.buses import KINDS, Rig, rig_of

T = TypeVar("T")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with rig_of(request.param, monkeypatch) as rig:
        yield rig


def pair(rig: Rig, offered: QoS, asked: QoS) -> tuple[Publisher[String], Subscription[String]]:
    """Both ends of /chatter on two buses, matched."""
    publisher = rig.bus().node("talker").publisher(String, "chatter", offered)
    subscription = rig.bus().node("listener").subscription(String, "chatter", qos=asked)
    rig.until(lambda: publisher.matched == 1 and subscription.matched == 1)
    return publisher, subscription


def following(rig: Rig, subscription: Subscription[T], count: int) -> list[Sample[T]]:
    """The next so many messages."""
    found: list[Sample[T]] = []

    def enough() -> bool:
        while len(found) < count and (sample := subscription.take()) is not None:
            found.append(sample)
        return len(found) == count

    rig.until(enough)
    return found


def told(rig: Rig, name: str, bus: int = 0) -> Diagnostic:
    """The one diagnostic of that name, when it has come up."""
    rig.until(lambda: [d for d in rig.made[bus].diagnostics() if d.name == name])
    (found,) = {d for d in rig.made[bus].diagnostics() if d.name == name}
    assert "\n" not in found.text
    return found


def test_a_message_arrives_as_it_was_and_with_the_time_on_our_clock(rig: Rig) -> None:
    publisher = rig.bus().node("laser").publisher(LaserScan, "scan")
    subscription = rig.bus().node("robot").subscription(LaserScan, "scan")
    rig.until(lambda: publisher.matched and subscription.matched)
    header = Header(Time(-5, 7), "r1/laser")
    sent = LaserScan(header, -1.5, 1.5, 0.25, ranges=np.array([1.0, np.inf, np.nan], np.float32))
    before = time.monotonic_ns()
    publisher.publish(sent)
    (sample,) = following(rig, subscription, 1)
    assert before - 10**6 <= sample.received <= time.monotonic_ns()  # two clocks of one machine, to 1 ms
    assert sample.message.header == header
    assert sample.message.ranges.dtype == np.float32
    np.testing.assert_array_equal(sample.message.ranges, sent.ranges)


def test_messages_come_in_the_order_in_which_they_were_published(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(depth=50), QoS(depth=50))
    for number in range(50):
        publisher.publish(String(str(number)))
    assert [sample.message.data for sample in following(rig, subscription, 50)] == [str(n) for n in range(50)]
    assert (subscription.take(), subscription.lost, subscription.malformed) == (None, 0, 0)


def test_the_newest_is_had_without_the_older_ones(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), QoS())
    for number in range(5):
        publisher.publish(String(str(number)))
    rig.quiet()
    newest = subscription.newest()
    assert newest is not None
    assert newest.message.data == "4"
    assert subscription.take() is None
    assert subscription.newest() is None


def test_a_slow_reader_keeps_the_last_messages_and_knows_that_it_lost_some(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(depth=100), QoS(depth=3))
    for number in range(20):
        publisher.publish(String(str(number)))
        rig.made[1].spin(0.02 if rig.wired else 0.0)
    rig.quiet()
    assert [sample.message.data for sample in following(rig, subscription, 3)] == ["17", "18", "19"]
    assert subscription.take() is None
    assert subscription.lost == 17


def test_callbacks_run_in_spin_and_in_the_thread_that_calls_it(rig: Rig) -> None:
    heard: list[tuple[str, int]] = []
    publisher = rig.bus().node("talker").publisher(String, "chatter")
    bus = rig.bus()
    subscription = bus.node("listener").subscription(
        String, "chatter", lambda message: heard.append((message.data, threading.get_ident()))
    )
    rig.until(lambda: publisher.matched and subscription.matched)
    for word in ("a", "b", "c"):
        publisher.publish(String(word))
    time.sleep(0.2 if rig.wired else 0.0)
    assert heard == []
    ran = 0
    end = time.monotonic() + 5.0
    while ran < 3 and time.monotonic() < end:
        ran += bus.spin(0.1)
    assert heard == [(word, threading.get_ident()) for word in ("a", "b", "c")]
    assert ran == 3
    assert bus.spin(0.0) == 0


def test_callbacks_of_all_subscriptions_run_in_the_order_of_arrival(rig: Rig) -> None:
    heard: list[str] = []
    talker = rig.bus().node("talker")
    publishers = [talker.publisher(Int32, topic) for topic in ("a", "b")]
    listener = rig.bus().node("listener")
    ends = [
        listener.subscription(Int32, topic, lambda message, topic=topic: heard.append(f"{topic}{message.data}"))
        for topic in ("b", "a")
    ]
    rig.until(lambda: all(end.matched for end in (*publishers, *ends)))
    for number in range(6):
        publishers[number % 2].publish(Int32(number))
        rig.quiet()
    assert heard == ["a0", "b1", "a2", "b3", "a4", "b5"]


def test_an_exception_in_a_callback_is_the_callers_and_loses_nothing(rig: Rig) -> None:
    heard: list[str] = []

    def listen(message: String) -> None:
        heard.append(message.data)
        if message.data == "b":
            raise RuntimeError("b is bad")

    publisher = rig.bus().node("talker").publisher(String, "chatter")
    bus = rig.bus()
    subscription = bus.node("listener").subscription(String, "chatter", listen)
    rig.until(lambda: publisher.matched and subscription.matched)
    for word in ("a", "b", "c"):
        publisher.publish(String(word))
    with pytest.raises(RuntimeError, match="b is bad"):
        rig.until(lambda: False)
    rig.until(lambda: len(heard) == 3)
    assert heard == ["a", "b", "c"]


def test_what_a_callback_publishes_is_delivered_by_the_next_spin(rig: Rig) -> None:
    bus = rig.bus()
    node = bus.node("echo")
    back = node.publisher(Int32, "number")
    heard: list[int] = []

    def count(message: Int32) -> None:
        heard.append(message.data)
        back.publish(Int32(message.data + 1))

    subscription = node.subscription(Int32, "number", count)
    rig.until(lambda: back.matched and subscription.matched)
    back.publish(Int32(0))
    rig.until(lambda: heard)
    before = len(heard)
    while bus.spin(0.1) == 0:
        pass
    assert len(heard) == before + 1
    rig.until(lambda: len(heard) >= 5)
    assert heard == list(range(len(heard)))


def test_spin_waits_no_longer_than_it_is_told(rig: Rig) -> None:
    bus = rig.bus()
    bus.node("alone")
    rig.quiet()
    start = time.monotonic()
    assert bus.spin(0.05) == 0
    assert 0.045 <= time.monotonic() - start < 1.0
    assert bus.spin(0.0) == 0


def test_a_message_without_a_callback_ends_the_wait_of_spin(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), QoS())
    rig.quiet()
    later = threading.Timer(0.1, publisher.publish, [String("x")])
    later.start()
    start = time.monotonic()
    while (sample := subscription.take()) is None:
        assert rig.made[1].spin(5.0) == 0
    later.join()
    assert sample.message.data == "x"
    assert time.monotonic() - start < 4.0


def test_nobody_sees_what_another_changes_later(rig: Rig) -> None:
    publisher = rig.bus().node("talker").publisher(TwistStamped, "cmd_vel")
    ends = [rig.bus().node(f"listener{n}").subscription(TwistStamped, "cmd_vel") for n in range(2)]
    rig.until(lambda: publisher.matched == 2)
    message = TwistStamped()
    message.twist.linear.x = 1.0
    publisher.publish(message)
    message.twist.linear.x = 2.0
    (first,), (second,) = (following(rig, end, 1) for end in ends)
    first.message.twist.linear.x = 3.0
    assert second.message.twist.linear.x == 1.0


def test_a_topic_is_where_the_node_stands(rig: Rig) -> None:
    node = rig.bus().node("nav", namespace="r1")
    assert (node.name, node.namespace, node.fully_qualified) == ("nav", "/r1", "/r1/nav")
    topics = [node.publisher(String, topic).topic for topic in ("scan", "~/state", "/clock_text")]
    assert topics == ["/r1/scan", "/r1/nav/state", "/clock_text"]
    assert node.subscription(String, "scan").topic == "/r1/scan"
    with pytest.raises(RosNameError):
        node.publisher(String, "a b")
    with pytest.raises(RosNameError):
        rig.made[0].node("a/b")


def test_ros_arguments_rename_nodes_and_topics(rig: Rig) -> None:
    bus = rig.bus("--ros-args", "-r", "__ns:=/r7", "-r", "scan:=lidar")
    node = bus.node("nav", arguments=["--ros-args", "-r", "__node:=pilot", "-r", "odom:=/wheel"])
    assert node.fully_qualified == "/r7/pilot"
    assert [node.subscription(String, topic).topic for topic in ("scan", "odom")] == ["/r7/lidar", "/wheel"]
    publisher = rig.bus().node("laser").publisher(String, "/r7/lidar")
    rig.until(lambda: publisher.matched == 1)


def test_parameters_come_from_ros_arguments(rig: Rig) -> None:
    bus = rig.bus("--ros-args", "-p", "speed:=1.5", "-p", "sped:=2.0")
    node = bus.node("nav")
    assert node.parameters.declare("speed", 1.0) == 1.5
    assert node.parameters.declare("name", "r1") == "r1"
    with pytest.raises(MusterError, match="twice"):
        node.parameters.declare("speed", 1.0)
    assert 'did you mean "speed"' in told(rig, "parameter").text


def test_who_comes_late_gets_what_was_latched_and_nothing_else(rig: Rig) -> None:
    talker = rig.bus().node("talker")
    latched, plain = talker.publisher(String, "map", LATCHED), talker.publisher(String, "chatter")
    for word in ("old", "new"):
        latched.publish(String(word))
        plain.publish(String(word))
    listener = rig.bus().node("listener")
    late, nothing = listener.subscription(String, "map", qos=LATCHED), listener.subscription(String, "chatter")
    assert [sample.message.data for sample in following(rig, late, 1)] == ["new"]
    rig.until(lambda: plain.matched)
    rig.quiet()
    assert nothing.take() is None


def test_a_sensor_subscription_hears_a_reliable_publisher(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), SENSOR)
    publisher.publish(String("x"))
    assert following(rig, subscription, 1)[0].message.data == "x"
    assert rig.made[1].diagnostics() == []


def test_incompatible_quality_is_told_on_both_sides_and_nothing_flows(rig: Rig) -> None:
    publisher = rig.bus().node("talker").publisher(String, "chatter", SENSOR)
    subscription = rig.bus().node("listener").subscription(String, "chatter")
    for bus, us in enumerate(("/talker", "/listener")):
        found = told(rig, "qos", bus)
        assert "best effort is offered, reliable asked" in found.text
        assert (found.level, found.topic, found.node) == (2, "/chatter", us)
    publisher.publish(String("x"))
    rig.quiet()
    assert (publisher.matched, subscription.matched, subscription.take()) == (0, 0, None)


def test_another_type_is_told_on_both_sides_and_nothing_flows(rig: Rig) -> None:
    publisher = rig.bus().node("talker", "r1").publisher(Twist, "cmd_vel")
    subscription = rig.bus().node("listener", "r1").subscription(TwistStamped, "cmd_vel")
    for bus in range(2):
        found = told(rig, "type", bus)
        assert set(re.findall("geometry_msgs/msg/[A-Za-z]+", found.text)) == {name_of(Twist), name_of(TwistStamped)}
        assert (found.level, found.topic) == (2, "/r1/cmd_vel")
    publisher.publish(Twist())
    rig.quiet()
    assert (publisher.matched, subscription.matched, subscription.take()) == (0, 0, None)


def test_two_nodes_of_one_name_are_told(rig: Rig) -> None:
    for _ in range(2):
        rig.bus().node("nav", namespace="r1")
    for bus in range(2):
        assert "2 nodes are called /r1/nav" in told(rig, "duplicate_node", bus).text


def test_a_census_names_everybody_else_on_the_domain_with_what_they_say_and_hear(rig: Rig) -> None:
    talker, onlooker = rig.bus().node("talker", "/r1"), rig.bus()
    twin = rig.made[0].node("talker", "/r1")
    publisher = talker.publisher(String, "chatter", LATCHED)
    twin.subscription(Int32, "count")
    own = onlooker.node("onlooker")
    own.publisher(String, "chatter")

    def heard() -> set[tuple[str, str, str, bool]]:
        return {(end.topic, end.type_name, end.node, end.writer) for end in onlooker.census().ends}

    ends = {
        ("/r1/chatter", "std_msgs/msg/String", "/r1/talker", True),
        ("/r1/count", "std_msgs/msg/Int32", "/r1/talker", False),
    }
    rig.until(lambda: ends <= heard() and onlooker.census().nodes.count("/r1/talker") == 2)
    assert not any(node == "/onlooker" for *_, node, _ in heard())
    assert "/onlooker" not in onlooker.census().nodes
    assert onlooker.census().participants == (1 if rig.kind == "dds" else 0)
    publisher.close()
    rig.until(lambda: ("/r1/chatter", "std_msgs/msg/String", "/r1/talker", True) not in heard())


def test_bytes_that_are_no_message_are_counted_told_and_dropped(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), QoS())
    assert isinstance(subscription, NodeSubscription)
    for garbage in (b"\0\1\0\0\xff\xff\xff\x7fabc", b"\0\1\0\0\5\0\0\0ab", b"\0\1\0\0"):
        subscription.inbox.put(garbage, time.monotonic_ns(), b"")
    publisher.publish(String("good"))
    assert following(rig, subscription, 1)[0].message.data == "good"
    assert (subscription.malformed, subscription.lost) == (3, 0)
    found = told(rig, "malformed", bus=1)
    assert "/chatter: 3 messages" in found.text
    assert (found.level, found.node) == (1, "/listener")


def test_what_is_no_message_of_the_topic_is_refused_and_not_sent(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), QoS())
    with pytest.raises(BusError, match="expected std_msgs/msg/String, came an object of class Int32"):
        publisher.publish(Int32(1))  # pyright: ignore[reportArgumentType]
    with pytest.raises(MusterError, match="data"):
        publisher.publish(String(5))  # pyright: ignore[reportArgumentType]
    with pytest.raises(MusterError, match="message class"):
        rig.made[0].node("other").publisher(int, "x")
    rig.quiet()
    assert subscription.take() is None


def test_the_wall_clock_rules_unless_simulated_time_is_asked_for(rig: Rig) -> None:
    node = rig.bus().node("nav")
    assert not node.clock.is_sim
    assert node.clock.kept
    assert abs(node.clock.now() - time.time_ns()) < 10**9
    assert node.parameters["use_sim_time"] is False


def test_simulated_time_is_nothing_until_the_first_clock_and_then_its_newest(rig: Rig) -> None:
    node = rig.bus("--ros-args", "-p", "use_sim_time:=true").node("nav")
    assert node.clock.is_sim
    assert node.clock.now() == 0
    assert not node.clock.kept
    publisher = rig.bus().node("sim").publisher(ClockMessage, "/clock")
    rig.until(lambda: publisher.matched and node.clock.kept)  # rclpy's own clock hears it beside ours
    for second in (12, 13):
        publisher.publish(ClockMessage(Time(second, 500)))
    rig.until(lambda: node.clock.now() == 13 * 10**9 + 500)
    assert node.clock.now() == 13 * 10**9 + 500
    assert node.clock.kept
    publisher.close()
    rig.until(lambda: not node.clock.kept)


def test_one_writer_has_one_gid_and_another_another(rig: Rig) -> None:
    first, subscription = pair(rig, QoS(), QoS())
    second = rig.bus().node("second").publisher(String, "chatter")
    rig.until(lambda: second.matched == 1 and subscription.matched == 2)
    gids = []
    for publisher in (first, second, first):
        publisher.publish(String())
        gids.append(following(rig, subscription, 1)[0].publisher)
    assert gids[0] == gids[2]
    if gids[0]:
        assert gids[0] != gids[1]
        assert {len(gid) for gid in gids} == {16}


def test_what_is_closed_is_gone_for_the_others_and_may_be_closed_again(rig: Rig) -> None:
    publisher, subscription = pair(rig, QoS(), QoS())
    subscription.close()
    subscription.close()
    assert (subscription.take(), subscription.matched) == (None, 0)
    rig.until(lambda: publisher.matched == 0)
    publisher.publish(String("to nobody"))
    listener = rig.made[1].node("again")
    end = listener.subscription(String, "chatter")
    rig.until(lambda: publisher.matched == 1 and end.matched == 1)
    listener.close()
    listener.close()
    rig.until(lambda: publisher.matched == 0)
    with pytest.raises(BusError, match="closed"):
        listener.publisher(String, "chatter")
    publisher.close()
    publisher.close()
    with pytest.raises(BusError, match="closed"):
        publisher.publish(String())


def test_a_closed_bus_leaves_with_all_its_nodes(rig: Rig) -> None:
    publisher, _ = pair(rig, QoS(), QoS())
    bus = rig.made.pop()
    bus.close()
    bus.close()
    rig.until(lambda: publisher.matched == 0)
    with pytest.raises(BusError, match="closed"):
        bus.spin(0.0)
    with pytest.raises(BusError, match="closed"):
        bus.node("late")


def test_a_callback_may_close_its_own_subscription_and_others(rig: Rig) -> None:
    heard: list[str] = []
    publisher = rig.bus().node("talker").publisher(String, "chatter")
    node = rig.bus().node("listener")

    def once(message: String) -> None:
        heard.append(message.data)
        node.close()

    ends = [node.subscription(String, "chatter", once) for _ in range(2)]
    rig.until(lambda: publisher.matched == 2 and all(end.matched for end in ends))
    publisher.publish(String("a"))
    publisher.publish(String("b"))
    rig.until(lambda: heard)
    rig.quiet()
    assert heard == ["a"]
