"""Floors from files: MovingAI maps, League-of-Robot-Runners problems, compiled sites; and from names.

    load_site("generate:7")                a warehouse from seed 7 (sim/generate.py); "generate:7:24x16" sets its size
    load_site("campus:7")                  a training campus
    load_site("floor.map")                 MovingAI: `type`, `height`, `width`, `map`, then one line for each row
    load_site("floor.yaml")                a hand-made floor (sim/siteyaml.py): its first key is `muster`
    load_site("map.yaml")                  a Nav2 map with its image (sim/navmap.py)
    load_site("problem.json")              League of Robot Runners 2023: names a map, start cells and errands
    load_site("floor.npz")                 what `write_site` wrote, for example from a networkx floor (sim/floor.py)
    load_site("floor.map:person-free")     any of them with `:person-free`: nobody walks on this floor

Map characters: `.`, `G` (ground), `S` (swamp; in the League a shelf's service cell) and `E` (the League's endpoints,
which become stations) are free; `@`, `O`, `T` and `W` are blocked. https://movingai.com/benchmarks/formats.html

The League's 2023 files hold a count line, then one linear cell (row * width + column) for each robot or errand:
https://github.com/MAPF-Competition/Start-Kit. Its later task files with several errands on a line are not read.

Every error names file, line and column, what was expected, what came and what to do. No floor edge gets extra cells:
the scene closes floors with outer walls.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import nearest
from sim.files import DamagedFile, FileError, read_arrays, replacing
from sim.fixtures import pack_fixtures, unpack_fixtures, wrong_fixtures
from sim.generate import generate_campus, generate_warehouse
from sim.navmap import is_navmap, read_navmap
from sim.reach import FAR, distances, reversed_exits
from sim.site import CELL, Site, SiteError, declare_person_free, make_site
from sim.siteyaml import read_site_yaml

FREE = ".GSE"
BLOCKED = "@OTW"

SIDE_MAX = 8192
"""Cells; a longer side is a broken header rather than a floor of 10 km."""

PERSON_FREE = ":person-free"

_GRIDS = ("blocked", "person_free", "exits")
_LISTS = ("stations", "chargers")
"""Arrays of a compiled floor, by the names of `Site`'s fields."""


@dataclass(frozen=True)
class Problem:
    """A floor and, where its file states them, where robots start and what they have to do."""

    site: Site
    starts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Start cells, in robot order."""
    errands: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Cells to visit, in the order in which they are handed out."""


def load_site(text: str | Path, cell: float = CELL) -> Site:
    """The floor that `text` names (see the module); `cell` is the cell size, m. Raises `SiteError` and `FileError`."""
    return load_problem(text, cell).site


def load_problem(text: str | Path, cell: float = CELL) -> Problem:
    """As `load_site`, with the start cells and errands of a problem file."""
    if not 0.0 < cell < float("inf"):
        raise SiteError(f"expected a cell size above 0 m, got {cell:g}; give for example 1.2")
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
    if path.suffix == ".yaml":
        return Problem(read_navmap(path, cell) if is_navmap(path) else read_site_yaml(path))
    if path.suffix == ".npz":
        return Problem(read_site(path))
    if path.suffix == ".map":
        return Problem(read_movingai(path, cell))
    raise SiteError(
        f'expected a site as a .yaml, .map, .json or .npz file or "generate:SEED", got "{name}"'
        + (nearest(kind, ("generate", "campus")) if colon else "; give the file's full name")
    )


