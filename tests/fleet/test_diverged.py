"""A world that blows up in a real training: that episode ends, it is counted, kept, and relived at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.policy import Policy
from fleet import cli
from fleet.report import write_report
from fleet.rundir import create_run
from sim import plant
from sim.backend import Backend, BatchBackend
from sim.diverged import FILES
from sim.scene import Scene

WORLD = 3


def unstable(scene: Scene, worlds: int, threads: int, device: str) -> Backend:
    """As the plant makes it, but one world of each lane pushes whatever moves on, faster and faster."""
    assert device == "cpu"
    backend = BatchBackend(scene.model, worlds, threads=threads)
    damping = np.tile(scene.model.dof_damping, (worlds, 1))
    damping[WORLD : WORLD + 1, :2] = -2800.0  # tests/sim/test_diverged.py says why
    backend.set_field("dof_damping", damping)
    return backend


def test_a_training_survives_a_world_that_blows_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plant, "_physics", unstable)
    run = create_run(tmp_path)
    small = ["--steps", "4000", "--worlds", "32", "--seconds", "60", "--check-episodes", "4"]
    assert cli.main(["train", *small, "--out", str(run.root)]) == 1  # the target is missed, as in so short a training
    said = capsys.readouterr().out
    curve = [json.loads(line) for line in (run.root / "train.jsonl").read_text().splitlines()]
    counted = int(curve[-1]["diverged"])
    assert f"{counted} worlds blew up and ended as diverged: muster diverged {run.root}" in said
    assert f"diverged {counted}" in said
    assert all(np.isfinite(entry["return"]) and np.isfinite(entry["loss_value"]) for entry in curve[1:])
    events = EventAccumulator(str(run.root / "tb"))
    events.Reload()
    assert events.Scalars("train/diverged")[-1].value == counted
    policy = Policy.load(run.root)
    assert policy.manifest["training"]["diverged"] == counted
    assert f"{counted} worlds blew up and ended as diverged" in write_report(run).read_text()
    files = sorted((run.root / "diverged").rglob("*.npz"))
    assert len(files) == 2 * FILES < counted  # two lanes; what is beyond is counted alone
    assert all(path.name.endswith(f"-world{WORLD}.npz") for path in files)
    assert cli.main(["diverged", str(run.root)]) == 0
    played = capsys.readouterr().out.splitlines()
    assert len(played) == len(files)
    assert all("navigate, seed" in line and line.endswith("bit for bit") for line in played)
    assert all("blew up again" in line for line in played)


def test_a_run_without_lost_worlds_has_nothing_to_relive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diverged", str(tmp_path)]) == 2
    assert "no world of this run blew up" in capsys.readouterr().err
