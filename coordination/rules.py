"""The numbers of the laws: between robots (`rightofway`), of work (`roster`, `dispatch`) and of leases (`jog`)."""

from __future__ import annotations

from dataclasses import dataclass

from sim.robot import SECOND

STANDING_SPEED = 0.02
"""m/s; what counts as standing wherever collisions are counted, too."""


LEASE = 20 * SECOND
"""How long a robot is an operator's without being asked for again: what a dead terminal costs; one that lives renews it
twice in that time."""


@dataclass(frozen=True)
class Rules:
    """How far ahead a robot is granted cells, and how long everyone is patient."""

    look_ahead: int = 5
    """Cells granted beyond the one under the robot: at 1.5 m/s and 1.5 m/s^2 a robot needs 0.75 m to stop and covers
    0.6 m in the four cycles from its report to the new grant, so three cells of 1.2 m suffice; two more let it plan."""
    lease: int = 2 * SECOND
    """How long a grant holds without a newer picture."""
    silent: int = 1 * SECOND
    """A robot not heard for so long gets no new cells."""
    standing: int = 5 * SECOND
    """A robot that stands for so long and cannot be pushed is routed around."""
    blocked: int = 20 * SECOND
    """How long a cell that was reported blocked is routed around."""
    patience: int = 5 * SECOND
    """A pending step that is not granted for so long is planned anew."""
    detour: int = 60
    """Most cells of extra way for which a detour is taken at once; each second of waiting allows one more."""
    picture_radius: int = 8
    """Cells around a robot whose owners it is told of: the lidar's 10 m."""
    picture_cells: int = 64
    """At most so many of them, the nearest."""


@dataclass(frozen=True)
class Policy:
    """The numbers of the fleet's rules that are not right of way's."""

    attempts: int = 5
    """A task that so many robots gave up has failed."""
    rest: int = 30 * SECOND
    """A robot that gave a task up gets no other for so long: what held it up may hold it still."""
    retry: int = 180 * SECOND
    """And not the same one for so long, so that others try it first."""
    task_lease: int = 60 * SECOND
    """A robot silent for so long loses a task of which it has done no leg yet (later its load may be on board)."""
    pictures: int = 60 * SECOND
    """How long a silent robot is still sent pictures."""
    battery_low: float = 0.25
    """An idle robot with less is sent to a charger."""
    battery_full: float = 0.95
    charge_seconds: float = 3600.0
    """From empty to full: 20 Ah at 20 A (sim/battery.py)."""
    queue_factor: int = 2
    """Tasks considered for each free robot: more than one, so that near ones can be chosen."""
    queue_least: int = 128
    """Tasks considered in any case: 200 deliveries by 32 robots end 3 % sooner than with 16."""
