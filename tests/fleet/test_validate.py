"""`muster validate-sim`: errors on what was held out, a refitted specification, and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleet import cli
from fleet.recordings import Recording
from fleet.tables import write_table
from fleet.validate import Validation, ValidationError, departures, split_recordings
from sim.candidates import NAMES, nominal
from sim.excitation import Planted, plant_robot, record
from sim.robot import RobotSpec
from sim.specfile import read_spec
from sim.sysid import Estimate, Fit

SPEC = RobotSpec()


def tables(directory: Path, spec: RobotSpec, planted: Planted, seconds: float, runs: int) -> list[str]:
    found = []
    for drive in record(spec, planted, seconds, runs, 5):
        found.append(str(directory / f"{drive.recording}.csv"))
        write_table(Path(found[-1]), drive)
    return found


def recordings(count: int) -> list[Recording]:
    return [Recording(f"r{k}", tuple(record(SPEC, Planted(), 10.0, 1, k)), None) for k in range(count)]


def test_of_three_recordings_one_is_held_out_and_of_fewer_the_end_of_each() -> None:
    training, held, words = split_recordings(recordings(3), "auto")
    assert (len(training), len(held)) == (2, 1)
    assert words == "held out by log: r2"
    training, held, words = split_recordings(recordings(2), "auto")
    assert [drive.duration for drive in training] == pytest.approx([7.0, 7.0])
    assert [drive.duration for drive in held] == pytest.approx([3.0, 3.0])
    assert words == "held out by time: the last 30% of each stretch"
    with pytest.raises(ValidationError, match="at least two recordings"):
        split_recordings(recordings(1), "log")


def test_the_errors_of_a_specification_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spec, planted = plant_robot(SPEC, 0)
    assert cli.main(["validate-sim", *tables(tmp_path, spec, planted, 8.0, 1), "--no-fit"]) == 0
    assert "by horizon, RMS" in capsys.readouterr().out
    (run,) = (tmp_path / "runs").iterdir()
    said = json.loads((run / "validate.json").read_text())
    assert [one["horizon"] for one in said["errors"]] == [0.1, 0.5, 1.0, 2.0, 5.0]
    assert said["errors"][2]["rms"]["specification"]["x"] > 0.01
    assert said["errors"][2]["rms"]["specification"]["wheel_left"] is None
    assert said["this_robot"] is None
    assert not (run / "robot.yaml").exists()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("wheel_radius", 0.0801, ""),
        ("wheel_radius", 0.088, "wheel_radius 0.088 m, specified 0.08 m"),
        ("track", 0.38, "track 0.38 m, specified 0.42 m"),
        ("mass", 95.0, ""),  # loaded
        ("mass", 120.0, "mass 120 kg, specified 60 kg and up to 40 more"),
        ("accel", 0.8, ""),  # the shield's bound is an upper one
        ("accel", 1.2, "accel 1.2, specified at most 1"),
        ("brake", 1.3, "brake 1.3 m/s^2, specified at least 1.5"),
        ("latency", 0.03, ""),
        ("latency", 0.06, "answers after 0.07 s, specified 0.05 s at most"),
    ],
)
def test_a_robot_departs_from_its_specification_where_the_shield_would_be_wrong_about_it(
    name: str, value: float, expected: str
) -> None:
    said = nominal(SPEC)
    estimates = tuple(
        Estimate(one, value if one == name else float(said[k]), float(said[k]), 0.0, True, "", 0.0, 0.0)
        for k, one in enumerate(NAMES)
    )
    fit = Fit(said, estimates, ("r0",), 10.0, (1.0, 1.0), np.zeros(9), 1)
    found = Validation(SPEC, (("r0", 10.0),), "", (), fit)
    assert departures(found) == ([expected] if expected else [])
    assert found.same is (not expected)


@pytest.mark.slow
def test_a_strange_robot_is_called_strange_and_refitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spec, planted = plant_robot(SPEC, 0)
    logs = tables(tmp_path, spec, planted, 15.0, 3)
    assert cli.main(["validate-sim", *logs, "--output", "mine.yaml", "--name", "mine"]) == 0
    out = capsys.readouterr().out
    assert "Is this my robot? No: wheel_radius 0.07" in out
    assert "the refit takes the error at 1 s (RMS, held out) from x" in out
    assert "not identifiable: mass" in out
    written = read_spec(tmp_path / "mine.yaml")
    assert written.spec.name == "mine"
    assert written.spec.drive.wheel_radius == pytest.approx(spec.drive.wheel_radius, rel=0.05)
    assert written.randomization["friction"].low <= planted.traction * 1.05
    (run,) = (tmp_path / "runs").iterdir()
    page = (run / "validate.html").read_text()
    assert page.count("<svg") == 5
    assert "http" not in page.replace("http://www.w3.org", "")
    # and its own specification is the robot's: nothing is left for a second refit
    capsys.readouterr()
    assert cli.main(["validate-sim", *logs, "--spec", "mine.yaml"]) == 0
    said = json.loads(
        max((tmp_path / "runs").iterdir(), key=lambda run: run.stat().st_mtime).joinpath("validate.json").read_text()
    )
    assert said["this_robot"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected at least one recording: muster validate-sim LOG"),
        (["nothing.csv"], "expected a recording, nothing.csv: No such file or directory"),
        (["nothing.csv", "--threads", "0"], "--threads: expected 1 to 256 threads, got 0"),
        (["nothing.csv", "--spec", "no.yaml"], "cannot read no.yaml"),
        (["nothing.csv", "--output", "no/where.yaml"], "--output: expected a place in a folder that is there"),
    ],
)
def test_a_wrong_command_line_is_one_line(refused: Callable[..., str], arguments: list[str], expected: str) -> None:
    assert expected in refused("validate-sim", *arguments)
