"""`muster keys` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination.keys import read_keys
from fleet.cli import main


def test_a_fleet_key_is_made_and_robots_keys_derive_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--file", str(tmp_path / "fleet.key")]
    assert main(["keys", "create", *file]) == 0
    assert main(["keys", "derive", "r1", "operator_ann", *file]) == 0
    fleet, robot = read_keys(tmp_path / "fleet.key"), read_keys(tmp_path / "r1.key")
    assert robot.fleet is None
    assert robot.node("r1") == fleet.node("r1")
    capsys.readouterr()
    assert main(["keys", "show", "r1", *file]) == 0
    shown = capsys.readouterr().out
    assert "r1" in shown
    assert fleet.fleet is not None
    assert fleet.fleet.hex() not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["derive", "r1"], "make one with"),
        (["create"], "never replaced"),
        (["derive", "Robot 1"], "is no name"),
        (["derive"], "expects the names"),
        (["create", "r1"], "takes no names"),
        (["melt"], "melt"),
        (["derive", "watchdog_1_r1"], "is a watchdog's name"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    file = ["--file", str(tmp_path / "fleet.key")]
    if message != "make one with":
        assert main(["keys", "create", *file]) == 0
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert main(["keys", *arguments, *file]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
