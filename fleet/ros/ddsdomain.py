"""Where the DDS bus looks for others: domain, discovery range and peers, as ROS 2's environment variables say it.

    ROS_DOMAIN_ID                   0 to 232; robots with different ones never meet
    ROS_AUTOMATIC_DISCOVERY_RANGE   LOCALHOST (where unset), SUBNET, OFF, SYSTEM_DEFAULT
    ROS_STATIC_PEERS                addresses, with `;` between them; they need SUBNET
    ROS_LOCALHOST_ONLY              1: LOCALHOST, as before Iron
    CYCLONEDDS_URI                  Cyclone DDS's own configuration, which comes last and so wins

ROS 2 itself takes SUBNET where nothing is said. Here nothing leaves the machine unless somebody asks for it: a launch
file does by `set_env`. Both ends must have the same range; LOCALHOST pins the loopback interface, because Cyclone 11
and the 0.10 of ROS 2 Jazzy choose different interfaces otherwise and never meet (measured).

The configuration is what rmw_cyclonedds writes for these ranges (rmw_node.cpp, check_create_domain), and three things
more: the interface; type information of Fast DDS and Cyclone DDS is not looked at, because in ROS a type is its name
and its hash, which we compare ourselves; and Cyclone's warnings go into a file in memory, where refused messages are
counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from fleet.ros.bus import BusError
from sim.errors import nearest, shown

Range = Literal["LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT"]
RANGES: tuple[Range, ...] = get_args(Range)

HIGHEST_DOMAIN = 232
"""Above it the ports of DDSI-RTPS (7400 + 250 x domain + ...) pass 65535 (docs.ros.org, About-Domain-ID)."""
HIGHEST_INDEX = 32
"""MaxAutoParticipantIndex of rmw_cyclonedds: so many other processes of one machine and domain can find each other."""
CROWD = 24
"""Participants from which on a domain is crowded: three quarters of what one machine holds (HIGHEST_INDEX + 1)."""

_ADDRESS = re.compile(r"[A-Za-z0-9_.:-]+")


@dataclass(frozen=True)
class Discovery:
    """Whom a bus can meet."""

    domain: int = 0
    """ROS_DOMAIN_ID."""
    reach: Range = "LOCALHOST"
    """ROS_AUTOMATIC_DISCOVERY_RANGE."""
    peers: tuple[str, ...] = ()
    """ROS_STATIC_PEERS."""
    extra: str = ""
    """CYCLONEDDS_URI: XML or addresses of files, with `,` between them."""


def from_environment(environment: Mapping[str, str], domain: int | None = None) -> Discovery:
    """What ROS 2's variables say; `domain` stands for ROS_DOMAIN_ID.

    Raises:
        BusError: a value is none that the variable can have.

    """
    given = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").strip().upper()
    reach: Range = "LOCALHOST"
    if environment.get("ROS_LOCALHOST_ONLY", "").strip() != "1" and given:
        for known in RANGES:
            if known == given:
                reach = known
                break
        else:
            raise BusError(
                f"ROS_AUTOMATIC_DISCOVERY_RANGE: expected one of {', '.join(RANGES)}, came {shown(given)}"
                f"{nearest(given, RANGES)}"
            )
    peers = tuple(peer.strip() for peer in environment.get("ROS_STATIC_PEERS", "").split(";") if peer.strip())
    for peer in peers:
        if not _ADDRESS.fullmatch(peer):
            raise BusError(f"ROS_STATIC_PEERS: expected addresses with `;` between them, came {shown(peer)}")
    beyond = [peer for peer in peers if not _is_loopback(peer)]
    if reach == "LOCALHOST" and beyond:
        raise BusError(
            f"ROS_STATIC_PEERS: {beyond[0]} is on another machine, but the discovery range LOCALHOST binds to loopback "
            "alone; set ROS_AUTOMATIC_DISCOVERY_RANGE to SUBNET, or take the peer out"
        )
    if peers and reach in ("OFF", "SYSTEM_DEFAULT"):
        raise BusError(
            f"ROS_STATIC_PEERS: {peers[0]} would not be looked for, as the discovery range is {reach}; set "
            "ROS_AUTOMATIC_DISCOVERY_RANGE to SUBNET, or take the peer out"
        )
    return Discovery(_domain(environment, domain), reach, peers, environment.get("CYCLONEDDS_URI", "").strip())


def configuration(discovery: Discovery, log: str, process: int) -> str:
    """Cyclone DDS's configuration; `log` is the path that warnings are appended to, `process` tells OFF ones apart."""
    general = discover = ""
    peers = discovery.peers
    if discovery.reach in ("LOCALHOST", "OFF"):
        general = (
            '<General><Interfaces><NetworkInterface name="lo"/></Interfaces>'
            "<AllowMulticast>false</AllowMulticast></General>"
        )
    if discovery.reach == "OFF":
        discover = f"<ParticipantIndex>none</ParticipantIndex><Tag>ros_discovery_off_{process}</Tag>"
    elif discovery.reach != "SYSTEM_DEFAULT":
        discover = (
            "<ParticipantIndex>auto</ParticipantIndex>"
            f"<MaxAutoParticipantIndex>{HIGHEST_INDEX}</MaxAutoParticipantIndex>"
        )
        if discovery.reach == "LOCALHOST":
            peers = ("localhost", *(peer for peer in peers if peer != "localhost"))
        if peers:
            discover += "<Peers>" + "".join(f'<Peer address="{peer}"/>' for peer in peers) + "</Peers>"
    ours = (
        f"<CycloneDDS><Domain>{general}<Discovery>{discover}</Discovery>"
        "<Compatibility><IgnoreTypeInformation>1.15,1.16</IgnoreTypeInformation></Compatibility>"
        f"<Tracing><Category>warning,error</Category><OutputFile>{log}</OutputFile>"
        "<AppendToFile>true</AppendToFile></Tracing>"
        "</Domain></CycloneDDS>"
    )
    return f"{ours},{discovery.extra}" if discovery.extra else ours


def here(domain: int | None = None) -> Discovery:
    """What this process's environment says; raises BusError."""
    return from_environment(os.environ, domain)


def _domain(environment: Mapping[str, str], domain: int | None) -> int:
    if domain is None:
        given = environment.get("ROS_DOMAIN_ID", "").strip() or "0"
        if not given.isascii() or not given.isdigit() or len(given) > 9:
            raise BusError(f"ROS_DOMAIN_ID: expected a number from 0 to {HIGHEST_DOMAIN}, came {shown(given)}")
        domain = int(given)
    if not 0 <= domain <= HIGHEST_DOMAIN:
        raise BusError(f"ROS_DOMAIN_ID: expected a number from 0 to {HIGHEST_DOMAIN}, came {domain}")
    return domain


def _is_loopback(peer: str) -> bool:
    return peer == "localhost" or peer.startswith("127.")
