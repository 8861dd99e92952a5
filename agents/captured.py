"""One gradient step of PPO on buffers that never move, so that CUDA replays it as a graph.

Queueing a gradient step of two small networks costs about a hundred launches; on a GPU their queueing takes longer than
their work. Here everything that a step reads or writes stays where it is: the batch is copied into buffers once per
update, `chosen` names the minibatch's rows, and what the host would decide is a tensor: the divergence, the learning
rate that follows it (`agents/ppo.py`), the scale that clips gradients, Adam's step count. So a step never looks back to
the host, and the whole of it is one graph:

    g    = grad L(minibatch)                        d  = KL(old || new)            rate <- rate / 1.5, rate, rate * 1.5
    g   <- g min(1, bound / (|g| + 1e-6))
    m   <- b1 m + (1 - b1) g                        v  <- b2 v + (1 - b2) g^2
    p   <- p - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)                (Kingma, Ba 2015)

Adam's moments are those of the learner's own optimiser, so that checkpoints are the same. Without CUDA the same code
runs plainly, which is how it is tested; threads then cannot share a minibatch, so CPU training does not use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from agents.distributions import gaussian_entropy, gaussian_kl, gaussian_log_prob
from agents.losses import clipped_surrogate, ppo, value_error
from agents.networks import ActorCritic

if TYPE_CHECKING:
    from agents.ppo import PpoConfig

WARM_UP = 3
"""Plain steps before a capture, as torch's manual asks for: libraries allocate what they need; they are undone."""


class Batch(NamedTuple):
    """An iteration's samples."""

    observation: Tensor
    """Normalised, (samples, observation)"""
    action: Tensor
    """(samples, action)"""
    mean: Tensor
    """Of the policy that collected, (samples, action)"""
    log_prob: Tensor
    """(samples,)"""
    advantage: Tensor
    """(samples,)"""
    target: Tensor
    """(samples,)"""


class CapturedUpdate:
    """Owns the buffers of one size of batch and, on CUDA, the graph of one gradient step."""

    def __init__(self, config: PpoConfig, network: ActorCritic, optimiser: torch.optim.Adam, samples: int) -> None:
        """Buffers for `samples` samples."""
        self.samples = samples
        self._config, self._network = config, network
        self._parameters = list(network.parameters())
        device = network.log_std.device
        inputs, outputs = _sizes(network)

        def floats(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        self.batch = Batch(
            floats(samples, inputs), floats(samples, outputs), floats(samples, outputs), floats(samples),
            floats(samples), floats(samples),
        )  # fmt: skip
        self.chosen = torch.zeros(samples // config.minibatches, dtype=torch.int64, device=device)
        """Rows of the coming step's minibatch."""
        self.rate = torch.zeros((), dtype=torch.float64, device=device)
        """Learning rate."""
        self._old_log_std, self._desired = floats(outputs), floats()
        self._totals = torch.zeros(4, dtype=torch.float64, device=device)
        self._steps, self._first, self._second = _adam_state(optimiser, self._parameters)
        self._betas, self._eps = optimiser.param_groups[0]["betas"], optimiser.param_groups[0]["eps"]
        self._graph: torch.cuda.CUDAGraph | None = None
        self.reason = "" if device.type == "cuda" else f"{device.type} has no graphs"
        """Why a step is not replayed; empty where it is, or will be at the first step."""

    def begin(self, batch: Batch, old_log_std: Tensor, desired: float, rate: float) -> None:
        """An iteration's samples, the divergence that is desired of its steps (nats), the rate to go on with."""
        self.rate.fill_(rate)
        for buffer, values in zip(self.batch, batch, strict=True):
            buffer.copy_(values)
        self._old_log_std.copy_(old_log_std)
        self._desired.fill_(desired)
        self._totals.zero_()

    def step(self, chosen: Tensor) -> None:
        """One gradient step on the chosen rows, (samples / minibatches,); only queued on a device."""
        self.chosen.copy_(chosen)
        if self._graph is None and not self.reason:
            self._capture()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._step()

    def totals(self) -> Tensor:
        """Sums over the iteration's steps: policy loss, value loss, entropy, divergence; float64 (4,) on the host."""
        return self._totals.cpu()

    def _step(self) -> None:
        config, network = self._config, self._network
        observation, action, old_mean, old_log_prob, advantage, target = (
            buffer.index_select(0, self.chosen) for buffer in self.batch
        )
        mean, log_std = network.mean(observation), network.log_std
        log_prob = gaussian_log_prob(action, mean, log_std)
        policy = clipped_surrogate(log_prob, old_log_prob, advantage, config.clip)
        value = value_error(network.value(observation), target)
        entropy = gaussian_entropy(log_std)
        gradients = torch.autograd.grad(
            ppo(policy, value, entropy, config.value_weight, config.entropy_weight), self._parameters
        )
        with torch.no_grad():
            divergence = gaussian_kl(old_mean, self._old_log_std, mean, log_std).mean()
            self._adapt(divergence)
            self._adam(gradients)
            self._totals += torch.stack((policy, value, entropy, divergence)).to(torch.float64)

    def _adapt(self, divergence: Tensor) -> None:
        low, high = self._config.rate_bounds
        slower, faster = (self.rate / 1.5).clamp(min=low), (self.rate * 1.5).clamp(max=high)
        timid = (divergence > 0.0) & (divergence < 0.5 * self._desired)
        self.rate.copy_(torch.where(divergence > 2.0 * self._desired, slower, torch.where(timid, faster, self.rate)))

    def _adam(self, gradients: tuple[Tensor, ...]) -> None:
        b1, b2 = self._betas
        norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
        scale = (self._config.gradient_norm / (norm + 1e-6)).clamp(max=1.0)
        rate = self.rate.to(torch.float32)
        for parameter, gradient, count, first, second in zip(
            self._parameters, gradients, self._steps, self._first, self._second, strict=True
        ):
            clipped = gradient * scale
            count += 1.0
            first.lerp_(clipped, 1.0 - b1)
            second.mul_(b2).addcmul_(clipped, clipped, value=1.0 - b2)
            corrected = (second / (1.0 - b2**count)).sqrt() + self._eps
            parameter -= rate * (first / (1.0 - b1**count)) / corrected

    def _capture(self) -> None:
        changed = [*self._parameters, *self._steps, *self._first, *self._second, self.rate, self._totals]
        with torch.no_grad():
            before = [tensor.clone() for tensor in changed]
        try:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._step()
            self._graph = graph
        except RuntimeError as error:
            torch.cuda.synchronize()
            self.reason = f"the capture failed: {' '.join(str(error).split())}"
        with torch.no_grad():
            for tensor, values in zip(changed, before, strict=True):
                tensor.copy_(values)


def _sizes(network: ActorCritic) -> tuple[int, int]:
    first = next(module for module in network.actor if isinstance(module, torch.nn.Linear))
    return first.in_features, network.log_std.shape[0]


def _adam_state(
    optimiser: torch.optim.Adam, parameters: list[torch.nn.Parameter]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The optimiser's own step counts and moments, made where it has not stepped yet."""
    for parameter in parameters:
        state = optimiser.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    states = [optimiser.state[parameter] for parameter in parameters]
    return tuple([state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq"))  # type: ignore[return-value]  # three of them
