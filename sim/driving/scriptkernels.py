"""The kernels that play scenarios: actors placed, triggers watched, actions carried out (sim/driving/script.py).

An actor has a reference lane, s and d on it, a speed u along it and a speed w across it, so that on a lane of curvature
k

    ds/dt = u / (1 - k d)        dd/dt = w        yaw = heading + atan2(w, u)

u changes at a constant rate until its aim is reached; w is gained and lost at a constant rate, so that the distance
across is kept exactly (a trapezoid over time). Places are scriptplace.py's.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.maparrays import RoutesArrays, route_togo
from sim.driving.scenario import Do, When
from sim.driving.scriptplace import along_chain, find_ahead, show
from sim.driving.scriptstate import Bounds, Played, Script
from sim.driving.state import ActorArrays, Footing
from sim.frenet import Lanes, lane_frame, lane_project
from sim.randomization import Term, below, draw

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

INTRUSION = wp.constant(0.3)
"""How far a box reaches over a lane's border before it is in that lane, m (R157 5.2.5.2)."""
TERM = wp.constant(int(Term.SCENARIO))
TIME_C = wp.constant(int(When.TIME))
GAP_C = wp.constant(int(When.GAP))
DRIVEN_C = wp.constant(int(When.DRIVEN))
SPEED_C = wp.constant(int(Do.SPEED))
WALK_C = wp.constant(int(Do.WALK))
STATIC_C = wp.constant(int(ActorKind.STATIC))
BICYCLE_C = wp.constant(int(ActorKind.BICYCLE))
PEDESTRIAN_C = wp.constant(int(ActorKind.PEDESTRIAN))


@wp.func
def slip(value: float, target: float, change: float) -> float:
    """`value` moved towards `target` by `change` at most."""
    return wp.clamp(target, value - change, value + change)


@wp.func
def begins(w: int, mask: wp.array(dtype=wp.uint8), robots: int) -> wp.bool:
    """Whether all rows of a world are masked."""
    for k in range(robots):  # noqa: SIM110 Warp has no `all`
        if mask[w * robots + k] == wp.uint8(0):
            return False
    return True


@wp.kernel
def choose_rows(
    mask: wp.array(dtype=wp.uint8), episode: wp.array(dtype=wp.int32), script: Script, played: Played
) -> None:
    """The row of parameters of the next episode of each world all of whose rows are masked."""
    w = wp.tid()
    if script.draws == 1 and begins(w, mask, script.robots):
        bits = draw(script.seed, TERM, w, episode[w * script.robots], -1)
        played.row[w] = below(bits, script.kind.shape[0])


@wp.kernel
def start_egos(
    mask: wp.array(dtype=wp.uint8),
    middle: float,
    lanes: Lanes,
    routes: RoutesArrays,
    script: Script,
    played: Played,
    pose: wp.array2d(dtype=wp.float32),
    speed: wp.array(dtype=wp.float32),
    road: wp.array(dtype=wp.int32),
    footing: Footing,
) -> None:
    """The first ego of each world all of whose rows are masked, where the world's row of parameters has it begin."""
    w = wp.tid()
    row = w * script.robots
    if not begins(w, mask, script.robots):
        return
    r = played.row[w]
    lane = script.where[r, 0]
    s = script.ego[r, 0] - middle
    frame = lane_frame(lanes, lane, s)
    pose[row, 0] = frame.x
    pose[row, 1] = frame.y
    pose[row, 2] = frame.heading
    speed[row] = script.ego[r, 1]
    road[w] = script.where[r, 1]
    footing.route[row] = script.where[r, 2]
    footing.lane[row] = lane
    footing.place[row, 0] = s
    footing.place[row, 1] = 0.0
    footing.place[row, 2] = 0.0
    footing.place[row, 3] = frame.curvature
    footing.left[row] = route_togo(routes, footing.route[row], lane, s)


