"""What kernels draw, in numpy: the same bits in the same float32 operations (sim/vary.py), another hand's writing."""

import numpy as np
from numpy.typing import NDArray

from sim.randomization import draw_numpy, unit_numpy
from sim.vary import Row, Table


def between_numpy(row: Row, bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The same as `between`, in numpy, for the row's own range; equal bit for bit but for log_uniform (1e-6)."""
    low, high, share = np.float32(row.low), np.float32(row.high), unit_numpy(bits)
    two, half = np.float32(2.0), np.float32(0.5)
    if row.distribution == "choice":
        many = np.uint64(int(high - low) + 1)
        return low + ((bits.astype(np.uint64) * many) >> np.uint64(32)).astype(np.float32)
    if row.distribution == "bernoulli":
        return (share < half * (low + high)).astype(np.float32)
    if low == high:
        return np.full(bits.shape, low, np.float32)
    if row.distribution == "normal":
        parts = [((bits >> np.uint32(shift)) & np.uint32(1023)).astype(np.float32) for shift in (0, 10, 20)]
        curve = (parts[0] + parts[1] + parts[2] - np.float32(1534.5)) * np.float32(2.0 / 1024.0)
        return np.clip(half * (low + high) + (high - low) / np.float32(6.0) * curve, low, high)
    if row.distribution == "log_uniform":
        return np.clip(low * np.exp(share * np.log(high / low)), low, high)
    if low + high == 0.0:
        return high * (two * share - np.float32(1.0))
    return low + (high - low) * share


def values_numpy(
    table: Table, seed: int, row: int | NDArray[np.integer], episode: int | NDArray[np.integer]
) -> dict[str, NDArray[np.float32]]:
    """What `draw_episode` gives without a curriculum, by the row's name; robots' rows and episodes broadcast."""
    return {
        each.name: between_numpy(each, draw_numpy(seed, int(each.term), row, episode, each.counter))
        for each in table
        if each.drawn
    }
