"""The judge of the road: whether one candidate may be released, and if not why.

It may, if with one of the fail-safe families (`safety/roadplan.py`) the car is, whenever it moves until standstill,

    inside its lane         or lanes that it may enter, no faster than the limit, in front of where sight or path end;
    clear of everybody      outside every set of `safety/roadsight.py`, grown to that instant: equal is unsafe;
    out of shared areas     from the time on at which somebody may be there (`safety/roadareas.py`).

A set is met where it is met along the path and across it in the same slice. Behind a vehicle this is RSS: its rear
brakes as hard as it can, we accelerate as the candidate says, then brake as guaranteed; what may stand unseen before it
is not reached either, unless the candidate eases off. In front of one whose lane we enter, it reacts from the slice in
which we first touch its lane, and must be able to stop behind where we come to stand. A standing car is not at fault.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.reason import Reason
from safety.roadbounds import RoadBounds
from safety.roadends import straddles
from safety.roadplan import ASTRIDE, FAMILIES, Roll, family, roll
from safety.roadreach import entered_way, fast_way, slow_way
from safety.roadsight import (
    ABSENT,
    ACROSS,
    ALONG,
    BEHIND_C,
    BRAKES,
    CAP,
    ENTERS,
    FASTEST,
    GOES_LEFT,
    GOES_RIGHT,
    HIGH_D,
    HIGH_S,
    INTRUSION,
    KEEPER,
    LOW_D,
    LOW_S,
    OBJECTS_C,
    OLD,
    PICKS_UP,
    PLEFT,
    PRIGHT,
    PRIGHT_LANE,
    PSHOULDER,
    REACTS,
    REAR,
    REST,
    SD,
    SHIDDEN,
    SHIGH,
    SLIMIT,
    SLOW,
    SLOWEST,
    SV,
    SYAW,
    WALKER,
    RoadAsk,
    RoadSight,
    path_least,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CLEAR = wp.constant(10.0)
"""m; margins are told up to here."""

EASES = wp.constant(-1.0)
"""m/s^2; who eases off so far may be nearer than what is hidden before a vehicle ahead asks for (`roadhidden.py`), as
after a cut-in; at 130 km/h that takes 12 m off the way to standstill in two seconds."""

PULLING = wp.constant(0.5)
"""m to the right of the lane's middle, from which a car counts as on its way to the shoulder (0.3 m is straying)."""

UNHURRIED = wp.constant(5.0)
"""m/s; up to here changes out of a lane that ends are made at its end; who is faster stops in time to be back in it."""


@wp.struct
class RoadVerdict:
    """What the judge says of one candidate."""

    reason: wp.int32
    margin: float
    plan: wp.vec3
    """Line, braking and hold of the family that verifies it"""
    culprit: wp.int32
    astride: wp.int32
    """1 where the plan ends between two lanes"""


