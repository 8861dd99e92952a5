"""The ROS 2 package muster_ros for colcon: programs for `ros2 run`, launch files for `ros2 launch`.

`launch` is a link to the repository's launch files, so link this folder into a workspace rather than copy it. The
programs' names stand here and in fleet/launchpackages.py, because a build must not need muster. Version, maintainer and
licence are package.xml's.
"""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

NAME = "muster_ros"
PROGRAMS = ("car", "coordinator", "doctor", "estop", "fleet", "road", "robot", "sim")
HERE = Path(__file__).resolve().parent
MANIFEST = ElementTree.parse(HERE / "package.xml").getroot()
MAINTAINER = MANIFEST.find("maintainer")


def files(pattern: str) -> list[str]:
    """The files that match, relative to this folder; an empty match means a package that was copied in part."""
    found = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob(pattern))
    if not found:
        raise SystemExit(f"{NAME}: expected files {pattern} in {HERE}, found none; link the folder, do not copy it")
    return found


setup(
    name=NAME,
    version=MANIFEST.findtext("version"),
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch/*.launch.yaml")),
        (f"share/{NAME}/launch/sites", files("launch/sites/*.yaml")),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer=MAINTAINER.text,
    maintainer_email=MAINTAINER.get("email"),
    description="muster's programs and launch files as a ROS 2 package",
    license=MANIFEST.findtext("license"),
    entry_points={"console_scripts": [f"{program} = {NAME}.programs:{program}" for program in PROGRAMS]},
)
