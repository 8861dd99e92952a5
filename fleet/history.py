"""What has happened on a fleet's floor, period by period, and the two files that it is written to.

plant.npz holds the poses, for pictures and the report; plant.json the counts of both witnesses and each contact that
the engine saw. Memory: a pose per robot, person, forklift and pod and period.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.oracle import ContactTally
from sim.files import replacing, write_atomic
from sim.fixtures import pack_fixtures
from sim.forklifts import ForkliftSpec
from sim.robot import SECOND, RobotSpec
from sim.site import Site


@dataclass
class History:
    """Owns the record of one floor."""

    site: Site
    spec: RobotSpec
    truck: ForkliftSpec
    physics_step: int
    """ns"""
    seed: int
    robots: int
    people: int
    forklifts: int
    stamps: list[int] = field(default_factory=list)
    poses: list[NDArray[np.float32]] = field(default_factory=list)
    """(robots, 3)"""
    walkers: list[NDArray[np.float32]] = field(default_factory=list)
    """Where people were, (people, 2)."""
    trucks: list[NDArray[np.float32]] = field(default_factory=list)
    """(forklifts, 3)"""
    doors: list[NDArray[np.bool_]] = field(default_factory=list)
    """Which were open, (doors,)."""
    pods: list[NDArray[np.float32]] = field(default_factory=list)
    """(pods, 3)"""

    def add(
        self,
        stamp: int,
        poses: NDArray[np.floating],
        walkers: NDArray[np.floating],
        trucks: NDArray[np.floating],
        doors: NDArray[np.bool_],
        pods: NDArray[np.floating],
    ) -> None:
        """Take a period's end: copies of where everything is."""
        self.stamps.append(stamp)
        self.poses.append(np.array(poses, np.float32))
        self.walkers.append(np.array(walkers, np.float32))
        self.trucks.append(np.array(trucks, np.float32))
        self.doors.append(doors.copy())
        self.pods.append(np.array(pods, np.float32))

    def write(
        self,
        folder: Path,
        names: tuple[str, ...],
        physics: ContactTally,
        oracle: ContactTally,
        boxes: NDArray[np.floating],
        notes: dict[str, Any],
    ) -> None:
        """Write plant.npz and plant.json into `folder`; `boxes` (boxes, 3) lie where they lie last.

        Raises `FileError` where they cannot be written; neither is ever half there.
        """
        periods = len(self.stamps)
        with replacing(folder / "plant.npz") as temporary:
            np.savez_compressed(
                temporary,
                names=np.array(names),
                stamps=np.array(self.stamps, np.int64),
                poses=np.array(self.poses, np.float32).reshape(periods, self.robots, 3),
                doors=np.array(self.doors, bool).reshape(periods, len(self.site.fixtures.doors)),
                fixtures=np.frombuffer(pack_fixtures(self.site.fixtures), np.uint8),
                boxes=boxes.astype(np.float32),
                pods=np.array(self.pods, np.float32).reshape(periods, -1, 3),
                people=np.array(self.walkers, np.float32).reshape(periods, self.people, 2),
                forklifts=np.array(self.trucks, np.float32).reshape(periods, self.forklifts, 3),
                truck=np.array([self.truck.length, self.truck.width, self.truck.height], np.float32),
                footprint=np.array([self.spec.length, self.spec.width, self.spec.height], np.float32),
                exits=self.site.exits,
                blocked=self.site.blocked,
                person_free=self.site.person_free,
                stations=self.site.stations,
                chargers=self.site.chargers,
                cell=np.array(self.site.cell),
            )
        write_atomic(folder / "plant.json", json.dumps(self.summary(names, physics, oracle) | notes, indent=2) + "\n")

    def summary(self, names: tuple[str, ...], physics: ContactTally, oracle: ContactTally) -> dict[str, Any]:
        """Counts of both witnesses, and every episode of contact that the engine saw."""
        moved = np.diff(np.array(self.poses)[:, :, :2], axis=0) if len(self.poses) > 1 else np.zeros((1, 1))
        return {
            "site": self.site.name,
            "site_hash": self.site.hash,
            "robots": self.robots,
            "people": self.people,
            "forklifts": self.forklifts,
            "seed": self.seed,
            "sim_seconds": self.stamps[-1] / SECOND,
            "metres": float(np.hypot(moved[..., 0], moved[..., 1]).sum()) if moved.ndim == 3 else 0.0,
            "collisions": physics.collisions,
            "oracle_collisions": oracle.collisions,
            "person_contacts": physics.person_contacts,
            "oracle_person_contacts": oracle.person_contacts,
            "struck": physics.struck,
            "oracle_struck": oracle.struck,
            "contacts": [
                {
                    "stamp": contact.step * self.physics_step,
                    "robot": names[contact.robot],
                    "with": "person" if contact.person else "solid",
                    "speed": round(contact.speed, 4),
                    "turn": round(contact.turn, 4),
                    "collision": contact.collision,
                }
                for contact in physics.contacts[:1000]
            ],
        }
