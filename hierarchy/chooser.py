"""The meta level's choice: which of the offered tasks comes next, or to charge.

    Offer, battery -> observation (one row of float32) -> frozen policy -> logits of the offered tasks and of charging

A rule (`Rule`, the hand-written twin) and a frozen policy (`Chooser`) answer the same observation. Both are
deterministic here: the largest logit, the first of equals; what they cannot take (no such task, no charger) they never
choose. What an observation holds, and how its numbers are scaled, is the contract of the policy (`choose_contract`).
The training environment (`fleet/legs.py`) writes the same numbers with `write_rows`.

Robots import this module: numpy and onnxruntime alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.errors import PolicyError
from agents.policy import Policy
from coordination.messages import Chosen, Offer
from sim.robot import RobotSpec
from sim.tasks.contract import Contract, Field

TASKS = 6
"""Offered tasks that the meta level looks at: three pressing and three near ones."""

FEATURES = 9
"""Numbers for each of them."""

CONTEXT = 6
"""Numbers about the robot and its fleet."""

CELLS = 20.0
"""Unit of distances, cells: a usual way across a floor of the generator's."""

META = "meta"
"""Folder of a run in which its meta policy lies."""


@dataclass(frozen=True)
class Rows:
    """Offers as arrays; `worlds` of them, TASKS places each. Distances in cells, -1 for none."""

    offered: NDArray[np.bool_]
    """(worlds, TASKS) whether there is such a task"""
    way: NDArray[np.float64]
    between: NDArray[np.float64]
    level: NDArray[np.float64]
    home: NDArray[np.float64]
    onward: NDArray[np.float64]
    crowd: NDArray[np.float64]
    dwell: NDArray[np.float64]
    """All (worlds, TASKS), as in `coordination.messages.Offered`"""
    battery: NDArray[np.float64]
    charger: NDArray[np.float64]
    queued: NDArray[np.float64]
    robots: NDArray[np.float64]
    charging: NDArray[np.float64]
    """All (worlds,), as in `coordination.messages.Offer`"""


def choose_contract(spec: RobotSpec) -> Contract:
    """What a meta policy sees, in order, and what it answers."""
    low, high, period = -1.0, 10.0, 1.0

    def field(name: str, unit: str, *shape: int) -> Field:
        return Field(name, shape, "float32", unit, "", low, high, period, period)

    names = ("offered 1", "way 20 cells", "between 20 cells", "level 10", "home 20 cells", "onward 20 cells")
    names += ("crowd 2 robots", "dwell 10 s", "level above the least 1")
    context = "battery 1, charger offered 1, charger 20 cells, queued log1p per robot, charging share, robots 10"
    fields = (field("tasks", "; ".join(names), TASKS, FEATURES), field("fleet", context, CONTEXT))
    actions = (Field("logits", (TASKS + 1,), "float32", "1", "", -1e9, 1e9, period, 0.0),)
    return Contract("choose", fields, actions, spec.embodiment_hash())


def write_rows(rows: Rows) -> NDArray[np.float32]:
    """The observations, (worlds, TASKS * FEATURES + CONTEXT)."""
    worlds = len(rows.battery)
    least = np.where(rows.offered, rows.level, np.inf).min(axis=1, initial=np.inf)
    above = rows.level - np.where(np.isfinite(least), least, 0.0)[:, None]
    tasks = np.stack(
        [
            np.ones_like(rows.way),
            rows.way / CELLS,
            rows.between / CELLS,
            np.clip(rows.level / 10.0, -1.0, 10.0),
            rows.home / CELLS,
            rows.onward / CELLS,
            rows.crowd / 2.0,
            np.minimum(rows.dwell / 10.0, 10.0),
            np.clip(above, -1.0, 10.0),
        ],
        axis=-1,
    )
    tasks *= rows.offered[..., None]
    has_charger = rows.charger >= 0.0
    context = np.stack(
        [
            rows.battery,
            has_charger.astype(float),
            np.where(has_charger, rows.charger, 0.0) / CELLS,
            np.log1p(rows.queued / rows.robots),
            rows.charging / rows.robots,
            rows.robots / 10.0,
        ],
        axis=-1,
    )
    return np.concatenate([tasks.reshape(worlds, -1), context], axis=-1).astype(np.float32)


