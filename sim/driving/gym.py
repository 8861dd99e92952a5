"""What `gymnasium.make` and `gymnasium.make_vec` take for the ids of driving tasks (sim/gym.py lists them).

gymnasium.make("sim.gym:muster/DriveLane-v1", road="highway:3")
gymnasium.make_vec("sim.gym:muster/DriveRoute-v1", num_envs=64, road=["town:7", "rural:2", "junction.xodr"])
gymnasium.make("sim.gym:muster/DriveChange-v1", config=RoadConfig("change", traffic=30), body="full")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

from sim.driving.adapters import DriveEnv, DriveVectorEnv
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig
from sim.driving.scene import RoadBody
from sim.driving.skill import PLACES, Skill
from sim.errors import nearest
from sim.road import Road, RoadError
from sim.roadfile import load_road

ROAD = "highway:7"
"""The road where none is given: of the generated ones, every skill can begin on it."""

KEYWORDS = ("body", "config", "render_mode", "road", "time_limit")
"""What `gymnasium.make` takes for each id; `gymnasium.make_vec` also robots and threads."""

Roads = str | Road | Atlas | Sequence[str | Road]
"""One road or several, by the words that sim/roadfile.py takes or read already; or an atlas."""


def atlas_of(road: Roads) -> Atlas:
    """The atlas of roads. Raises `RoadError` or `FileError` for a road that is none, one line."""
    if isinstance(road, Atlas):
        return road
    several = list(road) if isinstance(road, Sequence) and not isinstance(road, str) else [road]
    return Atlas([each if isinstance(each, Road) else load_road(each) for each in map(_checked, several)])


def _checked(road: object) -> str | Road:
    if not isinstance(road, str | Road):
        raise RoadError(f"expected a road's name or a road, got {road!r}; write highway:7 or the name of a file")
    return road


def configured(skill: Skill, config: RoadConfig | None = None, time_limit: float | None = None) -> RoadConfig:
    """`config`, or the skill's default, with a time limit in s where one is given.

    Raises ValueError for a configuration of another skill or of another world.
    """
    if config is not None and (not isinstance(config, RoadConfig) or config.skill != skill):
        came = f"one of {config.skill}" if isinstance(config, RoadConfig) else f"a {type(config).__name__}"
        raise ValueError(f'expected a configuration of {skill}, got {came}; write config=RoadConfig("{skill}", ...)')
    given = RoadConfig(skill) if config is None else config
    return given if time_limit is None else replace(given, time_limit=time_limit)


def skill_of(skill: str) -> Skill:
    """A skill by its name. Raises ValueError for a name that is none."""
    if skill not in PLACES:
        raise ValueError(f"expected a driving task, got {skill!r}{nearest(skill, PLACES)}")
    return cast(Skill, skill)


def check_known(unknown: Mapping[str, object], known: Sequence[str]) -> None:
    """Raise ValueError for the first unknown keyword; a task's own numbers belong into its configuration."""
    for name in unknown:
        close = nearest(name, [*known, *(each.name for each in fields(RoadConfig))])
        hint = close if close.startswith("; did") else ""
        raise ValueError(
            f"expected keywords of {', '.join(sorted(known))}, got {name!r}{hint}; "
            "numbers of the task go into config, as config=RoadConfig(traffic=8)"
        )


def make_env(
    skill: str,
    road: Roads = ROAD,
    config: RoadConfig | None = None,
    time_limit: float | None = None,
    body: RoadBody = "kinematic",
    render_mode: str | None = None,
    **unknown: Any,  # whatever somebody wrote
) -> DriveEnv:
    """One car. `config` None: the skill's default; `time_limit` (s) of an episode; `body` kinematic or full.

    Raises ValueError for a configuration of another skill and for an unknown keyword, and what reading a road raises.
    """
    check_known(unknown, KEYWORDS)
    given = configured(skill_of(skill), config, time_limit)
    return DriveEnv(atlas_of(road), given, body=body, render_mode=render_mode)


def make_vector_env(
    num_envs: int,
    skill: str,
    road: Roads = ROAD,
    config: RoadConfig | None = None,
    time_limit: float | None = None,
    body: RoadBody = "kinematic",
    robots: int = 1,
    threads: int = 2,
    render_mode: str | None = None,
    **unknown: Any,  # whatever somebody wrote
) -> DriveVectorEnv:
    """`num_envs` cars, `robots` in each world; otherwise as `make_env`."""
    check_known(unknown, (*KEYWORDS, "robots", "threads"))
    given = configured(skill_of(skill), config, time_limit)
    return DriveVectorEnv(
        atlas_of(road), given, num_envs, robots=robots, body=body, threads=threads, render_mode=render_mode
    )
