"""The fleet's emergency stop: easy to raise, hard to reset, never forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination.database import StoreError
from coordination.estop import is_operator, raise_stop, reset_stop
from coordination.requests import StopRaise, StopReset
from coordination.tasks import Store


def open_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tasks.sqlite")


def test_a_raised_stop_survives_every_restart_until_it_is_reset(tmp_path: Path) -> None:
    for life in range(4):
        store = open_store(tmp_path)
        assert store.latch().stopped == (life > 0)
        state = raise_stop(store, StopRaise("ann", "smoke", "q"), "ann", life)
        assert (state.stopped, state.stop_epoch, state.request) == (True, 1, "q")
        store.close()
    store = open_store(tmp_path)
    assert store.latch().stamp == 0, "raising a stop that stands changes nothing"
    assert not reset_stop(store, StopReset("ann", 1), "operator", True, 9).stopped
    store.close()
    store = open_store(tmp_path)
    assert not store.latch().stopped
    assert raise_stop(store, StopRaise("bob"), "bob", 10).stop_epoch == 2
    store.close()


@pytest.mark.parametrize(
    ("sender", "signed", "epoch", "opens"),
    [
        ("operator", True, 1, True),
        ("operator_ann", True, 1, True),
        ("operator", False, 1, False),
        ("operators", True, 1, False),
        ("r1", True, 1, False),
        ("client", True, 1, False),
        ("operator", True, 0, False),
        ("operator", True, 2, False),
    ],
)
def test_only_a_signed_operator_who_names_the_stop_resets_it(
    tmp_path: Path, sender: str, signed: bool, epoch: int, opens: bool
) -> None:
    store = open_store(tmp_path)
    raise_stop(store, StopRaise("ann"), "ann", 1)
    state = reset_stop(store, StopReset("ann", epoch), sender, signed, 2)
    assert state.stopped is not opens
    assert bool(state.error) is not opens
    assert store.latch().stopped is not opens
    store.close()


def test_a_late_reset_does_not_open_the_next_stop(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    raise_stop(store, StopRaise("ann"), "ann", 1)
    reset_stop(store, StopReset("ann", 1), "operator", True, 2)
    assert reset_stop(store, StopReset("ann", 1), "operator", True, 3).error == "", "a repeated reset is no error"
    raise_stop(store, StopRaise("ann"), "ann", 4)
    assert reset_stop(store, StopReset("ann", 1), "operator", True, 5).stopped
    store.close()


def test_a_stop_that_cannot_be_stored_is_not_answered(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    with pytest.raises(StoreError):
        raise_stop(store, StopRaise("ann"), "ann", 1)
    assert not store.latch().stopped


def test_an_operators_name_is_operator_or_begins_with_it() -> None:
    assert [is_operator(name) for name in ("operator", "operator_b", "operatorb", "")] == [True, True, False, False]
