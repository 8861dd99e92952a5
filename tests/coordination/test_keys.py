"""Key files: made once, read by their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coordination.keys import KeyFileError, Keys, ensure_keys, new_keys, read_keys, write_keys
from coordination.messages import Join
from coordination.wire import Wire, WireError
from fleet.watchdog import name_of


def test_a_fleet_key_survives_its_file_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    keys = new_keys()
    write_keys(tmp_path / "fleet.key", keys)
    assert stat.S_IMODE((tmp_path / "fleet.key").stat().st_mode) == 0o600
    assert read_keys(tmp_path / "fleet.key") == keys
    assert list(tmp_path.iterdir()) == [tmp_path / "fleet.key"]


def test_a_node_key_opens_its_own_links_alone(tmp_path: Path) -> None:
    fleet = new_keys()
    key = fleet.node("r1")
    assert key is not None
    write_keys(tmp_path / "r1.key", Keys(nodes={"r1": key}))
    node = read_keys(tmp_path / "r1.key")
    assert node.link("r1", "r1", "coordinator") == fleet.link("r1", "r1", "coordinator")
    assert node.link("r2", "r2", "coordinator") is None
    links = {fleet.link(c, s, r) for c, s, r in [("r1", "r1", "x"), ("r1", "x", "r1"), ("r2", "r2", "x")]}
    assert len(links) == 3


def test_keys_do_not_show_in_their_text() -> None:
    keys = new_keys()
    assert keys.fleet is not None
    assert keys.fleet.hex() not in repr(keys)
    assert str(keys.fleet) not in repr(keys)


def test_an_existing_key_is_never_replaced(tmp_path: Path) -> None:
    write_keys(tmp_path / "fleet.key", new_keys())
    before = (tmp_path / "fleet.key").read_text()
    with pytest.raises(KeyFileError, match="never replaced"):
        write_keys(tmp_path / "fleet.key", new_keys())
    assert (tmp_path / "fleet.key").read_text() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "fleet.key"]


def test_a_pipe_is_no_key_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="it is no file"):
        read_keys(tmp_path / "pipe")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    write_keys(tmp_path / "fleet.key", new_keys())
    (tmp_path / "fleet.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="mode 0640"):
        read_keys(tmp_path / "fleet.key")


@pytest.mark.parametrize("content", [b"", b"abc", b"00" * 31, b"zz" * 32, b"R1 " + b"00" * 32, b"\xff\xfe" * 40])
def test_a_malformed_key_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fleet.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"no key file|not a text file"):
        read_keys(path)


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="muster keys create"):
        read_keys(tmp_path / "fleet.key")
    with pytest.raises(KeyFileError, match="name a directory that exists"):
        write_keys(tmp_path / "nowhere" / "fleet.key", new_keys())


def test_processes_that_race_for_a_key_share_one(tmp_path: Path) -> None:
    assert ensure_keys(tmp_path / "fleet.key") == ensure_keys(tmp_path / "fleet.key")


def test_a_robot_with_its_own_key_alone_signs_for_its_watchdog_and_no_other() -> None:
    fleet = new_keys()
    own = Keys(nodes={"r1": fleet.node("r1") or b""})
    guard, other = name_of(["r1", "r2"], 4_000_000), name_of(["r2"], 4_000_000)
    assert own.node(guard) == fleet.node(guard)
    assert own.node(guard) != own.node("r1")
    assert own.node(other) is None
    plant = Wire("plant", fleet, server=True)
    said = plant.decode(Wire(guard, own, server=False).encode("plant", Join("watchdog", ("r1",)), 0))
    assert said is not None
    assert (said.sender, said.signed) == (guard, True)
    with pytest.raises(WireError, match="no key for watchdog_4000000_r2"):
        Wire(other, own, server=False)
