"""PPO over choices among a few offered things: the network, its update, and its frozen graph.

Observations hold `tasks` places of `features` numbers each (the first says whether the place is taken), then `context`
numbers; the answer is one of the places or "none of them" (the last). The network scores every place by the same
weights, so that the order of an offer means nothing, and adds a fixed prior, the rule that it starts from:

    h_k = tanh(A o_k + B c + a)     g_k = tanh(H h_k + h)     logit_k = prior_k + w g_k
    logit_none = prior_none + v tanh(C c + D mean_k g_k + e)

Decisions last different times (semi-Markov), and the reward of each is already what it gained over the average in its
time (`fleet/legs.py`). All robots of a world are one player: advantages are generalised advantage estimates
(`agents/returns.py`) along the world's decisions, whoever takes them. Along each robot's own decisions the policy
learned to leave its fellows the long ways, and the fleet delivered less than by the rule that it began with (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from agents.export import IR_VERSION, OPSET
from agents.learned import Arrays, learned_arrays, load_learned
from agents.losses import clipped_surrogate, ppo, value_error
from agents.normalize import Moments, normalize
from agents.returns import gae

FORBIDDEN = -1e9
"""Logit of what cannot be chosen: its probability is exactly 0 in float32."""


class Worlds(Protocol):
    """What is learned in: `worlds` decisions at a time."""

    worlds: int
    can: NDArray[np.bool_]
    """What can be chosen now, (worlds, tasks + 1)"""

    def step(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Carry answers out: the next observations and the rewards; each (worlds, ...)."""
        ...


@dataclass(frozen=True)
class Shape:
    """What an observation is made of."""

    tasks: int
    features: int
    context: int


@dataclass(frozen=True)
class ChoiceConfig:
    """What the learner can be told."""

    hidden: int = 32
    horizon: int = 64
    """Decisions of each world in one iteration"""
    epochs: int = 3
    minibatch: int = 4096
    gamma: float = 0.95
    """Of one decision of a world's: a horizon of twenty, about the tasks that wait"""
    lam: float = 0.9
    clip: float = 0.2
    learning_rate: float = 1e-3
    """The first; it falls to a tenth over the iterations"""
    entropy_weight: float = 0.001
    gradient_norm: float = 1.0


class ChoiceNetwork(nn.Module):
    """Logits and value; `prior` gives the logits that it starts from, as the last layers start at zero."""

    def __init__(self, shape: Shape, hidden: int, prior: Prior, generator: torch.Generator) -> None:
        super().__init__()
        self.shape, self.prior = shape, prior
        size = shape.tasks * shape.features + shape.context
        self.place = nn.Linear(shape.features, hidden)
        self.context = nn.Linear(shape.context, hidden, bias=False)
        self.deep = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.pooled = nn.Linear(hidden, hidden, bias=False)
        self.fleet = nn.Linear(shape.context, hidden)
        self.none = nn.Linear(hidden, 1)
        self.critic = nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gain=1.0, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for last in (self.score, self.none):
            nn.init.zeros_(last.weight)

    def logits(self, observation: Tensor) -> Tensor:
        """(rows, observation) -> (rows, tasks + 1)."""
        shape = self.shape
        tasks, context = observation.split([shape.tasks * shape.features, shape.context], dim=-1)
        tasks = tasks.reshape(-1, shape.tasks, shape.features)
        hidden = torch.tanh(self.place(tasks) + self.context(context)[:, None, :])
        deep = torch.tanh(self.deep(hidden))
        pooled = (deep * tasks[..., :1]).mean(1)
        none = self.none(torch.tanh(self.fleet(context) + self.pooled(pooled)))
        learned = torch.cat([self.score(deep).squeeze(-1), none], dim=-1)
        return learned + torch.cat([tasks @ self.prior.tasks, context @ self.prior.context + self.prior.none], dim=-1)

    def value(self, observation: Tensor) -> Tensor:
        """(rows, observation) -> (rows,), in units of the return normaliser."""
        return self.critic(observation).squeeze(-1)


