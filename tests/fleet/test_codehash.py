"""The hash of the code: it covers what decides, and changes with it."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.codehash import START, code_hash, reached


def test_everything_that_decides_is_in_the_hash() -> None:
    names = reached(START).keys()
    deciding = {
        "fleet.control",
        "hierarchy.meta",
        "hierarchy.controller",
        "safety.shield",
        "safety.monitors",
        "safety.supervisor",
        "sim.robot",
        "sim.tasks.navigate_contract",
        "agents.policy",
        "coordination.messages",
    }
    assert deciding <= names
    assert not {"fleet.robot", "fleet.replay", "coordination.coordinator", "sim.env"} & names


def test_all_that_is_loaded_of_ours_is_in_it() -> None:
    """An oracle that shares nothing with the walk over the sources: what a fresh interpreter has loaded."""
    code = "import fleet.control, sys; print(*sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    roots = ("agents", "coordination", "fleet", "hierarchy", "safety", "sim")
    loaded = {name for name in output.split() if name.split(".")[0] in roots and "." in name}
    assert loaded - {"sim.tasks", "fleet.guards"} <= reached(START).keys()


def test_a_changed_line_far_down_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read = functools.cache(Path.read_bytes)  # the same bytes throughout, whoever edits them meanwhile
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path))
    code_hash.cache_clear()
    before = code_hash()
    assert len(before) == 64
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path.name == "dynamics.py" else b""))
    code_hash.cache_clear()
    try:
        assert code_hash() != before
        monkeypatch.setattr(Path, "read_bytes", lambda path: read(path))
        code_hash.cache_clear()
        assert code_hash() == before
    finally:
        code_hash.cache_clear()
