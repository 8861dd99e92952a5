"""The avoid task: reach the end of a wide corridor among people who walk and do not look.

It is navigate (sim/tasks/navigate.py) with other numbers: six people at up to 1.6 m/s who ignore robots until they
would touch them, and a corridor wide enough to drive round one (1.5 cells to each side where racks leave room; the
lidar shows where they do not). In navigate a robot can only slow down and wait for a person in its one-cell aisle; here
it must choose a side. Contact while moving is a collision, whoever walked into whom.
"""

from __future__ import annotations

from sim.people import Profile
from sim.tasks.navigate import NavigateConfig, Reward
from sim.vary import vary

HALF_WIDTH = 1.8
"""m; a person (0.5 m) and a robot (0.48 m) with 0.4 m of air on every side pass each other in half of it."""


def avoid() -> NavigateConfig:
    """The task with its defaults."""
    return NavigateConfig(
        task="avoid",
        people=6,
        profile=Profile.WALKING,
        half_width=HALF_WIDTH,
        shortest=5,
        reward=Reward(lateral=0.05, lateral_free=0.6),  # leaving the middle is what the width is for
        randomization=vary(stall_share=0.0, person_share=0.9),
    )
