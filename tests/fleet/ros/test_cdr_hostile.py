"""Bytes from anybody: a message or a CdrError comes of them, and nothing that they do not pay for."""

import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.ros.cdr import CdrError, deserialise, serialise
from fleet.ros.kinds import fields_of
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray, DiagnosticStatus, KeyValue
from fleet.ros.messages.geometry_msgs import PoseStamped, TransformStamped
from fleet.ros.messages.nav_msgs import Path
from fleet.ros.messages.rcl_interfaces import Parameter, ParameterEvent, ParameterValue
from fleet.ros.messages.rmw_dds_common import Gid, NodeEntitiesInfo, ParticipantEntitiesInfo
from fleet.ros.messages.sensor_msgs import JointState, LaserScan, PointCloud2, PointField
from fleet.ros.messages.std_msgs import Header, String
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.messages.visualization_msgs import Marker, MarkerArray
from tests.fleet.ros.kindsamples import KINDS, Bounds, Mixed, Sequences, drawn

HEAD = (b"\0\1\0\0", b"\0\0\0\0")
FULL = (
    String("text"),
    Mixed(True, 1.0, "abc", 1, 2, 3),
    Sequences(
        np.ones(3, bool), np.ones(2, np.uint8), np.ones(2), np.ones(3, np.uint16), ["a", ""], [Mixed(text="q")] * 2
    ),
    Bounds("ab", np.ones(1), ["a"], [Mixed(), Mixed(text="abcd")], ["", "a", "b"]),
    LaserScan(Header(frame_id="laser"), ranges=np.ones(5, np.float32), intensities=np.ones(2, np.float32)),
    JointState(name=["a", "bc"], position=np.ones(2), effort=np.ones(1)),
    Path(poses=[PoseStamped(Header(frame_id="m")), PoseStamped()]),
    TFMessage([TransformStamped(child_frame_id="base")] * 2),
    DiagnosticArray(status=[DiagnosticStatus(1, "n", "m", "h", [KeyValue("k", "v")] * 2)]),
    PointCloud2(fields=[PointField("x", 0, 7, 1)], data=np.ones(7, np.uint8), is_dense=True),
    MarkerArray([Marker(ns="shield", text="t")]),
    ParameterEvent(node="/n", new_parameters=[Parameter("p", ParameterValue(9, string_array_value=["x"]))]),
    ParticipantEntitiesInfo(node_entities_info_seq=[NodeEntitiesInfo("/", "n", [Gid()], [Gid(), Gid()])]),
)
"""One of each way through the decoder, with something in each sequence."""
BYTES_EACH = 200
"""Bytes of memory that one byte of input may cost: a marker of 270 bytes becomes fifteen objects and as many arrays."""


def attempt(kind: type, data: bytes) -> object | None:
    """What comes of bytes; a CdrError is an answer in one line, anything else is not."""
    try:
        return deserialise(kind, data)
    except CdrError as refusal:
        text = str(refusal)
    assert "\n" not in text
    return None


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_a_message_cut_anywhere_is_refused(message: object) -> None:
    data = serialise(message)
    for length in range(len(data)):
        with pytest.raises(CdrError):
            deserialise(type(message), data[:length])


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_a_length_changed_anywhere_costs_no_memory(message: object) -> None:
    data, kind = serialise(message), type(message)
    deserialise(kind, data)
    for at in range(4, len(data) - 3):
        for length in (0x7F, 0xFFFFFF, 0xFFFFFFFF):
            changed = data[:at] + length.to_bytes(4, "little") + data[at + 4 :]
            tracemalloc.start()
            attempt(kind, changed)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 8192 + BYTES_EACH * len(data), (at, length)


@pytest.mark.parametrize("message", FULL, ids=lambda message: type(message).__name__)
def test_any_byte_changed_and_any_two_pieces_exchanged_are_answered(message: object) -> None:
    data, kind, draw = serialise(message), type(message), random.Random(5)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(4, len(data))] = draw.choice((0, 1, 2, 4, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        a, b = sorted(draw.sample(range(4, len(data) + 1), 2))
        shuffled = data[:4] + data[a:b] + data[4:a] + data[b:]
        for each in (bytes(changed), shuffled, bytes(2) + bytes(changed[2:])):
            read = attempt(kind, each)
            if read is not None:
                again = serialise(read)  # whatever was read can be sent, and reads the same
                assert serialise(deserialise(kind, again)) == again


@given(st.sampled_from(KINDS), st.sampled_from(HEAD), st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_message_or_a_refusal(kind: type, head: bytes, body: bytes) -> None:
    read = attempt(kind, head + body)
    if read is not None:
        again = serialise(read)
        assert serialise(deserialise(kind, again)) == again
    attempt(kind, body)


@given(st.sampled_from(KINDS), st.integers(0, 2**64), st.binary(min_size=1, max_size=9), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_any_message_with_any_bytes_changed_is_answered(kind: type, seed: int, bytes_in: bytes, where: float) -> None:
    data = serialise(drawn(kind, random.Random(seed)))
    at = 4 + round(where * (len(data) - 4))
    attempt(kind, data[:at] + bytes_in + data[at + len(bytes_in) :])
    attempt(kind, data[:at] + bytes_in + data[at:])


def test_a_count_that_the_rest_cannot_cover_is_refused_before_anything_is_made() -> None:
    data = b"\0\1\0\0" + (2**31).to_bytes(4, "little") + bytes(100_000)  # of which 1,300 transforms could be read
    attempt(TFMessage, data)
    tracemalloc.start()
    with pytest.raises(CdrError, match=r"TFMessage.transforms: 2147483648 elements announced, 100000 bytes left"):
        deserialise(TFMessage, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8192


def test_many_empty_elements_cost_what_their_bytes_pay_for() -> None:
    for kind, empty in ((TFMessage, TransformStamped()), (Path, PoseStamped()), (MarkerArray, Marker())):
        [field] = [each.name for each in fields_of(kind) if each.kind.shape == "sequence"]
        data = serialise(kind(**{field: [empty] * 60}))
        deserialise(kind, data)
        tracemalloc.start()
        assert attempt(kind, data) is not None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < BYTES_EACH * len(data)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_long_siege(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(20_000):
        kind = draw.choice(KINDS)
        data = bytearray(serialise(drawn(kind, draw)))
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(4, len(data) + 1)
            data[at : at + draw.choice((0, 1, 4))] = draw.randbytes(draw.choice((0, 1, 4)))
        read = attempt(kind, bytes(data))
        if read is not None:
            again = serialise(read)
            assert serialise(deserialise(kind, again)) == again
