"""What a learner holds as arrays for a checkpoint, and back: parameters, Adam's moments, running moments, dice.

network/<name>            parameters
optimiser/<index>/<name>  Adam's step and moments of each parameter
<label>/<name>            each `agents.normalize.Moments`
generator                 state of the random generator
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agents.normalize import Moments

Arrays = dict[str, NDArray[Any]]
"""By slash-separated name; of any dtype."""


def learned_arrays(
    network: nn.Module, optimiser: torch.optim.Optimizer, moments: Mapping[str, Moments], generator: torch.Generator
) -> Arrays:
    """Copies of everything that learning changes."""
    state = network_arrays(network.state_dict())
    for index, entry in optimiser.state_dict()["state"].items():
        for name, tensor in entry.items():
            state[f"optimiser/{index}/{name}"] = tensor.cpu().numpy().copy()
    for label, each in moments.items():
        for name, tensor in each.state().items():
            state[f"{label}/{name}"] = tensor.cpu().numpy()
    state["generator"] = generator.get_state().numpy()
    return state


def load_learned(
    state: Mapping[str, NDArray[Any]],  # arrays of any dtype
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    moments: Mapping[str, Moments],
    generator: torch.Generator,
) -> None:
    """Go on from what `learned_arrays` gave; KeyError or RuntimeError where it was of another learner."""
    network.load_state_dict(network_tensors(state, network))
    saved = optimiser.state_dict()
    saved["state"] = {}
    for key, array in state.items():
        kind, _, rest = key.partition("/")
        if kind == "optimiser":
            index, _, name = rest.partition("/")
            saved["state"].setdefault(int(index), {})[name] = torch.tensor(array)  # steps write into it
    optimiser.load_state_dict(saved)
    for label, each in moments.items():
        each.load({name: torch.as_tensor(state[f"{label}/{name}"]) for name in ("count", "mean", "squares")})
    generator.set_state(torch.as_tensor(state["generator"]))


def network_arrays(parameters: Mapping[str, torch.Tensor]) -> Arrays:
    """Parameters by name, under network/."""
    return {f"network/{name}": tensor.detach().cpu().numpy().copy() for name, tensor in parameters.items()}


def network_tensors(state: Mapping[str, NDArray[Any]], network: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters of such a network under network/, as tensors of their own."""
    return {name: torch.tensor(np.asarray(state[f"network/{name}"])) for name in network.state_dict()}
