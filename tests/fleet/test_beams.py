"""The lidar's beams: which see nothing, and how noisy the others are."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.beams import BeamError, blocked_beams, judge_beams

RAYS, FAR = 120, 10.0


def turning(scans: int = 60) -> np.ndarray:
    """Scans of a long room while the robot turns once."""
    angles = 2.0 * np.pi * (np.arange(RAYS)[None] / RAYS + np.arange(scans)[:, None] / scans)
    with np.errstate(divide="ignore"):
        return np.minimum(2.0 / np.abs(np.sin(angles)), 5.0 / np.abs(np.cos(angles)))


def test_a_clean_lidar_has_no_blocked_beam() -> None:
    assert blocked_beams(turning(), FAR) == []


@pytest.mark.parametrize(("rays", "expected"), [(range(30, 41), [(30, 40)]), ([118, 119, 0, 1], [(118, 1)])])
@pytest.mark.parametrize("reads", [FAR, 0.25])
def test_a_sector_that_sees_nothing_or_always_the_same_is_found(
    rays: list[int], expected: list[tuple[int, int]], reads: float
) -> None:
    scans = turning()
    scans[:, list(rays)] = reads
    assert blocked_beams(scans, FAR) == expected


def test_a_room_that_tells_nothing_is_refused() -> None:
    with pytest.raises(BeamError, match="most beams meet nothing"):
        blocked_beams(np.full((60, RAYS), FAR), FAR)
    with pytest.raises(BeamError, match="does not turn, or stands in the middle of something round"):
        blocked_beams(np.full((60, RAYS), 3.0), FAR)


def test_noise_and_dropout_are_those_that_were_put_in() -> None:
    rng = np.random.default_rng(0)
    scans = 3.0 + 0.02 * rng.normal(size=(40, RAYS))
    scans[rng.random(scans.shape) < 0.01] = FAR
    found = judge_beams(scans, FAR, 0.95)
    assert found.noise == pytest.approx(0.024, abs=0.006)  # the largest of 39 estimates
    assert 0.008 < found.dropout < 0.02
