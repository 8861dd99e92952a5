"""The shadow of one drive in the simulator, where time waits for it: every step is paired."""

from __future__ import annotations

from fleet.drivinglevels import DrivingLevels
from fleet.shadow.live import Shadow, Shadows
from fleet.shadow.road import RoadCandidate, RoadStep
from fleet.venues import guard_of
from sim.driving.env import RoadEnv
from sim.road import Road
from sim.robot import SECOND


class DriveShadow:
    """The shadow of one drive in the simulator, where time waits for it. Owns the number of the step."""

    def __init__(
        self, desk: Shadows, levels: DrivingLevels, env: RoadEnv, road: Road, production: str, name: str
    ) -> None:
        """Beside the guard of `env`, which has been reset; `production`: name of who drives; `name`: of the drive."""
        guard = guard_of(env)
        assert guard is not None
        guard.remembers = True
        self._guard, self._desk, self._cycle, self._period = guard, desk, 0, env.spec.period
        shadow = Shadow(
            name, RoadCandidate(road, levels, env.spec, production), desk.take, tick=env.spec.period / SECOND
        )  # fmt: skip
        shadow.lockstep = True
        desk.shadows = (shadow,)

    def look(self) -> None:
        """After each control step of the environment."""
        decision = self._guard.last
        assert decision is not None
        (shadow,) = self._desk.shadows
        shadow.offer(RoadStep(self._cycle, self._cycle * self._period, decision))
        shadow.work()
        self._cycle += 1

    def close(self) -> None:
        """Write the drive's pairs."""
        self._desk.close()
        self._desk.shadows = ()
