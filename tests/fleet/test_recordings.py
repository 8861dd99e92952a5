"""Recordings: black boxes and tables become stretches, and a bad file is one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.policy import Policy
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.hardware import FakeRobot
from fleet.header import write_header
from fleet.recordings import read_recordings
from fleet.salvage import BlackBoxError
from fleet.tables import RecordingError, write_table
from sim.excitation import Planted, record
from sim.robot import RobotSpec
from tests.fleet.episodes import Episode, FakeCoordinator, aisle, delivery, walls
from tests.fleet.hand_policy import write_hand_policy

SPEC = RobotSpec()
GOOD = "t,v_command,w_command,x,y,yaw\n" + "".join(f"{k / 10},0.5,0,{k / 20},0,0\n" for k in range(30))


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_a_written_table_is_read_back(tmp_path: Path, suffix: str) -> None:
    (drive,) = record(SPEC, Planted(), 3.0, 1, 2, wheels=True, torques=True)
    path = tmp_path / f"run{suffix}"
    write_table(path, drive)
    (recording,) = read_recordings([path])
    (back,) = recording.drives
    assert recording.name == "run"
    assert recording.spec is None
    assert back.duration == pytest.approx(drive.duration)
    for mine, theirs in ((back.pose, drive.pose), (back.twist, drive.twist), (back.wheels, drive.wheels),
                         (back.torques, drive.torques)):  # fmt: skip
        assert mine is not None
        assert theirs is not None
        assert np.allclose(mine.times, theirs.times, atol=1e-9)
        assert np.array_equal(mine.values, theirs.values)
    assert np.array_equal(back.stretch.commands, drive.stretch.commands[1:])
    assert back.stretch.start == pytest.approx(tuple(drive.twist.values[0]) if drive.twist else ())


def test_empty_cells_are_sensors_that_were_silent_and_long_silence_cuts(tmp_path: Path) -> None:
    lines = ["t,v_command,w_command,x,y,yaw,v,w"]
    lines += [f"{k / 10},{'' if k % 2 else 0.5},{'' if k % 2 else 0},{k / 20},0,3.1,,{''}" for k in range(20)]
    lines += [f"{5 + k / 10},0.5,0,{k / 20},0,-3.1,0.5,0" for k in range(20)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (recording,) = read_recordings([tmp_path / "log.csv"])
    first, second = recording.drives
    assert len(first.stretch.times) == 10
    assert len(first.pose.times) == 20
    assert first.twist is None
    assert second.twist is not None
    assert first.start_twist(0.0)[0] == pytest.approx(0.5 * np.cos(3.1), abs=1e-6)  # from its poses
    assert recording.seconds == pytest.approx(1.9 + 1.9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a table with a header line"),
        (GOOD.replace("yaw", "heading"), 'unknown column "heading"'),
        (GOOD.replace("v_command", "v_comand"), 'unknown column "v_comand"; did you mean "v_command"?'),
        ("t,v_command,w_command,x,y\n0,0,0,0,0\n", 'the column "yaw" is missing; required are t, v_command'),
        (GOOD + "3.1,0.5,0,1\n", "line 32: expected 6 cells, got 4; repair the line"),
        (GOOD + "3.1,fast,0,1,0,0\n", 'line 32: v_command: expected a number, got "fast"; correct it'),
        (GOOD + "2.0,0,0,1,0,0\n", 'row 31: expected "t" to ascend, got 2.9, then 2; sort the rows'),
        (GOOD + "nan,0,0,1,0,0\n", 'expected at least 3 rows with finite "t"'),
        (GOOD.split("\n", 3)[0] + "\n0,0,0,0,0,0\n0.1,0,0,0,0,0\n0.2,0,0,0,0,0\n", "expected 1 s of driving"),
        (
            GOOD.replace("yaw", "yaw,wheel_left").replace(",0,0\n", ",0,0,1\n"),
            'expected "wheel_left" and "wheel_right"',
        ),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(RecordingError) as caught:
        read_recordings([tmp_path / "log.csv"])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "log.csv") in str(caught.value)


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no such file"):
        read_recordings([tmp_path / "log.bag"])
    (tmp_path / "log.bag").write_text("x")
    with pytest.raises(RecordingError, match="convert it"):
        read_recordings([tmp_path / "log.bag"])
    with pytest.raises(RecordingError, match="No such file"):
        read_recordings([tmp_path / "log.csv"])
    (tmp_path / "log.npz").write_bytes(b"PK not really")
    with pytest.raises(RecordingError, match=r"log\.npz"):
        read_recordings([tmp_path / "log.npz"])
    np.savez(tmp_path / "words.npz", t=np.array(["a", "b"]))
    with pytest.raises(RecordingError, match="expected arrays of numbers"):
        read_recordings([tmp_path / "words.npz"])
    np.savez(
        tmp_path / "short.npz", t=np.arange(3.0), v_command=np.zeros(3), w_command=np.zeros(3), x=np.zeros(3),
        y=np.zeros(3), yaw=np.zeros(4),
    )  # fmt: skip
    with pytest.raises(RecordingError, match="expected columns of one length"):
        read_recordings([tmp_path / "short.npz"])
    (tmp_path / "log.mcap").write_bytes(b"nothing of the kind")
    with pytest.raises(BlackBoxError, match="expected an MCAP file"):
        read_recordings([tmp_path / "log.mcap"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BlackBoxError, match="there is none"):
        read_recordings([tmp_path / "empty"])


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Step], Policy]:
    """Ten seconds of a robot that delivers."""
    policy = write_hand_policy(tmp_path_factory.mktemp("policy"), SPEC)
    site = aisle()
    scan = walls(site, SPEC.lidar.rays, SPEC.lidar.range_max, ())
    stepper = Stepper(ControlConfig(robot="r0", spec=SPEC, person_speed=1.6), site, policy)
    episode = Episode(stepper, FakeRobot(SPEC, (0.6, 1.8, 0.0), scan), FakeCoordinator(site, delivery(5)))
    episode.run(10.0)
    return episode.steps, policy


def write_box(directory: Path, steps: list[Step], policy: Policy) -> Path:
    config = ControlConfig(robot="r0", spec=SPEC, person_speed=1.6)
    box = BlackBox(directory / "blackbox", "r0", *write_header(config, aisle(), policy))
    for number, step in enumerate(steps, 1):
        box.append(step)
        if number % 10 == 0:
            box.flush()
    box.close()
    return directory


def test_a_black_box_gives_what_was_released_and_measured(tmp_path: Path, steps: tuple[list[Step], Policy]) -> None:
    taken, policy = steps
    (recording,) = read_recordings([write_box(tmp_path, taken, policy)])
    assert recording.spec == SPEC
    (drive,) = recording.drives
    assert len(drive.stretch.times) == len(taken)
    assert drive.stretch.times[-1] == pytest.approx((len(taken) - 1) * 0.1)
    k = 40
    assert drive.stretch.commands[k] == pytest.approx(taken[k].outputs.released)
    assert drive.pose.values[k] == pytest.approx(taken[k].inputs.pose)
    assert drive.pose.times[k] == pytest.approx((taken[k].inputs.pose_stamp - taken[0].inputs.stamp) / 1e9)
    assert abs(drive.stretch.commands[:, 0]).max() > 0.5


def test_a_lost_cycle_cuts_a_black_box(tmp_path: Path, steps: tuple[list[Step], Policy]) -> None:
    taken, policy = steps
    (recording,) = read_recordings([write_box(tmp_path, taken[:30] + taken[31:], policy)])
    assert [len(drive.stretch.times) for drive in recording.drives] == [30, len(taken) - 31]


def test_the_same_name_in_two_folders_stays_two_recordings(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").write_text(GOOD)
    names = [one.name for one in read_recordings([tmp_path / "a" / "log.csv", tmp_path / "b" / "log.csv"])]
    assert names == ["0:log", "1:log"]
