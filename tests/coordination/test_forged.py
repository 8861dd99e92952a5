"""`forged` in small, and that it sees each guard of the wire that is taken away."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import coordination.wire as wire_module
from coordination.wire import BODIES


@pytest.fixture(scope="module")
def forged(root: Path) -> Iterator[types.ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")  # the benchmark sets it; here it is set back
        yield importlib.import_module("forged")


@pytest.fixture(scope="module")
def talk(forged: Any, tmp_path_factory: pytest.TempPathFactory) -> list:
    return forged.rehearsed(tmp_path_factory.mktemp("talk"), 24)


@pytest.mark.parametrize("kind", ["in_process", "zmq", "loop"])
def test_no_forgery_is_believed_and_true_peers_still_are(forged: Any, talk: list, kind: str) -> None:
    rig = forged.RIGS[kind]()
    try:
        tried = forged.attacked(rig, talk, 2000, 60, 7)
    finally:
        rig.close()
    assert tried.accepted == 0
    assert tried.judged >= 2000
    assert len(tried.kinds) == 10
    assert min(tried.kinds.values()) >= 60
    assert all(tried.verdicts[verdict] > 0 for verdict in forged.JUDGED if verdict not in ("received", "unknown"))


@pytest.mark.parametrize(
    ("guard", "replacement"),
    [
        ("hmac.compare_digest", lambda one, other: True),
        ("ReplayWindow.take", lambda window, epoch, sequence: True),
        ("MAY_BE_UNSIGNED", frozenset(BODIES)),
    ],
)
def test_a_guard_that_is_taken_away_is_seen(
    forged: Any, talk: list, monkeypatch: pytest.MonkeyPatch, guard: str, replacement: Callable[..., bool]
) -> None:
    rig = forged.RIGS["in_process"]()
    ends, forgers = forged.staged(rig, talk, 7)
    monkeypatch.setattr(f"{wire_module.__name__}.{guard}", replacement)
    for name, forger in forgers.items():
        tried = forged.Tried()
        forged.strike(rig, ends[name], name, forger, 600, 30, tried)
        assert tried.accepted > 20, name
