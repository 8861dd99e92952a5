"""What traffic must keep, checked from poses and the road's own lanes: contacts, lanes, shared ground, bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import warp as wp

from sim.driving.atlas import Atlas
from sim.driving.profile import RoadProfile
from sim.driving.state import ActorArrays, make_actors
from sim.driving.traffic import Traffic, TrafficConfig
from sim.road import ConflictKind
from sim.roadconflicts import find_conflicts


@dataclass
class Site:
    """Traffic of some worlds with what a plant would own."""

    atlas: Atlas
    actors: ActorArrays
    traffic: Traffic
    road: np.ndarray
    route: np.ndarray
    episode: wp.array
    mask: np.ndarray
    begin: object = None
    egos: int = 1

    def step(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.traffic.decide.launch()
            for _ in range(5):
                self.traffic.move.launch()


def make_site(
    atlas: Atlas, worlds: int, config: TrafficConfig, *, egos: int = 1, seed: int = 1, speed: float = 0.0,
    extra: int = 0, drive_egos: bool = False,
) -> Site:  # fmt: skip
    """Worlds whose egos stand (or roll, as far as traffic knows) at the starts of their routes; 0 egos: none there."""
    slots = max(egos, 1) + config.vehicles + config.walkers + extra
    actors = make_actors(worlds, slots, "cpu")
    road = (np.arange(worlds) % len(atlas.roads)).astype(np.int32)
    route = np.full(worlds * max(egos, 1), -1, np.int32)
    for world in range(worlds):
        rows = atlas.route_of(int(road[world]))
        for ego in range(egos):
            row = rows[(world + ego) % len(rows)]
            route[world * egos + ego] = row
            lane, s = int(atlas.routes.start_lane.numpy()[row]), float(atlas.routes.start_s.numpy()[row])
            put(atlas, actors, world, ego, lane, s, speed)
    arrays = [wp.array(road), wp.array(route), wp.zeros(worlds * max(egos, 1), dtype=wp.int32)]
    traffic = Traffic(
        atlas, actors, road=arrays[0], route=arrays[1], episode=arrays[2], robots=max(egos, 1), seed=seed,
        config=config, drive_egos=drive_egos,
    )  # fmt: skip
    mask = wp.array(np.ones(worlds, np.uint8))
    site = Site(atlas, actors, traffic, road, route, arrays[2], mask.numpy(), traffic.begin(mask), egos)
    site.begin.launch()
    return site


def put(
    atlas: Atlas, actors: ActorArrays, world: int, slot: int, lane: int, s: float, speed: float, kind: int = 1
) -> None:
    """Somebody in the middle of a lane."""
    road = int(atlas.road_of[lane])
    line = atlas.roads[road].lanes[lane - int(atlas.first[road])]
    x, y = line.at(s) - np.array(atlas.origin(road))
    actors.kind.numpy()[world, slot] = kind
    actors.lane.numpy()[world, slot] = lane
    actors.pose.numpy()[world, slot] = (x, y, np.interp(s, line.s, line.heading))
    actors.place.numpy()[world, slot] = (s, 0.0, 0.0)
    actors.motion.numpy()[world, slot] = (speed, 0.0, 0.0)
    actors.size.numpy()[world, slot] = (4.5, 1.8)


def contacts(actors: ActorArrays, shrink: float = 0.0) -> list[tuple[int, int, int]]:
    """Pairs of boxes that overlap (separating axes): world and both slots."""
    pose, size, kind = actors.pose.numpy(), actors.size.numpy() - shrink, actors.kind.numpy()
    reach = 0.5 * np.hypot(size[..., 0], size[..., 1])
    apart = np.hypot(*np.moveaxis(pose[:, :, None, :2] - pose[:, None, :, :2], -1, 0))
    there = kind >= 0
    near = (apart < reach[:, :, None] + reach[:, None, :]) & there[:, :, None] & there[:, None, :]
    found = []
    for world, i, j in np.argwhere(near):
        if i < j and not _apart(pose[world, i], size[world, i], pose[world, j], size[world, j]):
            found.append((int(world), int(i), int(j)))
    return found


def _apart(pose: np.ndarray, size: np.ndarray, other: np.ndarray, other_size: np.ndarray) -> bool:
    boxes = [
        np.array([[np.cos(p[2]), np.sin(p[2])], [-np.sin(p[2]), np.cos(p[2])]]) * 0.5 * s[:, None]
        for p, s in ((pose, size), (other, other_size))
    ]
    for yaw in (pose[2], other[2]):
        for axis in (np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])):
            if abs((pose - other)[:2] @ axis) > sum(np.abs(box @ axis).sum() for box in boxes):
                return True
    return False


def sharing(atlas: Atlas, actors: ActorArrays, vehicles: slice) -> list[tuple[int, int, int]]:
    """Pairs of vehicles whose middles' stretches lie on ground that two lanes cross or merge on: world and slots."""
    lane, place, size = (getattr(actors, name).numpy() for name in ("lane", "place", "size"))
    found = []
    for world in range(len(lane)):
        on: dict[int, list[int]] = {}
        for slot in range(lane.shape[1])[vehicles]:
            if actors.kind.numpy()[world, slot] >= 0:
                on.setdefault(int(lane[world, slot]), []).append(slot)
        road = int(atlas.road_of[next(iter(on))])
        first = int(atlas.first[road])
        for each in find_conflicts(atlas.roads[road]):
            if each.kind == ConflictKind.SPLIT or each.lane > each.other:
                continue
            for i in on.get(first + each.lane, ()):
                for j in on.get(first + each.other, ()):
                    mine, theirs = place[world, i, 0], place[world, j, 0]
                    half, other = 0.5 * size[world, i, 0], 0.5 * size[world, j, 0]
                    there = each.other_begin < theirs + other and theirs - other < each.other_end
                    if there and each.begin < mine + half and mine - half < each.end:
                        found.append((world, i, j))
    return found


