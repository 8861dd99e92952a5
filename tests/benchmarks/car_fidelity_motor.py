"""car_fidelity_motor: `car_fidelity` with a frozen motor policy that corrects the firmware, as policies drive.

The shield predicts the firmware, whoever corrects it: what a motor policy adds must stay within the same line. The
trials, predictions and lines are those of `car_fidelity`; the policy is that of the driving policies that benchmarks
share (of a run that MUSTER_BENCH_DRIVING names, else trained briefly). `*_over` is the worst of any stop, along or
across, over the line that the specification states, as a share of it: above 1 the shield's assumption does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from car_fidelity import BODIES, DT, SETTLED, Floats, lines, trials
from drivepolicies import driving_policies
from figure import Figure

from agents.layers import read_layers
from sim.bodies.specs import CAR


def over(along: Floats, across: Floats) -> float:
    """The largest share of the specification's line, of errors (stops, motor periods)."""
    time = DT * (1.0 + np.arange(along.shape[1]))
    ahead = along / (CAR.tracking_e0 + CAR.tracking_e1 * time)
    aside = across / (CAR.tracking_e0 + CAR.tracking_e1 * np.minimum(time, SETTLED))
    return float(max(ahead.max(), aside.max()))


def measure(quick: bool) -> Iterable[Figure]:
    """The line of each body, and whether every stop is within what the specification states."""
    found = trials(quick, read_layers(driving_policies() / "motor"))
    yield from lines(found)
    for body in BODIES:
        along = np.concatenate([each.along[each.holds] for each in found[body]])
        across = np.concatenate([each.across[each.holds] for each in found[body]])
        yield Figure(f"{body}_over", over(along, across), "1", "stops", float(len(along)))
