"""The parts of dead_man and dds_fleet: what they count, and that they see a fault."""

from __future__ import annotations

import importlib
import json
import os
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def figures(root: Path) -> Iterator[dict[str, types.ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield {name: importlib.import_module(name) for name in ("dead_man", "dds_fleet", "stalls")}


class Puppet:
    """A driver whose robot obeys for a while after it was killed."""

    commanded = False
    killed = 0.0
    closed = 0
    late = 0.0

    def go(self) -> None:
        Puppet.commanded, Puppet.killed = True, 0.0

    def kill(self) -> None:
        Puppet.killed = time.monotonic()

    def close(self) -> None:
        Puppet.closed += 1

    @staticmethod
    def told() -> bool:
        killed = Puppet.killed
        return Puppet.commanded and not (killed and time.monotonic() - killed > Puppet.late)


def test_what_is_measured_is_the_time_from_the_kill_to_the_zero(
    figures: dict[str, types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Puppet, "late", 0.05)
    times = figures["dead_man"].trials(3, Puppet.told, Puppet)
    assert len(times) == 3
    assert all(0.05 <= each < 0.5 for each in times)
    assert Puppet.closed >= 4, "the one that was ready too"


def test_a_robot_that_never_stands_is_a_failure_and_no_figure(
    figures: dict[str, types.ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Puppet, "late", 1e9)
    monkeypatch.setattr(figures["dead_man"], "PATIENCE", 0.2)
    with pytest.raises(RuntimeError, match="did not come to hold"):
        figures["dead_man"].trials(1, Puppet.told, Puppet)


def test_everything_that_was_missed_counts(figures: dict[str, types.ModuleType], tmp_path: Path) -> None:
    robot = {"steps": 100, "missed_deadlines": 0, "skipped_cycles": 0, "errors": 0, "step_seconds": {"p99": 0.002}}
    count = figures["dds_fleet"].misses
    assert count([robot, robot], 0)[:2] == (0, 200)
    for name in ("missed_deadlines", "skipped_cycles", "errors"):
        assert count([robot, {**robot, name: 2}], 0)[0] == 2, name
    (tmp_path / "plant.json").write_text(json.dumps({"late_ticks": 3, "late_spans": [[1.0, 1.2]]}))
    late, spans = figures["dds_fleet"].read_late(tmp_path)
    assert count([robot], late)[0] == 3
    assert spans == [(1.0, 1.2)]


def test_a_stall_explains_a_miss_that_had_been_in_time_without_it_and_no_other(
    figures: dict[str, types.ModuleType],
) -> None:
    stalls = figures["stalls"].Stalls([[(1.0, 1.03)], [(2.0, 2.001)]])
    assert stalls.explain((0.995, 1.035), 0.01)  # 40 ms, of which the machine took 30
    assert not stalls.explain((0.995, 1.036), 0.01)
    assert not stalls.explain((1.02, 1.04), 0.009), "10 ms of the stall lie within, 11 would be needed"
    assert not stalls.explain((1.995, 2.015), 0.01)
    tail = [(0.995, 1.035), (1.005, 1.036), (1.015, 1.037)]
    assert stalls.unexplained([tail, [(1.5, 1.53), (1.51, 1.54)]], 0.01) == 2


def test_the_watchers_see_nothing_of_a_process_that_only_waits_and_tell_of_every_core(
    figures: dict[str, types.ModuleType],
) -> None:
    with figures["stalls"].watched() as stalls:
        time.sleep(0.2)
    assert len(stalls.spans) == len(os.sched_getaffinity(0))
    assert sum(b - a for core in stalls.spans for a, b in core) < 0.4
    assert "the machine stood" in stalls.words()


def test_a_process_is_weighed_by_what_it_alone_holds(figures: dict[str, types.ModuleType]) -> None:
    weight, pid = figures["dds_fleet"].weight, os.getpid()
    before = weight(pid)
    held = bytearray(b"x" * 64_000_000)
    assert weight(pid) - before > 60e6
    assert held