@wp.kernel
def begin_scripts(
    mask: wp.array(dtype=wp.uint8), lanes: Lanes, script: Script, played: Played, actors: ActorArrays
) -> None:
    """Place the actors of each masked world relative to its first ego."""
    w = wp.tid()
    if mask[w] == wp.uint8(0):
        return
    r = played.row[w]
    played.ticks[w] = 0
    played.driven[w] = 0.0
    played.missing[w] = wp.uint8(0)
    for e in range(script.event.shape[1]):
        played.fired[w, e] = -1
    ego = actors.lane[w, 0]
    for k in range(script.kind.shape[1]):
        slot = script.first + k
        actors.kind[w, slot] = -1
        actors.lane[w, slot] = -1
        actors.violates[w, slot] = wp.uint8(0)
        played.lane[w, k] = -1
        played.blame[w, k] = 0.0
        played.inside[w, k] = wp.uint8(0)
        kind = script.kind[r, k]
        if kind >= 0:
            gap = script.start[r, k, 0]
            between = 0.5 * (actors.size[w, 0, 0] + script.start[r, k, 3])
            if gap < 0.0:
                between = -between
            gap += between
            at = wp.vec2(-1.0, 0.0)
            if ego >= 0:
                at = along_chain(lanes, script, ego, actors.place[w, 0, 0] + gap)
            lane = int(at[0])
            s = at[1]
            side = script.side[r, k]
            for _ in range(wp.abs(side)):
                if lane >= 0:
                    frame = lane_frame(lanes, lane, s)
                    other = lanes.beside[lane, 1]
                    if side > 0:
                        other = lanes.beside[lane, 0]
                    if other >= 0:
                        guess = s * lanes.length[other] / lanes.length[lane]
                        s = lane_project(lanes, other, frame.x, frame.y, guess)[0]
                    lane = other
            if lane < 0:
                played.missing[w] = wp.uint8(1)
            else:
                played.lane[w, k] = lane
                played.place[w, k, 0] = s
                played.place[w, k, 1] = script.start[r, k, 1]
                played.speed[w, k, 0] = script.start[r, k, 2]
                played.speed[w, k, 1] = 0.0
                played.speed[w, k, 2] = 0.0
                played.speed[w, k, 3] = 0.0
                if kind == PEDESTRIAN_C:  # looks across the road
                    played.speed[w, k, 3] = wp.where(script.start[r, k, 1] > 0.0, -0.5, 0.5) * wp.pi
                played.aim[w, k, 0] = script.start[r, k, 2]
                played.aim[w, k, 1] = 0.0
                for j in range(4):
                    played.across[w, k, j] = 0.0
                actors.kind[w, slot] = kind
                actors.size[w, slot, 0] = script.start[r, k, 3]
                actors.size[w, slot, 1] = script.start[r, k, 4]
                show(w, k, lanes, script, played, actors, True)
                found = find_ahead(
                    lanes, script, ego, actors.place[w, 0, 0], actors.pose[w, slot, 0], actors.pose[w, slot, 1], gap
                )
                played.ahead[w, k, 0] = found[0]
                played.ahead[w, k, 1] = found[1]
                frame = lane_frame(lanes, ego, actors.place[w, 0, 0])
                reach = 0.5 * script.start[r, k, 4] - INTRUSION
                if found[1] - reach < frame.left and found[1] + reach > -frame.right:
                    played.inside[w, k] = wp.uint8(1)


@wp.func
def holds(w: int, e: int, script: Script, played: Played, actors: ActorArrays) -> wp.bool:
    """Whether the trigger of an event that has not happened yet does now."""
    r = played.row[w]
    k = script.event[r, e, 0]
    value = script.values[r, e, 0]
    since = wp.int32(0)
    after = script.event[r, e, 3]
    if after >= 0:
        since = played.fired[w, after]
        if since < 0:
            return False
    when = script.event[r, e, 1]
    if when == TIME_C:
        return float(played.ticks[w] - since) * script.period >= value - 0.01 * script.period
    if when != DRIVEN_C:
        to = script.event[r, e, 2]
        there = wp.float32(0.0)
        speed = actors.motion[w, 0, 0]
        length = actors.size[w, 0, 0]
        if to >= 0:
            if played.lane[w, to] < 0:
                return False
            there = played.ahead[w, to, 0]
            speed = played.speed[w, to, 0]
            length = script.start[r, to, 3]
        between = played.ahead[w, k, 0] - there
        gap = wp.abs(between) - 0.5 * (length + script.start[r, k, 3])
        if when == GAP_C:
            return gap <= value
        closing = speed - played.speed[w, k, 0]
        if between < 0.0:
            closing = -closing
        return closing > 0.0 and gap <= value * closing
    return played.driven[w] >= value


