"""Who moves on a warehouse's floor beside its robots: people who walk (sim/crowd.py) and forklifts (sim/forklifts.py).

Both are bodies that the engine is told where to put (mocap): people first, forklifts behind them. Launches are recorded
over all worlds; random numbers are keyed draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import warp as wp

from sim.crowd import CrowdKind, record_walk
from sim.forklifts import ForkliftSpec, make_forklifts, make_yard, record_drivers, record_starts
from sim.launches import Launchable, Several
from sim.lidar import make_boxes
from sim.manners import Manners, make_crowd
from sim.people import Profile, make_people
from sim.rays import FloorArrays
from sim.robot import SECOND, RobotSpec
from sim.site import Site
from sim.tasks.task import struct_arrays
from sim.vary import Table
from sim.ways import Ways


class Movers:
    """Owns the people and forklifts of all worlds of one floor."""

    def __init__(
        self,
        site: Site,
        floor: FloorArrays,
        spec: RobotSpec,
        truck: ForkliftSpec,
        *,
        worlds: int,
        robots: int,
        people: int,
        forklifts: int,
        profile: Profile,
        crowd: CrowdKind,
        manners: Manners,
        seed: int,
        pose: wp.array,
        twist: wp.array,
        mocap: wp.array,
        turns: wp.array,
        table: Table | None = None,
        values: wp.array | None = None,
        ways: Ways | None = None,
        things: wp.array | None = None,
    ) -> None:
        """Robots of `spec` are at `pose` and move by `twist` (rows, 3); nobody is on the floor yet.

        `mocap` (worlds, bodies, 3) and `turns` (worlds, bodies, 4) are where the engine is told of everybody. `values`
        (rows, rows of the table) are what was drawn from `table` for each row's episode; without it all forklifts are
        there, and `manners` are everywhere alike. A crowd finds its way by `ways` (None: through no automatic door)
        around forklifts and `things` (sim/lidar.py). Raises `ForkliftError` for forklifts that fit nowhere.
        """
        device, dt = str(pose.device), spec.motor_period / SECOND
        self.truck, self._seed = truck, seed
        self.people = make_people(worlds, people, device)
        self.crowd = make_crowd(worlds, people, device)
        self.forklifts = make_forklifts(worlds, forklifts, device)
        self.bodies = people + forklifts
        """Mocap bodies that are theirs, the first ones."""
        drawn = [] if table is None else [row.name for row in table]
        self.walk = record_walk(
            crowd,
            site,
            floor,
            self.people,
            self.crowd,
            pose,
            twist,
            mocap,
            robots=robots,
            robot_radius=spec.radius,
            dt=dt,
            profile=int(profile),
            seed=seed,
            manners=manners,
            ways=ways,
            boxes=self.boxes(things),
            shares=values if "crowd_crossing" in drawn else None,
            first_share=drawn.index("crowd_crossing") if "crowd_crossing" in drawn else 0,
        )
        """One motor period of the people."""
        self.drive = Several(())
        """One motor period of the forklifts."""
        self._yard: Any = None  # an instance of the Warp struct `Yard`
        if forklifts:
            self._yard = make_yard(
                site,
                truck,
                robots=robots,
                radius=spec.radius,
                pose=pose,
                people=self.people.position,
                seed=seed,
                values=values,
                count=drawn.index("forklift_count") if "forklift_count" in drawn else -1,
            )
            self.drive = Several(
                record_drivers(self._yard, self.forklifts, mocap, turns, bodies=people, dt=dt, seed=seed)
            )
        self.step: Launchable = Several((*self.walk.launches, *self.drive.launches))
        """One motor period of everybody; a test may put somebody else's steps in its place."""

    def begin(self, mask: wp.array, episode: wp.array) -> Sequence[Launchable]:
        """The launches that begin the forklifts' lives in each world all of whose rows are masked, uint8 (rows,)."""
        if self._yard is None:
            return ()
        return record_starts(self._yard, self.forklifts, mask, episode, seed=self._seed)

    def boxes(self, things: wp.array | None = None) -> Any:  # an instance of the Warp struct `Boxes`
        """Forklifts, and loads if given, as lidars and people see them."""
        return make_boxes(self.forklifts.pose, self.truck.length, self.truck.width, things)

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on, by name."""
        return (
            struct_arrays("people", self.people)
            | struct_arrays("crowd", self.crowd)
            | struct_arrays("forklift", self.forklifts)
        )
