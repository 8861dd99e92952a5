"""Wall time until the navigation skill holds 95 % on held-out layouts: ours, and stable-baselines3's PPO beside it.

Both learn in the same worlds (half of them under the shield, as `muster train --until-target` has it), are checked by
the same 500 held-out episodes whenever their running success comes within `check_margin` of the target, and have two
cores. The rival runs with its own defaults (on 8 worlds, which its defaults are tuned for) and with our
hyper-parameters (on our number of worlds, observations and rewards normalised as ours are); the better of the two
counts. A run that has not reached the target within LIMIT counts as LIMIT. Median of three seeds.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from figure import Figure
from numpy.typing import NDArray

SLOW = True

SEEDS = tuple(int(seed) for seed in os.environ.get("MUSTER_BENCH_SEEDS", "1,2,3").split(","))
"""MUSTER_BENCH_SEEDS names others, or fewer."""

LIMIT = 600.0
"""s; a run is given up then."""

WORLDS = 256
TARGET = 0.95


def measure(quick: bool) -> Iterable[Figure]:
    """Seconds of ours, and over the rival's."""
    ours = statistics.median(train_ours(seed) for seed in SEEDS)
    yield Figure("ours", ours, "s")
    theirs = statistics.median(train_best_sb3(seed) for seed in SEEDS)
    yield Figure("over_sb3", ours / theirs, "1", "stable-baselines3 PPO, s", theirs)


def train_ours(seed: int) -> float:
    """Seconds of `muster train --until-target`, set-up left out for both."""
    from fleet.train import Config, make_trainer

    config = Config(seconds=LIMIT, target=TARGET, until_target=True, seed=seed, worlds=WORLDS)
    with tempfile.TemporaryDirectory() as directory:
        outcome = make_trainer(config, Path(directory)).run(lambda progress: None)
    return outcome.seconds if outcome.reached else LIMIT


def train_best_sb3(seed: int) -> float:
    """Seconds of the better of the rival's two runs; the second is given up where the first was through."""
    first = train_sb3(seed, own=False, limit=LIMIT)
    return train_sb3(seed, own=True, limit=first)


def train_sb3(seed: int, own: bool, limit: float) -> float:
    """Seconds of stable-baselines3, with its own defaults or with our hyper-parameters, at most `limit`."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    from agents.evaluation import HeldOut
    from agents.navigation import HELD_OUT, TRAINING, make_lanes, ppo_for_speed, training_task
    from agents.trainer import TrainerConfig

    torch.set_num_threads(1)
    worlds = 8 if own else WORLDS
    lanes = make_lanes(training_task(), TRAINING + seed, worlds, seed, shielded=True)
    held_out = HeldOut(make_lanes(training_task(), HELD_OUT + seed, 250, HELD_OUT + seed, shielded=False), episodes=500)
    rules = TrainerConfig()
    pool = ThreadPoolExecutor(len(lanes))
    together = Together(lanes, pool)
    normalised = together if own else VecNormalize(together, gamma=ppo_for_speed().gamma)
    mine = ppo_for_speed()
    settings: dict[str, Any] = (
        {}
        if own
        else {
            "n_steps": mine.horizon,
            "batch_size": WORLDS * mine.horizon // mine.minibatches,
            "n_epochs": mine.epochs,
            "gamma": mine.gamma,
            "gae_lambda": mine.lam,
            "clip_range": mine.clip,
            "learning_rate": mine.learning_rate,
            "vf_coef": mine.value_weight,
            "max_grad_norm": mine.gradient_norm,
            "target_kl": None,
            "policy_kwargs": {"net_arch": list(mine.hidden), "log_std_init": mine.log_std},
        }
    )

    class Watch(BaseCallback):
        """Checks as our trainer does, and ends the run at the target or the limit."""

        def __init__(self) -> None:
            super().__init__()
            self.begin = time.monotonic()
            self.reached = limit
            self.checked_at = 0

        def _on_step(self) -> bool:
            return time.monotonic() - self.begin < limit

        def _on_rollout_end(self) -> None:
            recent = together.recent
            promising = len(recent) == rules.window and np.mean(recent) >= TARGET - rules.check_margin
            if not promising or self.num_timesteps - self.checked_at < rules.check_steps or self.reached < limit:
                return
            self.checked_at = self.num_timesteps

            def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
                if isinstance(normalised, VecNormalize):
                    observation = np.asarray(normalised.normalize_obs(observation.copy()), np.float32)
                return model.predict(observation, deterministic=True)[0]

            if held_out.check(act, pool.map).success >= TARGET:
                self.reached = min(limit, time.monotonic() - self.begin)

        def _on_rollout_start(self) -> None:
            if self.reached < limit:
                raise _ReachedError

    model = PPO("MlpPolicy", normalised, seed=seed, device="cpu", **settings)
    watch = Watch()
    try:
        model.learn(1_000_000_000, callback=watch)
    except _ReachedError:
        pass
    finally:
        pool.shutdown()
    return watch.reached


class _ReachedError(Exception):
    """The target is reached: the only way out of `learn` between rollouts."""


def _together_base() -> type:
    from stable_baselines3.common.vec_env import VecEnv

    return VecEnv


class Together(_together_base()):
    """Our lanes as one stable-baselines3 VecEnv, stepped in as many threads as ours are."""

    def __init__(self, lanes: Sequence[Any], pool: ThreadPoolExecutor) -> None:  # environments of our own
        from gymnasium import spaces

        self.lanes = lanes
        self.pool = pool
        self.recent: deque[bool] = deque(maxlen=500)
        rows = sum(lane.rows for lane in lanes)
        self.splits = np.cumsum([lane.rows for lane in lanes])[:-1]
        size = lanes[0].observation_size
        super().__init__(
            rows,
            spaces.Box(-np.inf, np.inf, (size,), np.float32),
            spaces.Box(-1.0, 1.0, (lanes[0].action_size,), np.float32),
        )

    def reset(self) -> NDArray[np.float32]:
        """Begin every row anew."""
        return np.concatenate([lane.reset() for lane in self.lanes])

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Remember what to do."""
        self.actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """One step of every lane, and what stable-baselines3 wants to know of ended episodes."""
        parts = np.split(self.actions, self.splits)
        steps = list(self.pool.map(lambda pair: pair[0].step(pair[1]), zip(self.lanes, parts, strict=True)))
        observation = np.concatenate([step.observation for step in steps])
        reward = np.concatenate([step.reward for step in steps])
        truncated = np.concatenate([step.truncated for step in steps]).astype(bool)
        done = truncated | np.concatenate([step.terminated for step in steps]).astype(bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            final = np.concatenate([step.final_observation for step in steps])
            success = np.concatenate([step.success for step in steps])
            for row in np.flatnonzero(done):
                infos[row] = {"terminal_observation": final[row].copy(), "TimeLimit.truncated": bool(truncated[row])}
                self.recent.append(bool(success[row]))
        return observation, reward, done, infos

    def close(self) -> None:
        """Nothing to close."""

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # the rival's own signature
        """No wrappers."""
        return [False] * self.num_envs

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """No methods of single worlds."""
        raise NotImplementedError(method_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Attributes of single worlds: stable-baselines3 asks for the render mode alone."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """No attributes of single worlds."""
        raise NotImplementedError(attr_name)