@dataclass
class Watch:
    """What vehicles did over many steps."""

    site: Site
    profile: RoadProfile = field(default_factory=RoadProfile)
    steps: int = 0
    accel: tuple[float, float] = (0.0, 0.0)
    keeping: float = 0.0
    """Largest |d| of one that keeps its lane, m"""
    across: float = 0.0
    """Its largest lateral speed, m/s"""
    changing: float = 0.0
    """Largest lateral speed of one that changes lanes"""
    share: float = 0.0
    """Largest share of a limit"""
    jump: float = 0.0
    """Largest distance between where one is and where its speed put it, m"""
    turn: float = 0.0
    """Largest angle beyond the bends of a lane by which one turned for each metre driven, 1/m"""
    off: int = 0
    """Vehicles whose middle was beside their lane"""
    contacts: list[tuple[int, int, int]] = field(default_factory=list)
    sharing: list[tuple[int, int, int]] = field(default_factory=list)
    changes: int = 0

    def run(self, steps: int, *, often: int = 5) -> Watch:
        site, actors, movers = self.site, self.site.actors, self.site.traffic.movers
        egos = max(site.egos, 1)
        cars = slice(egos, egos + site.traffic.config.vehicles)
        lanes, limit = site.atlas.lanes, site.atlas.lanes.limit.numpy()
        for step in range(steps):
            old = actors.pose.numpy()[:, cars].copy()
            bent = self._bend(cars)
            life = movers.life.numpy()[:, cars].copy()
            site.step()
            there = actors.kind.numpy()[:, cars] >= 0
            pose, motion, place = (getattr(actors, name).numpy()[:, cars] for name in ("pose", "motion", "place"))
            side = movers.side.numpy()[:, cars]
            keeps = there & (side == 0) & (np.abs(place[..., 1]) < 0.5)
            self.steps += int(there.sum())
            self.accel = (
                min(self.accel[0], float(motion[..., 1][there].min())),
                max(self.accel[1], float(motion[..., 1][there].max())),
            )
            self.keeping = max(self.keeping, float(np.abs(place[..., 1])[keeps].max()))
            self.across = max(self.across, float(np.abs(place[..., 2])[keeps].max()))
            self.changing = max(self.changing, float(np.abs(place[..., 2])[there].max()))
            lane = actors.lane.numpy()[:, cars]
            self.share = max(self.share, float((motion[..., 0] / limit[lane])[there].max()))
            moved = np.hypot(*np.moveaxis(pose - old, -1, 0)[:2])
            stays = there & (movers.life.numpy()[:, cars] == life) & (np.abs(old[..., 0]) < 999.0)
            jump = np.abs(moved - 0.05 * motion[..., 0])[stays]
            self.jump = max(self.jump, float(jump.max(initial=0.0)))
            self.turn = max(self.turn, float(self._turned(pose, old, bent, moved, cars)[stays].max(initial=0.0)))
            self.changes += int((movers.pending.numpy()[:, cars] != 0).sum())
            if step % often == 0:
                point = lanes.first.numpy()[lane] + (place[..., 0] / lanes.spacing.numpy()[lane]).astype(int)
                half = lanes.points.numpy()[np.minimum(point, len(lanes.points.numpy()) - 1), 4]
                self.off += int((there & (np.abs(place[..., 1]) > half + 0.15)).sum())
                self.contacts += contacts(actors)
                self.sharing += sharing(site.atlas, actors, cars)
        return self

    def _bend(self, cars: slice) -> np.ndarray:
        """The sharpest bend of its lane around where a vehicle is, 1/m."""
        lanes, actors = self.site.atlas.lanes, self.site.actors
        lane, place = actors.lane.numpy()[:, cars], actors.place.numpy()[:, cars]
        first = lanes.first.numpy()
        point = first[lane] + (place[..., 0] / lanes.spacing.numpy()[lane]).astype(int)
        bends = np.abs(lanes.points.numpy()[:, 3])
        bend = np.max([bends[np.clip(point + k, first[lane], first[lane + 1] - 1)] for k in range(-2, 3)], axis=0)
        return bend / (1.0 - np.minimum(bend * np.abs(place[..., 1]), 0.5))

    def _turned(
        self, pose: np.ndarray, old: np.ndarray, bent: np.ndarray, moved: np.ndarray, cars: slice
    ) -> np.ndarray:
        """By how much vehicles turned in a step beyond the bends of their lanes, over the way and a centimetre."""
        turn = np.abs(np.arctan2(*(f(pose[..., 2] - old[..., 2]) for f in (np.sin, np.cos))))
        return (turn - np.maximum(bent, self._bend(cars)) * moved) / (moved + 0.01)
