from __future__ import annotations

import numpy as np
import pytest

from agents.errors import TrainingError
from agents.navigation import EVALUATION, HELD_OUT, LANES, TRAINING, make_lanes, training_task
from sim.generate import generate_campus


def test_half_of_the_training_worlds_are_under_the_shield() -> None:
    lanes = make_lanes(training_task(), TRAINING + 1, 8, seed=1, shielded=True)
    assert [lane.filter is not None for lane in lanes] == [False, True]
    assert [lane.rows for lane in lanes] == [4, 4]
    lanes = make_lanes(training_task(), TRAINING + 1, 8, seed=1, shielded=False)
    assert [lane.filter is not None for lane in lanes] == [False, False]


def test_lanes_live_different_lives_on_different_floors() -> None:
    one, two = make_lanes(training_task(), TRAINING + 1, 8, seed=1, shielded=False)
    assert one.site.hash != two.site.hash
    assert not np.array_equal(one.reset(), two.reset())


@pytest.mark.parametrize("worlds", [0, 1, 7])
def test_worlds_that_cannot_be_shared_out_are_refused(worlds: int) -> None:
    with pytest.raises(TrainingError, match="in pairs"):
        make_lanes(training_task(), TRAINING + 1, worlds, seed=1, shielded=True)


def test_floors_of_the_three_ranges_differ() -> None:
    hashes = {generate_campus(first + 1).hash for first in (TRAINING, HELD_OUT, EVALUATION)}
    assert len(hashes) == 3
    assert LANES == 2
