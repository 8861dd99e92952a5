"""The ways to others: ZeroMQ, and a ROS 2 bus by rclpy or by the embedded DDS; whether each can be had and opened here.

What ROS 2's environment variables choose (domain, discovery range, peers, middleware) is read once and judged before
anything is opened by it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fleet.checkup.apart import Lost, apart
from fleet.checkup.finding import Finding, Section, one_line, readable
from fleet.checkup.peers import Heard, listen
from fleet.ros.bus import BusError
from fleet.ros.ddsdomain import Discovery, from_environment

SECTION = Section("transports")

Choice = Literal["auto", "none", "dds", "rclpy"]
"""Of a command line: auto is what there is, none no bus at all; the other two must be there."""

OPENING = 20.0
"""s in which a bus must open: rclpy on a slow ARM board takes some 5"""
BUFFER = 1 << 20
"""Bytes that a socket should be able to hold: a scan has 3 kB, but pictures of 921 kB at 30 Hz were lost entirely with
212,992 (Fast DDS, 2026-11)"""
IFF_UP, IFF_MULTICAST = 0x1, 0x1000
"""<linux/if.h>"""


@dataclass(frozen=True)
class Interface:
    """A network interface."""

    name: str
    up: bool
    multicast: bool


@dataclass(frozen=True)
class Library:
    """A Python library with what it talks by."""

    version: str = ""
    error: str = ""
    """Why it cannot be had, or does not open; empty where it does"""
    there: bool = True
    """Whether it is installed at all"""


@dataclass(frozen=True)
class TransportFacts:
    """What was seen of the ways to others."""

    machine: str
    """x86_64, aarch64, ..."""
    python: tuple[int, int]
    environment: Mapping[str, str]
    """The variables that ROS 2 and DDS read"""
    zmq: Library
    rclpy: Library
    dds: Library
    interfaces: tuple[Interface, ...] = ()
    buffer: int = 0
    """net.core.rmem_max, bytes; 0 where it is not told"""
    chosen: str = ""
    """The bus that was opened, or was to be: rclpy or dds; empty for none"""
    built_for: tuple[tuple[int, int], ...] = ()
    """Versions of Python that the sourced ROS 2 has packages for"""
    heard: Heard | None = field(default=None, repr=False)
    """What came over the bus; see `peers`"""


def look(choice: Choice, domain: int | None, seconds: float) -> TransportFacts:
    """Try each transport; over the chosen bus listen for `seconds`, to whoever is on the domain."""
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    libraries = {name: Library(there=False) for name in ("rclpy", "cyclonedds")}
    for name in libraries if choice != "none" else ():
        if importlib.util.find_spec(name) is not None:
            libraries[name] = _imported(name)
    usable = [kind for kind, name in (("rclpy", "rclpy"), ("dds", "cyclonedds")) if _works(libraries[name])]
    chosen = choice if choice in ("dds", "rclpy") else (usable[0] if usable and choice == "auto" else "")
    heard = None
    if chosen in usable and not _refused(environment, domain):
        heard = apart(seconds + OPENING, listen, chosen, domain, seconds)
        if isinstance(heard, Lost):
            name = "rclpy" if chosen == "rclpy" else "cyclonedds"
            libraries[name] = Library(libraries[name].version, f"opening a bus: {heard.reason}")
            heard = None
    return TransportFacts(
        machine=platform.machine(),
        python=sys.version_info[:2],
        environment=environment,
        zmq=_zmq(),
        rclpy=libraries["rclpy"],
        dds=libraries["cyclonedds"],
        interfaces=_interfaces(),
        buffer=_receive_buffer(),
        chosen=chosen,
        built_for=pythons_of_ros(environment),
        heard=heard,
    )


def check(facts: TransportFacts, choice: Choice, domain: int | None = None) -> list[Finding]:
    """Judge them; a bus that nobody insisted on may be missing."""
    findings = [
        SECTION.judged(
            _works(facts.zmq), "zmq", f"pyzmq {facts.zmq.version}, a message over 127.0.0.1" if _works(facts.zmq)
            else facts.zmq.error or "pyzmq is not installed", "a message over 127.0.0.1",
            "pip install muster brings it; look whether a firewall or a container takes the loopback interface away",
        )
    ]  # fmt: skip
    if choice == "none":
        return findings
    for kind, library, words in (
        ("rclpy", facts.rclpy, _no_rclpy(facts)),
        ("dds", facts.dds, _no_dds(facts)),
    ):
        if _works(library):
            opened = ", opens" if facts.chosen == kind and facts.heard is not None else ""
            findings.append(
                SECTION.ok(kind, f"{'rclpy' if kind == 'rclpy' else 'cyclonedds'} {library.version}{opened}")
            )
        elif choice == kind or library.there:
            what = library.error or "not installed"
            findings.append(SECTION.mend(kind, what, "a bus that opens", words))
        else:
            findings.append(SECTION.note(kind, "not installed", "needed for this bus alone", words))
    return findings + _environment(facts, domain) + _network(facts)


def _environment(facts: TransportFacts, domain: int | None) -> list[Finding]:
    """What the variables choose."""
    given, found = facts.environment, []
    discovery = Discovery()
    try:
        discovery = from_environment(given, domain)
    except BusError as error:
        found.append(
            SECTION.mend("discovery", str(error), "variables as ROS 2 knows them", "correct it where it is set")
        )
    else:
        peers = f", peers {', '.join(discovery.peers)}" if discovery.peers else ""
        beyond = " (the network, too)" if discovery.reach in ("SUBNET", "SYSTEM_DEFAULT") else ""
        found.append(SECTION.ok("discovery", f"domain {discovery.domain}, range {discovery.reach}{beyond}{peers}"))
    up = [each.name for each in facts.interfaces if each.up and each.multicast and each.name != "lo"]
    if discovery.reach in ("SUBNET", "SYSTEM_DEFAULT"):
        good = bool(up) or bool(discovery.peers)
        found.append(
            SECTION.judged(
                good, "multicast", f"by {', '.join(up)}" if up else "no interface of a network is up with multicast",
                f"one, as the range is {discovery.reach}",
                "bring the network up (ip link), or name the others by ROS_STATIC_PEERS",
            )
        )  # fmt: skip
    layer = given.get("RMW_IMPLEMENTATION", "")
    if "zenoh" in layer and facts.chosen == "dds":
        found.append(
            SECTION.mend(
                "middleware", f"RMW_IMPLEMENTATION={readable(layer)}", "a middleware that speaks DDS",
                "let all nodes use rmw_cyclonedds_cpp or rmw_fastrtps_cpp, or muster too rclpy (--bus rclpy)",
            )
        )  # fmt: skip
    elif layer:
        found.append(SECTION.ok("middleware", f"RMW_IMPLEMENTATION={readable(layer)}"))
    if facts.chosen == "dds" and given.get("ROS_SECURITY_ENABLE", "").lower() == "true":
        found.append(
            SECTION.mend(
                "security", "ROS_SECURITY_ENABLE=true, and the embedded bus speaks no SROS 2",
                "a bus that meets the others", "use --bus rclpy where the domain is secured",
            )
        )  # fmt: skip
    if facts.chosen == "dds" and given.get("ROS_DISTRO", "") in ("humble", "galactic", "foxy"):
        found.append(
            SECTION.mend(
                "distribution", f"ROS_DISTRO={given['ROS_DISTRO']}: its nodes tell longer ids and no type hashes",
                "Iron or later for the embedded bus", "use --bus rclpy",
            )
        )  # fmt: skip
    return found


def _network(facts: TransportFacts) -> list[Finding]:
    """Interfaces and buffers."""
    found = []
    lo = next((each for each in facts.interfaces if each.name == "lo"), None)
    if lo is not None:
        how = "with" if lo.multicast else "without"
        text = f"{'up' if lo.up else 'down'}, {how} multicast (discovery on one machine asks each port, needs none)"
        found.append(SECTION.judged(lo.up, "loopback", text, "lo up", "ip link set lo up"))
    if 0 < facts.buffer < BUFFER:
        found.append(
            SECTION.note(
                "socket buffers", f"net.core.rmem_max is {facts.buffer} bytes",
                f"{BUFFER} where pictures or point clouds travel; scans of some kB need no more",
                f"sysctl -w net.core.rmem_max={BUFFER} net.core.rmem_default={BUFFER}",
            )
        )  # fmt: skip
    elif facts.buffer:
        found.append(SECTION.ok("socket buffers", f"net.core.rmem_max is {facts.buffer} bytes"))
    return found


def _no_rclpy(facts: TransportFacts) -> str:
    """What to do to have rclpy."""
    if not facts.environment.get("AMENT_PREFIX_PATH"):
        return "source ROS 2 in this shell: . /opt/ros/<distribution>/setup.bash"
    versions = [".".join(map(str, each)) for each in facts.built_for]
    if versions and facts.python not in facts.built_for:
        mine = ".".join(map(str, facts.python))
        return (
            f"this is Python {mine}, the sourced ROS 2 is for {', '.join(versions)}: make muster's environment with "
            f"that one (python{versions[0]} -m venv --system-site-packages)"
        )
    if "numpy" in facts.rclpy.error.lower():
        return (
            "something that was built with another NumPy is imported with it: start muster without it, or build those "
            "packages anew with this environment's NumPy (colcon build)"
        )
    return "install ros-<distribution>-rclpy, and look whether a virtual environment hides it (PYTHONPATH)"


def _no_dds(facts: TransportFacts) -> str:
    """What to do to have the embedded bus."""
    if facts.machine not in ("x86_64", "AMD64") or facts.python >= (3, 14):
        mine = ".".join(map(str, facts.python))
        return f"there is no wheel of cyclonedds for {facts.machine} with Python {mine}: source ROS 2 and use rclpy"
    return "pip install 'muster[ros]'"


def pythons_of_ros(environment: Mapping[str, str]) -> tuple[tuple[int, int], ...]:
    """The versions of Python that the prefixes of a sourced ROS 2 have packages for."""
    found = set()
    for prefix in environment.get("AMENT_PREFIX_PATH", "").split(":"):
        for path in Path(prefix, "lib").glob("python3.*") if prefix else ():
            if match := re.fullmatch(r"python(\d+)\.(\d+)", path.name):
                found.add((int(match[1]), int(match[2])))
    return tuple(sorted(found))


def _works(library: Library) -> bool:
    return library.there and not library.error


def _refused(environment: Mapping[str, str], domain: int | None) -> bool:
    try:
        from_environment(environment, domain)
    except BusError:
        return True
    return False


def _imported(name: str) -> Library:
    """A library that is installed, imported elsewhere first: what was built for another Python may end the process."""
    came = apart(OPENING, _import, name)
    if isinstance(came, Lost):
        return Library(error=f"import {name}: {came.reason}")
    return Library(version=came)


def _import(name: str) -> str:
    importlib.import_module(name)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # a ROS package need not tell
        return ""


def _zmq() -> Library:
    """Send one message over the loopback interface."""
    import zmq

    context = zmq.Context()
    try:
        with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
            push.linger = 0
            pull.rcvtimeo = push.sndtimeo = 2000
            port = pull.bind_to_random_port("tcp://127.0.0.1")
            push.connect(f"tcp://127.0.0.1:{port}")
            push.send(b"muster")
            pull.recv()
        return Library(zmq.pyzmq_version())
    except zmq.ZMQError as error:
        return Library(zmq.pyzmq_version(), one_line(error))
    finally:
        context.term()


def _interfaces() -> tuple[Interface, ...]:
    """All network interfaces, by the kernel's flags."""
    found = []
    for path in sorted(Path("/sys/class/net").glob("*/flags")):
        try:
            flags = int(path.read_text(), 16)
        except (OSError, ValueError):
            continue  # gone since it was listed
        # lo's state is told as unknown, so that the flags alone say whether it is up
        found.append(Interface(path.parent.name, bool(flags & IFF_UP), bool(flags & IFF_MULTICAST)))
    return tuple(found)


def _receive_buffer() -> int:
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return 0


_VARIABLES = (
    "ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY", "ROS_DISTRO",
    "ROS_SECURITY_ENABLE", "RMW_IMPLEMENTATION", "CYCLONEDDS_URI", "AMENT_PREFIX_PATH",
)  # fmt: skip
