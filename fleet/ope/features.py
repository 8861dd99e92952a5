"""What the model of the value sees of a state: one number, the state, its products, hinges and random waves.

Indicator states (rows of zeros and ones) are taken as they are: products of them say nothing new. Everything else is
standardised by the log that the model is fitted on. Hinges are zero below a quantile of one number and rise above it:
what happens below a threshold (a battery) is sharp in one number and nowhere else. Random Fourier features (Rahimi and
Recht, NeurIPS 2007) stand for a Gaussian kernel whose width is the median distance of states; they are drawn by a fixed
seed, so that an estimate can be repeated bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

WAVES = 48
"""Random Fourier features, where there are rows enough to fit them."""
ROWS_PER_WAVE = 40
"""Rows for each of them."""
KNOTS = (0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
"""Quantiles at which hinges rise."""
PRODUCTS = 12
"""Most features of a state of which products are taken."""

Features = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""States (rows, features) to what the model sees, (rows, columns)"""


def make_features(states: NDArray[np.float64]) -> Features:
    """Features fitted on `states` (rows, features)."""
    if np.isin(states, (0.0, 1.0)).all():
        return lambda rows: np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
    middle, spread = states.mean(axis=0), states.std(axis=0)
    used = spread > 1e-9
    width = int(used.sum())
    waves = min(WAVES, len(states) // ROWS_PER_WAVE)
    rng = np.random.default_rng(41)
    some = ((states - middle)[:, used] / spread[used])[rng.permutation(len(states))[:500]]
    scale = np.median(np.linalg.norm(some[:, None] - some[None], axis=-1)) if len(some) > 1 else 1.0
    frequencies = rng.normal(size=(width, waves)) / max(scale, 1e-6)
    phases = rng.uniform(0.0, 2.0 * np.pi, waves)
    first, second = np.triu_indices(width) if width <= PRODUCTS else (np.arange(width), np.arange(width))

    knots = np.quantile(some, KNOTS, axis=0) if width <= PRODUCTS else np.zeros((0, width))

    def features(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        z = np.clip((rows - middle)[:, used] / spread[used], -5.0, 5.0)
        products = z[:, first] * z[:, second]
        hinges = np.maximum(z[:, None, :] - knots, 0.0).reshape(len(rows), -1)
        waved = np.cos(z @ frequencies + phases)
        return np.concatenate([np.ones((len(rows), 1)), z, products, hinges, waved], axis=1)

    return features
