"""Forklifts driven by hand-written rules: kinematic boxes that carry pallets from stop to stop.

A forklift follows the routes of sim/routes.py: straight from cell to cell, turning on the spot where there is room (a
three-wheel truck turns about its load axle; the half metre between that and the middle of the box is left out).

    speed        never above the truck's own, nor a speed zone's; rises by `accel`, falls by `brake`
    ahead        it can always stop at `gap` before whatever of people and robots stands in its lane now:
                 v dt + v^2 / (2 brake) <= room; what steps into its braking distance it can hit, like a real one
    each other   every truck owns a *claim*, a rectangle around itself and its braking distance; it moves inside its
                 claim alone and takes a larger one only where that meets nobody else's. So trucks never touch
    turning      waits until nobody is within the disc that it sweeps
    stuck        after some seconds it backs to the cell's centre, or to the one behind, and takes another stop in
                 another direction

Forklifts stay off blocked and person-free cells, so the shield may treat every point of theirs as a person's: no point
of a truck moves faster than `ForkliftSpec.bound`, and a site with forklifts must assume at least that V of what moves
(`check_bound`). Under V = 0 nothing may come nearer to a robot that moves, which a truck of a tonne cannot promise:
that profile is refused. People of a crowd walk around them; people by cells pass through them as through each other.

Many worlds at once, one thread a world; every choice is a keyed draw.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from sim.errors import MusterError
from sim.launches import Launchable, record
from sim.people import PARKED, PARKED_AT, SPEED_HIGH, Profile
from sim.randomization import Term, below, draw_from, stream, unit
from sim.routes import Routes, find_routes
from sim.site import Site
from sim.truckrules import LOAD_LEAST, back_off, choose, drive_on, turn_on, unblock
from sim.yard import (
    BACKING_C,
    CHOOSING_C,
    DRIVING_C,
    TURNING_C,
    Forklifts,
    Yard,
    alone,
    along,
    centre_at,
    lane,
    take_claim,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

STOPS = 8
"""Stops in each part of the floor."""

START_GAP = wp.constant(2.0)
"""No truck begins nearer to a robot, m: between circles, as for people."""
PATIENCE = wp.constant(4.0)
"""A truck is stuck after this to twice as long, s."""
ATTEMPTS = wp.constant(32)
"""Places tried for a start."""
TERM = wp.constant(int(Term.FORKLIFT))


class ForkliftError(MusterError):
    """Forklifts that a site's assumptions do not cover."""


@dataclass(frozen=True)
class ForkliftSpec:
    """A truck: by default of the one-tonne, three-wheel counterbalanced class, forks included, walking pace."""

    length: float = 2.8
    """m; type sheets (VDI 2198) of that class: 1.6 to 1.8 m to the fork face, forks of 1.0 to 1.15 m."""
    width: float = 1.05
    """m; type sheets of that class: 0.99 to 1.06 m."""
    height: float = 2.0
    """m, mast lowered."""
    speed: float = 1.5
    """m/s: below the 1.6 m/s that a site with walking people assumes, and the 6 km/h that EN ISO 3691-1 lets trucks
    drive that are led on foot. Driven trucks do 12 to 16 km/h: such a site must assume more."""
    accel: float = 0.5
    """m/s^2 (own choice: half of what the same class reaches unloaded)."""
    brake: float = 1.5
    """m/s^2 (own choice; ISO 6292 asks for a drawbar force of 15 to 25 % of the weight at these speeds)."""
    turn: float = 0.5
    """rad/s on the spot (own choice)."""
    gap: float = 0.6
    """Distance kept from what stands ahead, m (own choice: the half metre that norms ask beside lanes, and 0.1 m)."""

    @property
    def reach(self) -> float:
        """Radius of the disc around the box, m."""
        return math.hypot(self.length, self.width) / 2

    @property
    def bound(self) -> float:
        """What no point of the truck exceeds, m/s: it drives straight or turns, never both."""
        return max(self.speed, self.turn * self.reach)


def check_bound(spec: ForkliftSpec, profile: Profile, assumed: float = SPEED_HIGH) -> None:
    """Raise ForkliftError unless the site's profile, which assumes V = `assumed` of what moves, covers the trucks."""
    if profile == Profile.STILL:
        raise ForkliftError(
            "expected a site that assumes V = 1.6 m/s where forklifts drive, got V = 0: a truck cannot promise never "
            "to come nearer to a robot; choose the walking profile"
        )
    if spec.bound > assumed:
        raise ForkliftError(
            f"expected forklifts no faster than the {assumed:g} m/s that the site assumes of what moves, got "
            f"{spec.bound:g} m/s; lower their speed or raise the site's V"
        )


