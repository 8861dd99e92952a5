"""Definitions of messages."""

from typing import Annotated

import numpy as np
import pytest

from fleet.ros import kinds
from fleet.ros.kinds import Field, Kind, KindError, default, fields_of, find, message, name_of, sequence
from fleet.ros.messages.geometry_msgs import PoseStamped, Quaternion
from fleet.ros.messages.lifecycle_msgs import State
from fleet.ros.messages.sensor_msgs import Imu, LaserScan, NavSatFix
from fleet.ros.messages.std_msgs import Header
from tests.fleet.ros.kindsamples import Mixed, Sequences


def test_fields_without_a_value_have_ros_defaults() -> None:
    assert Quaternion() == Quaternion(0.0, 0.0, 0.0, 1.0)
    assert PoseStamped().pose.orientation.w == 1.0
    assert NavSatFix().status.status == -2
    assert Mixed().short == -3
    assert Imu().orientation_covariance.tolist() == [0.0] * 9


def test_no_two_messages_share_a_default() -> None:
    one, other = LaserScan(), LaserScan()
    one.header.frame_id = "laser"
    assert other.header.frame_id == ""
    assert Imu().orientation_covariance is not Imu().orientation_covariance
    assert Sequences().texts is not Sequences().texts


def test_messages_are_equal_where_all_their_fields_are() -> None:
    assert LaserScan(ranges=np.ones(2, np.float32)) == LaserScan(ranges=np.ones(2, np.float32))
    assert LaserScan(ranges=np.ones(2, np.float32)) != LaserScan(ranges=np.ones(3, np.float32))
    assert LaserScan(header=Header(frame_id="a")) != LaserScan()
    assert Quaternion() != PoseStamped()
    with pytest.raises(TypeError, match="unhashable"):
        hash(LaserScan())


def test_a_misspelt_field_is_no_field() -> None:
    with pytest.raises(AttributeError):
        LaserScan().range = 3  # pyright: ignore


def test_constants_are_no_fields() -> None:
    assert State.PRIMARY_STATE_ACTIVE == 3
    assert fields_of(State) == (Field("id", Kind("uint8")), Field("label", Kind("string")))


def test_messages_are_found_by_their_name() -> None:
    assert name_of(LaserScan) == "sensor_msgs/msg/LaserScan"
    assert find("sensor_msgs/msg/LaserScan") is LaserScan
    with pytest.raises(KindError, match=r"did you mean .sensor_msgs/msg/LaserScan"):
        find("sensor_msgs/msg/LaserScam")
    for unknown in ("os/msg/Path", "../../msg/Path", "sensor_msgs/LaserScan", "", "a/msg/A\n"):
        with pytest.raises(KindError, match=r"^no message [^\n]*$"):
            find(unknown)


def test_definitions_that_are_none_are_refused() -> None:
    with pytest.raises(KindError, match="expected a message name such as"):
        message("std_msgs/String")
    with pytest.raises(KindError, match=r"sensor_msgs/msg/LaserScan is defined by .*sensor_msgs and again by"):
        message("sensor_msgs/msg/LaserScan")(type("Another", (), {"__annotations__": {}}))
    for hint in (float, "list[float]", Annotated[float, "float64"], list[Annotated[list[str], sequence("string")]]):
        with pytest.raises(KindError, match=r"test_msgs/msg/Bad.x: .* is no kind of field"):
            message("test_msgs/msg/Bad")(type("Bad", (), {"__annotations__": {"x": hint}, "__module__": __name__}))


def test_a_definition_may_be_run_again() -> None:
    def make() -> type:
        @message("test_msgs/msg/Again")
        class Again:
            x: kinds.Float64 = default()

        return Again

    assert make() is not make()
    assert find("test_msgs/msg/Again")().x == 0.0
