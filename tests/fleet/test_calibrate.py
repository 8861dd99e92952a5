"""`muster calibrate` and what follows from its record: files that are read back, permits, one line for bad input."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fleet import cli, robot
from fleet.bounds import bound, exceptions, fit_bounds, fit_tracking, fitted_spec
from fleet.calibrate import said
from fleet.calibrationfile import BOUNDS, CalibrationError, expire, faults, read_record, write_record
from fleet.estimates import Measured
from fleet.permit import Asked, PermitError, permit_for
from hierarchy.motor import FIRMWARE, MotorError, motor_hash
from safety.calibration import Authority, Exceeded
from sim.drive import BRAKE_SHARE
from sim.hall import draw_likeness
from sim.robot import RobotSpec
from sim.site import make_site
from sim.specfile import read_spec
from sim.varied import plant_table
from sim.varyfile import read_changes
from tests.fleet.calibrated import FLOOR, MADE, SPEC, record

FAR = datetime(2100, 1, 1, tzinfo=UTC)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for one in (record(), record(findings=("its odometry is off",), expired="it braked weaker", unit="r1")):
        write_record(tmp_path / "c.yaml", one)
        assert read_record(tmp_path / "c.yaml") == one


@pytest.mark.parametrize(
    ("change", "when", "expected"),
    [
        ({}, MADE, ""),
        ({"expired": "it braked weaker"}, MADE, "it expired: it braked weaker"),
        ({}, MADE + timedelta(days=91), "it ended on 2027-02-20"),
        ({}, MADE - timedelta(days=400), "which the computer's clock has not reached"),
        ({"embodiment": "b" * 64}, MADE, "it was made for specification bbbbbbbbbbbb"),
        ({"floor": "c" * 64}, MADE, "it was made on floor cccccccccccc"),
        ({"coverage": 0.95}, MADE, "it shows 0.95 of the drives to keep its bounds, 0.999 are asked for"),
        ({"findings": ("its odometry is off",)}, MADE, "its odometry is off"),
    ],
)
def test_a_record_says_why_it_does_not_hold(change: dict[str, object], when: datetime, expected: str) -> None:
    found = faults(record(**change), SPEC, FLOOR, when)
    assert (expected in "; ".join(found)) if expected else not found
    assert len(found) == bool(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("coverage: 0.999", "coverage: 1.5", "coverage: expected a number from 0 to 1"),
        ("confidence:", "confidense:", 'unknown key "confidense"; did you mean "confidence"'),
        ("made: '2026-11-22T01:00:00+00:00'", "made: yesterday", "made: expected a date with its zone"),
        ("made: '2026-11-22T01:00:00+00:00'", "made: 2026-11-22", "made: expected a date with its zone"),
        ("made: '2026-11-22T01:00:00+00:00'", "made: '0001-01-01T00:00:00+14:00'", "made: expected a date"),
        ("made: '2026-11-22T01:00:00+00:00'", "made: '9999-12-31T23:59:59-14:00'", "made: expected a date"),
        ("  floor: a", "  floor: x", "floor: expected a sha256 of 64 digits"),
        ("value: 1.56", "value: .nan", "bounds: brake: value: expected a number"),
        ("value: 1.56", "value: 0", "expected a braking above 0"),
        ("    latency:", "    lateness:", 'bounds: unknown key "lateness"'),
        ("verified: 3688", "verified: 1.5", "runs: verified: expected a whole number"),
        ("muster: 1", "robot: 1", 'expected "muster: 1" as the first key'),
    ],
)
def test_a_damaged_record_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "c.yaml"
    write_record(path, record())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CalibrationError, match=r"c\.yaml, line \d+: ") as caught:
        read_record(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def permit(path: Path | None, **asked: object):  # noqa: ANN201  # a Permit
    now = (MADE + timedelta(days=1)).timestamp()
    return permit_for(Asked(path, **asked), SPEC, FLOOR, "wheeled", now)  # type: ignore[arg-type]


def test_a_valid_calibration_is_what_was_measured_of_a_motor_that_nobody_else_measured(tmp_path: Path) -> None:
    write_record(tmp_path / "c.yaml", record())
    found = permit(tmp_path / "c.yaml")
    assert (found.authority, found.motor) == (Authority.FULL, motor_hash(SPEC))
    assert found.calibrated is not None
    assert (found.calibrated.brake, found.calibrated.latency) == (1.56, 0.08)
    assert found.by(found.until - 1.0) is Authority.FULL
    assert found.by(found.until) is Authority.CREEP
    with pytest.raises(MotorError):
        permit(None)
    # a specification that states less than its record measured is refused
    less = replace(SPEC, tracking_e1=0.01)
    write_record(tmp_path / "less.yaml", record(embodiment=less.embodiment_hash()))
    with pytest.raises(MotorError, match="expected a tracking bound of at least"):
        permit_for(Asked(tmp_path / "less.yaml"), less, FLOOR, "wheeled", MADE.timestamp())


@pytest.mark.parametrize(
    ("uncalibrated", "left"),
    [("drive", Authority.CREEP), ("creep", Authority.CREEP), ("shadow", Authority.SHADOW)],
)
def test_without_a_valid_one_a_robot_creeps_or_stays_in_shadow(
    tmp_path: Path, uncalibrated: str, left: Authority
) -> None:
    write_record(tmp_path / "c.yaml", record(expired="it braked weaker"))
    found = permit(tmp_path / "c.yaml", uncalibrated=uncalibrated)
    assert (found.authority, found.calibrated) == (left, None)
    assert f"{left.name.lower()} only: it expired: it braked weaker" in found.said
    if uncalibrated != "drive":
        assert permit(None, uncalibrated=uncalibrated).authority is left


@pytest.mark.parametrize(
    ("bus", "uncalibrated", "left"),
    [
        ("none", "auto", Authority.FULL),
        ("dds", "auto", Authority.SHADOW),
        ("rclpy", "auto", Authority.SHADOW),
        ("dds", "drive", Authority.FULL),
        ("dds", "creep", Authority.CREEP),
        ("none", "shadow", Authority.SHADOW),
    ],
)
def test_a_robot_behind_a_bus_is_in_shadow_until_somebody_says_otherwise(
    bus: str, uncalibrated: str, left: Authority
) -> None:
    config = robot.Config(bus=bus, uncalibrated=uncalibrated)  # type: ignore[arg-type]  # words of a command line
    site = make_site("hall", np.zeros((3, 3), bool))
    assert robot.permit_of(config, site, RobotSpec()).authority is left


def test_a_simulated_robot_drives_as_ever() -> None:
    found = permit_for(Asked(), RobotSpec(), FLOOR, "planar", time.time())
    assert (found.authority, found.motor, found.calibrated, found.said) == (Authority.FULL, FIRMWARE, None, "")


def test_a_record_is_one_robots(tmp_path: Path) -> None:
    with pytest.raises(PermitError, match="--calibration: expected one robot, whose record it is, got 3"):
        permit(tmp_path / "c.yaml", robots=3)


def test_what_was_not_measured_is_said() -> None:
    assert "  not measured, so as the specification says: accel, turn_accel, turn_brake, drift_way, drift_turn" in said(
        record()
    )
    whole = record(bounds={label: record().bounds["brake"] for label in BOUNDS})
    assert not any("not measured" in line for line in said(whole))


@pytest.mark.parametrize(
    ("made_of", "why"),
    [("r1", ""), ("r2", "it was made of r2, this is r1"), ("", "it was made of a simulated robot, this is r1")],
)
def test_behind_a_bus_a_record_is_the_robots_own_or_it_does_not_hold(tmp_path: Path, made_of: str, why: str) -> None:
    path, site = tmp_path / "c.yaml", make_site("hall", np.zeros((3, 3), bool))
    write_record(path, record(unit=made_of, floor=site.hash, made=datetime.now(UTC), expires=FAR))
    config = robot.Config(robots="r1", body="wheeled", calibration=path, bus="dds")
    found = robot.permit_of(config, site, SPEC)
    assert found.authority is (Authority.SHADOW if why else Authority.FULL)
    assert why in found.said
    simulated = replace(config, bus="none")
    assert robot.permit_of(simulated, site, SPEC).authority is Authority.FULL, (
        "a simulated robot is what it is said to be"
    )


def test_what_the_monitors_find_is_written_into_the_record_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    write_record(path, record())
    assert "r0 creeps: it braked weaker than calibrated" in permit(path).expire("r0", Exceeded.BRAKING)
    assert "it braked weaker" in read_record(path).expired
    expire(path, "another reason")
    assert "another" not in read_record(path).expired
    assert permit(path).authority is Authority.CREEP
    path.unlink()
    assert "its record could not be marked" in replace(permit_(), path=path).expire("r0", Exceeded.LATENCY)


def permit_():  # noqa: ANN201  # a Permit
    return permit_for(Asked(), RobotSpec(), FLOOR, "planar", 0.0)


def test_a_bound_lies_beyond_the_worst_by_half_of_its_distance_from_the_middle() -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, float("nan")]
    above, below = bound(values, 1.0, "s"), bound(values, -1.0, "s")
    assert above is not None
    assert below is not None
    assert (above.value, above.middle, above.worst, above.samples) == pytest.approx((2.0, 1.4, 1.8, 9))
    assert below.value == pytest.approx(0.8)
    assert bound(values[:5], 1.0, "s") is None


def runs(count: int = 20, **changes: object) -> list[Measured]:
    rng = np.random.default_rng(0)
    return [
        replace(
            Measured(
                accel=1.0 + 0.02 * rng.random(), brake=1.8 - 0.1 * rng.random(), turn_accel=4.0, turn_brake=3.6,
                latency=0.06 + 0.01 * rng.random(), age=0.05, way=(2.04, 2.0), turn=(1.0, 1.0), gain=(1.02, 1.0),
                error=np.array([0.01, 0.02]), end=np.array([0.3, 0.9]),
            ),
            **changes,
        )
        for _ in range(count)
    ]  # fmt: skip


def test_the_specification_takes_each_bound_on_its_safe_side() -> None:
    bounds = fit_tracking(fit_bounds(runs()), runs())
    assert bounds.scale == pytest.approx((1.02, 1.0))
    assert bounds.brake is not None
    spec = fitted_spec(RobotSpec(), bounds, 1.2, 0.012, 0.01)
    assert spec.diff.brake_min == pytest.approx(bounds.brake.value / BRAKE_SHARE)
    assert bounds.brake.value < 1.7 / 1.02
    assert spec.diff.accel_max > 1.0 / 1.02
    assert spec.latency_bound > 0.07
    assert (spec.sensor_age_bound, spec.diff.speed_max, spec.diff.turn_accel_max) == (0.05, 1.2, 3.6)
    assert spec.diff.wheel_radius == pytest.approx(0.08)  # told 1, 1.02 by an odometry that is 2 % too much
    assert spec.tracking_e0 + 0.9 * spec.tracking_e1 >= 0.02 * 1.2


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"accel": 1.2}, ["accel"]),
        ({"brake": 1.2}, ["brake"]),
        ({"turn_brake": 2.0}, ["turn_brake"]),
        ({"latency": 0.12}, ["latency"]),
        ({"age": 0.2}, ["age"]),
        ({"way": (2.5, 2.0)}, ["odometry"]),
        ({"error": np.array([0.01, 0.08])}, ["tracking"]),
        ({"brake": float("nan"), "error": None, "end": None}, []),
    ],
)
def test_a_run_that_breaks_a_bound_is_told_by_its_name(change: dict[str, object], broken: list[str]) -> None:
    bounds = fit_tracking(fit_bounds(runs()), runs())
    assert exceptions(runs(1, **change)[0], bounds) == broken


def test_a_planted_robot_is_calibrated_by_the_command_and_its_files_are_read_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    words = ["calibrate", "--planted", "3", "--coverage", "0.8", "--confidence", "0.8", "--output", "out"]
    assert cli.main(words) == 0
    assert "Is this my robot? Yes, until" in capsys.readouterr().out
    planted = draw_likeness(RobotSpec(), 3)
    found, spec = read_spec(tmp_path / "out" / "robot.yaml"), planted.spec.diff
    assert found.spec.diff.wheel_radius == pytest.approx(spec.wheel_radius, rel=0.02)
    assert found.spec.diff.track == pytest.approx(spec.track, rel=0.02)
    assert found.spec.diff.brake_min < spec.brake_min * 1.04  # 3 % larger wheels brake 3 % harder
    assert found.spec.diff.accel_max > spec.accel_max
    assert planted.answer < found.spec.latency_bound < planted.answer + 0.09
    assert found.sources["drive.brake_min"].startswith("measured: muster calibrate")
    changes = read_changes(tmp_path / "out" / "ranges.yaml", plant_table(found.spec))
    assert {change.name for change in changes} == set(found.randomization)
    written = read_record(tmp_path / "out" / "calibration.yaml")
    assert written.embodiment == found.spec.embodiment_hash()
    assert written.coverage >= 0.8
    assert not faults(written, found.spec, written.floor, datetime.now(UTC), 0.8)
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "calibration.yaml").read_bytes() == (tmp_path / "out" / "calibration.yaml").read_bytes()


def test_a_blocked_beam_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["calibrate", "--blocked-deg", "20"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("muster: expected every beam of the lidar to see, rays ")
    assert "clean the window" in said[-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--coverage", "1"], "--coverage: expected a share from 0.5 up and below 1, got 1"),
        (["--confidence", "nan"], '--confidence: expected a number, got "nan"'),
        (["--speed", "-1"], "--speed: expected 0.1 to 20 m/s, or 0 for its own, got -1"),
        (["--days", "0"], "--days: expected 0.01 to 3650 days"),
        (["--blocked-deg", "400"], "--blocked-deg: expected 0 to 360 degrees"),
        (["--spec", "none.yaml"], "cannot read none.yaml"),
        (["--site", "nowhere.map"], "nowhere.map"),
        (["--output", "/proc"], "--output: cannot write to /proc"),
        (["--name", "a\nb"], '--name: expected at most 64 printable characters, got "a\\nb"'),
        (["--name", "x" * 65], "--name: expected at most 64 printable characters"),
        (["--days", "1e-300"], "--days: expected 0.01 to 3650 days"),
        (["--output", "nowhere"], "--output: expected a folder that is there, got nowhere"),
        (["--planted", "-1"], "expected"),
        (["--seed", "1.5"], "--seed: expected a whole number"),
    ],
)
def test_a_wrong_command_line_is_one_line(refused: Callable[..., str], arguments: list[str], expected: str) -> None:
    assert expected in refused("calibrate", *arguments)