@wp.func
def gap_given(rear: float, front: float, bounds: Bounds) -> float:
    """RSS distance that one who moves in front of somebody leaves; the one behind keeps his speed until he reacts."""
    stop = rear * bounds.cut_in_reaction + rear * rear / (2.0 * bounds.cut_in_brake)
    return wp.max(stop - front * front / (2.0 * bounds.brake), 0.0)


@wp.func
def breaks_bounds(w: int, k: int, kind: int, lanes: Lanes, played: Played, bounds: Bounds) -> wp.bool:
    """Whether an actor's own motion is now outside what `RoadProfile` states of its kind."""
    u = played.speed[w, k, 0]
    across = wp.abs(played.speed[w, k, 1])
    accel = played.speed[w, k, 2]
    if kind == STATIC_C:
        return False
    if kind == PEDESTRIAN_C:
        return wp.sqrt(u * u + across * across) > bounds.pedestrian + 1.0e-3
    if accel < -bounds.brake - 1.0e-2 or across > bounds.lateral_change + 1.0e-3:
        return True
    if kind == BICYCLE_C:
        return u > bounds.cyclist + 1.0e-3 or accel > bounds.cyclist_accel + 1.0e-2
    most = wp.min(bounds.over_limit * lanes.limit[played.lane[w, k]], bounds.speed)
    return u > most + 1.0e-3 or accel > bounds.accel + 1.0e-2


@wp.func
def watch(w: int, k: int, lanes: Lanes, script: Script, played: Played, actors: ActorArrays, bounds: Bounds) -> None:
    """Whether an actor keeps the profile; what it does outside it counts until the ego can have stopped."""
    r = played.row[w]
    slot = script.first + k
    kind = script.kind[r, k]
    speed = actors.motion[w, 0, 0]
    blame = played.blame[w, k] - script.period
    bad = breaks_bounds(w, k, kind, lanes, played, bounds)
    if actors.lane[w, 0] >= 0:
        frame = lane_frame(lanes, actors.lane[w, 0], actors.place[w, 0, 0])
        turn = played.speed[w, k, 3]  # of the box in its lane: a slow one that moves over goes nose first
        wide = wp.abs(wp.sin(turn)) * script.start[r, k, 3] + wp.abs(wp.cos(turn)) * script.start[r, k, 4]
        reach = 0.5 * wide - INTRUSION
        left = played.ahead[w, k, 1]
        inside = left - reach < frame.left and left + reach > -frame.right
        moves = wp.abs(played.speed[w, k, 1]) > 0.05
        vehicle = kind != STATIC_C and kind != PEDESTRIAN_C
        between = played.ahead[w, k, 0]
        gap = wp.abs(between) - 0.5 * (actors.size[w, 0, 0] + script.start[r, k, 3])
        needed = gap_given(speed, played.speed[w, k, 0], bounds)
        if between < 0.0:
            needed = gap_given(played.speed[w, k, 0], speed, bounds)
        if inside and played.inside[w, k] == wp.uint8(0) and moves and vehicle and gap < needed:
            bad = True
        played.inside[w, k] = wp.where(inside, wp.uint8(1), wp.uint8(0))
    if bad:
        blame = bounds.reaction + speed / bounds.brake_least
    played.blame[w, k] = wp.max(blame, 0.0)
    actors.violates[w, slot] = wp.where(blame > 0.0, wp.uint8(1), wp.uint8(0))


