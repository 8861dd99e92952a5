"""`muster doctor`: what is wrong with this computer before a robot drives by it, and what to do.

    muster doctor                                         clock, transports, who is there, models, disk
    muster doctor --bus rclpy --expect r1 --policy DIR    what one robot needs
    muster doctor --json                                  for machines

Clock, transports, peers, parameters, models and disk are looked at, each by a module of `fleet.checkup`: what was
found, what was expected, what to do. Nothing is changed; on a ROS 2 domain it shows as a hidden node for some seconds.

Exit code 0 where all is well, 1 where something is to be mended, 2 for a wrong command line. Ends within four minutes
whatever hangs; usually within ten seconds.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet.checkup.finding import Finding, Verdict
from fleet.checkup.transports import Choice
from sim.errors import MusterError, printable

LISTEN_MOST = 60.0
"""s of listening at most: Fast DDS tells latched data within 3, discovery takes one"""


class DoctorError(MusterError):
    """The command line cannot be followed."""


@dataclass(frozen=True)
class Config:
    """Look at clock, transports, peers, parameters, models and disk, and say what to mend."""

    bus: Choice = "auto"
    """The ROS 2 bus: auto (whichever is there), none (ZeroMQ alone), dds or rclpy (which must be there then)"""
    domain: int | None = None
    """Domain to listen on; ROS_DOMAIN_ID if not given"""
    listen: float = 3.0
    """How long to listen who is there, s"""
    expect: str = ""
    """Robots that should be heard, as r0,r1 or r[0:4], each by its namespace"""
    params_file: Path | None = None
    """A ROS 2 parameter file"""
    site: str = ""
    """The floor: map file or generate:SEED"""
    spec: str = ""
    """A robot specification; empty for the default robot"""
    calibration: Path | None = None
    """The record of `muster calibrate`"""
    coverage: float = 0.999
    """Share of drives that the calibration must show"""
    key: Path | None = None
    """The robot's key file"""
    policy: Path | None = None
    """Directory with policy.onnx and policy.json, or a run of driving policies"""
    runs: Path = Path("runs")
    """Where runs are written"""
    json: bool = False
    """Print one JSON document"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for a command line that cannot be followed."""
    from fleet.ros.ddsdomain import HIGHEST_DOMAIN
    from fleet.tolerance import check_demand
    from sim.robot import RobotNameError, robot_names

    if config.domain is not None and not 0 <= config.domain <= HIGHEST_DOMAIN:
        raise DoctorError(f"--domain: expected a number from 0 to {HIGHEST_DOMAIN}, got {config.domain}; give another")
    if not 0.0 <= config.listen <= LISTEN_MOST:
        raise DoctorError(f"--listen: expected 0 to {LISTEN_MOST:g} s, got {config.listen:g}; give for example 3")
    check_demand(config.coverage, 0.95)
    if config.expect:
        try:
            robot_names(config.expect)
        except RobotNameError as error:
            raise DoctorError(str(error).replace("--robots", "--expect")) from None


def run(config: Config) -> int:
    """Look at everything and print what was found; 0 or 1. Raises MusterError for a wrong command line."""
    check(config)
    findings = examine(config)
    mend = sum(each.verdict is Verdict.MEND for each in findings)
    if config.json:
        print(json.dumps(document(findings), indent=2))
    else:
        print("\n".join(lines(findings)))
    return 1 if mend else 0


def examine(config: Config) -> list[Finding]:
    """Every finding, in the order of the sections."""
    from fleet.checkup import clock, disk, models, parameters, peers, transports
    from sim.robot import robot_names

    def news(section: str) -> None:
        print(f"looking at {section} ...", file=sys.stderr, flush=True)

    robots = robot_names(config.expect) if config.expect else ()
    findings = []
    news("clock")
    findings += clock.check(clock.look())
    news("transports and peers")
    seen = transports.look(config.bus, config.domain, config.listen)
    findings += transports.check(seen, config.bus, config.domain)
    if seen.heard is not None:
        findings += peers.check(seen.heard, robots)
    elif robots:
        findings.append(
            peers.SECTION.mend("robots", "nobody can be heard without a bus", f"a bus on which {config.expect} are",
                               "see transports")
        )  # fmt: skip
    news("parameters")
    read = parameters.look(config.params_file, config.site, config.spec, config.calibration, config.key)
    unit = robots[0] if len(robots) == 1 and config.bus != "none" else ""
    findings += parameters.check(read, datetime.now(UTC), config.coverage, robots, unit)
    news("models")
    spec = read.spec.value if config.spec and read.spec is not None else None
    findings += models.check(models.look(config.policy, spec))
    news("disk")
    return findings + disk.check(disk.look(config.runs), max(len(robots), 1))


def lines(findings: list[Finding]) -> list[str]:
    """The findings for a person."""
    width = max(len(each.name) for each in findings)
    text, section = [], ""
    for each in findings:
        if each.section != section:
            section = each.section
            text.append(section)
        text.append(f"  {each.verdict.value:<5}{each.name:<{width}}  {each.found}")
        if each.verdict is not Verdict.OK:
            text += [f"       {'':<{width}}  {word}: {said}" for word, said in
                     (("expected", each.expected), ("do", each.remedy)) if said]  # fmt: skip
    count = sum(each.verdict is Verdict.MEND for each in findings)
    text.append(f"{len(findings)} looked at: {f'{count} to mend' if count else 'all well'}")
    return [printable(line) for line in text]


def document(findings: list[Finding]) -> dict[str, object]:
    """The findings for a machine."""
    listed = [{**asdict(each), "verdict": each.verdict.value} for each in findings]
    mend = any(each.verdict is Verdict.MEND for each in findings)
    return {"muster": 1, "verdict": "mend" if mend else "ok", "findings": listed}
