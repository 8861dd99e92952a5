from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from sim.device import start_warp
from sim.randomization import Term, bell, below, draw, draw_numpy, unit, unit_numpy

start_warp()


@wp.kernel
def draw_all(
    seed: int,
    term: int,
    worlds: wp.array(dtype=wp.int32),
    episodes: wp.array(dtype=wp.int32),
    counters: wp.array(dtype=wp.int32),
    out: wp.array(dtype=wp.uint32),
    units: wp.array(dtype=wp.float32),
    bells: wp.array(dtype=wp.float32),
    dice: wp.array(dtype=wp.int32),
) -> None:
    i = wp.tid()
    bits = draw(seed, term, worlds[i], episodes[i], counters[i])
    out[i] = bits
    units[i] = unit(bits)
    bells[i] = bell(bits)
    dice[i] = below(bits, 6)


def launch(seed: int, term: int, worlds: np.ndarray, episodes: np.ndarray, counters: np.ndarray) -> list[np.ndarray]:
    n = len(worlds)
    out = [wp.zeros(n, dtype=kind) for kind in (wp.uint32, wp.float32, wp.float32, wp.int32)]
    keys = [wp.array(part.astype(np.int32), dtype=wp.int32) for part in (worlds, episodes, counters)]
    wp.launch(draw_all, dim=n, inputs=[seed, term, *keys, *out])
    return [each.numpy() for each in out]


@pytest.mark.parametrize("seed", [0, 7, -3, 2**31 - 1])
def test_numpy_and_warp_draw_the_same_bits(seed: int) -> None:
    rng = np.random.default_rng(1)
    worlds, episodes, counters = (rng.integers(-(2**31), 2**31, 5000) for _ in range(3))
    bits, units, _, _ = launch(seed, Term.STALL, worlds, episodes, counters)
    expected = draw_numpy(seed, Term.STALL, worlds, episodes, counters)
    np.testing.assert_array_equal(bits, expected)
    np.testing.assert_array_equal(units, unit_numpy(expected))


def test_draws_never_change() -> None:
    """A recorded run must mean the same tomorrow: these numbers are part of the format."""
    assert [int(draw_numpy(1, Term.PATH, 2, 3, k)) for k in range(3)] == [2036416775, 320166502, 1706001237]


def test_every_argument_matters() -> None:
    base = (5, int(Term.START), 6, 7, 8)
    values = {int(draw_numpy(*base))}
    for k in range(5):
        changed = list(base)
        changed[k] += 1
        values.add(int(draw_numpy(*changed)))
    assert len(values) == 6


def test_neighbouring_keys_are_independent() -> None:
    n = 20_000
    first = unit_numpy(draw_numpy(0, 0, np.arange(n), 0, 0)).astype(np.float64)
    second = unit_numpy(draw_numpy(0, 0, np.arange(n), 0, 1)).astype(np.float64)
    # standard error of a correlation of n pairs is 1 / sqrt(n) = 0.007
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    histogram = np.histogram(first, bins=20, range=(0.0, 1.0))[0]
    chi2 = ((histogram - n / 20) ** 2 / (n / 20)).sum()
    assert chi2 < 43.8  # 0.1 % point of chi-squared with 19 degrees of freedom


def test_the_bell_has_unit_deviation_and_ends_at_three() -> None:
    n = 100_000
    _, _, bells, dice = launch(3, Term.RANGE_NOISE, np.zeros(n), np.zeros(n), np.arange(n))
    assert abs(bells.mean()) < 0.02
    assert bells.std() == pytest.approx(1.0, abs=0.01)
    assert np.abs(bells).max() <= 3.0
    assert set(dice) == set(range(6))
    assert np.bincount(dice).min() > 0.95 * n / 6
