"""What both training commands read by the same functions: device, ranges from a file, curriculum."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import agents.navigation
import agents.trainer
from agents.errors import TrainingError
from agents.evaluation import Evaluation, HeldOut
from agents.policy import Policy
from fleet import cli
from fleet.hierarchy_train import PLANAR, Config, train_motor, train_navigate
from fleet.learning import check_ranges, device_named, make_curriculum, telling, varied
from fleet.levels import motor_task, planar_task, wheel_task
from fleet.metrics import TrainingMetrics
from fleet.rundir import create_run, read_record
from sim.bodies.specs import CAR
from sim.driving.env import RoadConfig
from sim.driving.motor import MotorConfig
from sim.env import BatchEnv
from sim.errors import MusterError
from sim.robot import Lidar, RobotSpec
from sim.specfile import SpecFile, write_spec
from sim.tasks.navigate import NavigateConfig
from sim.tasks.track import TrackConfig

FILE = "muster: 1\nrows:\n  friction: {low: 0.5, high: 0.6}\n  wheel_radius: {high: 0.01}\n  stall_share: {high: 0.5}\n"
LAUNCHES = ("warehouse_train", "hierarchy_train")


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    path = tmp_path / "ranges.yaml"
    path.write_text(FILE)
    return path


def test_each_level_takes_the_rows_that_it_has(ranges: Path) -> None:
    motor, planar, wheels = (make(str(ranges), RobotSpec()).table() for make in (motor_task, planar_task, wheel_task))
    for table in (motor, planar, wheels):
        assert (table.row("friction").low, table.row("friction").high) == (0.5, 0.6)
    assert motor.row("wheel_radius").high == wheels.row("wheel_radius").high == 0.01
    assert planar.row("stall_share").high == wheels.row("stall_share").high == 0.5
    assert {row.name for row in motor}.isdisjoint({"stall_share"})
    assert {row.name for row in planar}.isdisjoint({"wheel_radius"})


def test_without_a_file_a_task_stays_as_it_is() -> None:
    task = NavigateConfig()
    assert varied(task, "") is task


@pytest.mark.parametrize("task", [NavigateConfig(), RoadConfig(), MotorConfig(), motor_task("", RobotSpec())])
def test_in_a_nominal_task_nothing_varies(task: RoadConfig) -> None:
    check_ranges("nominal")
    table = varied(task, "nominal").table()
    assert not [row.name for row in table if row.varies]
    assert [row.name for row in task.table()] == [row.name for row in table]
    for row in task.table():
        if row.nominal is not None:
            assert table.row(row.name).low == row.nominal


def test_a_nominal_car_has_dry_tyres_nobody_in_it_and_senses_without_errors() -> None:
    table = varied(RoadConfig(), "nominal").table()
    said = {row.name: row.low for row in table}
    assert (said["tyre_friction"], said["payload"], said["latency"]) == (0.9, 0.0, 0.0)
    assert said["sensed_objects_range_noise"] == said["sensed_miss"] == said["steer_lag"] == 0.0
    assert said["sensed_latency"] == pytest.approx(0.075)


@pytest.mark.parametrize("command", ["train", "hierarchy"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("muster: 1\nrows:\n  frictoin: {low: 0.5}\n", 'line 3: rows: unknown key "frictoin"; did you mean "friction"'),
        ("muster: 1\nrows:\n  payload: {high: 300}\n", "line 3: payload: high: expected a number from 0 to 40 kg"),
    ],
)
def test_ranges_that_cannot_be_are_one_line_and_exit_code_2(
    command: str, text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(text)
    assert cli.main([command, "--randomization", str(path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--randomization: " in line
    assert words in line
    assert not (tmp_path / "out").exists()


def test_a_row_of_another_level_alone_is_no_row_of_navigates_training(ranges: Path, tmp_path: Path) -> None:
    with pytest.raises(MusterError, match='unknown key "wheel_radius"'):
        varied(NavigateConfig(), str(ranges))
    path = tmp_path / "bad.yaml"
    path.write_text("muster: 1\nrows:\n  wheel_radius: {high: 7}\n")
    with pytest.raises(MusterError, match="wheel_radius: high: expected a number"):
        motor_task(str(path), RobotSpec())


@pytest.mark.parametrize("command", ["train", "hierarchy"])
@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:99", "cpu:1"])
def test_a_device_that_is_not_there_is_one_line_and_exit_code_2(
    command: str, device: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main([command, "--device", device, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'--device: expected device cpu, or cuda where there is one, got "{device}"; train on cpu' in line
    assert not (tmp_path / "out").exists()


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(TrainingError, match="expected device cpu, or cuda where there is one"):
        device_named("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_named(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda:0", "cuda:1"]


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_launch_names_its_own_argument(name: str, root: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["launch", str(root / "launch" / f"{name}.launch.yaml"), "device:=cuda:99"]) == 2
    assert "device:=cuda:99: expected device cpu, or cuda" in capsys.readouterr().err


def test_no_curriculum_is_asked_for_by_its_name() -> None:
    assert make_curriculum("none", []) is None


def test_each_level_is_for_the_robot_that_is_named_with_the_rays_of_its_task() -> None:
    robot = RobotSpec(name="depot7", mass=75.0, lidar=Lidar(rays=720))
    assert motor_task("", RobotSpec()) == TrackConfig(), "the default robot changes nothing"
    assert planar_task("", RobotSpec()).spec == NavigateConfig().spec
    for task, usual in (
        (motor_task("", robot), TrackConfig()),
        (planar_task("", robot), NavigateConfig()),
        (wheel_task("", robot), NavigateConfig()),
    ):
        assert (task.spec.name, task.spec.mass) == ("depot7", 75.0)
        assert (task.spec.lidar, task.spec.period) == (usual.spec.lidar, usual.spec.period)


@pytest.mark.parametrize("command", ["train", "hierarchy"])
def test_a_robot_that_cannot_be_trained_for_is_one_line_and_exit_code_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    car, out = tmp_path / "car.yaml", tmp_path / "out"
    write_spec(car, SpecFile(CAR))
    for file, said in ((tmp_path / "none.yaml", "cannot read"), (car, "expected a differential drive, got a car's")):
        assert cli.main([command, "--spec", str(file), "--out", str(out)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    assert not out.exists()


@pytest.mark.slow
def test_levels_learn_from_the_ranges_that_they_were_given(ranges: Path, tmp_path: Path) -> None:
    small = Config(worlds=16, motor_steps=512, planar_steps=2048, wheel_steps=512, episodes=2)
    config = replace(small, randomization=str(ranges), curriculum="success")
    (tmp_path / "motor").mkdir()
    (tmp_path / "navigate").mkdir()
    metrics = TrainingMetrics()
    train_motor(config, tmp_path, 60.0, metrics)
    train_navigate(config, tmp_path, 120.0, metrics)
    steps = {"motor": 512, "planar": 2048, "navigate": 512}
    served = {
        level: metrics.registry.get_sample_value("muster_training_steps_total", {"level": level}) for level in steps
    }
    assert served == steps
    motor = Policy.load(tmp_path / "motor").manifest["training"]
    told = {change["name"]: change for change in motor["task"]["randomization"]["changes"]}
    assert (told["friction"]["low"], told["friction"]["high"]) == (0.5, 0.6)
    assert motor["diverged"] == 0
    for place in (tmp_path / "navigate" / PLANAR, tmp_path / "navigate"):
        curve = [json.loads(line) for line in (place / "train.jsonl").read_text().splitlines()]
        # hardly an episode has succeeded: the range stands at its end next to the nominal 0.9
        assert curve[-1]["range_friction_low"] == curve[-1]["range_friction_high"] == pytest.approx(0.9)
        assert curve[-1]["curriculum"] == 0.0


class Counted:
    """How a trainer looks to who tells how its steps run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.simulation: tuple[str, ...] = ("graph on cuda:0: captured at the second step",)