def read_movingai(path: Path, cell: float = CELL) -> Site:
    """A floor from a MovingAI map. Raises `SiteError` where it is none, `FileError` where it cannot be read."""
    lines = _text(path).splitlines()
    height = width = 0
    at = 0
    for at, line in enumerate(lines):
        words = line.split()
        if words == ["map"]:
            break
        if words[:1] == ["type"]:
            continue
        if len(words) == 2 and words[0] in ("height", "width"):
            size = _number(path, at + 1, words[1], 1, SIDE_MAX, f"{words[0]} in cells")
            height, width = (size, width) if words[0] == "height" else (height, size)
        else:
            raise SiteError(
                f'{path}, line {at + 1}: expected "type", "height N", "width N" or "map", got {_shown(line)}; '
                "give a MovingAI .map file"
            )
    else:
        raise SiteError(f'{path}: expected a line "map" after the header, got {len(lines)} lines without one; add it')
    if not height or not width:
        raise SiteError(f'{path}: expected "height N" and "width N" before line {at + 1} "map", got none; add them')
    rows = lines[at + 1 :]
    while rows and not rows[-1]:
        rows.pop()
    for row, line in enumerate(rows[:height]):
        if len(line) != width:
            raise SiteError(
                f"{path}, line {at + 2 + row}: expected {width} characters as the header's width says, "
                f"got {len(line)}; make every row equally long or correct the header"
            )
        wrong = re.search(f"[^{re.escape(FREE + BLOCKED)}]", line)
        if wrong:
            raise SiteError(
                f"{path}, line {at + 2 + row}, column {wrong.start() + 1}: expected one of {FREE} (free) or {BLOCKED} "
                f"(blocked), got {_shown(wrong.group())}; replace it"
            )
    if len(rows) != height:
        raise SiteError(
            f"{path}: expected {height} rows as the header's height says, got {len(rows)}; "
            "add or remove rows or correct the header"
        )
    grid = np.array([list(row) for row in rows])
    blocked = np.isin(grid, list(BLOCKED))
    if blocked.all():
        raise SiteError(f"{path}: expected at least one free cell ({FREE}), got none; open some")
    return make_site(path.stem, blocked, stations=np.flatnonzero(grid == "E").tolist(), cell=cell)


def read_lorr(path: Path, cell: float = CELL) -> Problem:
    """A League-of-Robot-Runners problem of 2023: its map, the start cells of its team and all its errands.

    Raises `SiteError` where one of its files is not as it must be, `FileError` where it cannot be read.
    """
    try:
        content: Any = json.loads(_text(path))  # Any: what the file holds is checked below
    except json.JSONDecodeError as error:
        raise SiteError(
            f"{path}, line {error.lineno}, column {error.colno}: expected JSON, got {error.msg.lower()}; repair it"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; brackets in brackets
        raise SiteError(f"{path}: expected JSON with file names and a count, got {error}; repair it") from error
    if not isinstance(content, dict):
        raise SiteError(f"{path}: expected a JSON object with mapFile, agentFile and taskFile, got a {_kind(content)}")
    for key in ("mapFile", "agentFile", "taskFile"):
        if not isinstance(content.get(key), str):
            came = f"a {_kind(content[key])}" if key in content else f"only {', '.join(sorted(content)) or 'no key'}"
            raise SiteError(f'{path}: expected a file name under "{key}", got {came}; add it')
        if not content[key] or not content[key].isprintable():
            raise SiteError(f'{path}: expected a file name under "{key}", got {_shown(content[key])}; correct it')
    team = content.get("teamSize")
    if not isinstance(team, int) or isinstance(team, bool) or team < 1:
        raise SiteError(f'{path}: expected a whole number of robots under "teamSize", got {team!r}; correct it')
    site = read_movingai(path.parent / content["mapFile"], cell)
    starts = _cells(path.parent / content["agentFile"], site, "start")
    if len(starts) < team:
        raise SiteError(
            f"{path}: expected {team} start cells as teamSize says, got {len(starts)} in {content['agentFile']}; "
            "lower teamSize or add start cells"
        )
    twice = np.flatnonzero(np.bincount(starts[:team]) > 1)
    if len(twice):
        lines = (np.flatnonzero(starts[:team] == twice[0])[:2] + 2).tolist()
        raise SiteError(
            f"{path.parent / content['agentFile']}, lines {lines[0]} and {lines[1]}: expected each robot to start "
            f"on its own cell, got cell {twice[0]} twice; move one"
        )
    errands = _cells(path.parent / content["taskFile"], site, "errand")
    return Problem(site=replace(site, name=path.stem), starts=starts[:team], errands=errands)


def write_site(site: Site, path: Path) -> None:
    """Write a compiled floor, whole or not at all. Raises `FileError` where it cannot be written."""
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            allow_pickle=False,
            site=np.array("muster site 1"),
            name=np.array(site.name),
            blocked=site.blocked,
            person_free=site.person_free,
            exits=site.exits,
            stations=site.stations,
            chargers=site.chargers,
            cell=np.array(site.cell),
            fixtures=np.frombuffer(pack_fixtures(site.fixtures), np.uint8),
        )


