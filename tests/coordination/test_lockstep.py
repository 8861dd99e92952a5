"""In lockstep two runs with the same work write the same logs, whatever order the messages come in."""

from __future__ import annotations

import random
import time
from pathlib import Path

from coordination.coordinator import Coordinator
from coordination.keys import new_keys
from coordination.messages import Join, Joined, Leg, LegKind, Round
from coordination.requests import Task
from coordination.service import Service
from coordination.tasks import Store
from coordination.zmq_transport import ZmqClient, ZmqServer
from tests.coordination.puppets import PERIOD, Puppet, make_floor

ROUNDS = 100


def run(folder: Path, order: random.Random) -> tuple[list[tuple], list[tuple]]:
    """Puppets at work for ROUNDS; their reports go out in an order drawn anew each round."""
    folder.mkdir()
    site, keys = make_floor(), new_keys()
    store = Store(folder / "tasks.sqlite")
    stations = [int(cell) for cell in site.stations]
    for number in range(10):
        legs = (Leg(stations[number], LegKind.FETCH, 0.3), Leg(stations[number - 5], LegKind.DELIVER, 0.2))
        store.submit([Task(f"t{number}", legs)], 0)
    plant, server = ZmqServer("plant", keys), ZmqServer("coordinator", keys)
    link = ZmqClient("coordinator", "plant", keys, plant.address)
    service = Service(Coordinator(site, store), store, server, link, clock="lockstep", site=site.hash)
    places = [int(cell) for cell in site.free_cells[::9]][:5]
    puppets = [Puppet(f"r{i}", site, cell, keys, server.address) for i, cell in enumerate(places)]
    assert link.connected(5.0)
    assert all(puppet.end.connected(5.0) for puppet in puppets)
    try:
        deadline = time.monotonic() + 60.0
        while not (joins := plant.receive(0.0)):
            service.turn()
        assert isinstance(joins[0].body, Join)
        plant.send("coordinator", Joined(site.hash, "lockstep", 0), 0)
        for number in range(ROUNDS):
            now = number * PERIOD
            for puppet in order.sample(puppets, len(puppets)):
                puppet.client.poll()
                puppet.cycle(now, PERIOD)
                puppet.client.report(puppet.report(number, now))
            plant.send("coordinator", Round(number, now, tuple(puppet.name for puppet in puppets)), now)
            while not any(isinstance(message.body, Round) for message in plant.receive(0.0)):
                service.turn()
                assert time.monotonic() < deadline
            assert all(puppet.client.wait_for_round(number, 2.0) for puppet in puppets)
        grants = store.connection.execute("SELECT * FROM grant_log ORDER BY seq").fetchall()
        events = store.connection.execute("SELECT * FROM events ORDER BY seq").fetchall()
        return grants, events
    finally:
        for end in (plant, server, link, *(puppet.end for puppet in puppets)):
            end.close()
        store.close()


def test_lockstep_runs_are_equal_to_the_last_entry(tmp_path: Path) -> None:
    first = run(tmp_path / "first", random.Random(1))
    second = run(tmp_path / "second", random.Random(2))
    assert first == second
    assert len(first[0]) > 100
    assert sum(event[2] == "finish" for event in first[1]) >= 3
