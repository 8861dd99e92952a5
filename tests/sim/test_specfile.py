"""Robot specifications: sources, checks and files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from sim import battery, sensorspec
from sim.battery import Battery, truck_battery
from sim.bodies.specs import CAR, FORKLIFT, MANIPULATOR, akin, amr, car, forklift
from sim.bodies.specs import mobile_manipulator as manipulator
from sim.files import FileError
from sim.robot import SOURCES, Ackermann, DiffDrive, RobotSpec, WrongDriveError
from sim.sensorspec import DepthCamera, full_suite
from sim.sources import NAMED, fault, scripts
from sim.specfile import (
    BOUNDS,
    CAR_BOUNDS,
    Range,
    SpecError,
    SpecFile,
    check_spec,
    known_sources,
    leaves,
    read_spec,
    write_spec,
)

NUMBERS = {name for name in leaves(asdict(RobotSpec())) if name != "name"}
FORK, ARM = forklift().fork, manipulator().arm
assert FORK is not None
assert ARM is not None


ROBOTS: dict[str, tuple[RobotSpec, Mapping[str, str]]] = {
    make().name: (make(), {**SOURCES, **own})
    for make, own in ((amr, {}), (forklift, FORKLIFT), (manipulator, MANIPULATOR))
}
ROBOTS["car"] = (car(), akin(car())[1])
TABLES: dict[str, tuple[dict[str, Any], Mapping[str, str]]] = {
    **{name: (asdict(spec), sources) for name, (spec, sources) in ROBOTS.items()},
    "battery": (asdict(Battery()), battery.SOURCES),
    "truck_battery": (asdict(truck_battery()), battery.TRUCK_SOURCES),
    "sensors": (asdict(full_suite()) | {"depth": asdict(DepthCamera())}, sensorspec.SOURCES),
}
"""All that we ship with numbers, as nested mappings, and their sources by dotted name."""


def numbers(values: Mapping[str, Any]) -> set[str]:
    """Dotted names of what is a number, or some: a zero of a sensor is a fault or a delay that is off."""
    found = set()
    for name, value in leaves(values).items():
        several = value if isinstance(value, (tuple, list)) else (value,)
        if all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in several):
            found.add(name)
    return found


@pytest.mark.parametrize("table", TABLES)
def test_every_number_has_a_source_of_a_datasheet_a_norm_or_a_measurement(table: str) -> None:
    values, sources = TABLES[table]
    off = {name for name, value in leaves(values).items() if value in (0, (0.0, 0.0))} if table == "sensors" else set()
    assert numbers(values) - off <= set(sources)
    assert {name for name, source in sources.items() if fault(source)} == set()
    assert set(sources) <= set(leaves(values)), "a source for a number that there is not"


@pytest.mark.parametrize("table", TABLES)
def test_a_source_that_names_a_file_names_one_that_is_there(table: str) -> None:
    root = Path(__file__).resolve().parents[2]
    for name, source in TABLES[table][1].items():
        for script in scripts(source):
            assert (root / script).is_file(), f"{name}: {script}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("design: a bound that we set, with its reason", "expected it to begin with one of datasheet, norm, measured"),
        ("datasheet", "expected it to begin with one of"),
        ("datasheet: [MP500]", "expected what was taken from where"),
        ("datasheet: the usual size of such motors' encoders", "expected a datasheet by its name in brackets"),
        ("datasheet: [MP501] drives by 1.5 m/s at most", "got 'MP501'; enter it there"),
        ("norm: [MP500] drives by 1.5 m/s at most", "expected a norm by its name in brackets"),
        ("measured: kept by twelve thousand stops", "expected a measured by its name in brackets"),
    ],
)
def test_a_source_that_shows_nothing_is_a_fault(source: str, expected: str) -> None:
    assert expected in fault(source)
    assert fault("datasheet: [MP500] drives by 1.5 m/s at most") == ""
    assert fault("measured: kept by twelve thousand stops (tests/benchmarks/tracking_error.py)") == ""


def test_no_document_is_kept_that_no_source_names() -> None:
    said = " ".join(source for _, sources in TABLES.values() for source in sources.values())
    said += " ".join(path.read_text() for path in (Path(__file__).resolve().parents[2] / "sim").rglob("*.py"))
    for documents in NAMED.values():
        for name in documents:
            assert f"[{name}]" in said, name


def test_derived_numbers_are_what_their_sources_give() -> None:
    truck, picker = forklift(), manipulator()
    assert truck.fork is not None
    assert picker.arm is not None
    # the least cup, to 5 mm, whose pull at 60 % vacuum is 1.5 times 5 kg: sqrt(4 x 1.5 x 49.05 / (pi 60,795)) = 39.3 mm
    assert 0.035 < (4 * 1.5 * 5.0 * 9.81 / (math.pi * 0.6 * 101_325)) ** 0.5 < picker.arm.cup == 0.040
    assert picker.drive.track == pytest.approx(0.592 - 0.085)
    assert picker.mass > 70.1294 + 2 * 4.3542 + sum(picker.arm.masses) + 4.0
    assert picker.length / 2 + picker.arm.tote_at[0] - 0.15 == pytest.approx(0.0415)
    assert truck.length == pytest.approx(1.15 + 0.482 + 0.260, abs=0.01)
    assert truck.drive.track == pytest.approx(0.80 - 0.085 - 0.015)
    assert truck.fork.lowered + truck.fork.height > 2 * 0.144 + 0.122
    assert truck.drive.speed_max * truck.drive.turn_max < 0.34 * 0.225 * 9.81
    assert truck.drive.accel_max < 0.25 * 0.225 * 9.81
    assert truck.drive.brake_min < 0.225 * 9.81
    assert picker.drive.speed_max * picker.drive.turn_max < 0.375 * 9.81
    assert pytest.approx(Battery().resistance, rel=0.03) == 16 * 18e-3 / 5 + 20e-3
    assert Battery().efficiency < 0.825 * 0.88


def test_a_robot_shares_only_the_sources_of_numbers_that_it_shares() -> None:
    heavier = replace(forklift(), name="heavier", mass=900.0)
    found = known_sources(heavier)
    assert "mass" not in found
    assert found["fork.reach"] == FORKLIFT["fork.reach"]
    assert found["lidar.rays"] == SOURCES["lidar.rays"]


def test_every_number_has_bounds() -> None:
    assert set(BOUNDS) == NUMBERS - {"fork", "arm"}
    assert set(CAR_BOUNDS) == {name for name in leaves(asdict(CAR)) if name.startswith("drive.")}
    check_spec(RobotSpec())


def test_the_default_embodiment_is_what_it_always_was() -> None:
    # policies and grants are bound to it: of commit f585d8f
    assert RobotSpec().embodiment_hash() == "06866bd7f614c7fc8b552b0a9318df0f424f20a66ed254c46fed85f0fb94aec8"
    assert replace(RobotSpec(), drive=DiffDrive(firmware_track=0.43)).embodiment_hash() != RobotSpec().embodiment_hash()
    assert forklift().embodiment_hash() == "1ab5231f584173c6d8d960a163d46858b6e11b57633df1fbbda253e24d6f65df"
    assert manipulator().embodiment_hash() == "57ff60a982285e72b1517e4cc70fdf9a8dfe93b99e5081b085aa77da9d93b58c"


def test_a_robot_has_one_kind_of_drive_and_says_so() -> None:
    assert RobotSpec().diff == DiffDrive()
    assert CAR.car == Ackermann()
    with pytest.raises(WrongDriveError, match="'car': expected a differential drive, got a car's"):
        _ = CAR.diff
    with pytest.raises(WrongDriveError, match="'amr': expected a car's drive, got a differential one"):
        _ = RobotSpec().car


def test_the_circle_around_base_link_covers_the_footprint() -> None:
    assert RobotSpec().radius == pytest.approx(0.40)
    assert CAR.middle == pytest.approx(2.25 - 0.90)
    assert CAR.radius == pytest.approx(math.hypot(3.60, 0.90))  # base_link is the rear axle's middle


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (RobotSpec(mass=-3.0), "mass: expected a number from 5 to 100000, got -3"),
        (RobotSpec(mass=float("nan")), "mass: expected a number from 5 to 100000, got nan"),
        (RobotSpec(drive=DiffDrive(track=0.0)), "drive.track: expected a number from 0.01 to 10, got 0"),
        (
            RobotSpec(drive=DiffDrive(speed_max=float("inf"))),
            "drive.speed_max: expected a number from 0.01 to 20, got inf",
        ),
        (RobotSpec(drive=DiffDrive(firmware_track=-1.0)), "drive.firmware_track: expected a number from 0.01"),
        (
            RobotSpec(period=110_000_000),
            "period: expected a multiple of motor_period (20000000 ns), got 110000000 ns; take",
        ),
        (RobotSpec(motor_period=17_000_000), "motor_period: expected a multiple of 5000000 ns"),
        (RobotSpec(drive=DiffDrive(track=0.9)), "drive.track: expected wheels under the hull, got 0.9 m"),
        (RobotSpec(drive=DiffDrive(reverse_max=2.0)), "drive.reverse_max: expected at most speed_max (1.5 m/s), got 2"),
        (RobotSpec(name=""), "name: expected a name"),
        (replace(CAR, drive=Ackermann(brake_min=0.0)), "drive.brake_min: expected a number from 0.5 to 12, got 0"),
        (RobotSpec(drive=Ackermann()), "drive.wheelbase: expected both axles under the hull, got 2.7 m with"),
        (replace(CAR, drive=Ackermann(brake_comfort=7.0)), "drive.brake_comfort: expected at most brake_min (6 m/s^2)"),
        (replace(CAR, fork=FORK), "drive: expected a car without fork and arm"),
        (replace(forklift(), fork=replace(FORK, speed=-0.1)), "fork.speed: expected a number from 0.0001"),
        (replace(manipulator(), arm=replace(ARM, torques=(1.0, 2.0, 3.0, 4.0, 0.0))), "arm.torques: expected"),
    ],
)
def test_an_impossible_robot_is_refused_in_one_line(spec: RobotSpec, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_spec(spec)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_written_specification_is_read_back(tmp_path: Path) -> None:
    spec = RobotSpec(
        name="depot7", mass=71.5, drive=DiffDrive(track=0.417, wheel_radius=0.0834, firmware_wheel_radius=0.08)
    )
    lag = Range(0.018, 0.026, "s", "measured: twelve logs")
    write_spec(tmp_path / "spec.yaml", SpecFile(spec, {"motor_lag": lag}, {"mass": "measured: a scale"}))
    back = read_spec(tmp_path / "spec.yaml")
    assert back.spec == spec
    assert back.spec.embodiment_hash() == spec.embodiment_hash()
    assert back.randomization == {"motor_lag": lag}
    assert back.sources["mass"] == "measured: a scale"
    assert back.sources["lidar.rays"] == SOURCES["lidar.rays"]


@pytest.mark.parametrize("spec", [forklift(), manipulator(), CAR])
def test_forks_arms_and_cars_are_read_back_too(tmp_path: Path, spec: RobotSpec) -> None:
    write_spec(tmp_path / "spec.yaml", SpecFile(spec))
    assert read_spec(tmp_path / "spec.yaml").spec == spec


def test_what_a_file_leaves_out_is_the_default_robot(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("muster: 1\nrobot:\n  drive:\n    track: 0.40\n")
    assert read_spec(tmp_path / "spec.yaml").spec == RobotSpec(drive=DiffDrive(track=0.40))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("robot: {}\n", 'line 1: expected "muster: 1" as the first key'),
        ("muster: 1\n", 'the key "robot" is missing'),
        ("muster: 1\nrobot:\n  mas: 3\n", 'line 3: robot: unknown key "mas"; did you mean "mass"?'),
        ("muster: 1\nrobot:\n  drive:\n    trac: 3\n", 'robot: drive: unknown key "trac"; did you mean "track"?'),
        (
            "muster: 1\nrobot:\n  length: 4.5\n  drive:\n    wheelbase: 2.7\n    reverse_max: 1.0\n",
            'line 6: robot: drive: unknown key "reverse_max"',
        ),
        (
            "muster: 1\nrobot:\n  drive: {wheelbase: 2.7}\n",
            "robot: drive.wheelbase: expected both axles under the hull",
        ),
        ("muster: 1\nrobot:\n  mass: -60\n", "line 3: robot: mass: expected a number from 5 to 100000, got -60"),
        ("muster: 1\nrobot:\n  mass: heavy\n", 'line 3: robot: mass: expected a number, got "heavy"'),
        ("muster: 1\nrobot:\n  mass: .nan\n", "line 3: robot: mass: expected a number"),
        ("muster: 1\nrobot:\n  period: 0.1\n", "robot: period: expected a whole number"),
        ("muster: 1\nrobot:\n  lidar: [1]\n", "robot: lidar: expected the keys"),
        (
            "muster: 1\nrobot: {mass: 60}\nrandomization:\n  lag: {low: 2, high: 1, unit: s, source: me}\n",
            "randomization: lag: high: expected a number of at least 2",
        ),
        (
            "muster: 1\nrobot: {mass: 60}\nsources:\n  drive.trak: me\n",
            'unknown key "drive.trak"; did you mean "drive.track"?',
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        read_spec(tmp_path / "spec.yaml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*none\.yaml"):
        read_spec(tmp_path / "none.yaml")
