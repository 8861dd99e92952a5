"""What `--randomization` says of the road's tables: of the motor task, of drives, of generated roads, of scenarios.

One file may name rows of all of them; each takes its own. `nominal` speaks of what varies in an episode: roads are
drawn, and scenarios sampled, as without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleet.learning import NOMINAL, of_randomization, varied
from sim.driving.env import RoadConfig
from sim.driving.motor import MotorConfig
from sim.driving.scenariorows import SCENARIO_TABLE
from sim.driving.sensing import RoadFaults, RoadSensors
from sim.roadrows import ROAD_TABLE
from sim.vary import Table
from sim.varyfile import read_changes
from sim.varyhost import check_kinds


@dataclass(frozen=True)
class Ranges:
    """What roads are generated from, and scenarios sampled."""

    roads: Table = ROAD_TABLE
    scenarios: Table = SCENARIO_TABLE

    def changed(self) -> dict[str, list[object]]:
        """Rows of roads that are not as usual, for manifests: low, high, distribution."""
        pairs = zip(self.roads, ROAD_TABLE, strict=True)
        return {row.name: [row.low, row.high, row.distribution] for row, usual in pairs if row != usual}


def names() -> set[str]:
    """Every row that a file may name."""
    sensors = RoadSensors(faults=RoadFaults(), lidar=True)  # all that a car may have
    tables = (MotorConfig().table(), RoadConfig(sensors=sensors).table(), ROAD_TABLE, SCENARIO_TABLE)
    return {row.name for table in tables for row in table}


def ranges_of(file: str) -> Ranges:
    """The tables of roads and scenarios with the ranges of a file. Raises VaryError where they are out of bounds."""
    if file in ("", NOMINAL):
        return Ranges()
    with of_randomization():
        return Ranges(*(_changed(table, file) for table in (ROAD_TABLE, SCENARIO_TABLE)))


def drive_of(task: RoadConfig, file: str) -> RoadConfig:
    """A driving task with the ranges of a file. Raises VaryError where they are out of bounds."""
    return varied(task, file, names() if file else ())


def _changed(table: Table, file: str) -> Table:
    """A table of the host with the ranges of a file; what is a choice stays one."""
    return check_kinds(table.changed(read_changes(Path(file), table, names())), table)
