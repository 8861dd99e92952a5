"""Well-formed messages with numbers and words at their ends: no life of a coordinator ends by them, nor the next one.

Each life takes reports, tasks and requests whose fields are drawn from extremes, through the wire as a signed node
could send them, over a store that keeps what was accepted; then the coordinator starts again on the same store.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from coordination.client import new_task_id
from coordination.coordinator import Coordinator
from coordination.database import StoreError
from coordination.messages import Leg, LegKind, Report, RobotStatus
from coordination.requests import Cancel, Query, Submit, Task
from coordination.tasks import Store
from coordination.wire import Wire
from sim.readers import load_site
from sim.robot import SECOND
from sim.site import Site
from tests.coordination.floors import task_id

WHOLE = (0, 1, -1, 7, 255, 2**31 - 1, 2**31, -(2**31), 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
REAL = (0.0, -0.0, 1.0, -1.0, 5e-324, 1e-9, 1e6, -1e6, 1e18, 1.7e308, -1.7e308, float("nan"), float("inf"))
WORDS = ("", "r0", "charge-r0", "\0", "x" * 5000, "\U0001f916", "'; DROP TABLE tasks; --", task_id(1))


class Extremes:
    """Draws messages: plausible ones, in which some fields are extreme."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.draw = site, random.Random(seed)
        self.cells = [*site.free_cells[:40].tolist(), *site.stations.tolist()]
        self.tasks = [new_task_id()]

    def either(self, plausible: object, extremes: tuple[object, ...], chance: float = 0.1) -> object:
        return self.draw.choice(extremes) if self.draw.random() < chance else plausible

    def report(self, number: int, stamp: int) -> Report:
        cell = self.draw.choice(self.cells)
        x, y = map(float, self.site.centre(cell))
        fields = {
            "round": self.either(number, WHOLE),
            "stamp": self.either(stamp, WHOLE, 0.03),
            "pose": tuple(self.either(value, REAL) for value in (x, y, 0.1)),
            "twist": tuple(self.either(value, REAL) for value in (0.5, 0.1)),
            "cells": tuple(self.either(cell, WHOLE) for _ in range(self.draw.randrange(4))),
            "battery": self.either(0.9, REAL),
            "status": self.draw.choice(list(RobotStatus)),
            "grant": self.either(number, WHOLE),
            "task": self.either(self.draw.choice(self.tasks), WORDS),
            "attempt": self.either(1, WHOLE),
            "legs_done": self.either(0, WHOLE),
            "failed": self.either("", WORDS),
            "goal": self.either(cell, WHOLE),
            "blocked": tuple(self.either(cell, WHOLE) for _ in range(self.draw.randrange(3))),
            "stop_epoch": self.either(0, WHOLE),
            "site": self.either(self.site.hash, WORDS, 0.03),
            "capabilities": tuple(self.either("carry", WORDS) for _ in range(self.draw.randrange(3))),
            "payload_max": self.either(40.0, REAL),
            "mode": self.either(0, WHOLE),
            "reason": self.either(0, WHOLE),
        }
        return Report(**fields)  # type: ignore[arg-type]

    def task(self) -> Task:
        self.tasks.append(new_task_id())
        legs = tuple(
            Leg(
                self.either(self.draw.choice(self.cells), WHOLE, 0.05),  # type: ignore[arg-type]
                self.draw.choice(list(LegKind)),
                self.either(0.0, REAL, 0.05),  # type: ignore[arg-type]
            )
            for _ in range(1 + self.draw.randrange(3))
        )
        return Task(
            self.either(self.tasks[-1], WORDS, 0.05),  # type: ignore[arg-type]
            legs,
            priority=self.either(0, (*WHOLE, 1000, -1000), 0.3),  # type: ignore[arg-type]
            deadline=self.either(0, WHOLE, 0.3),  # type: ignore[arg-type]
            capability=self.either("", WORDS),  # type: ignore[arg-type]
            payload=self.either(0.0, REAL),  # type: ignore[arg-type]
        )

    def message(self, number: int, stamp: int) -> msgspec.Struct:
        kind = self.draw.random()
        if kind < 0.8:
            return self.report(number, stamp)
        if kind < 0.95:
            return Submit("q", (self.task(),))
        return Cancel("q", self.draw.choice(self.tasks)) if kind < 0.98 else Query("q")


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site("generate:7")


def live(core: Coordinator, extremes: Extremes, begin: int, rounds: int) -> Counter[str]:
    """One life: what came through the wire goes to the core as the service hands it over, requests one by one."""
    senders = {name: Wire(name, None, server=False) for name in ("r0", "r1", "r2", "r3")}
    receiver, counts = Wire("coordinator", None, server=True), Counter[str]()
    for number in range(begin, begin + rounds):
        now = number * SECOND
        with core.store.transaction():
            for name, wire in senders.items():
                try:
                    frame = wire.encode("coordinator", extremes.message(number, now), now)
                except OverflowError:  # a whole number that msgpack cannot carry
                    continue
                received = receiver.decode(frame)
                if received is None:
                    continue
                try:
                    out = core.handle(name, received.body, now)
                except StoreError:
                    counts["refused"] += 1
                    continue
                for _, answer in out:
                    counts["refused" if getattr(answer, "error", "") else "answered"] += 1
                counts[received.name] += 1
            pictures = core.tick(now)
        for peer, picture in pictures:
            Wire("coordinator", None, server=True).encode(peer, picture, now)
    return counts + receiver.counts


@pytest.mark.parametrize("seed", range(25))
def test_no_life_ends_by_extreme_numbers_nor_the_next_one(tmp_path: Path, site: Site, seed: int) -> None:
    extremes = Extremes(site, seed)
    counts: Counter[str] = Counter()
    for life in range(3):
        store = Store(tmp_path / "tasks.sqlite")
        counts += live(Coordinator(site, store), extremes, 1 + 40 * life, 40)
        store.close()
    assert counts["report/1"] > 50
    assert counts["malformed"] > 20
    assert counts["answered"] > 10
    assert counts["refused"] > 5


@pytest.mark.parametrize("priority", [2**20, 2**31, 2**40, 2**62, -(2**62)])
def test_a_store_that_holds_an_extreme_task_can_be_worked_off(tmp_path: Path, site: Site, priority: int) -> None:
    """From the hand of an older coordinator that accepted it."""
    store = Store(tmp_path / "tasks.sqlite")
    legs = (Leg(int(site.stations[3]), LegKind.VISIT),)
    store.submit([Task(new_task_id(), legs, priority=priority, deadline=2**62)], 0)
    for life in range(2):
        core = Coordinator(site, store)
        cell = int(site.stations[0])
        x, y = map(float, site.centre(cell))
        for number in range(1 + 10 * life, 9 + 10 * life):
            now = number * SECOND
            report = Report(number, now, (x, y, 0.0), (0.0, 0.0), (cell,), 1.0, RobotStatus.IDLE, site=site.hash)
            with store.transaction():
                core.handle("r0", report, now)
                core.tick(now)
        assert store.counts()["ASSIGNED"] == 1
    store.close()
