"""cutins: R157 cut-ins that the road's shield does not survive, beside four reference drivers on the same rows.

`../shared/data/driving/cutin_verdicts.csv` says of 522 cut-ins which of the EC JRC's models crash (RSS, their fuzzy
model, R157's own formula and its careful human driver). Here the ego is a car that wants to keep its speed, under our
shield with its defaults, on a straight road at 10 Hz: the same boxes (4.3 m by 1.9 m), the same lateral movement
(1.5 m/s^2 up to the row's speed, 3.5 m in all, then straight on), the same brakes (0.774 g, 12.65 m/s^3, 0.75 s of
reaction, which at 10 Hz are eight steps). It steers nowhere and never accelerates. All rows run as one batch.

    extra   contacts where RSS or the fuzzy model has none: the goal is 0
    share   contacts of all rows: the goal is at most 0.098, the rows in which both crash
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import warp as wp
from figure import Figure, NotHere
from numpy.typing import NDArray

from safety.roadbounds import RoadRules
from safety.roadshield import RoadShield
from sim.bodies.specs import CAR
from sim.driving.atlas import Atlas
from sim.driving.filter import RoadInputs
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn, make_view
from sim.filter import FilterOutputs
from sim.road import Lane, Road
from sim.robot import MILLISECOND, Ackermann, RobotSpec

VERDICTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "driving" / "cutin_verdicts.csv"
RIVALS = ("RSS", "FSM", "Reg157", "CC_human_driver")
LENGTH, WIDTH, LANE = 4.3, 1.9, 3.5
STEP = 0.1
"""s"""
REACTION = 8
"""Steps until a command acts: the models count 0.75 s down by 0.1 s."""
BRAKE, JERK = 0.774 * 9.81, 12.65
LATERAL_ACCEL = 1.5
STEPS = 350
"""Of the cut-in itself, as the models have it."""

Floats = NDArray[np.float64]


def rows_of(path: Path) -> list[dict[str, float]]:
    """The file's rows as numbers."""
    with path.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def ego() -> RobotSpec:
    """A car with the reference models' limits."""
    drive = Ackermann(
        speed_max=200.0 / 3.6,
        accel_max=0.01,
        brake_min=BRAKE,
        brake_comfort=0.5 * BRAKE,
        jerk_max=JERK,
        steer_rate=0.001,
    )
    return replace(
        CAR, drive=drive, length=LENGTH, width=WIDTH, latency_bound=REACTION * STEP, period=100 * MILLISECOND,
        tracking_e0=0.0, tracking_e1=0.0, localisation_bound=0.0,
    )  # fmt: skip


