"""The road's shield in the whole world: drives that want out of their lanes, and how campaigns keep them."""

from __future__ import annotations

import importlib
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def drives(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("drives")


def faults(records: list[dict]) -> list[dict]:
    return [c for record in records for c in record["contacts"] if c["class"] == "AT_FAULT"]


def test_whoever_steers_at_random_stays_in_the_bends_of_a_town(drives: types.ModuleType) -> None:
    batch = drives.Batch("test", 0, "random", "kinematic", True, 3, 32, 160)
    records = drives.play(batch)
    assert not faults(records)
    assert max(record["outside"] for record in records) < 0.1
    assert max(record["over"] for record in records) == 0
    assert np.mean([record["metres"] for record in records]) > 20.0
    without = drives.play(replace(batch, shielded=False))
    assert max(record["outside"] for record in without) > 0.5  # there was something to keep


def test_an_interrupted_campaign_goes_on_without_what_it_has(
    drives: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, out = drives.Campaign("test", ("lane", "random"), 7), tmp_path / "drives.jsonl"
    played: list[int] = []

    def play(batch: object) -> list[dict]:
        played.append(batch.number)  # type: ignore[attr-defined]
        return [
            {"number": batch.number, "shielded": True, "row": row, "worlds": batch.worlds, "contacts": [],  # type: ignore[attr-defined]
             "endings": {}}
            for row in range(batch.worlds)  # type: ignore[attr-defined]
        ]  # fmt: skip

    monkeypatch.setattr(drives, "play", play)
    drives.run(campaign, 350, out)
    assert played == [0, 1, 2, 3]
    text = out.read_text(encoding="utf-8").splitlines()
    assert len(text) == 350
    out.write_text("\n".join(text[:250]) + '\n{"number": 2, "ro', encoding="utf-8")  # cut off within the third batch
    drives.run(campaign, 350, out)
    assert played[4:] == [2, 3]
    whole = drives.complete(drives.read_lines(out))
    assert sorted(len(rows) for rows in whole.values()) == [50, 100, 100, 100]


def test_the_bound_is_that_of_clopper_and_pearson(drives: types.ModuleType) -> None:
    assert drives.upper_95(0, 20_000) == pytest.approx(1.0 - 0.05 ** (1.0 / 20_000))
    assert drives.upper_95(1, 100) == pytest.approx(0.0466, abs=1e-4)
    assert drives.upper_95(3, 3) == 1.0


def test_batches_share_no_seed_and_a_tenth_drives_the_full_body(drives: types.ModuleType) -> None:
    seeds: set[int] = set()
    for campaign in drives.CAMPAIGNS.values():
        found = [b for b in drives.batches(campaign, 20_000) if b.shielded]
        assert sum(b.worlds for b in found) == 20_000
        assert sum(b.worlds for b in found if b.body == "full") == 2_000
        assert not seeds & {b.seed for b in found}
        seeds |= {b.seed for b in found}
