"""What a black box says about itself: everything besides the records that a replay needs, and what decides its bits.

Metadata (text): the control configuration as canonical JSON, schema version, library versions and CPU features, and the
hashes of code, site, and of what a release pins: embodiment, motor, meta and other policy, contract, the shield's
parameters and the configuration (`pinned`); the release itself where a rollout gave one. Attachment `site`: the floor
itself, so that a black box explains itself without the run that it came from. The policy is named by its hash and lies
beside the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import numpy as np

from agents.policy import Policy
from fleet.codehash import code_hash
from fleet.control import ControlConfig
from fleet.records import SCHEMA
from fleet.registry.pins import pins
from fleet.rundir import cpu, versions
from fleet.salvage import BlackBoxError, Recording
from sim.fixtures import pack_fixtures, unpack_fixtures
from sim.robot import Ackermann, DiffDrive, RobotSpec
from sim.site import Site

T = TypeVar("T")


class _PackedSite(msgspec.Struct, frozen=True):
    """A floor as bytes: bits and little-endian int32."""

    name: str
    shape: tuple[int, int]
    blocked: bytes
    person_free: bytes
    exits: bytes
    stations: bytes
    chargers: bytes
    cell: float
    fixtures: bytes = b""


@dataclass(frozen=True)
class Header:
    """What was recorded with."""

    config: ControlConfig
    site: Site
    policy_hash: str
    """sha256 of the policy's graph; empty when there was none"""
    policy_place: str
    """Directory from which the robot loaded it; empty where that was not said"""
    versions: dict[str, str]
    cpu: dict[str, object]
    code: str = ""
    """Hash of the code that the control step reached; empty in files that do not say"""


def write_header(
    config: ControlConfig, site: Site, policy: Policy | None, policy_place: Path | None = None
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Metadata and attachments of a black box; `policy_place` is where the policy's files lie."""
    pinned = pins(config)
    metadata = {
        "robot": config.robot,
        "schema": str(SCHEMA),
        "config": json.dumps(asdict(config), sort_keys=True, separators=(",", ":")),
        "site": site.hash,
        "motor": config.motor,
        "meta": config.meta,
        "shield": pinned.shield,
        "pinned": pinned.config,
        "release": "",
        "embodiment": config.spec.embodiment_hash(),
        "policy": policy.hash if policy is not None else "",
        "policy_place": str(policy_place.resolve()) if policy_place is not None else "",
        "contract": policy.contract_hash if policy is not None else "",
        "code": code_hash(),
        "versions": json.dumps(versions(), sort_keys=True),
        "cpu": json.dumps(cpu(), sort_keys=True),
    }
    return metadata, {"site": pack_site(site)}


def read_header(recording: Recording) -> Header:
    """The header of a recording; raises BlackBoxError when it is incomplete or of another schema."""
    data, path = recording.metadata, recording.path
    missing = {"schema", "config", "site", "policy", "versions", "cpu"} - data.keys()
    if missing:
        raise BlackBoxError(f"expected a complete header, {path} lacks {', '.join(sorted(missing))}; it is another log")
    if data["schema"] != str(SCHEMA):
        raise BlackBoxError(
            f"expected records of schema {SCHEMA}, {path} has schema {data['schema']}; replay it with the muster that "
            f"wrote it ({_writer(data)})"
        )
    if "site" not in recording.attachments:
        raise BlackBoxError(f"expected the floor in {path}, its attachment is missing; the file was cut at its start")
    try:
        config = _config_of(json.loads(data["config"]))
        site = unpack_site(recording.attachments["site"])
        place = data.get("policy_place", "")
        header = Header(
            config,
            site,
            data["policy"],
            place,
            json.loads(data["versions"]),
            json.loads(data["cpu"]),
            data.get("code", ""),
        )
    except (ValueError, msgspec.MsgspecError) as error:
        raise BlackBoxError(f"expected a readable header, that of {path} is damaged ({error})") from error
    if site.hash != data["site"]:
        raise BlackBoxError(
            f"expected floor {data['site'][:12]}, {path} holds {site.hash[:12]}: its attachment was altered"
        )
    return header


def _config_of(plain: dict[str, Any]) -> ControlConfig:  # JSON values
    """The control configuration from plain values. A union of dataclasses, which a drive is, msgspec does not read."""
    spec = msgspec.convert(plain, dict[str, Any]).get("spec", {})
    drive = msgspec.convert(msgspec.convert(spec, dict[str, Any]).get("drive", {}), dict[str, Any])
    kind = Ackermann if "wheelbase" in drive else DiffDrive
    robot = _dataclass_of(RobotSpec, spec, drive=msgspec.convert(drive, kind))
    return _dataclass_of(ControlConfig, plain, spec=robot)


def _dataclass_of(kind: type[T], plain: dict[str, Any], **known: Any) -> T:
    """A dataclass whose fields are `known`, or in `plain` as JSON values, or left at their defaults."""
    types = get_type_hints(kind)
    there = plain.keys() & types.keys() - known.keys()
    return kind(**{name: msgspec.convert(plain[name], types[name]) for name in there}, **known)


def _writer(data: Mapping[str, str]) -> str:
    """What wrote a file, for a person: version and code."""
    try:
        version = json.loads(data["versions"]).get("muster", "unknown")
    except (ValueError, AttributeError):
        version = "unknown"
    return f"version {version}, code {data.get('code', '')[:12] or 'unknown'}"


def pack_site(site: Site) -> bytes:
    """A floor as msgpack."""
    return msgspec.msgpack.encode(
        _PackedSite(
            name=site.name,
            shape=(site.height, site.width),
            blocked=np.packbits(site.blocked).tobytes(),
            person_free=np.packbits(site.person_free).tobytes(),
            exits=np.packbits(site.exits).tobytes(),
            stations=np.asarray(site.stations, "<i4").tobytes(),
            chargers=np.asarray(site.chargers, "<i4").tobytes(),
            cell=site.cell,
            fixtures=pack_fixtures(site.fixtures),
        )
    )


def unpack_site(data: bytes) -> Site:
    """The floor that `pack_site` packed; raises ValueError or msgspec.MsgspecError when it is damaged."""
    packed = msgspec.msgpack.decode(data, type=_PackedSite)
    height, width = packed.shape

    def bits(part: bytes, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        return np.unpackbits(np.frombuffer(part, np.uint8), count=count).astype(bool).reshape(shape)

    return Site(
        name=packed.name,
        blocked=bits(packed.blocked, height, width),
        person_free=bits(packed.person_free, height, width),
        exits=bits(packed.exits, height, width, 4),
        stations=np.frombuffer(packed.stations, "<i4").astype(np.int32),
        chargers=np.frombuffer(packed.chargers, "<i4").astype(np.int32),
        cell=packed.cell,
        fixtures=unpack_fixtures(packed.fixtures),
    )
