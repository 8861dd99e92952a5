"""Two pages of one run, one after the other or beside an operator's other tools: nothing known is lost or disturbed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordination.client import COORDINATOR, FleetClient
from coordination.estop import is_operator
from coordination.keys import PAGE_LONGEST, Keys, new_keys, owner_of, page_of, read_keys
from coordination.wire import NAME
from coordination.zmq_transport import ZmqClient
from safety.supervisor import Cause, Mode
from tests.fleet.ops.smallfleet import SmallFleet, served, small_fleet
from tests.fleet.ops.test_server import signed_in, views


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SmallFleet]:
    with small_fleet(tmp_path / "run") as made:
        yield made


def test_an_acknowledgement_outlives_the_page_until_its_alarm_is_over(fleet: SmallFleet) -> None:
    key = str(fleet.folder / "operator_ann.key")
    known = {"latched:r1": "operator_ann"}

    def standing(view: dict) -> dict[str, str]:
        return {alarm["key"]: alarm["acknowledged"] for alarm in view["alarms"] if alarm["key"] == "latched:r1"}

    with served(str(fleet.folder), "--key", key) as page:
        views(page, lambda view: bool(standing(view)))
        operator = signed_in(page)
        _, _, text = page.ask("POST", "/acknowledge", {"key": "latched:r1"}, **operator)
        assert json.loads(text)["answer"] == "acknowledged"
        page.process.kill()
        page.process.wait(20.0)
    with (fleet.folder / "operator.jsonl").open("a") as file:
        file.write('{"at": "torn')
    with served(str(fleet.folder)) as page:
        views(page, lambda view: standing(view) == known)
    with served(str(fleet.folder), "--key", key) as page:
        views(page, lambda view: standing(view) == known)
        fleet.modes = bytes((Mode.POLICY, Cause.NONE, Mode.POLICY, Cause.NONE))
        views(page, lambda view: not standing(view))
    fleet.modes = bytes((Mode.POLICY, Cause.NONE, Mode.LATCHED, Cause.BUMPER))
    with served(str(fleet.folder), "--key", key) as page:
        views(page, lambda view: standing(view) == {"latched:r1": ""})


def test_a_page_with_an_operators_own_key_leaves_his_other_ends_alone(fleet: SmallFleet) -> None:
    """Under one name the coordinator would hear the newest of two ends alone: `muster jog` would starve."""
    keys = read_keys(fleet.folder / "operator_ann.key")
    (fleet.folder / "fleet.key").rename(fleet.folder / "elsewhere.key")
    with contextlib.closing(ZmqClient("operator_ann", COORDINATOR, keys, fleet.server.address)) as end:
        jog = FleetClient(end)
        assert jog.query(5.0).robots
        with served(str(fleet.folder), "--key", str(fleet.folder / "operator_ann.key")) as page:
            views(page, lambda view: view["seen"]["answered"])
            assert jog.query(5.0).robots
            operator = signed_in(page)
            page.ask("POST", "/stop", {"reason": "smoke"})
            assert page.ask("POST", "/reset", {"epoch": 1}, **operator)[0] == 200
            assert jog.query(5.0).robots
        assert jog.query(5.0).robots
    others = fleet.senders - {"operator_ann"}
    assert others
    assert all(owner_of(name) == "operator_ann" for name in others)


def test_a_pages_key_is_made_by_its_owners_alone_and_has_his_authority() -> None:
    fleet = new_keys()
    key = fleet.node("operator_ann")
    assert key is not None
    alone, name = Keys(nodes={"operator_ann": key}), page_of("operator_ann", 7)
    assert NAME.fullmatch(name)
    assert alone.node(name) == fleet.node(name) is not None
    assert alone.node(page_of("operator_ben", 7)) is None
    assert is_operator(name)
    assert not is_operator(page_of("r1", 7))
    assert not is_operator("watchdog_7_operator_ann")
    assert not is_operator(page_of(page_of("operator_a", 1), 2))
    long = "operator_" + "x" * (PAGE_LONGEST - 8)
    assert (page_of(long, 7), owner_of(long)) == (long, long)
    assert NAME.fullmatch(page_of("o" * PAGE_LONGEST, 12_345))
