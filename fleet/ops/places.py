"""Where a fleet is: found in a run's directory (run.json, fleet.key), or told on the command line.

A launch writes the addresses of plant and coordinator and every process's command into run.json: the floor, and the
ports of metrics pages, stand there too. What is told on the command line wins.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordination.client import ADDRESS
from coordination.keys import Keys, page_of, read_keys
from fleet.rundir import RunDirectory, open_run, read_record
from sim.errors import MusterError
from sim.site import CELL

MAPPED = ("coordinate", "sim", "road", "car")
"""Commands whose floor or road is the run's, the first that is there."""
ALONE = frozenset(("rollout-demo", "car", "road", "drive"))
"""Commands of runs without a coordinator."""


class PlacesError(MusterError):
    """It is not known where the fleet is, or it cannot be read."""


@dataclass(frozen=True)
class Places:
    """Where everything of a fleet is."""

    title: str
    coordinator: str
    """Address"""
    site: str
    """A floor's file or name; empty where it is not known"""
    cell: float
    name: str
    """Under which the page speaks to the coordinator"""
    keys: Keys | None
    """For reading; None: nothing can be asked of the coordinator"""
    metrics: tuple[tuple[str, str], ...] = ()
    """Name and URL of each metrics page"""
    run: RunDirectory | None = None
    coordinated: bool = True
    """Whether there is a coordinator to ask: a rollout's demo and cars have none"""


def find(
    run: Path | None,
    *,
    coordinator: str = "",
    site: str = "",
    read_key: Path | None = None,
    metrics: Sequence[str] = (),
) -> Places:
    """Where the fleet of a run, or at an address, is. Raises MusterError with what lacks."""
    if run is None and not coordinator:
        raise PlacesError("page: expected a run directory or --coordinator, got neither; give for example runs/<run>")
    directory = open_run(run) if run is not None else None
    record = read_record(directory) if directory is not None else {}
    commands = _commands(record)
    own = _option(commands, "coordinate", "--address") or _mapping(record.get("addresses")).get(
        "MUSTER_COORDINATOR", ""
    )
    keys, name = None, f"page_{secrets.token_hex(3)}"
    if read_key is not None:
        keys = read_keys(read_key)
        # beside its owner: under his name, his other ends (muster jog) would not be heard any more
        name = name if keys.fleet is not None else page_of(next(iter(keys.nodes)), secrets.randbelow(10_000))
    elif directory is not None and directory.key.exists():
        keys = read_keys(directory.key)
    cell = _option(commands, "coordinate", "--cell") or _option(commands, "sim", "--cell")
    pages = [*_pages(commands), *(_page(word) for word in metrics)]
    return Places(
        title=directory.root.name if directory is not None else coordinator,
        coordinator=coordinator or str(own) or ADDRESS,
        site=site or next(filter(None, (_option(commands, name, "--site") for name in MAPPED)), ""),
        cell=_number(cell),
        name=name,
        keys=keys,
        metrics=tuple(pages),
        run=directory,
        coordinated=bool(coordinator) or not ALONE.intersection(each[0] for each in commands.values() if each),
    )


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return CELL


def _mapping(value: Any) -> Mapping[str, Any]:  # of a JSON file that a person may have changed
    return value if isinstance(value, dict) else {}


def _commands(record: Mapping[str, Any]) -> dict[str, list[str]]:  # run.json
    """Words of each `muster` process by its name."""
    found = {}
    for name, words in _mapping(record.get("processes")).items():
        if isinstance(words, list) and all(isinstance(word, str) for word in words) and words[:1] == ["muster"]:
            found[str(name)] = words[3:] if words[1:2] == ["--when"] else words[1:]
    return found


def _option(commands: Mapping[str, Sequence[str]], command: str, option: str) -> str:
    """The value of an option of the first process of a command; empty where there is none."""
    for words in commands.values():
        if words[:1] == [command] and option in words[:-1]:
            return words[list(words).index(option) + 1]
    return ""


def _pages(commands: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    found = []
    for name, words in commands.items():
        port = _option({name: words}, words[0] if words else "", "--metrics-port")
        if port.isdecimal() and 0 < int(port) < 65536:
            found.append((name, f"http://127.0.0.1:{port}/metrics"))
    return found


def _page(word: str) -> tuple[str, str]:
    """NAME=URL, or a URL that is its own name."""
    name, sign, url = word.partition("=")
    if not sign:
        name, url = re.sub(r"^https?://|/metrics$", "", word), word
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise PlacesError(f"--metrics: expected NAME=http://HOST:PORT/metrics, got {word!r}; correct it")
    return name, url
