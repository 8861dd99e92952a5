"""A robot host tells of missions as they end, off its loop: whole lines, by the time of day, whatever the disk does."""

from __future__ import annotations

import errno
import multiprocessing
from pathlib import Path

import pytest

from fleet.judge import telling
from fleet.judge.driven import shift_of
from fleet.judge.missions import FILE, Mission, append_missions, read_missions
from fleet.judge.near import Sight
from fleet.judge.telling import Teller
from sim.robot import SECOND
from tests.fleet.judge.test_driven import BEGIN, SITE, SPEC, moment

NOW = 1_795_327_200 * SECOND


def teller(path: Path, clock: int = BEGIN) -> Teller:
    return Teller(path / FILE, {"r0": Sight(SITE, SPEC)}, clock=lambda: clock)


def drive(one: Teller, seconds: float = 0.02) -> None:
    for tick, done in enumerate((0, 0, 1, 2)):
        one.append("r0", *moment(tick, "t" if tick else "", legs_done=done), seconds)


def test_a_mission_is_written_once_with_the_time_that_its_steps_took(tmp_path: Path) -> None:
    one = teller(tmp_path)
    drive(one)
    for now in (0.0, 1.0):
        one.work(now)
    (mission,) = read_missions(tmp_path / FILE)
    assert (mission.id, mission.steps, mission.done) == ("t/1", 3, True)
    assert mission.latency_p99 == pytest.approx(0.02)
    assert one.counts["told"] == 1


def test_a_simulated_site_is_told_by_the_time_of_day(tmp_path: Path) -> None:
    one = teller(tmp_path, NOW)
    drive(one)
    one.work(0.0)
    (mission,) = read_missions(tmp_path / FILE)
    assert (mission.end, mission.begin) == (NOW, NOW - 2 * SPEC.period)
    assert mission.shift == shift_of(mission.begin)


def test_a_disk_that_fails_is_counted_and_told_once_and_its_missions_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, missions: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    one = teller(tmp_path)
    drive(one)
    monkeypatch.setattr(telling, "append_missions", full)
    for now in (0.0, 0.1, 2.0):
        one.work(now)
    assert one.counts["failed_writes"] == 2
    assert capsys.readouterr().err.count("cannot be written") == 1
    monkeypatch.undo()
    one.work(4.0)
    assert [mission.id for mission in read_missions(tmp_path / FILE)] == ["t/1"]


def test_a_step_that_cannot_be_counted_is_not_the_end_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = teller(tmp_path)
    one.append("nobody", *moment(0), 0.01)
    drive(one)
    one.work(0.0)
    assert (one.counts["faults"], one.counts["told"]) == (1, 1)
    assert "cannot be counted" in capsys.readouterr().err


def test_its_thread_writes_what_ended_before_it_closes(tmp_path: Path) -> None:
    one = teller(tmp_path)
    one.start()
    drive(one)
    one.close()
    assert one.counts["told"] == 1


def test_several_hosts_share_a_file_and_every_line_is_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    hosts = [context.Process(target=many, args=(tmp_path / FILE, f"r{number}")) for number in range(4)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(60.0)
    assert len(list(read_missions(tmp_path / FILE))) == 4 * 200


def many(path: Path, robot: str) -> None:
    for number in range(200):
        append_missions(path, [Mission(id=str(number), robot=robot, arm="baseline", begin=0, end=1)])