def possible(observation: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the answers can be given, (worlds, TASKS + 1): the offered tasks, and charging where it is offered."""
    tasks = observation[:, : TASKS * FEATURES].reshape(-1, TASKS, FEATURES)[:, :, 0] > 0.5
    return np.concatenate([tasks, observation[:, TASKS * FEATURES + 1, None] > 0.5], axis=-1)


def rows_of(offer: Offer, battery: float) -> Rows:
    """One offer as a row; tasks beyond TASKS are not looked at."""
    lines = offer.tasks[:TASKS]

    def column(name: str) -> NDArray[np.float64]:
        values = [float(getattr(line, name)) for line in lines]
        return np.array([values + [0.0] * (TASKS - len(lines))])

    def number(value: float) -> NDArray[np.float64]:
        return np.array([float(value)])

    return Rows(
        offered=np.array([[index < len(lines) for index in range(TASKS)]]),
        **{name: column(name) for name in ("way", "between", "level", "home", "onward", "crowd", "dwell")},
        battery=number(battery),
        charger=number(offer.charger),
        queued=number(offer.queued),
        robots=number(max(offer.robots, 1)),
        charging=number(offer.charging),
    )


Choose = Callable[[NDArray[np.float32]], NDArray[np.intp]]
"""Observations (worlds, observation) -> answers (worlds,): an offered task's place, TASKS to charge."""


@dataclass(frozen=True)
class Rule:
    """The hand-written twin: the nearest task, less what its urgency is worth; charge below a threshold, until full."""

    urgency: float
    """Cells that one level (a minute of waiting) is worth"""
    low: float
    """Charges below this"""
    full: float
    """A robot at a charger goes on to this"""

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.intp]:
        """The answers."""
        tasks = observation[:, : TASKS * FEATURES].reshape(-1, TASKS, FEATURES)
        battery, charger, distance = observation[:, TASKS * FEATURES : TASKS * FEATURES + 3].T
        cost = tasks[..., 1] * CELLS - self.urgency * tasks[..., 8]
        cost = np.where(tasks[..., 0] > 0.5, cost, np.inf)
        nearest = np.argmin(cost, axis=1)
        goes_on = (distance == 0.0) & (battery < self.full)
        charges = (charger > 0.5) & ((battery < self.low) | goes_on | np.isinf(cost.min(axis=1)))
        return np.where(charges, TASKS, nearest)


@dataclass(frozen=True)
class Chooser:
    """A frozen meta policy."""

    policy: Policy

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.intp]:
        """The answers: the largest logit of what can be done."""
        logits = np.where(possible(observation), self.policy.act(observation), -np.inf)
        return np.argmax(logits, axis=1)


def answer(choose: Choose, offer: Offer, battery: float, explore: float = 0.0) -> Chosen | None:
    """A robot's answer to an offer; None when nothing in it can be done.

    With the probability `explore` it is any of what can be done, so that the log can say what another policy would have
    achieved (`fleet.ope`). The draw follows from the offer alone.
    """
    observation = write_rows(rows_of(offer, battery))
    options = np.flatnonzero(possible(observation)[0])
    if not len(options):
        return None
    best = index = int(choose(observation)[0])
    if explore <= 0.0:
        return Chosen(offer.id, _named(offer, index))
    drawn = _draw(offer)
    explores = drawn < explore
    if explores:
        index = int(options[min(int(drawn / explore * len(options)), len(options) - 1)])
    chance = explore / len(options) + (1.0 - explore) * (index == best)
    return Chosen(offer.id, _named(offer, index), False, math.log(chance), explores)


def _named(offer: Offer, index: int) -> str:
    return offer.tasks[index].task if index < TASKS else ""


def _draw(offer: Offer) -> float:
    """A number from 0 up to 1 that belongs to an offer."""
    digest = hashlib.blake2b(msgspec.msgpack.encode(offer), digest_size=8, person=b"muster explore").digest()
    return int.from_bytes(digest) / 2.0**64


def meta_place(directory: Path) -> Path:
    """Where a run's meta policy is: in `directory`/meta, or in meta/ beside it, where the levels of a hierarchy lie."""
    beside = directory.absolute().parent / META
    return beside if not (directory / META).is_dir() and beside.is_dir() else directory / META


def load_chooser(directory: Path, spec: RobotSpec, skill: Policy | None) -> Chooser:
    """The meta policy of a run (`meta_place`).

    `skill` is the navigate policy that it must be pinned to.
    Raises PolicyError when it is missing, damaged or was trained on another skill, ContractMismatch for another robot.
    """
    place = meta_place(directory)
    policy = Policy.load(place)
    policy.check(choose_contract(spec))
    pinned = policy.manifest.get("training", {}).get("below", {}).get("navigate", "")
    if skill is not None and pinned != skill.hash:
        raise PolicyError(
            f"expected a meta policy trained on skill {skill.hash[:12]}, {place} was trained on "
            f"{pinned[:12] or 'none'}; train it on this skill or give meta:=rules"
        )
    return Chooser(policy)
