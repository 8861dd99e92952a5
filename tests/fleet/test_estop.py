"""`muster estop` where it cannot do what it is asked; the rest stands in tests/coordination/test_serve.py."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordination.client import COORDINATOR
from coordination.keys import new_keys, write_keys
from coordination.requests import StopRaise, StopState
from coordination.zmq_transport import ZmqServer
from fleet.estop import Config, run

NOBODY = ["--address", "tcp://127.0.0.1:9", "--timeout", "0.2"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["raise"], "no answer from coordinator within 0.2 s"),
        (["show"], "show needs a key"),
        (["reset", "--key", "fleet.key"], "reset names the stop that it ends"),
        (["reset", "--epoch", "1"], "reset needs a key"),
        (["show", "--key", "missing.key"], "cannot read the key file"),
        (["show", "--key", "fleet.key", "--name", "Ann B"], "is no name on the wire"),
        (["raise", "--address", "nowhere"], "cannot connect to"),
        (["rise"], "rise"),
        (["raise", "--ros-args", "-r", "__ns:=/a"], "expected no ROS arguments without a bus"),
        (["raise", "--reason", "\udcff"], "no answer from coordinator within 0.2 s"),
        (["raise", "--reason", "x" * 100_000], "no answer from coordinator within 0.2 s"),
        (["raise", "--name", "Ann B"], "no answer from coordinator within 0.2 s"),
        (["reset", "--key", "fleet.key", "--epoch", "99999999999999999999"], "stop_reset/1 cannot be sent"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    refused: Callable[..., str], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    write_keys(tmp_path / "fleet.key", new_keys())
    rest = [] if "--address" in arguments else NOBODY
    assert expected in refused("estop", *arguments, *rest)


@pytest.mark.parametrize(
    ("words", "user", "heard"),
    [
        ({"reason": "smoke in aisle 4"}, "ann", ("operator", "ann", "smoke in aisle 4")),
        ({"reason": "\udcff\x1b[2J"}, "\udcfe", ("operator", "\\udcfe", "\\udcff\\x1b[2J")),
        ({"reason": "x" * 100_000, "name": "Ann B"}, "y" * 10_000, ("operator", "y" * 100, "x" * 500)),
    ],
)
def test_nothing_that_is_said_with_a_stop_keeps_it_from_being_heard(
    monkeypatch: pytest.MonkeyPatch, words: dict[str, str], user: str, heard: tuple[str, str, str]
) -> None:
    """Bytes that are no text, a reason that is too long to travel, a name that is none."""
    server = ZmqServer(COORDINATOR, new_keys(), "tcp://127.0.0.1:*")
    monkeypatch.delenv("MUSTER_RUN", raising=False)
    monkeypatch.setenv("USER", user)
    config = Config("raise", server.address, timeout=10.0, **words)
    with contextlib.closing(server), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(run, config)
        (came,) = server.receive(10.0)
        assert isinstance(came.body, StopRaise)
        assert (came.sender, came.body.by, came.body.reason) == heard
        server.send(came.peer, StopState(came.body.request, True, 1), 0)
        assert asking.result(10.0) == 0
