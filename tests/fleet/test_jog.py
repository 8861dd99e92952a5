"""`muster jog`: what it says and refuses, the keys as a dead-man, and a drive over real sockets."""

from __future__ import annotations

import os
import pty
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from coordination.coordinator import Coordinator
from coordination.keys import new_keys, write_keys
from coordination.messages import Jog, Picture, Report, RobotStatus
from coordination.requests import FleetState, JogLine, JogState
from coordination.service import Service
from coordination.tasks import Store
from coordination.zmq_transport import ZmqClient, ZmqServer
from fleet.cli import main
from fleet.jog import HOLD, KEYS, Held, describe, listing, own_name, raw_keys
from safety.manual import JOG_SPEED, command
from safety.supervisor import Cause, Mode
from sim.robot import SECOND
from sim.site import make_site

NOBODY = ["--address", "tcp://127.0.0.1:9", "--timeout", "0.2"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["r0", "--seconds", "1"], "expected a key, got none"),
        (["--release", "--key", "fleet.key"], "expected the name of a robot"),
        (["--seconds", "2", "--key", "fleet.key"], "expected the name of a robot"),
        (["r0", "--key", "fleet.key"], "expected a terminal, got none"),
        (["r0", "--speed", "0.1", "--key", "fleet.key"], "expected for how long"),
        (["r0", "--seconds", "-1", "--key", "fleet.key"], "a time from 0 s up"),
        (["r0", "--speed", "nan", "--seconds", "1", "--key", "fleet.key"], "expected a number"),
        (["r0", "--speed", "inf", "--seconds", "1", "--key", "fleet.key"], "expected a number"),
        (["r0", "--seconds", "1", "--key", "fleet.key"], "no answer from coordinator within 0.2 s"),
        (["r0", "--release", "--key", "fleet.key"], "no answer from coordinator within 0.2 s"),
        (["--key", "missing.key"], "cannot read the key file"),
        (["r0", "--release", "--key", "fleet.key", "--name", "Ann B"], "is no name on the wire"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    refused: Callable[..., str], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    write_keys(tmp_path / "fleet.key", new_keys())
    assert expected in refused("jog", *arguments, *NOBODY)


def test_a_key_counts_as_held_for_a_moment_alone() -> None:
    held = Held()
    assert held.wanted(0.0) == (0.0, 0.0)
    held.press("w", 1.0)
    assert held.wanted(1.0 + HOLD - 0.01) == (JOG_SPEED, 0.0)
    assert held.wanted(1.0 + HOLD) == (0.0, 0.0)
    held.press("\x1b[B", 2.0)
    assert held.wanted(2.0) == (-JOG_SPEED, 0.0)
    held.press(" ", 2.1)
    assert held.wanted(2.1) == (0.0, 0.0), "any other key stops"
    for wish in KEYS.values():
        assert command(wish, 0, 0.4) == wish, "no key asks for more than the cap"


def test_keys_come_from_a_terminal_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8", closefd=True) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        with raw_keys() as pressed:
            assert pressed(0.0) == ""
            for text, key in ((b"w", "w"), (b"wwwa", "a"), (b"\x1b[A", "\x1b[A"), (b"w\x1b[C\x1b[D", "\x1b[D")):
                os.write(ours, text)
                assert pressed(2.0) == key
        os.close(ours)


def test_how_it_stands_is_one_line() -> None:
    state = JogState("q", "r3", 5 * SECOND, 2, 17 * SECOND, "operator_ann", "ann@desk", True, (1.0, 2.0, 0.0), (0.1, 0))
    assert describe(state) == "r3 at 1.00 m, 2.00 m, 0.10 m/s, POLICY; operator_ann for 12 s"
    other = JogState(
        "q", "r3", 5, 2, 4, "operator_ann", mode=int(Mode.MANUAL), reason=int(Cause.SHIELD), error="too late"
    )
    assert "MANUAL, SHIELD, has not answered yet; operator_ann for 0 s: too late" in describe(other)
    assert "mode 77" in describe(JogState("q", "r3", mode=77))
    fleet = FleetState("q", 5 * SECOND, {}, asking=("r1",), jogs=(JogLine("r3", "operator_ann", "ann", 9 * SECOND),))
    assert listing(fleet).splitlines() == [
        "r1 asks for an operator",
        "r3 is driven by operator_ann (ann), for 4 s more",
    ]
    assert "no robot asks" in listing(FleetState("q", 0, {}))


@dataclass
class Hall:
    """A coordinator in wall time and one robot that asks for an operator and keeps what it is told."""

    folder: Path
    deaf: bool = False
    """The robot stays where it is, whoever drives it"""
    jogs: list[Jog | None] = field(default_factory=list)
    address: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> None:
        site, keys = make_site("hall", np.zeros((3, 6), bool)), new_keys()
        write_keys(self.folder / "fleet.key", keys)
        store = Store(self.folder / "tasks.sqlite")
        server = ZmqServer("coordinator", keys)
        self.address = server.address
        service = Service(Coordinator(site, store), store, server, None, clock="wall", site=site.hash)
        robot = ZmqClient("r0", "coordinator", keys, server.address)
        number = 0
        while not self.ended.is_set():
            number += 1
            jog = self.jogs[-1] if self.jogs else None
            lease, mode = (jog.lease, int(Mode.MANUAL)) if jog is not None and not self.deaf else (0, 0)
            pose, status = (3.0, 1.8, 0.0), RobotStatus.OPERATOR
            report = Report(number, number, pose, (0.0, 0.0), (8,), 1.0, status, site=site.hash, jog=lease, mode=mode)
            robot.send("coordinator", report, report.stamp)
            service.turn()
            for message in robot.receive(0.0):
                if isinstance(message.body, Picture):
                    self.jogs.append(message.body.jog)
            if len(self.jogs) > 2:
                self.ready.set()
        robot.close()
        server.close()
        store.close()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    thread = threading.Thread(target=made.serve)
    thread.start()
    assert made.ready.wait(30.0)
    yield made
    made.ended.set()
    thread.join(10.0)


def test_a_robot_that_does_not_answer_is_told_by_the_exit_code(
    hall: Hall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_RUN", str(hall.folder))
    hall.deaf = True
    assert main(["jog", "r0", "--seconds", "0.4", "--address", hall.address, "--timeout", "10"]) == 1
    assert "has not answered yet" in capsys.readouterr().out


def test_a_robot_is_taken_driven_and_handed_back_by_three_commands(
    hall: Hall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_RUN", str(hall.folder))
    there = ["--address", hall.address, "--timeout", "10"]
    assert main(["jog", *there]) == 0
    assert "r0 asks for an operator" in capsys.readouterr().out
    for speed in ("0.2", "-0.1"):  # the second goes on under the first one's lease
        assert main(["jog", "r0", "--speed", speed, "--turn", "0.1", "--seconds", "0.6", *there]) == 0
        assert "MANUAL" in capsys.readouterr().out
    wishes = [(jog.v, jog.w) for jog in hall.jogs if jog is not None]
    assert {(0.2, 0.1), (-0.1, 0.1)} <= set(wishes)
    assert {jog.lease for jog in hall.jogs if jog is not None} == {1}
    assert {jog.operator for jog in hall.jogs if jog is not None} == {own_name()}
    assert main(["jog", "r0", "--seconds", "1", "--name", "operator_bob", *there]) == 2
    assert re.search(r"r0 is not taken: operator_\w+ \(.+\) has r0 for \d+ s more", capsys.readouterr().err)
    assert main(["jog", "r0", "--seconds", "1", "--name", "r5", *there]) == 2
    assert "only an operator" in capsys.readouterr().err
    assert main(["jog", "r0", "--release", *there]) == 0
    assert "r0 is handed back" in capsys.readouterr().out
    deadline = time.monotonic() + 10.0
    while hall.jogs[-1] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
