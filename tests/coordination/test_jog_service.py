"""Driving by hand through the coordinator's loop: on disk before it is said, and heard from signed operators alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from coordination.coordinator import Coordinator
from coordination.jogclient import JogClient
from coordination.keys import Keys, new_keys
from coordination.messages import Jog, Picture, Report, RobotStatus
from coordination.requests import JogMove, JogState, JogTake
from coordination.service import Service, nothing
from coordination.tasks import Store
from coordination.zmq_transport import ZmqClient, ZmqServer
from sim.robot import SECOND
from sim.site import make_site

KEYS = new_keys()
SITE = make_site("hall", np.zeros((3, 6), bool))
ANN = "operator_ann"


class Killed(Exception):
    """The process dies here."""


class House:
    """A coordinator's life on a store, with one robot that asks and whoever else connects; turned by hand."""

    def __init__(self, folder: Path, keys: Keys | None = KEYS, at: Callable[[str], None] = nothing) -> None:
        self.store = Store(folder / "tasks.sqlite")
        self.server = ZmqServer("coordinator", keys)
        self.server.wire.know(self.store.epochs(), self.store.hear)
        self.core = Coordinator(SITE, self.store)
        self.service = Service(self.core, self.store, self.server, None, clock="wall", at=at)
        self.keys = keys
        self.ends: list[ZmqClient] = []
        self.robot = self.client("r0", keys)
        self.picture: Picture | None = None
        self.number = 0
        self.until(lambda: self.picture is not None)

    def client(self, name: str, keys: Keys | None) -> ZmqClient:
        end = ZmqClient(name, "coordinator", keys, self.server.address)
        self.ends.append(end)
        assert end.connected(5.0)
        return end

    def turn(self) -> None:
        self.number += 1
        jog = self.picture.jog.lease if self.picture is not None and self.picture.jog is not None else 0
        stamp = time.monotonic_ns()
        report = Report(self.number, stamp, (3.0, 1.8, 0.0), (0.0, 0.0), (8,), 1.0, RobotStatus.OPERATOR, jog=jog)
        self.robot.send("coordinator", report, stamp)
        self.service.turn()
        for message in self.robot.receive(0.0):
            assert isinstance(message.body, Picture)
            self.picture = message.body

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, "the service did not get there"
            self.turn()

    def answer(self, end: ZmqClient, body: msgspec.Struct) -> JogState:
        end.send("coordinator", body, 0)
        got: list[JogState] = []
        self.until(lambda: got.extend(message.body for message in end.receive(0.0)) or got)
        return got[0]

    def close(self) -> None:
        for end in self.ends:
            end.close()
        self.server.close()
        self.store.close()


def test_a_lease_that_was_not_committed_was_never_said_and_one_that_was_is_kept(tmp_path: Path) -> None:
    for point, known in (("answer:commit", False), ("answer:committed", True)):
        place = tmp_path / point.replace(":", "_")
        place.mkdir()
        armed = [False]

        def die(here: str, point: str = point, armed: list[bool] = armed) -> None:
            if armed[0] and here == point:
                raise Killed

        with closing(House(place, at=die)) as house:
            end = house.client(ANN, KEYS)
            armed[0] = True
            end.send("coordinator", JogTake("q", "r0", "ann"), 0)
            with pytest.raises(Killed):
                house.until(lambda: False)
            assert end.receive(0.05) == [], "nothing was acknowledged"
        with closing(House(place)) as house:
            leases = house.core.leases.held
            assert ("r0" in leases) is known
            end = house.client(ANN, KEYS)
            state = house.answer(end, JogTake("q", "r0", "ann"))
            assert (state.error, state.lease) == ("", 1), "asked again, it is the same lease"
            assert house.store.connection.execute("SELECT count(*) FROM leases").fetchone() == (1,)


