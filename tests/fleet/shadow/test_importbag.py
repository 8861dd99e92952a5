"""A rosbag2 recording becomes a log that a candidate is asked on, whatever its container; odd ones are told."""

from __future__ import annotations

import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from mcap.writer import CompressionType, Writer

from fleet import cli
from fleet.recordings import read_steps
from fleet.ros.cdr import serialise
from fleet.ros.kinds import name_of
from fleet.ros.messages.geometry_msgs import Twist, TwistStamped
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.std_msgs import Header
from fleet.ros.planar import time_of
from fleet.shadow.bag import open_bag
from fleet.shadow.summary import summary
from sim.robot import SECOND, RobotSpec
from tests.fleet.episodes import walls
from tests.fleet.hand_policy import write_hand_policy
from tests.fleet.shadow.bags import BEAMS, BEGIN, SITE, Message, drive, write_mcap, write_sqlite

SPEC = RobotSpec()
REAL = Path(__file__).parents[4] / "shared" / "data" / "safety" / "nav2" / "cm_moving_obstacle.mcap.zstd"


def imported(bag: Path, out: Path, *words: str) -> int:
    return cli.main(["import", str(bag), "--out", str(out), *words])


@pytest.mark.parametrize("kind", ["mcap", "lz4", "plain", "db3", "zstd"])
def test_every_container_gives_the_same_log_and_a_candidate_is_asked_on_it(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    if kind == "db3":
        write_sqlite(folder / "bag_0.db3", drive())
    else:
        packed = {"lz4": CompressionType.LZ4, "plain": CompressionType.NONE}.get(kind, CompressionType.ZSTD)
        path = write_mcap(folder / "bag_0.mcap", drive(), packed)
        if kind == "zstd":
            Path(f"{path}.zstd").write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
            path.unlink()
    assert imported(folder, tmp_path / "log") == 0
    said = capsys.readouterr().out
    assert "200 steps of 19.9 s from /scan, /odom, /cmd_vel" in said
    _, rows = read_steps(next((tmp_path / "log" / "blackbox").glob("*.mcap")))
    assert len(rows) == 200
    inputs, outputs = rows[50]
    assert inputs.stamp - rows[0][0].stamp == 5 * SECOND
    assert inputs.pose[0] - rows[0][0].pose[0] == pytest.approx(2.5, abs=1e-3)
    assert inputs.twist[0] == pytest.approx(0.5)
    assert outputs.released[0] == pytest.approx(0.5)
    if kind != "mcap":
        return
    place = tmp_path / "policy"
    place.mkdir()
    write_hand_policy(place, SPEC)
    assert cli.main(["shadow", str(tmp_path / "log"), "--policy", str(place)]) == 0
    found = summary(next((tmp_path / "log").glob("shadow-*")))
    assert found.pairs > 150
    assert found.production == ()
    assert cli.main(["replay", str(tmp_path / "log")]) == 2
    assert "was imported from the recording bag" in capsys.readouterr().err


@pytest.mark.parametrize("mount", [0.0, 1.2])
def test_a_turned_lidar_sees_what_ours_would_see_from_there(mount: float, tmp_path: Path) -> None:
    bag = write_mcap(tmp_path / "bag.mcap", drive(3.0, mount=mount))
    assert imported(bag, tmp_path / "log") == 0
    _, rows = read_steps(next((tmp_path / "log" / "blackbox").glob("*.mcap")))
    inputs, _ = rows[10]
    seen = np.frombuffer(inputs.scan, np.float32)
    truth = walls(SITE, SPEC.lidar.rays, SPEC.lidar.range_max)((0.6 + 0.5 * 1.0, 1.8, 0.0))
    near = truth < 3.0  # further on a degree along the wall is decimetres
    assert np.abs(seen - truth)[near].max() < 0.12
    assert np.median(np.abs(seen - truth)[near]) < 0.02


def test_gaps_clocks_that_jump_and_odd_headers_are_told_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = [one for one in drive() if not 5 * SECOND < one[1] - BEGIN < 9 * SECOND]
    for topic, stamp, message in messages:
        if topic == "/scan" and 15 * SECOND < stamp - BEGIN < 15.25 * SECOND:
            message.header.stamp.sec += 3600  # type: ignore[attr-defined]  # a LaserScan has one
    back = [
        (topic, stamp - (30 * SECOND if stamp - BEGIN > 12 * SECOND else 0), message)
        for topic, stamp, message in messages
    ]
    for _, stamp, message in back:
        if hasattr(message, "header") and stamp < BEGIN - 10 * SECOND:
            message.header.stamp.sec -= 30
    assert imported(write_mcap(tmp_path / "bag.mcap", back), tmp_path / "log") == 0
    said = capsys.readouterr().out.splitlines()
    assert sum("the recorder's clock went back by" in line for line in said) == 1
    assert sum(" gaps, " in line for line in said) == 1
    assert sum("stamps that jump" in line for line in said) == 1


def test_without_commands_the_measured_speed_stands_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_mcap(tmp_path / "bag.mcap", [one for one in drive(5.0) if one[0] != "/cmd_vel"])
    assert imported(bag, tmp_path / "log") == 0
    assert "no commands were recorded: the measured speed stands for them" in capsys.readouterr().out
    _, rows = read_steps(next((tmp_path / "log" / "blackbox").glob("*.mcap")))
    assert rows[20][1].released[0] == pytest.approx(0.5)


def test_a_cut_recording_is_read_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_mcap(tmp_path / "bag.mcap", drive())
    whole = bag.read_bytes()
    bag.write_bytes(whole[: len(whole) // 2])
    assert imported(bag, tmp_path / "log") == 0
    assert "cut or damaged, what was read before counts" in capsys.readouterr().out


def test_other_names_are_named_and_two_that_fit_are_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = sorted([*drive(4.0, prefix="/a"), *drive(4.0, prefix="/b")], key=lambda one: one[1])
    bag = write_mcap(tmp_path / "bag.mcap", both)
    assert imported(bag, tmp_path / "log") == 2
    assert "the recording has /a/scan, /b/scan; choose with --scan" in capsys.readouterr().err
    words = ("--scan", "a/scan", "--odom", "/a/odom", "--command", "/a/cmd_vel")
    assert imported(bag, tmp_path / "log", *words) == 0
    assert imported(bag, tmp_path / "log", *words) == 2
    assert "has one already" in capsys.readouterr().err
    assert imported(bag, tmp_path / "other", "--scan", "/a/odom") == 2
    assert "--scan: expected a topic of sensor_msgs/msg/LaserScan, got /a/odom" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bag.mcap", b"nothing", "none can be read"),
        ("bag.db3", b"nothing", "none can be read"),
        ("bag.mcap.zstd", b"nothing", "expected a file compressed by zstd"),
        ("bag.txt", b"nothing", "expected a rosbag2 recording"),
        ("", b"", "does not exist"),
    ],
)
def test_what_is_no_recording_is_one_line(
    name: str, data: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / (name or "nowhere")
    if name:
        path.write_bytes(data)
    assert imported(path, tmp_path / "log") == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.skipif(not REAL.exists(), reason="the recording of Nav2's collision monitor is not on this machine")
def test_a_real_recording_without_lidar_is_read_and_refused_with_what_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(REAL, tmp_path / "bag.mcap.zstd")
    bag = open_bag(tmp_path / "bag.mcap.zstd")
    assert bag.counts == {"/clock": 231, "/cmd_vel_smoothed": 231, "/local_costmap/costmap": 231}
    assert not bag.notes
    assert imported(tmp_path / "bag.mcap.zstd", tmp_path / "log") == 2
    errors = capsys.readouterr().err
    assert "expected a topic of sensor_msgs/msg/LaserScan, the recording has /clock" in errors
    assert errors.count("\n") == 1


def test_a_recording_in_many_files_is_read_in_their_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, messages = tmp_path / "bag", drive()
    folder.mkdir()
    parts = np.array_split(np.arange(len(messages)), 12)  # bag_10 is not after bag_1
    for number, part in enumerate(parts):
        write_mcap(folder / f"bag_{number}.mcap", [messages[one] for one in part])
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information:\n  version: 9\n  storage_identifier: mcap\n")
    assert imported(folder, tmp_path / "log") == 0
    said = capsys.readouterr().out
    assert "200 steps of 19.9 s" in said
    assert "went back" not in said


def _stamped(messages: list[Message]) -> list[Message]:
    """Commands with stamps, as Nav2's since Jazzy."""
    return [
        (topic, stamp, TwistStamped(Header(time_of(stamp), "base_link"), one) if isinstance(one, Twist) else one)
        for topic, stamp, one in messages
    ]


def _narrow(messages: list[Message]) -> list[Message]:
    """A lidar that sees 270 degrees with 541 beams, some of which are nowhere or no number, from right to left."""
    for _, _, message in messages:
        if isinstance(message, LaserScan):
            kept = np.array(message.ranges[90:631])[::-1].copy()
            kept[::7], kept[3::11], kept[5::13], kept[6::17] = np.nan, np.inf, -np.inf, 0.0
            message.ranges, message.intensities = kept, np.ones(0, np.float32)
            message.angle_min, message.angle_max = 0.75 * math.pi, -0.75 * math.pi
            message.angle_increment = -2.0 * math.pi / BEAMS
    return messages


def _other_frames(messages: list[Message]) -> list[Message]:
    for _, _, message in messages:
        if isinstance(message, Odometry):
            message.header.frame_id, message.child_frame_id = "robot7/odom", "robot7/base_footprint"
        if isinstance(message, LaserScan):
            message.header.frame_id = "robot7/base_scan"
    return messages


def _no_numbers(messages: list[Message]) -> list[Message]:
    for number, (_, _, message) in enumerate(messages):
        if isinstance(message, Odometry) and number % 50 == 1:
            message.pose.pose.position.x = math.nan
    return messages


@pytest.mark.parametrize(
    ("change", "steps", "said"),
    [
        (_stamped, 200, "/scan, /odom, /cmd_vel"),
        (_narrow, 200, "/scan, /odom, /cmd_vel"),
        (_other_frames, 200, "/scan, /odom, /cmd_vel"),
        (_no_numbers, 100, "were left out"),
    ],
)
def test_what_other_robots_record_is_read(
    change: Callable[[list[Message]], list[Message]],
    steps: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert imported(write_mcap(tmp_path / "bag.mcap", change(drive())), tmp_path / "log") == 0
    assert said in capsys.readouterr().out
    _, rows = read_steps(next((tmp_path / "log" / "blackbox").glob("*.mcap")))
    assert steps <= len(rows) <= 200
    assert all(np.isfinite(np.frombuffer(inputs.scan, np.float32)).all() for inputs, _ in rows)
    assert rows[50][1].released[0] == pytest.approx(0.5)
    if change is _narrow:
        near = np.frombuffer(rows[50][0].scan, np.float32)
        behind = near[: SPEC.lidar.rays // 10]  # where no beam went nothing is known to be
        assert (behind == SPEC.lidar.range_max).all()
        assert near[SPEC.lidar.rays // 4] < 3.0  # the wall to the right


def test_commands_in_big_endian_are_read(tmp_path: Path) -> None:
    with (tmp_path / "bag.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for topic, stamp, message in drive(5.0):
            if topic not in channels:
                schema = writer.register_schema(name_of(type(message)), "ros2msg", b"")
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            data = serialise(message)
            if isinstance(message, Twist):
                linear, angular = message.linear, message.angular
                numbers = (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
                data = b"\0\0\0\0" + struct.pack(">6d", *numbers)
            writer.add_message(channels[topic], stamp, data, stamp)
        writer.finish()
    assert imported(tmp_path / "bag.mcap", tmp_path / "log") == 0
    _, rows = read_steps(next((tmp_path / "log" / "blackbox").glob("*.mcap")))
    assert rows[20][1].released[0] == pytest.approx(0.5)
