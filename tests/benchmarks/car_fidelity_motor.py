"""car_fidelity_motor: `car_fidelity` with a frozen motor policy that corrects the firmware, as policies drive.

The shield predicts the firmware, whoever corrects it: what a motor policy adds must stay within the same line. The
trials, predictions, lines and `*_over` are those of `car_fidelity`; the policy is that of the driving policies that
benchmarks share (of a run that MUSTER_BENCH_DRIVING names, else trained briefly).
"""

from __future__ import annotations

from collections.abc import Iterable

from car_fidelity import lines, trials
from drivepolicies import driving_policies
from figure import Figure

from agents.layers import read_layers


def measure(quick: bool) -> Iterable[Figure]:
    """The line of each body, and whether every stop is within what the specification states."""
    yield from lines(trials(quick, read_layers(driving_policies() / "motor")))
