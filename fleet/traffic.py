"""Who moves on a fleet's floor beside its robots: people who walk and forklifts that drive, as in training.

Their rules are those of sim/crowd.py and sim/forklifts.py, on one world. They are bodies that the engine is told where
to put (mocap): people first, forklifts behind them.
"""

# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false
# (mujoco and warp define these names at run time)

from __future__ import annotations

import mujoco
import numpy as np
import warp as wp
from numpy.typing import NDArray

from fleet.placement import people_cells
from sim.crowd import GOALS, CrowdKind
from sim.forklifts import ForkliftSpec
from sim.manners import Manners
from sim.movers import Movers
from sim.people import SPEED_HIGH, SPEED_LOW, Profile
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.rays import FloorArrays
from sim.robot import RobotSpec
from sim.site import Site
from sim.ways import find_ways


class Traffic:
    """Owns the people and forklifts of one floor."""

    def __init__(
        self,
        site: Site,
        floor: FloorArrays,
        data: mujoco.MjData,
        spec: RobotSpec,
        truck: ForkliftSpec,
        *,
        people: int,
        forklifts: int,
        profile: Profile,
        crowd: CrowdKind,
        seed: int,
        pose: wp.array,
        twist: wp.array,
        things: wp.array | None,
    ) -> None:
        """Robots are at `pose` and move by `twist` (robots, 3); `things` are loads that stand about, or None.

        Nobody is on the floor before `place`. Raises `ForkliftError` for forklifts that fit nowhere.
        """
        self._site, self._seed, self._data, self._count = site, seed, data, people
        robots, bodies = len(pose), people + forklifts

        def told(array: NDArray[np.float64], numbers: int) -> wp.array:
            """The engine's own memory."""
            where, shape = array.ctypes.data, (1, bodies, numbers)
            return wp.array(ptr=where, dtype=wp.float64, shape=shape, device="cpu", copy=False)

        self.movers = Movers(
            site,
            floor,
            spec,
            truck,
            worlds=1,
            robots=robots,
            people=people,
            forklifts=forklifts,
            profile=profile,
            crowd=crowd,
            manners=Manners(),
            seed=seed,
            pose=pose,
            twist=twist,
            mocap=told(data.mocap_pos, 3),
            turns=told(data.mocap_quat, 4),
            # through automatic doors
            ways=find_ways(~(site.standing | site.person_free), GOALS, seed) if people else None,
            things=things,
        )
        self.people, self.trucks = self.movers.people, self.movers.forklifts
        self.boxes = self.movers.boxes(things)
        """Forklifts and loads as lidars and people see them."""
        every, episode = wp.full(robots, 1, dtype=wp.uint8), wp.zeros(robots, dtype=wp.int32)
        self._starts = self.movers.begin(every, episode)

    def place(self, starts: NDArray[np.int32]) -> None:
        """Put everybody down away from robots on `starts` (robots,), drawn by the seed.

        People on a cell of their own from which there is a way on; forklifts on a place of their own, and who finds
        none stays away. Raises `SiteError` where there is no room for the people.
        """
        if self._count:
            cells = people_cells(self._site, starts, self._count, self._seed)
            self.people.origin.numpy()[0] = cells
            self.people.target.numpy()[0] = cells
            self.people.position.numpy()[0] = self._site.centre(cells)
            self.people.speed.numpy()[0] = SPEED_LOW + (SPEED_HIGH - SPEED_LOW) * unit_numpy(
                draw_numpy(self._seed, int(Term.PERSON_SPEED), 0, 0, np.arange(self._count))
            )
            self._data.mocap_pos[: self._count, :2] = self.people.position.numpy()[0]
            self._data.mocap_pos[: self._count, 2] = 0.0
        for start in self._starts:
            start.launch()
        x, y, yaw = self.trucks.pose.numpy()[0].T
        self._data.mocap_pos[self._count :, :2] = np.stack([x, y], axis=-1)
        self._data.mocap_quat[self._count :] = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=-1)

    def step(self) -> None:
        """One motor period."""
        self.movers.step.launch()

    def walkers(self) -> NDArray[np.float32]:
        """Where people are, (people, 2), m."""
        return self.people.position.numpy()[0]

    def truck_poses(self) -> NDArray[np.float32]:
        """x, y (m), yaw of each forklift, (forklifts, 3)."""
        return self.trucks.pose.numpy()[0]
