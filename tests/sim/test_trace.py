from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sim.files import FileError
from sim.trace import ViewError, read_cargo, read_trace
from tests.sim.records import write_record


def test_a_run_without_a_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*plant\.npz: No such file"):
        read_trace(tmp_path)


def test_a_truncated_record_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path)
    whole = (tmp_path / "plant.npz").read_bytes()
    (tmp_path / "plant.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ViewError, match="expected a plant's record"):
        read_trace(tmp_path)


def test_an_empty_record_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, periods=0)
    with pytest.raises(ViewError, match="at least one period"):
        read_trace(tmp_path)


def test_cargo_is_carried_between_its_stamps(tmp_path: Path) -> None:
    write_record(tmp_path)
    entries = [
        {"robot": "r1", "from": 300_000_000, "to": 600_000_000},
        {"robot": "elsewhere", "from": 0, "to": 1},
    ]
    (tmp_path / "cargo.json").write_text(json.dumps(entries))
    carrying = read_cargo(tmp_path, read_trace(tmp_path))
    assert np.flatnonzero(carrying[:, 1]).tolist() == [3, 4, 5]
    assert not carrying[:, 0].any()