@wp.func
def meet(row: int, j: int, r: Roll, sight: RoadSight, b: RoadBounds) -> float:
    """The least clearance to object j over a roll, m; not above 0 where they may meet."""
    mode = sight.object_mode[row, j]
    low_s = sight.objects[row, j, LOW_S]
    high_s = sight.objects[row, j, HIGH_S]
    low_d = sight.objects[row, j, LOW_D]
    high_d = sight.objects[row, j, HIGH_D]
    age = sight.objects[row, j, OLD]
    fastest = sight.objects[row, j, FASTEST]
    best = wp.float32(CLEAR)
    if mode == WALKER:
        radius = high_s
        s0 = wp.float32(0.0)
        for i in range(r.count):
            grown = radius + fastest * (r.slices[i, 0] + age)
            s1 = r.slices[i, 1]
            ahead = low_s - s1 - b.front - r.slices[i, 4]
            behind = s0 - b.rear - r.slices[i, 4] - low_s
            beside = wp.max(r.slices[i, 2] - low_d, low_d - r.slices[i, 3])
            x = wp.max(wp.max(ahead, behind), 0.0)
            y = wp.max(beside, 0.0)
            best = wp.min(best, wp.sqrt(x * x + y * y) - grown)
            if not (best > 0.0):
                return best
            s0 = s1
        return best
    c = sight.objects[row, j, ALONG]
    q = sight.objects[row, j, ACROSS]
    slowest = sight.objects[row, j, SLOWEST]
    picks_up = sight.objects[row, j, PICKS_UP]
    cap = sight.objects[row, j, CAP]
    brakes = sight.objects[row, j, BRAKES]
    to_left = sight.objects[row, j, GOES_LEFT]
    to_right = sight.objects[row, j, GOES_RIGHT]
    if q == 0.0 and to_left == 0.0 and to_right == 0.0:  # it stays beside: nothing to meet
        beside = wp.max(r.low - high_d, low_d - r.high)
        if beside > 0.0:
            return wp.min(best, beside)
    if q == 0.0 and c > 0.0:  # ahead of where the plan ends, and it does not come back
        last = r.count - 1
        ahead = low_s - r.slices[last, 1] - b.front - r.slices[last, 4]
        if ahead > 0.0:
            return wp.min(best, ahead)
    entered = wp.float32(-1.0)
    enters = sight.objects[row, j, ENTERS]
    reacts = sight.objects[row, j, REACTS]
    free = wp.float32(0.0)
    # gaps at the slice's beginning; before the first, those of now
    ahead0 = low_s + c * slow_way(slowest, brakes, age) - b.front
    behind0 = -b.rear - high_s
    for i in range(r.count):
        t = r.slices[i, 0] + age
        near = slow_way(slowest, brakes, t)
        far = fast_way(fastest, picks_up, cap, t)
        if mode == REAR:
            until = t
            if entered >= 0.0:
                until = entered + reacts
            far = entered_way(fastest, picks_up, cap, until, b.other_brake_least, t)
        first = wp.min(c * near, c * far)
        second = wp.max(c * near, c * far)
        drift = wp.min(q * near, q * far)
        other_drift = wp.max(q * near, q * far)
        sideways = 0.6 * far  # no car goes further aside than that for what it goes ahead
        left = wp.min(to_left * t, sideways)
        right = wp.min(to_right * t, sideways)
        low_over = low_d + wp.min(drift, 0.0) - right
        high_over = high_d + wp.max(other_drift, 0.0) + left
        beside = wp.max(r.slices[i, 2] - high_over, low_over - r.slices[i, 3])
        beside = wp.max(beside, enters - r.slices[i, 1] - b.front - r.slices[i, 4])
        ahead = low_s + first - r.slices[i, 1] - b.front - r.slices[i, 4]
        behind = r.slices[i, 1] - b.rear - r.slices[i, 4] - high_s - second
        if beside <= 0.0 and entered < 0.0:
            entered = t
        free = wp.max(beside, ahead)
        # clear for the whole slice: beside it, or at both its ends ahead of it, or behind it at both
        clear = wp.max(beside, wp.max(wp.min(ahead, ahead0), wp.min(behind, behind0)))
        best = wp.min(best, clear)
        if not (best > 0.0):
            return best
        ahead0 = ahead
        behind0 = behind
    if mode == REAR and entered >= 0.0 and free <= 0.0 and r.count > 0:
        # we come to stand in its lane: it must be able to stop behind us, however long that takes
        last = r.count - 1
        until = entered + reacts
        reached = wp.min(fastest + picks_up * until, wp.max(cap, fastest))
        stop = fast_way(fastest, picks_up, cap, until) + 0.5 * reached * reached / b.other_brake_least
        best = wp.min(best, r.slices[last, 1] - b.rear - r.slices[last, 4] - high_s - stop)
    return best


@wp.func
def reason_of(mode: int) -> int:
    """Why a set refuses a candidate."""
    if mode == KEEPER:
        return Reason.VEHICLE_AHEAD
    if mode == REAR:
        return Reason.REAR
    if mode == WALKER:
        return Reason.PEDESTRIAN
    return Reason.VEHICLE


@wp.func
def judge_plan(
    row: int, command: wp.vec2, plan: wp.vec3, first: int, ask: RoadAsk, sight: RoadSight, b: RoadBounds
) -> RoadVerdict:
    """One candidate with one plan."""
    verdict = RoadVerdict()
    verdict.plan = plan
    verdict.margin = CLEAR
    verdict.culprit = -1
    r = roll(row, command, plan, ask, sight, b)
    verdict.reason = r.reason
    if r.reason != 0 or r.count == 0:
        return verdict
    verdict.astride = r.astride
    verdict.margin = wp.min(r.margin, CLEAR)
    if plan[0] == 0.0 and command[0] > EASES:
        last = r.count - 1
        if r.slices[last, 1] + r.slices[last, 4] + b.front >= sight.start[row, SHIDDEN]:
            verdict.reason = Reason.VEHICLE_AHEAD
            return verdict
    for i in range(-1, OBJECTS_C):
        j = i
        if i < 0:
            j = first
        if j >= 0 and sight.object_mode[row, j] != ABSENT:
            clear = meet(row, j, r, sight, b)
            if not (clear > 0.0):
                verdict.reason = reason_of(sight.object_mode[row, j])
                verdict.culprit = j
                return verdict
            verdict.margin = wp.min(verdict.margin, clear)
    for j in range(sight.area_count[row]):
        begin = sight.areas[row, j, 0]
        end = sight.areas[row, j, 1]
        time = sight.areas[row, j, 2]
        s0 = wp.float32(0.0)
        for i in range(r.count):
            s1 = r.slices[i, 1]
            e = r.slices[i, 4]
            if r.slices[i, 0] >= time and s1 + b.front + e > begin and s0 - b.rear - e < end:
                verdict.reason = Reason.CROSSING
                return verdict
            s0 = s1
    return verdict


