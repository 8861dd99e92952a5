"""The house itself: whose the packages are, who may import whom, and what a first look costs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fleet import cli
from fleet.commands import COMMANDS

PACKAGES = ("sim", "safety", "coordination", "agents", "hierarchy", "fleet")
HEAVY = ("torch", "mujoco", "gymnasium", "numba", "networkx", "scipy")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_ours(package: str, root: Path) -> None:
    """Other distributions own the names `safety` and `agents` too; both would be importable, one at random."""
    assert set(importlib.metadata.packages_distributions()[package]) == {"muster"}
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(root / package / "__init__.py")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_holds_one_docstring_and_imports_nothing(package: str) -> None:
    program = f"import sys; before = set(sys.modules); import {package}; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_launch_files_are_no_package(root: Path) -> None:
    """ROS 2 owns the Python package `launch`."""
    assert not (root / "launch" / "__init__.py").exists()
    assert "launch" not in importlib.metadata.packages_distributions()


def processor_seconds(command: list[str]) -> float:
    """Processor time that a command takes, s: what it costs on an idle machine, whatever else this one does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_answers_at_once() -> None:
    seconds = [processor_seconds([sys.executable, "-m", "fleet.cli", "--help"]) for _ in range(7)]
    assert statistics.median(seconds) < 0.3, seconds


@pytest.mark.parametrize("module", ["fleet.train", "fleet.hierarchy_train"])
def test_a_file_of_ranges_that_is_not_there_is_refused_before_anything_heavy_is_imported(module: str) -> None:
    program = (
        f"import sys; from {module} import Config, check\n"
        "try: check(Config(randomization='no such file'))\n"
        f"except Exception as error: print(type(error).__name__, {{*{HEAVY}}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "FileError set()\n"


def copy_of_the_house(root: Path, folder: Path) -> Path:
    for name in PACKAGES:
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", folder)
    return folder


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [tool, "--no-logo", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_the_import_contracts_hold(root: Path, tmp_path: Path) -> None:
    done = contracts(copy_of_the_house(root, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("safety/shield.py", "import agents.policy", "a floor imports only floors below it"),
        ("sim/env.py", "import safety.shield", "a floor imports only floors below it"),
        ("coordination/tasks.py", "def late():\n    import fleet.cli", "a floor imports only floors below it"),
        ("fleet/control.py", "import torch", "what a robot reaches stays light"),
        ("fleet/robot.py", "def late():\n    import mujoco", "what a robot reaches stays light"),
        ("agents/policy.py", "def late():\n    from scipy import sparse", "what a robot reaches stays light"),
        ("safety/shield.py", "import numba", "what a robot reaches stays light"),
    ],
)
def test_a_planted_import_breaks_its_contract(root: Path, tmp_path: Path, file: str, line: str, broken: str) -> None:
    folder = copy_of_the_house(root, tmp_path)
    with (folder / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n\n{line}\n")
    done = contracts(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{broken} BROKEN" in done.stdout


def loaded_by(module: str) -> set[str]:
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_safety_loads_neither_learner_nor_plant_nor_wire() -> None:
    assert not loaded_by("safety") & {*HEAVY, "zmq", "warp", "numpy"}
    assert not loaded_by("safety.shield") & {*HEAVY, "zmq", "onnxruntime"}


@pytest.mark.parametrize("module", ["fleet.control", "fleet.robot", "fleet.replay"])
def test_a_robot_loads_only_what_the_base_install_has(module: str) -> None:
    assert not loaded_by(module) & set(HEAVY)


def test_the_base_install_is_what_the_architecture_says(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {word.split(">")[0].split("=")[0].lower() for word in project["dependencies"]}
    assert names == {
        "numpy", "warp-lang", "onnxruntime", "msgspec", "pyzmq", "mcap", "tyro", "rich", "prometheus-client", "pyyaml",
    }  # fmt: skip
    assert set(project["optional-dependencies"]) == {
        "sim", "train", "coordinator", "car", "ros", "view", "prove", "rivals", "dev", "all",
    }  # fmt: skip


def test_every_pin_is_exact_and_torch_is_the_one_that_was_tested(root: Path) -> None:
    pins = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all(line.count("==") == 1 for line in pins)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_asked_for_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.parse(name, cli.load(name).Config, ["--help"])
    assert caught.value.code == 0
    assert f"muster {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_line_is_read_without_heavy_imports(name: str) -> None:
    """`muster train --helpp` must not cost the 3 s of importing torch."""
    assert not loaded_by(COMMANDS[name].module) & {"torch", "numba", "scipy"}
