"""What the road world's modules share: the actors on the road, and what a car senses of them and of its lane.

Rows are egos, row = world * robots + robot. Each world has A actor slots; its first `robots` slots are the egos
themselves, so that traffic, sensors and oracles meet them as they meet everybody else. Places are in the coordinates
of the world's road (sim/driving/atlas.py: metres about the road's middle). SI units, radians, float32.

A car's policy, its shield and its fallback read `View` and the map, never `ActorArrays`: `View` is what sensors say,
with their noise, misses, latency and faults (sim/driving/senses.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PATH = 72
"""Points of the lane that a view describes: 12 m back to 201 m ahead; a car at 130 km/h stops within 120 m."""

PATH_STEP = 3.0
"""Distance of two points of a path, m; the tightest lane of a town (radius 8 m) lies 0.14 m beside its chord, and
kernels interpolate heading and curvature, not chords."""

PATH_BEHIND = 4
"""Points of a path behind base_link: the rear of a car with its length of 5 m, and a following bicycle."""

OBJECTS = 24
"""Objects that a view has room for; of more the nearest along the road are kept."""


class PathColumn(IntEnum):
    """Columns of `View.path`."""

    X = 0
    Y = 1
    HEADING = 2
    """Continuous along the path, rad"""
    CURVATURE = 3
    """1/m, positive to the left"""
    LEFT = 4
    """From the centre to the lane's left border, m"""
    RIGHT = 5
    LEFT_LANE = 6
    """Width of the lane to the left that runs the same way and may be entered, m; 0 where there is none"""
    RIGHT_LANE = 7
    SHOULDER = 8
    """Width of a hard shoulder right of the lane (with no lane between), m; 0 where there is none"""
    LIMIT = 9
    """Speed limit, m/s"""


class ObjectColumn(IntEnum):
    """Columns of `View.objects`; all as measured `AGE` seconds ago."""

    X = 0
    """Middle of the object, m"""
    Y = 1
    YAW = 2
    SPEED = 3
    """Along its heading, not negative, m/s"""
    ACCEL = 4
    """Along its heading, m/s^2"""
    LENGTH = 5
    WIDTH = 6
    AGE = 7
    """Since it was measured, s; grows while an object is missed"""
    LANE_S = 8
    """On `object_lane`, m"""
    LANE_D = 9
    """To the left of the centre of `object_lane`, m"""
    LATERAL = 10
    """Speed across `object_lane`, to the left, m/s"""
    SPREAD = 11
    """Largest error of its place, m: the bound of noise and rounding"""


@wp.struct
class ActorArrays:
    """Everybody on the road, egos first; W worlds of A actors. Truth: for traffic, sensors and oracles alone."""

    kind: wp.array2d(dtype=wp.int32)
    """`sim.actors.ActorKind`, -1 for a slot that is empty; (W, A)"""
    pose: wp.array3d(dtype=wp.float32)
    """x, y of the middle of its box, yaw; (W, A, 3)"""
    motion: wp.array3d(dtype=wp.float32)
    """Speed along yaw (not negative), acceleration along yaw, yaw rate; (W, A, 3)"""
    size: wp.array3d(dtype=wp.float32)
    """Length, width; (W, A, 2)"""
    lane: wp.array2d(dtype=wp.int32)
    """Lane of the atlas that its middle is on, -1 for none; (W, A)"""
    place: wp.array3d(dtype=wp.float32)
    """s, d to the left, speed across to the left, on that lane; (W, A, 3)"""
    violates: wp.array2d(dtype=wp.uint8)
    """Whether a scenario drives it outside what `RoadProfile` states of others; (W, A)"""


@wp.struct
class Footing:
    """Where each ego truly stands on its road: for traffic, senses, rewards and judges, never for a policy."""

    route: wp.array(dtype=wp.int32)
    """Route of the atlas, (rows,)"""
    lane: wp.array(dtype=wp.int32)
    """Lane of the atlas that base_link is on, -1 off the road; (rows,)"""
    place: wp.array2d(dtype=wp.float32)
    """s of base_link on the lane, d to the left, heading error, curvature of the lane; (rows, 4)"""
    left: wp.array(dtype=wp.float32)
    """Metres to the route's goal, inf where it cannot be reached any more, (rows,)"""


