"""Floors by the name that a person gives: a file of any kind that we read, or a seed.

    load_site("generate:7")                a warehouse from seed 7 (sim/generate.py); "generate:7:24x16" sets its size
    load_site("campus:7")                  a training campus
    load_site("floor.map")                 MovingAI (sim/gridfiles.py)
    load_site("floor.yaml")                a hand-made floor (sim/siteyaml.py): its first key is `muster`
    load_site("map.yaml")                  a Nav2 map with its image (sim/navmap.py)
    load_site("problem.json")              League of Robot Runners 2023 (sim/gridfiles.py)
    load_site("floor.npz")                 what `sim.compiled.write_site` wrote
    load_site("floor.map:person-free")     any of them with `:person-free`: nobody walks on this floor

Every error names file, line and column, what was expected, what came and what to do. No floor edge gets extra cells:
the scene closes floors with outer walls.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from sim.compiled import read_site
from sim.errors import nearest
from sim.generate import generate_campus, generate_warehouse
from sim.gridfiles import Problem, place_of, read_lorr, read_movingai
from sim.navmap import is_navmap, read_navmap
from sim.reach import FAR, distances, reversed_exits
from sim.site import CELL, CELL_MAX, CELL_MIN, Site, SiteError, declare_person_free
from sim.siteyaml import read_site_yaml

PERSON_FREE = ":person-free"


def load_site(text: str | Path, cell: float = CELL) -> Site:
    """The floor that `text` names (see the module); `cell` is the cell size, m. Raises `SiteError` and `FileError`."""
    return load_problem(text, cell).site


def load_problem(text: str | Path, cell: float = CELL) -> Problem:
    """As `load_site`, with the start cells and errands of a problem file."""
    if not CELL_MIN <= cell <= CELL_MAX:
        raise SiteError(f"expected a cell size from {CELL_MIN:g} to {CELL_MAX:g} m, got {cell:g}; give for example 1.2")
    name = str(text)
    if name.endswith(PERSON_FREE):
        problem = load_problem(name.removesuffix(PERSON_FREE), cell)
        return replace(problem, site=declare_person_free(problem.site))
    kind, colon, rest = name.partition(":")
    if colon and kind in ("generate", "campus"):
        return Problem(_generated(name, kind, rest, cell))
    path = Path(name)
    if path.suffix == ".json":
        return read_lorr(path, cell)
    if path.suffix in (".yaml", ".yml"):
        return Problem(read_navmap(path, cell) if is_navmap(path) else read_site_yaml(path))
    if path.suffix == ".npz":
        return Problem(read_site(path))
    if path.suffix == ".map":
        return Problem(read_movingai(path, cell))
    raise SiteError(
        f'expected a site as a .yaml, .map, .json or .npz file or "generate:SEED", got "{name}"'
        + (nearest(kind, ("generate", "campus")) if colon else "; give the file's full name")
    )


def check_site(site: Site, robots: int = 0) -> None:
    """Raise `SiteError` unless `robots` find a free cell each and can drive between all stations and chargers."""
    free = int((~site.standing).sum())
    if robots > free:
        raise SiteError(
            f"expected at most {free} robots, one for each free cell of {site.name}, got {robots}; "
            "take fewer or a larger site"
        )
    places = np.concatenate([site.stations, site.chargers])
    names = ["station"] * len(site.stations) + ["charger"] * len(site.chargers)
    for place, name in zip(places.tolist(), names, strict=True):
        if not 0 <= place < site.blocked.size or site.standing.reshape(-1)[place]:
            raise SiteError(
                f"expected every {name} of {site.name} on a free cell, got {place_of(site, place)}, "
                "which is blocked; move it"
            )
    if len(places) == 0:
        return
    first = int(places[0])
    there = distances(site, np.array([first])) < FAR
    back = distances(replace(site, exits=reversed_exits(site.exits)), np.array([first])) < FAR
    for place, name in zip(places.tolist(), names, strict=True):
        if not (there[place] and back[place]):
            origin, goal = (first, place) if there[place] else (place, first)
            raise SiteError(
                f"expected a way between all stations and chargers of {site.name}, got none from "
                f"{place_of(site, origin)} to {place_of(site, goal)}; open an aisle or move the {name}"
            )


def _generated(name: str, kind: str, rest: str, cell: float) -> Site:
    match = re.fullmatch(r"(\d{1,18})(?::(\d{1,4})x(\d{1,4}))?", rest)
    if not match or (kind == "campus" and match.group(2)):
        form = '"generate:SEED" or "generate:SEED:WIDTHxHEIGHT"' if kind == "generate" else '"campus:SEED"'
        raise SiteError(f'expected {form} with whole numbers, got "{name}"; give for example "{kind}:7"')
    seed = int(match.group(1))
    if kind == "campus":
        return generate_campus(seed, cell=cell)
    if not match.group(2):
        return generate_warehouse(seed, cell=cell)
    width, height = int(match.group(2)), int(match.group(3))
    stations, chargers = max(2, (width - 6) // 2), max(0, 2 * ((height - 10) // 4))
    site = generate_warehouse(seed, width=width, height=height, stations=stations, chargers=chargers, cell=cell)
    return replace(site, name=name)
