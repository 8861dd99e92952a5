"""Worlds as Gymnasium knows environments: thin views over any `sim.worlds.Worlds`, for other people's tools.

    RowsEnv   gymnasium.vector.VectorEnv over all rows; the row that ended is reset in the same step
    RowEnv    gymnasium.Env with one row

What builds the worlds from a seed is handed in: sim/adapters.py does it for the warehouse, sim/driving/adapters.py for
the road. Robots that begin and end together are in PettingZoo's form (sim/parallel.py). A seed is a constant of
recorded launches, so `reset(seed=...)` builds other worlds (0.1 s); `reset()` goes on with later episodes. A list of
seeds makes each world an environment of its own (sim/apart.py), equal to a single one with that seed. They copy what
they return, because callers of those interfaces keep it; training uses the worlds themselves. With
`render_mode="rgb_array"` each draws what it simulates (sim/pictures.py).

Infos say how each episode stands: `success`, `collision` and `ending`, a code of `sim.tasks.task.Ending`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from sim.apart import Apart
from sim.pictures import RENDER_MODES, Pictures
from sim.tasks.contract import Contract
from sim.worlds import ActionError, Step, Worlds

Info = dict[str, Any]  # Gymnasium's own type
Observation = NDArray[np.float32]


def rendering(frames: int) -> Info:
    """Gymnasium's metadata of environments with so many control steps, and frames, a second."""
    return {"render_modes": list(RENDER_MODES), "render_fps": frames}


def observation_space(contract: Contract) -> spaces.Box:
    """The flat observation with each field's bounds."""
    low = np.concatenate([np.full(field.size, field.low, np.float32) for field in contract.fields])
    high = np.concatenate([np.full(field.size, field.high, np.float32) for field in contract.fields])
    return spaces.Box(low, high, dtype=np.float32)


def action_space(contract: Contract) -> spaces.Box:
    """The flat action."""
    return spaces.Box(-1.0, 1.0, (contract.action_size,), np.float32)


