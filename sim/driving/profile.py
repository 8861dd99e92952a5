"""What is assumed of others on the road: the bounds that traffic keeps and that a shield may rely on.

`RoadProfile` is to the road what the person profile is to a warehouse. Traffic (sim/driving/traffic.py) stays within
it, and marks an actor that a scenario drives outside it (`ActorArrays.violates`); the shield's sets of where others can
be grow by these numbers; the judge of contacts asks whether an actor kept them. This module needs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoadProfile:
    """Bounds on what others do; SI units."""

    accel: float = 3.5
    """Largest acceleration of a vehicle, m/s^2 (ad-rss-lib's default)"""
    brake: float = 8.0
    """Hardest braking of a vehicle, m/s^2 (ad-rss-lib's default: dry asphalt)"""
    brake_least: float = 4.0
    """Least braking of one that must react, m/s^2 (ad-rss-lib's default)"""
    reaction: float = 1.0
    """Longest reaction time of a driver who must brake for us, s (half of ad-rss-lib's default of 2 s for others; UN
    R157 takes 0.75 s for a careful one)"""
    over_limit: float = 1.2
    """A vehicle drives at most this times the speed limit"""
    speed: float = 50.0
    """Largest speed of a vehicle where no limit is stated, m/s (180 km/h)"""
    lateral: float = 0.3
    """Speed across its lane up to which a vehicle counts as keeping it, m/s; faster ones may be about to leave it"""
    wander: float = 0.3
    """How far a vehicle that keeps its lane strays from the middle of it, m"""
    lateral_change: float = 1.8
    """Largest speed across lanes of a vehicle that changes lanes, m/s (R157's cut-ins: 0.9 to 1.8 m/s)"""
    pedestrian: float = 1.6
    """Walking speed of people, m/s (ISO 13855)"""
    cyclist: float = 8.3
    """Largest speed of a cyclist, m/s (30 km/h)"""
    cyclist_accel: float = 1.5
    """m/s^2"""
    cut_in_reaction: float = 0.35
    """Who moves in front of somebody leaves him the RSS distance of one who reacts this fast, s, ..."""
    cut_in_brake: float = 6.0
    """... and then brakes this hard, m/s^2 (both R157 5.2.5.2: the cut-ins that a system must master)"""
