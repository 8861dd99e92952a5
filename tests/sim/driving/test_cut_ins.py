"""How many of the cut-ins of R157's grids break the profile of others (docs/decisions.md, the R157 families)."""

from __future__ import annotations

import numpy as np
import pytest

from sim.driving.families import cut_in
from sim.driving.profile import RoadProfile
from sim.driving.scenario import grid
from tests.sim.driving.scriptedworld import Floats, ScriptedWorld

OURS = RoadProfile()
RSS = RoadProfile(cut_in_reaction=1.0, cut_in_brake=4.0)
"""Followers as ad-rss-lib has them."""


class CutIns:
    """Rows of a grid, each before an ego that keeps its speed."""

    def __init__(self, top: float, every: int, profile: RoadProfile) -> None:
        scenario = cut_in(top)
        self.rows = grid(scenario)[::every]
        names = [parameter.name for parameter in scenario.parameters]
        self.across = self.rows[:, names.index("lateral")]
        """m/s"""
        many = len(self.rows)
        self.breaks, self.gap, self.closing = np.zeros(many, bool), np.full(many, np.nan), np.full(many, np.nan)
        """Whether it ever breaks the profile; free metres and how fast they shrink when it enters the lane"""
        world = ScriptedWorld(scenario, self.rows, profile=profile)
        for _ in range(round(20.0 / 0.05)):
            self._note(world)
            world.step()
            self.breaks |= world.actors.violates.numpy()[:, 1].astype(bool)

    def _note(self, world: ScriptedWorld) -> None:
        played = world.player.played
        entered = played.inside.numpy()[:, 0].astype(bool) & np.isnan(self.gap)
        ahead = played.ahead.numpy()[:, 0, 0].astype(float)
        sizes = world.actors.size.numpy()[:, :2, 0].mean(axis=1)
        faster: Floats = world.speed - played.speed.numpy()[:, 0, 0]
        self.gap[entered] = (np.abs(ahead) - sizes)[entered]
        self.closing[entered] = (np.sign(ahead) * faster)[entered]

    def r157(self) -> Floats:
        """Which leave less than 5.2.5.2 asks for of somebody who drives on, or move across faster than we assume."""
        closing = np.maximum(self.closing, 0.0)
        needed = closing * OURS.cut_in_reaction + closing**2 / (2.0 * OURS.cut_in_brake)
        return (self.gap < needed) | (self.across > OURS.lateral_change)


@pytest.mark.parametrize(("top", "share"), [(60.0, 0.65), (130.0, 0.47)])
def test_some_of_the_cut_ins_break_the_profile(top: float, share: float) -> None:
    """Of every 20th; the whole grids below."""
    assert CutIns(top, 20, OURS).breaks.mean() == pytest.approx(share, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("top", "ours", "rss", "r157"), [(60.0, 0.66, 0.79, 0.59), (130.0, 0.48, 0.70, 0.23)])
def test_the_shares_of_cut_ins_are_those_of_the_decisions(top: float, ours: float, rss: float, r157: float) -> None:
    cut_ins = CutIns(top, 1, OURS)
    assert len(cut_ins.rows) == (5950 if top == 60.0 else 5616)
    assert cut_ins.breaks.mean() == pytest.approx(ours, abs=0.006)
    assert cut_ins.r157().mean() == pytest.approx(r157, abs=0.006)
    assert CutIns(top, 1, RSS).breaks.mean() == pytest.approx(rss, abs=0.006)
    assert (cut_ins.across > OURS.lateral_change).mean() == pytest.approx(0.47 if top == 60.0 else 0.0, abs=0.006)
