"""A world that blows up in a real training: that episode ends, it is counted, kept, and relived at the command line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.request import urlopen

import mujoco
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.policy import Policy
from fleet import cli
from fleet.hierarchy_train import PLANAR, Config, train_motor, train_navigate
from fleet.metrics import TrainingMetrics
from fleet.report import write_report
from fleet.rundir import create_run
from hierarchy.curriculum import Comparison
from sim import plant
from sim.backend import Backend, BatchBackend
from sim.lostworlds import FILES
from sim.relive import find_files, replay_diverged

WORLD = 3


def unstable(model: mujoco.MjModel, worlds: int, threads: int, device: str) -> Backend:
    """As the plant makes it, but one world of each lane pushes whatever moves on, faster and faster."""
    assert device == "cpu"
    backend = BatchBackend(model, worlds, threads=threads)
    damping = np.tile(model.dof_damping, (worlds, 1))
    damping[WORLD : WORLD + 1, :2] = -2800.0  # tests/sim/test_diverged.py says why
    backend.set_field("dof_damping", damping)
    return backend


def test_a_training_survives_a_world_that_blows_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plant, "make_backend", unstable)
    run = create_run(tmp_path)
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    small = [
        "--steps",
        "4000",
        "--worlds",
        "32",
        "--seconds",
        "60",
        "--check-episodes",
        "4",
        "--metrics-port",
        str(port),
    ]
    assert cli.main(["train", *small, "--out", str(run.root)]) == 1  # the target is missed, as in so short a training
    said = capsys.readouterr().out
    curve = [json.loads(line) for line in (run.root / "train.jsonl").read_text().splitlines()]
    counted = int(curve[-1]["diverged"])
    assert f"{counted} worlds blew up and ended as diverged: muster diverged {run.root}" in said
    assert f"diverged {counted}" in said
    assert all(np.isfinite(entry["return"]) and np.isfinite(entry["loss_value"]) for entry in curve[1:])
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:  # the page outlives the training by the test
        page = answer.read().decode()
    assert f'muster_training_diverged_worlds_total{{level="navigate"}} {counted:.1f}' in page
    assert f'muster_training_steps_total{{level="navigate"}} {curve[-1]["steps"]:.1f}' in page
    assert 'muster_training_steps_per_second{level="navigate"}' in page
    events = EventAccumulator(str(run.root / "tb"))
    events.Reload()
    assert events.Scalars("train/diverged")[-1].value == counted
    policy = Policy.load(run.root)
    assert policy.manifest["training"]["diverged"] == counted
    assert f"{counted} worlds blew up and ended as diverged" in write_report(run).read_text()
    files = sorted((run.root / "diverged").rglob("*.npz"))
    assert len(files) == 2 * FILES < counted  # two lanes; what is beyond is a line each
    assert all(path.name.endswith(f"-world{WORLD}.npz") for path in files)
    assert cli.main(["diverged", str(run.root)]) == 0
    played = capsys.readouterr().out.splitlines()
    assert len(played) == counted
    assert all("navigate, seed" in line and line.endswith("bit for bit") for line in played)
    assert all("blew up again" in line for line in played)


def test_a_hierarchys_report_says_at_which_level_worlds_blew_up(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    for level, count in (("motor", 0), ("navigate", 1203)):
        (run.root / level).mkdir()
        Comparison(level, "figure", "m/s", 1.0, 1.0, 1.0, "higher", 1).write(run.root / level)
        (run.root / level / "policy.json").write_text(json.dumps({"training": {"diverged": count}}))
    page = write_report(run).read_text()
    assert f"worlds that blew up and ended as diverged: 1,203 (navigate) (muster diverged {run.root.name})" in page


@pytest.mark.slow
def test_worlds_of_a_level_that_blow_up_are_counted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of navigate on the planar body; that on wheels goes on from its policy, and its manifest counts both."""

    def planar_alone(model: mujoco.MjModel, worlds: int, threads: int, device: str) -> Backend:
        on_wheels = model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        return (physics if on_wheels else unstable)(model, worlds, threads, device)

    physics = plant.make_backend
    monkeypatch.setattr(plant, "make_backend", planar_alone)
    metrics, small = (
        TrainingMetrics(),
        Config(worlds=16, motor_steps=512, planar_steps=2048, wheel_steps=512, episodes=2),
    )
    for level, train in (("motor", train_motor), ("navigate", train_navigate)):
        (tmp_path / level).mkdir()
        train(small, tmp_path, 120.0, metrics)
    counted = metrics.registry.get_sample_value("muster_training_diverged_worlds_total", {"level": "planar"})
    assert counted is not None
    assert counted > 0
    assert Policy.load(tmp_path / "navigate").manifest["training"]["diverged"] == counted
    assert Policy.load(tmp_path / "motor").manifest["training"]["diverged"] == 0
    kept = find_files(tmp_path)
    assert {path.parents[2] for path in kept} == {tmp_path / "navigate" / PLANAR}
    assert replay_diverged(kept[0]).faithful


def test_a_run_without_lost_worlds_has_nothing_to_relive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diverged", str(tmp_path)]) == 2
    assert "no world of this run blew up" in capsys.readouterr().err


def test_a_file_that_no_training_kept_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.csv").write_text("t,x\n0,1\n")
    assert cli.main(["diverged", str(tmp_path / "some.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a state that muster kept (.npz), got no archive of arrays" in line
