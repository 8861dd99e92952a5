"""The rows of the table of what varies (sim/vary.py) that generated roads bring: widths, limits, shapes, sizes.

Everything is drawn once a road, by the road's seed alone. A width, a limit or a size of the whole road is keyed by the
row (`RoadDraws.once`); what a road has many of (bends, blocks) comes in the order of building from the road's own
stream (`RoadDraws.again`). Both from the ranges of the table that a road is generated with.
"""

from __future__ import annotations

import numpy as np

from sim.fields import Recompute
from sim.randomization import Term, draw_numpy
from sim.seeds import seed_key
from sim.vary import Distribution, Row, Table
from sim.varyhost import exact_numpy

OWN = "own choice: "


def _row(
    counter: int,
    name: str,
    distribution: Distribution,
    ends: tuple[float, float],
    bounds: tuple[float, float],
    unit: str,
    source: str,
) -> Row:
    low, high = ends
    return Row(
        Term.ROAD, name, distribution, low, high, unit, "", Recompute.NONE, source, bounds=bounds, counter=counter,
        drawn=False,
    )  # fmt: skip


def _point(value: float) -> tuple[float, float]:
    return value, value


ROAD_TABLE = Table((
    _row(0, "highway_length", "uniform", _point(3000.0), (500.0, 20000.0), "m", OWN + "two minutes at 90 km/h"),
    _row(1, "highway_lanes", "choice", (2, 4), (1, 6), "1", "RAA: two to four lanes of a carriageway"),
    _row(2, "highway_ramps", "choice", _point(2), (0, 8), "1", OWN + "one on, one off"),
    _row(3, "highway_lane_width", "uniform", _point(3.75), (3.0, 4.5), "m", "RAA, EKA 1"),
    _row(4, "highway_shoulder_width", "uniform", _point(2.5), (1.5, 4.0), "m", "RAA, EKA 1"),
    _row(5, "highway_limit", "uniform", _point(130 / 3.6), (60 / 3.6, 130 / 3.6), "m/s",
         "recommended speed of German motorways"),
    _row(6, "ramp_limit", "uniform", _point(80 / 3.6), (40 / 3.6, 130 / 3.6), "m/s", OWN + "a usual limit on ramps"),
    _row(7, "highway_straight", "uniform", (200.0, 500.0), (50.0, 2000.0), "m", OWN + "between two bends"),
    _row(8, "highway_radius", "log_uniform", (400.0, 2000.0), (250.0, 20000.0), "m",
         OWN + "from the tightest bends of old motorways on"),
    _row(9, "highway_arc", "uniform", (100.0, 400.0), (10.0, 2000.0), "m", OWN + "of a bend, without its spirals"),
    _row(10, "rural_length", "uniform", _point(2000.0), (300.0, 20000.0), "m", OWN + "two minutes at 60 km/h"),
    _row(11, "rural_lane_width", "uniform", _point(3.5), (2.75, 4.5), "m", "RAL, EKL 3"),
    _row(12, "rural_limit", "uniform", _point(100 / 3.6), (50 / 3.6, 100 / 3.6), "m/s", "StVO 3; bends are slower"),
    _row(13, "rural_straight", "uniform", (60.0, 250.0), (20.0, 2000.0), "m", OWN + "between two bends"),
    _row(14, "rural_radius", "log_uniform", (60.0, 400.0), (45.0, 5000.0), "m", OWN + "winding country roads"),
    _row(15, "rural_arc", "uniform", (40.0, 150.0), (10.0, 1000.0), "m", OWN + "of a bend, without its spirals"),
    _row(16, "town_columns", "choice", _point(4), (2, 12), "junctions", OWN + "a quarter"),
    _row(17, "town_rows", "choice", _point(3), (2, 12), "junctions", OWN + "a quarter"),
    _row(18, "town_block", "uniform", _point(110.0), (70.0, 300.0), "m", OWN + "usual blocks"),
    _row(19, "town_shift", "uniform", (-0.1, 0.1), (-0.1, 0.1), "of a block", OWN + "junctions off the grid, each way"),
    _row(20, "town_gap", "bernoulli", _point(0.15), (0.0, 0.5), "1", OWN + "streets that are left out, no dead ends"),
    _row(21, "town_lane_width", "uniform", _point(3.25), (2.75, 4.0), "m", "RASt"),
    _row(22, "town_walkway_width", "uniform", _point(2.5), (1.5, 4.0), "m", "RASt"),
    _row(23, "town_limit", "uniform", _point(50 / 3.6), (20 / 3.6, 50 / 3.6), "m/s", "StVO 3"),
))  # fmt: skip
"""What varies from road to road."""


class RoadDraws:
    """The draws of one road."""

    def __init__(self, table: Table, seed: int, kind: int) -> None:
        self.table, self.seed = table, seed
        self.stream = np.random.default_rng([seed, kind])

    def once(self, name: str) -> float:
        """What holds for the whole road."""
        row = self.table.row(name)
        return float(exact_numpy(row, draw_numpy(seed_key(self.seed), int(row.term), 0, 0, row.counter)))

    def again(self, name: str) -> float:
        """The next of many."""
        row, stream = self.table.row(name), self.stream
        low, high = row.low, row.high
        if row.distribution == "choice":
            return float(stream.integers(int(low), int(high) + 1))
        if row.distribution == "bernoulli":
            return float(stream.random() < 0.5 * (low + high))
        if row.distribution == "log_uniform":
            return float(np.exp(stream.uniform(*np.log((low, high)))))
        if row.distribution == "normal":
            return float(np.clip(stream.normal(0.5 * (low + high), (high - low) / 6.0), low, high))
        return stream.uniform(low, high)

    def curvature(self, name: str) -> float:
        """One over the next radius, 1/m."""
        row = self.table.row(name)
        if row.distribution == "log_uniform":
            return float(np.exp(-self.stream.uniform(*np.log((row.low, row.high)))))
        return 1.0 / self.again(name)
