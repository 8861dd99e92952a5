"""`muster driving-train`: levels one on the other, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.errors import TrainingError
from agents.policy import Policy
from fleet.driving_train import LEVELS, Config, check, train_levels
from fleet.drivinglevels import read_levels
from fleet.metrics import TrainingMetrics
from hierarchy.curriculum import ChainError
from sim.driving.contract import OBSERVATION
from sim.vary import VaryError

SMALL = Config(steps=1e-4, worlds=8, roads=2, traffic=4)


def test_each_level_is_frozen_on_those_below_and_left_alone_when_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_levels(SMALL, tmp_path, TrainingMetrics(), 120.0)
    hashes = read_levels(tmp_path)
    assert tuple(hashes) == LEVELS
    for level in ("lane", "manoeuvre"):
        last = json.loads((tmp_path / level / "train.jsonl").read_text().splitlines()[-1])
        assert 0.0 <= last["held_out_at_fault"] <= last["held_out_collisions"] <= 1.0
        assert {"held_out_speed", "held_out_ttc", "held_out_ttc_short", "held_out_jerk"} <= last.keys()
        assert ("held_out_completion" in last) == (level == "manoeuvre")
    policy = Policy.load(tmp_path / "manoeuvre")
    assert policy.act(np.zeros((3, OBSERVATION), np.float32)).shape == (3, 3)
    capsys.readouterr()
    train_levels(SMALL, tmp_path, TrainingMetrics(), 120.0)
    said = capsys.readouterr().out
    assert all(f"{level} is frozen already" in said for level in LEVELS)
    assert read_levels(tmp_path) == hashes
    manifest = tmp_path / "manoeuvre" / "policy.json"
    values = json.loads(manifest.read_text())
    values["training"]["below"]["lane"] = "0" * 64
    manifest.write_text(json.dumps(values))
    with pytest.raises(ChainError, match="train manoeuvre again"):
        read_levels(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0.0}, "--steps"),
        ({"worlds": 3}, "--worlds"),
        ({"traffic": -1}, "--traffic"),
        ({"roads": 0}, "--roads"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"device": "tpu"}, "--device"),
    ],
)
def test_what_cannot_be_is_one_line(change: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=said) as caught:
        check(replace(SMALL, **change))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_row_that_nothing_has_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text("muster: 1\nrows:\n  tyre_frction: {low: 0.8, high: 0.9}\n")
    with pytest.raises(VaryError, match="tyre_friction"):
        check(replace(SMALL, randomization=str(file)))
