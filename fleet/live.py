"""`muster view --site SITE`: robots of one world of the navigate task, driven live, on the page.

A frozen policy drives them, or nobody does: random actions, each held for half a second, are what an untrained policy
looks like. With the shield (the default) every command is judged as on a robot, other robots known by their places; the
page shows what it judged by. Episodes begin anew robot by robot, as in training.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from fleet.page import Page, PageError, check_port
from fleet.panel import BACK, Panel
from fleet.shown import Focus, Shown, Tone
from fleet.words import REASONS, headline, scan_points, stopping_poses
from safety.dynamics import stopping_ticks
from safety.reason import Reason
from safety.shield import Shield
from sim.env import BatchEnv
from sim.filter import Filter
from sim.overlay import Strip, ahead_of
from sim.points import ROBOTS, Points
from sim.readers import load_site
from sim.robot import SECOND, RobotSpec
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import navigate_contract
from sim.tasks.task import Ending
from sim.trace import blend

HELD = 5
"""Control steps for which a random action is held: half a second, so that robots get somewhere."""

BEHIND = 5
"""Control steps that a moment of the page may take at most; a slower machine shows a slower world."""

ROBOTS_MAX = 64
"""More make a picture that nobody reads."""


@dataclass(frozen=True)
class LiveConfig:
    """What is driven."""

    site: str
    policy: Path | None = None
    robots: int = 6
    people: int = 4
    seed: int = 1
    shield: bool = True
    port: int = 8080
    speed: float = 1.0


class Live:
    """Drives one world and shows it. Owns the environment and the page."""

    def __init__(self, config: LiveConfig) -> None:
        """Raises `MusterError` for a site, a policy or a port that will not do, before anything is built."""
        for option, value, low, high in (
            ("--robots", config.robots, 1, ROBOTS_MAX),
            ("--people", config.people, 0, 100),
            ("--seed", config.seed, 0, 2**31 - 1),
        ):
            if not low <= value <= high:
                raise PageError(f"{option}: expected {low} to {high}, got {value}; choose another number")
        site, spec = load_site(config.site), RobotSpec()
        self._policy = Policy.load(config.policy) if config.policy is not None else None
        if self._policy is not None:
            self._policy.check(navigate_contract(spec))
        check_port(config.port)
        task = replace(NavigateConfig(), spec=spec, people=config.people)
        self._others = Others(site, spec, config.robots)
        self._shield = Shield(spec) if config.shield else None
        self.environment = environment(site, task, config.robots, config.seed, self._shield, self._others)
        self._observation = self.environment.reset()
        self._draws = np.random.default_rng(config.seed)
        self._action = np.zeros((config.robots, self.environment.action_size), np.float32)
        self._steps, self._left = 0, 0.0
        self._margins = [
            deque[tuple[int, float]](maxlen=round(BACK * SECOND / spec.period)) for _ in range(config.robots)
        ]
        self._endings: Counter[Ending] = Counter()
        self._before = self._poses()
        names = [f"r{number}" for number in range(config.robots)]
        self.page = Page(
            site,
            names,
            footprint=(spec.length, spec.width, spec.height),
            people=config.people,
            title=config.site,
            port=config.port,
        )
        self.panel = Panel(self.page, seconds=None, speed=config.speed)
        self._driver = f"policy {self._policy.hash[:12]}" if self._policy is not None else "random actions"

    def tick(self, passed: float) -> None:
        """Let `passed` seconds of wall time go by, and show the moment."""
        period = self.environment.spec.period / SECOND
        if self.panel.playing:
            self._left = min(self._left + passed * self.panel.speed, BEHIND * period)
            while self._left >= period:
                self._left -= period
                self.step()
        self.show(self._left / period)

    def step(self) -> None:
        """One control step of all robots."""
        env = self.environment
        self._before = self._poses()
        if self._policy is not None:
            self._action = self._policy.act(self._observation)
        elif self._steps % HELD == 0:
            self._action = self._draws.uniform(-1.0, 1.0, self._action.shape).astype(np.float32)
        self._others.look(env)
        step = env.step(self._action)
        self._observation = step.observation
        self._steps += 1
        ended = step.ending != Ending.RUNNING
        self._endings.update(Ending(int(how)) for how in step.ending[ended])
        self._before[ended] = self._poses()[ended]  # they are elsewhere now, and did not drive there
        for row, margin in enumerate(env.margin.numpy().tolist()):
            self._margins[row].append((self._steps, max(margin, 0.0)))

    def show(self, share: float = 1.0) -> None:
        """Send the moment, `share` of the way from the step before to the newest."""
        env, chosen = self.environment, self.panel.robot
        poses = blend(self._before, self._poses(), share)
        shown = Shown(
            poses=poses,
            people=env.people.position.numpy()[0],
            forklifts=np.zeros((0, 3)),
            loaded=np.zeros(env.rows, bool),
            doors=np.zeros(len(env.site.fixtures.doors), bool),
            tones=[self._tone(row) for row in range(env.rows)],
        )
        focus = self.focus(chosen)
        self.page.show(shown, chosen, focus)
        self.panel.tell(self.page.names[chosen], focus)
        margins = np.array(self._margins[chosen]).reshape(-1, 2)
        self.panel.chart((margins[:, 0] - self._steps) * env.spec.period / SECOND, margins[:, 1])
        self.panel.place_camera(lambda: poses[chosen])

    def focus(self, row: int) -> Focus:
        """What one robot has now."""
        env = self.environment
        pose = tuple(env.state.measured_pose.numpy()[row].tolist())
        reason, margin = Reason(int(env.reason.numpy()[row])), float(env.margin.numpy()[row])
        released, proposed = env.drive.released.numpy()[row], env.state.proposed.numpy()[row]
        ahead = ahead_of(env, row)
        shielded = self._shield is not None
        endings = ", ".join(f"{count} {how.name.lower()}" for how, count in self._endings.most_common())
        rows = [
            ("shield", REASONS[reason] if shielded else "off"),
            ("margin", (f"{margin:.2f} m" if margin >= 0.0 else "the stored plan plays") if shielded else "-"),
            ("driven by", self._driver),
            ("proposed", f"{proposed[0]:+.2f} m/s  {proposed[1]:+.2f} rad/s"),
            ("released", f"{released[0]:+.2f} m/s  {released[1]:+.2f} rad/s"),
            ("speed", f"{env.state.twist.numpy()[row, 0]:+.2f} m/s"),
            ("episodes ended", endings or "none"),
        ]
        way = ahead.way if ahead is not None else np.zeros((0, 2))
        return Focus(
            points=scan_points(env.state.scan.numpy()[row], pose, env.spec),
            corridor=list[Strip]() if ahead is None else ahead.corridor,
            way=way,
            goal=(float(way[-1, 0]), float(way[-1, 1])) if ahead is not None and ahead.arrived else None,
            plan=self._plan(row, pose),
            tone=self._tone(row),
            headline=headline(margin, reason) if shielded else "",
            rows=rows,
        )

    def _plan(self, row: int, pose: tuple[float, float, float]) -> NDArray[np.float64]:
        """Poses under the released command and what is left of the stored plan after it."""
        env = self.environment
        if self._shield is None:
            return np.zeros((0, 3))
        memory, period = env.filter_memory, env.spec.period / SECOND
        v, w, stop = memory.plan.numpy()[row].tolist()
        ticks = stopping_ticks(v, w, stop, float(memory.elapsed.numpy()[row]), period)
        commands = [tuple(env.drive.released.numpy()[row].tolist()), *(tuple(tick) for tick in ticks.tolist())]
        return stopping_poses(pose, commands, period)

    def _tone(self, row: int) -> Tone:
        env = self.environment
        if self._shield is None:
            return Tone.UNKNOWN
        if float(env.margin.numpy()[row]) < 0.0:
            return Tone.STOPPED
        return Tone.POLICY if int(env.reason.numpy()[row]) == Reason.NONE else Tone.SHIELDED

    def _poses(self) -> NDArray[np.float64]:
        return self.environment.state.pose.numpy().astype(np.float64)


class Others:
    """What every robot knows of the others' places, as a picture of the fleet would tell it. Owns the point speeds."""

    def __init__(self, site: Site, spec: RobotSpec, robots: int) -> None:
        self._points = Points(site, spec, 0.0)
        self._memory = self._points.init(robots)
        self._radius = spec.radius + spec.diff.speed_max * spec.period / SECOND  # they drive on for a period

    def look(self, environment: BatchEnv) -> None:
        """Note where everybody is."""
        places = environment.state.pose.numpy()[:, :2]
        known = self._memory.robots.numpy()
        known[...] = 0.0
        for row in range(len(places)):
            gap = np.hypot(*(places - places[row]).T)
            gap[row] = np.inf
            near = np.argsort(gap)[: min(ROBOTS, len(places) - 1)]
            known[row, : len(near), :2] = places[near]
            known[row, : len(near), 2] = self._radius

    def launch(self, inputs: Any) -> None:  # the filter's inputs
        """Fill in how fast every point may move."""
        self._points.launch(inputs, self._memory)


def environment(
    site: Site, task: NavigateConfig, robots: int, seed: int, shield: Filter | None, others: Others
) -> BatchEnv:
    """One world of `robots` robots, under the shield if there is one."""
    return BatchEnv(
        site,
        task,
        worlds=1,
        robots=robots,
        seed=seed,
        threads=1,
        filter=shield,
        point_speeds=others.launch if shield is not None else None,
    )


def serve(config: LiveConfig, forever: Callable[[Page, Callable[[float], None]], int]) -> int:
    """Show the environment until Ctrl-C; returns 0."""
    live = Live(config)
    return forever(live.page, live.tick)
