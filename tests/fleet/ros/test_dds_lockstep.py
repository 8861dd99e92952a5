"""The parts of the benchmark dds_lockstep: what counts as a difference, and what is started. And it in small."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

STEPS = {("r0", 0): (b"\x01", b"\x02"), ("r0", 1): (b"\x03", b"\x04"), ("r1", 0): (b"\x05", b"\x06")}


@pytest.fixture(scope="module")
def lockstep(root: Path) -> Iterator[types.ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield importlib.import_module("dds_lockstep")


def test_equal_runs_do_not_differ(lockstep: types.ModuleType) -> None:
    assert lockstep.compare(STEPS, dict(STEPS)) == (0, 3, "")


def test_a_planted_difference_and_a_missing_step_are_found(lockstep: types.ModuleType) -> None:
    other = {**STEPS, ("r0", 1): (b"\x03", b"\x07")}
    del other["r1", 0]
    count, compared, first = lockstep.compare(STEPS, other)
    assert (count, compared) == (2, 3)
    assert first == "r1, cycle 0: [5, 6] / missing"


def test_both_fleets_are_told_the_same_but_for_their_wire(lockstep: types.ModuleType) -> None:
    busfleet = importlib.import_module("busfleet")
    zmq, dds = (busfleet.commands(busfleet.Fleet(wire), Path("home"), {}) for wire in ("zmq", "dds"))
    assert zmq.keys() == dds.keys() == {"plant", "coordinator", "host-0", "host-1"}
    for name, words in dds.items():
        assert words[words.index("--bus") + 1] == "dds"
        told = words[: words.index("--bus")]
        assert zmq[name][: len(told)] == told


@pytest.mark.slow
def test_a_fleet_over_dds_decides_bit_for_bit_what_it_decides_over_zeromq(lockstep: types.ModuleType) -> None:
    pytest.importorskip("cyclonedds", reason="Cyclone DDS's binding is missing: pip install 'muster[ros]'")
    (figure,) = lockstep.measure(quick=True)
    assert figure.value == 0
    assert figure.rival_value == 200
