"""`muster import BAG`: a rosbag2 recording of any robot as a log that `muster shadow` accepts.

Each tick becomes a control step: what was seen, the way that the robot then took as its granted corridor (cells of a
floor without a map, visited from there on), the end of the stretch as its goal. What it was commanded stands as
production's proposal and as what was released; what our shield would have made of that is worked out here, once, so
that both sides of a pair are judged by one shield. Between steps only what can be seen of somebody else's robot is
remembered: its command and pose.

Nobody knows which points were people, so nobody is assumed to walk (`--person-speed 1.6` assumes it of every point).
A log that was imported is no black box of ours: `muster replay` refuses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from tyro.conf import Positional

from coordination.messages import Assignment, Grant, Leg, LegKind, Picture
from fleet.blackbox import BlackBox, Step
from fleet.control import ControlConfig, Stepper
from fleet.header import write_header
from fleet.records import Inputs, Memory
from fleet.shadow.bag import BagError, open_bag
from fleet.shadow.bagdrive import Choice, Driven, Tick, pick, read_drive
from fleet.shadow.floor import RECORDED
from hierarchy.skills import Answer
from sim.robot import SECOND, RobotSpec
from sim.site import Site, make_site
from sim.specfile import named_spec

CELL = 2.4
"""m, twice as large as floors' usual: a robot that knows no grid cuts their corners."""
AHEAD = 8
"""Cells of the way that are granted at a time: a corridor's."""
EDGE = 3
"""Cells around the way: nothing of the corridor lies at the floor's end."""
CELLS_MAX = 4_000_000
"""Of a floor: 4.8 km square; poses beyond are no numbers of a robot."""
EARLIEST = 10 * SECOND
"""Stamp of the first tick: nothing of the log is before zero."""


@dataclass(frozen=True)
class Config:
    """Turn scan, odometry and commands of a rosbag2 recording into a log for `muster shadow`."""

    bag: Positional[Path]
    """The recording: its folder, or a file (.mcap, .db3, either as .zstd)"""
    out: Path = Path()
    """Folder of the log; by default NAME-log beside where you are"""
    robot: str = "r0"
    """Name of the robot in the log"""
    scan: str = ""
    """Topic of the lidar (LaserScan); the usual or only one if not given"""
    odom: str = ""
    """Topic of the odometry; the usual or only one if not given"""
    command: str = ""
    """Topic of the commands (Twist or TwistStamped); the usual or only one if not given"""
    pose: str = ""
    """Topic of localised poses; the odometry's if not given"""
    spec: str = ""
    """The robot's specification; empty for the default robot"""
    person_speed: Literal["0", "1.6"] = "0"
    """What is assumed of every point, m/s: 0 (nobody walks) or 1.6 (everybody may)"""


def run(config: Config) -> int:
    """Import and say what was found. Raises MusterError with one line."""
    bag = open_bag(config.bag)
    topics = pick(bag, Choice(config.scan, config.odom, config.command, config.pose))
    spec = named_spec(config.spec).spec
    drive = read_drive(bag, topics, spec.lidar, spec.period / SECOND)
    out = config.out if config.out != Path() else Path(f"{bag.name}-log")
    if list((out / "blackbox").glob("*.mcap")):
        raise BagError(f"expected an empty place for the log, {out} has one already; give another --out")
    control = ControlConfig(robot=config.robot, spec=spec, person_speed=float(config.person_speed))
    steps, asked, fast = write_log(drive, control, out, bag.name)
    used = ", ".join(name for name in (topics.scan, topics.odom, topics.command, topics.pose) if name)
    for note in drive.notes:
        print(note)
    if fast:
        print(
            f"{fast} steps are faster than the specification's robot can drive: no policy is asked there; give --spec"
        )
    seconds = sum((part[-1].stamp - part[0].stamp) / SECOND for part in drive.stretches)
    print(f"{out}: {steps} steps of {seconds:.1f} s from {used}; a policy can be asked in {asked}")
    print(f"next: muster shadow {out} --policy DIR")
    return 0


