"""What is learned of the baseline: its rates, and how its missions hang together."""

from __future__ import annotations

import msgspec
import pytest

from fleet.judge.history import learn
from fleet.judge.judge import judge
from fleet.judge.settings import Settings, checked
from tests.fleet.judge.worlds import BEGIN, HOUR, missions


def test_rates_are_learned_and_independent_missions_have_a_dispersion_near_one() -> None:
    known = learn(missions(8, hours=24))
    assert known["interventions"].rate == pytest.approx(0.02, rel=0.2)
    assert known["interventions"].missions == 4800
    assert all(1.0 <= of.dispersion < 1.7 for of in known.values())
    assert set(known) == {"interventions", "contacts", "near_misses", "undone", "time", "energy", "latency"}


def test_bursts_are_learned_as_dispersion() -> None:
    bursting = [
        msgspec.structs.replace(one, near_misses=8) if one.shift.endswith(("03", "07")) and one.robot == "c1" else one
        for one in missions(8, hours=12)
    ]
    assert learn(bursting)["near_misses"].dispersion > 4.0


def test_metric_that_never_arrived_is_not_known() -> None:
    known = learn([msgspec.structs.replace(one, energy=None, contacts=None) for one in missions(8, hours=2)])
    assert "energy" not in known
    assert "contacts" not in known


def test_learned_settings_judge() -> None:
    settings = checked(Settings(history=learn(missions(9, hours=24))))
    assert judge(settings, missions(1, candidate=0.06), BEGIN + 24 * HOUR).decision == "rollback"
