"""Doors that open by themselves, in many worlds: one law as a kernel, for training plants and for a fleet's one floor.

An automatic door is shut until a robot's centre comes within SENSE of it or a person within REACH. It then needs its
opening time, during which it stands in the way as a whole, and is open until nobody has been so near for HOLD. Closing
takes as long again and begins with the whole door in the way: nobody is near then, and who comes near turns it round.
Worse than a real door, which clears the lower part first, so that a plan which works here works there.

In a training plant (`PlantDoors`) each world has doors of its own: mocap bodies that sink into the ground when they are
open, and boxes for the lidar. People take automatic doors for walls there. A fleet's floor (`Doors`) asks who may pass
and tells physics, lidar and people itself.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.device import start_warp
from sim.fixtures import DoorState
from sim.launches import Launchable, record
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SENSE = 3.5
"""m, from a robot's centre to the door. The shut door is something unknown to a robot's shield, which lets it creep up
to 0.7 m before it (measured with a door of 25 s, 2026-11); motion detectors of industrial doors cover 3 to 7 m."""

REACH = 1.0
"""m, from a person's middle: a hand's reach before the door."""

HOLD = 3.0
"""s that a door stays open after the last one left."""

LONG = 1.0e6
"""s; nobody has been near for so long when an episode begins."""

SUNK = -5.0
"""z of an open door's body, m: its boxes are then wholly below the floor."""

SENSE_C, REACH_C, HOLD_C = wp.constant(SENSE), wp.constant(REACH), wp.constant(HOLD)
LONG_C, SUNK_C = wp.constant(LONG), wp.constant(SUNK)
AUTOMATIC_C = wp.constant(int(DoorState.AUTOMATIC))


@wp.struct
class DoorPlan:
    """The doors of a floor, as kernels read them."""

    state: wp.array(dtype=wp.int32)
    """`DoorState` of each, (doors,)."""
    opening: wp.array(dtype=wp.float32)
    """s, (doors,)"""
    first: wp.array(dtype=wp.int32)
    """Where the cells of each begin, (doors + 1,)."""
    centre: wp.array(dtype=wp.vec2)
    """Middles of all cells, m."""
    half: float
    """Half a cell, m."""


@wp.struct
class DoorArrays:
    """How the doors of every world stand; all (worlds, doors)."""

    open: wp.array2d(dtype=wp.uint8)
    """Whether each may be passed."""
    progress: wp.array2d(dtype=wp.float32)
    """s of the opening time done."""
    lonely: wp.array2d(dtype=wp.float32)
    """s since somebody was near."""


def make_plan(site: Site, device: str) -> DoorPlan:
    """A site's doors on a device."""
    doors, plan = site.fixtures.doors, DoorPlan()
    cells = np.array([cell for door in doors for cell in door.cells], np.int64)
    first = np.cumsum([0, *(len(door.cells) for door in doors)])
    plan.state = wp.array(np.array([int(door.state) for door in doors], np.int32), dtype=wp.int32, device=device)
    plan.opening = wp.array(np.array([door.opening for door in doors], np.float32), dtype=wp.float32, device=device)
    plan.first = wp.array(first.astype(np.int32), dtype=wp.int32, device=device)
    middles = site.centre(cells).reshape(-1, 2).astype(np.float32)
    plan.centre = wp.array(middles, dtype=wp.vec2, device=device)
    plan.half = float(site.cell / 2)
    return plan


def make_doors(site: Site, worlds: int, device: str) -> DoorArrays:
    """Every automatic door shut, the others as they stay."""
    doors, arrays = site.fixtures.doors, DoorArrays()
    stand = np.tile(np.array([door.state is DoorState.OPEN for door in doors], np.uint8), (worlds, 1))
    arrays.open = wp.array(stand.reshape(worlds, len(doors)), dtype=wp.uint8, device=device)
    arrays.progress = wp.zeros((worlds, len(doors)), dtype=wp.float32, device=device)
    arrays.lonely = wp.full((worlds, len(doors)), LONG, dtype=wp.float32, device=device)
    return arrays


@wp.func
def gap_to(plan: DoorPlan, door: int, x: float, y: float) -> float:
    """From a point to a door, m."""
    nearest = wp.float32(1.0e9)
    for part in range(plan.first[door], plan.first[door + 1]):
        dx = wp.max(wp.abs(x - plan.centre[part][0]) - plan.half, 0.0)
        dy = wp.max(wp.abs(y - plan.centre[part][1]) - plan.half, 0.0)
        nearest = wp.min(nearest, wp.sqrt(dx * dx + dy * dy))
    return nearest


@wp.kernel
def step_doors(
    seconds: float,
    robots: int,
    plan: DoorPlan,
    pose: wp.array2d(dtype=wp.float32),
    people: wp.array3d(dtype=wp.float32),
    doors: DoorArrays,
) -> None:
    """Let time pass for each world's door; pose (rows, 3 or 2), people (worlds, people, 2), m."""
    world, door = wp.tid()
    if plan.state[door] != AUTOMATIC_C:
        return
    near = wp.bool(False)
    for robot in range(robots):
        row = world * robots + robot
        near = near or gap_to(plan, door, pose[row, 0], pose[row, 1]) < SENSE_C
    for person in range(people.shape[1]):
        near = near or gap_to(plan, door, people[world, person, 0], people[world, person, 1]) < REACH_C
    lonely = doors.lonely[world, door] + seconds
    if near:
        lonely = wp.float32(0.0)
    wanted = lonely < HOLD_C - 1.0e-3  # of a sum of periods
    change = -seconds
    if wanted:
        change = seconds
    progress = wp.clamp(doors.progress[world, door] + change, 0.0, plan.opening[door])
    doors.lonely[world, door] = lonely
    doors.progress[world, door] = progress
    doors.open[world, door] = wp.uint8(0)
    if wanted and progress >= plan.opening[door] - 1.0e-3:
        doors.open[world, door] = wp.uint8(1)