@wp.func
def hopeless(row: int, j: int, a: float, brake: float, sight: RoadSight, b: RoadBounds) -> bool:
    """Whether no stop in the lane keeps off object j, which goes ahead in it: RSS, with the least that we can cover."""
    if j < 0 or sight.object_mode[row, j] != KEEPER or not (sight.objects[row, j, ALONG] > 0.0):
        return False
    if sight.objects[row, j, LOW_D] > 0.0 or sight.objects[row, j, HIGH_D] < 0.0:
        return False
    slowest = sight.objects[row, j, SLOWEST]
    ends = sight.objects[row, j, LOW_S] + 0.5 * slowest * slowest / b.other_brake
    v = sight.start[row, SV]
    reached = v + wp.min(a, 0.0) * (b.latency + b.period) - 0.5 * b.brake * b.brake / b.jerk
    reached = wp.max(reached, 0.0)
    if a > EASES:
        ends = wp.min(ends, sight.start[row, SHIDDEN])
    return b.front + 0.5 * reached * reached / brake > ends


@wp.func
def ends_between(row: int, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> bool:
    """Whether the stored plan ends between two lanes, or there is none, or the car stands between two."""
    if sight.plan[row, 3] == 0.0 or sight.plan[row, 2] < 0.0:
        return True
    return sight.start[row, SV] <= REST and straddles(row, BEHIND_C, sight.start[row, SD], ask, b) == 1


@wp.func
def beside_goes_on(row: int, left: bool, ask: RoadAsk, sight: RoadSight) -> bool:
    """Whether the neighbour of the lane that the path ends on goes on beyond that end."""
    lane = ask.view.path_lane[row, int(sight.start[row, SLIMIT])]
    if lane < 0:
        return False
    side = wp.int32(1)
    if left:
        side = 0
    beside = ask.lanes.beside[lane, side]
    if beside < 0:
        return False
    return ask.lanes.successors[beside, 0] >= 0


@wp.func
def judge_road(row: int, a: float, k: float, first: int, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> RoadVerdict:
    """Whether one candidate may be released: reason 0 if so. `first` is the object to ask first (-1: none).

    The first family that verifies it becomes its plan; the reason told is that of hard braking in the lane. Evading is
    for what left its lane, and for who is over the border already, where others see him in that lane: a free lane
    beside is no leave to come nearer (RSS), since who drives ahead may enter it first. What leaves no plan that
    ends inside a lane is not released, unless the stored plan ends between two already, or it is for evading or for
    leaving a lane that ends before the car could come back into it.
    """
    command = wp.vec2(a, k)
    verdict = RoadVerdict()
    verdict.reason = Reason.VEHICLE_AHEAD
    verdict.culprit = first
    told = verdict
    over_left = sight.start[row, SHIGH] - path_least(ask.view, row, BEHIND_C, PLEFT)
    over_right = -sight.start[row, SLOW] - path_least(ask.view, row, BEHIND_C, PRIGHT)
    changes = wp.max(over_left, over_right) > INTRUSION
    if path_least(ask.view, row, BEHIND_C, PRIGHT_LANE) <= 0.0 and sight.start[row, SD] < -PULLING:
        changes = True  # onto the shoulder, where nobody drives
    on_shoulder = over_right > 2.0 * b.half_width - INTRUSION and path_least(ask.view, row, BEHIND_C, PSHOULDER) > 0.0
    ends = wp.int32(0)  # the own lane does, and the car leaves it
    many = wp.int32(FAMILIES)  # a variable: Warp writes loops over constants out, and this one is a large module
    for i in range(many):
        f = wp.int32(i)
        if on_shoulder and i <= 2:
            f = (i + 2) % 3  # on a shoulder stopping there comes first
        useful = verdict.reason != 0
        if f == 0:
            useful = useful and not hopeless(row, first, a, b.comfort, sight, b)
        if f == 1:
            useful = useful and not hopeless(row, verdict.culprit, a, b.brake, sight, b)
        if f == 3:
            useful = useful and (told.reason == Reason.CROSSING or told.reason == Reason.REAR)
        if f == 2 or f == 4:
            useful = useful and (told.reason == Reason.VEHICLE or (f == 2 and changes))
        if f >= 5:
            useful = verdict.reason == 0 and verdict.astride == 1 and (f != 6 or changes)
        if useful:
            plan = family(row, f, a, ask, sight, b)
            if plan[1] > 0.0:
                tried = judge_plan(row, command, plan, verdict.culprit, ask, sight, b)
                if f < 5 or (tried.reason == 0 and tried.astride == 0):
                    verdict = tried
                leaving = sight.start[row, SV] < UNHURRIED and sight.start[row, SD] * sight.start[row, SYAW] > 0.0
                if f == 5 and tried.reason == Reason.PATH_END and leaving:
                    ends = wp.where(beside_goes_on(row, sight.start[row, SD] > 0.0, ask, sight), 1, 0)
                if f <= 1:
                    told = tried
    if verdict.reason != 0:
        return told
    if verdict.astride == 1:
        if not (ends == 1 or ends_between(row, ask, sight, b) or told.reason == Reason.VEHICLE):
            verdict.reason = Reason.LANE_BOUNDARY
        elif verdict.plan[2] == 0.0:
            verdict.plan = wp.vec3(verdict.plan[0], verdict.plan[1], ASTRIDE)
    return verdict
