import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from coordination.database import StoreError, StoreFull
from coordination.keys import Keys, new_keys, write_keys
from fleet.registry.audit import following
from fleet.rollout.authority import Signed, sign
from fleet.rollout.events import FILE, RESERVE, Store
from fleet.rollout.plan import RolloutError, Stage
from fleet.rollout.record import Gate, Order
from tests.fleet.rollout.rollouts import SECOND, started

FLEET = new_keys()


class Clock:
    def __init__(self) -> None:
        self.now = 100 * SECOND

    def __call__(self) -> int:
        self.now += SECOND
        return self.now


def keys_of(name: str) -> Keys:
    key = FLEET.node(name)
    assert key is not None
    return Keys(nodes={name: key})


def order(store: Store, verb: str, by: str = "operator_anna", keys: Keys | None = None, **more: object) -> Signed:
    state = store.state()
    values = {"rollout": state.rollout, "seen": state.number, "stamp": store.now(), **more}
    return sign(Signed(verb=verb, by=by, **values), keys or keys_of(by))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / FILE, FLEET, Clock())
    made.append(started())
    return made


def test_an_order_that_its_operator_signed_is_taken_and_kept(store: Store) -> None:
    state, _ = store.order(order(store, "hold", reason="a look at it"))
    assert (state.status, state.reason) == ("held", "a look at it (operator_anna)")
    assert Store(store.path, FLEET, Clock()).state() == state


@pytest.mark.parametrize("verb", ["kill", "promote", "confirm", "resume", "sign"])
def test_an_order_that_is_not_proven_is_refused_noted_and_changes_nothing(store: Store, verb: str) -> None:
    before = store.state()
    stranger = Keys(nodes={"operator_anna": b"x" * 32})
    for signed in (
        order(store, verb, keys=stranger),
        msgspec.structs.replace(order(store, verb), signature=""),
        msgspec.structs.replace(order(store, verb, by="operator_bert"), by="operator_anna"),
        msgspec.structs.replace(order(store, "hold"), verb=verb),
    ):
        with pytest.raises(RolloutError, match="not signed"):
            store.order(signed)
    assert store.state() == before
    assert [each.verb for each in store.refusals()] == [verb] * 4


@pytest.mark.parametrize("by", ["r0", "watchdog_7_r0", "viewer", "operators_friend"])
@pytest.mark.parametrize("verb", ["kill", "promote", "sign", "hold"])
def test_who_is_no_operator_gives_no_order_whatever_he_can_sign(store: Store, verb: str, by: str) -> None:
    before = store.state()
    with pytest.raises(RolloutError, match="expected an operator's key"):
        store.order(order(store, verb, by, keys_of(by.removeprefix("watchdog_7_"))))
    assert store.state() == before
    assert store.refusals()[-1].who == by


def test_an_order_of_another_rollout_an_old_one_and_one_that_came_before_are_refused(store: Store) -> None:
    with pytest.raises(RolloutError, match="for autumn"):
        store.order(order(store, "kill", rollout="autumn"))
    with pytest.raises(RolloutError, match="ago"):
        store.order(order(store, "kill", stamp=0))
    held = order(store, "hold")
    store.order(held)
    store.order(order(store, "resume"))
    with pytest.raises(RolloutError, match="taken before"):
        store.order(held)
    assert store.state().status == "running"


def test_nobody_appends_an_order_without_a_signature(store: Store) -> None:
    with pytest.raises(RolloutError, match="signed"):
        store.append(Order(stamp=0, verb="kill", by="operator_anna"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET event = replace(event, 'spring', 'autumn') WHERE number = 1",
        "UPDATE events SET who = 'operator_bert' WHERE number = 2",
        "DELETE FROM events WHERE number = 2",
        "UPDATE events SET number = 9 WHERE number = 2",
    ],
)
def test_a_store_that_was_written_past_is_not_gone_by(store: Store, statement: str) -> None:
    for stage in (Stage.OFFLINE, Stage.SUITE):
        store.append(Gate(stamp=0, stage=stage, decision="promote", reason="good"))
    with sqlite3.connect(store.path) as connection:
        connection.execute(statement)
    with pytest.raises(RolloutError, match="not as it was written"):
        store.state()


