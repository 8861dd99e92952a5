"""`muster evaluate`: what a frozen policy does on layouts that nobody trained on or selected by.

Three profiles, each with people who keep the assumption that the shield is built on:

    no_shield   the policy alone, people as V = 0 has them
    v0          under the shield, V = 0: nobody comes nearer to a robot that moves close by
    v16         under the shield, V = 1.6 m/s: people ignore robots

A collision is a contact with anything but the floor that began in a physics substep in which the robot was faster than
0.02 m/s or 0.02 rad/s; each counterpart (the map, each person) is a contact of its own. It is counted twice, by the
physics engine's contacts and by the geometric oracle, which shares no code with it; an episode ends with the first that
the engine reports. Contacts that began at rest (a person walked into a standing robot) are counted apart. The exit code
is 0 when both counts agree.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fleet.train import WORLDS_MAX
from safety.reason import Reason
from sim.errors import MusterError
from sim.seeds import check_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agents.policy import Policy
    from sim.env import BatchEnv
    from sim.site import Site
    from sim.specfile import SpecFile

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ProfileName = Literal["no_shield", "v0", "v16"]
PROFILES: tuple[ProfileName, ...] = ("no_shield", "v0", "v16")

PERSON_SPEED = {"no_shield": 0.0, "v0": 0.0, "v16": 1.6}
"""V of each profile, m/s."""


class EvaluationError(MusterError):
    """An evaluation that cannot be run."""


@dataclass(frozen=True)
class Config:
    """Measure a frozen policy on unseen layouts."""

    policy: Path
    """Run directory of the training, or policy.onnx."""
    episodes: int = 2000
    """Episodes of each profile."""
    profiles: tuple[ProfileName, ...] = PROFILES
    """Which of no_shield, v0 and v16 to run."""
    seed: int = 1
    """Of layouts and everything else that varies."""
    worlds: int = 200
    """Worlds simulated side by side."""
    spec: str = ""
    """A robot specification (sim/specfile.py) to drive, its friction range too; empty for the default robot."""
    body: Literal["planar", "wheeled"] = "planar"
    """wheeled shows wheels and track that the firmware is wrong about, and costs ten times as much."""


@dataclass(frozen=True)
class Measurement:
    """What a policy did in one profile."""

    profile: ProfileName
    episodes: int
    success: float
    """Share of the episodes."""
    collisions: float
    """Per episode, by the physics engine's contacts."""
    oracle_collisions: float
    """Per episode, by the geometric oracle."""
    disagreements: int
    """Episodes in which only one of the two saw a collision."""
    bumps: float
    """Per episode: contacts that began while the robot stood."""
    left: float
    """Share that left the granted cells."""
    timeouts: float
    """Share cut by the time limit."""
    mission_time: float
    """Mean of the successful episodes, s."""
    interventions: float
    """Share of control steps in which the shield released something else than was proposed."""
    reasons: dict[str, float] = field(default_factory=dict)
    """The same by the shield's reason."""


def check_values(config: Config) -> None:
    """Raise `MusterError` for values that cannot work."""
    if config.episodes < 1 or config.worlds < 2:
        raise EvaluationError(
            f"expected at least 1 episode and 2 worlds, got {config.episodes} and {config.worlds}; ask for more"
        )
    if config.worlds > WORLDS_MAX:
        raise EvaluationError(f"--worlds: expected at most {WORLDS_MAX} worlds, got {config.worlds}; take fewer")
    if not config.profiles:
        raise EvaluationError(f"--profiles: expected one or more of {', '.join(PROFILES)}, got none; name one")
    check_seed(config.seed)


