"""How a policy is asked in a control step: timed, never raising, with the step before and what the readings say."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from fleet.guards.senses import Sensed
from fleet.guards.watch import GuardMemory
from hierarchy.skills import Act, Answer


def before(memory: GuardMemory, cycle: int, observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The observation of the step before, or where there is none this one: its change then counts nothing."""
    if cycle != memory.cycle + 1 or len(memory.before) != observation.nbytes:
        return observation
    return np.frombuffer(memory.before, np.float32).reshape(1, -1)


Look = Callable[[], Sensed]
"""What a step's readings say of each other; called only where a policy's graph takes it."""


def asker(
    policy: Policy | None, lateness: float | None, memory: GuardMemory, cycle: int, look: Look | None = None
) -> Act:
    """How the policy is asked: its time is measured, and an exception is an answer that is not finite.

    Without `look` the residuals of a graph that takes them count as 0.
    """

    def ask(observation: NDArray[np.float32]) -> Answer:
        if policy is None:
            return Answer((math.nan, math.nan))
        started = time.perf_counter()
        try:
            said = answer(policy, observation, before(memory, cycle, observation), look)
        except Exception:  # onnxruntime's errors share no base; whatever it is, the fallback drives
            return Answer((math.nan, math.nan), policy=policy.hash[:12])
        late = lateness is not None and time.perf_counter() - started > lateness
        return Answer(said.action, late, said.policy, said.novelty, said.fix)

    return ask


def answer(
    policy: Policy, observation: NDArray[np.float32], earlier: NDArray[np.float32], look: Look | None = None
) -> Answer:
    """What it says to one observation (1, n); no novelty where the graph tells none, no fix where it takes none."""
    name = policy.hash[:12]
    if not policy.guarded:
        return Answer(_numbers(policy.act(observation)), policy=name)
    sensed = look() if look is not None and policy.sensing else None
    action, novelty = policy.judge(observation, earlier, None if sensed is None else sensed.residuals)
    fix = () if sensed is None else _numbers(sensed.fix)
    return Answer(_numbers(action), policy=name, novelty=_numbers(novelty), fix=fix)


def _numbers(row: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in row[0])
