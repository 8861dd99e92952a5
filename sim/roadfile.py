"""A road by one word: a generator with its seed, or a file.

highway:SEED, rural:SEED, town:SEED     sim/roadgen.py
*.xodr                                  OpenDRIVE (sim/opendrive.py)
*.xml                                   CommonRoad (sim/commonroad.py); its actors and goals are left out
"""

from __future__ import annotations

from pathlib import Path

from sim.commonroad import read_commonroad
from sim.opendrive import read_opendrive
from sim.road import Road, RoadError
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.roadrows import ROAD_TABLE
from sim.vary import Table

GENERATORS = {"highway": generate_highway, "rural": generate_rural, "town": generate_town}


def load_road(text: str, table: Table = ROAD_TABLE) -> Road:
    """The road that a word names (see the module); a generated one from the ranges of `table`.

    Raises `RoadError` or `FileError`, one line for a person.
    """
    name, colon, seed = text.partition(":")
    if colon and name in GENERATORS:
        if not (seed.isascii() and seed.isdigit()):
            raise RoadError(f'expected a whole number after "{name}:", got "{seed}"; write {name}:1')
        return GENERATORS[name](int(seed), table=table)
    path = Path(text)
    if path.suffix == ".xodr":
        return read_opendrive(path)
    if path.suffix == ".xml":
        return read_commonroad(path).road
    raise RoadError(
        f'expected a road, highway:SEED, rural:SEED, town:SEED, a file .xodr or .xml, got "{text}"; name one of them'
    )
