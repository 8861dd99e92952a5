"""What the doctor says of a computer's clocks."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleet.checkup.clock import ClockFacts, check, kernel_state, look
from fleet.checkup.finding import Verdict

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
WELL = ClockFacts(100, 0, 2e-5, NOW, True, 0.002, tuple([1e-4] * 99 + [0.004]))


def verdicts(facts: ClockFacts) -> dict[str, Verdict]:
    return {each.name: each.verdict for each in check(facts) if each.verdict is not Verdict.OK}


def test_a_kept_clock_and_punctual_wake_ups_are_well() -> None:
    assert verdicts(WELL) == {}


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("monotonic", replace(WELL, backwards=1)),
        ("monotonic", replace(WELL, resolution=4_000_000)),
        ("date", replace(WELL, wall=3600.0)),
        ("wall clock", replace(WELL, step=0.5)),
        ("wall clock", replace(WELL, step=-0.0011)),
        ("wake-ups", replace(WELL, late=tuple([1e-4] * 98 + [0.006] * 2))),
        ("wake-ups", replace(WELL, late=tuple([1e-4] * 99 + [0.021]))),
    ],
)
def test_a_planted_fault_is_named_with_what_to_do(name: str, facts: ClockFacts) -> None:
    assert verdicts(facts) == {name: Verdict.MEND}
    (fault,) = [each for each in check(facts) if each.verdict is Verdict.MEND]
    assert fault.expected
    assert fault.remedy


@pytest.mark.parametrize("facts", [replace(WELL, synchronised=False, error=math.nan), replace(WELL, error=0.2)])
def test_a_clock_that_nobody_keeps_is_worth_a_note_as_one_computer_drives_without(facts: ClockFacts) -> None:
    assert verdicts(facts) == {"synchronised": Verdict.NOTE}


def test_a_slewed_clock_and_one_late_wake_up_in_a_hundred_are_well() -> None:
    assert verdicts(replace(WELL, step=0.0009, late=tuple([1e-4] * 99 + [0.019]))) == {}


def test_this_computers_clocks_are_looked_at_in_bounded_time() -> None:
    facts = look(waits=5, period=0.001)
    assert 0 < facts.resolution < 1_000_000
    assert facts.backwards == 0
    assert len(facts.late) == 5
    assert all(late >= 0.0 for late in facts.late)
    assert abs(facts.wall - datetime.now(UTC).timestamp()) < 60.0


def test_the_kernel_is_asked_without_being_changed() -> None:
    synchronised, error = kernel_state()
    assert synchronised in (True, False, None)
    assert math.isnan(error) or error >= 0.0
    assert kernel_state()[0] == synchronised