def read_site(path: Path) -> Site:
    """A floor that `write_site` wrote. Raises `SiteError` for any other file, `FileError` where it cannot be read."""
    try:
        content = read_arrays(path)
        stated = str(content["site"])
        if stated != "muster site 1":
            raise SiteError(f'{path}: expected "muster site 1", got {_shown(stated)}; compile it again')
        site = Site(
            name=str(content["name"]),
            cell=float(content["cell"]),
            fixtures=unpack_fixtures(content["fixtures"].tobytes() if "fixtures" in content else b""),
            **{key: content[key] for key in (*_GRIDS, *_LISTS)},
        )
    except (DamagedFile, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SiteError(f"{path}: expected a compiled floor, got {error}; write it again with write_site") from error
    wrong = _wrong_arrays(site)
    if wrong:
        raise SiteError(f"{path}: {wrong}; write it again with write_site")
    return site


def _wrong_arrays(site: Site) -> str:
    """What of a floor from a file is not as a `Site` has it; empty when all is."""
    shape = site.blocked.shape
    if not 0.0 < site.cell < float("inf"):
        return f"expected a cell size above 0 m, got {site.cell:g}"
    if len(shape) != 2 or 0 in shape or site.person_free.shape != shape or site.exits.shape != (*shape, 4):
        return f"expected grids of one shape, got {shape}, {site.person_free.shape}, {site.exits.shape}"
    for key in _GRIDS:
        if getattr(site, key).dtype != np.bool_:
            return f"expected {key} as true or false, got {getattr(site, key).dtype}"
    for key in _LISTS:
        cells = getattr(site, key)
        if cells.ndim != 1 or cells.dtype != np.int32:
            return f"expected {key} as a list of int32 cells, got {cells.dtype} of shape {cells.shape}"
        outside = cells[(cells < 0) | (cells >= site.blocked.size)]
        if len(outside):
            return f"expected {key} on the floor's {site.blocked.size} cells, got cell {outside[0]}"
    return wrong_fixtures(site.fixtures, site.height, site.width)


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
                f"expected every {name} of {site.name} on a free cell, got {_place(site, place)}, "
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
                f"{_place(site, origin)} to {_place(site, goal)}; open an aisle or move the {name}"
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; name a file that can be read") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise SiteError(
            f"{path}, line {line}, column {column}: expected ASCII text, got byte 0x{error.object[error.start]:02x}; "
            "give a text file"
        ) from error


def _cells(path: Path, site: Site, what: str) -> NDArray[np.int32]:
    """The cells of a League list file: a count, then one free cell on each line."""
    lines = _text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise SiteError(f"{path}: expected a count and then one {what} cell on each line, got an empty file; fill it")
    count = _number(path, 1, lines[0].strip(), 0, 1 << 31, f"number of {what} cells")
    if len(lines) - 1 != count:
        raise SiteError(
            f"{path}: expected {count} {what} cells as line 1 says, got {len(lines) - 1}; correct the count or the list"
        )
    size = site.blocked.size
    cells = np.array(
        [_number(path, k, line.strip(), 0, size - 1, f"{what} cell") for k, line in enumerate(lines[1:], start=2)],
        np.int32,
    )
    bad = np.flatnonzero(site.blocked.reshape(-1)[cells])
    if len(bad):
        raise SiteError(
            f"{path}, line {bad[0] + 2}: expected a free {what} cell, got {_place(site, int(cells[bad[0]]))}, which is "
            "blocked; move it"
        )
    return cells


def _number(path: Path, line: int, text: str, low: int, high: int, what: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text) or not low <= int(text) <= high:
        raise SiteError(f"{path}, line {line}: expected a {what} from {low} to {high}, got {_shown(text)}; correct it")
    return int(text)


def _place(site: Site, cell: int) -> str:
    return f"cell {cell} (row {cell // site.width + 1}, column {cell % site.width + 1})"


def _shown(text: str) -> str:
    text = text if len(text) <= 24 else text[:21] + "..."
    return '"' + text.encode("unicode_escape").decode() + '"'


def _kind(value: object) -> str:
    return {list: "list", str: "string", dict: "object", type(None): "null"}.get(type(value), "number")