def test_how_steps_run_is_told_once_and_kept_when_it_is_settled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, seen = create_run(tmp_path), []
    trainer = Counted(run.root / "motor")
    tell = telling(trainer, "motor", seen.append)  # type: ignore[arg-type]  # all that it asks of a trainer
    trainer.simulation = ("graph on cuda:0: none, the capture failed: no memory",)
    for number in range(3):
        tell(number)  # type: ignore[arg-type]  # of progress nothing is read here
    assert seen == [0, 1, 2]
    assert capsys.readouterr().out == "simulation: graph on cuda:0: none, the capture failed: no memory\n"
    assert read_record(run)["simulation_motor"] == list(trainer.simulation)
    telling(Counted(tmp_path), "motor", seen.append)(3)  # type: ignore[arg-type]  # no run's directory: told, kept nowhere


@pytest.mark.slow
def test_a_capture_that_fails_in_training_is_told_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Warp's CPU device, which captures as CUDA does: the physics refuses the second step, and training goes on."""
    from sim.warp_backend import WarpBackend

    class Uncapturable(WarpBackend):
        steps = 0

        def step(self, substeps: int = 1) -> None:
            self.steps += 1
            if self.steps == 6:  # five motor periods each
                raise RuntimeError("cannot be captured")
            super().step(substeps)

    def make(*args: Any, backend: object = None, **options: Any) -> BatchEnv:  # of BatchEnv
        return BatchEnv(*args, **options, backend=lambda scene, worlds: Uncapturable(scene.model, worlds, "cpu"))

    monkeypatch.setattr(agents.navigation, "BatchEnv", make)
    # as on a device: a capture takes in what another thread launches
    monkeypatch.setattr(agents.trainer, "ThreadPoolExecutor", lambda max_workers, **rest: ThreadPoolExecutor(1, **rest))
    monkeypatch.setattr(HeldOut, "check", lambda *_: Evaluation(1, 0.0, 0.0, 1.0, float("nan"), 0.0))
    run = create_run(tmp_path)
    code = cli.main(["train", "--steps", "1", "--worlds", "4", "--check-episodes", "1", "--out", str(run.root)])
    assert code == 1
    line = "graph on cpu: none, the capture failed: cannot be captured"
    assert f"simulation: {line}" in capsys.readouterr().out
    assert read_record(run)["simulation_navigate"] == [line]
    assert Policy.load(run.root).manifest["training"]["simulation"] == [line]
