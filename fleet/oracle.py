"""An independent witness: which robots touch something, from exact plane geometry and nothing else.

The physics engine reports contacts from its own shapes; this module says the same from poses, footprints, discs and the
map alone, so that neither a wrong collision mask nor a wrong lidar can hide a collision. It shares no code with the
shield, the lidar or the scene, and numpy is all that it needs.

    rectangle and rectangle   overlap unless one of their four edge directions separates them (separating axis theorem)
    rectangle and disc        overlap when the disc's centre, in the rectangle's frame, is nearer than the radius
    rectangle and floor       blocked cells and shut doors are rectangles of a cell, pods of their size in the middle of
                              one; past the floor's edge stands the outer wall

Shapes that only touch do not overlap. A contact is one robot and one counterpart: the map (its racks and walls are one
body), one other robot, one person, one forklift. Each has a first step of its own, so that a robot which drives into a
rack while a person leans on it is seen. `ContactTally` turns flags per physics step into the figures: a contact counts
once, by how fast the robot was at its first step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.site import Site

SPEED_LIMIT = 0.02
"""m/s and rad/s: a robot that is faster at a contact's first step has collided (the goal's definition)."""


@dataclass(frozen=True)
class Touch:
    """Who touches what at each of some physics steps."""

    map: NDArray[np.bool_]
    """A rack or a wall, (steps, robots)."""
    robot: NDArray[np.bool_]
    """Another robot, (steps, robots, robots): symmetric, nothing on the diagonal."""
    person: NDArray[np.bool_]
    """(steps, robots, people)"""
    forklift: NDArray[np.bool_] | None = None
    """(steps, robots, forklifts); None without forklifts."""

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """All counterparts side by side, (steps, robots, 1 + robots + people + forklifts): the map first."""
        forklift = [] if self.forklift is None else [self.forklift]
        return np.concatenate([self.map[..., None], self.robot, self.person, *forklift], axis=-1)


@dataclass(frozen=True)
class Contact:
    """The first step of one contact."""

    step: int
    """Physics step since the start."""
    robot: int
    other: int
    """Column of `Touch.pairs`: 0 the map, then the robots, the people, the forklifts."""
    person: bool
    """With a person; else with a rack, a wall, a robot or a forklift."""
    speed: float
    """The robot's speed at that step, m/s."""
    turn: float
    """Its yaw rate, rad/s."""

    @property
    def collision(self) -> bool:
        """Whether the robot drove or turned into it, rather than being walked or driven into."""
        return self.speed > SPEED_LIMIT or abs(self.turn) > SPEED_LIMIT


class ContactTally:
    """Owns which robots touched what at the last step, and all contacts since the start."""

    def __init__(self, robots: int, people: int, forklifts: int = 0) -> None:
        self.contacts: list[Contact] = []
        self._robots, self._people = robots, people
        self._step = 0
        self._before = np.zeros((robots, 1 + robots + people + forklifts), bool)

    def add(self, touch: Touch, speed: NDArray[np.floating], turn: NDArray[np.floating]) -> list[Contact]:
        """Take some steps' flags and the robots' speeds at them, (steps, robots); returns the contacts that began."""
        pairs = touch.pairs
        before = np.concatenate([self._before[None], pairs[:-1]])
        began = [
            Contact(
                step=self._step + step,
                robot=robot,
                other=other,
                person=self._robots < other <= self._robots + self._people,
                speed=float(speed[step, robot]),
                turn=float(turn[step, robot]),
            )
            for step, robot, other in np.argwhere(pairs & ~before).tolist()
        ]
        self._before = pairs[-1].copy()
        self._step += len(pairs)
        self.contacts += began
        return began

    @property
    def collisions(self) -> int:
        """Contacts into which the robot itself moved."""
        return sum(contact.collision for contact in self.contacts)

    @property
    def person_contacts(self) -> int:
        """People who walked into a standing robot."""
        return sum(contact.person and not contact.collision for contact in self.contacts)

    @property
    def struck(self) -> int:
        """Standing robots that another robot drove into (which is that robot's collision), or a forklift."""
        return sum(not contact.person and not contact.collision for contact in self.contacts)


