"""A training run: collect, learn, check on held-out layouts, save; and go on after a kill as if there had been none.

    while not done:
        rollouts = [lane.collect(...) for lane in lanes]      one thread a lane
        learner.update(rollouts)
        held-out check when the running success suggests that the target is reached
        checkpoint

A run is done when a held-out check reaches the target (`stop_at_target`), or when the budget of steps or seconds is
spent. What decides, except for the seconds, is a function of the state that a checkpoint holds; so a run that is
killed and resumed takes the same decisions and ends with the same weights. Held-out checks use the deterministic
policy (the mean action) on environments that are put back to the same state each time: they leave no trace.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.checkpoint import check_identity, find_checkpoint, load_checkpoint, save_checkpoint, select
from agents.curriculum import Curriculum
from agents.device_rollout import DeviceEnvironment, DeviceLane
from agents.errors import CheckpointError, TrainingError
from agents.evaluation import Act, Evaluation, HeldOut
from agents.journal import Journal
from agents.networks import ActorCritic
from agents.normalize import normalize
from agents.ppo import Learner, Losses, PpoConfig
from agents.progress import Outcome, Progress
from agents.rollout import Environment, Episodes, Lane, join_episodes
from sim.tasks.contract import Contract


@dataclass(frozen=True)
class TrainerConfig:
    """How long, towards what, and how often to look."""

    ppo: PpoConfig = field(default_factory=PpoConfig)
    seed: int = 0
    """Of the weights, the action noise and the minibatches."""
    steps: int = 4_000_000
    """Budget of control steps, over all rows and resumed parts."""
    seconds: float = 180.0
    """Budget of wall time, over all resumed parts, s."""
    target: float = 0.95
    """Share of held-out episodes that must succeed."""
    stop_at_target: bool = True
    """End at the first held-out check that reaches the target; otherwise spend the budget."""
    check_margin: float = 0.02
    """A held-out check is worth its time when the running success is no more than this below the target: the mean
    action succeeds more often than the drawn one."""
    check_steps: int = 100_000
    """Control steps between two held-out checks, at least; with `stop_at_target` false there is one every ten times as
    many, for the curve."""
    window: int = 500
    """Training episodes in the running success."""
    checkpoint_iterations: int = 10
    """Iterations between two checkpoints."""
    device: str = "cpu"
    """torch device of networks and updates."""


class Trainer:
    """Owns lanes, learner, counters and files of one run."""

    def __init__(
        self,
        config: TrainerConfig,
        environments: Sequence[Environment] | Sequence[DeviceEnvironment],
        held_out: HeldOut,
        contract: Contract,
        directory: Path,
        *,
        settings: dict[str, Any] | None = None,  # JSON values
        on_device: bool = False,
        curriculum: Curriculum | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """Set up a new run in `directory`; `settings` (JSON) are what the environments were made from.

        `on_device`: the environments live where the networks do (`DeviceEnvironment`) and are stepped one after the
        other, because a capture would take in what another thread launches on the same stream.
        `curriculum` moves the ranges of the environments, which then are `agents.curriculum.Ranged`.
        """
        if not environments or any(environment.rows < 1 for environment in environments):
            raise TrainingError("expected at least one world in every lane, got none; raise the number of worlds")
        self.config = config
        self.contract = contract
        self.directory = directory
        self.settings = settings or {}
        self._held_out = held_out
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._begin = clock()
        self._cpu_begin = cpu_clock()
        self._pool = ThreadPoolExecutor(
            max_workers=1 if on_device else max(len(environments), len(held_out.environments)),
            initializer=torch.set_num_threads,
            initargs=(1,),
        )
        self.learner = Learner(
            config.ppo,
            environments[0].observation_size,
            environments[0].action_size,
            parts=len(environments),
            seed=config.seed,
            device=config.device,
        )
        self.curriculum = curriculum
        self._ranged: list[Any] = list(environments) if curriculum else []  # Ranged: the caller saw to it
        if curriculum is not None:
            curriculum.write(self._ranged)  # before the lanes begin their first episodes
        make_lane: Any = DeviceLane if on_device else Lane  # two protocols of environments
        self._lanes: list[Lane | DeviceLane] = [
            make_lane(environment, torch.Generator().manual_seed(_lane_seed(config.seed, index)), config.device)
            for index, environment in enumerate(environments)
        ]
        self.steps = 0
        self.iterations = 0
        self._checked_at = 0
        self._recent = Episodes(
            success=np.zeros(0, bool),
            collision=np.zeros(0, bool),
            timeout=np.zeros(0, bool),
            length=np.zeros(0, np.int64),
            reward=np.zeros(0),
        )
        self._seconds_before = 0.0
        self._cpu_before = 0.0
        self._diverged_before = 0
        self.resumed_at = 0

    # running ------------------------------------------------------------------------------------------------------

    def run(self, report: Callable[[Progress], None]) -> Outcome:
        """Train until done; `report` is called after every iteration."""
        journal = Journal(self.directory, resumed_at=self.resumed_at)
        try:
            while True:
                losses = self._iterate()
                reason = self._spent()
                check = self._held_out_check(final=bool(reason))
                progress = self._progress(losses, check)
                journal.write(progress.entry())
                report(progress)
                if check is not None and check.success >= self.config.target and self.config.stop_at_target:
                    reason = "target"
                if reason or self.iterations % self.config.checkpoint_iterations == 0:
                    self.save()
                if reason and check is not None:
                    return Outcome(
                        reached=check.success >= self.config.target,
                        reason=reason,
                        held_out=check,
                        steps=self.steps,
                        seconds=self.seconds,
                        cpu_seconds=self.cpu_seconds,
                    )
        finally:
            journal.close()
            self._pool.shutdown()

    def act(self) -> Act:
        """The deterministic policy as it is now: raw observations -> mean actions."""
        shift, scale = self.learner.observation_moments.shift_scale()
        return mean_action(self.learner.network, shift, scale)

    def widen_as(self, other: Trainer) -> None:
        """Before the first iteration: begin with the ranges that another training's curriculum has reached."""
        if self.curriculum is not None and other.curriculum is not None:
            self.curriculum.begin_as(other.curriculum)
            self.curriculum.write(self._ranged)

    @property
    def seconds(self) -> float:
        """Wall time in training, s."""
        return self._seconds_before + self._clock() - self._begin

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all threads, s."""
        return self._cpu_before + self._cpu_clock() - self._cpu_begin

    @property
    def simulation(self) -> tuple[str, ...]:
        """How the lanes' steps run (`sim.graph.GraphReport.line`), each line once; settled after two steps."""
        graphs = [getattr(lane.environment, "graph", None) for lane in self._lanes]  # fakes of the simulator have none
        return tuple(dict.fromkeys(graph.line() for graph in graphs if graph is not None))

    @property
    def diverged(self) -> int:
        """Worlds that blew up in training, resumed parts included."""
        # fakes of the simulator count none
        return self._diverged_before + sum(getattr(lane.environment, "diverged_total", 0) for lane in self._lanes)

    def weights_hash(self) -> str:
        """sha256 (hex) of everything that learning changed: parameters, optimiser, normalisers, generator, rate."""
        digest = hashlib.sha256()
        for name, array in sorted(self.learner.state().items()):
            digest.update(f"{name} {array.dtype} {array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    # saving -------------------------------------------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint of this instant."""
        arrays = {f"learner/{name}": array for name, array in self.learner.state().items()}
        for index, lane in enumerate(self._lanes):
            arrays |= {f"lane{index}/{name}": array for name, array in lane.state().items()}
        if self.curriculum is not None:
            arrays |= {f"curriculum/{name}": array for name, array in self.curriculum.state().items()}
        arrays |= {f"recent/{name}": array for name, array in dataclasses.asdict(self._recent).items()}
        header = {
            **self._identity(),
            "iterations": self.iterations,
            "checked_at": self._checked_at,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "diverged": self.diverged,
        }
        return save_checkpoint(self.directory / "checkpoints", self.steps, header, arrays)

    def resume(self, place: Path) -> None:
        """Go on from a checkpoint file, or from the newest one of a run directory."""
        path = find_checkpoint(place)
        checkpoint = load_checkpoint(path)
        check_identity(path, checkpoint, self._identity())
        header, arrays = checkpoint.header, checkpoint.arrays
        try:
            self.learner.load(select(arrays, "learner"))
            for index, lane in enumerate(self._lanes):
                lane.load(select(arrays, f"lane{index}"))
            self._recent = Episodes(**select(arrays, "recent"))
            if self.curriculum is not None:
                self.curriculum.load(select(arrays, "curriculum"))
                self.curriculum.write(self._ranged)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"expected a checkpoint of this configuration, {path} does not fit it "
                f"({type(error).__name__}: {str(error).splitlines()[0]}); resume with the arguments of its run"
            ) from error
        self.steps = self.resumed_at = int(header["steps"])
        self.iterations = int(header["iterations"])
        self._checked_at = int(header["checked_at"])
        self._seconds_before = float(header["seconds"])
        self._cpu_before = float(header["cpu_seconds"])
        self._diverged_before = int(header["diverged"])
        self._begin = self._clock()
        self._cpu_begin = self._cpu_clock()

    # one iteration ------------------------------------------------------------------------------------------------

    def _iterate(self) -> Losses:
        shift, scale = self.learner.observation_moments.shift_scale()
        horizon = self.config.ppo.horizon
        rollouts = list(
            self._pool.map(lambda lane: lane.collect(self.learner.network, shift, scale, horizon), self._lanes)
        )
        if self.curriculum is not None:
            self.curriculum.learn(self._ranged)
        losses = self.learner.update(rollouts, min(1.0, self.steps / self.config.steps), self._pool.map)
        self.iterations += 1
        self.steps += sum(rollout.reward.numel() for rollout in rollouts)
        joined = join_episodes([self._recent, *(rollout.episodes for rollout in rollouts)])
        self._recent = Episodes(
            **{field.name: getattr(joined, field.name)[-self.config.window :] for field in dataclasses.fields(Episodes)}
        )
        return losses

    def _spent(self) -> str:
        if self.steps >= self.config.steps:
            return "steps"
        if self.seconds >= self.config.seconds:
            return "seconds"
        return ""

    def _held_out_check(self, final: bool) -> Evaluation | None:
        since = self.steps - self._checked_at
        if self.config.stop_at_target:
            full = len(self._recent) == self.config.window
            promising = full and self._recent.success.mean() >= self.config.target - self.config.check_margin
            due = promising and since >= self.config.check_steps
        else:
            due = since >= 10 * self.config.check_steps
        if not due and not final:
            return None
        self._checked_at = self.steps
        return self._held_out.check(self.act(), self._pool.map)

    def _progress(self, losses: Losses, check: Evaluation | None) -> Progress:
        recent = self._recent
        return Progress(
            steps=self.steps,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            success=_mean(recent.success),
            collisions=_mean(recent.collision),
            length=_mean(recent.length),
            reward=_mean(recent.reward),
            losses=losses,
            held_out=check,
            diverged=self.diverged,
            ranges={} if self.curriculum is None else self.curriculum.figures(),
        )

    # fitting a checkpoint -----------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:  # JSON values
        """What a checkpoint must share with the run that goes on from it."""
        ppo = json.loads(json.dumps(dataclasses.asdict(self.config.ppo)))
        moves = None if self.curriculum is None else self.curriculum.settings()
        return {
            "contract": json.loads(self.contract.json()),
            "contract_hash": self.contract.hash,
            "training": {
                "ppo": ppo,
                "seed": self.config.seed,
                "device": self.config.device,
                "curriculum": moves,
                **self.settings,
            },
        }


def mean_action(network: ActorCritic, shift: torch.Tensor, scale: torch.Tensor) -> Act:
    """The deterministic policy: raw observations (rows, observation) -> mean actions clipped to [-1, 1]."""

    @torch.no_grad()
    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = torch.as_tensor(np.asarray(observation, np.float32)).to(shift.device)
        return network.mean(normalize(seen, shift, scale)).clamp(-1.0, 1.0).cpu().numpy()

    return act


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _lane_seed(seed: int, index: int) -> int:
    digest = hashlib.sha256(f"lane {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1  # torch takes int64
