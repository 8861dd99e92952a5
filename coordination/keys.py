"""Keys of a fleet: one secret for the coordinator and the plant, one derived from it for each robot and person.

A node's key is BLAKE2b(key = fleet key, node's name); a link's key is BLAKE2b(key = client's node key, sender and
receiver). The key of a robot's watchdog or of a person's page, nodes that come and go with their process, is
BLAKE2b(key = owner's node key, own name): who has one node's key alone can start one beside it. So the servers, who
hold the fleet key, can talk to every node; a node that is broken into betrays its own links alone; and a message made
for one receiver or direction is worthless on any other.

A key file is one line, mode 0600: 64 hex digits for a fleet key; a name, a blank and 64 hex digits for a node's key.
There is no revocation: a lost node key means a new fleet key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import MusterError

KEY_BYTES = 32
"""256 bits: what BLAKE2b and Curve25519 take."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""Names of robots, servers and people on the wire."""

GUARD = re.compile(r"(?:watchdog|page)_\d+_([a-z][a-z0-9_]*)")
"""Names of watchdogs and pages, with the node whose key makes theirs; no robot, client or operator should be called so.
Of two ends with one name the older is not heard any more, so a process beside its owner has a name of its own."""

PAGE_LONGEST = 22
"""Letters of the longest name of which there can be a page's, which has 32."""


class KeyFileError(MusterError):
    """A key file cannot be read, written or trusted."""


class KeyFileExists(KeyFileError):
    """A key in use would be replaced."""


@dataclass(frozen=True)
class Keys:
    """What one process knows: the fleet key, or the keys of some nodes."""

    fleet: bytes | None = field(default=None, repr=False)
    nodes: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Node keys by name, for a process without the fleet key."""

    def node(self, name: str) -> bytes | None:
        """The key of a node; None when this process does not know it."""
        if guard := GUARD.fullmatch(name):
            owner = self.node(guard.group(1))
            if owner is None:
                return None
            return hashlib.blake2b(name.encode(), key=owner, digest_size=KEY_BYTES, person=b"muster guard").digest()
        if self.fleet is not None:
            return hashlib.blake2b(name.encode(), key=self.fleet, digest_size=KEY_BYTES, person=b"muster node").digest()
        return self.nodes.get(name)

    def link(self, client: str, sender: str, receiver: str) -> bytes | None:
        """The key that signs what `sender` says to `receiver`; `client` is the one of the two that is no server."""
        node = self.node(client)
        if node is None:
            return None
        text = f"{sender}>{receiver}".encode()
        return hashlib.blake2b(text, key=node, digest_size=KEY_BYTES, person=b"muster link").digest()


def page_of(owner: str, number: int) -> str:
    """The name of a page of a person; `number` (0 to 9999) tells two apart. The person's own where that is too long."""
    return f"page_{number % 10_000:04d}_{owner}" if len(owner) <= PAGE_LONGEST else owner


def owner_of(name: str) -> str:
    """Whose key makes a node's: the person of a page, else the node itself."""
    found = GUARD.fullmatch(name)
    return found.group(1) if found is not None and name.startswith("page_") else name


def new_keys() -> Keys:
    """A fleet key from the system's random source."""
    return Keys(fleet=secrets.token_bytes(KEY_BYTES))


def read_keys(path: Path | str) -> Keys:
    """The keys in a file; raises KeyFileError when it is missing, malformed or readable by others."""
    path = Path(path)
    try:
        with open(path, opener=_at_once) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(
                    f"cannot read the key file {path}: it is no file; make one with `muster keys create`"
                )
            words = stream.read(1024).split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise KeyFileError(f"cannot read the key file {path}: {reason}; make one with `muster keys create`") from None
    if mode & 0o077:
        raise KeyFileError(
            f"the key file {path} has mode {mode & 0o777:04o}; others must not read it: chmod 600 {path}"
        )
    if len(words) == 1 and _is_key(words[0]):
        return Keys(fleet=bytes.fromhex(words[0]))
    if len(words) == 2 and NAME.fullmatch(words[0]) and _is_key(words[1]):
        return Keys(nodes={words[0]: bytes.fromhex(words[1])})
    raise KeyFileError(f"{path} is no key file: expected 64 hex digits, or a name and 64 hex digits, on one line")


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever might write into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def write_keys(path: Path | str, keys: Keys) -> None:
    """Write a fleet key or one node's key with mode 0600; raises KeyFileError, also when the file exists."""
    path = Path(path)
    if keys.fleet is not None:
        line = keys.fleet.hex()
    else:
        ((name, key),) = keys.nodes.items()
        line = f"{name} {key.hex()}"
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp makes mode 0600
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(line + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, path)  # unlike rename it never replaces a key that is in use
        finally:
            os.unlink(temporary)
    except FileExistsError:
        raise KeyFileExists(f"{path} exists; a key in use is never replaced: name another file or remove it") from None
    except OSError as error:
        raise KeyFileError(
            f"cannot write the key file {path}: {error.strerror}; name a directory that exists"
        ) from None


def ensure_keys(path: Path | str) -> Keys:
    """The keys in a file, which gets a new fleet key if it is not there; processes may race for it."""
    if not Path(path).exists():
        with contextlib.suppress(KeyFileExists):
            write_keys(path, new_keys())
    return read_keys(path)


def keys_of(given: Path | None, own: Path) -> Keys:
    """The keys in the file that was named, which must be there; where none was, those of the run's `own` file.

    Only the run's own file is made where it is missing: a new key under a mistyped name would talk to nobody.
    """
    return read_keys(given) if given is not None else ensure_keys(own)


def _is_key(word: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", word) is not None
