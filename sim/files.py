"""Files that are whole or absent: everything muster leaves behind is written to a temporary name, then renamed.

A reader that finds a file finds all of it, also after a kill or on a full disk: `os.replace` within one directory is
atomic (POSIX rename), and the data is on disk before the name is. A failure becomes a `FileError` and leaves neither
the half-written file nor the temporary one.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError

LARGEST = 1 << 30
"""Bytes of a file that is read whole, at most: a map's image or an archive of arrays; more fills a robot's memory."""
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins, a full and an empty one (PKWARE APPNOTE 4.3.7, 4.3.16)."""


class FileError(MusterError):
    """A file cannot be read or written."""


class DamagedFile(FileError):
    """A file can be read and is not what it should be."""


def read_file(path: Path, most: int = LARGEST) -> bytes:
    """The whole of a file that has at most `most` bytes. Raises `FileError`.

    What is no file (a device, a pipe, a folder) is refused before it is opened: it may have no end, or be waited for.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"cannot read {path}: it is no file; name one")
        with path.open("rb") as stream:
            data = stream.read(most + 1)  # never more, should it grow meanwhile
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; name a file that can be read") from error
    if len(data) > most:
        raise FileError(f"cannot read {path}: expected at most {most} bytes, got {status.st_size}; name another file")
    return data


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of a NumPy archive (.npz); loading one runs no code of the file's.

    Raises `FileError` when the file cannot be read, and `DamagedFile`, saying only how, when it is no whole archive.
    """
    return unpack_arrays(read_file(path))  # np.load would leave a file that it opened open when it is no archive


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Every array of an archive's bytes; raises as `read_arrays` does for one that is none."""
    if not data.startswith(ZIP):  # NumPy would take it for a pickle, and say how to load one unsafely
        raise DamagedFile("no archive of arrays (.npz)" if data else "an empty file")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # zipfile, zlib and NumPy's header parser share no exceptions: flipped bits raised eleven classes (2026-11).
        if "pickle" in str(error):
            raise DamagedFile("an array of Python objects, which no file of ours holds") from error
        raise DamagedFile(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` (str as UTF-8) as the whole content of `path`, or leave `path` as it was and raise `FileError`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; moved onto `path` at a clean end, removed after an exception.

    For writers that want a file name (video, ONNX, archives). Raises `FileError` where the system refuses (no space, no
    permission, no such directory).
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except OSError as error:
        remedy = "free some space or choose a place that can be written"
        if not path.parent.is_dir():
            remedy = f"make the folder {path.parent} or choose another"
        raise FileError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it; done once at import, before threads exist
    os.umask(mask)
    return mask


_UMASK = _umask()
