from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from fleet.drivelog import read_drives, recording
from fleet.drivereport import VIDEO, render, write_drive_report
from fleet.rundir import RunDirectory, create_run
from sim.driving.moment import Moment
from tests.fleet import drives


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run(tmp_path, arguments=["muster", "drive"], config={"site": "highway:3"}, seed=3)


def record(run: RunDirectory, moments: list[Moment], number: int = 0, *, shielded: bool = True) -> None:
    course = drives.course(f"highway:{number}", shielded=shielded)
    with recording(run.blackbox, course, {}, f"drive{number}") as box:
        for moment in moments:
            box.append(moment)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.S)))


def test_the_page_has_every_drive_with_its_figures(run: RunDirectory) -> None:
    record(run, drives.moments(2.0), 0)
    hit = drives.moments(2.0)
    hit[30] = dataclasses.replace(hit[30], contact="pedestrian", blame="at fault", broken=("clearance",))
    hit[35] = dataclasses.replace(hit[35], contact="car", blame="struck from behind")
    record(run, hit, 1, shielded=False)
    page = write_drive_report(run).read_text(encoding="utf-8")
    text = text_of(page)
    assert "highway:0" in text
    assert "highway:1" in text
    assert "17.8 %" in text  # 50 m and 39 m of 500 m
    assert "72 km/h" in text
    assert "55 %" in text  # 20 m/s of 130 km/h
    assert "25.0 %" in text  # a quarter of the steps
    assert "at fault pedestrian 1" in text
    assert "struck from behind car 1" in text
    assert "clearance 1 80" in text
    assert "speed limit 0 80" in text
    assert "the speed limit 0.5 m/s above it, the lane boundary 0.15 m across it" in text
    assert "less than 0.5 m of room" in text
    assert "not all with shield" in text
    assert "obstacle" in text
    assert page.count("<rect") > 4  # the interventions are marked
    assert "site=highway:3" in text


def test_the_page_loads_nothing(run: RunDirectory) -> None:
    record(run, drives.moments(1.0))
    (run.root / VIDEO).write_bytes(b"not a film, but bytes")
    page = write_drive_report(run).read_text(encoding="utf-8")
    assert 'src="data:video/mp4;base64,' in page
    assert not re.search(r'(src|href|poster)="(?!data:)', page)
    assert "http" not in page.replace("http-equiv", "")


def test_no_video_is_said_and_names_are_escaped(run: RunDirectory) -> None:
    course = dataclasses.replace(drives.course(), name="<b>x</b>")
    with recording(run.blackbox, course, {}, "drive0") as box:
        box.append(drives.moments(0.1)[0])
    page = render("r", read_drives(run.blackbox), {}, trouble="no OpenGL < here")
    assert "no OpenGL &lt; here" in page
    assert "<b>x</b>" not in page


def test_a_learning_curve_is_shown_where_something_was_trained(run: RunDirectory) -> None:
    record(run, drives.moments(0.2))
    assert "Learning curve" not in write_drive_report(run).read_text(encoding="utf-8")
    lines = '{"steps": 1000, "seconds": 2.0, "success": 0.1}\n'
    lines += '{"steps": 2000, "seconds": 4.0, "success": 0.4, "held_out_success": 0.5}\n'
    (run.root / "lane").mkdir()
    (run.root / "lane" / "train.jsonl").write_text(lines, encoding="utf-8")
    page = write_drive_report(run).read_text(encoding="utf-8")
    assert "Learning curve: lane" in page
    assert "2,000 steps in 4 s" in page
    (run.root / "lane" / "train.jsonl").write_text(lines.splitlines()[0] + "\n", encoding="utf-8")
    assert "success while training 10 %" in write_drive_report(run).read_text(encoding="utf-8")


def test_a_run_without_drives_still_has_a_page(run: RunDirectory) -> None:
    assert "0 drives" in text_of(write_drive_report(run).read_text(encoding="utf-8"))
