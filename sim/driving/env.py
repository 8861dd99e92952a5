"""The road's worlds: an atlas, its cars among traffic and people, and one of the driving tasks.

`RoadEnv` builds the plant (sim/driving/plant.py), the senses, who else is on the road and the task that a `RoadConfig`
asks for, and is stepped as all worlds are (sim/worlds.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.bodies.specs import CAR
from sim.bounds import ConfigError, check_named, check_number, check_whole
from sim.diverged import Recorder
from sim.driving.atlas import Atlas
from sim.driving.filter import RoadInputs
from sim.driving.motornet import motor_rows
from sim.driving.plant import Mover, RoadPlant
from sim.driving.profile import RoadProfile
from sim.driving.scene import RoadBody
from sim.driving.senses import RoadTruth, Senses
from sim.driving.sensing import RoadSensors
from sim.driving.sensingrows import road_sensor_rows
from sim.driving.skill import PLACES, Driving, Skill
from sim.driving.starts import NEAREST, Places
from sim.driving.traffic import Traffic, TrafficConfig, traffic_rows
from sim.driving.variedcars import car_rows
from sim.filter import Filter
from sim.perceptron import Layers
from sim.robot import SECOND, RobotSpec
from sim.specfile import check_spec
from sim.tasks.task import Task
from sim.tasks.together import Fleet, Together
from sim.vary import Row, Table, Variation
from sim.worlds import Worlds

TIMES: dict[str, float] = {"lane": 30.0, "change": 15.0, "pull_over": 40.0, "route": 120.0}
"""Time limit of each skill's episodes, s: twice what the hand-written driver needs."""


ACTORS_MAX = 200
"""Slots of one kind in a world: more than a kilometre of three full lanes holds."""


@dataclass(frozen=True)
class RoadConfig:
    """A driving task, whole."""

    skill: Skill = "lane"
    spec: RobotSpec = CAR
    traffic: int = 16
    """Slots of other vehicles in each world"""
    walkers: int = 4
    """Slots of people on foot in each world"""
    profile: RoadProfile = RoadProfile()  # noqa: RUF009  # frozen
    sensors: RoadSensors = RoadSensors()  # noqa: RUF009  # frozen
    time_limit: float = 0.0
    """s; 0: the skill's own"""
    randomization: Variation = Variation()  # noqa: RUF009  # frozen
    """What is said of `rows`."""
    motor: Layers | None = None
    """A frozen motor policy that corrects the firmware (sim/driving/motornet.py); None: the firmware alone"""

    def check(self) -> None:
        """Raise for the first number that no environment can have: ConfigError, SpecError, SensorError."""
        check_named("skill", self.skill, tuple(PLACES))
        check_spec(self.spec)
        check_whole("traffic", self.traffic, 0, ACTORS_MAX)
        check_whole("walkers", self.walkers, 0, ACTORS_MAX)
        check_number("time_limit", self.time_limit, 0.0, 3600.0, remedy="give seconds, or 0 for the skill's own")
        check_number("randomization.level", self.randomization.level, 0.0, 1.0)
        steps = round(self.limit * SECOND / self.spec.period)
        if steps < 1:
            raise ConfigError(
                f"time_limit: expected one control step of {self.spec.period / SECOND:g} s or more, got "
                f"{self.time_limit:g} s; give more seconds"
            )

    @property
    def limit(self) -> float:
        """Time limit of an episode, s."""
        return self.time_limit or TIMES[self.skill]

    def rows(self) -> tuple[Row, ...]:
        """What varies: car, senses, traffic, and the motor policy's own sensors where there is one."""
        level = self.randomization.level
        motor = () if self.motor is None else motor_rows(level)
        senses = road_sensor_rows(self.sensors, self.spec, level)
        return (*car_rows(self.spec, level), *senses, *traffic_rows(), *motor)

    def table(self) -> Table:
        """What varies, with what this configuration says of it. Raises VaryError for a row out of its bounds."""
        return Table(self.rows()).changed(self.randomization.changes)


