"""What a plant recorded of a run, for eyes: plant.npz holds the floor and every pose, cargo.json who carried what when.

`read_trace` reads it for the video, the page of `muster view` and the report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.files import FileError
from sim.fixtures import unpack_fixtures
from sim.site import Site, open_exits

AUTO = "auto"
"""Instead of a robot's name: the one that drove furthest."""


class ViewError(MusterError):
    """A run cannot be shown."""


@dataclass(frozen=True)
class Trace:
    """What a plant recorded, for drawing."""

    site: Site
    stamps: NDArray[np.int64]
    """(periods,), ns"""
    poses: NDArray[np.float32]
    """(periods, robots, 3): x, y, yaw in W."""
    people: NDArray[np.float32]
    """(periods, people, 2)"""
    footprint: tuple[float, float, float]
    """Length, width and height of a robot, m."""
    names: tuple[str, ...]
    """Robots, in the order of the poses."""
    doors: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    """(periods, doors): which are open; no columns without doors."""
    forklifts: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    """(periods, forklifts, 3): x, y, yaw in W; no columns without forklifts."""
    truck: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Length, width and height of a forklift, m."""

    pods: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    """(periods, pods, 3): x, y, yaw in W of pods that robots lift; no columns without such pods."""
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    """(boxes, 3): x, y, yaw in W of spilled boxes, where they lay last."""

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Time since the first period, s, (periods,)."""
        return (self.stamps - self.stamps[0]) / 1e9

    def between(self, at: float) -> tuple[int, int, float]:
        """The periods around a moment (a period with its fraction), and how far it lies between them, 0 to 1."""
        one = min(int(at), len(self.stamps) - 1)
        return one, min(one + 1, len(self.stamps) - 1), at - one

    def poses_at(self, at: float) -> NDArray[np.float64]:
        """Poses of the robots at a moment, (robots, 3); yaw the shorter way round."""
        one, two, share = self.between(at)
        return blend(self.poses[one], self.poses[two], share)


def blend(one: NDArray[np.floating], two: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """Poses (n, 3) between two, yaw the shorter way round."""
    a, b = one.astype(np.float64), two.astype(np.float64)
    turn = np.arctan2(np.sin(b[:, 2] - a[:, 2]), np.cos(b[:, 2] - a[:, 2]))
    return np.column_stack([a[:, :2] + share * (b[:, :2] - a[:, :2]), a[:, 2] + share * turn])


def read_trace(source: Path) -> Trace:
    """What a plant recorded. Raises `FileError` where there is nothing, `ViewError` where it is no record."""
    path = source / "plant.npz" if source.is_dir() else source
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            blocked = content["blocked"]
            length, width, height = content["footprint"].tolist()
            truck = content["truck"].tolist() if "truck" in content else [0.0, 0.0, 0.0]
            trace = Trace(
                site=Site(
                    name=str(source),
                    blocked=blocked,
                    person_free=content["person_free"],
                    exits=content["exits"] if "exits" in content else open_exits(blocked),
                    stations=content["stations"],
                    chargers=content["chargers"],
                    cell=float(content["cell"]),
                    fixtures=unpack_fixtures(content["fixtures"].tobytes() if "fixtures" in content else b""),
                ),
                doors=content["doors"] if "doors" in content else np.zeros((len(content["stamps"]), 0), bool),
                stamps=content["stamps"],
                poses=content["poses"],
                people=content["people"],
                forklifts=content["forklifts"]
                if "forklifts" in content
                else np.zeros((len(content["stamps"]), 0, 3), np.float32),
                pods=content["pods"] if "pods" in content else np.zeros((len(content["stamps"]), 0, 3), np.float32),
                boxes=content["boxes"] if "boxes" in content else np.zeros((0, 3), np.float32),
                truck=(truck[0], truck[1], truck[2]),
                footprint=(length, width, height),
                names=tuple(content["names"].tolist()),
            )
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; name a run in which a plant ran") from error
    except Exception as error:  # a damaged zip raises whatever its decoder does
        raise ViewError(f"{path}: expected a plant's record, got {error}; run the fleet again") from error
    if len(trace.stamps) == 0:
        raise ViewError(f"{path}: expected at least one period, got none; run the fleet again")
    return trace


def read_cargo(source: Path, trace: Trace) -> NDArray[np.bool_]:
    """Who carries something when, (periods, robots), from cargo.json: [{"robot", "from", "to"}] with stamps in ns."""
    carrying = np.zeros(trace.poses.shape[:2], bool)
    path = (source if source.is_dir() else source.parent) / "cargo.json"
    if not path.exists():
        return carrying
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if entry["robot"] in trace.names:
            during = (trace.stamps >= entry["from"]) & (trace.stamps < entry["to"])
            carrying[during, trace.names.index(entry["robot"])] = True
    return carrying
