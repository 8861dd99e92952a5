"""Floors as text, one character a cell: MovingAI maps, and League-of-Robot-Runners problems on them.

Map characters: `.`, `G` (ground), `S` (swamp; in the League a shelf's service cell) and `E` (the League's endpoints,
which become stations) are free; `@`, `O`, `T` and `W` are blocked. https://movingai.com/benchmarks/formats.html

The League's 2023 files hold a count line, then one linear cell (row * width + column) for each robot or errand:
https://github.com/MAPF-Competition/Start-Kit. Its later task files with several errands on a line are not read.

Every error names file, line and column, what was expected, what came and what to do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import shown
from sim.files import read_file
from sim.site import CELL, Site, SiteError, make_site

FREE = ".GSE"
BLOCKED = "@OTW"

SIDE_MAX = 8192
"""Cells; a longer side is a broken header rather than a floor of 10 km."""


@dataclass(frozen=True)
class Problem:
    """A floor and, where its file states them, where robots start and what they have to do."""

    site: Site
    starts: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Start cells, in robot order."""
    errands: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Cells to visit, in the order in which they are handed out."""


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
                f'{path}, line {at + 1}: expected "type", "height N", "width N" or "map", got {shown(line)}; '
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
                f"(blocked), got {shown(wrong.group())}; replace it"
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
            raise SiteError(f'{path}: expected a file name under "{key}", got {shown(content[key])}; correct it')
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


def place_of(site: Site, cell: int) -> str:
    """A cell as a person counts."""
    return f"cell {cell} (row {cell // site.width + 1}, column {cell % site.width + 1})"


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("ascii")
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
            f"{path}, line {bad[0] + 2}: expected a free {what} cell, got {place_of(site, int(cells[bad[0]]))}, "
            "which is blocked; move it"
        )
    return cells


def _number(path: Path, line: int, text: str, low: int, high: int, what: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text) or not low <= int(text) <= high:
        raise SiteError(f"{path}, line {line}: expected a {what} from {low} to {high}, got {shown(text)}; correct it")
    return int(text)


def _kind(value: object) -> str:
    return {list: "list", str: "string", dict: "object", type(None): "null"}.get(type(value), "number")