def write_log(drive: Driven, control: ControlConfig, out: Path, name: str) -> tuple[int, int, int]:
    """Write the log of a drive: its steps, how many a policy can be asked in, how many are too fast to be read."""
    site, origin = floor(drive, name)
    stepper = Stepper(control, site, None)
    metadata, attachments = write_header(control, site, None)
    box = BlackBox(out / "blackbox", control.robot, {**metadata, "imported": name}, attachments)
    cycle = steps = asked = fast = 0
    limit = control.spec.diff
    for part in drive.stretches:
        ticks = [moved(tick, origin) for tick in part]
        way = path(site, [tick.pose[:2] for tick in ticks])
        last = (0.0, 0.0)
        cycle += 2  # a number is left out: nothing of the stretch before is remembered
        for number, (tick, at) in enumerate(zip(ticks, way.at, strict=True)):
            inputs = inputs_of(tick, cycle, site, way.cells[at:], way.cells[-1], control)
            memory = Memory(last_command=last, pose=tick.pose)
            command = (
                min(max(tick.command[0], -limit.reverse_max), limit.speed_max),
                min(max(tick.command[1], -limit.turn_max), limit.turn_max),
            )
            answer = Answer(action_of(command, control.spec))
            outputs, _ = stepper.step(inputs, memory, lambda observation, answer=answer: answer)
            mine = outputs.answer is not None
            outputs = msgspec.structs.replace(
                outputs, answer=None, released=command, source=RECORDED if mine else outputs.source
            )
            box.append(Step(cycle, tick.stamp, inputs, memory, outputs))
            fast += abs(tick.twist[0]) > 2.0 * limit.speed_max or abs(tick.twist[1]) > 2.0 * limit.turn_max
            last, cycle, steps, asked = command, cycle + 1, steps + 1, asked + mine
            if number % 64 == 63:
                box.flush()
        box.flush()
    box.close()
    if box.counts.dropped:
        raise BagError(f"expected room for {steps} steps in {out}, {box.counts.dropped} could not be written")
    return steps, asked, fast


@dataclass(frozen=True)
class Way:
    """Cells of a way in their order, neighbours side by side, and where in them each tick is."""

    cells: tuple[int, ...]
    at: tuple[int, ...]


def floor(drive: Driven, name: str) -> tuple[Site, tuple[float, float]]:
    """A floor without a map around the drive, and what its poses are moved by, m. Raises BagError for no place."""
    places = np.array([tick.pose[:2] for part in drive.stretches for tick in part])
    low, high = places.min(axis=0), places.max(axis=0)
    columns, rows = (math.ceil((high[i] - low[i]) / CELL) + 2 * EDGE + 1 for i in (0, 1))
    if columns * rows > CELLS_MAX:
        raise BagError(
            f"expected poses of one site, they lie {high[0] - low[0]:.0f} m by {high[1] - low[1]:.0f} m apart; is the "
            "localisation lost, or the topic another robot's?"
        )
    site = make_site(f"{name} (no map)", np.zeros((rows, columns), bool), cell=CELL)
    x, y = (float((EDGE + 0.5) * CELL - low[i]) for i in (0, 1))
    return site, (x, y)


def moved(tick: Tick, origin: tuple[float, float]) -> Tick:
    """The tick on the floor, its numbers as float32 holds them."""
    x, y, yaw = (
        float(np.float32(value)) for value in (tick.pose[0] + origin[0], tick.pose[1] + origin[1], tick.pose[2])
    )
    v, w = (float(np.float32(value)) for value in tick.twist)
    return Tick(tick.stamp + EARLIEST, (x, y, yaw), (v, w), tick.command, tick.scan)


def path(site: Site, places: list[tuple[float, float]]) -> Way:
    """The way through the cells of places, corners taken along the sides; a cell that is left for a moment stays."""
    cells: list[int] = []
    at: list[int] = []
    for x, y in places:
        row, column = site.height - 1 - int(y // site.cell), int(x // site.cell)
        if not cells:
            cells.append(row * site.width + column)
        while cells[-1] != row * site.width + column:
            r, c = divmod(cells[-1], site.width)
            if r != row:
                r += 1 if row > r else -1
            else:
                c += 1 if column > c else -1
            cells.append(r * site.width + c)
        at.append(len(cells) - 1)
    return Way(tuple(cells), tuple(at))


def inputs_of(tick: Tick, cycle: int, site: Site, ahead: tuple[int, ...], goal: int, control: ControlConfig) -> Inputs:
    """What a control step gets of a tick: everything as of now, the way ahead as its grant."""
    cells: list[int] = []
    for cell in ahead[:AHEAD]:
        if cell in cells:
            break  # the way comes back here: what is beyond is granted when it has
        cells.append(cell)
    period = control.spec.period
    grant = Grant(cycle, tuple(cells), tick.stamp + 2 * SECOND)
    # the goal is the way's end; on a way that comes back to it before, what can be seen of it
    task = Assignment("import", 1, (Leg(goal, LegKind.DELIVER, 0.0),))
    picture = Picture(cycle, tick.stamp - period, site.hash, grant, assignment=task)
    return Inputs(
        cycle=cycle,
        stamp=tick.stamp,
        scan=tick.scan,
        scan_stamp=tick.stamp,
        pose=tick.pose,
        pose_stamp=tick.stamp,
        twist=tick.twist,
        twist_stamp=tick.stamp,
        picture=picture,
    )


def action_of(command: tuple[float, float], spec: RobotSpec) -> tuple[float, float]:
    """The policy's action that makes this command (the inverse of `action_to_command`)."""
    drive = spec.diff
    v = command[0] / (drive.speed_max if command[0] >= 0.0 else drive.reverse_max)
    return (float(np.float32(v)), float(np.float32(command[1] / drive.turn_max)))
