"""route_completion: how much of their routes frozen policies drive on unseen roads, and how fast beside IDM/MOBIL.

Roads are those of the evaluation's seeds; traffic, people and the shield are on. `completion` is the mean share of a
route's length that is driven before a contact, leaving the road or the time limit. `speed_ratio` is the mean speed over
that of the IDM/MOBIL driver (sim/driving/idmdriver.py) without a shield, in the same run: the same roads, routes,
traffic and draws; `speed_ratio_shielded` over that of the same driver under the shield. The rival of `completion` is
the driver's own, without a shield. Its drives end as the policies' do.

    python tests/benchmarks/route_completion.py --policies runs/RUN      also prints what was missed, by road and cause
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import numpy as np
from drivepolicies import driving_policies, run
from figure import Figure
from numpy.typing import NDArray

from agents.driving import EVALUATION, training_atlas
from agents.layers import read_layers
from agents.policy import Policy
from safety.roadshield import RoadShield
from sim.driving.atlas import Atlas
from sim.driving.contract import SKILLS
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.idmdriver import Following
from sim.driving.manoeuvre import Manoeuvres
from sim.tasks.task import Ending

ROUTES, QUICK, ROADS, SEED, PERIOD = 500, 40, 48, 1, 0.05


@dataclass(frozen=True)
class Driven:
    """What one driver drove, by route."""

    share: NDArray[np.float64]
    metres: NDArray[np.float64]
    seconds: NDArray[np.float64]
    ending: NDArray[np.int64]
    kind: list[str]
    stuck: NDArray[np.bool_]
    """Whether it stood when its time was up"""

    @property
    def speed(self) -> float:
        """Metres of all routes over seconds of all."""
        return float(self.metres.sum() / self.seconds.sum())

    def table(self, name: str) -> Iterable[str]:
        """Lines for people: completion and speed by kind of road, and what the rest ended by."""
        causes: dict[str, Counter[str]] = defaultdict(Counter)
        for kind, ending, stuck in zip(self.kind, self.ending, self.stuck, strict=True):
            causes[kind][Ending(int(ending)).name.lower() + (" standing" if stuck else "")] += 1
        for kind, counted in sorted(causes.items()):
            mine = np.array([each == kind for each in self.kind])
            speed = self.metres[mine].sum() / self.seconds[mine].sum()
            told = ", ".join(f"{count} {cause}" for cause, count in counted.most_common())
            yield f"{name:14} {kind:8} {self.share[mine].mean():.3f} of the way, {speed:5.1f} m/s: {told}"


def measure(quick: bool) -> Iterable[Figure]:
    """The policies, then their rival without and with a shield."""
    routes, policies = QUICK if quick else ROUTES, driving_policies()
    mine = learned(policies, routes)
    alone, shielded = followed(routes, shielded=False), followed(routes, shielded=True)
    for name, driven in (("policies", mine), ("IDM/MOBIL", alone), ("IDM shielded", shielded)):
        print("\n".join(driven.table(name)), file=sys.stderr)
    yield Figure("completion", float(mine.share.mean()), "1", "idm_mobil", float(alone.share.mean()))
    yield Figure("speed_ratio", mine.speed / alone.speed, "1", "idm_mobil_m_s", alone.speed)
    yield Figure("speed_ratio_shielded", mine.speed / shielded.speed, "1", "idm_mobil_shielded_m_s", shielded.speed)


def learned(policies: Path, routes: int) -> Driven:
    """The frozen hierarchy under the shield."""
    motor = read_layers(policies / "motor") if (policies / "motor" / "policy.json").exists() else None
    config = RoadConfig(skill="route", motor=motor)
    env = RoadEnv(_atlas(), config, worlds=routes, seed=SEED, filter=RoadShield(config.spec, config.profile))
    top = Policy.load(policies / "manoeuvre")
    choices = Manoeuvres(env, {name: read_layers(policies / name) for name in SKILLS})
    choices.reset()
    book = Book(env)
    choices.watch = book.note
    while not book.over.all():
        choices.step(top.act(np.array(env.observation.numpy(), np.float32)))
    return book.driven()


def followed(routes: int, *, shielded: bool) -> Driven:
    """The IDM/MOBIL driver."""
    config = RoadConfig(skill="route")
    filter = Following(RoadShield(config.spec, config.profile) if shielded else None)
    env = RoadEnv(_atlas(), config, worlds=routes, seed=SEED, filter=filter, drive_egos=True)
    filter.drive(env)
    env.reset()
    book = Book(env)
    while not book.over.all():
        filter.wish(env)
        env.step()
        book.note()
    return book.driven()


def _atlas() -> Atlas:
    return training_atlas(EVALUATION, ROADS)


class Book:
    """Notes the first episode of every row."""

    def __init__(self, env: RoadEnv) -> None:
        self.env, rows = env, env.rows
        self.first = env.plant.footing.left.numpy().copy()
        self.left, self.over = self.first.copy(), np.zeros(rows, bool)
        self.metres, self.seconds = np.zeros(rows), np.zeros(rows)
        self.ending, self.speed = np.zeros(rows, np.int64), np.zeros(rows)
        names = [road.name for road in env.atlas.roads]
        self.kind = [names[road].split("-")[0].split(":")[0].split(" ")[0] for road in env.plant.road.numpy()]

    def note(self) -> None:
        """After a control step."""
        outcome, going = self.env.task.outcome, ~self.over
        ended = going & (outcome.ended.numpy() != 0)
        still = going & ~ended
        self.ending[ended] = outcome.ending.numpy()[ended]
        left = self.env.plant.footing.left.numpy()
        self.left[still] = np.where(np.isfinite(left[still]), left[still], self.left[still])
        self.left[ended & (self.ending == Ending.SUCCEEDED)] = 0.0
        self.speed[still] = self.env.state.twist.numpy()[still, 0]
        self.metres[going] += np.maximum(self.speed[going], 0.0) * PERIOD
        self.seconds[going] += PERIOD
        self.over |= ended

    def driven(self) -> Driven:
        """What was noted."""
        share = np.clip(1.0 - self.left / self.first, 0.0, 1.0)
        stuck = (self.ending == Ending.TIMED_OUT) & (np.abs(self.speed) < 0.5)
        return Driven(share, self.metres, self.seconds, self.ending, self.kind, stuck)


if __name__ == "__main__":
    run(measure)