class Prior(NamedTuple):
    """A linear rule: logits of the places, and of none."""

    tasks: Tensor
    """(features,)"""
    context: Tensor
    """(context, 1)"""
    none: float


class ChoiceLosses(NamedTuple):
    """Means over one update."""

    policy: float
    value: float
    entropy: float
    reward: float
    """Mean reward of a decision"""


class _Batch(NamedTuple):
    observation: Tensor
    can: Tensor
    chosen: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor


def log_probabilities(logits: Tensor, can: Tensor) -> Tensor:
    """Of each answer, where only some can be given: (..., answers), (..., answers) bool -> (..., answers)."""
    return torch.log_softmax(torch.where(can, logits, torch.full_like(logits, FORBIDDEN)), dim=-1)


def entropy_of(log_probs: Tensor) -> Tensor:
    """H = - sum p log p, where what cannot be chosen adds nothing: (..., answers) -> (...)."""
    return -(log_probs.exp() * log_probs.clamp(min=FORBIDDEN)).sum(-1)


class ChoiceLearner:
    """Owns network, optimiser, the targets' normaliser and the dice."""

    def __init__(self, config: ChoiceConfig, shape: Shape, prior: Prior, seed: int) -> None:
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.network = ChoiceNetwork(shape, config.hidden, prior, self.generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5)
        self.target_moments = Moments(1)

    def iterate(
        self, worlds: Worlds, observation: NDArray[np.float32], progress: float
    ) -> tuple[NDArray[np.float32], ChoiceLosses]:
        """Collect one rollout and learn from it; `progress` in [0, 1] is how much of the training is over."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * (1.0 - 0.9 * progress)
        observation, batch, reward = self._collect(worlds, observation)
        totals, count = torch.zeros(3), 0
        for _ in range(self.config.epochs):
            order = torch.randperm(len(batch.advantage), generator=self.generator)
            for part in order.split(self.config.minibatch):
                totals += self._learn(_Batch(*(column[part] for column in batch)))
                count += 1
        policy, value, entropy = (totals / count).tolist()
        return observation, ChoiceLosses(policy, value, entropy, reward)

    def act(self, observation: NDArray[np.float32], can: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The deterministic answers."""
        with torch.no_grad():
            logits = self.network.logits(torch.from_numpy(observation))
        return np.where(can, logits.numpy(), -np.inf).argmax(axis=1)

    def state(self) -> Arrays:
        """Everything that `load` needs to go on exactly, as arrays."""
        return learned_arrays(self.network, self.optimiser, {"target": self.target_moments}, self.generator)

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from `state`; KeyError or RuntimeError where it was of another learner."""
        load_learned(state, self.network, self.optimiser, {"target": self.target_moments}, self.generator)

    def _collect(self, worlds: Worlds, observation: NDArray[np.float32]) -> tuple[NDArray[np.float32], _Batch, float]:
        steps = self.config.horizon
        seen, cans, chosen, log_prob, reward, value = ([] for _ in range(6))
        with torch.no_grad():
            for _ in range(steps):
                rows, can = torch.from_numpy(observation), torch.from_numpy(worlds.can.copy())
                log_probs = log_probabilities(self.network.logits(rows), can)
                drawn = torch.multinomial(log_probs.exp(), 1, generator=self.generator)
                seen.append(rows)
                cans.append(can)
                chosen.append(drawn[:, 0])
                log_prob.append(log_probs.gather(1, drawn)[:, 0])
                value.append(self.network.value(rows))
                observation, gained = worlds.step(drawn[:, 0].numpy())
                reward.append(gained)
            last = self.network.value(torch.from_numpy(observation))
        mean, scale = (float(part) for part in self.target_moments.shift_scale())
        values = torch.stack([*value, last]) / scale + mean
        rewards = torch.from_numpy(np.stack(reward)).float()
        never = torch.zeros(rewards.shape, dtype=torch.bool)
        config = self.config
        found = gae(rewards, values[:-1], values[1:], never, never, config.gamma, config.lam)
        target, advantage = found.target.reshape(-1), found.advantage.reshape(-1)
        self.target_moments.update(target[:, None])
        batch = _Batch(
            torch.cat(seen),
            torch.cat(cans),
            torch.cat(chosen),
            torch.cat(log_prob),
            (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            normalize(target, *self.target_moments.shift_scale()),
        )
        return observation, batch, float(rewards.mean())

    def _learn(self, part: _Batch) -> Tensor:
        config = self.config
        log_probs = log_probabilities(self.network.logits(part.observation), part.can)
        log_prob = log_probs.gather(1, part.chosen[:, None])[:, 0]
        policy = clipped_surrogate(log_prob, part.log_prob, part.advantage, config.clip)
        value = value_error(self.network.value(part.observation), part.target)
        entropy = entropy_of(log_probs).mean()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(ppo(policy, value, entropy, 0.5, config.entropy_weight))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm)
        self.optimiser.step()
        return torch.stack((policy, value, entropy)).detach()


def choice_graph(network: ChoiceNetwork) -> onnx.ModelProto:
    """The logits as a graph: `observation` (rows, n) -> `action` (rows, tasks + 1), operator by operator."""
    shape = network.shape
    split = shape.tasks * shape.features
    constants: dict[str, NDArray[np.generic]] = {
        "first": np.array([0], np.int64),
        "middle": np.array([split], np.int64),
        "end": np.array([split + shape.context], np.int64),
        "columns": np.array([1], np.int64),
        "places": np.array([-1, shape.tasks, shape.features], np.int64),
        "last": np.array([2], np.int64),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "prior_tasks": _numbers(network.prior.tasks[:, None]),
        "prior_context": _numbers(network.prior.context),
        "prior_none": np.array(network.prior.none, np.float32),
    }
    nodes: list[onnx.NodeProto] = []

    def node(kind: str, name: str, *inputs: str, **attributes: Any) -> str:  # ONNX's own
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def linear(name: str, layer: nn.Linear, value: str) -> str:
        constants[f"{name}_weight"] = _numbers(layer.weight.T)
        node("MatMul", f"{name}_product", value, f"{name}_weight")
        if layer.bias is None:
            return f"{name}_product"
        constants[f"{name}_bias"] = _numbers(layer.bias)
        return node("Add", f"{name}_sum", f"{name}_product", f"{name}_bias")

    node("Slice", "flat", "observation", "first", "middle", "columns")
    node("Slice", "context", "observation", "middle", "end", "columns")
    node("Reshape", "tasks", "flat", "places")
    node("Unsqueeze", "context_rows", linear("context", network.context, "context"), "one")
    node("Add", "both", linear("place", network.place, "tasks"), "context_rows")
    node("Tanh", "hidden", "both")
    node("Tanh", "deep", linear("deep", network.deep, "hidden"))
    node("Slice", "taken", "tasks", "zero", "one", "last")
    node("Mul", "counted", "deep", "taken")
    node("ReduceMean", "pool", "counted", axes=[1], keepdims=0)
    node("Add", "fleet_both", linear("fleet", network.fleet, "context"), linear("pooled", network.pooled, "pool"))
    node("Tanh", "fleet_hidden", "fleet_both")
    node("MatMul", "prior_none_product", "context", "prior_context")
    node("Add", "prior_none_sum", "prior_none_product", "prior_none")
    node("Add", "none_logit", linear("none", network.none, "fleet_hidden"), "prior_none_sum")
    node("MatMul", "prior_tasks_product", "tasks", "prior_tasks")
    node("Add", "score_rows", linear("score", network.score, "deep"), "prior_tasks_product")
    node("Squeeze", "task_logits", "score_rows", "last")
    node("Concat", "action", "task_logits", "none_logit", axis=1)
    graph = helper.make_graph(
        nodes,
        "muster choice",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["rows", split + shape.context])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["rows", shape.tasks + 1])],
        [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="muster")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _numbers(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy().astype(np.float32)
