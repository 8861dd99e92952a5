"""The driving skills as tasks: drive in lane, change lane, pull over; and the drive along a route that joins them.

lane        follow the lane and whoever drives ahead, as fast as limits, bends and they allow, and stop where the road
            ends. Success: 0.7 of the way that was allowed until the time limit
change      into the lane beside; success: a second on its middle line
pull_over   to the hard shoulder, or to the right border where there is none; success: standing there
route       what a manoeuvre policy decides over: nothing is wished until somebody writes `wish`; success: the goal

Rewards and endings: sim/driving/skillkernels.py; the observation: skillview.py, its layout: contract.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import warp as wp

from sim.driving.contract import OBSERVATION, drive_contract
from sim.driving.orders import Skill, limits_of, make_course, make_wish
from sim.driving.skillkernels import act, advance, begin
from sim.driving.skillview import observe
from sim.driving.starts import Places, begin_drives, change_places, lane_places, pull_places, route_places, start_arrays
from sim.tasks.task import Launchable, make_outcome, struct_arrays

if TYPE_CHECKING:
    from sim.driving.plant import RoadPlant

PLACES: dict[str, Places] = {
    "lane": lane_places, "change": change_places, "pull_over": pull_places, "route": route_places,
}  # fmt: skip
"""Where each may begin."""


class Driving:
    """`sim.tasks.task.Task` of every skill: owns what each row was told and how its episode goes."""

    corridor = None

    def __init__(
        self,
        plant: RoadPlant,
        skill: Skill,
        time_limit: float,
        places: Places | None = None,
        *,
        open_ended: bool = False,
    ) -> None:
        """`places`: where episodes begin (None: the skill's own); `open_ended`: routes do not end drives.

        Raises `RoadError` where no road has a place.
        """
        rows, device = plant.rows, plant.device
        self.plant, self.skill = plant, skill
        self.contract = drive_contract(skill, plant.spec)
        self.action = wp.zeros((rows, 2), dtype=wp.float32, device=device)
        self.observation = wp.zeros((rows, OBSERVATION), dtype=wp.float32, device=device)
        self.outcome = make_outcome(rows, device)
        self.wish, self.course = make_wish(rows, device), make_course(rows, device)
        self.limits = limits_of(plant.spec, skill, time_limit, open_ended=open_ended)
        self._starts = start_arrays(plant.atlas, places or PLACES[skill], skill)
        self._side = wp.zeros(rows, dtype=wp.int32, device=device)
        self.act: Sequence[Launchable] = [
            plant.record(act, rows, [self.action, plant.view, self.limits, self.wish, plant.state])
        ]
        self.advance: Sequence[Launchable] = [
            plant.record(
                advance,
                rows,
                [plant.robots, self.limits, plant.atlas.lanes, plant.diverged, plant.view, plant.footing, plant.drive,
                 plant.state, plant.motion, self.wish, self.course, self.outcome],
            )
        ]  # fmt: skip

    def arrays(self) -> dict[str, wp.array]:
        """What was told and how it went, and what was seen last."""
        return {
            **struct_arrays("wish", self.wish),
            **struct_arrays("course", self.course),
            "observation": self.observation,
        }

    def begin(self, mask: wp.array) -> Sequence[Launchable]:
        """A road for worlds that begin whole, a place and a speed for the masked rows, and what their skill asks."""
        plant = self.plant
        return [
            plant.record(
                begin_drives,
                plant.worlds,
                [plant.seed, plant.robots, mask, plant.atlas.lanes, plant.atlas.routes, self._starts, plant.state,
                 plant.actors, plant.road, plant.footing, self._side, plant.start_speed],
            ),
            *plant.overrule(mask),
            plant.record(
                begin,
                plant.rows,
                [plant.seed, mask, self.limits, plant.state.episode, self._side, self.wish, self.course],
            ),
        ]  # fmt: skip

    def leave(self, mask: wp.array) -> Sequence[Launchable]:
        """The masked rows stand aside, off the road."""
        return [self.plant.leave(mask)]

    def observe(self, mask: wp.array) -> Sequence[Launchable]:
        """The observation of the masked rows; rows in their first step take their place as it is."""
        plant = self.plant
        return [
            plant.record(
                observe,
                plant.rows,
                [mask, plant.state.step, plant.view, plant.around, plant.drive, self.limits, self.wish,
                 self.observation],
            )
        ]  # fmt: skip
