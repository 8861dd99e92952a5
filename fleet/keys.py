"""`muster keys`: make a fleet's key, derive the keys of its robots and people, tell keys apart.

    muster keys create                         make fleet.key
    muster keys derive r1 r2 operator_ann      write r1.key, r2.key and operator_ann.key beside it
    muster keys show r1 r2                     fingerprints, which are safe to compare aloud

The coordinator and the plant read the fleet key; everyone else needs a derived one alone. Names that begin with
`operator` may reset an emergency stop.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from coordination.keys import GUARD, NAME, KeyFileError, Keys, new_keys, read_keys, write_keys


@dataclass(frozen=True)
class Config:
    """Make, derive or tell apart the keys that sign a fleet's messages."""

    action: Positional[Literal["create", "derive", "show"]]
    """create a fleet key, derive node keys from it, or show fingerprints"""
    names: Positional[tuple[str, ...]] = ()
    """Names of robots, clients and operators"""
    file: Path = Path("fleet.key")
    """The fleet key"""
    out: Path | None = None
    """Where derived keys go; beside the fleet key if not given"""


def run(config: Config) -> int:
    """Do what `config.action` says; raises KeyFileError."""
    if config.action == "create":
        if config.names:
            raise KeyFileError(f"create makes the one fleet key and takes no names; use `derive {config.names[0]}`")
        write_keys(config.file, new_keys())
        print(f"{config.file}  {fingerprint(read_keys(config.file).fleet)}  keep it on the servers alone")
        return 0
    keys = read_keys(config.file)
    if keys.fleet is None:
        raise KeyFileError(f"{config.file} holds a node's key; expected the fleet key, from which others derive")
    for name in config.names:
        if not NAME.fullmatch(name):
            raise KeyFileError(f"{name!r} is no name; expected a letter, then small letters, digits and _ up to 32")
        if GUARD.fullmatch(name):
            raise KeyFileError(f"{name} is a watchdog's name or a page's, made by its owner's key; choose another")
    if config.action == "derive":
        if not config.names:
            raise KeyFileError("derive expects the names of robots or people; for example `derive r1 operator_ann`")
        folder = config.out or config.file.parent
        paths = [folder / f"{name}.key" for name in config.names]
        there = next((path for path in paths if os.path.lexists(path)), None)
        if there is not None:
            raise KeyFileError(f"{there} exists; a key in use is never replaced: name another folder with --out")
        for name, path in zip(config.names, paths, strict=True):
            key = keys.node(name)
            assert key is not None
            write_keys(path, Keys(nodes={name: key}))
            print(f"{path}  {fingerprint(key)}")
        return 0
    print(f"{config.file}  {fingerprint(keys.fleet)}")
    for name in config.names:
        print(f"{name}  {fingerprint(keys.node(name))}")
    return 0


def fingerprint(key: bytes | None) -> str:
    """Eight bytes of the key's hash: enough to tell keys apart, worthless to a thief."""
    assert key is not None
    return hashlib.blake2b(key, digest_size=8, person=b"muster print").hexdigest()