def run(config: Config) -> int:
    """Measure each profile and print a table."""
    from rich.console import Console
    from rich.table import Table

    from agents.policy import Policy
    from sim.specfile import named_spec
    from sim.tasks.navigate_contract import navigate_contract

    check_values(config)
    policy = Policy.load(config.policy)
    robot = named_spec(config.spec)
    contract = navigate_contract(robot.spec)
    if config.spec:  # a refit is the robot that the policy was trained for, known better; all else must be the policy's
        contract = replace(contract, embodiment=policy.manifest["contract"]["embodiment"])
    policy.check(contract)
    table = Table(
        caption="hits: collisions an episode, by engine and by geometry; late: not there in 60 s; "
        "shield: control steps that it changed",
        title=f"policy {policy.hash[:12]} on {robot.spec.name}, {config.episodes} episodes a profile, "
        f"seed {config.seed}",
    )
    columns = ("profile", "success", "hits", "bumps", "left", "late", "mission", "shield")
    for name in columns:
        table.add_column(name, justify="left" if name == "profile" else "right", no_wrap=name == "profile")
    agree = True
    for profile in config.profiles:
        found = measure(policy, profile, config.episodes, config.seed, config.worlds, robot, config.body)
        agree &= found.disagreements == 0
        table.add_row(
            profile,
            f"{found.success:.1%}",
            f"{found.collisions:.4f}, {found.oracle_collisions:.4f}",
            f"{found.bumps:.4f}",
            f"{found.left:.2%}",
            f"{found.timeouts:.2%}",
            f"{found.mission_time:.1f} s",
            f"{found.interventions:.1%}" + "".join(f"\n{name} {share:.1%}" for name, share in found.reasons.items()),
        )
    Console().print(table)
    if not agree:
        print("the two counts of collisions differ: one of them is wrong", flush=True)
    return 0 if agree else 1


