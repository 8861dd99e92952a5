"""`--spec FILE`: a robot specification is what plant, robots and evaluation drive, and a launch hands it to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet import plant, robot
from fleet.evaluate import Witness
from fleet.launchfile import read_plan
from hierarchy.motor import FIRMWARE, MotorError, motor_hash
from sim.files import FileError
from sim.generate import generate_campus
from sim.robot import DiffDrive, RobotSpec
from sim.specfile import Range, SpecError, SpecFile, named_spec, write_spec
from tests.fleet.hand_policy import write_hand_policy

HEAVY = RobotSpec(name="heavy", mass=75.0)


def written(directory: Path, spec: RobotSpec) -> str:
    path = directory / "robot.yaml"
    write_spec(path, SpecFile(spec))
    return str(path)


def test_no_name_is_the_default_robot() -> None:
    assert named_spec("").spec == RobotSpec()


def test_a_plant_refuses_a_specification_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*none\.yaml"):
        plant.check(plant.Config(spec=str(tmp_path / "none.yaml")))
    (tmp_path / "robot.yaml").write_text("muster: 1\nrobot:\n  mass: -1\n")
    with pytest.raises(SpecError, match=r"robot\.yaml, line 3: robot: mass: expected a number from 5"):
        plant.check(plant.Config(spec=str(tmp_path / "robot.yaml")))


def test_a_plant_looks_at_the_robot_that_it_is_given(tmp_path: Path) -> None:
    long = RobotSpec(length=1.6)
    with pytest.raises(plant.PlantError, match=r"--cell: expected cells of 1\.7"):
        plant.check(plant.Config(spec=written(tmp_path, long), robots="r0"))


def test_a_robot_needs_the_policy_and_the_motor_of_its_specification(tmp_path: Path) -> None:
    write_hand_policy(tmp_path, HEAVY)
    config = robot.Config(policy=tmp_path, spec=written(tmp_path, HEAVY))
    robot.check(config)
    with pytest.raises(Exception, match="they differ in embodiment"):
        robot.check(replace(config, spec=""))
    # the firmware of a refit brakes otherwise: the shield's tracking bound was not measured with it
    brisk = replace(HEAVY, drive=DiffDrive(brake_min=1.7))
    with pytest.raises(MotorError, match="its drive law or its parameters are others"):
        robot.check(replace(config, spec=written(tmp_path, brisk)))


def test_wheels_that_the_firmware_is_wrong_about_are_another_motor() -> None:
    assert motor_hash(RobotSpec()) == FIRMWARE
    same = RobotSpec(drive=DiffDrive(firmware_track=0.42, firmware_wheel_radius=0.08))
    assert motor_hash(same) == FIRMWARE
    worn = RobotSpec(drive=DiffDrive(wheel_radius=0.078, firmware_wheel_radius=0.08))
    assert motor_hash(worn) != FIRMWARE


def test_an_evaluation_drives_the_robot_and_the_floors_of_the_file() -> None:
    friction = Range(0.5, 0.6, "1", "measured: here")
    drive = replace(RobotSpec().drive, accel_max=0.7)
    content = SpecFile(RobotSpec(name="mine", drive=drive), {"friction": friction})
    witness = Witness(generate_campus(5, blocks=(2, 2)), "no_shield", 8, 3, content, "wheeled")
    env = witness.environment
    env.reset()
    assert env.spec.name == "mine"
    assert env.plant.scene.body == "wheeled"
    drawn = env.state.friction.numpy()
    assert drawn.min() >= 0.5
    assert drawn.max() <= 0.6


def test_a_launch_hands_the_file_to_plant_and_robots(root: Path) -> None:
    plan = read_plan(root / "launch" / "warehouse.launch.yaml", {"spec": "mine.yaml", "robots": "2"}, {})
    words = {process.name: process.command for process in plan.processes}
    for name in ("plant", "host-0", "host-1"):
        at = words[name].index("--spec")
        assert words[name][at + 1] == "mine.yaml"
    assert "--spec" not in words["coordinator"]
