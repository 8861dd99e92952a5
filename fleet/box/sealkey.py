"""The key that a robot's black box is sealed with, and the one that verifies it.

    muster blackbox key r0      writes r0.seal, for the robot, and r0.verify, for whoever will look at its black boxes

Both begin as one: 32 random bytes, key_0. For each file the robot takes the key of its epoch, and before anything is
sealed with it the key file holds only the next one, key_{e+1} = SHA-256("muster epoch" || key_e). So a robot that is
broken into, or taken home, has no key of any file before; r0.verify belongs on another computer. A file names its
epoch; `verify` works out the key from key_0.

A robot whose key file cannot be written goes on with the keys in its memory: driving comes first, and the file that is
sealed twice in one epoch differs in its random number.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from sim.errors import MusterError

KEY_BYTES = 32
SEALED = "car"
"""Name of a car's key: each of its drives is a black box of its own, all are sealed by the car's."""


class SealKeyError(MusterError):
    """A seal key cannot be read or made."""


class SealKey:
    """Owns the seal key of one robot and its file."""

    def __init__(self, path: Path) -> None:
        """Read it; raises SealKeyError."""
        self._path = path
        self._epoch, self._key = _read(path, "seal")

    def spend(self) -> tuple[int, bytes]:
        """Epoch and key for a new file; the key is gone from the key file when this returns, if that can be written."""
        epoch, key = self._epoch, self._key
        self._epoch, self._key = epoch + 1, next_key(key)
        with contextlib.suppress(OSError):
            _write(self._path, "seal", self._epoch, self._key)
        return epoch, key


def seal_key(folder: str | Path, robot: str) -> SealKey | None:
    """The seal key of a robot in a folder; None where its name is empty. Raises SealKeyError."""
    return SealKey(Path(folder) / f"{robot}.seal") if folder != "" else None


def next_key(key: bytes) -> bytes:
    """Of the next epoch."""
    return hashlib.sha256(b"muster epoch" + key).digest()


def make_keys(robot: str, folder: Path) -> tuple[Path, Path]:
    """Write `<robot>.seal` and `<robot>.verify`; raises SealKeyError, also where one is there already."""
    seal, verify = folder / f"{robot}.seal", folder / f"{robot}.verify"
    for path in (seal, verify):
        if os.path.lexists(path):
            raise SealKeyError(f"{path} exists; a key in use is never replaced: name another folder with --out")
    key = secrets.token_bytes(KEY_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(seal, "seal", 0, key)
        _write(verify, "verify", 0, key)
    except OSError as error:
        raise SealKeyError(f"cannot write keys into {folder}: {error.strerror}; name another folder") from None
    return seal, verify


class VerifyKey:
    """The keys of all epochs, worked out from the first."""

    def __init__(self, path: Path) -> None:
        """Read it; raises SealKeyError."""
        epoch, key = _read(path, "verify")
        self._keys = {epoch: key}

    def at(self, epoch: int) -> bytes | None:
        """Of an epoch; None where it lies before what is known."""
        newest = max(self._keys)
        if epoch - newest > 1_000_000:  # a number that no robot reaches: altered
            return None
        while newest < epoch:
            self._keys[newest + 1] = next_key(self._keys[newest])
            newest += 1
        return self._keys.get(epoch)


def _read(path: Path, kind: str) -> tuple[int, bytes]:
    try:
        words = path.read_text()[:1024].split()
        if path.stat().st_mode & 0o077:
            raise SealKeyError(f"the key file {path} can be read by others; chmod 600 {path}")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a text file"
        raise SealKeyError(f"cannot read the key file {path}: {why}; make one with `muster blackbox key`") from None
    try:
        if len(words) != 3 or words[0] != kind or len(bytes.fromhex(words[2])) != KEY_BYTES:
            raise ValueError
        return int(words[1]), bytes.fromhex(words[2])
    except ValueError:
        raise SealKeyError(
            f"{path} is no {kind} key: expected `{kind} NUMBER` and 64 hex digits; make one with `muster blackbox key`"
        ) from None


def _write(path: Path, kind: str, epoch: int, key: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, f"{kind} {epoch} {key.hex()}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
