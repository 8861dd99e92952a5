"""Robot specifications: sources, checks and files."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sim.bodies import specs as bodies
from sim.bodies.specs import forklift, mobile_manipulator
from sim.files import FileError
from sim.robot import SOURCES, DiffDrive, RobotSpec
from sim.specfile import BOUNDS, Range, SpecError, SpecFile, check_spec, leaves, read_spec, write_spec

NUMBERS = {name for name in leaves(asdict(RobotSpec())) if name != "name"}
FORK, ARM = forklift().fork, mobile_manipulator().arm
assert FORK is not None
assert ARM is not None
OPTIONAL = {name for name, value in leaves(asdict(RobotSpec())).items() if value is None}


def test_every_number_of_a_robot_has_its_source() -> None:
    assert set(SOURCES) == NUMBERS - OPTIONAL
    for name, source in SOURCES.items():
        kind, _, rest = source.partition(": ")
        assert kind in ("datasheet", "norm", "measured", "design"), name
        assert len(rest) > 12, name


@pytest.mark.parametrize("name", [name for name, text in SOURCES.items() if ".py" in text])
def test_a_source_that_names_a_file_names_one_that_is_there(name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    for word in SOURCES[name].replace(")", " ").replace("(", " ").replace(",", " ").split():
        if word.endswith(".py"):
            assert (root / word).is_file(), f"{name}: {word}"


@pytest.mark.parametrize("function", [forklift, mobile_manipulator])
def test_every_number_of_the_larger_robots_has_its_source_on_its_line(function: Callable[[], RobotSpec]) -> None:
    tree = ast.parse(inspect.getsource(function))
    lines = inspect.getsource(function).splitlines()
    legend = bodies.__doc__ or ""
    named = [(part.arg, part.value) for call in ast.walk(tree) if isinstance(call, ast.Call) for part in call.keywords]
    numbers = [(name, value) for name, value in named if not isinstance(value, (ast.Call, ast.Name))]
    assert len(numbers) > 15
    for name, value in numbers:
        source = lines[(value.end_lineno or 1) - 1].partition("#")[2]
        if name == "name":
            continue
        assert re.search(r"design: .{15,}|measured( \d.*)?: .{15,}|measured \d|as the small AMR", source) or any(
            f"[{word}]" in source and f"[{word}]" in legend for word in re.findall(r"\[([^\]]+)\]", source)
        ), f"{name}: {source}"


def test_every_number_has_bounds() -> None:
    assert set(BOUNDS) == NUMBERS - {"fork", "arm"}
    check_spec(RobotSpec())


def test_the_default_embodiment_is_what_it_always_was() -> None:
    # policies and grants are bound to it: of commit f585d8f
    assert RobotSpec().embodiment_hash() == "06866bd7f614c7fc8b552b0a9318df0f424f20a66ed254c46fed85f0fb94aec8"
    assert replace(RobotSpec(), drive=DiffDrive(firmware_track=0.43)).embodiment_hash() != RobotSpec().embodiment_hash()


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
        (replace(forklift(), fork=replace(FORK, speed=-0.1)), "fork.speed: expected a number from 0.0001"),
        (replace(mobile_manipulator(), arm=replace(ARM, torques=(1.0, 2.0, 3.0, 4.0, 0.0))), "arm.torques: expected"),
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


@pytest.mark.parametrize("spec", [forklift(), mobile_manipulator()])
def test_forks_and_arms_are_read_back_too(tmp_path: Path, spec: RobotSpec) -> None:
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
