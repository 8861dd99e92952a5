from __future__ import annotations

import numpy as np
import torch

from agents.normalize import CLIP, Moments, normalize


def test_moments_of_batches_are_numpys_moments_of_all() -> None:
    generator = np.random.default_rng(1)
    batches = [generator.normal(3.0, 2.0, (size, 4)).astype(np.float32) for size in (5, 1, 300, 17)]
    moments = Moments(4)
    for batch in batches:
        moments.update(torch.from_numpy(batch))
    samples = np.concatenate(batches).astype(np.float64)
    np.testing.assert_allclose(moments.mean.numpy(), samples.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance.numpy(), samples.var(0), rtol=1e-10)
    assert moments.count.item() == len(samples)


def test_large_offsets_do_not_drown_the_variance() -> None:
    samples = 1e6 + np.random.default_rng(2).normal(0.0, 0.5, (4000, 1))
    moments = Moments(1)
    for part in np.array_split(samples, 40):
        moments.update(torch.from_numpy(part))
    np.testing.assert_allclose(moments.variance.numpy(), samples.var(0), rtol=1e-6)


def test_normalised_samples_have_mean_0_and_deviation_1() -> None:
    samples = torch.from_numpy(np.random.default_rng(3).normal(-7.0, 0.3, (5000, 3)).astype(np.float32))
    moments = Moments(3)
    moments.update(samples)
    seen = normalize(samples, *moments.shift_scale())
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(seen.std(0), torch.ones(3), atol=1e-3, rtol=0.0)


def test_feature_that_never_varied_stays_finite() -> None:
    moments = Moments(1)
    moments.update(torch.zeros(100, 1))
    seen = normalize(torch.tensor([[0.0], [1.0]]), *moments.shift_scale())
    assert seen[:, 0].tolist() == [0.0, CLIP]


def test_first_rollout_is_seen_as_it_is() -> None:
    seen = normalize(torch.tensor([[0.5, -0.25]]), *Moments(2).shift_scale())
    torch.testing.assert_close(seen, torch.tensor([[0.5, -0.25]]))