@wp.struct
class View:
    """What each ego's sensors say in one control step."""

    pose: wp.array2d(dtype=wp.float32)
    """base_link (middle of the rear axle) as localised: x, y, yaw; (rows, 3)"""
    motion: wp.array2d(dtype=wp.float32)
    """Speed, acceleration, curvature of the steering, yaw rate, as measured; (rows, 4)"""
    where: wp.array2d(dtype=wp.float32)
    """d to the left of the path, heading error to the path, m and rad, as measured; (rows, 2)"""
    lane: wp.array(dtype=wp.int32)
    """Lane of the atlas that base_link is on, (rows,)"""
    path: wp.array3d(dtype=wp.float32)
    """The lane and what follows it on the route, `PathColumn`; point k is at s = (k - PATH_BEHIND) * PATH_STEP from
    base_link's projection; (rows, PATH, 10)"""
    path_lane: wp.array2d(dtype=wp.int32)
    """Lane of the atlas at each point, -1 from the end of what can be driven on, at which those points stand;
    (rows, PATH)"""
    path_s: wp.array2d(dtype=wp.float32)
    """s on that lane, (rows, PATH)"""
    goal: wp.array2d(dtype=wp.float32)
    """Metres left to the route's goal, lane changes that the route still asks for (negative: to the right), metres
    until the last one must be done; (rows, 3)"""
    objects: wp.array3d(dtype=wp.float32)
    """`ObjectColumn`, (rows, OBJECTS, 12)"""
    object_kind: wp.array2d(dtype=wp.int32)
    """`sim.actors.ActorKind`, -1 for an empty slot; (rows, OBJECTS)"""
    object_lane: wp.array2d(dtype=wp.int32)
    """Lane of the atlas that an object is matched to, -1 for none; (rows, OBJECTS)"""
    object_id: wp.array2d(dtype=wp.int32)
    """The tracker's number of an object, the same from step to step; (rows, OBJECTS)"""
    age: wp.array(dtype=wp.float32)
    """Of pose, motion, lane and path: time since all that they come from was last known to keep its bounds, s; 0 while
    all is well. They stay best estimates of now, for whoever must stop by them; (rows,)"""
    list_age: wp.array(dtype=wp.float32)
    """Age of the newest object list that arrived, s: nobody else was seen then. It grows when a list sensor is dead,
    and no object is dropped meanwhile; (rows,)"""
    range: wp.array(dtype=wp.float32)
    """Distance up to which nobody but the listed and those behind them can be now, m; what is seen less what others
    can come nearer within `list_age`; beyond it the road may be blocked; (rows,)"""


def make_actors(worlds: int, actors: int, device: str) -> ActorArrays:
    """Empty slots."""
    arrays = ActorArrays()
    arrays.kind = wp.full((worlds, actors), -1, dtype=wp.int32, device=device)
    arrays.lane = wp.full((worlds, actors), -1, dtype=wp.int32, device=device)
    for name, width in (("pose", 3), ("motion", 3), ("size", 2), ("place", 3)):
        setattr(arrays, name, wp.zeros((worlds, actors, width), dtype=wp.float32, device=device))
    arrays.violates = wp.zeros((worlds, actors), dtype=wp.uint8, device=device)
    return arrays


def make_footing(rows: int, device: str) -> Footing:
    """On no road."""
    footing = Footing()
    footing.route = wp.zeros(rows, dtype=wp.int32, device=device)
    footing.lane = wp.full(rows, -1, dtype=wp.int32, device=device)
    footing.place = wp.zeros((rows, 4), dtype=wp.float32, device=device)
    footing.left = wp.zeros(rows, dtype=wp.float32, device=device)
    return footing


def make_view(rows: int, device: str) -> View:
    """Nothing sensed yet."""
    view = View()

    def floats(*shape: int) -> wp.array:
        return wp.zeros(shape, dtype=wp.float32, device=device)

    view.pose, view.motion, view.where, view.goal = floats(rows, 3), floats(rows, 4), floats(rows, 2), floats(rows, 3)
    view.path, view.path_s = floats(rows, PATH, len(PathColumn)), floats(rows, PATH)
    view.path_lane = wp.full((rows, PATH), -1, dtype=wp.int32, device=device)
    view.lane = wp.full(rows, -1, dtype=wp.int32, device=device)
    view.objects = floats(rows, OBJECTS, len(ObjectColumn))
    for name in ("object_kind", "object_lane", "object_id"):
        setattr(view, name, wp.full((rows, OBJECTS), -1, dtype=wp.int32, device=device))
    view.age, view.list_age, view.range = floats(rows), floats(rows), floats(rows)
    return view
