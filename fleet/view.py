"""`muster view RUN`: a recorded run as a page in the browser; `muster view --site SITE`: an environment, live.

    muster view runs/<run>                     play a run: time, speed, any robot's lidar, ground, plan and verdict
    muster view --site FLOOR --policy DIR      robots of a trained policy in a training environment, under the shield
    muster view --site FLOOR                   the same by random actions: what the shield makes of an untrained policy

The page is served on this machine alone until Ctrl-C. It shows what was recorded: poses of plant.npz, and of each robot
what its black box holds, as the robot had it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from fleet.box.keep import files_of
from fleet.page import HOST, Page
from fleet.panel import BACK, Panel
from fleet.salvage import BlackBoxError
from fleet.shown import Focus, Shown, Tone
from fleet.trail import Moment, Trail, Verdict, read_trail
from fleet.words import headline
from safety.reason import Reason
from safety.supervisor import Mode
from sim.errors import MusterError
from sim.trace import Trace, read_cargo, read_trace

RATE = 12.0
"""Moments sent to the browser in a second of wall time, at most: records have 10 in a second."""


@dataclass(frozen=True)
class Config:
    """Show a recorded run, or an environment, in the browser."""

    run: Positional[Path | None] = None
    """The run directory; nothing with --site"""
    site: str = ""
    """Drive an environment on this floor instead: a map file, generate:SEED:WIDTHxHEIGHT or campus:SEED"""
    policy: Path | None = None
    """With --site: directory of a frozen policy; random actions if not given"""
    robots: int = 6
    """With --site: how many robots"""
    people: int = 4
    """With --site: how many people"""
    seed: int = 1
    """With --site: of everything that varies"""
    shield: bool = True
    """With --site: let the shield judge every command"""
    port: int = 8080
    """Port of the page; 0 for any free one"""
    speed: float = 1.0
    """Simulated seconds in one second, to begin with"""


class UsageError(MusterError):
    """A command line that asks for nothing that can be shown."""


def run(config: Config) -> int:
    """Serve the page until Ctrl-C; returns 0. Raises `MusterError` for what the user can mend."""
    if (config.run is None) == (not config.site):
        raise UsageError("view: expected either a run or --site, got " + ("both" if config.site else "neither"))
    if not config.speed > 0.0:
        raise UsageError(f"--speed: expected a factor above 0, got {config.speed:g}; give for example 2")
    if config.site:
        from fleet.live import LiveConfig, serve

        names = [each.name for each in fields(LiveConfig)]
        return serve(LiveConfig(**{name: getattr(config, name) for name in names}), forever)
    assert config.run is not None
    player = Player(config.run, port=config.port, speed=config.speed)
    return forever(player.page, player.tick)


def forever(page: Page, tick: Callable[[float], None]) -> int:
    """Call `tick` with the wall time that has passed since its last call, until Ctrl-C; then close the page."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            print(f"http://{HOST}:{page.port}   (Ctrl-C ends)", flush=True)
            before = time.monotonic()
            while True:
                now = time.monotonic()
                tick(now - before)
                before = now
                time.sleep(max(0.0, 1.0 / RATE - (time.monotonic() - now)))
    finally:
        page.stop()
    return 0


