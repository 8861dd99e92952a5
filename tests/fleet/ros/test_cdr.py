"""The codec: bytes worked by hand, and against a second writer that takes value after value."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.ros.cdr import CdrError, as_numbers, deserialise, serialise, source_of
from fleet.ros.kinds import KindError
from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.diagnostic_msgs import DiagnosticStatus
from fleet.ros.messages.geometry_msgs import Pose, PoseStamped, Twist, Vector3
from fleet.ros.messages.nav_msgs import OccupancyGrid, Path
from fleet.ros.messages.rmw_dds_common import Gid
from fleet.ros.messages.sensor_msgs import JointState, LaserScan
from fleet.ros.messages.std_msgs import Bool, Empty, Header, String
from tests.fleet.ros.kindsamples import KINDS, Bounds, Mixed, Nothing, Sequences, drawn, written


def test_a_string_is_its_length_with_the_nul_its_bytes_and_the_nul() -> None:
    assert serialise(String("hé")).hex(" ") == "00 01 00 00 04 00 00 00 68 c3 a9 00"
    assert serialise(String()).hex(" ") == "00 01 00 00 01 00 00 00 00"


def test_numbers_are_aligned_to_their_size_counted_from_behind_the_header() -> None:
    data = serialise(Mixed(flag=True, wide=1.0, text="a", small=-1, long=2, short=-2))
    assert data.hex(" ", -4) == (
        "00010000 01000000 00000000 00000000 0000f03f "  # the double waits until offset 8
        "02000000 6100ff00 02000000 00000000 feff"  # after the text: a byte, one of padding, eight, two
    )
    assert deserialise(Mixed, data) == Mixed(True, 1.0, "a", -1, 2, -2)


def test_eight_bytes_after_a_text_of_any_length_lie_where_they_should() -> None:
    for length in range(18):
        data = serialise(Mixed(text="x" * length, long=7))
        begin = 4 + 16 + 4 + length + 1 + 1
        begin += -(begin - 4) % 8
        assert data[begin : begin + 8] == struct.pack("<Q", 7)
        assert deserialise(Mixed, data).long == 7


def test_an_empty_sequence_of_doubles_has_no_padding_and_a_full_one_has() -> None:
    assert len(serialise(JointState())) == 4 + 8 + 5 + 3 + 4 * 4
    data = serialise(JointState(Header(frame_id="abcd"), position=np.array([1.0])))
    assert data[28:32] == struct.pack("<I", 1)  # it ends 28 bytes behind the header: four of padding follow
    assert data[32:44] == bytes(4) + struct.pack("<d", 1.0)


def test_an_empty_message_is_one_byte() -> None:
    assert serialise(Empty()) == b"\0\1\0\0\0"
    assert deserialise(Empty, b"\0\1\0\0\0") == Empty()
    assert deserialise(Sequences, serialise(Sequences(nothing=[Nothing()] * 3))).nothing == [Nothing()] * 3


def test_what_is_decoded_is_owned_and_can_be_changed() -> None:
    buffer = bytearray(serialise(LaserScan(ranges=np.array([1.0, 2.0], np.float32))))
    scan = deserialise(LaserScan, buffer)
    buffer[-12:] = bytes(12)
    scan.ranges[0] = 5.0
    assert scan.ranges.tolist() == [5.0, 2.0]
    assert scan.ranges.dtype == np.float32


def test_bits_of_nan_and_bytes_that_are_no_utf8_come_back() -> None:
    odd = struct.unpack("<d", bytes.fromhex("efbeadde0000f47f"))[0]
    data = serialise(Twist(linear=Vector3(x=odd)))
    assert data[4:12].hex() == "efbeadde0000f47f"
    assert serialise(deserialise(Twist, data)) == data
    ranges = np.array([0x7F812345, 0xFFC00001], np.uint32).view(np.float32)  # a signalling NaN too
    data = serialise(
        LaserScan(header=Header(frame_id=b"\xff\xc3(\x80".decode("utf-8", "surrogateescape")), ranges=ranges)
    )
    assert serialise(deserialise(LaserScan, data)) == data
    assert b"\xff\xc3(\x80\0" in data


def test_big_endian_is_read() -> None:
    scan = LaserScan(Header(Time(-5, 6), "laser"), 0.5, ranges=np.array([1.5, -2.0], np.float32))
    assert deserialise(LaserScan, written(scan, ">")) == scan
    assert deserialise(LaserScan, written(scan, ">")).ranges.dtype == np.dtype("<f4")


def test_rtps_may_pad_a_message_to_four_bytes_and_no_further() -> None:
    data = serialise(String("abcd"))
    for more in range(1, 4):
        assert deserialise(String, data + bytes(more)) == String("abcd")
    with pytest.raises(CdrError, match=r"String: 17 bytes, but its fields end after 13"):
        deserialise(String, data + bytes(4))


def test_a_text_of_length_nought_is_an_empty_one() -> None:
    assert deserialise(String, bytes.fromhex("00010000 00000000")) == String("")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", "header of 4 bytes, 00 01 .or 00 00. first, got nothing"),
        ("000100", "ends after 3 bytes"),
        ("ff", "got ff"),
        ("00010000", "ends after 4 bytes"),
        ("0007000001000000 00", "got 00 07 00 00"),  # XCDR2
        ("0003000001000000 00", "got 00 03 00 00"),  # a parameter list
        ("00010000 05000000 61620000", "5 bytes announced, 4 left"),
        ("00010000 ffffffff 61620000", "4294967295 bytes announced"),
        ("00010000 02000000 6162", "does not end in NUL"),
    ],
)
def test_bytes_that_are_no_string_say_why(data: str, text: str) -> None:
    with pytest.raises(CdrError, match=text):
        deserialise(String, bytes.fromhex(data))


def test_a_short_head_is_refused_even_when_the_decoder_is_there() -> None:
    assert deserialise(Gid, serialise(Gid(np.arange(16, dtype=np.uint8)))).data[3] == 3
    for length in range(20):
        with pytest.raises(CdrError):
            deserialise(Gid, serialise(Gid())[:length])


def test_a_boolean_is_nought_or_one() -> None:
    with pytest.raises(CdrError, match=r"Bool.data: a boolean is 2, neither 0 nor 1"):
        deserialise(Bool, b"\0\1\0\0\2")
    data = bytearray(serialise(Sequences(flags=np.array([True, False]))))
    assert data[4:10] == b"\2\0\0\0\1\0"
    data[9] = 7
    with pytest.raises(CdrError, match=r"Sequences.flags: a boolean is neither"):
        deserialise(Sequences, bytes(data))


def test_bounds_hold_both_ways() -> None:
    with pytest.raises(CdrError, match=r"Bounds.name: 5 bytes, at most 4 fit"):
        serialise(Bounds(name="abcde"))
    with pytest.raises(CdrError, match=r"Bounds.few: 4 elements, at most 3 fit"):
        serialise(Bounds(few=np.zeros(4)))
    with pytest.raises(CdrError, match=r"Bounds.names\[\]: 5 bytes, at most 4 fit"):
        serialise(Bounds(names=["a", "bcdef"]))
    with pytest.raises(CdrError, match=r"Bounds.pair: 1 elements, expected 2"):
        serialise(Bounds(pair=[Mixed()]))
    with pytest.raises(CdrError, match=r"Gid.data: 15 elements, expected 16"):
        serialise(Gid(np.zeros(15, np.uint8)))
    data = bytearray(serialise(Bounds(name="abcd")))
    data[4] = 6
    with pytest.raises(CdrError, match=r"Bounds.name: 6 bytes, at most 4 fit"):
        deserialise(Bounds, bytes(data))
    data = bytearray(serialise(Bounds()))
    data[12] = 4
    with pytest.raises(CdrError, match=r"Bounds.few: 4 elements, at most 3 fit"):
        deserialise(Bounds, bytes(data))


def test_a_message_that_cannot_be_sent_names_the_field() -> None:
    cases = [
        (
            LaserScan(header=Header(stamp=Time(sec=2**31))),
            r"LaserScan.header.stamp.sec: expected a int32, got .2147483648",
        ),
        (LaserScan(header=Header(frame_id=b"laser")), r"frame_id: expected a string, got .b'laser'"),  # pyright: ignore
        (LaserScan(angle_min=1e39), r"angle_min: expected a float32"),
        (LaserScan(ranges=np.array(["a"])), r"LaserScan.ranges: expected numbers of type float32"),
        (LaserScan(header=None), r"header: expected a std_msgs/msg/Header, got .None"),  # pyright: ignore
        (Path(poses=[PoseStamped(), Pose()]), r"poses\[1\]: expected a geometry_msgs/msg/PoseStamped"),  # pyright: ignore
        (Path(poses=None), r"poses: expected a list"),  # pyright: ignore
        (DiagnosticStatus(level=256), r"level: expected a byte"),
        (DiagnosticStatus(name="\ud800"), r"name: expected a string"),
    ]
    for message, text in cases:
        with pytest.raises(CdrError, match=text):
            serialise(message)


def test_lists_and_other_arrays_stand_for_an_array_of_numbers_where_nothing_is_lost() -> None:
    assert serialise(LaserScan(ranges=[1, 2.5])) == serialise(LaserScan(ranges=np.array([1, 2.5], np.float32)))  # pyright: ignore
    assert serialise(LaserScan(ranges=np.arange(9.0)[::2])) == serialise(
        LaserScan(ranges=np.arange(0, 9, 2, np.float32))
    )
    assert serialise(LaserScan(ranges=np.arange(9, dtype=">f4")[::2])) == serialise(
        LaserScan(ranges=np.arange(9.0)[::2])
    )
    assert serialise(Gid(bytes(range(16)))) == serialise(Gid(np.arange(16, dtype=np.uint8)))  # pyright: ignore
    assert serialise(OccupancyGrid(data=[])) == serialise(OccupancyGrid())  # pyright: ignore
    square = OccupancyGrid(data=np.array([[1, -1], [0, 100]], np.int8))
    assert deserialise(OccupancyGrid, serialise(square)).data.tolist() == [1, -1, 0, 100]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([256], "u1"), ([-1], "u1"), ([1.5], "i4"), ([True], "f4"), ([2], "?"), (3, "u1"), ([[1], [2, 3]], "u1"),
        ([None], "f8"), ("abc", "u1"), ([2**70], "u8"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_refused(values: object, dtype: str) -> None:
    with pytest.raises(CdrError, match=r"^here: "):
        as_numbers(values, np.dtype(dtype), "here")


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(KindError, match="expected a message class, got int"):
        serialise(3)
    with pytest.raises(KindError, match="expected a message class, got dict"):
        deserialise(dict, b"\0\1\0\0")
    with pytest.raises(CdrError, match="expected bytes, got int"):
        deserialise(String, 2**40)  # pyright: ignore


def test_a_persons_eye_finds_both_functions() -> None:
    assert source_of(String).startswith("def encode(message):")
    assert "def decode(data, size):" in source_of(String)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_message_without_fields_comes_back(kind: type) -> None:
    data = serialise(kind())
    assert data == written(kind())
    assert deserialise(kind, data) == kind()


@given(st.sampled_from(KINDS), st.integers(0, 2**64))
@settings(max_examples=200, deadline=None)
def test_any_message_is_written_as_the_rule_says_and_comes_back(kind: type, seed: int) -> None:
    message = drawn(kind, random.Random(seed))
    data = serialise(message)
    assert data == written(message)
    assert deserialise(type(message), data) == message
    assert deserialise(type(message), written(message, ">")) == message
