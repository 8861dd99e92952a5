"""Where a launch file's packages are: the ament index of a sourced ROS 2, and muster's own package without one.

A sourced workspace lists its prefixes in AMENT_PREFIX_PATH; each has the marker of a package in
share/ament_index/resource_index/packages, its files in share/PACKAGE and its programs in lib/PACKAGE (ament_index's
"resource_index.md"). `muster_ros` is started from the installed muster in any case, so that one file runs alike where
ROS 2 is sourced and where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OWN = "muster_ros"
"""The ROS package of muster; its source is in ros2/."""

PROGRAMS = {
    "car": "car",
    "coordinator": "coordinate",
    "doctor": "doctor",
    "estop": "estop",
    "fleet": "fleet",
    "road": "road",
    "robot": "robot",
    "sim": "sim",
}
"""The programs of `OWN`, with the muster command that each is."""


def share(package: str, environment: Mapping[str, str]) -> Path | None:
    """The folder with a package's files, as `$(find-pkg-share package)` gives it; None where there is none."""
    for prefix in _prefixes(package, environment):
        return prefix / "share" / package
    own = Path(__file__).resolve().parent.parent / "ros2" / OWN
    return own if package == OWN and (own / "package.xml").is_file() else None


def program(package: str, name: str, environment: Mapping[str, str]) -> list[str] | None:
    """The words that start a package's program: a muster command, a program of a ROS package, or a Python module.

    None for a program that the package has not; whether there is such a module is not asked.
    """
    if package == OWN:
        return ["muster", PROGRAMS[name]] if name in PROGRAMS else None
    for prefix in _prefixes(package, environment):
        path = prefix / "lib" / package / name
        return [str(path)] if path.is_file() else None
    return ["python", "-m", f"{package}.{name}"]


def _prefixes(package: str, environment: Mapping[str, str]) -> list[Path]:
    """The prefixes that have a package, the first to be used."""
    index = Path("share", "ament_index", "resource_index", "packages")
    prefixes = [Path(word) for word in environment.get("AMENT_PREFIX_PATH", "").split(":") if word]
    return [prefix for prefix in prefixes if package and "/" not in package and (prefix / index / package).is_file()]
