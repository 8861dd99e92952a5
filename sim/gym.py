"""Gymnasium's ids of every task, `muster/Warehouse<Task>-v1` and `muster/Drive<Task>-v1`, for `make` and `make_vec`.

    gymnasium.make("sim.gym:muster/WarehouseNavigate-v1")                # one robot: `sim.adapters.WarehouseEnv`
    gymnasium.make_vec("sim.gym:muster/WarehouseAvoid-v1", num_envs=64)  # our batch: `sim.adapters.WarehouseVectorEnv`
    gymnasium.make("sim.gym:muster/WarehouseCarry-v1", site="floor.yaml", config=replace(CarryConfig(), people=2))
    gymnasium.make("sim.gym:muster/DriveLane-v1", road="town:7")         # one car: `sim.driving.adapters.DriveEnv`

`sim.gym:` tells Gymnasium which module to import; after `import sim.gym` the id alone does. The package also declares
the entry point `gymnasium.envs`, by which Gymnasium found plugins until 0.29; 1.0 took that loader out, so nothing
imports us on its own any more. The vector environment is native (`vector_entry_point`, autoreset mode SAME_STEP);
`vectorization_mode="sync"` or `"async"` wraps single ones as ever. Episodes end by the task's own time limit, which its
configuration says, so no wrapper cuts them.

What stands here beside the ids is the warehouse's; the road's is sim/driving/gym.py, which Gymnasium imports when it
makes one. Many robots that begin and end together are PettingZoo's matter: sim/fleet_v1.py, sim/drive_v1.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import gymnasium

from sim.adapters import WarehouseEnv, WarehouseVectorEnv
from sim.driving.contract import SKILLS
from sim.errors import nearest
from sim.readers import load_site
from sim.site import Site
from sim.tasks.fleet import FleetConfig
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS
from sim.tasks.task import TaskConfig

NAMESPACE = "muster"

FLOOR = "generate:7"
"""The floor where none is given; the one of the demo."""

KEYWORDS = ("config", "render_mode", "site", "time_limit")
"""What `gymnasium.make` takes for each id; `gymnasium.make_vec` also robots and threads."""


def ids() -> dict[str, str]:
    """Every id of the warehouse and its task."""
    tasks = (name for name, make in TASKS.items() if not isinstance(make(), FleetConfig))
    return {f"{NAMESPACE}/Warehouse{task.capitalize()}-v1": task for task in tasks}


def drive_ids() -> dict[str, str]:
    """Every id of the road and its skill."""
    return {f"{NAMESPACE}/Drive{skill.title().replace('_', '')}-v1": skill for skill in (*SKILLS, "route")}


def check_known(unknown: Mapping[str, object], known: Sequence[str]) -> None:
    """Raise ValueError for the first unknown keyword; a task's own numbers belong into its configuration."""
    for name in unknown:
        names = ", ".join(sorted(known))
        close = nearest(name, [*known, *(each.name for each in fields(NavigateConfig))])
        hint = close if close.startswith("; did") else ""
        raise ValueError(
            f"expected keywords of {names}, got {name!r}{hint}; "
            "numbers of the task go into config, as config=NavigateConfig(people=2)"
        )


def make_env(
    task: str,
    site: str | Site = FLOOR,
    config: TaskConfig | None = None,
    time_limit: float | None = None,
    render_mode: str | None = None,
    **unknown: object,
) -> WarehouseEnv:
    """One robot. `site` as `muster` takes it; `config` None: the task's default; `time_limit` (s) of an episode.

    Raises ValueError for a configuration of another task and for an unknown keyword, and what reading a site raises.
    """
    check_known(unknown, KEYWORDS)
    return WarehouseEnv(floor_of(site), configured(task, config, time_limit), render_mode=render_mode)


def make_vector_env(
    num_envs: int,
    task: str,
    site: str | Site = FLOOR,
    config: TaskConfig | None = None,
    time_limit: float | None = None,
    robots: int = 1,
    threads: int = 2,
    render_mode: str | None = None,
    **unknown: object,
) -> WarehouseVectorEnv:
    """`num_envs` robots, `robots` in each world; otherwise as `make_env`."""
    check_known(unknown, (*KEYWORDS, "robots", "threads"))
    config = configured(task, config, time_limit)
    return WarehouseVectorEnv(floor_of(site), config, num_envs, robots=robots, threads=threads, render_mode=render_mode)


def register() -> None:
    """Put every id into Gymnasium's registry; again and again does no harm."""
    for name, task in ids().items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="sim.gym:make_env",
                vector_entry_point="sim.gym:make_vector_env",
                kwargs={"task": task},
            )
    for name, skill in drive_ids().items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="sim.driving.gym:make_env",
                vector_entry_point="sim.driving.gym:make_vector_env",
                kwargs={"skill": skill},
            )


def floor_of(site: str | Site) -> Site:
    """A floor, or the one that `muster` takes by that text."""
    return site if isinstance(site, Site) else load_site(site)


def configured(task: str, config: TaskConfig | None = None, time_limit: float | None = None) -> TaskConfig:
    """`config`, or the task's default, with a time limit in s where one is given.

    Raises ValueError for a configuration of another task.
    """
    default = TASKS[task]()
    given = default if config is None else config
    named = getattr(given, "task", task)  # kinds of navigate say their name, others are of a type of their own
    if type(given) is not type(default) or named != task:
        raise ValueError(f"expected a configuration of {task}, got one of {named} ({type(given).__name__})")
    return given if time_limit is None else replace(given, time_limit=time_limit)


register()