def make_forklifts(worlds: int, trucks: int, device: str) -> Forklifts:
    """`trucks` trucks for each world, none on the floor yet."""
    shape = (worlds, trucks)
    arrays = Forklifts()
    arrays.pose = wp.array(np.full((*shape, 3), PARKED, np.float32), dtype=wp.float32, device=device)
    arrays.claim = wp.array(np.full((*shape, 4), PARKED, np.float32), dtype=wp.float32, device=device)
    arrays.place = wp.array(np.full(shape, -1, np.int32), dtype=wp.int32, device=device)
    for name in ("stop", "doing", "count", "life"):
        setattr(arrays, name, wp.zeros(shape, dtype=wp.int32, device=device))
    for name in ("done", "speed", "pause", "held"):
        setattr(arrays, name, wp.zeros(shape, dtype=wp.float32, device=device))
    return arrays


def check_room(site: Site, spec: ForkliftSpec, seed: int = 0) -> Routes:
    """The routes of such trucks on a floor, stops drawn by the seed. Raises ForkliftError where they fit nowhere."""
    routes = find_routes(site, spec.length, spec.width, STOPS, seed)
    if not len(routes.places):
        raise ForkliftError(
            f"expected a floor with room for forklifts of {spec.length:g} x {spec.width:g} m, got {site.name}, where "
            "they can go and come back nowhere; widen its aisles to three cells, or make them one-way with room "
            "to turn at both ends"
        )
    return routes


def make_yard(
    site: Site,
    spec: ForkliftSpec,
    *,
    robots: int,
    radius: float,
    pose: wp.array,
    people: wp.array,
    seed: int,
    values: wp.array | None = None,
    count: int = -1,
) -> Yard:
    """What trucks of `spec` drive by on a floor. Raises ForkliftError where they fit nowhere on it.

    Column `count` of `values` (rows, columns) says how many there are in each row's episode; without, all are.
    """
    routes = check_room(site, spec, seed)
    device = pose.device
    yard = Yard()
    yard.table = wp.array(routes.table, dtype=wp.uint8, device=device)
    yard.turns = wp.array(routes.turns.astype(np.uint8), dtype=wp.uint8, device=device)
    for name in ("places", "first", "part"):
        setattr(yard, name, wp.array(getattr(routes, name), dtype=wp.int32, device=device))
    yard.limit = wp.array(site.speed_limit.reshape(-1), dtype=wp.float32, device=device)
    yard.width, yard.height, yard.cell = site.width, site.height, float(site.cell)
    yard.half_length, yard.half_width, yard.reach = spec.length / 2, spec.width / 2, spec.reach
    for name in ("speed", "accel", "brake", "turn", "gap"):
        setattr(yard, name, float(getattr(spec, name)))
    yard.robots, yard.radius, yard.pose, yard.people = robots, radius, pose, people
    yard.values = wp.zeros((1, 1), dtype=wp.float32, device=device) if values is None else values
    yard.count = count if values is not None else -1
    return yard


def record_drivers(
    yard: Yard, trucks: Forklifts, mocap_pos: wp.array, mocap_quat: wp.array, *, bodies: int, dt: float, seed: int
) -> list[Launchable]:
    """The launch that drives every truck one step of `dt` s on; mocap bodies from number `bodies` on are theirs."""
    inputs = [seed, dt, bodies, yard, trucks, mocap_pos, mocap_quat]
    return [_record(drive_forklifts, trucks, inputs)]


def record_starts(yard: Yard, trucks: Forklifts, mask: wp.array, episode: wp.array, *, seed: int) -> list[Launchable]:
    """The launch that begins the trucks' lives in each world all of whose rows are set in `mask`, uint8 (rows,)."""
    return [_record(begin_forklifts, trucks, [seed, mask, episode, yard, trucks])]


def _record(kernel: Any, trucks: Forklifts, inputs: list[Any]) -> Launchable:  # Warp's own types
    worlds, device = trucks.place.shape[0], trucks.place.device
    launch = record(kernel, dim=worlds, inputs=inputs, device=device)
    assert launch is not None
    return launch


