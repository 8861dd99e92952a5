"""Running mean and variance, merged batch by batch, and the normalisation that they give.

The merge of two samples (n_a, mean_a, M2_a) and (n_b, mean_b, M2_b), with d = mean_b - mean_a and n = n_a + n_b, is
that of Chan, Golub and LeVeque (1979):

    mean = mean_a + d n_b / n
    M2   = M2_a + M2_b + d^2 n_a n_b / n

Moments are kept in float64, because a count of 10^7 float32 samples stops growing. They are updated between
rollouts, never within one: every observation of a rollout is normalised by the same numbers when it is acted on and
when it is learned from.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8
"""Added to the variance: a feature that never varies (a field that is always 0) gives 0, not a division by 0."""

CLIP = 10.0
"""Normalised values are clipped to this many standard deviations: a feature seen for the first time stays finite."""


class Moments:
    """Count, mean and sum of squared deviations of each feature; owns these three float64 tensors."""

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.mean = torch.zeros(size, dtype=torch.float64, device=device)
        self.squares = torch.zeros(size, dtype=torch.float64, device=device)

    def update(self, batch: Tensor) -> None:
        """Merge samples (..., size)."""
        samples = batch.reshape(-1, self.mean.shape[0]).to(torch.float64)
        n_b = samples.shape[0]
        mean_b = samples.mean(0)
        squares_b = ((samples - mean_b) ** 2).sum(0)
        n = self.count + n_b
        shift = mean_b - self.mean
        self.mean = self.mean + shift * (n_b / n)
        self.squares = self.squares + squares_b + shift**2 * (self.count * n_b / n)
        self.count = n

    @property
    def variance(self) -> Tensor:
        """Population variance of each feature; 1 before two samples came: (size,), float64."""
        if self.count < 2:
            return torch.ones_like(self.squares)
        return self.squares / self.count

    def shift_scale(self) -> tuple[Tensor, Tensor]:
        """(mean, 1 / sqrt(variance + epsilon)) as float32, for `normalize`."""
        return self.mean.to(torch.float32), (1.0 / torch.sqrt(self.variance + EPSILON)).to(torch.float32)

    def state(self) -> dict[str, Tensor]:
        """Everything that `load` needs."""
        return {"count": self.count.clone(), "mean": self.mean.clone(), "squares": self.squares.clone()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a saved state."""
        self.count = state["count"].to(self.count)
        self.mean = state["mean"].to(self.mean)
        self.squares = state["squares"].to(self.squares)


def normalize(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """clip((values - mean) scale, -CLIP, CLIP): (..., size), (size,), (size,) -> (..., size)."""
    return ((values - mean) * scale).clamp_(-CLIP, CLIP)