def test_wishes_reach_the_robot_and_late_or_replayed_ones_are_counted(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        end = house.client(ANN, KEYS)
        state = house.answer(end, JogTake("q", "r0", "ann"))
        wish = JogMove("m", "r0", state.lease, 1, state.stamp, 0.2, 0.1)
        assert house.answer(end, wish).error == ""
        house.until(lambda: house.picture and house.picture.jog and house.picture.jog.v == 0.2)
        house.until(lambda: time.monotonic_ns() - state.stamp > 0.5 * SECOND)
        late = house.answer(end, msgspec.structs.replace(wish, number=2))
        assert "s old" in late.error
        assert house.core.counts == {"late": 1}
        frame = end.wire.encode("coordinator", msgspec.structs.replace(wish, number=3, heard=late.stamp), 0)
        end.socket.send(frame)
        end.socket.send(frame)  # recorded and played again
        house.until(lambda: house.server.counts["replayed"] == 1)


def test_a_stranger_and_a_robot_drive_nobody(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        stranger = house.client(ANN, None)
        stranger.send("coordinator", JogTake("q", "r0", "x"), 0)
        house.until(lambda: house.server.counts["unsigned"])
        thief = house.client(ANN, new_keys())
        thief.send("coordinator", JogTake("q", "r0", "x"), 0)
        house.until(lambda: house.server.counts["forged"])
        assert "only an operator" in house.answer(house.client("r1", KEYS), JogTake("q", "r0", "x")).error
        assert house.core.leases.held == {}


def test_a_coordinator_without_keys_lets_nobody_drive(tmp_path: Path) -> None:
    with closing(House(tmp_path, keys=None)) as house:
        state = house.answer(house.client(ANN, None), JogTake("q", "r0", "x"))
        assert state.error == "not stored: only a signed operator drives a robot by hand"
        assert house.core.counts == {"unsigned": 1}


def test_the_client_renews_its_lease_and_ignores_answers_about_others(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        end = house.client(ANN, KEYS)
        first = house.answer(end, JogTake("q", "r0", "ann"))
        client = JogClient(end, "ann")
        client.lease = first.lease
        client.state = msgspec.structs.replace(first, expires=first.stamp + 5 * SECOND)  # as if most of it were gone
        house.server.send(ANN, JogState("x", "r9", first.stamp + 9 * SECOND), 0)
        client.move(0.1, 0.0)

        def renewed() -> bool:
            client.listen()
            return client.state.expires > first.expires

        house.until(renewed)
        assert client.state.robot == "r0"
        assert house.core.leases.held["r0"].number == 1


def test_a_terminal_that_slept_through_its_leases_end_does_not_take_the_robot_anew(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        end = house.client(ANN, KEYS)
        client = JogClient(end, "ann")
        client.state = house.answer(end, JogTake("q", "r0", "ann"))
        client.lease = client.state.lease
        house.core.leases.extend("r0", time.monotonic_ns())  # it ended meanwhile
        client.state = msgspec.structs.replace(client.state, expires=client.state.stamp)  # renewed with the next wish
        client.move(0.1, 0.0)

        def answered() -> bool:
            client.listen()
            return bool(client.state.error)

        house.until(answered)
        house.until(lambda: sum(house.core.counts.values()) >= 2)
        assert house.core.counts == {"expired": 2}, "neither the renewal nor the wish is heard"
        assert house.core.leases.held["r0"].number == 1


def test_wishes_name_the_lease_that_was_taken_whoever_has_the_robot_now(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        end = house.client(ANN, KEYS)
        mine = house.answer(end, JogTake("q", "r0", "ann"))
        client = JogClient(end, "ann")
        client.lease = mine.lease
        client.state = msgspec.structs.replace(mine, lease=mine.lease + 1, by="ann elsewhere")
        client.move(0.1, 0.0)
        house.until(lambda: house.picture is not None and house.picture.jog != Jog(mine.lease, ANN, mine.expires))
        assert house.core.counts == {}, "a wish under the lease of another terminal would be dropped, or worse, heard"
