"""The CUDA benchmarks on Warp's CPU device: the code that will run there, and that a fault in it would be seen."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def load(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`gpu` as the runner imports it, its neighbours beside it."""
    monkeypatch.setattr(sys, "path", [str(root / "tests" / "benchmarks"), *sys.path])
    return importlib.import_module("gpu")


def test_without_a_device_the_ids_stay_open(
    load: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load.wp, "is_cuda_available", lambda: False)
    assert load.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("no CUDA device is at hand")
    assert all(identity in said for identity in load.IDS)


@pytest.mark.slow
def test_the_layer_and_the_rate_are_measured_on_graphs(load: ModuleType) -> None:
    layer, rate = importlib.import_module("gpu_env_layer"), importlib.import_module("gpu_rate")
    env = load.settled(load.make_env("cpu", 8, 1, lidar=True))
    assert env.graph.used
    ours, bare = layer.shares(env, turns=2)
    assert 0.05 < bare / ours < 1.3
    assert rate.rate("cpu", 2, 16, 10, lidar=True) > 10.0


@pytest.mark.slow
def test_parity_holds_and_a_planted_difference_is_seen(load: ModuleType, tmp_path: Path) -> None:
    parity = importlib.import_module("parity")
    path = tmp_path / "recording.npz"
    parity.record(path, worlds=30)
    apart = parity.compare(path, "cpu")
    assert max(apart.step.values()) < load.STEP_BOUND
    assert apart.returns < load.RETURN_BOUND
    changed = dict(np.load(path))
    changed["wheeled_1.after.qvel"] *= 1.0 + 2e-4
    changed["returns"] = changed["returns"] + 0.05 * np.abs(changed["returns"]).mean()
    np.savez(path, **changed)
    apart = parity.compare(path, "cpu")
    assert apart.step["wheeled_1"] > load.STEP_BOUND
    assert apart.returns > load.RETURN_BOUND
