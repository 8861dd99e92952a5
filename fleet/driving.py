"""`muster drive`: drives a car on roads, with shield and black box, and leaves video, report and logs.

    muster drive --site town:7,highway:3 --policy runs/<run>    frozen policies (muster driving-train), generated roads
    muster drive --site FILE.xml --policy runs/<run>            the planning problem of a CommonRoad file
    muster drive --site cut_in:gap=20 --policy runs/<run>       a scenario (sim/driving/scenariotext.py)
    muster drive --site town:7 --policy idm                     the driver by rule (IDM and MOBIL) instead of policies
    muster drive                                                trains briefly, then drives with what was learned
    muster drive --redraw runs/<run> --video-speed 1            video and report once more, from the black boxes

One drive after the other: `--drives` in all, the roads in turn, each with a seed of its own for its route, traffic and
everything that varies. The run directory gets `blackbox/drive<k>-0.mcap` (fleet/drivelog.py), `drives.jsonl` with the
figures of each drive, `drive.mp4` and `report.html`. The exit code is 0 when no drive had a contact at fault.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from coordination.ports import check_free, listeners
from fleet.box.recorder import HEADS
from fleet.box.sealkey import SEALED, SealKey, seal_key
from fleet.learning import check_ranges, check_seconds
from fleet.rundir import RunDirectory, join_run, open_run, plain
from sim.bounds import check_number, check_whole
from sim.seeds import check_seed

if TYPE_CHECKING:
    from fleet.drivefigures import DriveFigures
    from fleet.drivers import Driver
    from fleet.shadow.cars import Asked
    from fleet.shadow.drives import DriveShadow
    from fleet.venues import Among, Venue
    from sim.driving.env import RoadConfig
    from sim.perceptron import Layers
    from sim.vary import Table

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the threads belong to the lanes
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

BRIEFLY = 0.2
"""Share of the levels' full numbers of decisions that a brief training takes: what two cores learn in three minutes."""

DRIVES_MAX = 1000
"""Drives of a run at most: each leaves 7 MB a minute. Campaigns count contacts without logs."""

OTHERS_MAX = 48
"""Other vehicles, and people: more do not fit into half a kilometre of road."""


@dataclass(frozen=True)
class Config:
    """Drive on roads, with shield and black box; leave video, report and logs."""

    site: str = "town:7,highway:3,town:12,rural:5"
    """Roads between commas: town:SEED, highway:SEED, rural:SEED, a file .xodr or .xml, a scenario as cut_in:gap=20"""
    policy: str = ""
    """Run directory of frozen driving policies; idm: the driver by rule; empty: train briefly first"""
    train_seconds: float = 210.0
    """How long that training may take, s"""
    drives: int = 4
    """How many, the roads in turn"""
    seconds: float = 120.0
    """Bound of each drive, s"""
    seed: int = 1
    """Of routes, traffic and everything that varies; drive k has seed + k"""
    shield: bool = True
    """Let the shield judge every command"""
    body: Literal["kinematic", "full"] = "kinematic"
    """The car's body: single-track with error bounds, or MuJoCo with suspension and tyres"""
    traffic: int = 16
    """Other vehicles (not in scenarios, of files or by name)"""
    walkers: int = 6
    """People on foot (not in scenarios)"""
    fault: str = ""
    """What fails, and when: policy:SECONDS, or a sensor's fault as lane_lost:SECONDS"""
    lidar: bool = False
    """Give the car a lidar: its scans go into the black box and the picture; nobody drives by it"""
    seals: str = ""
    """Folder of car.seal (muster blackbox key car), which seals black boxes; empty: they are chained alone"""
    shadow: str = ""
    """A candidate that decides beside `policy` and drives nothing: a run of driving-train, one of its levels, or what
    the registry knows; empty: none"""
    registry: Path = Path("registry")
    """Where versions, releases and aliases are looked up"""
    video: bool = True
    """Draw drive.mp4"""
    video_speed: float = 2.0
    """Simulated seconds in one second of video"""
    video_seconds: float = 30.0
    """Simulated seconds of each drive that the video shows"""
    randomization: str = ""
    """File with other ranges of what varies, of roads and scenarios too; empty: the usual ones; or `nominal`"""
    redraw: Path | None = None
    """Drive nothing: make video and report of this run once more"""
    out: Path | None = None
    """Directory for the run directory; runs/ when left out"""
    metrics_port: int = 0
    """Port of the training's /metrics; 0 for none"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for values, roads and policies that cannot work, before anything is made."""
    checked(config, made_later)