@wp.kernel
def drive_forklifts(
    seed: int,
    dt: float,
    bodies: int,
    yard: Yard,
    trucks: Forklifts,
    mocap_pos: wp.array3d(dtype=Any),
    mocap_quat: wp.array3d(dtype=Any),
) -> None:
    """One step of `dt` seconds of every truck of a world, in turn; mocap bodies from number `bodies` on are theirs."""
    world = wp.tid()
    for truck in range(trucks.place.shape[1]):
        if trucks.place[world, truck] >= 0:
            key = stream(seed, TERM, world, trucks.life[world, truck] * 64 + truck)
            doing = trucks.doing[world, truck]
            waits = wp.bool(False)
            if trucks.pause[world, truck] > 0.0:
                trucks.pause[world, truck] = trucks.pause[world, truck] - dt
            elif doing == CHOOSING_C:
                choose(world, truck, key, trucks, yard)
                waits = trucks.doing[world, truck] == CHOOSING_C
            elif doing == DRIVING_C:
                drive_on(world, truck, dt, trucks, yard)
                waits = trucks.speed[world, truck] < 0.02 and trucks.doing[world, truck] == DRIVING_C
            elif doing == TURNING_C:
                before = trucks.done[world, truck]
                turn_on(world, truck, dt, trucks, yard)
                waits = trucks.doing[world, truck] == TURNING_C and trucks.done[world, truck] == before
            else:
                back_off(world, truck, dt, trucks, yard)
                waits = trucks.doing[world, truck] == BACKING_C and trucks.speed[world, truck] == 0.0
            held = wp.float32(0.0)
            if waits:
                held = trucks.held[world, truck] + dt
                drawn = trucks.count[world, truck]
                if held > PATIENCE * (1.0 + unit(draw_from(key, -1 - drawn))):
                    held = 0.0
                    trucks.count[world, truck] = drawn + 1
                    unblock(world, truck, draw_from(key, drawn), trucks, yard)
            trucks.held[world, truck] = held
        pose = wp.vec3(PARKED_AT, PARKED_AT, 0.0)
        if trucks.place[world, truck] >= 0:
            place = trucks.place[world, truck]
            at = centre_at(place, yard)
            yaw = float(place % 4) * wp.pi / 2.0
            if trucks.doing[world, truck] == TURNING_C:
                yaw += trucks.done[world, truck]
            else:
                at = at + trucks.done[world, truck] * along(place % 4)
            pose = wp.vec3(at[0], at[1], yaw)
        for k in range(3):
            trucks.pose[world, truck, k] = pose[k]
        mocap_pos[world, bodies + truck, 0] = mocap_pos.dtype(pose[0])
        mocap_pos[world, bodies + truck, 1] = mocap_pos.dtype(pose[1])
        mocap_quat[world, bodies + truck, 0] = mocap_quat.dtype(wp.cos(0.5 * pose[2]))
        mocap_quat[world, bodies + truck, 3] = mocap_quat.dtype(wp.sin(0.5 * pose[2]))


@wp.kernel
def begin_forklifts(
    seed: int, mask: wp.array(dtype=wp.uint8), episode: wp.array(dtype=wp.int32), yard: Yard, trucks: Forklifts
) -> None:
    """New lives for the trucks of each world all of whose rows are masked: a place each, away from robots.

    They begin in the part of the floor where the world's first robot stands, where trucks fit there.
    """
    world = wp.tid()
    fresh = wp.bool(True)
    for robot in range(yard.robots):
        if mask[world * yard.robots + robot] == wp.uint8(0):
            fresh = False
    if not fresh:
        return
    row = world * yard.robots
    column = int(wp.floor(yard.pose[row, 0] / yard.cell))
    line = yard.height - 1 - int(wp.floor(yard.pose[row, 1] / yard.cell))
    low = wp.int32(0)
    high = yard.places.shape[0]
    if column >= 0 and column < yard.width and line >= 0 and line < yard.height:
        part = yard.part[line * yard.width + column]
        if part >= 0 and yard.first[part + 1] > yard.first[part]:
            low = yard.first[part]
            high = yard.first[part + 1]
    for truck in range(trucks.place.shape[1]):
        trucks.place[world, truck] = -1
    for truck in range(trucks.place.shape[1]):
        life = episode[row]
        key = stream(seed, TERM, world, life * 64 + truck)
        trucks.life[world, truck] = life
        trucks.count[world, truck] = 2 * ATTEMPTS
        trucks.stop[world, truck] = -1
        trucks.doing[world, truck] = CHOOSING_C
        for k in range(3):
            trucks.pose[world, truck, k] = PARKED_AT
        trucks.done[world, truck] = 0.0
        trucks.speed[world, truck] = 0.0
        trucks.held[world, truck] = 0.0
        takes_part = wp.bool(True)
        if yard.count >= 0:
            takes_part = float(truck) < yard.values[row, yard.count]
        for attempt in range(ATTEMPTS):
            if takes_part and trucks.place[world, truck] < 0:
                place = yard.places[low + below(draw_from(key, attempt), high - low)]
                at = centre_at(place, yard)
                if alone(world, at, yard.reach + START_GAP, yard) and take_claim(
                    world, truck, lane(at, place % 4, yard.half_length, yard.half_length, yard.half_width), trucks
                ):
                    trucks.place[world, truck] = place
                    trucks.pose[world, truck, 0] = at[0]
                    trucks.pose[world, truck, 1] = at[1]
                    trucks.pose[world, truck, 2] = float(place % 4) * wp.pi / 2.0
        trucks.pause[world, truck] = LOAD_LEAST * unit(draw_from(key, ATTEMPTS))
