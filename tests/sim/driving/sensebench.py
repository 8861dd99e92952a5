"""A car's senses on arrays that a test writes: no physics, no traffic, a straight road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.bodies.specs import CAR
from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.routes import RoutePlan
from sim.driving.senses import RoadTruth, Senses
from sim.driving.sensing import Fault, RoadFaults, RoadSensors
from sim.driving.sensingrows import road_sensor_rows
from sim.driving.state import ObjectColumn, make_actors, make_footing, make_view
from sim.road import STEP, Lane, Road, check_road
from sim.vary import Change, Table, draw_episodes, make_arrays

start_warp()

COLUMN = {each.name: int(each) for each in ObjectColumn}
LENGTH, WIDTH = CAR.length, CAR.width
DT = 0.05
"""Control period of the car, s."""

MIDDLE = 0.5 * CAR.length - 0.9
"""From base_link to the middle of the box, m (Ackermann.rear_overhang)."""


def straight_road(length: float = 6000.0, lanes: int = 3) -> Road:
    """Lanes side by side along x, the leftmost first."""
    x = np.arange(0.0, length + STEP, STEP)
    made = []
    for k in range(lanes):
        left, right = (np.stack([x, np.full_like(x, y)], axis=-1) for y in (1.75 - 3.5 * k, -1.75 - 3.5 * k))
        made.append(
            Lane(f"{k}", left, right, 36.0, left_neighbour=k - 1, right_neighbour=k + 1 if k + 1 < lanes else -1)
        )
    return check_road(Road("straight", tuple(made)))


def one_fault(name: str, onset: float = 1.0, duration: float = 2.0, size: float = 0.0) -> RoadSensors:
    """Sensors of which one breaks in every episode."""
    fault = Fault(1.0, (onset, onset), (duration, duration), (size, size))
    return RoadSensors(faults=replace(RoadFaults(), **{name: fault}))


class Bench:
    """`worlds` worlds with one ego each and actors that are where a test puts them."""

    def __init__(
        self, sensors: RoadSensors | None = None, *, worlds: int = 1, others: int = 4, seed: int = 5,
        level: float = 1.0, speed: float = 20.0, changes: Sequence[Change] = (),
        device: str = "cpu",
    ) -> None:  # fmt: skip
        sensors = sensors or RoadSensors()
        road = straight_road()
        self.atlas = Atlas([road], routes=[[RoutePlan(1, 50.0, 1, 5900.0)]], device=device)
        self.x0, self.y0 = self.atlas.origin(0)
        actors, footing = make_actors(worlds, others + 1, device), make_footing(worlds, device)
        view = make_view(worlds, device)
        self.table = Table(road_sensor_rows(sensors, CAR, level)).changed(changes)
        varies = make_arrays(self.table, worlds, device)
        arrays = {"pose": (worlds, 3), "motion": (worlds, 4)}
        made = {name: wp.zeros(shape, dtype=wp.float32, device=device) for name, shape in arrays.items()}
        counts = {name: wp.zeros(worlds, dtype=wp.int32, device=device) for name in ("episode", "step")}
        mask, everyone = (wp.full(worlds, 1, dtype=wp.uint8, device=device) for _ in range(2))
        self.senses = Senses(
            sensors, CAR, RoadTruth(self.atlas, actors, footing, **made, **counts), view, robots=1, table=self.table,
            values=varies.values, seed=seed, device=device,
        )  # fmt: skip
        self._told: list[tuple[wp.array, NDArray]] = []
        self._read: list[tuple[NDArray, wp.array]] = []
        self.mask, self.worlds, self._apart = self._tell(mask), worlds, device != "cpu"
        self.pose, self.motion = self._tell(made["pose"]), self._tell(made["motion"])
        self.episode, self.step = self._tell(counts["episode"]), self._tell(counts["step"])
        self.kind, self.place, self.lane = (self._tell(getattr(actors, name)) for name in ("kind", "place", "lane"))
        self.others, self.drive, self.size = (self._tell(getattr(actors, name)) for name in ("pose", "motion", "size"))
        self.view = {name: self._hear(getattr(view, name)) for name in view._cls.vars}
        self.own = {name: self._hear(getattr(self.senses.own, name)) for name in ("error", "radius", "faulty")}
        self._draw = lambda: wp.launch(draw_episodes, worlds, [seed, counts["episode"], mask, varies], device=device)
        self._begin, self._look = self.senses.begin(mask), self.senses.look(everyone)
        self.motion[:, 0] = speed
        self.put(0, 100.0, lane=1, speed=speed)
        footing.lane.fill_(1)
        place = np.zeros((worlds, 4), np.float32)
        place[:, 0] = 100.0 - MIDDLE
        footing.place.assign(place)

    def _tell(self, array: wp.array) -> NDArray:
        """What a test writes of an array: on the CPU the array itself."""
        self._told.append((array, array.numpy()))
        return self._told[-1][1]

    def _hear(self, array: wp.array) -> NDArray:
        """What a test reads of an array."""
        self._read.append((array.numpy(), array))
        return self._read[-1][0]

    def put(
        self, actor: int, s: float | NDArray[np.floating], d: float | NDArray[np.floating] = 0.0, *, lane: int = 1,
        speed: float = 0.0, size: tuple[float, float] = (LENGTH, WIDTH), kind: ActorKind = ActorKind.CAR,
        world: slice = slice(None),
    ) -> None:  # fmt: skip
        """An actor's middle at a place of a lane; actor 0 is the ego."""
        self.kind[world, actor], self.lane[world, actor] = int(kind), lane
        self.place[world, actor, 0], self.place[world, actor, 1] = s, d
        self.others[world, actor, 0] = s - self.x0
        self.others[world, actor, 1] = d - 3.5 * lane - self.y0
        self.drive[world, actor, 0], self.size[world, actor] = speed, size
        if actor == 0:
            self.pose[world, 0], self.pose[world, 1] = s - self.x0 - MIDDLE, self.others[world, 0, 1]

    def begin(self, rows: Sequence[int] | None = None) -> None:
        """Begin the next episode of some rows, all if left out, and look."""
        self.mask[:] = 1 if rows is None else np.isin(np.arange(self.worlds), rows)
        chosen = self.mask != 0
        self.episode[chosen] += 1
        self.step[chosen] = 0
        self._send()
        self._draw()
        for launch in self._begin:
            launch.launch()
        self.look()

    def look(self) -> None:
        """Look at the step that it is."""
        self._send()
        for launch in self._look:
            launch.launch()
        for values, array in self._read if self._apart else ():
            values[...] = array.numpy()

    def _send(self) -> None:
        for array, values in self._told if self._apart else ():
            array.assign(values)

    def go(self, steps: int = 1) -> None:
        """Everybody drives on for some steps along x, and the cars look at each."""
        for _ in range(steps):
            self.step += 1
            driven = DT * self.drive[:, :, 0]
            self.others[:, :, 0] += driven
            self.place[:, :, 0] += driven
            self.pose[:, 0] += driven[:, 0]
            self.look()

    def seen(self, world: int = 0) -> dict[int, dict[str, float]]:
        """The view's objects of a world by actor (the tracker's number modulo actors and ghost), and their columns."""
        found = {}
        for j in np.flatnonzero(self.view["object_kind"][world] >= 0):
            actor = int(self.view["object_id"][world, j]) % (self.kind.shape[1] + 1)
            columns = {name: float(self.view["objects"][world, j, column]) for name, column in COLUMN.items()}
            found[actor] = columns | {"ID": float(self.view["object_id"][world, j]), "SLOT": float(j)}
        return found

    def age_of(self, actor: int, world: int = 0) -> float:
        """Age of an object in a world's view, s."""
        return self.seen(world)[actor]["AGE"]
