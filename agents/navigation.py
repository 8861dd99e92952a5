"""The navigation skill's training set-up: which floors it learns on, and the settings that learn it fastest or best.

A training floor is a campus of walled blocks; the layout that an episode meets is the block it begins in. Floors for
training, for the held-out checks during training and for evaluations afterwards come from three disjoint ranges of
campus seeds, so no figure is ever measured on a layout that was learned from or selected on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agents.errors import TrainingError
from agents.ppo import PpoConfig
from safety.shield import Shield
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.points import Points
from sim.scene import Body
from sim.site import Site
from sim.tasks.navigate import NavigateConfig

LANES = 2
"""Environments that one trainer steps in threads: the two cores that the project plans for."""

BLOCKS = (5, 5)
"""Blocks of a lane's campus. Each static box costs physics 5 ns a step: 8 x 8 took 39 us an environment step, 5 x 5
takes 29 (2026-11), and the lanes' floors differ, so that 50 layouts are learned from."""

TRAINING, HELD_OUT, EVALUATION = 0, 1_000_000, 2_000_000
"""First campus seed of each range."""


def make_lanes(
    task: NavigateConfig,
    campus: int,
    worlds: int,
    seed: int,
    shielded: bool,
    diverged: Path | None = None,
    device: str = "cpu",
    body: Body = "planar",
    curriculum: bool = False,
) -> Sequence[BatchEnv]:
    """LANES environments of `worlds` worlds in all on `device`, each on a campus and with draws of its own.

    With `shielded` the last lane runs under the shield. A policy that never met it proposes what the shield refuses and
    stands still (0.23 of v0's episodes succeeded, 2026-11); one that only knew it would not keep its distance by
    itself; half and half learns both in the same time (0.97 and 0.91 after 0.7 M steps). Worlds that blow up are
    kept in the folder `diverged`, each lane's in its own. `curriculum` counts what curricula decide by.
    Raises TrainingError when the worlds cannot be shared out.
    """
    if worlds < LANES or worlds % LANES:
        better = LANES * max(1, worlds // LANES)
        raise TrainingError(f"expected worlds in pairs, one for each of {LANES} lanes, got {worlds}; try {better}")
    # the ranges of campus seeds are a million wide
    sites = [generate_campus(campus + 100_000 * lane, blocks=BLOCKS) for lane in range(LANES)]
    share = worlds // LANES
    folders = [None if diverged is None else diverged / f"lane{lane}" for lane in range(LANES)]
    lanes = [
        BatchEnv(
            sites[lane],
            task,
            worlds=share,
            seed=seed * LANES + lane,
            body=body,
            threads=1,
            device=device,
            diverged=folders[lane],
            curriculum=curriculum,
        )
        for lane in range(LANES - shielded)
    ]
    if shielded:
        last = seed * LANES + LANES - 1
        lanes.append(
            shielded_environment(
                sites[-1],
                task,
                share,
                last,
                person_speed=0.0,
                diverged=folders[-1],
                device=device,
                body=body,
                curriculum=curriculum,
            )
        )
    return lanes


def shielded_environment(
    site: Site,
    task: NavigateConfig,
    worlds: int,
    seed: int,
    *,
    person_speed: float,
    diverged: Path | None = None,
    device: str = "cpu",
    body: Body = "planar",
    curriculum: bool = False,
) -> BatchEnv:
    """An environment whose commands the shield judges, for people of at most `person_speed` m/s."""
    points = Points(site, task.spec, person_speed)
    memory = points.init(worlds, device)
    return BatchEnv(
        site,
        task,
        worlds=worlds,
        seed=seed,
        body=body,
        threads=1,
        device=device,
        filter=Shield(task.spec),
        point_speeds=lambda inputs: points.launch(inputs, memory),
        diverged=diverged,
        curriculum=curriculum,
    )


def training_task() -> NavigateConfig:
    """What the skill is trained on: the task as it stands, people as the profile V = 0 has them."""
    return NavigateConfig()


def ppo_for_speed() -> PpoConfig:
    """Settings that reach the target soonest, on some 256 worlds.

    Fewer worlds or a shorter horizon learn to arrive in fewer steps (0.80 of the held-out layouts after 150,000 on 64
    worlds, where 256 have just begun) but settle on driving at a third of the speed (2026-11).
    """
    return PpoConfig(gamma=0.98, hidden=(128, 128))


def ppo_for_best() -> PpoConfig:
    """Settings that end best when there are minutes to spend."""
    return replace(ppo_for_speed(), anneal=0.5)
