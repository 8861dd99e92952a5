from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fleet.box.boxfile import BoxFile
from fleet.drivelog import read_drive, read_drives, recording
from fleet.replay import Config, run
from fleet.salvage import BlackBoxError, read_recording
from sim.driving.moment import Moment, nobody
from tests.fleet import drives


def write(folder: Path, moments: list[Moment], name: str = "drive0") -> Path:
    with recording(folder, drives.course(), {"policy": "none"}, name) as box:
        for moment in moments:
            box.append(moment)
    assert box.counts.written == len(moments)
    return folder / f"{name}-0.mcap"


def same(one: Moment, other: Moment) -> None:
    for field in dataclasses.fields(Moment):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("plan", "reach", "scan"):
            assert np.allclose(np.array(a), np.array(b), atol=1e-4)
        elif field.name == "others":
            assert (np.asarray(a.kind) == b.kind).all()
            for name in ("pose", "motion", "size"):
                assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-4)
        else:
            assert a == b, field.name


def test_a_drive_comes_back_from_its_black_box(tmp_path: Path) -> None:
    moments = drives.moments(1.0)
    moments[3] = dataclasses.replace(
        moments[3], broken=("clearance", "lane boundary"), contact="car", blame="at fault", others=nobody(), reach=(),
        plan=np.zeros((0, 3)), margin=-0.5, limit=float("inf"), scan=np.linspace(1.0, 100.0, 360), scan_age=0.15,
    )  # fmt: skip
    recorded = read_drive(write(tmp_path, moments))
    assert recorded.damage == ""
    assert recorded.settings == {"policy": "none"}
    assert recorded.course.road.hash == drives.road().hash
    for field in dataclasses.fields(recorded.course):
        if field.name != "road":
            assert getattr(recorded.course, field.name) == getattr(drives.course(), field.name)
    assert len(recorded.moments) == len(moments)
    for one, other in zip(moments, recorded.moments, strict=True):
        same(one, other)


def test_the_file_is_mcap_that_other_tools_read(tmp_path: Path) -> None:
    from mcap.reader import make_reader

    path = write(tmp_path, drives.moments(0.5))
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert sorted(channel.topic for channel in summary.channels.values()) == [
        "chain",
        "drive",
        "events",
        "shield",
        "traffic",
    ]
    counts = summary.statistics.channel_message_counts
    assert sum(counts[number] for number in (1, 2, 3)) == 20
    stamps = [message.stamp for chunk in read_recording(path).chunks for message in chunk if message.channel == "drive"]
    assert stamps == [50_000_000 * step for step in range(10)]
    cycles = [message.cycle for chunk in read_recording(path).chunks for message in chunk if message.channel == "drive"]
    assert cycles == list(range(10))


def test_a_file_that_was_cut_keeps_its_whole_steps(tmp_path: Path) -> None:
    path = write(tmp_path, drives.moments(1.0))
    data = path.read_bytes()
    messages = sum(len(chunk) for chunk in read_recording(path).chunks)
    assert messages == 40
    first, last = data.index(b"released"), data.rindex(b"released")  # what stands before is the road
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(data[: first + int(share * (last - first))])
        kept = read_drive(path).moments
        assert 0 <= len(kept) < 20
        for one, other in zip(drives.moments(1.0), kept, strict=False):
            same(one, other)
    assert len(kept) > 5


def test_drives_of_a_folder_are_read_in_order_and_files_of_one_drive_together(tmp_path: Path) -> None:
    for number in (0, 1, 10, 2):
        write(tmp_path, drives.moments(0.2), f"drive{number}")
    write(tmp_path, drives.moments(0.3), "drive1")  # a second file of the same drive
    names = [drive.path.name for drive in read_drives(tmp_path)]
    assert names == ["drive0-0.mcap", "drive1-0.mcap", "drive2-0.mcap", "drive10-0.mcap"]
    assert [len(drive.moments) for drive in read_drives(tmp_path)] == [4, 10, 4, 4]


def test_what_is_no_drive_is_refused_in_a_line(tmp_path: Path) -> None:
    robot = BoxFile(tmp_path / "r0-0.mcap", {"robot": "r0"}, {})
    robot.finish()
    with pytest.raises(BlackBoxError, match="expected a drive"):
        read_drive(tmp_path / "r0-0.mcap")
    (tmp_path / "drive0-0.mcap").write_bytes(b"not mcap")
    with pytest.raises(BlackBoxError, match="expected an MCAP file"):
        read_drive(tmp_path / "drive0-0.mcap")


def test_a_drive_without_a_shield_has_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(BlackBoxError, match="the drive had none"):
        run(Config(write(tmp_path, drives.moments(0.2))))
