"""What is sent again, for how long, and what ends it."""

from collections import Counter

from coordination.messages import Heard
from coordination.wire import WINDOW
from fleet.ros.outbox import AGAIN, GIVE_UP, KEPT, Outbox

EPOCH = 7


def make() -> tuple[Outbox, Counter[str]]:
    counts: Counter[str] = Counter()
    return Outbox(EPOCH, counts), counts


def test_a_message_is_sent_again_until_it_is_acknowledged() -> None:
    outbox, counts = make()
    outbox.keep(5, b"five", 0.0, sent=True)
    assert outbox.due(AGAIN / 2) == []
    assert outbox.due(AGAIN) == [b"five"]
    assert outbox.due(1.5 * AGAIN) == []
    assert outbox.due(2 * AGAIN) == [b"five"]
    outbox.hear(Heard(EPOCH, 5, b"\1"))
    assert outbox.due(9 * AGAIN) == []
    assert counts == {"sent_again": 2, "acknowledged": 1}


def test_what_nobody_was_there_to_hear_is_due_at_once_and_not_again_for_the_second_time() -> None:
    outbox, counts = make()
    outbox.keep(1, b"one", 3.0, sent=False)
    assert outbox.due(3.0) == [b"one"]
    assert outbox.due(3.0) == []
    assert counts["sent_again"] == 0


def test_only_the_sequence_numbers_whose_bits_stand_are_acknowledged() -> None:
    outbox, counts = make()
    for sequence in range(1, 7):
        outbox.keep(sequence, b"", 0.0, sent=True)
    outbox.hear(Heard(EPOCH, 5, bytes([0b01101])))  # 5, 3 and 2
    assert list(outbox.waiting) == [1, 4, 6]
    assert counts["acknowledged"] == 3


def test_an_acknowledgement_of_a_former_life_says_nothing_of_this_one() -> None:
    outbox, _ = make()
    outbox.keep(5, b"five", 0.0, sent=True)
    for other in (EPOCH - 1, EPOCH + 1, -1):
        outbox.hear(Heard(other, 5, b"\xff"))
    assert list(outbox.waiting) == [5]


def test_what_the_receivers_window_takes_no_more_is_not_sent_again() -> None:
    outbox, counts = make()
    outbox.keep(1, b"", 0.0, sent=True)
    outbox.keep(2, b"", 0.0, sent=True)
    outbox.hear(Heard(EPOCH, WINDOW + 1, b"\1"))
    assert list(outbox.waiting) == [2]
    assert counts == {"unacknowledged": 1}


def test_old_news_is_given_up_and_memory_is_bounded() -> None:
    outbox, counts = make()
    for sequence in range(KEPT + 3):
        outbox.keep(sequence, b"", 0.0, sent=True)
    assert len(outbox.waiting) == KEPT
    assert counts["unacknowledged"] == 3
    assert outbox.expire(GIVE_UP)
    assert not outbox.expire(GIVE_UP + 0.001)
    assert counts["unacknowledged"] == KEPT + 3


def test_another_life_of_the_peer_is_sent_nothing_of_the_former() -> None:
    outbox, counts = make()
    outbox.keep(1, b"", 0.0, sent=True)
    outbox.clear()
    assert outbox.due(1.0) == []
    assert counts["unacknowledged"] == 1
