"""Heads of black boxes at the coordinator: kept as signed robots tell them, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from coordination.boxheads import EACH, BoxHeads
from coordination.client import CoordinatorClient
from coordination.keys import Keys, new_keys
from coordination.messages import BoxHead, Report, RobotStatus
from coordination.transport import Network
from coordination.wire import Received

REPORT = Report(3, 5, (1.0, 2.0, 0.5), (0.1, 0.0), (7,), 0.9, RobotStatus.MOVING)


def head(number: int, file: str = "r0-0.mcap", digest: bytes | None = None) -> BoxHead:
    return BoxHead(file, number, 3 * number, digest or bytes([number]) * 32, 100 * number, False)


def told(box: BoxHead | None, sender: str = "r0", *, signed: bool = True) -> Received:
    return Received(sender, "report/1", msgspec.structs.replace(REPORT, box=box), 5, 1, signed)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_new_head_is_a_line_and_what_is_repeated_is_none(tmp_path: Path) -> None:
    now = [0.0]
    kept = BoxHeads(tmp_path / "heads.jsonl", lambda: now[0])
    for number in (1, 1, 2, 2):
        kept.take(told(head(number)))
        now[0] += EACH
    kept.take(told(None))
    found = lines(tmp_path / "heads.jsonl")
    assert [(line["robot"], line["file"], line["chunks"]) for line in found] == [
        ("r0", "r0-0.mcap", 1), ("r0", "r0-0.mcap", 2)]  # fmt: skip
    assert found[1]["head"] == "02" * 32
    assert kept.counts == {"kept": 2}


@pytest.mark.parametrize(
    "message",
    [
        told(head(1), signed=False),
        told(head(1, "r1-0.mcap")),
        told(head(1, "../r0-0.mcap")),
        told(head(1, "r0-0.mcap\n")),
        told(head(1, digest=b"short")),
        told(BoxHead("r0-0.mcap", -1, 0, bytes(32), 0, False)),
    ],
    ids=["unsigned", "another's file", "a path", "two lines", "no digest", "fewer than none"],
)
def test_what_is_no_head_of_the_senders_own_is_refused(tmp_path: Path, message: Received) -> None:
    kept = BoxHeads(tmp_path / "heads.jsonl")
    kept.take(message)
    assert lines(tmp_path / "heads.jsonl") == []
    assert kept.counts == {"refused": 1}


def test_a_robot_that_floods_gets_two_lines_in_five_seconds(tmp_path: Path) -> None:
    now = [0.0]
    kept = BoxHeads(tmp_path / "heads.jsonl", lambda: now[0])
    for number in range(100):
        kept.take(told(head(number)))
        now[0] += 0.1
    assert len(lines(tmp_path / "heads.jsonl")) == 4
    assert kept.counts == {"kept": 4, "late": 96}


def test_a_disk_that_takes_none_is_told_once_and_costs_the_coordinator_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    kept = BoxHeads(tmp_path / "missing" / "heads.jsonl", lambda: now[0])
    for number in range(3):
        kept.take(told(head(number)))
        now[0] += EACH
    assert kept.counts == {"failed": 3}
    assert capsys.readouterr().err.count("are not kept") == 1


def test_a_robots_link_tells_a_head_with_the_next_report_and_signs_it(tmp_path: Path) -> None:
    keys = new_keys()
    key = keys.node("r0")
    assert key is not None
    network = Network()
    server = network.server("coordinator", keys)
    link = CoordinatorClient(network.client("r0", "coordinator", Keys(nodes={"r0": key})))
    kept = BoxHeads(tmp_path / "heads.jsonl")
    link.box = head(4)
    for _ in range(3):
        link.report(REPORT)
    came = server.receive(1.0)
    for message in came:
        kept.take(message)
    assert [message.body.box is not None for message in came] == [True, False, False]
    assert [line["chunks"] for line in lines(tmp_path / "heads.jsonl")] == [4]
