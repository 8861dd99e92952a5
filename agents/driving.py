"""The driving policies' training set-up: which roads they learn on, and the settings that learn them.

Roads for training, for the held-out checks during training and for evaluations afterwards come from three disjoint
ranges of seeds, so no figure is ever measured on a road that was learned from or selected on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agents.errors import TrainingError
from agents.ppo import PpoConfig
from safety.roadshield import RoadShield
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.manoeuvre import Manoeuvres
from sim.driving.scene import RoadBody
from sim.perceptron import Layers
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.roadrows import ROAD_TABLE
from sim.vary import Table

LANES = 2
"""Environments that one trainer steps in threads: the two cores that the project plans for."""

ROADS = 12
"""Roads of each lane of environments, half of them towns: what is hard is there."""

TRAINING, HELD_OUT, EVALUATION = 0, 1_000_000, 2_000_000
"""First road seed of each range."""

KINDS = (generate_highway, generate_town, generate_rural, generate_town)


def training_atlas(first: int, roads: int = ROADS, device: str = "cpu", table: Table = ROAD_TABLE) -> Atlas:
    """`roads` roads of every kind in turn, by seeds from `first` on, from the ranges of `table` (sim/roadrows.py)."""
    made = [KINDS[k % len(KINDS)](first + k, table=table) for k in range(roads)]
    return Atlas(made, seed=first, device=device)


def make_road_lanes(
    task: RoadConfig,
    first: int,
    worlds: int,
    seed: int,
    *,
    shielded: bool,
    body: RoadBody = "kinematic",
    device: str = "cpu",
    diverged: Path | None = None,
    curriculum: bool = False,
    roads: int = ROADS,
    table: Table = ROAD_TABLE,
) -> Sequence[RoadEnv]:
    """LANES environments of `worlds` worlds in all, each on roads and with draws of its own.

    With `shielded` the last lane drives under the shield: half and half, as the warehouse's skills learn. Raises
    TrainingError when the worlds cannot be shared out.
    """
    if worlds < LANES or worlds % LANES:
        better = LANES * max(1, worlds // LANES)
        raise TrainingError(f"expected worlds in pairs, one for each of {LANES} lanes, got {worlds}; try {better}")
    return [
        RoadEnv(
            training_atlas(first + 1000 * lane, roads, device, table),
            task,
            worlds=worlds // LANES,
            seed=seed * LANES + lane,
            body=body,
            threads=1,
            device=device,
            filter=RoadShield(task.spec, task.profile) if shielded and lane == LANES - 1 else None,
            diverged=None if diverged is None else diverged / f"lane{lane}",
            curriculum=curriculum,
        )
        for lane in range(LANES)
    ]


def over_skills(lanes: Sequence[RoadEnv], skills: Mapping[str, Layers]) -> list[Manoeuvres]:
    """The manoeuvre level's environments over frozen skills."""
    return [Manoeuvres(lane, skills) for lane in lanes]


def skill_ppo() -> PpoConfig:
    """Twenty decisions a second: a horizon of 2.5 s, little noise on the steering."""
    return PpoConfig(gamma=0.99, hidden=(64, 64), log_std=-0.7, anneal=0.5)


def manoeuvre_ppo() -> PpoConfig:
    """One decision a second: a horizon of 20 s, enough noise that each choice is asked for now and then."""
    return replace(skill_ppo(), gamma=0.95, log_std=-1.0)
