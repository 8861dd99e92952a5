"""The envelope: what it proves, and what becomes of everything else."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import pytest

from coordination.keys import Keys, new_keys
from coordination.messages import MAX_MESSAGE, Cycle, Done, Envelope, Joined, Picture, Report, RobotStatus, Round
from coordination.requests import Query, StopRaise, StopReset, Submitted
from coordination.tasks import Store
from coordination.wire import BODIES, MAC_BYTES, UNSIGNED, WINDOW, ReplayWindow, Wire, WireError

FLEET = Keys(fleet=bytes(range(32)))


def make_pair() -> tuple[Wire, Wire]:
    keys = FLEET.node("r1")
    assert keys is not None
    return Wire("r1", Keys(nodes={"r1": keys}), server=False), Wire("coordinator", FLEET, server=True)


def make_report(x: float = 1.0) -> Report:
    return Report(3, 5, (x, 2.0, 0.5), (0.1, 0.0), (7, 8), 0.9, RobotStatus.MOVING)


def dropped(wire: Wire, frame: bytes) -> str:
    """The kind under which a frame was dropped."""
    before = wire.counts.copy()
    assert wire.decode(frame) is None
    (kind,) = wire.counts - before
    return kind


def test_what_one_end_says_the_other_hears() -> None:
    robot, server = make_pair()
    received = server.decode(robot.encode("coordinator", make_report(), 17))
    assert received is not None
    assert (received.sender, received.name, received.body) == ("r1", "report/1", make_report())
    assert (received.stamp, received.sequence, received.signed, received.peer) == (17, 1, True, "r1")
    answer = robot.decode(server.encode("r1", Picture(3, 5, "site", None), 18))
    assert answer is not None
    assert answer.sender == "coordinator"


def test_every_body_has_a_wire_name_of_its_own() -> None:
    assert len(set(BODIES.values())) == len(BODIES)
    assert all(name.endswith("/1") for name in BODIES)


def test_any_flipped_bit_is_noticed() -> None:
    robot, server = make_pair()
    frame = robot.encode("coordinator", make_report(), 17)
    draw = random.Random(1)
    for _ in range(400):
        broken = bytearray(frame)
        broken[draw.randrange(len(frame))] ^= 1 << draw.randrange(8)
        assert dropped(server, bytes(broken)) in {"malformed", "forged"}
    assert server.decode(frame) is not None


def test_noise_and_stumps_are_malformed_and_never_raise() -> None:
    robot, server = make_pair()
    frame = robot.encode("coordinator", make_report(), 17)
    draw = random.Random(2)
    for length in range(200):
        assert dropped(server, draw.randbytes(length)) in {"malformed", "unsigned", "forged"}
    for length in range(len(frame)):
        assert dropped(server, frame[:length]) in {"malformed", "forged"}


def test_a_message_without_signature_is_dropped_except_an_emergency_stop() -> None:
    _, server = make_pair()
    bystander = Wire("passer_by", None, server=False)
    assert dropped(server, bystander.encode("coordinator", Query("q"), 1)) == "unsigned"
    stop = server.decode(bystander.encode("coordinator", StopRaise("me", "smoke"), 1))
    assert stop is not None
    assert not stop.signed


def test_however_much_is_said_with_a_stop_it_is_heard_and_cut() -> None:
    server = Wire("coordinator", new_keys(), server=True)
    bystander = Wire("passer_by", None, server=False)
    heard = server.decode(bystander.encode("coordinator", StopRaise("y" * 300, "x" * 30_000, "q"), 1))
    assert heard is not None
    assert heard.body == StopRaise("y" * 256, "x" * 1024, "q")


def test_what_cannot_travel_is_one_line() -> None:
    """A number of more than 64 bits, bytes of a command line that are no text."""
    wire = Wire("r1", None, server=False)
    for body in (StopReset("ann", 10**20, "q"), StopRaise("ann", "\udcff", "q")):
        with pytest.raises(WireError, match=r"stop_re?\w+/1 cannot be sent: .*; say it in text and numbers of 64 bits"):
            wire.encode("coordinator", body, 1)


def test_a_wrong_key_is_a_forgery() -> None:
    _, server = make_pair()
    thief = Wire("r1", new_keys(), server=False)
    assert dropped(server, thief.encode("coordinator", make_report(), 1)) == "forged"


def test_a_robot_cannot_speak_as_another_robot() -> None:
    _, server = make_pair()
    key = FLEET.node("r2")
    assert key is not None
    liar = Wire("r1", Keys(nodes={"r1": key}), server=False)
    assert dropped(server, liar.encode("coordinator", make_report(), 1)) == "forged"


def test_a_message_for_one_receiver_is_worthless_at_another() -> None:
    _, server = make_pair()
    other = Wire("r2", FLEET, server=False)
    plant = Wire("plant", FLEET, server=True)
    robot = Wire("r1", FLEET, server=False)
    assert dropped(other, server.encode("r1", Picture(1, 1, "site", None), 1)) == "forged"
    assert dropped(plant, robot.encode("coordinator", make_report(), 1)) == "forged"
    assert dropped(server, server.encode("r1", Picture(1, 1, "site", None), 1)) == "forged"


def test_a_replayed_message_is_dropped() -> None:
    robot, server = make_pair()
    frame = robot.encode("coordinator", make_report(), 17)
    assert server.decode(frame) is not None
    assert dropped(server, frame) == "replayed"


def test_no_recording_of_a_former_life_silences_a_robot_after_the_server_restarted(tmp_path: Path) -> None:
    def restarted(store: Store) -> Wire:
        _, server = make_pair()
        server.know(store.epochs(), store.hear)
        return server

    store = Store(tmp_path / "tasks.sqlite")
    server = restarted(store)
    former, now = make_pair()[0], make_pair()[0]
    old = [former.encode("coordinator", make_report(), i) for i in range(3)]
    assert server.decode(old[0]) is not None
    assert server.decode(now.encode("coordinator", make_report(), 5)) is not None
    for _ in range(2):
        server = restarted(store)
        assert dropped(server, old[1]) == "replayed"
        assert server.decode(now.encode("coordinator", make_report(), 6)) is not None
        assert dropped(server, old[2]) == "replayed"
        assert server.decode(now.encode("coordinator", make_report(), 7)) is not None
    third = make_pair()[0]
    assert server.decode(third.encode("coordinator", make_report(), 8)) is not None
    assert dropped(restarted(store), now.encode("coordinator", make_report(), 9)) == "replayed"
    store.close()


def test_messages_out_of_order_are_each_heard_once() -> None:
    robot, server = make_pair()
    frames = [robot.encode("coordinator", make_report(), i) for i in range(200)]
    order = [*range(200), *range(200)]
    random.Random(3).shuffle(order)
    heard = [server.decode(frames[i]) for i in order]
    assert sorted(m.stamp for m in heard if m is not None) == list(range(200))
    assert server.counts == {"received": 200, "replayed": 200}


def test_a_restarted_sender_is_heard_and_its_former_life_is_not() -> None:
    robot, server = make_pair()
    old = [robot.encode("coordinator", make_report(), i) for i in range(3)]
    assert server.decode(old[0]) is not None
    again, _ = make_pair()
    assert server.decode(again.encode("coordinator", make_report(), 9)) is not None
    assert dropped(server, old[1]) == "replayed"
    assert dropped(server, old[0]) == "replayed"
    assert server.decode(again.encode("coordinator", make_report(), 10)) is not None


def test_the_window_has_exact_bounds() -> None:
    window = ReplayWindow()
    assert window.take(1, 0)
    assert window.take(1, WINDOW)
    assert window.take(1, 1)
    assert not window.take(1, 1)
    assert not window.take(1, 0), "behind the window nothing is heard"
    assert window.take(1, 10 * WINDOW)
    assert not window.take(1, 9 * WINDOW)
    assert window.take(1, 9 * WINDOW + 1)


def make_frame(wire: Wire, **changes: object) -> bytes:
    """A signed frame with a header or body of the test's choice."""
    envelope = Envelope("query/1", wire.me, wire.epoch, 1, 1, msgspec.msgpack.encode(Query("q")))
    payload = msgspec.msgpack.encode(msgspec.structs.replace(envelope, **changes))
    digest = wire._hash(wire.me, "coordinator").copy()
    digest.update(payload)
    return payload + digest.digest()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"name": "query/2"}, "foreign_major"),
        ({"name": "query"}, "foreign_major"),
        ({"name": "dance/1"}, "unknown"),
        ({"name": "dance/1", "sequence": -1}, "malformed"),
        ({"epoch": -1}, "malformed"),
        ({"sender": "R1"}, "malformed"),
        ({"sender": ""}, "malformed"),
        ({"body": b""}, "malformed"),
        ({"body": b"\xc0"}, "malformed"),
        ({"body": msgspec.msgpack.encode({"request": 5})}, "malformed"),
        ({"body": msgspec.msgpack.encode({})}, "malformed"),
        ({"body": b"\xff" * 40}, "malformed"),
    ],
)
def test_each_kind_of_bad_message_is_counted_as_itself(changes: dict[str, object], kind: str) -> None:
    robot, server = make_pair()
    assert dropped(server, make_frame(robot, **changes)) == kind


