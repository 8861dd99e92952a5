"""The families of scenarios that UN Regulation 157 asks of a car that keeps its lane, as parameter grids.

    cut_in                a slower vehicle of the lane beside moves in front of the ego                    (R157 A5 4.4)
    cut_out               the vehicle ahead leaves the lane and reveals one that stands in it              (R157 A5 4.5)
    decelerating_lead     the vehicle ahead brakes to standstill                                           (R157 A5 4.3)
    crossing_pedestrian   somebody walks across the road in front of the ego                               (R157 A5 4.2)
    blocked_lane          something stands in the lane, all over it or in a part of it                     (R157 A5 4.2)

`top` is the speed up to which the ego is asked to drive: 60 km/h as in the regulation's first series, 130 km/h as in
its 01 series. Ranges up to 60 km/h are those of asam-oss/OSC-ALKS-scenarios (2021), the cut-ins above those of the
JRC's comparison of models of the careful driver (EC-JRC/JRC-FSM, 2021); what is ours says so. The ego begins on the
middle one of three lanes, the pedestrian's on the right one; the road is straight or turns with `radius`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sim.actors import ActorKind
from sim.curves import Line, Spiral, place
from sim.driving.scenario import (
    LATERAL_ACCEL,
    SIZES,
    EgoStart,
    Event,
    Floats,
    Parameter,
    Placement,
    Rule,
    Scenario,
    ScenarioError,
    Trigger,
    Values,
    When,
    brake,
    move_across,
    reach_speed,
    walk_across,
)
from sim.road import STEP, Lane, LaneKind, Road, check_road

KMH = 1.0 / 3.6
"""km/h in m/s."""

LANE, SHOULDER = 3.5, 2.5
"""Widths, m: the lanes of the ALKS road networks; a hard shoulder after RAA 2008."""

STRAIGHT, RUN_IN, LENGTH = 300.0, 100.0, 2000.0
"""The straight beginning of a bent road, the place of the ego, and the whole, m: 130 km/h for 50 s."""

RADIUS_LEAST = 250.0
"""Tightest bend of a scenario, m: that of the ALKS road networks."""

COMFORT = 2.0
"""Lateral acceleration for which a bend's limit is signed, m/s^2, as of generated roads."""

SETTLE = 2.0
"""Driving on before anything happens, s (own choice): what a car needs to see the others and to settle."""

ALKS = "asam-oss/OSC-ALKS-scenarios"
JRC = "EC-JRC/JRC-FSM, cut-ins"
R157 = "UN R157"

HEADWAY = (
    np.array([0.0, 7.2, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 100.0]) * KMH,
    np.array([1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 2.0]),
)
"""Least time gap by speed (R157 5.2.3.3, up to 60 km/h); above it rises to the two seconds that drivers are taught."""

EMERGENCY = 5.0
"""Braking above which R157 (2.16) calls it an emergency manoeuvre, m/s^2."""


