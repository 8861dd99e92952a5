"""`muster estop` where it cannot do what it is asked; the rest stands in tests/coordination/test_serve.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coordination.keys import new_keys, write_keys

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
        (["raise", "--reason", "\udcff"], "stop_raise/1 cannot be sent"),
        (["reset", "--key", "fleet.key", "--epoch", "99999999999999999999"], "stop_reset/1 cannot be sent"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    refused: Callable[..., str], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    write_keys(tmp_path / "fleet.key", new_keys())
    rest = [] if "--address" in arguments else NOBODY
    assert expected in refused("estop", *arguments, *rest)
