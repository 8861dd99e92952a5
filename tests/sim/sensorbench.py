"""A suite of sensors on arrays that a test writes: no physics, no floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.device import start_warp
from sim.launches import Launchable
from sim.robot import Lidar, RobotSpec
from sim.sensorrows import sensor_rows
from sim.sensorspec import Sensors
from sim.suite import Senses, SensorSuite
from sim.varied import plant_rows
from sim.vary import Change, Table, draw_episodes, make_arrays

start_warp()


class Copy:
    """A sweep that sees `ranges` in every row that sweeps, and counts."""

    def __init__(self, mask: wp.array, scan: wp.array, bench: Bench) -> None:
        self.mask, self.scan, self.bench = mask.numpy(), scan.numpy(), bench

    def launch(self) -> None:
        """Write what is to be seen."""
        rows = self.mask != 0
        self.bench.sweeps += rows
        self.scan[rows] = self.bench.ranges[rows]


class Bench:
    """Rows of robots that are where a test puts them."""

    def __init__(
        self, sensors: Sensors, rows: int = 1, *, rays: int = 64, timestep: float = 0.02, seed: int = 3,
        level: float = 1.0, spec: RobotSpec | None = None, wheels: bool = False,
        changes: Sequence[Change] = (),
    ) -> None:  # fmt: skip
        spec = spec or RobotSpec(lidar=Lidar(rays=rays))
        width = 9 if wheels else 3
        arrays = {
            "pose": (rows, 3), "twist": (rows, 3), "measured_pose": (rows, 3), "measured_twist": (rows, 2),
            "scan": (rows, spec.lidar.rays), "qpos": (rows, width), "qvel": (rows, width - int(wheels)),
        }  # fmt: skip
        made = {name: wp.zeros(shape, dtype=wp.float32) for name, shape in arrays.items()}
        for name, array in made.items():
            setattr(self, name, array.numpy())
        touching = wp.zeros((rows, 2), dtype=wp.uint8)
        table = Table((*plant_rows(spec, level), *sensor_rows(sensors, level))).changed(changes)
        varies = make_arrays(table, rows, "cpu")
        friction, payload = wp.full(rows, 0.8, dtype=wp.float32), wp.zeros(rows, dtype=wp.float32)
        episode = wp.zeros(rows, dtype=wp.int32)
        self.touching, self.friction, self.episode = touching.numpy(), friction.numpy(), episode.numpy()
        self.ranges = np.full((rows, spec.lidar.rays), 5.0, np.float32)
        self.sweeps = np.zeros(rows, np.int64)
        self.rows, self.timestep = rows, timestep
        self.suite = SensorSuite(
            sensors,
            Senses(
                spec=spec, robots=1, rows=rows, timestep=timestep, seed=seed, device="cpu", table=table,
                values=varies.values, record=record, episode=episode, touching=touching, friction=friction,
                payload=payload,
                qpos_stride=width, qvel_stride=width - int(wheels),
                sweep=lambda mask, scan: [Copy(mask, scan, self)], **made,
            ),
        )  # fmt: skip
        self._mask = wp.ones(rows, dtype=wp.uint8)
        draw = record(draw_episodes, rows, [seed, episode, self._mask, varies])
        self._begin, self._deliver = (
            [draw, *self.suite.begin(self._mask)],
            self.suite.deliver(wp.ones(rows, dtype=wp.uint8)),
        )
        self.begin()

    pose: NDArray[np.float32]
    twist: NDArray[np.float32]
    measured_pose: NDArray[np.float32]
    measured_twist: NDArray[np.float32]
    scan: NDArray[np.float32]
    qpos: NDArray[np.float32]
    qvel: NDArray[np.float32]

    def begin(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin the next episode of some rows, and let everybody read."""
        self._mask.assign(np.ones(self.rows, np.uint8) if rows is None else rows.astype(np.uint8))
        run(self._begin)
        run(self._deliver)

    def step(self) -> None:
        """One physics step; nobody reads."""
        run(self.suite.step)

    def read(self) -> None:
        """Everybody reads what has arrived."""
        run(self._deliver)

    def age(self, number: int) -> NDArray[np.float32]:
        """Of what is held, by the sensor's number, s, (rows,)."""
        return self.suite.age.numpy()[:, number]


def run(launches: Sequence[Launchable]) -> None:
    """Launch all."""
    for launch in launches:
        launch.launch()


def record(kernel: Any, threads: int, inputs: list[Any]) -> Launchable:  # Warp's own types
    """A recorded launch on the CPU."""
    launch = wp.launch(kernel, dim=threads, inputs=inputs, device="cpu", record_cmd=True)
    assert launch is not None
    return launch