def scenario_road(radius: float = math.inf, lanes: int = 3) -> Road:
    """A carriageway of some lanes and a hard shoulder: straight for 300 m, then a bend by a spiral; left: positive.

    Raises ScenarioError for a bend tighter than 250 m.
    """
    if not abs(radius) >= RADIUS_LEAST:
        raise ScenarioError(f"radius: expected a bend of at least {RADIUS_LEAST:g} m, got {radius:g}; make it wider")
    if math.isinf(radius):
        pieces: list[tuple[Line | Spiral, float]] = [(Line(), LENGTH)]
        limit = 130.0 * KMH
    else:
        k, spiral = 1.0 / radius, 100.0
        bend = min(LENGTH - STRAIGHT - spiral, 1.2 * math.pi * abs(radius))  # never round to where it began
        pieces = [(Line(), STRAIGHT), (Spiral(0.0, k / spiral), spiral), (Spiral(k, 0.0), bend)]
        limit = min(130.0, math.floor(math.sqrt(COMFORT * abs(radius)) / KMH / 10.0) * 10.0) * KMH
    s = np.linspace(0.0, sum(piece for _, piece in pieces), math.ceil(sum(piece for _, piece in pieces) / STEP) + 1)
    x, y, heading = np.zeros((3, len(s)))
    begin, at = 0.0, (0.0, 0.0, 0.0)
    for curve, piece in pieces:
        rows = s >= begin - 1e-9
        x[rows], y[rows], heading[rows] = place(curve, np.clip(s[rows] - begin, 0.0, piece), *at)
        end = place(curve, np.array([piece]), *at)
        begin, at = begin + piece, (float(end[0][0]), float(end[1][0]), float(end[2][0]))
    borders = [0.5 * LANE * lanes - LANE * k for k in range(lanes + 1)]
    borders.append(borders[-1] - SHOULDER)
    lines = [np.stack([x - t * np.sin(heading), y + t * np.cos(heading)], axis=-1) for t in borders]
    made = [
        Lane(
            f"lane{k}" if k < lanes else "shoulder",
            lines[k],
            lines[k + 1],
            limit,
            LaneKind.DRIVING if k < lanes else LaneKind.SHOULDER,
            left_neighbour=k - 1,
            right_neighbour=k + 1 if k < lanes else -1,
            may_change_left=k < lanes,
        )
        for k in range(lanes + 1)
    ]
    bent = "straight" if math.isinf(radius) else f"radius {radius:g} m"
    return check_road(Road(f"scenario, {bent}", tuple(made)))


def cut_in(top: float = 130.0, radius: float = math.inf) -> Scenario:
    """A slower vehicle beside, `gap` m ahead of the ego when it begins to move across.

    Once in the lane it accelerates to the ego's first speed, or brakes to half of its own (`accel`).
    """
    road = scenario_road(radius)
    low = top <= 60.0
    speeds = (20, 30, 40, 50, 60) if low else (20, 40, 60, 70, 90, 110, 130)
    closing = (10, 20, 30, 40, 50) if low else (10, 20, 30, 40, 50, 60, 80, 100, 120)
    gaps = tuple(range(0, 61, 10)) if low else tuple(range(1, 112, 10))
    lateral = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0) if low else (0.3, 0.6, 0.9, 1.2, 1.5, 1.8)
    source = f"{ALKS} 4.4_1" if low else JRC
    parameters = (
        _ego(speeds, road, top, source),
        _speed("closing", closing, (1.0, 120.0), f"ego's speed less the vehicle's: {source}"),
        Parameter("gap", 0.0, 120.0, "m", source, tuple(float(gap) for gap in gaps)),
        Parameter("lateral", 0.3, 3.0, "m/s", f"{ALKS} 4.4_1 up to 3.0, {JRC} from 0.3", lateral),
        Parameter("accel", -3.0, 3.0, "m/s^2", f"{ALKS} 4.4_1", (-3.0, -1.5, 0.0, 1.5, 3.0) if low else (0.0,)),
        _side(f"{ALKS} 4.4_1: lanes -1 and 1"),
    )

    def speed(values: Values) -> Floats:
        return values["ego"] - values["closing"]

    return Scenario(
        "cut_in",
        road,
        EgoStart(1, RUN_IN, "ego"),
        (Placement(ActorKind.CAR, lambda v: v["gap"] + SETTLE * v["closing"], speed, "side"),),
        (
            Event(0, Trigger(When.GAP, "gap"), move_across(lambda v: -LANE * v["side"], "lateral")),
            Event(
                0,
                Trigger(When.TIME, lambda v: _crossing_time(LANE, v["lateral"]), after=0),
                reach_speed(
                    lambda v: np.where(v["accel"] > 0.0, v["ego"], np.where(v["accel"] < 0.0, 0.5, 1.0) * speed(v)),
                    lambda v: np.abs(v["accel"]),
                ),
            ),
        ),
        parameters,
        20.0,
        (
            Rule("ego - closing is 10 km/h at least", lambda v: speed(v) >= 10.0 * KMH - 1e-9),
            Rule("lateral is below the vehicle's own speed", lambda v: v["lateral"] < speed(v)),
        ),
    )


