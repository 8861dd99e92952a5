"""Files that are whole or absent, and names that are nearly right."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.errors import nearest
from sim.files import DamagedFile, FileError, read_arrays, replacing, write_atomic


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomic(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            assert temporary.suffix == ".bin"
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        FileError, match=r"cannot write .*nowhere.*No such file or directory; make the folder .*nowhere or"
    ):
        write_atomic(tmp_path / "nowhere" / "a", "x")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the full disk: a write beyond it fails with EFBIG as one without space with ENOSPC."""
    program = (
        "from pathlib import Path; from sim.files import *\n"
        "try: write_atomic(Path('big'), b'x' * 100_000)\n"
        "except FileError as error: print(error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write big: File too large")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_archive_is_refused_without_advice_to_load_it_unsafely(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("t,x\n0,1\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    for name, came in (
        ("table.csv", "no archive of arrays"),
        ("empty.npz", "an empty file"),
        ("one.npy", "no archive of arrays"),
        ("objects.npz", "an array of Python objects"),
    ):
        with pytest.raises(DamagedFile, match=came) as caught:
            read_arrays(tmp_path / name)
        assert "pickle" not in str(caught.value)


def test_the_nearest_name_is_offered() -> None:
    assert nearest("robot", ["robots", "people"]) == '; did you mean "robots"?'
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("x", []) == ""