def test_a_kill_that_was_put_in_by_hand_with_its_chain_is_found(store: Store) -> None:
    last = store.rows()[-1].entry
    text = msgspec.json.encode(Order(stamp=1, verb="promote", by="operator_anna")).decode()
    forged = msgspec.json.encode(Signed(rollout="spring", verb="promote", by="operator_anna", seen=1, stamp=1)).decode()
    entry = following(last, 1, "operator_anna", "event", {"event": text, "signature": forged})
    with sqlite3.connect(store.path) as connection:
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.number, 1, "operator_anna", text, forged, entry.before, entry.hash),
        )
    with pytest.raises(RolloutError, match="nobody proved"):
        store.state()


def test_on_a_full_disk_nothing_is_decided_and_nothing_is_half_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.state()
    opened = store._open

    def full(*, read_only: bool = False):  # noqa: ANN202
        file = opened(read_only=read_only)
        if not read_only:
            pages = file.connection.execute("PRAGMA page_count").fetchone()[0]
            file.connection.execute(f"PRAGMA max_page_count = {pages}")
        return file

    monkeypatch.setattr(store, "_open", full)
    with pytest.raises(StoreFull, match="disk takes no more"):
        store.append(Gate(stamp=0, stage=Stage.OFFLINE, decision="promote", reason="x" * 100_000))
    monkeypatch.undo()
    assert store.state().stage is before.stage
    assert store.append(Gate(stamp=0, stage=Stage.OFFLINE, decision="promote", reason="good"))[0].stage is Stage.SUITE


def test_a_kill_is_written_on_a_full_disk_in_the_place_of_the_reserve(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = store.path.with_suffix(".reserve")
    assert reserve.stat().st_blocks * 512 >= RESERVE
    written = store._written

    def full(*event: object) -> object:
        if reserve.exists():
            raise StoreFull("the disk takes no more")
        return written(*event)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "_written", full)
    with pytest.raises(StoreFull):
        store.append(Gate(stamp=0, stage=Stage.OFFLINE, decision="promote", reason="good"))
    with pytest.raises(StoreFull):
        store.order(order(store, "hold"))
    assert reserve.exists(), "what may wait takes nothing of it"
    assert store.order(order(store, "kill"))[0].status == "killed"
    assert not reserve.exists()
    assert store.state().status == "killed"


WRITER = """
import sys, time
from pathlib import Path
from coordination.keys import read_keys
from fleet.rollout.events import Store
from fleet.rollout.plan import Stage
from fleet.rollout.stages import Gate
store = Store(Path(sys.argv[1]), read_keys(Path(sys.argv[2])))
while True:
    state, _ = store.append(Gate(stamp=0, stage=Stage.SHADOW, decision="promote", reason="again"))
    print(state.number, flush=True)
"""


@pytest.mark.parametrize("instant", [1, 4, 9])
def test_what_was_acknowledged_before_a_sigkill_is_there_after_it(tmp_path: Path, instant: int) -> None:
    write_keys(tmp_path / "key", FLEET)
    store = Store(tmp_path / FILE, FLEET)
    store.append(started())
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.path), str(tmp_path / "key")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(instant):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    told = [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    state = store.state()
    assert state.number >= max(told, default=instant + 1)
    assert store.append(Gate(stamp=0, stage=Stage.OFFLINE, decision="promote", reason="on"))[0].number > instant


def test_two_that_write_at_once_take_turns(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE, FLEET)
    store.append(started())
    event = Gate(stamp=0, stage=Stage.SHADOW, decision="promote", reason="x")
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        numbers = sorted(state.number for state, _ in pool.map(lambda _: store.append(event), range(8)))
    assert numbers == list(range(2, 10))
    assert time.monotonic() - began < 60.0


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE other (x)")
    with pytest.raises(StoreError, match="another program"):
        Store(tmp_path / FILE, FLEET).append(started())