def lateral_speeds(row: dict[str, float]) -> list[float]:
    """Of the intruder in each step: the ramp, then the row's speed until it is across."""
    speed = row["lat_vel_mps"]
    ramp = (-np.arange(0.0, -speed, -LATERAL_ACCEL * STEP)).tolist()
    return [*ramp, *[speed] * int(LANE / STEP // speed + 1)]


class CutIns:
    """All rows side by side: the intruders' tracks, the ego's arrays and the shield."""

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.many = many = len(rows)
        moves = [lateral_speeds(row) for row in rows]
        ramps = [len(np.arange(0.0, -row["lat_vel_mps"], -LATERAL_ACCEL * STEP)) for row in rows]
        self.steps = STEPS + max(ramps)
        self.across = np.zeros((many, self.steps + 1))
        for index, speeds in enumerate(moves):
            self.across[index, : len(speeds)] = speeds[: self.steps + 1]
        kmh = 1.0 / 3.6
        self.ego_v = np.array([row["ego_kmh"] for row in rows]) * kmh
        self.other_v = np.array([row["cutin_kmh"] for row in rows]) * kmh
        ramp_time = np.array(ramps) * STEP
        self.x = -self.ego_v * ramp_time
        self.other_x = np.array([row["gap_m"] for row in rows]) + LENGTH - self.other_v * ramp_time
        self.y = LANE + np.array([sum(speeds[:count]) * STEP for speeds, count in zip(moves, ramps, strict=True)])
        self.accel = np.zeros(many)
        self.queue = [np.zeros(many)] * REACTION
        self.begun = self.x.copy()
        self._shield(many)

    def _shield(self, many: int) -> None:
        spec = ego()
        line = np.linspace(-2000.0, 12000.0, 141)
        borders = [np.stack([line, 0 * line + y], -1) for y in (-0.5 * LANE, 0.5 * LANE, 1.5 * LANE)]
        right = Lane("right", borders[1], borders[0], limit=200.0 / 3.6, left_neighbour=1)
        left = Lane("left", borders[2], borders[1], limit=200.0 / 3.6, right_neighbour=0)
        self.atlas = Atlas([Road("straight", (right, left))], routes=1)

        def zeros(*shape: int, dtype: type = wp.float32) -> wp.array:
            return wp.zeros(shape, dtype=dtype, device="cpu")

        self.view = make_view(many, "cpu")
        self.inputs = RoadInputs(zeros(many, 2), zeros(many, 2), self.view, self.atlas.lanes, self.atlas.conflicts)
        self.out = FilterOutputs(zeros(many, 2), zeros(many), zeros(many, dtype=wp.int8))
        self.shield = RoadShield(spec, rules=RoadRules(speed_error=0.0, lane_error=0.0))
        self.memory = self.shield.init(many)
        self.middle = 0.5 * LENGTH - spec.car.rear_overhang
        names = (
            "path",
            "path_lane",
            "path_s",
            "lane",
            "range",
            "motion",
            "pose",
            "objects",
            "object_kind",
            "object_lane",
        )
        self.seen = {name: getattr(self.view, name).numpy() for name in names}
        path = self.seen["path"]
        path[:, :, PathColumn.LEFT] = path[:, :, PathColumn.RIGHT] = 0.5 * LANE
        path[:, :, PathColumn.LIMIT] = 200.0 / 3.6
        self.seen["path_lane"][...], self.seen["lane"][...], self.seen["range"][...] = 0, 0, 1e3
        self.seen["object_kind"][:, 0] = 1

    def sense(self, step: int) -> None:
        """What the ego is told: all as it is. Its x is its middle's, since the beginning."""
        n, base = self.seen, self.x - self.middle
        ahead = (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
        n["path"][:, :, PathColumn.X] = ahead
        n["path_s"][...] = (base + 2000.0)[:, None] + ahead
        n["motion"][:, 0], n["motion"][:, 1] = self.ego_v, self.accel
        lane = (self.y > 0.5 * LANE).astype(int)
        n["object_lane"][:, 0] = lane
        objects = n["objects"][:, 0]
        objects[:, 0], objects[:, 1], objects[:, 3] = self.other_x - base, self.y, self.other_v
        objects[:, 5], objects[:, 6], objects[:, 8] = LENGTH, WIDTH, self.other_x + 2000.0
        objects[:, 9], objects[:, 10] = self.y - lane * LANE, -self.across[:, step]

    def shielded(self, step: int) -> Floats:
        """What the shield releases when nothing but going on is proposed, m/s^2."""
        self.sense(step)
        self.shield.launch(self.inputs, self.memory, self.out)
        released = np.minimum(self.out.command.numpy()[:, 0].astype(float), 0.0)
        self.inputs.last_command.numpy()[:, 0] = released
        return released

    def run(self, driver: Callable[[CutIns, int], Floats] = shielded) -> NDArray[np.bool_]:
        """Which rows end in a contact; `driver` gives the acceleration that each ego is told in a step, m/s^2."""
        hit = np.zeros(self.many, bool)
        for step in range(self.steps):
            hit |= (np.abs(self.x - self.other_x) < LENGTH) & (np.abs(self.y) < WIDTH)
            self.queue.append(driver(self, step))
            wish = self.queue.pop(0)
            self.accel = self.accel + np.clip(wish - self.accel, -JERK * STEP, JERK * STEP)
            self.ego_v = np.maximum(self.ego_v + self.accel * STEP, 0.0)
            self.x = self.x + self.ego_v * STEP
            self.other_x = self.other_x + self.other_v * STEP
            self.y = self.y - self.across[:, step] * STEP
        return hit


def measure(quick: bool) -> Iterable[Figure]:
    """Both parts on all rows, quick or not: it takes seconds; the rivals' own shares stand beside."""
    if not VERDICTS.exists():
        raise NotHere("needs ../shared/data/driving/cutin_verdicts.csv")
    rows = rows_of(VERDICTS)
    hit = CutIns(rows).run()
    crash = {name: np.array([row[f"crash_{name}"] > 0 for row in rows]) for name in RIVALS}
    both = crash["RSS"] & crash["FSM"]
    yield Figure("extra", int((hit & ~both).sum()), "1", "rows", len(rows))
    for name in RIVALS:
        yield Figure("share", float(hit.mean()), "1", name, float(crash[name].mean()))
