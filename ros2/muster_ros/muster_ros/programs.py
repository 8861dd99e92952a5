"""The programs of `ros2 run muster_ros` and of `node: {pkg: muster_ros, exec: ...}`: commands of the installed muster.

ros2 run muster_ros robot --policy runs/<run> --ros-args -r __ns:=/r1      is      muster robot --policy ...
"""

from __future__ import annotations

import os
import shutil
import sys

TRIED = "MUSTER_ROS_PYTHON"
"""Tells the Python that is started in place of another that it is the last one."""


def car() -> int:
    """The computer of one car."""
    return _run("car")


def coordinator() -> int:
    """The coordinator: tasks, assignment, right of way."""
    return _run("coordinator")


def doctor() -> int:
    """Look at this computer: what is to mend before a robot drives by it."""
    return _run("doctor")


def estop() -> int:
    """Raise, reset or show the emergency stop."""
    return _run("estop")


def fleet() -> int:
    """Submit tasks, wait, write report and video."""
    return _run("fleet")


def road() -> int:
    """The plant of one car: serve the driving simulator."""
    return _run("road")


def robot() -> int:
    """Host a robot."""
    return _run("robot")


def sim() -> int:
    """The plant: simulate a site with robots and people."""
    return _run("sim")


def _run(program: str) -> int:
    """Run muster's command of a program with this process's words; the exit code, 2 where muster is not installed.

    `colcon build --symlink-install` writes its own Python into the programs. Where that has no muster, the Python that
    is active (a virtual environment's) takes its place.
    """
    try:
        from fleet.cli import main
        from fleet.launchpackages import PROGRAMS
    except ModuleNotFoundError as error:
        active = shutil.which("python3")
        if active not in (None, sys.executable) and TRIED not in os.environ and os.path.isfile(sys.argv[0]):
            os.environ[TRIED] = sys.executable
            os.execv(active, [active, *sys.argv])
        print(
            f"muster_ros: {error.name} is not installed for {sys.executable}; {sys.executable} -m pip install muster",
            file=sys.stderr,
        )
        return 2
    return main([PROGRAMS[program], *sys.argv[1:]])
