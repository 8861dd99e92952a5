"""How a policy is asked in a control step: timed, never raising, with the observation of the step before if known."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from fleet.guards.watch import GuardMemory
from hierarchy.skills import Act, Answer


def before(memory: GuardMemory, cycle: int, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The observation of the step before, or where there is none this one: its change then counts nothing."""
    if cycle != memory.cycle + 1 or len(memory.before) != observation.nbytes:
        return observation
    return np.frombuffer(memory.before, np.float32).reshape(1, -1)


def asker(policy: Policy | None, lateness: float | None, memory: GuardMemory, cycle: int) -> Act:
    """How the policy is asked: its time is measured, and an exception is an answer that is not finite."""

    def ask(observation: NDArray[np.float32]) -> Answer:
        if policy is None:
            return Answer((math.nan, math.nan))
        started = time.perf_counter()
        try:
            action, novelty = answer(policy, observation, before(memory, cycle, observation))
        except Exception:  # onnxruntime's errors share no base; whatever it is, the fallback drives
            return Answer((math.nan, math.nan), policy=policy.hash[:12])
        late = lateness is not None and time.perf_counter() - started > lateness
        return Answer(action, late, policy.hash[:12], novelty)

    return ask


def answer(
    policy: Policy, observation: NDArray[np.float32], earlier: NDArray[np.float32]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Action and novelty of one observation (1, n); no novelty where the graph tells none."""
    if not policy.guarded:
        return tuple(float(value) for value in policy.act(observation)[0]), ()
    action, novelty = policy.judge(observation, earlier)
    return tuple(float(value) for value in action[0]), tuple(float(value) for value in novelty[0])
