"""The loop's own promises: no time but the one it is given, and the same calls give the same samples."""

from __future__ import annotations

import itertools

from fleet.ros.bus import Sample
from fleet.ros.loop import LoopBus, LoopNetwork
from fleet.ros.messages.std_msgs import Int32, String
from fleet.ros.qos import LATCHED, QoS


def played() -> list[tuple[Sample, ...] | tuple[str, ...]]:
    """Two buses that answer each other, by a clock that counts."""
    ticks = itertools.count(1000, 10)
    network = LoopNetwork(now=lambda: next(ticks))
    here, there = LoopBus(network), LoopBus(network)
    log: list = []
    question = here.node("asker").publisher(Int32, "question")
    answers = here.nodes[0].subscription(Int32, "answer")
    answerer = there.node("answerer")
    answer = answerer.publisher(Int32, "answer")
    answerer.subscription(Int32, "question", lambda message: answer.publish(Int32(message.data * 2)))
    for number in range(5):
        question.publish(Int32(number))
        log.append(there.spin(0.0))
        log.append(answers.take())
    return log


def test_the_same_calls_give_the_same_samples() -> None:
    first, second = played(), played()
    assert first == second
    assert [sample.message.data for sample in first[1::2]] == [0, 2, 4, 6, 8]  # pyright: ignore[reportAttributeAccessIssue]
    assert [sample.received for sample in first[1::2]] == [1010 + 20 * n for n in range(5)]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_latched_writer_keeps_its_last_messages_until_it_closes() -> None:
    bus = LoopBus()
    node = bus.node("map")
    publisher = node.publisher(String, "map", QoS(latched=True, depth=2))
    for word in ("a", "b", "c"):
        publisher.publish(String(word))
    asked = QoS(latched=True, depth=5)
    late = node.subscription(String, "map", qos=asked)
    assert [sample.message.data for sample in iter(late.take, None)] == ["b", "c"]
    publisher.close()
    assert node.subscription(String, "map", qos=LATCHED).take() is None


def test_buses_on_other_networks_never_meet() -> None:
    publisher = LoopBus().node("a").publisher(String, "chatter")
    subscription = LoopBus().node("b").subscription(String, "chatter")
    publisher.publish(String("x"))
    assert (publisher.matched, subscription.matched, subscription.take()) == (0, 0, None)


def test_what_overwrites_a_waiting_message_during_a_spin_waits_for_the_next() -> None:
    bus = LoopBus()
    node = bus.node("nav")
    heard: list[int] = []
    later = node.publisher(Int32, "later")
    first = node.publisher(Int32, "first")
    node.subscription(Int32, "first", lambda message: later.publish(Int32(message.data + 1)))
    node.subscription(Int32, "later", lambda message: heard.append(message.data), qos=QoS(depth=1))
    first.publish(Int32(10))
    later.publish(Int32(1))
    assert bus.spin(0.0) == 1
    assert heard == []
    assert bus.spin(0.0) == 1
    assert heard == [11]


def test_callbacks_of_one_spin_run_in_the_order_of_publishing_whatever_the_topic() -> None:
    bus = LoopBus()
    node = bus.node("nav")
    heard: list[int] = []
    publishers = [node.publisher(Int32, topic) for topic in "abc"]
    for topic in "cab":
        node.subscription(Int32, topic, lambda message: heard.append(message.data))
    for number in range(9):
        publishers[number * 7 % 3].publish(Int32(number))
    assert bus.spin(0.0) == 9
    assert heard == list(range(9))
