"""A drive as moments while an environment is driven: what each control step was, in truth and as decided.

A moment's places are those at the step's beginning, its commands, margin and reason those that were decided on them.
`DriveRecorder.take` is called after each control step. When the episode ends the environment begins the next one at
once, so the last moment's decision is read from what the step left, and nothing after it is recorded.

Invariants, clearance and time to collision are the witness's (sim/driving/witness.py), from true places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.drivefigures import AT_FAULT, GOAL, PASSED
from fleet.driveguard import sparse
from fleet.drivewish import Wishes
from fleet.venues import guard_of
from safety.reason import Reason
from safety.roadstored import stored_plan
from safety.supervisor import Mode
from sim.driving.blame import Blame
from sim.driving.env import RoadEnv
from sim.driving.moment import AMPLE, Course, Moment, Others
from sim.driving.problems import Problems, Standing
from sim.driving.reachsets import COLUMNS, NEAR, ReachSets
from sim.driving.recorded import Recorded
from sim.driving.skill import Driving
from sim.driving.witness import Ground, boxes, broken, nearest, time_to_collision
from sim.tasks.task import Ending

ENDINGS = {
    Ending.SUCCEEDED: GOAL,
    Ending.COLLIDED: "contact",
    Ending.TIMED_OUT: "time is up",
    Ending.LEFT: "left its lane",
    Ending.DIVERGED: "diverged",
}

VERDICTS = {Standing.SOLVED: GOAL, Standing.STRUCK: "struck while standing", Standing.LATE: "too late for its goal"}
"""How drives end that have a problem to solve, beside those of `ENDINGS`."""

BLAMES = {
    Blame.AT_FAULT: AT_FAULT,
    Blame.STANDING: "touched while standing",
    Blame.BEHIND: "struck from behind",
    Blame.LATERAL: "struck from the side",
    Blame.BOUNDS: "by one outside its bounds",
}

ASIDE = 1.5
"""m across the ego's heading; sets of who follows it so closely in line are not drawn: they would cover its own way."""


STANDS, SETTLED = 0.05, 2.0
"""m/s and s: who stands for so long by his fallback, or because nothing tells where he or others are, has reached a
minimal-risk state; there a drive ends."""

SAFE = "stopped at minimal risk"


@dataclass
class _Before:
    """Where everything was when a step began."""

    pose: tuple[float, float, float]
    motion: tuple[float, float, float, float]
    lane: int
    place: list[float]
    left: float
    others: Others
    kinds: NDArray[np.int32]
    seen: NDArray[np.float64]
    seen_lanes: NDArray[np.int32]
    scan: NDArray[np.float64]
    scan_age: float


