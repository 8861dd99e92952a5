"""The warehouse's worlds: a site, its robots, people, forklifts and loads, and one of the tasks of sim/tasks.

`BatchEnv` builds the plant (sim/plant.py) and the task that a configuration asks for, and is stepped as all worlds are
(sim/worlds.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import warp as wp

from sim.backend import Backend
from sim.diverged import Recorder
from sim.filter import PHANTOMS, Filter, FilterInputs
from sim.people import SPEED_HIGH, Profile
from sim.plant import Plant
from sim.scene import Body, Scene
from sim.site import Site
from sim.tasks.sensed import Sensed, is_sensed
from sim.tasks.task import Task, TaskConfig
from sim.worlds import ActionError, Array, Step, Worlds

__all__ = ["ActionError", "Array", "BatchEnv", "Step"]

PODS_CHANGE = ("eq_active", "eq_data", "dof_frictionloss")
"""What lifts do to the model within a control step (sim/pods.py)."""


class BatchEnv(Worlds):
    """A task in `worlds` worlds of one site, `robots` robots each: plant, task and filter. See `snapshot`."""

    def __init__(
        self,
        site: Site,
        config: TaskConfig,
        *,
        worlds: int,
        robots: int = 1,
        seed: int = 0,
        filter: Filter | None = None,
        point_speeds: Callable[[FilterInputs], None] | None = None,
        body: Body = "planar",
        threads: int = 2,
        device: str = "cpu",
        backend: Callable[[Scene, int], Backend] | None = None,
        substep_hook: Callable[[BatchEnv], None] | None = None,
        lidar: bool = True,
        diverged: Path | None = None,
        curriculum: bool = False,
    ) -> None:
        """Build the plant, the task and every launch; call `reset` before the first step.

        `filter` judges every command; `point_speeds` (`sim.points.Points`) fills the filter's `point_speed` and
        `phantoms` before it (without one every point may move at the profile's speed). `substep_hook` is called after
        every physics substep, for oracles and recorders that evaluate; contacts are then counted at each of them, and
        without it (the wheeled body in training) once a motor period. `lidar=False` leaves the sweep out (benchmarks).
        `backend` makes the physics (None: the C engine on "cpu", mujoco_warp elsewhere). Worlds that blow up are kept
        in the folder `diverged`, if one is given. Raises what `TaskConfig.check` and `Plant` do for numbers that cannot
        be, VaryError for a randomization out of its bounds, ValueError for a filter on a task without a corridor.
        `curriculum` counts how episodes end (`take_counts`).
        """
        config.check()
        config.check_room(site, robots)
        self.plant = Plant(
            site,
            config.spec,
            worlds=worlds,
            robots=robots,
            people=config.people,
            profile=config.profile,
            crowd=config.crowd,
            manners=config.manners,
            forklifts=config.forklifts,
            forklift=config.forklift,
            vary=config.table(),
            sensors=config.sensors,
            seed=seed,
            body=body,
            loads=config.loads_on(site, robots),
            threads=threads,
            device=device,
            backend=backend,
            filtered=filter is not None,
            lidar=lidar,
        )
        plant = self.plant
        self.site, self.config, self.scene, self.people = site, config, plant.scene, plant.people
        task = config.build(plant)
        observed = plant.suite if config.sensors.observed and not is_sensed(task.contract) else None
        inputs = None if filter is None else self._filter_inputs(task)
        super().__init__(
            plant,
            task,
            about={"task": task.contract.task, "site": site.hash, "seed": seed},
            filter=filter,
            filter_inputs=inputs,
            before_filter=None if point_speeds is None or inputs is None else lambda: point_speeds(inputs),
            sensed=Sensed(task, observed) if observed else None,
            substep_hook=substep_hook,
            diverged=diverged,
            recorder=None if diverged is None else self._recorder(),
            curriculum=curriculum,
        )

    def _recorder(self) -> Recorder:
        plant = self.plant
        state, shape = plant.state, (plant.worlds, plant.robots)
        periods = round(plant.spec.period / plant.spec.motor_period)
        recorder = Recorder(
            plant.scene.model, plant.backend, periods, plant.substeps, plant.robots, PODS_CHANGE if plant.pods else ()
        )
        for name in ("episode", "step", "refused"):
            recorder.also(f"row.{name}", getattr(state, name).reshape(shape))
        recorder.also("row.released", plant.drive.released.reshape((plant.worlds, -1)))
        return recorder

    def _filter_inputs(self, task: Task) -> FilterInputs:
        plant = self.plant
        rows, rays, state, corridor = plant.rows, plant.spec.lidar.rays, plant.state, task.corridor

        def floats(*shape: int, value: float = 0.0) -> wp.array:
            return wp.full(shape, value, dtype=wp.float32, device=plant.device)

        if corridor is None:
            raise ValueError(f"expected a task with a corridor under a filter, got {task.contract.task!r}")
        person_speed = 0.0 if self.config.profile == Profile.STILL else SPEED_HIGH
        return FilterInputs(
            command=state.proposed,
            last_command=plant.drive.before,
            scan=state.scan,
            point_speed=floats(rows, rays, value=person_speed),
            scan_age=floats(rows) if plant.suite is None else plant.suite.oldest,
            pose=state.measured_pose,
            twist=state.measured_twist,
            corridor_points=corridor.points,
            corridor_half_width=corridor.half_width,
            corridor_count=corridor.count,
            phantoms=floats(rows, PHANTOMS, 6),
            person_free=floats(rows),
            speed_limit=plant.speed_limit if plant.zones is not None else None,
        )