def checked(config: Config, made_later: Path | None = None) -> list[Venue]:
    """As `check`; the roads, which were read for it, none where nothing is driven."""
    from fleet.roadranges import ranges_of
    from fleet.shadow.candidate import ShadowError
    from fleet.venues import FaultError, read_fault, read_venues
    from sim.bodies.specs import CAR
    from sim.driving.film import Look, check_look

    check_whole("--drives", config.drives, 1, DRIVES_MAX)
    for name, value in (("--traffic", config.traffic), ("--walkers", config.walkers)):
        check_whole(name, value, 0, OTHERS_MAX)
    check_number("--seconds", config.seconds, 1.0, 3600.0)
    check_number("--video-seconds", config.video_seconds, 1.0, 3600.0)
    check_seed(config.seed)
    check_seed(config.seed + config.drives - 1)
    check_seconds(config.train_seconds)
    check_ranges(config.randomization)
    check_free(ports(config))
    if config.video:
        check_look(Look(speed=config.video_speed))
    if config.redraw is not None:
        open_run(config.redraw)
        return []
    _ = seal_key(config.seals, SEALED)
    make_task(config)
    venues = read_venues(config.site, ranges_of(config.randomization))
    if math.isfinite(read_fault(config.fault, config.lidar).fails_at) and not config.shield:
        raise FaultError("--fault: expected a shield, under which the fallback drives on, got none; switch it on")
    if config.policy and made_later is None:
        from fleet.drivers import driver_of

        driver_of(config.policy)
    if config.shadow:
        from fleet.shadow import cars

        if not config.shield:
            raise ShadowError("--shadow: expected a shield, beside which a candidate is judged, got none; switch it on")
        cars.check(asked_of(config), CAR)
    return venues


def asked_of(config: Config, production: Path | None = None) -> Asked:
    """What is to be in the shadow of these drives; `production`: where the policies that drive are, if not as given."""
    from fleet.drivers import IDM
    from fleet.shadow.cars import Asked

    given = None if config.policy in ("", IDM) else Path(config.policy)
    return Asked(config.shadow, config.registry, production or given)


def ports(config: Config) -> dict[str, str]:
    """What the process listens on, by option."""
    return listeners(metrics_port=config.metrics_port)


def make_task(config: Config, motor: Layers | None = None) -> RoadConfig:
    """What varies in a drive, with the ranges of `--randomization`. Raises VaryError where they are out of bounds."""
    from fleet.roadranges import drive_of
    from fleet.venues import read_fault
    from sim.driving.env import RoadConfig

    sensors = read_fault(config.fault, config.lidar).sensors
    return drive_of(RoadConfig("route", sensors=sensors, motor=motor), config.randomization)


def randomization(config: Config) -> dict[str, Table]:
    """What varies from drive to drive, for `muster launch FILE --show-randomization`; in a training first, its own."""
    from fleet import driving_train
    from fleet.roadranges import ranges_of

    ranges = ranges_of(config.randomization)
    learned = driving_train.randomization(driving_train.Config(randomization=config.randomization))
    training = {} if config.policy else {"motor": learned["motor"]}
    return {**training, "drive": make_task(config).table(), "roads": ranges.roads, "scenarios": ranges.scenarios}


def run(config: Config) -> int:
    """Train if asked to, drive, film, report; 0 when no contact was at fault, else 1."""
    from fleet.drivers import driver_of
    from fleet.served import POLICIES
    from fleet.shadow.cars import levels_of
    from fleet.shadow.command import report
    from fleet.shadow.drives import DriveShadow
    from fleet.shadow.live import Shadows
    from fleet.venues import Among, read_fault
    from sim.bodies.specs import CAR

    venues = checked(config)
    if config.redraw is not None:
        show(config, open_run(config.redraw))
        return 0
    parent = Path("runs") if config.out is None else config.out
    directory = join_run(parent, arguments=sys.argv[1:], config=plain(config), seed=config.seed)
    if not config.policy:
        print(trains_first(config), flush=True)
    for line in unread(venues):
        print(line, flush=True)
    trained = None if config.policy else train(config, directory)
    driver = driver_of(config.policy or str(trained))
    desk, beside = Shadows(directory.root), None
    if config.shadow:
        beside = levels_of(asked_of(config, trained), CAR, directory.root / POLICIES)
    among = Among(
        config.seconds, config.traffic, config.walkers, config.shield, config.body, driver.motor, driver.by_rule,
        read_fault(config.fault, config.lidar),
        make_task(config, driver.motor).randomization,
    )  # fmt: skip
    found: list[DriveFigures] = []
    key = seal_key(config.seals, SEALED)
    for number in range(config.drives):
        begin = time.monotonic()
        shadowed = None if beside is None else functools.partial(DriveShadow, desk, beside)
        figures = drive(
            venues[number % len(venues)], config.seed + number, driver, among, directory, number, shadowed, key
        )
        found.append(figures)
        print(f"{line_of(figures)}, driven in {time.monotonic() - begin:.0f} s", flush=True)
    show(config, directory)
    if config.shadow:
        report(directory.root)
    contacts = sum(each.at_fault for each in found)
    if contacts:
        print(f"{contacts} contacts at fault", flush=True)
    return 1 if contacts else 0