def test_an_unknown_field_is_ignored_and_counted() -> None:
    robot, server = make_pair()
    body = msgspec.msgpack.encode({"request": "q", "begin": 0, "mood": "fine"})
    received = server.decode(make_frame(robot, body=body))
    assert received is not None
    assert received.body == Query("q")
    assert server.counts["unknown_fields"] == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_malformed(bad: float) -> None:
    robot, server = make_pair()
    assert dropped(server, robot.encode("coordinator", make_report(bad), 1)) == "malformed"
    assert dropped(server, robot.encode("coordinator", Done("r1", 1, (0.0, bad)), 1)) == "malformed"
    cycle = Cycle(1, 1, b"", 1, (0.0, bad, 0.0), 1, (0.0, 0.0), 1, 1.0, False, True)
    assert dropped(server, robot.encode("coordinator", cycle, 1)) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        make_report(1.7e308),
        msgspec.structs.replace(make_report(), twist=(1.7e308, 0.0)),
        msgspec.structs.replace(make_report(), grant=2**53 + 1),
        msgspec.structs.replace(make_report(), grant=-1),
        Round(1, 2**63),
        Joined(stamp=-1),
    ],
)
def test_a_number_that_would_not_fit_further_on_is_malformed(body: msgspec.Struct) -> None:
    robot, server = make_pair()
    assert dropped(server, robot.encode("coordinator", body, 1)) == "malformed"


