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
from sim.crowd import GOALS, CrowdKind, record_walk
from sim.forklifts import ForkliftSpec, make_forklifts, make_yard, record_drivers, record_starts
from sim.launches import Launchable
from sim.lidar import make_boxes
from sim.manners import Manners, make_crowd
from sim.people import SPEED_HIGH, SPEED_LOW, Profile, make_people
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.rays import FloorArrays
from sim.robot import SECOND, RobotSpec
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
        device, robots, dt = "cpu", len(pose), spec.motor_period / SECOND
        self._site, self._seed, self._data, self._count = site, seed, data, people
        movers = people + forklifts
        mocap = wp.array(
            ptr=data.mocap_pos.ctypes.data, dtype=wp.float64, shape=(1, movers, 3), device=device, copy=False
        )
        quat = wp.array(
            ptr=data.mocap_quat.ctypes.data, dtype=wp.float64, shape=(1, movers, 4), device=device, copy=False
        )
        self.people = make_people(1, people, device)
        self.trucks = make_forklifts(1, forklifts, device)
        self.boxes = make_boxes(self.trucks.pose, truck.length, truck.width, things)
        """Forklifts and loads as lidars and people see them."""
        self.drivers: list[Launchable] = []
        """One motor period of the forklifts."""
        self._starts: list[Launchable] = []
        if forklifts:
            yard = make_yard(
                site, truck, robots=robots, radius=spec.radius, pose=pose, people=self.people.position, seed=seed
            )
            every, episode = wp.full(robots, 1, dtype=wp.uint8), wp.zeros(robots, dtype=wp.int32)
            self.drivers = record_drivers(yard, self.trucks, mocap, quat, bodies=people, dt=dt, seed=seed)
            self._starts = record_starts(yard, self.trucks, every, episode, seed=seed)
        self.walk: Launchable | None = None
        """One motor period of the people; None without any."""
        if people:
            self.walk = record_walk(
                crowd,
                site,
                floor,
                self.people,
                make_crowd(1, people, device),
                pose,
                twist,
                mocap,
                robots=robots,
                robot_radius=spec.radius,
                dt=dt,
                profile=int(profile),
                seed=seed,
                manners=Manners(),
                ways=find_ways(~(site.standing | site.person_free), GOALS, seed),  # through automatic doors
                boxes=self.boxes,
            )

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
        if self.walk is not None:
            self.walk.launch()
        for driver in self.drivers:
            driver.launch()

    def walkers(self) -> NDArray[np.float32]:
        """Where people are, (people, 2), m."""
        return self.people.position.numpy()[0]

    def truck_poses(self) -> NDArray[np.float32]:
        """x, y (m), yaw of each forklift, (forklifts, 3)."""
        return self.trucks.pose.numpy()[0]
