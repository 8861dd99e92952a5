"""Each planted fault is seen by its test (tests/benchmarks/planted_faults.py)."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_planted_fault_bites(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(root / "tests" / "benchmarks"), *sys.path])
    planted = importlib.import_module("planted_faults")
    assert len(planted.FAULTS) == 12
    assert {fault.name: planted.outcome(fault.test) for fault in planted.FAULTS} == dict.fromkeys(
        (fault.name for fault in planted.FAULTS), "passed"
    )
    assert {fault.name: planted.outcome(fault.test, fault) for fault in planted.FAULTS} == dict.fromkeys(
        (fault.name for fault in planted.FAULTS), "failed"
    )


@pytest.mark.slow
def test_a_test_that_fails_over_something_else_has_caught_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(root / "tests" / "benchmarks"), *sys.path])
    planted = importlib.import_module("planted_faults")
    (fault,) = (fault for fault in planted.FAULTS if fault.name == "captured graph keeps an old pointer")
    assert planted.outcome(fault.test, replace(fault, says="another complaint")) == "failed otherwise"
    assert planted.caught(fault)
    assert not planted.caught(replace(fault, says="another complaint"))
