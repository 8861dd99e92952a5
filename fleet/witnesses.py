"""The two witnesses of every contact on a fleet's floor: the engine's list of contacts, and plane geometry.

Each physics step is checked twice, by the engine and by `fleet.oracle`, on the same poses: those at the step's start,
where the engine looks for contacts too. A robot and the map, another robot, a forklift or one person are a contact
each; what a robot carries counts as the robot, a pod that stands as the map. Geometry judges a period's steps at once.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from fleet.oracle import ContactTally, Touch, touching
from fleet.pods import FleetPods, add_pods, legs_of
from fleet.spilled import Spilled, add_boxes
from sim.forklifts import ForkliftSpec
from sim.lifting import LEG
from sim.people import PERSON_RADIUS
from sim.robot import RobotSpec
from sim.site import Site


class Witnesses:
    """Owns both tallies, and what the steps of one period have shown so far."""

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        spec: RobotSpec,
        truck: ForkliftSpec,
        *,
        robots: int,
        people: int,
        forklifts: int,
        steps: int,
        pods: FleetPods | None,
        spilled: Spilled | None,
    ) -> None:
        """For periods of so many physics `steps` each."""
        self.physics = ContactTally(robots, people, forklifts)
        """By the engine."""
        self.oracle = ContactTally(robots, people, forklifts)
        """By geometry."""
        self._data, self._pods, self._spilled = data, pods, spilled
        self._size, self._truck = (spec.length, spec.width), (truck.length, truck.width)
        self._geoms = _geom_kinds(model, robots)
        self._counts = steps, robots, people, forklifts
        self.begin()

    def begin(self) -> None:
        """Begin a period."""
        steps, robots, people, forklifts = self._counts
        self._step = -1
        self._poses = np.empty((steps, robots, 3))
        self._people = np.empty((steps, people, 2))
        self._trucks = np.empty((steps, forklifts, 3))
        self._pod_poses = np.empty((steps, self._pods.count if self._pods else 0, 3))
        self._carrier = np.full(self._pod_poses.shape[:2], -1)
        self._boxes = np.empty((steps, self._spilled.count if self._spilled else 0, 3))
        self._speed, self._turn = np.empty((steps, robots)), np.empty((steps, robots))
        self._touch = Touch(
            map=np.zeros((steps, robots), bool),
            robot=np.zeros((steps, robots, robots), bool),
            person=np.zeros((steps, robots, people), bool),
            forklift=np.zeros((steps, robots, forklifts), bool),
        )

    def note(
        self,
        poses: NDArray[np.floating],
        twists: NDArray[np.floating],
        people: NDArray[np.floating],
        trucks: NDArray[np.floating],
    ) -> None:
        """Take where everybody is as a physics step begins.

        Robots (robots, 3) and their v, w and sideways speed (robots, 3); people (people, 2), trucks (forklifts, 3).
        """
        self._step += 1
        step = self._step
        if self._pods is not None:
            self._pod_poses[step], self._carrier[step] = self._pods.poses(), self._pods.carrier
        if self._spilled is not None:
            self._boxes[step] = self._spilled.poses()
        self._people[step] = people
        self._trucks[step] = trucks
        self._poses[step] = poses
        np.hypot(twists[:, 0], twists[:, 2], out=self._speed[step])
        self._turn[step] = twists[:, 1]

    def ask_engine(self) -> None:
        """Take the engine's contacts of the step just made: each pair that overlaps, floor and wheels left out."""
        if not self._data.ncon:
            return
        touch, step, contact = self._touch, self._step, self._data.contact
        for one, two in contact.geom[contact.dist < 0.0]:
            for geom, other in ((one, two), (two, one)):
                (kind, robot), (other_kind, number) = self._held(*self._geoms[geom]), self._held(*self._geoms[other])
                if kind != "robot" or (other_kind == "robot" and robot == number):
                    continue
                if other_kind == "map":
                    touch.map[step, robot] = True
                elif other_kind == "robot":
                    touch.robot[step, robot, number] = True
                elif other_kind == "person":
                    touch.person[step, robot, number] = True
                elif other_kind == "forklift" and touch.forklift is not None:
                    touch.forklift[step, robot, number] = True

    @property
    def touched(self) -> NDArray[np.bool_]:
        """Which robots the engine saw touch something in the step just made, (robots,)."""
        return self._touch.pairs[self._step].any(axis=1)

    @property
    def speed(self) -> NDArray[np.float64]:
        """Robots' speeds as the last step began, m/s, (robots,)."""
        return self._speed[self._step]

    def end(self, site: Site) -> NDArray[np.bool_]:
        """End a period on a `site` whose doors are as they were in it; returns which robots touched something."""
        self.physics.add(self._touch, self._speed, self._turn)
        poses, people, trucks, pods = self._poses, self._people, self._trucks, self._pod_poses
        seen = touching(site, *self._size, poses, people, PERSON_RADIUS, trucks, self._truck)
        if self._pods is not None:
            add_pods(seen, site, self._size, poses, people, trucks, self._truck, pods, self._carrier)
        if self._spilled is not None:
            add_boxes(seen, self._size, poses, self._boxes)
            for leg in legs_of(site.fixtures.pod_size, pods):
                add_boxes(seen, (LEG, LEG), leg, self._boxes, self._carrier)
        self.oracle.add(seen, self._speed, self._turn)
        touched: NDArray[np.bool_] = np.any(self._touch.pairs, axis=(0, 2))
        return touched

    def _held(self, kind: str, number: int) -> tuple[str, int]:
        """What a geom counts as: a carried pod as its robot, one that stands as the map."""
        if kind != "pod" or self._pods is None:
            return kind, number
        robot = int(self._pods.carrier[number])
        return ("robot", robot) if robot >= 0 else ("map", 0)


def _geom_kinds(model: mujoco.MjModel, robots: int) -> list[tuple[str, int]]:
    """What each geom is: "robot" (its hull), "person" or "map", with the number of the robot or person; or "floor"."""
    kinds = []
    for geom in range(model.ngeom):
        name, body = model.geom(geom).name, model.body(model.geom(geom).bodyid[0]).name
        if body.startswith("pod"):
            kinds.append(("pod", int(body.removeprefix("pod"))))
        elif name.startswith("hull"):
            kinds.append(("robot", int(name.removeprefix("hull"))))
        elif name.startswith("person"):
            kinds.append(("person", int(name.removeprefix("person"))))
        elif name.startswith("forklift"):
            kinds.append(("forklift", int(name.removeprefix("forklift"))))
        elif name.startswith(("rack", "wall", "pod", "door", "box")):
            kinds.append(("map", 0))
        else:
            kinds.append(("floor", 0))  # the floor, and wheels and casters, which meet the floor alone
    assert sum(kind == "robot" for kind, _ in kinds) == robots
    return kinds