def touching(
    site: Site,
    length: float,
    width: float,
    poses: NDArray[np.floating],
    people: NDArray[np.floating],
    person_radius: float,
    forklifts: NDArray[np.floating] | None = None,
    forklift_size: tuple[float, float] = (0.0, 0.0),
) -> Touch:
    """What each robot overlaps at each step.

    `poses` (steps, robots, 3) x, y, yaw in W; `people` (steps, people, 2); footprints are `length` x `width` around the
    pose; `forklifts` (steps, forklifts, 3), of `forklift_size` length and width; all in metres.
    """
    poses = np.asarray(poses, np.float64)
    people = np.asarray(people, np.float64)
    steps, robots = poses.shape[:2]
    robot = np.zeros((steps, robots, robots), bool)
    if robots > 1:
        one, two = np.triu_indices(robots, k=1)
        gap = poses[:, one, :2] - poses[:, two, :2]
        near = (gap**2).sum(-1) < length**2 + width**2  # closer than two circumscribed radii
        step, pair = np.nonzero(near)
        hit = rectangles_overlap(length, width, poses[step, one[pair]], length, width, poses[step, two[pair]])
        robot[step[hit], one[pair[hit]], two[pair[hit]]] = True
        robot[step[hit], two[pair[hit]], one[pair[hit]]] = True
    person = np.zeros((steps, robots, people.shape[1]), bool)
    if people.shape[1]:
        offset = people[:, None, :, :] - poses[:, :, None, :2]
        c, s = np.cos(poses[..., 2])[..., None], np.sin(poses[..., 2])[..., None]
        ahead = np.abs(c * offset[..., 0] + s * offset[..., 1])
        aside = np.abs(c * offset[..., 1] - s * offset[..., 0])
        outside = np.maximum(ahead - length / 2, 0.0) ** 2 + np.maximum(aside - width / 2, 0.0) ** 2
        person = outside < person_radius**2
    truck = None
    if forklifts is not None:
        truck = np.zeros((steps, robots, forklifts.shape[1]), bool)
        for one, two in np.ndindex(truck.shape[1:]):
            truck[:, one, two] = rectangles_overlap(length, width, poses[:, one], *forklift_size, forklifts[:, two])
    return Touch(map=on_the_map(site, length, width, poses), robot=robot, person=person, forklift=truck)


def on_the_map(site: Site, length: float, width: float, poses: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which footprints overlap a rack, wall, pod or door that is not open, or leave the floor.

    poses (..., 3), the result (...). Doors are as the site says: who moves them gives the site as it is by then.
    """
    pods = np.zeros_like(site.blocked)
    pods.reshape(-1)[list(site.fixtures.pods)] = True
    whole = site.filled & ~pods
    size = site.fixtures.pod_size
    x, y, yaw = poses[..., 0], poses[..., 1], poses[..., 2]
    reach_x = (length * np.abs(np.cos(yaw)) + width * np.abs(np.sin(yaw))) / 2
    reach_y = (length * np.abs(np.sin(yaw)) + width * np.abs(np.cos(yaw))) / 2
    right, top = site.width * site.cell, site.height * site.cell
    hit = np.array((x - reach_x < 0.0) | (x + reach_x > right) | (y - reach_y < 0.0) | (y + reach_y > top))
    column = np.floor(x / site.cell).astype(int)
    row = site.height - 1 - np.floor(y / site.cell).astype(int)
    rings = int(np.ceil(np.hypot(length, width) / 2 / site.cell))
    for down in range(-rings, rings + 1):
        for across in range(-rings, rings + 1):
            r, c = row + down, column + across
            inside = (r >= 0) & (r < site.height) & (c >= 0) & (c < site.width)
            for grid, across_x, across_y in ((whole, site.cell, site.cell), (pods, size[0], size[1])):
                there = inside & grid[np.clip(r, 0, site.height - 1), np.clip(c, 0, site.width - 1)]
                if not there.any():
                    continue
                cell = np.zeros((*there.shape, 3))
                cell[..., 0] = (c + 0.5) * site.cell
                cell[..., 1] = (site.height - 1 - r + 0.5) * site.cell
                hit[there] |= rectangles_overlap(length, width, poses[there], across_x, across_y, cell[there])
    return hit


def rectangles_overlap(
    length_a: float,
    width_a: float,
    poses_a: NDArray[np.floating],
    length_b: float,
    width_b: float,
    poses_b: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Whether rectangles around poses (n, 3) overlap, pair by pair: no edge direction of either separates them."""
    offset = poses_b[:, :2] - poses_a[:, :2]
    turn = poses_b[:, 2] - poses_a[:, 2]
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    overlap = np.ones(len(offset), bool)
    for poses, own, other in (
        (poses_a, (length_a, width_a), (length_b, width_b)),
        (poses_b, (length_b, width_b), (length_a, width_a)),
    ):
        cos, sin = np.cos(poses[:, 2]), np.sin(poses[:, 2])
        ahead = np.abs(cos * offset[:, 0] + sin * offset[:, 1])
        aside = np.abs(cos * offset[:, 1] - sin * offset[:, 0])
        overlap &= 2 * ahead < own[0] + other[0] * c + other[1] * s
        overlap &= 2 * aside < own[1] + other[0] * s + other[1] * c
    return overlap
