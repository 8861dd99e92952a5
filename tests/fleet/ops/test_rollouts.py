"""The rollout on the operator page: how it stands, what cannot be believed, and the kill switch."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from coordination.keys import Keys, ensure_keys, read_keys, write_keys
from fleet.ops.acts import RECORD, Acts, Operator
from fleet.ops.places import Places
from fleet.ops.rollouts import STAGES, read_rollout
from fleet.rollout.events import FILE, Store
from fleet.rundir import RunDirectory, create_run
from sim.errors import MusterError
from tests.fleet.rollout.rollouts import started


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    Store(directory.root / FILE, ensure_keys(directory.key)).append(started())
    return directory


def acts(run: RunDirectory, key: bytes, name: str = "operator_ann") -> Acts:
    places = Places("t", "tcp://127.0.0.1:9", "", 1.2, "page_1", None, run=run)
    return Acts(places, Operator(name, Keys(nodes={name: key})))


def own_key(run: RunDirectory, name: str = "operator_ann") -> bytes:
    key = read_keys(run.key).node(name)
    assert key is not None
    return key


def test_it_tells_stage_status_and_who_drives_what(run: RunDirectory) -> None:
    found = read_rollout(run, read_keys(run.key))
    assert found is not None
    assert (found.name, found.stage, found.status, found.error) == ("spring", "offline", "running", "")
    assert (found.candidate, found.baseline) == ("b" * 64, "a" * 64)
    assert found.stages == STAGES
    assert STAGES[5:10] == ("1 %", "5 %", "25 %", "50 %", "100 %")
    assert sum(found.arms.values()) == 60


def test_a_run_without_one_has_none(tmp_path: Path) -> None:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    assert read_rollout(directory, ensure_keys(directory.key)) is None
    assert read_rollout(None, None) is None


def test_an_operator_kills_it_and_the_record_says_so(run: RunDirectory) -> None:
    assert acts(run, own_key(run)).kill("near misses").startswith("spring is killed: near misses")
    found = read_rollout(run, read_keys(run.key))
    assert found is not None
    assert found.status == "killed"
    line = json.loads((run.root / RECORD).read_text())
    assert (line["act"], line["by"], line["words"]) == ("kill", "operator_ann", "near misses")
    with pytest.raises(MusterError, match="killed"):
        acts(run, own_key(run)).kill("again")


def test_a_strangers_key_kills_nothing(run: RunDirectory) -> None:
    with pytest.raises(MusterError, match="not signed with that operator's key"):
        acts(run, b"x" * 32).kill("x")
    found = read_rollout(run, read_keys(run.key))
    assert found is not None
    assert found.status == "running"
    assert "refused" in json.loads((run.root / RECORD).read_text())["answer"]


def test_a_log_that_was_written_past_is_told_and_not_believed(run: RunDirectory) -> None:
    with contextlib.closing(sqlite3.connect(run.root / FILE)) as store, store:
        store.execute("UPDATE events SET who = 'somebody'")
    found = read_rollout(run, read_keys(run.key))
    assert found is not None
    assert "is not as it was written" in found.error
    assert found.status == ""


def test_without_the_fleet_key_nothing_of_it_is_believed(run: RunDirectory, tmp_path: Path) -> None:
    write_keys(tmp_path / "page_hall.key", Keys(nodes={"page_hall": own_key(run, "page_hall")}))
    found = read_rollout(run, read_keys(tmp_path / "page_hall.key"))
    assert found is not None
    assert found.error.startswith("only the fleet key can check it")