class DriveRecorder:
    """Makes moments of the first car of an environment's first world. Owns what was there before the step."""

    def __init__(self, env: RoadEnv, course: Course, recorded: Recorded | None = None) -> None:
        """Call after `reset`: the drive begins where everything is now. `recorded`: the problem to be solved."""
        self._env, self._course, self._guard = env, course, guard_of(env)
        self._ground, self._reach = Ground(course.road), ReachSets(course.road, env.config.profile)
        self._limits = np.array([lane.limit for lane in course.road.lanes])
        self._step, self._stood = 0, 0
        self._read = _reading(env)
        self._judged = 0
        self._problem = None if recorded is None else Problems(env, [recorded])
        self._before = self._look()
        assert isinstance(env.task, Driving)
        self._wishes = Wishes(env.task.wish)
        self._note_wish()
        self.over = False
        """Whether the last moment was the drive's last."""

    def take(self) -> Moment:
        """The control step that has just been made."""
        read, before, env = self._read, self._before, self._env
        ended = int(read["ending"][0])
        ending = ENDINGS.get(Ending(ended), "") if ended else ""
        if self._problem is not None:
            ending = VERDICTS.get(Standing(int(self._problem.look()[0])), ending)
        lasts = self._course.seconds
        if lasts > 0.0 and ended == Ending.TIMED_OUT and (self._step + 1.5) * self._course.period > lasts:
            ending = PASSED  # else the command line's bound of time was shorter
        if self._guard is None:
            released = proposed = (float(read["released"][0, 0]), float(read["released"][0, 1]))
            margin, reason = math.inf, Reason.NONE
        else:
            proposed, (released, margin, reason) = self._guard.proposed, self._guard.released
        plan, reach = np.zeros((0, 3)), ()
        if self._guard is not None:
            plan = stored_plan(env.filter_memory, 0, self._guard.shield.bounds, before.pose, before.motion[0])
            reach = self._sets(before, 0.1 * max(len(plan) - 1, 0))
        if not ending and self._stood * self._course.period >= SETTLED:
            ending = SAFE
        moment = self._moment(before, proposed, released, margin, reason, plan, reach, ending, bool(ended))
        self._step += 1
        waits = moment.mode == "fallback" or reason in (Reason.STALE_VIEW, Reason.STALE_OBJECTS)
        self._stood = self._stood + 1 if waits and before.motion[0] < STANDS else 0
        self.over = bool(ending)
        if not self.over:
            self._before = self._look()
            self._note_wish()
        return moment

    def _note_wish(self) -> None:
        """What is wished when the next step begins: the guard decides in the midst of it."""
        if self._guard is not None:
            self._guard.wish = self._wishes.pack()

    def _moment(
        self,
        before: _Before,
        proposed: tuple[float, float],
        released: tuple[float, float],
        margin: float,
        reason: Reason,
        plan: NDArray[np.float64],
        reach: tuple[NDArray[np.float64], ...],
        ending: str,
        ended: bool,
    ) -> Moment:
        size, others = self._course.size, before.others
        extent = (size.length, size.width)
        middle = (*size.middle(*before.pose), before.pose[2])
        clearance = nearest(middle, extent, others.pose, others.size)
        ttc = time_to_collision(middle, extent, before.motion[0], others.pose, others.size, others.motion[:, 0])
        limit = float(self._limits[before.lane]) if before.lane >= 0 else math.inf
        box = boxes(np.array([middle]), np.array([extent]))[0]
        verdicts = self._env.plant.judge.verdicts(0, ended=ended)[self._judged :]
        self._judged += len(verdicts)
        verdict = min(verdicts, key=lambda each: each.blame, default=None)
        guard = self._guard
        shielded, mode = guard is not None, "policy"
        if guard is not None:
            fallback = guard.last is not None and guard.last.mode == Mode.FALLBACK
            mode = "stopped" if margin < 0.0 else "fallback" if fallback else "shielded" if reason else "policy"
        return Moment(
            time=self._step * self._course.period,
            pose=before.pose,
            motion=before.motion,
            proposed=proposed,
            released=released,
            mode=mode,
            reason=reason.name.lower().replace("_", " ") if reason else "",
            margin=margin if shielded and margin < AMPLE else math.inf,
            plan=plan,
            reach=reach,
            lane=before.lane,
            s=before.place[0],
            d=before.place[1],
            limit=limit,
            left=before.left if self._course.seconds == 0.0 else math.inf,
            clearance=clearance,
            ttc=ttc,
            sensed=int((before.kinds >= 0).sum()),
            broken=broken(
                clearance=clearance,
                speed=before.motion[0],
                limit=limit,
                on_ground=self._ground.holds(box, before.pose[2]),
            ),
            contact=verdict.kind.name.lower() if verdict is not None else "",
            blame=BLAMES[verdict.blame] if verdict is not None else "",
            others=others,
            ending=ending,
            scan=before.scan,
            scan_age=before.scan_age,
            decision=None if guard is None or guard.last is None else sparse(guard.last, self._step),
        )

    def _look(self) -> _Before:
        read = self._read
        first = self._env.robots
        there = np.flatnonzero(read["kind"][0, first:] >= 0) + first
        others = Others(
            read["kind"][0, there].copy(),
            read["actor_pose"][0, there].astype(np.float64),
            read["actor_motion"][0, there].astype(np.float64),
            read["actor_size"][0, there].astype(np.float64),
        )
        x, y, yaw = (float(value) for value in read["pose"][0, :3])
        speed, accel, curvature, rate = (float(value) for value in read["motion"][0])
        scan, age = np.zeros(0), math.inf
        if "scan" in read:
            scan, stamp = read["scan"][0].astype(np.float64), int(read["scan_stamp"][0])
            age = (int(read["step"][0]) - stamp) * self._course.period if stamp >= 0 else math.inf
        return _Before(
            pose=(x, y, yaw),
            motion=(speed, accel, curvature, rate),
            lane=int(read["lane"][0]),
            place=[float(value) for value in read["place"][0]],
            left=float(read["left"][0]),
            others=others,
            kinds=read["object_kind"][0].copy(),
            seen=read["objects"][0][:, COLUMNS].astype(np.float64),
            seen_lanes=read["object_lane"][0].copy(),
            scan=scan,
            scan_age=age,
        )

    def _sets(self, before: _Before, time: float) -> tuple[NDArray[np.float64], ...]:
        x, y, yaw = before.pose
        dx, dy = before.seen[:, 0] - x, before.seen[:, 1] - y
        follows = (dx * np.cos(yaw) + dy * np.sin(yaw) < 0.0) & (np.abs(dy * np.cos(yaw) - dx * np.sin(yaw)) < ASIDE)
        rows = np.flatnonzero((np.hypot(dx, dy) < NEAR) & (before.kinds >= 0) & ~follows)
        return self._reach.outlines(
            before.kinds[rows].tolist(), before.seen[rows], before.seen_lanes[rows].tolist(), time
        )


def _reading(env: RoadEnv) -> dict[str, NDArray[Any]]:  # arrays of several dtypes
    """The environment's own arrays, which every step writes anew."""
    plant = env.plant
    arrays = {
        "pose": plant.state.pose, "motion": plant.true_motion, "lane": plant.footing.lane, "place": plant.footing.place,
        "left": plant.footing.left, "kind": plant.actors.kind, "actor_pose": plant.actors.pose,
        "actor_motion": plant.actors.motion, "actor_size": plant.actors.size, "objects": plant.view.objects,
        "object_kind": plant.view.object_kind, "object_lane": plant.view.object_lane,
        "released": plant.drive.released, "ending": env.task.outcome.ending,
    }  # fmt: skip
    if env.config.sensors.lidar and plant.senses is not None:
        kept = plant.senses.arrays()
        arrays |= {"scan": kept["senses.scan"], "scan_stamp": kept["senses.scan_stamp"], "step": plant.state.step}
    return {name: array.numpy() for name, array in arrays.items()}
