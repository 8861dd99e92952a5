"""`muster replay --sim AT`: the floor as it was at a moment, and a policy that drives on from there.

    recording -> situation at AT (fleet/incident/restore.py) -> the plant's own world -> control step -> world -> ...

The first step has the recorded inputs and memory themselves, so the policy that drove decides there as it did; from
then on the robot senses the restored world. Grants are the recorded ones, in the recorded order, but kept until this
robot has left them: nobody replans for it. The same recording, policy and seed give the same drive, bit for bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from coordination.messages import Chosen, Grant, Offer, Picture
from fleet.control import Stepper
from fleet.incident import policies
from fleet.incident.restore import Situation, from_record, from_sight, record_of
from fleet.incident.stage import others_at, restored
from fleet.incident.walk import Log, Walked, log_at, of_one_robot, walk
from fleet.incident.whatif import QuestionError
from fleet.oracle import Contact
from fleet.records import Inputs, Outputs, inputs_of
from fleet.replay import Config
from fleet.world import World
from hierarchy.corridors import cells_under
from safety.reason import Reason
from safety.supervisor import Mode
from sim.lifting import loaded
from sim.robot import SECOND
from sim.site import Site

SECONDS = 10.0
"""s that are played unless told otherwise."""
LONGEST = 600.0
"""s at most: what was recorded of others and of grants says nothing of so much later."""


@dataclass(frozen=True)
class Played:
    """How it went on."""

    situation: Situation
    policy: str
    """First digits of the hash of the policy that drove"""
    inputs: tuple[Inputs, ...]
    outputs: tuple[Outputs, ...]
    truth: NDArray[np.float64]
    """True poses of the robot, (steps + 1, 3)"""
    engine: tuple[Contact, ...]
    """What this robot touched, by MuJoCo"""
    geometry: tuple[Contact, ...]
    """The same by plane geometry"""

    @property
    def collisions(self) -> int:
        """Contacts into which the robot drove, by the count that saw more."""
        return max(sum(contact.collision for contact in found) for found in (self.engine, self.geometry))

    def lines(self, recorded: Sequence[Outputs]) -> list[str]:
        """What happened, beside what was recorded over the same time."""
        engine, geometry = (sum(one.collision for one in found) for found in (self.engine, self.geometry))
        pushed = len(self.engine) - engine
        way = float(np.hypot(*np.diff(self.truth[:, :2], axis=0).T).sum())
        return [
            f"  restored from {self.situation.source}",
            f"  collisions: {engine} by the engine, {geometry} by geometry"
            + (f"; touched while it stood {pushed} times" if pushed else ""),
            f"  drove {way:.2f} m; smallest margin {_margin(self.outputs)}; recorded {_margin(recorded)}",
            f"  modes: {_modes(self.outputs)}; recorded {_modes(recorded)}",
            f"  commands changed by the shield: {_changed(self.outputs)}; recorded {_changed(recorded)}",
        ]


def play(config: Config) -> int:
    """Play on as asked and print it; 1 where the robot drove into something, else 0. Raises MusterError."""
    assert config.sim is not None
    seconds = SECONDS if config.seconds is None else config.seconds
    logs = of_one_robot(config.path, config.robot)
    zero = logs[0].span[0]
    log = log_at(logs, zero + round(config.sim * SECOND), zero)
    run = policies.run_of(log.path)
    if config.policy is not None:
        policy = policies.find(config.policy, run, config.registry, log.header)
    else:
        found = policies.drove(log.header, run)
        if found is None:
            raise QuestionError(
                f"expected policy {log.header.policy_hash[:12]} of {log.path}, none is near it; give --policy"
            )
        policy = found
    played, recorded = play_on(
        log, zero + round(config.sim * SECOND), seconds, policy, walk_unknown=config.unknown == "walk"
    )
    print(f"{log.robot} from {config.sim:g} s on, {len(played.outputs)} steps under policy {played.policy}:")
    print(*played.lines(recorded), sep="\n")
    return 1 if played.collisions else 0


def play_on(
    log: Log, stamp: int, seconds: float, policy: Policy, *, walk_unknown: bool = False, seed: int = 0
) -> tuple[Played, list[Outputs]]:
    """Restore the floor at a stamp and let `policy` drive for `seconds`; with what was recorded over that time.

    Raises QuestionError where nothing says how the floor was, and MusterError for a floor that cannot be simulated.
    """
    if not 0.1 <= seconds <= LONGEST:
        raise QuestionError(f"--seconds: expected 0.1 to {LONGEST:g} s to play on, got {seconds:g}; choose another")
    config, site = log.header.config, log.header.site
    period = config.spec.period
    steps = list(walk(log, begin=stamp - period, end=stamp + round(seconds * SECOND)))
    steps = [step for step in steps if step.inputs.stamp >= stamp] or steps[-1:]
    if not steps:
        raise QuestionError(f"expected whole steps from the moment on in {log.path}, there are none")
    first = steps[0]
    if not all(map(math.isfinite, (*first.inputs.pose, *first.inputs.twist))):
        raise QuestionError(f"expected a pose at that moment, {config.robot} had none; choose another")
    trace = record_of(policies.run_of(log.path))
    situation = from_record(trace, site, first, config.robot) if trace is not None else None
    if situation is None:
        situation = from_sight(site, config.spec, first, config.robot, config.person_speed, walk_unknown)
    world = restored(log, situation, seed)
    body = config.spec if first.inputs.lift < 0.0 else loaded(config.spec, site)
    grants = _Grants(site, body.radius + config.spec.localisation_bound, steps)
    stepper, memory = Stepper(config, site, policy), first.memory
    done: list[tuple[Inputs, Outputs]] = []
    truth = [world.poses[0].copy()]
    while len(done) < round(seconds * SECOND / period):
        inputs = _inputs(world, first.inputs, len(done), grants) if done else first.inputs
        outputs, memory = stepper.step(inputs, memory, choose=_nothing)
        done.append((inputs, outputs))
        if world.robots > 1:
            poses, twists = others_at(situation, world.stamp, period / SECOND)
            world.resume(poses, twists, begin=1)
        world.command(_commands(world, outputs))
        world.lift(np.array([outputs.lift, *([False] * (world.robots - 1))]))
        world.step()
        truth.append(world.poses[0].copy())
    engine, geometry = (
        tuple(contact for contact in tally.contacts if contact.robot == 0) for tally in (world.physics, world.oracle)
    )
    inputs, outputs = (tuple(part) for part in zip(*done, strict=True))
    played = Played(situation, policy.hash[:12], inputs, outputs, np.array(truth, np.float64), engine, geometry)
    return played, [step.recorded for step in steps[: len(done)]]


def _commands(world: World, outputs: Outputs) -> NDArray[np.float32]:
    """Commands of all robots, (robots, 2): the others keep theirs."""
    commands = world.twists[:, :2].copy()
    commands[0] = outputs.released
    return commands


class _Grants:
    """Owns the way that was granted and is not yet left."""

    def __init__(self, site: Site, radius: float, steps: Sequence[Walked]) -> None:
        self._site, self._radius = site, radius
        self._pictures = [(step.inputs.stamp, step.inputs.picture) for step in steps]
        self._cells: list[int] = []
        self._next = 0
        self._newest: Picture | None = None

    def picture(self, inputs: Inputs, begin: Inputs, others: Sequence[tuple[float, float]]) -> Picture | None:
        """What the fleet says at a step's inputs, where other robots are at `others` (x, y)."""
        while self._next < len(self._pictures) and self._pictures[self._next][0] <= inputs.stamp:
            self._newest = self._pictures[self._next][1] or self._newest
            grant = self._newest.grant if self._newest is not None else None
            for cell in grant.cells if grant is not None else ():
                if cell not in self._cells:
                    self._cells.append(cell)
            self._next += 1
        newest = self._newest
        if newest is None:
            return None
        under = set(cells_under(self._site, inputs.pose[:2], self._radius))
        on = [index for index, cell in enumerate(self._cells) if cell in under]
        if on:
            del self._cells[: on[0]]
        grant = newest.grant
        late = begin.stamp - begin.picture.stamp if begin.picture is not None else 0
        now = inputs.stamp - late
        if grant is not None:
            expires = now + grant.expires - newest.stamp
            grant = Grant(grant.id, tuple(self._cells), expires)
        near = tuple((x, y, self._radius) for x, y in others)
        return msgspec.structs.replace(
            newest, round=inputs.cycle - 1, stamp=now, grant=grant, robots=near, offer=None, jog=None
        )


def _inputs(world: World, begin: Inputs, number: int, grants: _Grants) -> Inputs:
    """What the robot senses and hears in the restored world."""
    inputs = inputs_of(world.readings(0), begin.cycle + number, authority=begin.authority, speed=begin.speed)
    others = [(float(a), float(b)) for a, b, _ in world.poses[1:]]
    return msgspec.structs.replace(inputs, picture=grants.picture(inputs, begin, others))


def _nothing(offer: Offer, battery: float) -> Chosen | None:
    return None


def _margin(outputs: Sequence[Outputs]) -> str:
    margins = [each.margin for each in outputs if each.margin >= 0.0]
    return f"{min(margins):.2f} m" if margins else "none verified"


def _modes(outputs: Sequence[Outputs]) -> str:
    counts = Counter(each.mode for each in outputs)
    return ", ".join(f"{Mode(mode).name.lower()} {count}" for mode, count in counts.most_common()) or "none"


def _changed(outputs: Sequence[Outputs]) -> str:
    counts = Counter(each.reason.name.lower() for each in outputs if each.reason is not Reason.NONE)
    return f"{counts.total()}" + (f" ({', '.join(f'{k} {n}' for k, n in counts.most_common(4))})" if counts else "")
