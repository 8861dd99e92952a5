"""The work of a run: which tasks a fleet gets on a floor.

    deliver   fetch at one station and deliver at another, drawn by the seed; on a floor without stations loads are
              fetched at rack faces and delivered to open cells
    errands   the cells of a League-of-Robot-Runners problem, one visit each, in the file's order

Some of the deliveries may bring a pod to a station and back instead, where robots lift pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordination.client import new_task_id
from coordination.messages import Leg, LegKind
from coordination.requests import Task
from hierarchy.motor import driven
from sim.errors import MusterError
from sim.gridfiles import Problem
from sim.lifting import EMPTY_POD, why_not
from sim.reach import FAR, components, distances
from sim.site import Site
from sim.specfile import named_spec

if TYPE_CHECKING:
    from fleet.warehouse import Config


class WarehouseError(MusterError):
    """The work cannot be given to this fleet on this floor."""


def make_tasks(problem: Problem, config: Config) -> list[Task]:
    """The tasks, with fresh ids. Raises `WarehouseError` where the floor or the file has not enough for them."""
    errands = config.work == "errands" or (config.work == "auto" and len(problem.errands) > 0)
    if errands:
        if len(problem.errands) < config.tasks:
            raise WarehouseError(
                f"expected {config.tasks} errands in {config.site}, got {len(problem.errands)}; ask for fewer tasks"
            )
        cells = problem.errands[: config.tasks].tolist()
        return [Task(new_task_id(), (Leg(cell, LegKind.VISIT),)) for cell in cells]
    draws = np.random.default_rng([config.seed, 0x7A5C])
    pick, drop = stations(problem.site, draws)
    tasks = _pod_tasks(problem.site, drop, draws, config)
    for _ in range(config.tasks - config.pods):
        origin = int(draws.choice(pick))
        goal = int(draws.choice(drop[drop != origin]))
        legs = (Leg(origin, LegKind.FETCH, config.dwell), Leg(goal, LegKind.DELIVER, config.dwell))
        tasks.append(Task(new_task_id(), legs, payload=config.payload))
    return tasks


def _pod_tasks(site: Site, drop: NDArray[np.int32], draws: np.random.Generator, config: Config) -> list[Task]:
    """Each of some pods once to a station and back."""
    if not config.pods:
        return []
    pods = site.fixtures.pods if site.fixtures.pod_side is not None else ()
    if config.pods > len(pods):
        raise WarehouseError(
            f"--pods: expected at most one task for each of the {len(pods)} pods of {site.name} that robots lift, "
            f"got {config.pods}; ask for fewer, or give the site pods with lift_from"
        )
    chosen: list[int] = draws.permutation(np.array(pods))[: config.pods].tolist()
    _check_liftable(site, chosen[0], config)
    tasks = []
    for pod in chosen:
        goal = int(draws.choice(drop))
        legs = (
            Leg(pod, LegKind.LIFT),
            Leg(goal, LegKind.SET_DOWN, config.dwell),
            Leg(goal, LegKind.LIFT),
            Leg(pod, LegKind.SET_DOWN),
        )
        tasks.append(Task(new_task_id(), legs, capability="lift", payload=EMPTY_POD + config.goods))
    return tasks


def _check_liftable(site: Site, pod: int, config: Config) -> None:
    """Raise `WarehouseError` where no robot of the fleet lifts a pod with its goods: they are all of one kind."""
    spec = driven(named_spec(config.spec).spec, config.body)
    reason = why_not(spec, site)
    if reason:
        row, column = divmod(pod, site.width)
        length, width, _ = site.fixtures.pod_size
        raise WarehouseError(
            f"--pods: expected pods that robots of the fleet lift, got pod [{column}, {row}] of {site.name}, "
            f"{length:g} m x {width:g} m: {spec.name} {reason}"
        )
    if EMPTY_POD + config.goods > spec.payload_max:
        raise WarehouseError(
            f"--goods: expected at most {spec.payload_max - EMPTY_POD:g} kg, got {config.goods:g} kg; {spec.name} "
            f"lifts {spec.payload_max:g} kg, and a pod of {site.name} without goods weighs {EMPTY_POD:g} kg"
        )


def stations(site: Site, draws: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cells to fetch at and cells to deliver at: the stations by kind, or drawn ones where there are fewer than two.

    Raises `WarehouseError` where no load can go from one to another.
    """
    if len(site.stations) >= 2:
        pick = site.stations[~np.isin(site.stations, site.fixtures.drops)]
        drop = site.stations[~np.isin(site.stations, site.fixtures.picks)]
        if len(drop) == 1:
            pick = pick[pick != drop[0]]  # nowhere to go from there
        if not len(pick) or not len(drop):
            raise WarehouseError(
                f"expected a station to fetch at and another to deliver at on {site.name}, got {len(pick)} and "
                f"{len(drop)}; add pick or drop stations"
            )
        return pick, drop
    part = components(site)
    home = part == np.bincount(part[part >= 0]).argmax()
    first = int(np.flatnonzero(home)[0])
    home &= distances(site, np.array([first])) < FAR
    exits = site.exits.reshape(-1, 4).sum(axis=1)
    faces = np.flatnonzero(home & (exits < 4)).astype(np.int32)
    wide = np.flatnonzero(home & (exits == 4)).astype(np.int32)
    if len(faces) < 1 or len(wide) < 2:  # a hall without racks, or nothing but aisles
        faces = wide = np.flatnonzero(home).astype(np.int32)
    if len(wide) < 2:
        raise WarehouseError(f"expected at least two connected free cells on {site.name}, got {len(wide)}")
    return faces, draws.choice(wide, min(len(wide), 48), replace=False)