class RoadEnv(Worlds):
    """A driving task in `worlds` worlds of one atlas, `robots` cars each: plant, task and filter. See `snapshot`."""

    def __init__(
        self,
        atlas: Atlas,
        config: RoadConfig,
        *,
        worlds: int,
        robots: int = 1,
        seed: int = 0,
        filter: Filter | None = None,
        body: RoadBody = "kinematic",
        places: Places | None = None,
        together: Together | None = None,
        open_ended: bool = False,
        drive_egos: bool = False,
        movers: Callable[[RoadPlant], Sequence[Mover]] | None = None,
        slots: int = 0,
        threads: int = 2,
        device: str = "cpu",
        substep_hook: Callable[[RoadEnv], None] | None = None,
        diverged: Path | None = None,
        curriculum: bool = False,
    ) -> None:
        """Build the plant, the task and every launch; call `reset` before the first step.

        `places`: where episodes begin (None: the skill's own). `together`: the cars of a world begin together and
        whoever has ended leaves the road until all have (`sim.driving.fleetenv`); None: each goes on at once.
        `open_ended`: routes do not end drives; `drive_egos`: traffic works out for the egos, too, when to change lanes
        (sim/driving/idmdriver.py). `movers` adds who else moves (scenarios, recordings), in `slots` slots behind those
        of traffic and people. `filter` judges every command on `RoadInputs`. Raises what `RoadConfig.check` and
        `RoadPlant` do for numbers that cannot be, VaryError for a randomization out of its bounds, RoadError for roads
        on which the task can begin nowhere.
        """
        config.check()
        if together is not None:
            together.check()
        table = config.table()
        self.atlas, self.config = atlas, config
        self.plant = plant = RoadPlant(
            atlas,
            config.spec,
            worlds=worlds,
            robots=robots,
            actors=robots + config.traffic + config.walkers + slots,
            vary=table,
            seed=seed,
            body=body,
            threads=threads,
            device=device,
            filtered=filter is not None,
            motor=config.motor,
        )
        self.scene, self.view = plant.scene, plant.view
        truth = RoadTruth(
            atlas=atlas,
            actors=plant.actors,
            footing=plant.footing,
            pose=plant.state.pose,
            motion=plant.true_motion,
            episode=plant.state.episode,
            step=plant.state.step,
        )
        senses = Senses(
            config.sensors, config.spec, truth, plant.view, robots=robots, table=table, values=plant.varies.values,
            seed=plant.seed, profile=config.profile, device=device,
        )  # fmt: skip
        self.traffic = Traffic(
            atlas,
            plant.actors,
            road=plant.road,
            route=plant.footing.route,
            episode=plant.state.episode,
            robots=robots,
            seed=plant.seed,
            config=TrafficConfig(vehicles=config.traffic, walkers=config.walkers, profile=config.profile),
            vary=plant.varies,
            first_row=table.index(traffic_rows()[0].name),
            step=config.spec.period / SECOND,
            period=config.spec.motor_period / SECOND,
            drive_egos=drive_egos,
        )
        # traffic begins last: it keeps away from whom scenarios and recordings have placed
        plant.complete(senses, [*(movers(plant) if movers is not None else ()), self.traffic])
        task: Task = Driving(plant, config.skill, config.limit, places, open_ended=open_ended)
        if together is not None:
            task = Fleet(plant, task, together, clear=NEAREST)
        inputs = RoadInputs(
            command=plant.state.proposed,
            last_command=plant.drive.before,
            view=plant.view,
            lanes=atlas.lanes,
            conflicts=atlas.conflicts,
        )
        super().__init__(
            plant,
            task,
            about={"task": task.contract.task, "roads": [road.hash for road in atlas.roads], "seed": seed},
            filter=filter,
            filter_inputs=inputs,
            substep_hook=substep_hook,
            diverged=diverged,
            recorder=None if diverged is None or plant.scene.model is None else self._recorder(),
            curriculum=curriculum,
        )

    def _recorder(self) -> Recorder:
        plant = self.plant
        periods = round(plant.spec.period / plant.spec.motor_period)
        recorder = Recorder(plant.scene.model, plant.backend, periods, plant.substeps, plant.robots)
        shape = (plant.worlds, plant.robots)
        for name in ("episode", "step", "refused"):
            recorder.also(f"row.{name}", getattr(plant.state, name).reshape(shape))
        recorder.also("row.released", plant.drive.released.reshape((plant.worlds, -1)))
        return recorder
