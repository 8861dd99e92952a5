"""Every task by name, as a function that returns its default configuration."""

from __future__ import annotations

from collections.abc import Callable

from sim.tasks.avoid import avoid
from sim.tasks.carry import CarryConfig
from sim.tasks.dock import DockConfig
from sim.tasks.fleet import fleet
from sim.tasks.navigate import NavigateConfig
from sim.tasks.pick import PickConfig
from sim.tasks.task import TaskConfig
from sim.tasks.track import TrackConfig

TASKS: dict[str, Callable[[], TaskConfig]] = {
    "navigate": NavigateConfig,
    "avoid": avoid,
    "dock": DockConfig,
    "fleet": lambda: fleet(NavigateConfig()),
    "carry": CarryConfig,
    "pick": PickConfig,
    "track": TrackConfig,
}
