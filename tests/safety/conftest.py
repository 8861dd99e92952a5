"""A shield on hand-made scenes: what the safety tests share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import warp as wp

from safety.shield import Reason, Shield, ShieldMemory
from sim.filter import FilterInputs, FilterOutputs, make_inputs, make_outputs
from sim.geometry import Corridor, pack_corridors
from sim.robot import RobotSpec


@dataclass
class Scene:
    """Rows of one shield, with numpy views of everything that a test may set."""

    rows: int = 1
    spec: RobotSpec = field(default_factory=RobotSpec)
    shield: Shield = field(init=False)
    memory: ShieldMemory = field(init=False)
    inputs: FilterInputs = field(init=False)
    out: FilterOutputs = field(init=False)

    def __post_init__(self) -> None:
        wp.config.quiet = True
        self.shield = Shield(self.spec)
        self.memory = self.shield.init(self.rows)
        self.inputs, self.out = make_inputs(self.rows, self.spec.lidar.rays), make_outputs(self.rows)
        self.inputs.scan.fill_(self.spec.lidar.range_max)
        self.corridor([(-50.0, 0.0), (50.0, 0.0)], 50.0)

    def corridor(self, points: list[tuple[float, float]], half_width: float) -> None:
        """The same corridor for every row."""
        n = len(points)
        packed = pack_corridors([Corridor(np.array(points, np.float32), np.full(n, half_width, np.float32))])
        self.inputs.corridor_points.numpy()[...] = packed.points
        self.inputs.corridor_half_width.numpy()[...] = packed.half_width
        self.inputs.corridor_count.numpy()[...] = packed.count

    def ask(self, v: float, w: float = 0.0, *, twist: tuple[float, float] = (0.0, 0.0)) -> None:
        """The same proposal and speed for every row; the last command was what the robot does now."""
        self.inputs.command.numpy()[...] = (v, w)
        self.inputs.twist.numpy()[...] = twist
        self.inputs.last_command.numpy()[...] = twist

    def point(self, bearing: float, distance: float, speed: float = 0.0) -> None:
        """One ray, the nearest to the bearing, meets something; every row."""
        rays = self.spec.lidar.rays
        ray = round((bearing + np.pi) / (2.0 * np.pi) * rays) % rays
        self.inputs.scan.numpy()[:, ray] = distance
        self.inputs.point_speed.numpy()[:, ray] = speed

    def judge(self) -> tuple[tuple[float, float], float, Reason]:
        """Launch; the first row's command, margin and reason."""
        self.shield.launch(self.inputs, self.memory, self.out)
        v, w = self.out.command.numpy()[0]
        return (float(v), float(w)), float(self.out.margin.numpy()[0]), Reason(int(self.out.reason.numpy()[0]))


@pytest.fixture
def scene() -> Scene:
    """One robot at rest at the origin, looking along x, in a corridor without end, nothing in sight."""
    return Scene()


@pytest.fixture
def make_scene() -> type[Scene]:
    """For tests that need other rows or another robot."""
    return Scene
