"""What a refused command says and leaves: one line, exit code 2, and no file. See the fixture `refused`."""

from __future__ import annotations

from pathlib import Path


def contents(folder: Path) -> set[str]:
    """Everything below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def one_line(error: str, folder: Path, before: set[str]) -> str:
    """Assert that `error` is one line and that nothing was left in `folder`."""
    assert error.startswith("muster: ")
    assert error.count("\n") == 1, error
    assert contents(folder) == before
    return error
