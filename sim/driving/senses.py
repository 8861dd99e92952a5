"""A car's senses: everything that fills `View` from the truth, once each control step.

    begin(mask)    the masked rows' episodes begin, their egos put down, their footing known
    look(mask)     the masked rows look once more: own place, path, object list, tracks; to be run once a step at least

`look` of the same step again changes nothing. All launches are recorded, every draw is keyed by (seed, row, episode,
step), and `arrays` holds all that later steps depend on. Truth is read here alone; what reads `View` sees what sensors
say. `numbers.values` are the rows of sim/driving/sensingrows.py in the table of what varies.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass

import warp as wp

from sim.driving.atlas import Atlas
from sim.driving.boxlidar import BoxLidar
from sim.driving.localising import sense_own
from sim.driving.objectlist import hear, list_object, show
from sim.driving.path import LaneErrors, before_lanes, make_lane_errors, make_match, see_path, start_match
from sim.driving.profile import RoadProfile
from sim.driving.sensestate import (
    Lists,
    Own,
    SenseNumbers,
    Tracks,
    make_lists,
    make_own,
    make_tracks,
    sense_numbers,
    slots_of,
)
from sim.driving.sensing import RoadSensors, check_road_sensors
from sim.driving.state import ActorArrays, Footing, View
from sim.frenet import Lanes, fetch_frame
from sim.launches import Launchable, per_thread, record
from sim.robot import RobotSpec
from sim.tasks.task import struct_arrays
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@dataclass(frozen=True)
class RoadTruth:
    """Where the truth lies that a car's senses look at."""

    atlas: Atlas
    actors: ActorArrays
    footing: Footing
    pose: wp.array
    """base_link: x, y, yaw, float32 (rows, 3)"""
    motion: wp.array
    """Speed, acceleration, curvature of the steering, yaw rate, float32 (rows, 4)"""
    episode: wp.array
    """int32 (rows,)"""
    step: wp.array
    """Control steps since the episode's begin, int32 (rows,)"""


class Senses:
    """Owns what the senses of all rows remember; writes `view`."""

    def __init__(
        self,
        sensors: RoadSensors,
        spec: RobotSpec,
        truth: RoadTruth,
        view: View,
        *,
        robots: int,
        table: Table,
        values: wp.array,
        seed: int,
        profile: RoadProfile | None = None,
        device: str = "cpu",
    ) -> None:
        """`table` holds `road_sensor_rows(sensors, spec)`; `values` is what was drawn, float32 (rows, table's rows).

        Raises `SensorError` for sensors that cannot be, or that break the specification's localisation bound.
        """
        check_road_sensors(sensors, spec)
        self.sensors, self.truth, self.view, self.device = sensors, truth, view, device
        self.rows, self.robots = int(truth.pose.shape[0]), robots
        things = int(truth.actors.kind.shape[1]) + 1
        closing = (profile or RoadProfile()).speed
        self.numbers = sense_numbers(sensors, spec, seed=seed, table=table, values=values, closing=closing)
        self.match = make_match(self.rows, device)
        self.errors = make_lane_errors(self.rows, device)
        self.own = make_own(self.rows, device)
        self.lists = make_lists(self.rows, slots_of(sensors, spec), things, device)
        self.tracks = make_tracks(self.rows, things, device)
        self.lidar = (
            BoxLidar(
                spec, truth.actors, truth.episode, truth.step, robots, table, self.numbers, self.own.faulty, device
            )
            if sensors.lidar
            else None
        )
        """Ranges over the others' boxes; None where the configuration has no lidar."""
        self._before = before_lanes(truth.atlas)

    @property
    def faulty(self) -> wp.array:
        """Truth for tests and judges: which faults are there, bit k for the k-th of FAULTS; int32 (rows,)."""
        return self.own.faulty

    def begin(self, mask: wp.array) -> list[Launchable]:
        """The launches that begin the episodes of the masked rows, uint8 (rows,), before they look."""
        lanes, footing = self.truth.atlas.lanes, self.truth.footing
        return [
            record(start_match, self.rows, [lanes, footing, mask, self.match], self.device),
            record(start_senses, self.rows, [mask, self.own, self.tracks], self.device),
            *(self.lidar.begin(mask) if self.lidar else []),
        ]

    def look(self, mask: wp.array) -> list[Launchable]:
        """The launches by which the masked rows, uint8 (rows,), see what is around them in this step."""
        truth, view, numbers = self.truth, self.view, self.numbers
        lanes, when = truth.atlas.lanes, [truth.episode, truth.step, mask]
        things = self.tracks.kind.shape[1]
        each = per_thread(things, self.device)
        own = [numbers, truth.pose, truth.motion, *when, self.own, self.errors, view]
        path = [lanes, truth.atlas.routes, self._before, truth.pose, truth.footing, self.errors, mask, self.match, view]
        listed = [numbers, lanes, truth.actors, self.robots, *when, self.own, view, self.lists]
        return [
            record(find_own, self.rows, own, self.device),
            record(see_path, self.rows, path, self.device),
            record(list_objects, (self.rows, things // each), [*listed, each], self.device),
            record(track_objects, self.rows, [numbers, *when, self.lists, self.tracks, view], self.device),
            *(self.lidar.sweep(mask) if self.lidar else []),
        ]

    def arrays(self) -> dict[str, wp.array]:
        """All that later steps depend on, by name; the view's own arrays are its owner's."""
        named: dict[str, wp.array] = {}
        for name in ("match", "own", "lists", "tracks"):
            named |= struct_arrays(f"senses.{name}", getattr(self, name))
        return named | (self.lidar.arrays() if self.lidar else {})


@wp.kernel
def start_senses(mask: wp.array(dtype=wp.uint8), own: Own, tracks: Tracks) -> None:
    """The masked rows know nothing yet."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    own.looked[row] = -1
    own.ghost_lane[row] = -1
    tracks.listed[row] = -1
    for k in range(tracks.kind.shape[1]):
        tracks.kind[row, k] = -1
        tracks.stamp[row, k] = -1
        tracks.number[row, k] = 0


@wp.kernel
def find_own(
    numbers: SenseNumbers,
    pose: wp.array2d(dtype=wp.float32),
    motion: wp.array2d(dtype=wp.float32),
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    own: Own,
    errors: LaneErrors,
    view: View,
) -> None:
    """Pose, motion and age of the masked rows, and what their lane cameras are wrong by."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        sense_own(numbers, row, episode[row], step[row], pose, motion, own, errors, view)


@wp.kernel
def list_objects(
    numbers: SenseNumbers,
    lanes: Lanes,
    actors: ActorArrays,
    robots: int,
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    own: Own,
    view: View,
    lists: Lists,
    each: int,
) -> None:
    """This step's list of the masked rows; a thread for each row and `each` actors, the ghost behind the last."""
    row, part = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    if mask[row] == wp.uint8(0):
        return
    world = row / robots
    last = (part + 1) * each
    for k in range(part * each, wp.min(last, actors.kind.shape[1])):
        if actors.lane[world, k] >= 0:
            fetch_frame(lanes, actors.lane[world, k], actors.place[world, k, 0])
    for k in range(part * each, last):
        list_object(numbers, lanes, actors, robots, row, k, episode[row], step[row], own, view, lists)


@wp.kernel
def track_objects(
    numbers: SenseNumbers,
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    lists: Lists,
    tracks: Tracks,
    view: View,
) -> None:
    """The list that has come, and the objects of the masked rows' view."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        hear(numbers, row, episode[row], step[row], lists, tracks)
        show(numbers, row, step[row], tracks, view)
