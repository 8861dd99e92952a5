"""What a car makes of its readings: the `View` that policies, shield and fallback read, from messages and a map.

    view = CarView(road, plan, spec)            the map, and the way on it
    view.see(reading)                           fills `view.view` for one control step

The place is localisation's, carried on to now by the wheels; the lane geometry is the map's about it
(sim/driving/carplace.py); across the lane counts what the lane camera sees. Objects are kept in odom, which never
jumps, so that those that a list misses stay where they were seen while localisation corrects itself, and are
forgotten after `ObjectList.hold` without a sight. Ages are `now` less stamps:

    age         of the oldest of wheels, inertial unit and steering; or, if longer, for how long the place has not been
                known to keep its bound: localisation silent or unsure, lane camera blind, or the two apart by more than
                both may be off
    list_age    of the newest list

Nothing is guessed where something is missing: the age says so, and the shield acts on it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportAttributeAccessIssue=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.carplace import find_lane, find_objects, lane_boxes
from sim.driving.path import before_lanes, make_lane_errors, make_match
from sim.driving.profile import RoadProfile
from sim.driving.reading import CarReading, Listed, ObjectList, Odometry, Place, Pose, between, compose, inverse
from sim.driving.routes import RoutePlan, route_arrays
from sim.driving.sensing import ROUNDING, RoadSensors, bounds
from sim.driving.state import OBJECTS, ObjectColumn, make_view
from sim.launches import record
from sim.road import Road
from sim.robot import SECOND, RobotSpec

NEVER = 1.0e3
"""s; the age of what has never come: older than anything that is believed."""

PLACE_AGE = 0.35
"""s that a place may be old before it does not count: three fixes of 10 a second are missed, and a step."""

LANE_AGE = 0.15
"""s that the lane camera's last word may be old: three of its pictures at 20 a second."""

REMEMBERED = 3 * SECOND
"""ns of odometry that are remembered: longer than any list or place takes to come."""

DRIFT = 0.1
"""m/s by which odometry takes away what is not seen: scale and noise at full speed (sim/driving/sensing.py)."""


@dataclass
class _Track:
    """An object that is held."""

    number: int
    listed: Listed
    pose: Pose
    """In odom"""
    stamp: int
    lane: int = -1