def measure(
    policy: Policy,
    profile: ProfileName,
    episodes: int,
    seed: int,
    worlds: int = 200,
    robot: SpecFile | None = None,
    body: Literal["planar", "wheeled"] = "planar",
) -> Measurement:
    """Run `episodes` or a few more episodes of one profile, the same number in every world, in two threads.

    `robot` is what drives, None for the default robot.
    """
    import numpy as np

    from agents.navigation import EVALUATION, LANES
    from sim.device import start_warp
    from sim.generate import generate_campus
    from sim.robot import SECOND, RobotSpec
    from sim.specfile import SpecFile

    start_warp()
    site = generate_campus(EVALUATION + seed)
    share = max(1, worlds // LANES)
    wanted = math.ceil(episodes / (share * LANES))
    robot = robot or SpecFile(RobotSpec())
    witnesses = [Witness(site, profile, share, EVALUATION + seed * LANES + lane, robot, body) for lane in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        parts = list(pool.map(lambda witness: witness.watch(policy, wanted), witnesses))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    reasons = sum((witness.reasons for witness in witnesses), np.zeros_like(witnesses[0].reasons))
    return _summarize(profile, columns, reasons, robot.spec.period / SECOND)


class Witness:
    """One environment under evaluation, and what was seen in it; owns both."""

    def __init__(
        self,
        site: Site,
        profile: ProfileName,
        worlds: int,
        seed: int,
        robot: SpecFile | None = None,
        body: Literal["planar", "wheeled"] = "planar",
    ) -> None:
        import numpy as np

        from hierarchy.motor import driven
        from safety.shield import Shield
        from sim.env import BatchEnv
        from sim.people import Profile
        from sim.points import Points
        from sim.robot import RobotSpec
        from sim.specfile import SpecFile
        from sim.tasks.navigate import NavigateConfig
        from sim.vary import Change

        robot = robot or SpecFile(RobotSpec())
        spec = robot.spec  # with all of its rays: what the shield gets on a robot
        task = replace(NavigateConfig(), spec=spec, profile=Profile.WALKING if profile == "v16" else Profile.STILL)
        if (friction := robot.randomization.get("friction")) is not None:
            ranges = [Change("friction", friction.low, friction.high)]
            task = replace(task, randomization=task.randomization.also(ranges))
        shielded = profile != "no_shield"
        points = Points(site, spec, PERSON_SPEED[profile])
        memory = points.init(worlds)
        self.site = site
        self.environment = BatchEnv(
            site,
            task,
            worlds=worlds,
            seed=seed,
            threads=1,
            body=body,
            filter=Shield(driven(spec, body)) if shielded else None,
            point_speeds=(lambda inputs: points.launch(inputs, memory)) if shielded else None,
            substep_hook=self._look,
        )
        self._shielded = shielded
        self._touching = np.zeros((worlds, 1 + task.people), bool)
        self._hit = np.zeros(worlds, bool)
        self._pose = np.zeros((worlds, 3))
        self._twist = np.zeros((worlds, 3))
        self.reasons = np.zeros(len(Reason), np.int64)
        """Control steps by the shield's reason, within counted episodes."""

    def watch(self, policy: Policy, wanted: int) -> dict[str, NDArray[np.generic]]:
        """Run until every world has ended `wanted` episodes; one entry per episode and column."""
        import numpy as np

        from sim.tasks.task import Ending

        environment = self.environment
        rows = environment.rows
        done = np.zeros(rows, np.int64)
        length = np.zeros(rows, np.int64)
        bumps = np.zeros(rows, np.int64)
        parts: list[dict[str, NDArray[np.generic]]] = []
        observation = environment.reset()
        self._remember(np.arange(rows))
        while done.min() < wanted:
            step = environment.step(policy.act(observation))
            observation = step.observation
            counted = done < wanted
            if self._shielded:
                self.reasons += np.bincount(environment.reason.numpy()[counted], minlength=len(self.reasons))
            length += 1
            bumps += step.bumped
            ended = np.flatnonzero(step.ending)
            rows_out = ended[counted[ended]]
            if len(rows_out):
                ending = step.ending[rows_out]
                parts.append(
                    {
                        "success": ending == Ending.SUCCEEDED,
                        "collision": ending == Ending.COLLIDED,
                        "oracle": self._hit[rows_out].copy(),
                        "left": ending == Ending.LEFT,
                        "timeout": ending == Ending.TIMED_OUT,
                        "length": length[rows_out],
                        "bumps": bumps[rows_out],
                    }
                )
            done[ended] += 1
            length[ended] = 0
            bumps[ended] = 0
            self._hit[ended] = False
            self._touching[ended] = False
            self._remember(ended)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _look(self, environment: BatchEnv) -> None:
        """After a substep: the oracle's own opinion on every world, each a scene of one robot and its people.

        The state judged is the one that the engine computed its contacts from: robots before the substep, people in it.
        """
        import numpy as np

        from fleet.oracle import SPEED_LIMIT, touching
        from sim.people import PERSON_RADIUS

        spec = environment.spec
        people = np.asarray(environment.people.position.numpy(), np.float64)
        touch = touching(self.site, spec.length, spec.width, self._pose[:, None, :], people, PERSON_RADIUS)
        now = np.concatenate([touch.map, touch.person[:, 0]], axis=1)  # the map, then each person
        began = np.flatnonzero((now & ~self._touching).any(axis=1))
        v, w, sideways = self._twist[began].T
        self._hit[began] |= (np.hypot(v, sideways) > SPEED_LIMIT) | (np.abs(w) > SPEED_LIMIT)
        self._touching = now
        self._remember(np.arange(environment.rows))

    def _remember(self, rows: NDArray[np.intp]) -> None:
        self._pose[rows] = self.environment.state.pose.numpy()[rows]
        self._twist[rows] = self.environment.state.twist.numpy()[rows]


def _summarize(
    profile: ProfileName, columns: dict[str, NDArray[np.generic]], reasons: NDArray[np.int64], period: float
) -> Measurement:
    import numpy as np

    success = columns["success"].astype(bool)
    steps = max(1, int(reasons.sum()))
    return Measurement(
        profile=profile,
        episodes=len(success),
        success=float(success.mean()),
        collisions=float(columns["collision"].mean()),
        oracle_collisions=float(columns["oracle"].mean()),
        disagreements=int((columns["collision"] != columns["oracle"]).sum()),
        bumps=float(columns["bumps"].mean()),
        left=float(columns["left"].mean()),
        timeouts=float(columns["timeout"].mean()),
        mission_time=float(columns["length"][success].mean()) * period if success.any() else np.nan,
        interventions=float(reasons[1:].sum() / steps),
        reasons={
            reason.name.lower(): float(reasons[reason] / steps) for reason in Reason if reason and reasons[reason]
        },
    )
