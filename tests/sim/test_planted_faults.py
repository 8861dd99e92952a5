"""Each planted fault is seen by its test (tests/benchmarks/planted_faults.py)."""

from __future__ import annotations

import importlib
import sys
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