class CarView:
    """Owns the view of one car, what it remembers of readings, and the map that it is made on."""

    def __init__(self, road: Road, plan: RoutePlan, spec: RobotSpec, sensors: RoadSensors | None = None) -> None:
        """`sensors`: how far they see and what they promise. Raises `RoadError` for a way that cannot be driven."""
        start_warp()
        self.road, self.spec, self.sensors = road, spec, sensors or RoadSensors()
        self.atlas = Atlas([road], routes=[[plan]])
        self.view = make_view(1, "cpu")
        self.plan = plan
        self._bounds = bounds(self.sensors, spec)
        self._closing = RoadProfile().speed
        self._match, self._errors = make_match(1, "cpu"), make_lane_errors(1, "cpu")
        self._camera = wp.zeros((1, 3), dtype=wp.float32, device="cpu")
        self._came = wp.full((1, OBJECTS), -1, dtype=wp.int32, device="cpu")
        self._across = wp.zeros((1, OBJECTS), dtype=wp.float32, device="cpu")
        boxes = wp.array(lane_boxes(road, self.atlas.origin(0)), dtype=wp.float32, device="cpu")
        lanes, before = self.atlas.lanes, before_lanes(self.atlas)
        lane = [lanes, boxes, self.atlas.routes, before, self._camera, self._match, self._errors, self.view]
        self._find_lane = record(find_lane, 1, lane, "cpu")
        objects = [lanes, boxes, self._came, self._across, self.view]
        self._find_objects = record(find_objects, (1, OBJECTS), objects, "cpu")
        names = self.view._cls.vars
        self.seen: dict[str, NDArray[np.generic]] = {name: getattr(self.view, name).numpy()[0:1] for name in names}
        """The view's arrays as the host sees them, one row each"""
        self._host = {
            "lane": self._match.lane.numpy(), "camera": self._camera.numpy(), "came": self._came.numpy(),
            "across": self._across.numpy(), "offset": self._errors.offset.numpy(),
        }  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """Forget everything but the map and the way on it."""
        self._moved: deque[tuple[int, Pose]] = deque()
        self._tracks: dict[bytes, _Track] = {}
        self._numbers = 0
        self._odom: Pose | None = None  # of odom in the map
        self._placed = self._listed = self._well = -1
        self._host["lane"][0] = -1

    def go_to(self, plan: RoutePlan) -> None:
        """Another way, from the next step on. Raises `RoadError` for one that cannot be driven."""
        found = route_arrays([self.road], [[plan]], self.atlas.first, "cpu")
        for name in found._cls.vars:
            getattr(self.atlas.routes, name).assign(getattr(found, name))
        self.plan = plan

    def see(self, reading: CarReading, *, trusted: bool = True) -> None:
        """Fill the view for the control step that begins at `reading.now`; as far too old where it is not `trusted`."""
        odometry, now = reading.odometry, reading.now
        self._remember(odometry)
        if reading.place is not None and reading.place.stamp != self._placed:
            self._take_place(reading.place)
        pose = self._pose(reading)
        self._see_motion(reading)
        seen = self.seen
        seen["pose"][0] = (math.nan,) * 3 if pose is None else pose
        camera = self._see_camera(reading)
        self._find_lane.launch()
        apart = abs(float(self._host["offset"][0])) if camera else math.inf
        if pose is not None and self._is_well(reading, camera=camera, apart=apart):
            self._well = now
        unwell = NEVER if self._well < 0 else min((now - self._well) / SECOND, NEVER)
        seen["age"][0] = max(self._motion_age(reading), unwell) if trusted else NEVER
        if reading.objects is not None and reading.objects.stamp > self._listed:
            self._take_list(reading.objects)
        age = NEVER if self._listed < 0 else max((now - self._listed) / SECOND, 0.0)
        seen["list_age"][0] = age
        objects = self.sensors.objects
        nearer = (self._closing + max(float(np.nan_to_num(seen["motion"][0, 0])), 0.0)) * age
        seen["range"][0] = max(objects.range - objects.reserve - nearer, 0.0)
        self._show(pose, reading)

    @property
    def located(self) -> bool:
        """Whether the car knows its lane."""
        return self._odom is not None and int(self._host["lane"][0]) >= 0

    def _remember(self, odometry: Odometry | None) -> None:
        if odometry is not None and (not self._moved or odometry.stamp > self._moved[-1][0]):
            self._moved.append((odometry.stamp, odometry.pose))
            while self._moved[0][0] < odometry.stamp - REMEMBERED:
                self._moved.popleft()

    def _moved_at(self, stamp: int) -> Pose | None:
        """Where base_link was in odom; None for a time that nobody remembers."""
        late = None
        for each in reversed(self._moved):
            if each[0] == stamp:
                return each[1]
            if each[0] < stamp:
                return each[1] if late is None else between(each, late, stamp)
            late = each
        return None

    def _take_place(self, place: Place) -> None:
        self._placed = place.stamp
        moved = self._moved_at(place.stamp)
        if moved is not None:
            self._odom = compose(place.pose, inverse(moved))

    def _pose(self, reading: CarReading) -> Pose | None:
        """base_link in the map now."""
        odometry, place = reading.odometry, reading.place
        if odometry is None or self._odom is None:
            return None
        at_once = place is not None and place.stamp == odometry.stamp
        pose = place.pose if place is not None and at_once else compose(self._odom, odometry.pose)
        late = (reading.now - odometry.stamp) / SECOND
        if late > 0.0:  # a few milliseconds on the bus are half a metre on a motorway
            turn = 0.0 if reading.inertia is None else reading.inertia.turn
            pose = compose(pose, (odometry.speed * late, 0.0, turn * late))
        return pose

    def _see_motion(self, reading: CarReading) -> None:
        odometry, inertia, steering = reading.odometry, reading.inertia, reading.steering
        self.seen["motion"][0] = (
            math.nan if odometry is None else odometry.speed,
            math.nan if inertia is None else inertia.accel,
            math.nan if steering is None else steering.curvature,
            math.nan if inertia is None else inertia.turn,
        )

    def _motion_age(self, reading: CarReading) -> float:
        parts = (reading.odometry, reading.inertia, reading.steering)
        return max(NEVER if each is None else (reading.now - each.stamp) / SECOND for each in parts)

    def _see_camera(self, reading: CarReading) -> bool:
        """Write what the lane camera sees now; whether it sees anything."""
        lane, camera = reading.lane, self._host["camera"]
        camera[0] = 0.0
        if lane is None or (reading.now - lane.stamp) / SECOND > LANE_AGE:
            return False
        late = max((reading.now - lane.stamp) / SECOND, 0.0)
        speed = float(np.nan_to_num(self.seen["motion"][0, 0])) if late > 0.0 else 0.0
        camera[0] = (1.0, lane.d + late * speed * math.sin(lane.heading), lane.heading)
        return True

    def _is_well(self, reading: CarReading, *, camera: bool, apart: float) -> bool:
        """Whether place and lane are known to keep their bounds."""
        place = reading.place
        if place is None or not camera or (reading.now - place.stamp) / SECOND > PLACE_AGE:
            return False
        fits = apart <= place.bound + self._bounds.offset
        return fits and place.bound <= self.spec.localisation_bound and int(self._host["lane"][0]) >= 0

    def _take_list(self, objects: ObjectList) -> None:
        """The newest list into the tracks; a list of a time that nobody remembers is none."""
        moved = self._moved_at(objects.stamp)
        if moved is None:
            return
        self._listed = objects.stamp
        at = moved if not objects.mapped or self._odom is None else inverse(self._odom)
        for each in objects.objects:
            track = self._tracks.get(each.name)
            pose = compose(at, each.pose)
            if track is None:
                self._tracks[each.name] = _Track(self._numbers, each, pose, objects.stamp)
                self._numbers += 1
            else:
                track.listed, track.pose, track.stamp = each, pose, objects.stamp
        oldest = objects.stamp - round(self.sensors.objects.hold * SECOND)
        self._tracks = {name: track for name, track in self._tracks.items() if track.stamp >= oldest}

    def _show(self, pose: Pose | None, reading: CarReading) -> None:
        """The tracks as the view's objects, nearest first, and the lanes that they are on."""
        seen = self.seen
        seen["objects"][0] = 0.0
        for name in ("object_kind", "object_lane", "object_id"):
            seen[name][0] = -1
        if self._odom is None or pose is None:
            return
        # the map as base_link sees it now: what localisation corrects moves objects and path alike
        odometry = reading.odometry
        assert odometry is not None
        odom = compose(pose, inverse(self._now_in_odom(reading)))
        found = [(track, compose(odom, track.pose)) for track in self._tracks.values()]
        found.sort(key=lambda each: ((each[1][0] - pose[0]) ** 2 + (each[1][1] - pose[1]) ** 2, each[0].number))
        kept = found[:OBJECTS]
        turned = 0.0 if reading.place is None else reading.place.yaw_bound
        for row, (track, (x, y, yaw)) in enumerate(kept):
            listed, age = track.listed, max((reading.now - track.stamp) / SECOND, 0.0)
            far = math.hypot(x - pose[0], y - pose[1])
            values = seen["objects"][0, row]
            values[ObjectColumn.X], values[ObjectColumn.Y], values[ObjectColumn.YAW] = x, y, yaw
            values[ObjectColumn.SPEED], values[ObjectColumn.ACCEL] = max(listed.speed, 0.0), listed.accel
            values[ObjectColumn.LENGTH], values[ObjectColumn.WIDTH] = listed.length, listed.width
            values[ObjectColumn.AGE] = age
            values[ObjectColumn.SPREAD] = listed.spread + turned * far + DRIFT * age + ROUNDING
            seen["object_kind"][0, row], seen["object_id"][0, row] = listed.kind, track.number
            self._host["came"][0, row], self._host["across"][0, row] = track.lane, listed.across
        self._find_objects.launch()
        for row, (track, _) in enumerate(kept):
            track.lane = int(seen["object_lane"][0, row])

    def _now_in_odom(self, reading: CarReading) -> Pose:
        """base_link in odom now, as `_pose` has it in the map."""
        odometry = reading.odometry
        assert odometry is not None
        late = (reading.now - odometry.stamp) / SECOND
        turn = 0.0 if reading.inertia is None else reading.inertia.turn
        return compose(odometry.pose, (odometry.speed * late, 0.0, turn * late)) if late > 0.0 else odometry.pose
