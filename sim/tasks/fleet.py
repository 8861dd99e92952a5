"""The warehouse's fleets: a task for each robot, and who takes part in it (sim/tasks/together.py).

The task of each robot is any of the warehouse's. One that ends is taken off the floor with the pod that is its own; an
item that it was to pick lies in its bin again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from sim.bounds import check_whole
from sim.loads import Loads
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.sensed import Sensed
from sim.tasks.task import TaskConfig
from sim.tasks.together import Fleet, Together
from sim.vary import Row

if TYPE_CHECKING:
    from sim.plant import Plant

CLEAR = 0.1
"""Between the circles in which two robots turn as they begin, m: more than starts are off, so that none touches."""


@dataclass(frozen=True)
class FleetConfig(TaskConfig):
    """Who takes part in what. Make it with `fleet`, which keeps what it shares with the robots' task equal."""

    each: TaskConfig = field(default_factory=NavigateConfig)
    """The task of one robot."""
    fewest: int = 1
    """Robots that take part at least, where all find a place; at most all of a world's. 0: always all."""
    shared: bool = False
    """One reward for all that act, the mean of theirs."""

    def check(self) -> None:
        """As the base, and the robots' task."""
        super().check()
        check_whole("fewest", self.fewest, 0)
        self.each.check()

    def rows(self) -> tuple[Row, ...]:
        """The rows of the robots' task."""
        return replace(self.each, spec=self.spec, randomization=self.randomization).rows()

    def check_room(self, site: Site, robots: int) -> None:
        """As the robots' task."""
        self.each.check_room(site, robots)

    def loads_on(self, site: Site, robots: int) -> Loads:
        """What the robots' task wants for each of them."""
        return replace(self.each, spec=self.spec, loads=self.loads).loads_on(site, robots)

    def build(self, plant: Plant) -> Fleet:
        """The task on a plant."""
        common = {name.name: getattr(self, name.name) for name in fields(TaskConfig) if name.name != "randomization"}
        each = replace(self.each, **common).build(plant)
        sensed = Sensed(each, plant.suite) if plant.suite and self.sensors.observed else None
        wide = math.hypot(*plant.scene.pod_size[:2]) if plant.scene.own_pods else 0.0
        clear = max(2.0 * plant.spec.radius, wide) + CLEAR
        return Fleet(plant, each, Together(self.fewest, self.shared), clear=clear, sensed=sensed)


def fleet(each: TaskConfig, *, fewest: int = 0, shared: bool = False) -> FleetConfig:
    """The fleet's task over one robot's. Raises ValueError for a negative number of robots and a fleet of fleets."""
    if isinstance(each, FleetConfig):
        raise ValueError("expected the task of one robot, got a fleet's; take the fleet as it is, or its `each`")
    if fewest < 0:
        raise ValueError(f"expected 0 robots (always all) or more at least, got {fewest}")
    common = {each_field.name: getattr(each, each_field.name) for each_field in fields(TaskConfig)}
    return FleetConfig(each=each, fewest=fewest, shared=shared, **common)