@wp.kernel
def decide_scripts(lanes: Lanes, script: Script, played: Played, actors: ActorArrays, bounds: Bounds) -> None:
    """Once per control step: where the actors are to the ego, which events happen, who keeps the profile."""
    w = wp.tid()
    r = played.row[w]
    if played.ticks[w] > 0:
        played.driven[w] = played.driven[w] + script.period * actors.motion[w, 0, 0]
    ego = actors.lane[w, 0]
    for k in range(script.kind.shape[1]):
        if played.lane[w, k] >= 0 and ego >= 0:
            slot = script.first + k
            found = find_ahead(
                lanes,
                script,
                ego,
                actors.place[w, 0, 0],
                actors.pose[w, slot, 0],
                actors.pose[w, slot, 1],
                played.ahead[w, k, 0],
            )
            played.ahead[w, k, 0] = found[0]
            played.ahead[w, k, 1] = found[1]
    for e in range(script.event.shape[1]):
        k = script.event[r, e, 0]
        if k >= 0 and played.fired[w, e] < 0:  # noqa: SIM102 Warp would evaluate both sides
            if played.lane[w, k] >= 0 and holds(w, e, script, played, actors):
                played.fired[w, e] = played.ticks[w]
                what = script.event[r, e, 4]
                if what == SPEED_C:
                    played.aim[w, k, 0] = script.values[r, e, 1]
                    played.aim[w, k, 1] = script.values[r, e, 2]
                else:
                    played.across[w, k, 0] = script.values[r, e, 3]
                    played.across[w, k, 1] = script.values[r, e, 1]
                    played.across[w, k, 2] = script.values[r, e, 2]
                    played.across[w, k, 3] = wp.where(what == WALK_C, 1.0, 0.0)
    for k in range(script.kind.shape[1]):
        if played.lane[w, k] >= 0:
            watch(w, k, lanes, script, played, actors, bounds)
    played.ticks[w] = played.ticks[w] + 1


@wp.func
def move_along(w: int, k: int, dt: float, played: Played) -> float:
    """The way along in one step, at a constant rate until the aim is reached, m."""
    u = played.speed[w, k, 0]
    target = played.aim[w, k, 0]
    rate = played.aim[w, k, 1]
    played.speed[w, k, 2] = 0.0
    if u == target or rate <= 0.0:
        return u * dt
    time = wp.min(wp.abs(target - u) / rate, dt)
    reached = target
    if time >= dt:
        reached = slip(u, target, rate * dt)
    played.speed[w, k, 0] = reached
    played.speed[w, k, 2] = wp.where(time >= dt, wp.sign(target - u) * rate, (reached - u) / dt)
    return 0.5 * (u + reached) * time + reached * (dt - time)


@wp.func
def move_across(w: int, k: int, dt: float, played: Played) -> float:
    """The way across in one step, to the left, m; a vehicle moves across no faster than along."""
    left = played.across[w, k, 0]
    if left == 0.0:
        played.speed[w, k, 1] = 0.0
        return 0.0
    rate = played.across[w, k, 2]
    most = played.across[w, k, 1]
    if played.across[w, k, 3] == 0.0:
        most = wp.min(most, played.speed[w, k, 0])
    toward = wp.sign(left)
    before = toward * played.speed[w, k, 1]
    now = most
    step = most * dt
    if not wp.isinf(rate):
        # As fast as lets it stop in time after this step: now^2 / (2 rate) = |left| - (before + now) dt / 2.
        after = wp.max(wp.abs(left) - 0.5 * before * dt, 0.0)
        stops = rate * (wp.sqrt(0.25 * dt * dt + 2.0 * after / rate) - 0.5 * dt)
        now = slip(before, wp.min(most, stops), rate * dt)
        step = 0.5 * (before + now) * dt
    if step >= wp.abs(left):
        played.across[w, k, 0] = 0.0
        played.speed[w, k, 1] = 0.0
        return left
    played.across[w, k, 0] = left - toward * step
    played.speed[w, k, 1] = toward * now
    return toward * step


@wp.kernel
def move_scripts(lanes: Lanes, script: Script, played: Played, actors: ActorArrays) -> None:
    """Once per motor period: every actor goes on; one that comes to the end of the road is gone."""
    w, k = wp.tid()
    lane = played.lane[w, k]
    if lane < 0:
        return
    s = played.place[w, k, 0]
    d = played.place[w, k, 1]
    along = move_along(w, k, script.step, played)
    bend = wp.max(1.0 - lane_frame(lanes, lane, s).curvature * d, 0.2)
    at = along_chain(lanes, script, lane, s + along / bend)
    played.place[w, k, 1] = d + move_across(w, k, script.step, played)
    if at[0] < 0.0:
        played.lane[w, k] = -1
        actors.kind[w, script.first + k] = -1
        actors.lane[w, script.first + k] = -1
        actors.violates[w, script.first + k] = wp.uint8(0)
        return
    played.lane[w, k] = int(at[0])
    played.place[w, k, 0] = at[1]
    show(w, k, lanes, script, played, actors, False)
