"""The ROS 2 package muster_ros as colcon and ament want it: an invalid one is built as plain Python and never found."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from fleet import cli
from fleet.commands import COMMANDS
from fleet.launchpackages import OWN, PROGRAMS, share

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ros2" / "muster_ros"
EMAIL = r"[-a-zA-Z0-9_%+]+(\.[-a-zA-Z0-9_%+]+)*@[-a-zA-Z0-9%]+(\.[-a-zA-Z0-9%]+)*\.[a-zA-Z]{2,}"
"""What catkin_pkg takes for an e-mail address (package.py, Person.validate)."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py asks setuptools for."""
    found: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **words: found.update(words))
    monkeypatch.chdir(PACKAGE)
    runpy.run_path(str(PACKAGE / "setup.py"), run_name="__main__")
    return found


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Any:  # a module
    monkeypatch.syspath_prepend(str(PACKAGE))
    for name in ("muster_ros", "muster_ros.programs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("muster_ros.programs")


def test_the_manifest_is_a_valid_ament_python_package() -> None:
    """Format 3 (REP-149): what catkin_pkg and colcon-ros ask of it."""
    tree = ElementTree.parse(PACKAGE / "package.xml").getroot()
    assert (tree.tag, tree.get("format")) == ("package", "3")
    assert [tree.findtext(key) for key in ("name", "license")] == [OWN, "Apache-2.0"]
    version = tree.findtext("version") or ""
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tree.findtext("description")
    maintainers = tree.findall("maintainer")
    assert maintainers
    assert all(re.fullmatch(EMAIL, person.get("email", "")) and person.text for person in maintainers)
    assert [kind.text for kind in tree.findall("export/build_type")] == ["ament_python"]
    wanted = [dependency.text for dependency in tree.findall("exec_depend")]
    assert {"rclpy", "ros2launch"} <= set(wanted)
    assert len(set(wanted)) == len(wanted)
    known = {"name", "version", "description", "maintainer", "license", "exec_depend", "export"}
    assert {child.tag for child in tree} == known


def test_programs_go_where_ros_looks_for_them() -> None:
    settings = configparser.ConfigParser()
    settings.read(PACKAGE / "setup.cfg")
    assert dict(settings["develop"]) == {"script_dir": f"$base/lib/{OWN}"}
    assert dict(settings["install"]) == {"install_scripts": f"$base/lib/{OWN}"}
    assert dict(settings["build_scripts"]) == {"executable": "/usr/bin/env python3"}


def test_it_builds_and_its_programs_run_by_the_python_that_is_active(tmp_path: Path) -> None:
    """As colcon-core builds an ament_python package, ROS or none; the active Python is that of muster's environment."""
    pytest.importorskip("setuptools", reason="setuptools is not installed, which colcon builds with")
    copy = tmp_path / OWN
    shutil.copytree(PACKAGE, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    (copy / "launch").unlink()
    (copy / "launch").symlink_to(ROOT / "launch")
    prefix = tmp_path / "install"
    words = ["egg_info", "--egg-base", str(tmp_path), "build", "--build-base", str(tmp_path / "build"), "install"]
    words += ["--prefix", str(prefix), "--record", str(tmp_path / "log"), "--single-version-externally-managed"]
    done = subprocess.run(
        [sys.executable, "setup.py", *words], cwd=copy, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    share = prefix / "share"
    assert (share / "ament_index" / "resource_index" / "packages" / OWN).is_file()
    assert (share / OWN / "package.xml").is_file()
    assert {path.name for path in (share / OWN / "launch").glob("*.yaml")} == {
        path.name for path in (ROOT / "launch").glob("*.launch.yaml")
    }
    scripts = prefix / "lib" / OWN
    assert {path.name for path in scripts.iterdir()} == set(PROGRAMS)
    assert {path.read_text().splitlines()[0] for path in scripts.iterdir()} == {"#!/usr/bin/env python3"}
    (site,) = prefix.glob("lib/python*/site-packages")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    said = subprocess.run(
        [scripts / "estop", "show", "--epoch", "many"],
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert said.returncode == 2
    assert said.stderr.startswith("muster: estop: --epoch: expected a whole number")


def test_every_file_that_is_installed_is_there(asked: dict[str, Any]) -> None:
    assert asked["name"] == OWN
    assert asked["packages"] == [OWN]
    assert (PACKAGE / OWN / "__init__.py").is_file()
    places = dict(asked["data_files"])
    assert places["share/ament_index/resource_index/packages"] == [f"resource/{OWN}"]
    assert places[f"share/{OWN}"] == ["package.xml"]
    for files in places.values():
        assert files
        assert all((PACKAGE / file).is_file() and not file.startswith(("/", "..")) for file in files)
    shipped = {Path(file).name for file in places[f"share/{OWN}/launch"]}
    assert shipped == {path.name for path in (ROOT / "launch").glob("*.launch.yaml")}
    sites = {Path(file).name for file in places[f"share/{OWN}/launch/sites"]}
    assert sites == {path.name for path in (ROOT / "launch" / "sites").glob("*.yaml")}


def test_a_manifest_and_its_setup_agree(asked: dict[str, Any]) -> None:
    tree = ElementTree.parse(PACKAGE / "package.xml").getroot()
    person = tree.find("maintainer")
    assert person is not None
    assert asked["version"] == tree.findtext("version")
    assert (asked["maintainer"], asked["maintainer_email"]) == (person.text, person.get("email"))
    assert asked["license"] == tree.findtext("license")


def test_every_program_is_a_command_of_the_installed_muster(asked: dict[str, Any], programs: Any) -> None:
    scripts = dict(script.split(" = ") for script in asked["entry_points"]["console_scripts"])
    assert set(scripts) == set(PROGRAMS)
    assert set(PROGRAMS.values()) <= set(COMMANDS)
    for place in scripts.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(("program", "command"), PROGRAMS.items())
def test_a_program_passes_its_words_on(
    program: str, command: str, programs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda words: called.append(words) or 3)
    monkeypatch.setattr(sys, "argv", ["program", "--seed", "1", "--ros-args", "-r", "__ns:=/r1"])
    assert getattr(programs, program)() == 3
    assert called == [[command, "--seed", "1", "--ros-args", "-r", "__ns:=/r1"]]


def test_a_missing_muster_is_one_line() -> None:
    """Without site-packages, as in a workspace that was built for another Python."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); from muster_ros.programs import sim; sys.exit(sim())"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False, cwd=PACKAGE
    )
    assert done.returncode == 2
    assert re.fullmatch(r"muster_ros: \w+ is not installed for \S+; \S+ -m pip install muster\n", done.stderr)


def test_a_python_without_muster_gives_way_to_the_active_one_once(tmp_path: Path) -> None:
    """`colcon build --symlink-install` writes colcon's own Python into the programs."""
    script = tmp_path / "sim"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); from muster_ros.programs import sim; sys.exit(sim())"
    )
    for says, line in (
        (f'exec {sys.executable} -I -S "$@"', r"muster_ros: \w+ is not installed for .*"),
        ('echo "$0" "$@" >&2', f"{tmp_path}/python3 {script} --seed 1"),
    ):
        (tmp_path / "python3").write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / "python3").chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-I", "-S", script, "--seed", "1"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert re.fullmatch(line + "\n", done.stderr), done.stderr


def test_a_package_that_was_copied_in_part_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(PACKAGE, tmp_path / OWN, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copy)
    with pytest.raises(SystemExit, match=r"expected files launch/\*\.launch\.yaml .* link the folder"):
        runpy.run_path(str(copy / "setup.py"), run_name="__main__")


def test_its_launch_files_are_found_without_ros() -> None:
    found = share(OWN, {})
    assert found is not None
    assert (found / "launch" / "warehouse.launch.yaml").is_file()
