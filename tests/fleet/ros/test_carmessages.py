"""A car's readings as messages: nothing is lost on the way, and what cannot be believed is told in a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fleet.ros import carmessages as say
from fleet.ros.carinputs import FUTURE, CarInputs
from fleet.ros.carmessages import CarMessageError, Frames
from fleet.ros.cdr import deserialise, serialise
from fleet.ros.messages.autoware_perception_msgs import ObjectClassification
from sim.actors import ActorKind
from sim.driving.reading import (
    CarReading,
    Charge,
    Inertia,
    LanePlace,
    Listed,
    ObjectList,
    Odometry,
    Place,
    Scan,
    Steering,
)
from sim.robot import SECOND

FRAMES, ORIGIN, WHEELBASE, JOINT = Frames("r1/"), (432.25, -1017.5), 2.7, "steer"
NOW = 7 * SECOND + 50_000_000


def single(value: float) -> float:
    """As float32 has it: what a simulator says."""
    return float(np.float32(value))


ODOMETRY = Odometry(NOW, (12.125, -3.5, 0.7853), single(13.7))
PLACE = Place(NOW, (single(-120.3), single(77.7), single(3.1)), single(0.13), single(0.001))
LISTED = Listed(
    b"0123456789abcdef", int(ActorKind.TRUCK), (41.2, 3.6, -0.01), single(21.3), single(-0.04), single(0.2),
    single(12.0), single(2.5), single(0.4),
)  # fmt: skip


def sent(message: Any) -> Any:  # of any kind
    """Through the wire."""
    return deserialise(type(message), serialise(message))


def test_numbers_of_float32_come_through_bit_for_bit() -> None:
    draw = np.random.default_rng(1)
    for _ in range(500):
        x, y, yaw, d, bend = (float(np.float32(value)) for value in draw.uniform(-1, 1, 5) * (900, 900, 3.14, 4, 0.1))
        place = say.read_place(
            sent(say.place_message(Place(NOW, (x, y, yaw), 0.1, 0.0), ORIGIN, FRAMES)), ORIGIN, FRAMES
        )
        assert tuple(map(np.float32, place.pose)) == (np.float32(x), np.float32(y), np.float32(yaw))
        lane = say.read_lane(sent(say.lane_message(LanePlace(NOW, d, yaw), NOW, 0.08, FRAMES)), FRAMES)
        assert lane is not None
        assert (np.float32(lane.d), np.float32(lane.heading)) == (np.float32(d), np.float32(yaw))
        steering = say.steering_message(Steering(NOW, bend), JOINT, WHEELBASE, FRAMES)
        read = say.read_steering(sent(steering), JOINT, WHEELBASE)
        assert read is not None
        assert np.float32(read.curvature) == np.float32(bend)


def test_every_reading_comes_through() -> None:
    assert say.read_odometry(sent(say.odometry_message(ODOMETRY, 0.1, FRAMES)), FRAMES).speed == ODOMETRY.speed
    inertia = Inertia(NOW, single(-1.2), single(0.03))
    assert say.read_inertia(sent(say.inertia_message(inertia, FRAMES)), FRAMES) == inertia
    place = say.read_place(sent(say.place_message(PLACE, ORIGIN, FRAMES)), ORIGIN, FRAMES)
    assert place.bound == pytest.approx(PLACE.bound)
    assert place.yaw_bound == pytest.approx(PLACE.yaw_bound)
    assert say.read_lane(sent(say.lane_message(None, NOW, 0.08, FRAMES)), FRAMES) is None
    objects = say.read_objects(sent(say.objects_message(ObjectList(NOW, (LISTED,)), FRAMES)), ORIGIN, FRAMES)
    (listed,) = objects.objects
    assert (listed.name, listed.kind, listed.speed, listed.across) == (
        LISTED.name, LISTED.kind, LISTED.speed, LISTED.across,
    )  # fmt: skip
    assert listed.pose == pytest.approx(LISTED.pose, abs=1e-12)
    assert (listed.accel, listed.length, listed.width) == (LISTED.accel, LISTED.length, LISTED.width)
    assert listed.spread == pytest.approx(LISTED.spread)
    scan = Scan(NOW, np.array([3.0, 100.0], np.float32))
    assert say.read_scan(sent(say.scan_message(scan, 100.0, 0.05, FRAMES))).ranges.tolist() == [3.0, 100.0]
    charge = Charge(NOW, single(0.37))
    assert say.read_charge(sent(say.charge_message(charge, FRAMES))) == charge
    command = say.command_message(NOW, single(-2.3), single(0.01), 3.0, (0.4, 12.0), FRAMES)
    assert say.read_command(sent(command)) == (NOW, single(-2.3), single(0.01))


def test_a_list_in_the_map_is_told_apart_from_one_about_the_car() -> None:
    message = say.objects_message(ObjectList(NOW, (LISTED,)), FRAMES)
    message.header.frame_id = "map"
    read = say.read_objects(message, ORIGIN, FRAMES)
    assert read.mapped
    assert read.objects[0].pose[:2] == pytest.approx((LISTED.pose[0] - ORIGIN[0], LISTED.pose[1] - ORIGIN[1]))


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        (ObjectClassification.UNKNOWN, ActorKind.CAR),
        (ObjectClassification.BUS, ActorKind.TRUCK),
        (ObjectClassification.ANIMAL, ActorKind.PEDESTRIAN),
        (ObjectClassification.UNDER_DRIVABLE, None),
        (200, ActorKind.CAR),
    ],
)
def test_a_label_is_taken_for_what_moves_most_freely(label: int, kind: ActorKind | None) -> None:
    message = say.objects_message(ObjectList(NOW, (LISTED,)), FRAMES)
    message.objects[0].classification[0].label = label
    found = say.read_objects(message, ORIGIN, FRAMES).objects
    assert [each.kind for each in found] == ([] if kind is None else [kind])


def _spoil(what: str) -> tuple[str, Any]:
    """A message of a topic that cannot be believed."""
    if what in ("frame", "nan", "tilted", "no quaternion"):
        message = say.place_message(PLACE, ORIGIN, FRAMES)
        pose = message.pose.pose
        if what == "frame":
            message.header.frame_id = "odom"
        elif what == "nan":
            pose.position.x = math.nan
        elif what == "tilted":
            pose.orientation.x, pose.orientation.w, pose.orientation.z = 0.6, 0.8, 0.0
        else:
            pose.orientation.w = pose.orientation.z = 0.0
        return "pose", message
    if what in ("child", "speed"):
        odometry = say.odometry_message(ODOMETRY, 0.0, FRAMES)
        odometry.child_frame_id = "base_link" if what == "child" else odometry.child_frame_id
        odometry.twist.twist.linear.x = math.inf if what == "speed" else 0.0
        return "odom", odometry
    if what == "angle":
        return "joint_states", say.steering_message(Steering(NOW, 5.0), JOINT, WHEELBASE, FRAMES)
    objects = say.objects_message(ObjectList(NOW, (LISTED, LISTED)), FRAMES)
    if what == "twice":
        return "objects", objects
    (objects.objects, one) = (objects.objects[:1], objects.objects[0])
    if what == "orientation":
        one.kinematics.orientation_availability = 1
    elif what == "size":
        one.shape.dimensions.x = 0.0
    else:
        one.kinematics.pose_with_covariance.covariance[0] = -1.0
    return "objects", objects


WRONG = {
    "frame": 'expected frame map, came "odom"',
    "nan": "expected numbers in a pose",
    "tilted": "tilted by more than 20 degrees",
    "no quaternion": "a quaternion of length 1",
    "child": "expected child frame r1/base_link",
    "speed": "expected a number as its speed",
    "angle": "within 1.4 rad",
    "twice": "another object_id for each object",
    "orientation": "orientation to be AVAILABLE",
    "size": "the length and width of an object",
    "covariance": "expected the covariance",
}


def inputs() -> CarInputs:
    return CarInputs(FRAMES, ORIGIN, JOINT, WHEELBASE)


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_believed_is_a_doubt_and_changes_nothing(what: str) -> None:
    heard = inputs()
    good: dict[str, Callable[[], Any]] = {
        "pose": lambda: say.place_message(PLACE, ORIGIN, FRAMES),
        "odom": lambda: say.odometry_message(ODOMETRY, 0.0, FRAMES),
        "joint_states": lambda: say.steering_message(Steering(NOW, 0.1), JOINT, WHEELBASE, FRAMES),
        "objects": lambda: say.objects_message(ObjectList(NOW, (LISTED,)), FRAMES),
    }
    topic, message = _spoil(what)
    heard.take(topic, good[topic](), 0, NOW)
    before = heard.reading(NOW)
    heard.take(topic, message, 0, NOW)
    after = heard.reading(NOW)
    field = {"pose": "place", "odom": "odometry", "joint_states": "steering", "objects": "objects"}[topic]
    assert getattr(after, field) is getattr(before, field) is not None
    (doubt,) = [each for each in after.doubts if "none has come" not in each]
    assert WRONG[what] in doubt
    assert doubt.startswith(topic)
    assert "\n" not in doubt
    heard.take(topic, good[topic](), 0, NOW)
    assert not [each for each in heard.reading(NOW).doubts if "none has come" not in each]


def test_stamps_of_the_future_and_of_the_past_are_doubts() -> None:
    heard = inputs()
    heard.take("odom", say.odometry_message(ODOMETRY, 0.0, FRAMES), 0, NOW - FUTURE - 1)
    reading = heard.reading(NOW)
    assert reading.odometry is None
    assert any("0.020 s ahead" in each for each in reading.doubts)
    heard.take("odom", say.odometry_message(ODOMETRY, 0.0, FRAMES), 0, NOW)
    assert heard.reading(NOW).odometry is not None
    old = Odometry(NOW - SECOND, (0.0, 0.0, 0.0), 1.0)
    heard.take("odom", say.odometry_message(old, 0.0, FRAMES), 0, NOW)
    reading = heard.reading(NOW)
    assert reading.odometry == ODOMETRY or reading.odometry.stamp == NOW  # type: ignore[union-attr]  # there is one
    assert any("1.000 s before the last" in each for each in reading.doubts)


def test_what_has_not_come_is_named() -> None:
    reading = inputs().reading(NOW)
    assert isinstance(reading, CarReading)
    assert [each.partition(":")[0] for each in reading.doubts] == [
        "odom", "imu", "joint_states", "pose", "lane_pose", "objects", "battery_state",
    ]  # fmt: skip


def test_other_joints_are_passed_over() -> None:
    heard = inputs()
    heard.take("joint_states", say.steering_message(Steering(NOW, 0.1), "wheel", WHEELBASE, FRAMES), 0, NOW)
    assert heard.reading(NOW).steering is None


GOOD: dict[str, Callable[[], Any]] = {
    "odom": lambda: say.odometry_message(ODOMETRY, 0.0, FRAMES),
    "imu": lambda: say.inertia_message(Inertia(NOW, 0.1, 0.0), FRAMES),
    "pose": lambda: say.place_message(PLACE, ORIGIN, FRAMES),
    "lane_pose": lambda: say.lane_message(LanePlace(NOW, 0.1, 0.0), NOW, 0.08, FRAMES),
    "objects": lambda: say.objects_message(ObjectList(NOW, (LISTED,)), FRAMES),
}


@pytest.mark.parametrize("topic", GOOD)
@pytest.mark.parametrize("frame", ["r2/base_link", "", "r1/odometry"])
def test_every_frame_but_its_own_is_a_doubt(topic: str, frame: str) -> None:
    heard, message = inputs(), GOOD[topic]()
    message.header.frame_id = frame
    heard.take(topic, message, 0, NOW)
    assert topic not in heard.stamped
    assert any(each.startswith(f"{topic}: expected frame") for each in heard.reading(NOW).doubts)
    heard.take(topic, GOOD[topic](), 0, NOW)
    assert topic in heard.stamped


NUMBERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "acceleration": ("imu", lambda: say.inertia_message(Inertia(NOW, math.nan, 0.0), FRAMES)),
    "yaw rate": ("imu", lambda: say.inertia_message(Inertia(NOW, 0.0, math.inf), FRAMES)),
    "angle": ("joint_states", lambda: say.steering_message(Steering(NOW, math.nan), JOINT, WHEELBASE, FRAMES)),
    "a pose in a lane": ("lane_pose", lambda: say.lane_message(LanePlace(NOW, math.nan, 0.0), NOW, 0.1, FRAMES)),
    "object's speed": ("objects", lambda: _listed(speed=math.nan)),
    "object's speed across": ("objects", lambda: _listed(across=math.inf)),
    "object's acceleration": ("objects", lambda: _listed(accel=math.nan)),
    "object's width": ("objects", lambda: _listed(width=math.nan)),
    "object's place": ("objects", lambda: _listed(pose=(math.nan, 0.0, 0.0))),
}


def _listed(**changes: Any) -> Any:  # of `Listed`
    return say.objects_message(ObjectList(NOW, (LISTED, replace(LISTED, name=b"x" * 16, **changes))), FRAMES)


@pytest.mark.parametrize("what", NUMBERS)
def test_what_is_no_number_is_a_doubt(what: str) -> None:
    heard, (topic, make) = inputs(), NUMBERS[what]
    heard.take(topic, make(), 0, NOW)
    assert topic not in heard.stamped
    assert any(
        each.startswith(f"{topic}: expected") and "none has come" not in each for each in heard.reading(NOW).doubts
    )


def test_a_joint_that_is_named_without_a_position_is_a_doubt() -> None:
    message = say.steering_message(Steering(NOW, 0.1), JOINT, WHEELBASE, FRAMES)
    message.position = np.zeros(0)
    heard = inputs()
    heard.take("joint_states", message, 0, NOW)
    assert any("expected a position of steer" in each for each in heard.reading(NOW).doubts)


def test_a_place_whose_covariance_is_none_is_known_to_no_bound() -> None:
    for covariance in (-1.0, math.nan):
        message = say.place_message(PLACE, ORIGIN, FRAMES)
        message.pose.covariance[7] = covariance
        assert say.read_place(message, ORIGIN, FRAMES).bound == math.inf


@pytest.mark.parametrize(("name", "value"), [("acceleration", math.nan), ("steering_angle", math.inf)])
def test_a_command_that_is_no_number_is_none(name: str, value: float) -> None:
    command = say.command_message(NOW, 1.0, 0.0, 3.0, (0.4, 12.0), FRAMES)
    setattr(command.drive, name, value)
    with pytest.raises(CarMessageError, match="ackermann_cmd: expected a number"):
        say.read_command(command)
