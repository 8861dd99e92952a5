"""One world as a Gymnasium environment, in a module of its own: each process of an asynchronous rival imports it."""

from __future__ import annotations

from dataclasses import replace

from sim.adapters import WarehouseEnv
from sim.generate import generate_campus
from sim.site import Site
from sim.tasks.navigate import NavigateConfig


def floor() -> Site:
    """A lane's campus in training."""
    return generate_campus(0, blocks=(5, 5))


def task() -> NavigateConfig:
    """The training task, with fewer paths, because every world of a rival finds its own."""
    return replace(NavigateConfig(), paths=1024)


def make_one() -> WarehouseEnv:
    """One world of it."""
    return WarehouseEnv(floor(), task())