@wp.kernel
def begin_doors(robots: int, mask: wp.array(dtype=wp.uint8), plan: DoorPlan, doors: DoorArrays) -> None:
    """Where all robots of a world begin, its automatic doors are shut."""
    world, door = wp.tid()
    for robot in range(robots):
        if mask[world * robots + robot] == wp.uint8(0):
            return
    if plan.state[door] == AUTOMATIC_C:
        doors.open[world, door] = wp.uint8(0)
        doors.progress[world, door] = 0.0
        doors.lonely[world, door] = LONG_C


@wp.kernel
def show_doors(
    bodies: int,
    first: int,
    plan: DoorPlan,
    doors: DoorArrays,
    mocap: wp.array3d(dtype=Any),
    things: wp.array3d(dtype=wp.float32),
) -> None:
    """Put each world's automatic doors into physics (mocap bodies from `bodies` on) and sight (things from `first`)."""
    world = wp.tid()
    body = bodies
    thing = first
    for door in range(plan.opening.shape[0]):
        if plan.state[door] == AUTOMATIC_C:
            passable = doors.open[world, door] != wp.uint8(0)
            mocap[world, body, 2] = mocap.dtype(wp.where(passable, SUNK_C, 0.0))
            body += 1
            for part in range(plan.first[door], plan.first[door + 1]):
                things[world, thing, 0] = plan.centre[part][0]
                things[world, thing, 1] = plan.centre[part][1]
                if passable:
                    things[world, thing, 0] = 1.0e4  # off every floor: no ray comes so far
                things[world, thing, 2] = 0.0
                things[world, thing, 3] = plan.half
                things[world, thing, 4] = plan.half
                things[world, thing, 5] = -1.0
                thing += 1


class PlantDoors:
    """The automatic doors of a training plant. Owns their arrays; lidar and engine see what `show` said."""

    def __init__(self, site: Site, worlds: int, robots: int, device: str) -> None:
        self.plan, self.state = make_plan(site, device), make_doors(site, worlds, device)
        self.parts = len(site.fixtures.door_cells(DoorState.AUTOMATIC))
        """Cells of automatic doors: what the lidar sees when they are shut."""
        self._worlds, self._robots, self._device = worlds, robots, device
        self._doors = len(site.fixtures.doors)

    def step(self, pose: wp.array, people: wp.array, seconds: float) -> Launchable:
        """The launch that lets `seconds` pass."""
        return self._record(step_doors, [seconds, self._robots, self.plan, pose, people, self.state])

    def begin(self, mask: wp.array) -> Launchable:
        """The launch that shuts the doors of worlds all of whose rows (uint8) begin."""
        return self._record(begin_doors, [self._robots, mask, self.plan, self.state])

    def show(self, mocap: wp.array, bodies: int, things: wp.array, first: int) -> Launchable:
        """The launch that tells engine and lidar how the doors stand."""
        inputs = [bodies, first, self.plan, self.state, mocap, things]
        return record(show_doors, self._worlds, inputs, self._device)

    def _record(self, kernel: Any, inputs: list[Any]) -> Launchable:  # Warp's own types
        return record(kernel, (self._worlds, self._doors), inputs, self._device)


class Doors:
    """Owns how far each automatic door of one floor is open. Doors of other states never move."""

    def __init__(self, site: Site) -> None:
        """All automatic doors shut."""
        start_warp()
        self.site = site
        self._plan, self._state = make_plan(site, "cpu"), make_doors(site, 1, "cpu")
        self.open: NDArray[np.bool_] = self._state.open.numpy()[0].view(np.bool_)
        """Whether each door may be passed, (doors,)."""
        self._moves = any(door.state is DoorState.AUTOMATIC for door in site.fixtures.doors)

    def step(self, seconds: float, robots: NDArray[np.floating], people: NDArray[np.floating]) -> bool:
        """Let time pass; robots (n, 2 or 3) and people (m, 2) stand there, m. Whether some door opened or shut."""
        if not self._moves:
            return False
        before = self.open.copy()
        pose = wp.array(np.ascontiguousarray(robots, np.float32), dtype=wp.float32, device="cpu")
        at = wp.array(np.asarray(people, np.float32).reshape(1, -1, 2), dtype=wp.float32, device="cpu")
        inputs = [seconds, len(robots), self._plan, pose, at, self._state]
        wp.launch(step_doors, dim=(1, len(self.open)), inputs=inputs, device="cpu")
        return bool((before != self.open).any())

    def stand(self, open_: NDArray[np.bool_]) -> None:
        """Let automatic doors stand as at a moment of the past, (doors,): open ones as if somebody had just left."""
        for number, door in enumerate(self.site.fixtures.doors):
            if door.state is DoorState.AUTOMATIC:
                passable = bool(open_[number])
                self.open[number] = passable
                self._state.progress.numpy()[0, number] = door.opening if passable else 0.0
                self._state.lonely.numpy()[0, number] = 0.0 if passable else LONG

    def shut_cells(self) -> NDArray[np.int64]:
        """Cells in which a door stands now."""
        shut = [
            cell
            for door, open_ in zip(self.site.fixtures.doors, self.open, strict=True)
            if not open_
            for cell in door.cells
        ]
        return np.array(shut, np.int64)
