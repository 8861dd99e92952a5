"""Missions of a run from its black boxes: what robots drove, for runs in which nobody told of it while it happened.

Each robot's files follow on each other, by their numbers. What a full disk or the quota took from between them leaves
the missions that it touches without counts (fleet/judge/driven.py). Seconds of steps stand in no log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fleet.header import read_header
from fleet.judge.driven import Driven, step
from fleet.judge.missions import FILE, Mission, append_missions, read_missions
from fleet.judge.near import Sight
from fleet.replay import find_files, recorded_steps
from fleet.salvage import read_recording


@dataclass
class Found:
    """What the black boxes of a run say."""

    missions: list[Mission] = field(default_factory=list)
    """In the order in which they ended"""
    open: int = 0
    """Missions that were under way when their robot's log ended"""
    robots: int = 0
    notes: list[str] = field(default_factory=list)
    """Files of which a part is lost"""


def missions_of(run: Path, capacity: float | None = None) -> Found:
    """The missions of every robot of a run, of which `capacity` J are in a full battery.

    Raises BlackBoxError for a run without black boxes, and for a file that is none of a robot on a floor.
    """
    found, robots = Found(), dict[str, Driven]()
    for path in find_files(run):
        recording = read_recording(path)
        header = read_header(recording)
        if recording.damage:
            found.notes.append(f"{path}: {recording.damage}")
        robot = header.config.robot
        state = robots.get(robot) or Driven(robot=robot, capacity=capacity)
        sight = Sight(header.site, header.config.spec)
        for chunk in recording.chunks[:-1] if recording.unsure else recording.chunks:
            for one in recorded_steps(chunk, path):
                state, ended = step(state, one.inputs, one.outputs, None, sight.gap(one.inputs))
                found.missions += ended
        robots[robot] = state
    found.missions.sort(key=lambda mission: (mission.end, mission.robot))
    found.open = sum(state.open is not None for state in robots.values())
    found.robots = len(robots)
    return found


def add_missing(run: Path, missions: Iterable[Mission]) -> int:
    """Append to RUN/missions.jsonl the missions that it does not have, by robot and id; how many.

    Raises MissionError where the file has a line that is none, OSError where it cannot be written.
    """
    path = run / FILE
    known = {(mission.robot, mission.id) for mission in _known(path)}
    new = [mission for mission in missions if (mission.robot, mission.id) not in known]
    if new:
        append_missions(path, new)
    return len(new)


def _known(path: Path) -> Iterator[Mission]:
    return read_missions(path) if path.exists() else iter(())