def checked_action(action: NDArray[np.float32], shape: tuple[int, ...] | None) -> NDArray[np.float32]:
    """The action, whole and finite: who speaks through these interfaces wants to hear of a broken policy at once."""
    numbers = np.asarray(action, np.float32)
    if numbers.shape != shape:
        raise ActionError(f"expected an action of shape {shape}, got {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ActionError(f"expected finite numbers as an action, got {numbers[~np.isfinite(numbers)][0]}")
    return numbers


def fresh_seed(seed: int | None, generator: np.random.Generator) -> int:
    """The seed that was given, else one that is drawn."""
    return int(generator.integers(2**31)) if seed is None else seed


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> NDArray[np.bool_] | None:
    """Gymnasium's `reset_mask`: the rows to begin anew; None for all."""
    if options is None or "reset_mask" not in options:
        return None
    mask = np.asarray(options["reset_mask"])
    if mask.shape != (num_envs,) or mask.dtype != np.bool_:
        raise ValueError(f"expected a reset_mask of shape ({num_envs},) and type bool, got {mask.shape}, {mask.dtype}")
    return mask


def _world_seeds(seeds: Sequence[int | None], num_envs: int, robots: int) -> list[int | None]:
    """The seed of each world."""
    if len(seeds) != num_envs:
        raise ValueError(
            f"expected a seed for each of {num_envs} rows, got {len(seeds)}; give one number for all of them"
        )
    worlds = [seeds[first : first + robots] for first in range(0, num_envs, robots)]
    for number, entries in enumerate(worlds):
        if any(entry != entries[0] for entry in entries):
            raise ValueError(f"expected the same seed for all {robots} rows of world {number}, got {entries}")
    return [entries[0] for entries in worlds]


class RowsEnv(gymnasium.vector.VectorEnv):
    """Every row of worlds as one of `num_envs` environments (autoreset mode SAME_STEP)."""

    metadata: ClassVar[Info] = rendering(10) | {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}

    def __init__(
        self, make: Callable[[int, int], Worlds], num_envs: int, *, robots: int = 1, pictures: Pictures
    ) -> None:
        """`num_envs` rows, in worlds of `robots`, which must divide it; `make` builds worlds: a seed, how many.

        Raises ValueError where it does not.
        """
        if num_envs < 1 or robots < 1:
            raise ValueError(f"expected 1 or more for num_envs and robots, got {num_envs} and {robots}; raise it")
        if num_envs % robots:
            raise ValueError(f"expected num_envs to be a multiple of {robots} robots per world, got {num_envs}")
        self.autoreset_mode = self.metadata["autoreset_mode"]  # where TorchRL looks, as on Gymnasium's own
        self.num_envs = num_envs
        self._robots, self._pictures, self.render_mode = robots, pictures, pictures.mode
        self._make = lambda seed, worlds=num_envs // robots: make(seed, worlds)
        self._apart: Apart | None = None
        """The worlds, where a list gave each a seed of its own."""
        self._generator = np.random.default_rng()
        self.environment = self._make(fresh_seed(None, self._generator))
        contract = self.environment.contract
        self.single_observation_space = observation_space(contract)
        self.single_action_space = action_space(contract)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,  # Gymnasium's own type
    ) -> tuple[Observation, Info]:
        """All rows anew; a seed also fixes every later episode.

        One number keys all worlds, each by its place. A list has an entry for each row: a row's world lives as a single
        environment with that seed does; None draws one, and rows of one world must have the same entry. Worlds of a
        list are slow (sim/apart.py). `options={"reset_mask": mask}`, bool (num_envs,), begins only these rows anew,
        without a seed. Raises ValueError for a list that is not so, ConfigError for a seed that is none.
        """
        mask = _reset_mask(options, self.num_envs)
        if seed is None or (isinstance(seed, Sequence) and all(entry is None for entry in seed)):
            pass  # later episodes of those seeds that there are
        elif isinstance(seed, Sequence):
            seeds = [fresh_seed(entry, self._generator) for entry in _world_seeds(seed, self.num_envs, self._robots)]
            self._apart, mask = Apart(lambda own: self._make(own, 1), seeds, self._robots), None
        else:
            self.environment, self._apart, mask = self._make(seed), None, None
        self._begun = True
        return (self._apart or self.environment).reset(mask).copy(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One control step; `infos` holds final_obs and final_info where rows ended."""
        assert self._begun, "call reset first"
        step = (self._apart or self.environment).step(checked_action(actions, self.action_space.shape))
        ended = np.logical_or(step.terminated, step.truncated)
        info = _infos(step, np.ones(self.num_envs, bool))
        if ended.any():
            last = np.full(self.num_envs, None, dtype=object)
            for row in np.flatnonzero(ended):
                last[row] = step.final_observation[row].copy()
            info |= {"final_obs": last, "_final_obs": ended, "final_info": _infos(step, ended), "_final_info": ended}
        return (
            step.observation.copy(),
            step.reward.astype(np.float64),
            step.terminated.astype(bool),
            step.truncated.astype(bool),
            info,
        )

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture (height, width, 3) for each row, of its world; None without a render mode."""
        many = self.num_envs // self._robots
        if self._apart is not None:
            worlds = [self._pictures.frame(world) for world in self._apart.worlds]
        else:
            shown = self.environment if self._begun else None
            worlds = [self._pictures.frame(shown, world) for world in range(many)]
        frames = tuple(frame for frame in worlds if frame is not None for _ in range(self._robots))
        return frames or None

    def close_extras(self, **kwargs: Any) -> None:  # Gymnasium's own signature
        """Free what pictures needed."""
        self._pictures.close()


def _infos(step: Step, which: NDArray[np.bool_]) -> Info:
    """How episodes stand, with Gymnasium's masks (rows,) of whose numbers count."""
    values = {
        "success": step.success & which,
        "collision": step.collision & which,
        "ending": np.where(which, step.ending, 0).astype(np.int64),
    }
    return {name: value for key, array in values.items() for name, value in ((key, array), (f"_{key}", which.copy()))}


class RowEnv(gymnasium.Env):
    """One row in one world, as Gymnasium's classic interface."""

    metadata: ClassVar[Info] = rendering(10)

    def __init__(self, make: Callable[[int], Worlds], *, pictures: Pictures) -> None:
        """`make` builds one world of one row from a seed."""
        self._pictures, self.render_mode = pictures, pictures.mode
        self._make = make
        self._environment = self._make(fresh_seed(None, np.random.default_rng()))
        self.observation_space = observation_space(self._environment.contract)
        self.action_space = action_space(self._environment.contract)
        self._begun = self._ended = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """The next episode, or with a seed the first one of that seed."""
        super().reset(seed=seed)
        if not self._begun or seed is not None:
            self._environment = self._make(fresh_seed(seed, self.np_random))
            self._begun = True
        elif self._ended:  # the row has begun its next episode already
            self._ended = False
            return self._environment.observation.numpy()[0].copy(), {}
        self._ended = False
        return self._environment.reset()[0].copy(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, Info]:
        """One control step; after the last one the observation is what the robot saw at its end."""
        assert self._begun, "call reset first"
        step = self._environment.step(checked_action(action, self.action_space.shape)[None])
        self._ended = bool(step.terminated[0] or step.truncated[0])
        seen = step.final_observation if self._ended else step.observation
        info: Info = {
            "success": bool(step.success[0]),
            "collision": bool(step.collision[0]),
            "ending": int(step.ending[0]),
        }
        return seen[0].copy(), float(step.reward[0]), bool(step.terminated[0]), bool(step.truncated[0]), info

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]  # Gymnasium's RenderFrame is any type
        """A picture of the world, (height, width, 3); None without a render mode."""
        return self._pictures.frame(self._environment if self._begun else None)

    def close(self) -> None:
        """Free what pictures needed."""
        self._pictures.close()
