"""The plant's own world with everything in it as a situation says: what `muster replay --sim` plays on.

    robots      where they were, moving as they were; a pod on the lift of the one that is asked about
    people      on their way from cell to cell; who keeps to no cells goes on as recorded
    forklifts   go on as recorded, and stand where the record ends: they give way to nobody
    doors       as they stood; automatic ones go on by their law
    pods        where they stood; those that other robots carry go with them
    boxes       where they lay last

What goes on as recorded is put at its place in every motor period, between two recorded ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleet.incident.restore import Situation
from fleet.incident.walk import Log
from fleet.incident.whatif import QuestionError
from fleet.pods import FleetPods
from fleet.world import World
from sim.launches import Launchable, Several
from sim.people import Profile

FOREVER = 1.0e9
"""s, of a pause that does not end."""
STILL = 1.0e-5
"""m; a pod whose recorded places are no further apart from one motor period to the next stands."""
GOODS = 10.0
"""kg on each pod: the plant's own default; no record says it."""


def restored(log: Log, situation: Situation, seed: int) -> World:
    """Everybody placed and moving as the situation says. Raises QuestionError where that cannot be."""
    config, people = log.header.config, situation.people
    trucks = situation.places_at(situation.stamp).forklifts
    world = World(
        log.header.site,
        config.spec,
        len(situation.poses),
        len(people),
        profile=Profile.WALKING if config.person_speed > 0.0 else Profile.STILL,
        forklifts=len(trucks),
        seed=seed,
        body="wheeled" if config.body == "wheeled" else "planar",
        goods=GOODS,
        boxes=len(situation.boxes),
    )
    world.stamp = situation.stamp
    arrays = world.traffic.people
    for number, person in enumerate(people):
        arrays.position.numpy()[0, number] = person.position
        arrays.origin.numpy()[0, number] = person.origin
        arrays.target.numpy()[0, number] = person.target
        arrays.walked.numpy()[0, number] = person.walked
        arrays.speed.numpy()[0, number] = person.speed
        arrays.pause.numpy()[0, number] = FOREVER if person.stands else 0.0
        world.data.mocap_pos[number, :2] = person.position
    if len(situation.boxes) and world.spilled is not None:
        world.spilled.put(situation.boxes)
    _load(world, situation, log.robot)
    world.resume(situation.poses, situation.twists)
    world.battery[0] = situation.battery
    if len(situation.doors):
        world.resume_doors(situation.doors)
    recorded = Recorded(world, situation)
    recorded.put(situation.stamp)
    movers = world.traffic.movers
    movers.step = Several((*movers.walk.launches, recorded))
    return world


def _load(world: World, situation: Situation, robot: str) -> None:
    """Pods where they stood, and the one on the robot's lift on it."""
    if world.pods is None:
        return
    world.resume(situation.poses, np.zeros_like(situation.twists))
    pods = situation.places_at(situation.stamp).pods
    known = len(pods) == world.pods.count
    for number, place in enumerate(pods if known else ()):
        world.pods.put_one(number, place)
    if situation.lift < 0.0:
        return
    if situation.carried >= 0 and not known:
        world.pods.put_one(situation.carried, situation.poses[0])
    pod = world.pods.take(0, situation.lift)
    if pod < 0:
        raise QuestionError(
            f"expected the pod that {robot} carries, neither plant nor picture says which; choose another moment"
        )
    yaw, (v, w) = float(situation.poses[0, 2]), situation.twists[0].tolist()
    world.pods.drift(pod, (v * float(np.cos(yaw)), v * float(np.sin(yaw)), w))


class Recorded(Launchable):
    """Puts what goes on as recorded at its places, one motor period a launch. Owns the time."""

    def __init__(self, world: World, situation: Situation) -> None:
        self._world, self._situation = world, situation
        self._stamp = situation.stamp
        self._motor = int(world.spec.motor_period)
        self._before = np.zeros((0, 3))

    def launch(self) -> None:
        """One motor period."""
        self._stamp += self._motor
        self.put(self._stamp)

    def put(self, stamp: int) -> None:
        """As at a stamp, ns."""
        world, situation = self._world, self._situation
        places = situation.places_at(stamp)
        trucks, people = world.traffic.trucks, world.traffic.people
        for number, (x, y, yaw) in enumerate(places.forklifts.tolist()):
            body = world.people + number
            trucks.pose.numpy()[0, number] = x, y, yaw
            world.data.mocap_pos[body, :2] = x, y
            world.data.mocap_quat[body] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
        for number, (x, y) in enumerate(places.people.tolist()):
            if situation.people[number].recorded:
                people.position.numpy()[0, number] = x, y
                world.data.mocap_pos[number, :2] = x, y
        if world.pods is not None and len(places.pods):
            self._pods(world.pods, places.pods)

    def _pods(self, pods: FleetPods, places: NDArray[np.float64]) -> None:
        """Put those that somebody else moved; what stands, or what the robot has on its lift, is the world's own."""
        before, self._before = self._before, places
        mine = {self._situation.carried, int(pods.carried[0])}
        moved = np.flatnonzero(np.hypot(*(places - before)[:, :2].T) > STILL) if len(before) == len(places) else ()
        for pod in set(map(int, moved)) - mine:
            pods.put_one(pod, places[pod])


def others_at(situation: Situation, stamp: int, period: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the other robots are at a stamp, and what leads to where they are a period later; at the end they stand."""
    now = situation.places_at(stamp).robots
    then = situation.places_at(stamp + round(period * 1e9)).robots
    turn = np.arctan2(np.sin(then[:, 2] - now[:, 2]), np.cos(then[:, 2] - now[:, 2]))
    heading = now[:, 2] + turn / 2
    moved = then[:, :2] - now[:, :2]
    along = moved[:, 0] * np.cos(heading) + moved[:, 1] * np.sin(heading)
    return now, np.stack([along, turn], axis=-1) / period
