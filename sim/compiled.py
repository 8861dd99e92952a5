"""Compiled floors: a `Site` in one file (.npz), as the planner and the simulator hold it.

A plant hands its floor to the other processes of a run in this form, and a networkx graph is compiled to it once
(sim/floor.py). What is read is checked as if a stranger had written it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.errors import shown
from sim.files import DamagedFile, read_arrays, replacing
from sim.fixtures import pack_fixtures, unpack_fixtures, wrong_fixtures
from sim.site import CELL_MAX, CELL_MIN, Site, SiteError

_GRIDS = ("blocked", "person_free", "exits")
_LISTS = ("stations", "chargers")
"""Arrays of a compiled floor, by the names of `Site`'s fields."""


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
            raise SiteError(f'{path}: expected "muster site 1", got {shown(stated)}; compile it again')
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
    if not CELL_MIN <= site.cell <= CELL_MAX:
        return f"expected a cell size from {CELL_MIN:g} to {CELL_MAX:g} m, got {site.cell:g}"
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
