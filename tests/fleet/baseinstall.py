"""An environment with what `pip install muster[EXTRA]` would bring, linked from this one: no network, no second copy.

The distributions that the base install (and an extra) asks for, and what these ask for in turn, are read from
pyproject.toml and the installed metadata; each of their files is a link in the site-packages of a bare virtual
environment. What is not among them is not there: importing torch fails as on a robot's computer.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

PACKAGES = ("sim", "safety", "coordination", "agents", "hierarchy", "fleet")


@dataclass(frozen=True)
class Environment:
    """A virtual environment that runs muster from a checkout."""

    python: Path
    site: Path
    """Its site-packages"""
    names: frozenset[str]
    """Distributions in it, muster's own left out"""

    def run(self, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run its Python with these words, away from any checkout; `changes` are environment variables."""
        command, home = [str(self.python), *map(str, words)], self.python.parent
        return subprocess.run(command, capture_output=True, text=True, check=False, env=clean(**changes), cwd=home)

    def muster(self, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `muster` with these words."""
        return self.run("-m", "fleet.cli", *words, **changes)


def clean(**changes: str) -> dict[str, str]:
    """Our variables without what would lead another Python to this checkout or environment, and with `changes`."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MUSTER_RUN", "MUSTER_POLICY")
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **changes}


def make_environment(folder: Path, root: Path, extra: str = "", packages: Iterable[Path] = ()) -> Environment:
    """Make one in `folder` for the checkout at `root`; `packages` replace those of the checkout of the same name."""
    names = closure(root, extra)
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    for name in sorted(names):
        link(importlib.metadata.distribution(name), site)
    for package in {**{name: root / name for name in PACKAGES}, **{path.name: path for path in packages}}.values():
        (site / package.name).symlink_to(package)
    return Environment(folder / "bin" / "python", site, names)


def closure(root: Path, extra: str = "") -> frozenset[str]:
    """Names of the distributions that the base install with an extra brings."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())]
    found: dict[str, set[str]] = {}
    """By name: the extras that were followed"""
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        followed = found.setdefault(name, set())
        asked = {"", *requirement.extras}
        if asked <= followed:
            continue
        followed |= asked
        for text in importlib.metadata.distribution(name).requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": one}) for one in asked):
                waiting.append(inner)
    return frozenset(found)


def link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """Link each file of an installed distribution into `site`; programs beside site-packages are left out."""
    home = Path(sysconfig.get_path("purelib"))
    for file in distribution.files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        place = site / file
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():  # of a namespace package, some file belongs to two
            place.symlink_to(home / file)
