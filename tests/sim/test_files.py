"""Files that are whole or absent, and names that are nearly right."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.errors import nearest, printable
from sim.files import DamagedFile, FileError, read_arrays, read_file, replacing, write_atomic


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


def test_a_file_is_read_whole_up_to_a_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(FileError, match=r"cannot read .*a: expected at most 4 bytes, got 5; name another file"):
        read_file(tmp_path / "a", 4)


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    """A pipe would be waited for, a device has no end."""
    os.mkfifo(tmp_path / "pipe")
    for place, said in ((tmp_path / "pipe", "it is no file"), (Path("/dev/zero"), "it is no file")):
        with pytest.raises(FileError, match=f"cannot read {place}: {said}"):
            read_file(place)
    with pytest.raises(FileError, match="Is a directory"):
        read_file(tmp_path)
    with pytest.raises(FileError, match="No such file or directory"):
        read_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain, é and 🦊", "plain, é and 🦊"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_controls_a_terminal_is_escaped(text: str, said: str) -> None:
    assert printable(text) == said
