"""Files by what is in them: each lies under its sha256, is written once, and is checked whenever it is read."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fleet.registry.manifest import DIGEST, RegistryError, digest
from sim.files import read_file, write_atomic


class Objects:
    """Owns a folder of immutable files: `<first two digits>/<sha256>`."""

    def __init__(self, root: Path) -> None:
        """In that folder, which is made with the first file."""
        self.root = root

    def path(self, name: str) -> Path:
        """Where the file of a hash lies, or would."""
        if not DIGEST.fullmatch(name):
            raise RegistryError(f"expected a sha256 of 64 digits, got {name[:24]!r}; correct it")
        return self.root / name[:2] / name

    def put(self, data: bytes) -> str:
        """Keep a file; its hash. It is on disk when this returns; raises FileError where it cannot be."""
        name = digest(data)
        path = self.path(name)
        if not path.exists() or digest(read_file(path)) != name:  # one that was damaged is mended
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            write_atomic(path, data)
            path.chmod(0o444)
        return name

    def get(self, name: str) -> bytes:
        """The file of a hash; raises RegistryError when it is missing or is not what it was."""
        path = self.path(name)
        if not path.exists():
            raise RegistryError(f"expected {path}, which the registry names, it is gone; restore the registry's files")
        data = read_file(path)
        if digest(data) != name:
            raise RegistryError(f"expected {path} to have its own name as sha256, it was altered; restore it")
        return data