def cut_out(top: float = 130.0, radius: float = math.inf) -> Scenario:
    """The vehicle ahead moves over `ttc` s before it would hit one that stands; `headway` s behind comes the ego."""
    road = scenario_road(radius)
    parameters = (
        _ego(
            (20, 40, 60) if top <= 60.0 else (20, 40, 60, 80, 100, 130), road, top, f"{R157} A5 4.5; steps own choice"
        ),
        _headway(),
        Parameter("lateral", 0.5, 3.0, "m/s", f"{ALKS} 4.4_1, of vehicles that cut in", (1.0, 1.5, 2.0, 3.0)),
        Parameter("ttc", 1.5, 6.0, "s", "own choice: as late as a driver may", (1.5, 2.0, 3.0, 4.0)),
        _side("own choice: both"),
    )
    length, width = SIZES[ActorKind.CAR]
    clear = width + 0.2  # both as wide, 0.2 m between them
    return Scenario(
        "cut_out",
        road,
        EgoStart(1, RUN_IN, "ego"),
        (
            Placement(ActorKind.CAR, _following, "ego"),
            Placement(ActorKind.CAR, lambda v: _following(v) + length + v["ego"] * (v["ttc"] + SETTLE), 0.0),
        ),
        (
            Event(
                0,
                Trigger(When.TTC, "ttc", to=1),
                move_across(lambda v: LANE * v["side"], "lateral"),
            ),
        ),
        parameters,
        lambda v: np.minimum(SETTLE + v["ttc"] + v["headway"] + 15.0, 30.0),
        (
            _headway_rule(),
            Rule(
                "the vehicle ahead gets past the one that stands",
                lambda v: _reach_time(clear, v["lateral"]) <= v["ttc"],
            ),
            Rule("lateral is below the vehicle's own speed", lambda v: v["lateral"] < v["ego"]),
        ),
    )


def decelerating_lead(top: float = 130.0, radius: float = math.inf) -> Scenario:
    """The vehicle ahead, as fast as the ego and `headway` s away, brakes to standstill by `decel`."""
    road = scenario_road(radius)
    speeds = (7.2, 10, 20, 30, 40, 50, 60) if top <= 60.0 else (20, 40, 60, 80, 100, 130)
    parameters = (
        _ego(speeds, road, top, f"{ALKS} 4.3_2 up to 60 km/h; {R157} 01 above"),
        _headway(),
        Parameter("decel", 1.0, 10.0, "m/s^2", f"{ALKS} 4.3_2", tuple(float(k) for k in range(1, 11))),
    )
    return Scenario(
        "decelerating_lead",
        road,
        EgoStart(1, RUN_IN, "ego"),
        (Placement(ActorKind.CAR, _following, "ego"),),
        (Event(0, Trigger(When.TIME, SETTLE), brake("decel")),),
        parameters,
        lambda v: np.minimum(SETTLE + v["ego"] / v["decel"] + 10.0, 45.0),
        (_headway_rule(),),
    )


def crossing_pedestrian(top: float = 60.0, radius: float = math.inf) -> Scenario:
    """Somebody beside the road begins to walk across when the ego, as it drives, is `ttc` s away."""
    road = scenario_road(radius)
    parameters = (
        _ego(tuple(range(5, 61, 5)), road, min(top, 60.0), f"{ALKS} 4.2_3"),
        _speed("walk", (3, 4, 5), (1.0, 5.0), f"{R157} 5.2.5.3: up to 5 km/h; steps own choice"),
        Parameter("ttc", 1.0, 8.0, "s", "own choice: from too late to early", (2.0, 3.0, 4.0, 5.0, 6.0)),
    )
    return Scenario(
        "crossing_pedestrian",
        road,
        EgoStart(2, RUN_IN, "ego"),
        (Placement(ActorKind.PEDESTRIAN, lambda v: v["ego"] * (v["ttc"] + SETTLE), 0.0, offset=-5.0),),
        (Event(0, Trigger(When.TTC, "ttc"), walk_across(20.0, "walk")),),
        parameters,
        lambda v: SETTLE + v["ttc"] + 20.0,
    )


