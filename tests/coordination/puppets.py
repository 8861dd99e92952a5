"""Robots of a drill: they move along the cell centres, obey their grants and leases, and do their tasks once."""

from __future__ import annotations

import contextlib
import math
import socket
from collections import Counter

import numpy as np

from coordination.client import CoordinatorClient
from coordination.keys import Keys
from coordination.messages import Assignment, Chosen, Grant, Leg, Picture, Report, RobotStatus
from coordination.zmq_transport import ZmqClient
from sim.robot import MILLISECOND, SECOND, RobotSpec
from sim.site import Site, make_site

PERIOD = 100 * MILLISECOND
SPEED = 1.5
"""m/s"""
SPEC = RobotSpec()
EMBODIMENT = SPEC.embodiment_hash()
FLOOR = (
    "............",
    ".##.##.##.#.",
    ".##.##.##.#.",
    "............",
    ".##.##.##.#.",
    ".##.##.##.#.",
    "............",
)


def make_floor() -> Site:
    """Blocks of racks with aisles one cell wide."""
    blocked = np.array([[character == "#" for character in row] for row in FLOOR])
    width = blocked.shape[1]
    # In pairs, far from each other: what is tested is not the driving.
    stations = [row * width + column for row in (0, 3, 6) for column in (2, 4, 7, 10)]
    return make_site("drill", blocked, stations=stations, chargers=[6 * width, 6 * width + width - 1])


class Puppet:
    """A robot that moves along the centres of its granted cells and does its tasks; owns its place and its end."""

    def __init__(self, name: str, site: Site, cell: int, keys: Keys, address: str) -> None:
        self.name, self.site = name, site
        self.x, self.y = (float(value) for value in site.centre(cell))
        self.yaw = 0.0
        self.speed = 0.0
        self.end = ZmqClient(name, "coordinator", keys, address)
        self.client = CoordinatorClient(self.end)
        self.work: Assignment | None = None
        self.legs_done = 0
        self.dwelt = 0.0
        self.completed: Counter[str] = Counter()
        self.grant: Grant | None = None
        """The one that it moved under last"""
        self.chooses = 0
        """Tasks among which it chooses; 0: it is assigned"""

    @property
    def cell(self) -> int:
        return int(self.site.cell_at(np.array([self.x, self.y])))

    def covered(self, margin: float) -> set[int]:
        """Cells that the footprint's circle, grown by `margin`, overlaps."""
        reach = SPEC.radius + margin
        cell, size = self.cell, self.site.cell
        row, column = divmod(cell, self.site.width)
        found = set()
        for r in range(max(0, row - 1), min(self.site.height, row + 2)):
            for c in range(max(0, column - 1), min(self.site.width, column + 2)):
                left, bottom = c * size, (self.site.height - 1 - r) * size
                dx = max(left - self.x, 0.0, self.x - left - size)
                dy = max(bottom - self.y, 0.0, self.y - bottom - size)
                if math.hypot(dx, dy) < reach:
                    found.add(r * self.site.width + c)
        return found

    def cycle(self, now: int, period: int) -> bool:
        """Act from `now` for a period; True when it moved."""
        view = self.client.view(now)
        self._take_work(view.picture)
        before = (self.x, self.y)
        self.speed = 0.0
        if view.grant is not None and now + period <= view.grant.expires:
            self.grant = view.grant
            self._drive(view.grant.cells, SPEED * period / SECOND)
            self.speed = math.dist(before, (self.x, self.y)) * SECOND / period
        self._work(period)
        return (self.x, self.y) != before

    def report(self, number: int, now: int) -> Report:
        """The robot's whole state."""
        picture = self.client.view(now).picture
        if self.work is None:
            status = RobotStatus.MOVING if self.speed else RobotStatus.IDLE
        elif self.dwelt:
            status = RobotStatus.WORKING
        else:
            status = RobotStatus.MOVING if self.speed else RobotStatus.WAITING
        if picture is not None and picture.stopped:
            status = RobotStatus.STOPPED
        leg = self._leg()
        return Report(
            round=number,
            stamp=now,
            pose=(self.x, self.y, self.yaw),
            twist=(self.speed, 0.0),
            cells=tuple(sorted(self.covered(SPEC.localisation_bound))),
            battery=1.0,
            status=status,
            grant=picture.grant.id if picture is not None and picture.grant is not None else 0,
            task=self.work.task if self.work else "",
            attempt=self.work.attempt if self.work else 0,
            legs_done=self.legs_done,
            goal=leg.cell if leg else -1,
            stop_epoch=picture.stop_epoch if picture else 0,
            embodiment=EMBODIMENT,
            site=self.site.hash,
            payload_max=SPEC.payload_max,
            chooses=self.chooses,
            chosen=self._answer(picture),
        )

    def _answer(self, picture: Picture | None) -> Chosen | None:
        """The last of the offered tasks: never the one that all others want."""
        if picture is None or picture.offer is None:
            return None
        return Chosen(picture.offer.id, picture.offer.tasks[-1].task, deterministic=False, log_probability=-1.0)

    def _leg(self) -> Leg | None:
        if self.work is None or self.legs_done >= len(self.work.legs):
            return None
        return self.work.legs[self.legs_done]

    def _take_work(self, picture: Picture | None) -> None:
        if picture is None:
            return
        given = picture.assignment
        if given is None:
            self.work = None
        elif self.work is None or (given.task, given.attempt) != (self.work.task, self.work.attempt):
            self.work, self.legs_done, self.dwelt = given, 0, 0.0

    def _drive(self, cells: tuple[int, ...], distance: float) -> None:
        leg = self._leg()
        while distance > 1e-9 and self.cell in cells:
            index = cells.index(self.cell)
            here = self.site.centre(self.cell)
            target = here
            if index + 1 < len(cells) and not (leg is not None and leg.cell == self.cell):
                ahead = self.site.centre(cells[index + 1])
                offset, way = np.array([self.x, self.y]) - here, ahead - here
                if abs(offset[0] * way[1] - offset[1] * way[0]) < 1e-9 and float(offset @ way) >= -1e-9:
                    target = ahead
            left = math.dist((self.x, self.y), target)
            if left < 1e-9:
                return
            step = min(distance, left)
            ahead_x, ahead_y = float(target[0]) - self.x, float(target[1]) - self.y
            self.yaw = math.atan2(ahead_y, ahead_x)
            self.x += ahead_x * step / left
            self.y += ahead_y * step / left
            distance -= step

    def _work(self, period: int) -> None:
        leg = self._leg()
        if leg is None or self.work is None or math.dist((self.x, self.y), self.site.centre(leg.cell)) > 1e-6:
            return
        self.dwelt += period / SECOND
        if self.dwelt < leg.dwell:
            return
        self.dwelt = 0.0
        self.legs_done += 1
        if self.legs_done == len(self.work.legs):
            self.completed[self.work.task] += 1


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]