def trains_first(config: Config) -> str:
    """What is told where no policies were named: that driving waits for a training, and what would do without."""
    return (
        f"no policy is named: trains for up to {config.train_seconds:.0f} s, then drives; frozen policies (policy RUN, "
        "of driving-train) or the driver by rule (policy idm) drive at once"
    )


def unread(venues: Sequence[Venue]) -> list[str]:
    """A line for everything that a file has and that is not read of it."""
    roads = {venue.name: venue.road for venue in venues}
    return [f"{name}: not read, and left out: {each}" for name, road in roads.items() for each in road.ignored]


def drive(
    venue: Venue,
    seed: int,
    driver: Driver,
    among: Among,
    directory: RunDirectory,
    number: int,
    shadowed: Callable[..., DriveShadow] | None = None,
    key: SealKey | None = None,
) -> DriveFigures:
    """One drive into its black box; its figures. Raises what the environment does for roads that cannot be driven.

    `shadowed`: makes the shadow of the drive, of environment, road, production's name and the drive's. `key`: the
    car's, with which the black box is sealed.
    """
    from fleet.drivefigures import figures
    from fleet.drivelog import recording
    from fleet.driverecord import DriveRecorder
    from fleet.venues import course_of, guard_of, make_env, without_policy
    from sim.driving.moment import Moment

    env = make_env(venue, seed, among)
    env.reset()
    course = course_of(venue, env, seed, driver.name)
    recorder, moments = DriveRecorder(env, course, venue.recorded), list[Moment]()
    guard = guard_of(env)
    name = f"drive{number}"
    beside = None if shadowed is None else shadowed(env, venue.road, driver.name.removeprefix("policy "), name)
    settings = {"body": among.body, "fault": among.fault.name}
    bounds = None if guard is None else guard.assumed
    with recording(
        directory.blackbox, course, settings, name, bounds,
        key=key, heads=directory.root / HEADS, policies=driver.hashes,
    ) as box:  # fmt: skip

        def watch() -> bool:
            if not recorder.over:
                moments.append(recorder.take())
                box.append(moments[-1])
                if beside is not None:
                    beside.look()
            return recorder.over or (guard is not None and guard.failed)

        driver.drive(env, watch, venue.recorded)
        while not recorder.over:  # the policy has failed: it is asked no more, and the fallback drives
            without_policy(env)
            watch()
    if beside is not None:
        beside.close()
    found = figures(course, moments)
    with (directory.root / "drives.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(found.plain()) + "\n")
    return found


def train(config: Config, directory: RunDirectory) -> Path:
    """Train every level briefly into the run directory; returns where the policies are."""
    from fleet import driving_train
    from fleet.metrics import TrainingMetrics

    print(f"training to drive, seed {config.seed}, into {directory.root}", flush=True)
    metrics = TrainingMetrics()
    metrics.serve(config.metrics_port)
    told = driving_train.Config(
        seconds=config.train_seconds,
        steps=BRIEFLY,
        seed=config.seed,
        randomization=config.randomization,
        out=directory.root,
    )
    driving_train.train_levels(told, directory.root, metrics, config.train_seconds)
    return directory.root


def show(config: Config, directory: RunDirectory) -> None:
    """Video and report of a run, from its black boxes."""
    from fleet.drivereport import write_drive_report

    trouble = film_drives(config, directory) if config.video else ""
    write_drive_report(directory, trouble=trouble)
    print(f"report  {directory.report}", flush=True)


def film_drives(config: Config, directory: RunDirectory) -> str:
    """Draw drive.mp4 from the black boxes; why it is not whole, in one line, else nothing."""
    from fleet.drivelog import read_drives
    from fleet.drivereport import VIDEO
    from sim.driving.film import Drive, Look, film

    begin = time.monotonic()
    drives = [Drive(each.course, each.moments) for each in read_drives(directory.blackbox)]
    look = Look(speed=config.video_speed, seconds=config.video_seconds)
    done = film(drives, directory.root / VIDEO, look)
    print(f"video   {done.path}, {done.frames} frames in {time.monotonic() - begin:.0f} s", flush=True)
    if done.trouble:
        print(f"no view from behind: {done.trouble}", flush=True)
        return f"no view from behind: {done.trouble}"
    return ""


def line_of(figures: DriveFigures) -> str:
    """A drive in one line."""
    steps = max(figures.steps, 1)
    words = [
        f"{figures.name}: {figures.ending or 'cut off'} after {figures.seconds:.0f} s",
        f"{100 * figures.completion:.0f} % of "
        + (f"{figures.lasts:.0f} s" if figures.lasts else f"{figures.length:,.0f} m"),
        f"{3.6 * figures.speed:.0f} km/h",
        f"{100 * sum(figures.interventions.values()) / steps:.1f} % of the steps intervened",
    ]
    words += [f"{count} x {name}" for name, count in figures.contacts.items()]
    words += [f"{figures.near_misses} x near miss"] if figures.near_misses else []
    if figures.asks:
        words.append("solved" if figures.solved else "not solved")
    return ", ".join(words)