def blocked_lane(top: float = 130.0, radius: float = math.inf) -> Scenario:
    """A vehicle stands `distance` m ahead, `offset` to the left of the lane's middle."""
    road = scenario_road(radius)
    parameters = (
        _ego(tuple(range(20, 61, 10)) if top <= 60.0 else (20, 40, 60, 80, 100, 130), road, top, f"{ALKS} 4.2_1"),
        Parameter("offset", -2.0, 2.0, "m", f"{ALKS} 4.2_2", tuple(-2.0 + 0.25 * k for k in range(17))),
        Parameter("distance", 20.0, 500.0, "m", f"own choice; {ALKS} 4.2 begins at 500 m", (50.0, 100.0, 200.0, 300.0)),
    )
    return Scenario(
        "blocked_lane",
        road,
        EgoStart(1, RUN_IN, "ego"),
        (Placement(ActorKind.CAR, "distance", 0.0, offset="offset"),),
        (),
        parameters,
        lambda v: np.minimum(v["distance"] / v["ego"] + 15.0, 90.0),
        (
            Rule(
                f"a car can stop before it by {EMERGENCY:g} m/s^2 after one second",
                lambda v: v["ego"] + v["ego"] ** 2 / (2.0 * EMERGENCY) <= v["distance"],
            ),
        ),
    )


FAMILIES: dict[str, Callable[[float, float], Scenario]] = {
    "cut_in": cut_in,
    "cut_out": cut_out,
    "decelerating_lead": decelerating_lead,
    "crossing_pedestrian": crossing_pedestrian,
    "blocked_lane": blocked_lane,
}
"""By name; each takes `top` (km/h) and `radius` (m)."""


def _ego(speeds_kmh: Sequence[float], road: Road, top: float, source: str) -> Parameter:
    """The ego's first speed, no faster than the road's limit and `top`."""
    most = min(top * KMH, road.lanes[0].limit)
    values = tuple(speed * KMH for speed in speeds_kmh if speed * KMH <= most + 1e-9)
    if not values:
        raise ScenarioError(
            f"top: expected at least {min(speeds_kmh):g} km/h, got {top:g}; the family begins at that speed"
        )
    return Parameter("ego", values[0], max(most, values[-1]), "m/s", source, values)


def _speed(name: str, kmh: Sequence[float], bounds_kmh: tuple[float, float], source: str) -> Parameter:
    low, high = bounds_kmh
    return Parameter(name, low * KMH, high * KMH, "m/s", source, tuple(speed * KMH for speed in kmh))


def _headway() -> Parameter:
    return Parameter(
        "headway", 1.0, 2.5, "s", f"{ALKS} 4.3_2: 1.0 to 2.0; above own choice", (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
    )


def _headway_rule() -> Rule:
    return Rule(
        "headway is what R157 5.2.3.3 asks at that speed",
        lambda v: v["headway"] >= np.interp(v["ego"], *HEADWAY) - 1e-9,
    )


def _side(source: str) -> Parameter:
    return Parameter("side", -1.0, 1.0, "lanes to the left", source, (-1.0, 1.0), choice=True)


def _following(values: Values) -> Floats:
    return values["headway"] * values["ego"]


def _reach_time(distance: float, speed: Floats) -> Floats:
    """Until `distance` has been moved across, s; the speed is gained by LATERAL_ACCEL."""
    gaining = speed**2 / (2.0 * LATERAL_ACCEL)
    return np.where(
        gaining >= distance,
        np.sqrt(2.0 * distance / LATERAL_ACCEL),
        speed / LATERAL_ACCEL + (distance - gaining) / speed,
    )


def _crossing_time(distance: float, speed: Floats) -> Floats:
    """Until `distance` has been moved across and the speed given up again, s."""
    peak = np.minimum(speed, math.sqrt(distance * LATERAL_ACCEL))
    return distance / peak + peak / LATERAL_ACCEL