class Player:
    """Plays a run. Owns its page, the moment that is shown, and what is known of each robot."""

    def __init__(self, source: Path, *, port: int, speed: float = 1.0) -> None:
        """Raises `FileError` or `ViewError` where there is no record, `PageError` where the port is taken."""
        self.trace = read_trace(source)
        self._carrying = read_cargo(source, self.trace)
        self.trails = Trails(source if source.is_dir() else source.parent, self.trace)
        trace = self.trace
        self.page = Page(
            trace.site,
            trace.names,
            footprint=trace.footprint,
            people=trace.people.shape[1],
            forklifts=trace.forklifts.shape[1],
            truck=trace.truck if trace.forklifts.shape[1] else (2.0, 1.0, 2.0),
            title=source.name or str(source),
            port=port,
        )
        self.panel = Panel(self.page, seconds=float(trace.seconds[-1]), speed=speed)
        self._shown: tuple[float, int, int] | None = None
        self.trails.start()

    def tick(self, passed: float) -> None:
        """Go on by `passed` seconds of wall time and show the moment; nothing is sent while nothing changes."""
        panel = self.panel
        panel.advance(passed)
        key = (panel.time, panel.robot, self.trails.ready)
        if key != self._shown:
            self._shown = key
            self.show(panel.time, panel.robot)
        panel.place_camera(lambda: self._shown_at(panel.time).poses[panel.robot])

    def show(self, seconds: float, robot: int) -> None:
        """Show a moment, with the view of a robot."""
        stamp = int(self.trace.stamps[0]) + round(seconds * 1e9)
        trail, why = self.trails.whole(robot)
        moment = trail.at(stamp) if trail is not None else None
        focus = focus_of(moment) if moment is not None else Focus(rows=[("black box", why or "nothing at this time")])
        self.page.show(self._shown_at(seconds), robot, focus)
        self.panel.tell(self.trace.names[robot], focus)
        if trail is not None:
            self.panel.chart(*trail.margins(stamp, BACK))

    def _shown_at(self, seconds: float) -> Shown:
        trace = self.trace
        at = float(np.interp(seconds, trace.seconds, np.arange(len(trace.stamps))))
        one, two, share = trace.between(at)
        stamp = int(trace.stamps[0]) + round(seconds * 1e9)
        return Shown(
            poses=trace.poses_at(at),
            people=trace.people[one] + share * (trace.people[two] - trace.people[one]),
            forklifts=trace.forklifts[one],
            loaded=self._carrying[one],
            doors=trace.doors[one],
            tones=[tone_of(self.trails.verdict(robot, stamp)) for robot in range(len(trace.names))],
        )


class Trails:
    """What is known of every robot: all verdicts, read by a thread of its own; and one whole trail."""

    def __init__(self, folder: Path, trace: Trace) -> None:
        self._files = [files_of(folder / "blackbox", name) for name in trace.names]
        self._verdicts: dict[int, tuple[NDArray[np.int64], list[Verdict]]] = {}
        self._whole: tuple[int, Trail | None, str] = (-1, None, "")
        self._lock = threading.Lock()

    @property
    def ready(self) -> int:
        """Robots whose verdicts are known."""
        return len(self._verdicts)

    def start(self) -> None:
        """Read every robot's verdicts in a thread; it ends with the process."""
        threading.Thread(target=self._read_all, name="trails", daemon=True).start()

    def verdict(self, robot: int, stamp: int) -> Verdict | None:
        """What a robot decided at a stamp; None while that is not known."""
        if robot not in self._verdicts:
            return None
        stamps, verdicts = self._verdicts[robot]
        index = int(np.searchsorted(stamps, stamp, side="right")) - 1
        return verdicts[index] if index >= 0 and stamp - stamps[index] <= 1_000_000_000 else None

    def whole(self, robot: int) -> tuple[Trail | None, str]:
        """All steps of a robot, and why not where there are none."""
        with self._lock:
            if self._whole[0] != robot:
                self._whole = (robot, *self._read(robot))
            return self._whole[1:]

    def _read(self, robot: int) -> tuple[Trail | None, str]:
        if not self._files[robot]:
            return None, "none was written (blackbox:=false)"
        try:
            trail = read_trail(self._files[robot])
        except BlackBoxError as error:
            return None, str(error)
        self._verdicts[robot] = (trail.stamps, trail.verdicts())
        return trail, ""

    def _read_all(self) -> None:
        for robot in range(len(self._files)):
            if robot not in self._verdicts:
                self._read(robot)


def tone_of(verdict: Verdict | None) -> Tone:
    """How a robot drives, by what its control step decided."""
    if verdict is None:
        return Tone.UNKNOWN
    if verdict.mode in (Mode.STOPPED, Mode.LATCHED) or verdict.margin < 0.0:
        return Tone.STOPPED
    if verdict.mode is Mode.FALLBACK:
        return Tone.FALLBACK
    if verdict.mode is Mode.MANUAL:
        return Tone.MANUAL
    return Tone.POLICY if verdict.reason is Reason.NONE else Tone.SHIELDED


def focus_of(moment: Moment) -> Focus:
    """A recorded step for the page."""
    verdict = moment.verdict
    return Focus(
        points=moment.points,
        granted=moment.granted,
        corridor=moment.corridor,
        way=moment.way,
        goal=moment.goal,
        plan=moment.plan,
        tone=tone_of(verdict),
        headline=headline(verdict.margin, verdict.reason),
        rows=moment.rows,
    )
