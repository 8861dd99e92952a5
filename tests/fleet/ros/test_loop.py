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