def test_an_oversized_message_is_dropped_before_it_is_parsed_and_never_sent() -> None:
    robot, server = make_pair()
    assert dropped(server, bytes(MAX_MESSAGE + 1)) == "oversized"
    with pytest.raises(WireError, match="may travel"):
        robot.encode("coordinator", Submitted("q", error="x" * MAX_MESSAGE), 1)
    full = Submitted("q", error="x" * (MAX_MESSAGE - 200))
    assert len(robot.encode("coordinator", full, 1)) <= MAX_MESSAGE


def test_an_unsigned_stop_cannot_disturb_the_window_of_a_signed_sender() -> None:
    robot, server = make_pair()
    liar = Wire("r1", None, server=False)
    for _ in range(5):
        assert server.decode(liar.encode("coordinator", StopRaise("r1"), 1)) is not None
    assert server.decode(robot.encode("coordinator", make_report(), 1)) is not None


def test_ends_without_a_fitting_key_are_refused_at_the_start() -> None:
    with pytest.raises(WireError, match="holds no key for r1"):
        Wire("r1", Keys(nodes={"r2": bytes(32)}), server=False)
    with pytest.raises(WireError, match="needs the fleet key"):
        Wire("coordinator", Keys(nodes={"coordinator": bytes(32)}), server=True)
    with pytest.raises(WireError, match="is no name"):
        Wire("Robot 1", FLEET, server=False)


def test_an_unsigned_frame_ends_in_zeros() -> None:
    frame = Wire("me", None, server=False).encode("coordinator", StopRaise("me"), 1)
    assert frame[-MAC_BYTES:] == UNSIGNED


NESTED = b"\x91" * 5000 + b"\xc0"
"""Arrays in arrays, deeper than a decoder may recurse."""


def nested_frames() -> dict[str, bytes]:
    """Frames that anyone can write, with arrays in arrays where a newer version might add a field."""
    encode = msgspec.msgpack.encode
    stop = encode(StopRaise("me"))
    body = bytes([stop[0] + 1]) + stop[1:] + encode("new") + NESTED
    frames = {
        "everything": NESTED,
        "a field": b"\x96" + NESTED,
        "an unknown field of a stop": encode(Envelope("stop_raise/1", "me", 1, 1, 0, body)),
    }
    for name in ("query/1", "stop_raise/1"):
        head = b"".join(map(encode, (name, "r1", 1, 1, 0, encode(StopRaise("me")))))
        frames[f"an unknown element of {name}"] = b"\x97" + head + NESTED
    return {name: payload + UNSIGNED for name, payload in frames.items()}


@pytest.mark.parametrize("where", nested_frames())
def test_deeply_nested_bytes_are_malformed(where: str) -> None:
    robot, server = make_pair()
    assert dropped(server, nested_frames()[where]) == "malformed"
    assert dropped(robot, nested_frames()[where]) == "malformed"
    assert dropped(Wire("me", None, server=False), nested_frames()[where]) == "malformed"


def test_a_deeply_nested_unknown_field_of_a_signed_message_is_malformed() -> None:
    robot, server = make_pair()
    body = b"\x82" + msgspec.msgpack.encode("request") + b"\xa1q" + msgspec.msgpack.encode("new") + NESTED
    assert dropped(server, make_frame(robot, body=body)) == "malformed"


def test_what_is_changed_cut_or_made_up_never_raises() -> None:
    """Without keys every frame reaches the body's decoder."""
    draw = random.Random(3)
    listener = Wire("coordinator", None, server=True)
    frames = [Wire("r1", None, server=False).encode("coordinator", make_report(), 1), *nested_frames().values()]
    for _ in range(3000):
        frame = bytearray(draw.choice(frames))
        for _ in range(draw.randrange(4)):
            frame[draw.randrange(len(frame))] = draw.randrange(256)
        if draw.random() < 0.3:
            del frame[draw.randrange(len(frame)) :]
        if draw.random() < 0.3:
            at = draw.randrange(len(frame) + 1)
            frame[at:at] = draw.choice((draw.randbytes(8), b"\x81\xa0" * 3000, b"\xdd\xff\xff\xff\xff", b"\xcf" * 9))
        listener.decode(bytes(frame))
    del listener.counts["unknown_fields"]  # counted beside what became of the frame
    assert listener.counts.total() == 3000
    assert listener.counts["received"] > 100
    assert listener.counts["malformed"] > 100
