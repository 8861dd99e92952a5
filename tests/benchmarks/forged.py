"""forged: muster messages that were made up, changed or told again, and how many of them an end believes.

A coordinator and three robots talk over a transport, in messages of a rehearsal with tasks. Some of them live twice:
the server starts anew, then two of the robots. A forger that heard all (`forgeries.py`) then speaks to the coordinator
and to a robot: ten kinds in equal parts, other than emergency stops. What an end takes as received is believed.

    accepted    over all transports
    in_process, zmq, loop, dds
                on one; the rival's value is the number of messages that were judged

Of the million on each transport 10,000 of each kind go through it, the rest into the `Wire` of the same two ends,
which every transport puts in front of what it hands out. At the end both ends still believe their true peers.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from figure import Figure
from forgedrigs import KEYS, RIGS, SERVER, End, Rig
from forgeries import Forger

from coordination.coordinator import Coordinator
from coordination.messages import Heard, Leg, LegKind
from coordination.rehearsal import Floor
from coordination.requests import Query, Submit, Task
from coordination.tasks import Store
from coordination.wire import Received, Wire
from fleet.ros.bus import BusError
from tests.coordination.floors import floor, task_id

ROBOTS = ("r0", "r1", "r2")
CYCLES = 40
"""Of the rehearsal, for each part of the exchange."""
CHUNK = 60
"""Frames under way at once: fewer than any transport queues."""
JUDGED = ("received", "replayed", "forged", "malformed", "oversized", "unsigned", "foreign_major", "unknown")
"""What becomes of a frame."""

Said = tuple[str, str, msgspec.Struct, int]
"""Sender, receiver, body, stamp."""


def measure(quick: bool) -> Iterable[Figure]:
    """Messages believed; the number of all that were judged is the rival's value."""
    total, through = (20_000, 200) if quick else (1_000_000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        talk = rehearsed(Path(folder), 3 * CYCLES)
    figures = []
    for seed, (name, make) in enumerate(RIGS.items()):
        try:
            rig = make()
        except BusError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        try:
            tried = attacked(rig, talk, total, through, seed)
        finally:
            rig.close()
        print(f"{name}: {tried}", file=sys.stderr, flush=True)
        figures.append(Figure(name, tried.accepted, "1", "messages", tried.judged))
    yield Figure("accepted", sum(f.value for f in figures), "1", "messages", sum(f.rival_value or 0 for f in figures))
    yield from figures


@dataclass
class Tried:
    """What came of an attack."""

    accepted: int = 0
    judged: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    """Frames that went through the transport, by kind"""
    verdicts: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    """Frames that the transport did not bring"""


def attacked(rig: Rig, talk: list[list[Said]], total: int, through: int, seed: int) -> Tried:
    """Let the ends talk, attack both, and see that they still talk."""
    ends, forgers = staged(rig, talk, seed)
    tried = Tried()
    for name, forger in forgers.items():
        drain(ends[name])
        strike(rig, ends[name], name, forger, total // 2, through // 2, tried)
    rig.leave()
    for name in (SERVER, *ROBOTS):
        drain(ends[name])
    converse(ends, talk[:1])
    for end in ends.values():
        end.close()
    return tried


def staged(rig: Rig, talk: list[list[Said]], seed: int) -> tuple[dict[str, End], dict[str, Forger]]:
    """The ends after they have talked, some in their second life, and who attacks which."""
    ends: dict[str, End] = {}
    tapes: dict[str, list[bytes]] = {}
    former: dict[str, list[bytes]] = {}

    def begin(name: str) -> None:
        if name in ends:
            ends[name].close()
        ends[name] = rig.server() if name == SERVER else rig.client(name)
        former[name], tapes[name] = tapes.get(name, []), []
        tap(ends[name].wire, tapes)

    third = len(talk) // 3
    for name in (SERVER, *ROBOTS):
        begin(name)
    converse(ends, talk[:third])
    begin(SERVER)
    for name in ROBOTS:
        rig.find(ends[name])
    tapes.update({name: [] for name in ROBOTS})  # what the new server has not heard is no forgery to it
    converse(ends, talk[third : 2 * third])
    begin("r1")
    begin("r2")
    converse(ends, talk[2 * third :])
    to_server = [frame for name in ROBOTS for frame in tapes[name]]
    to_robot, to_others = shared_out(tapes[SERVER], ends["r0"])
    draw = random.Random(seed)
    return ends, {
        SERVER: Forger(KEYS, "r0", "r0", SERVER, "r1", to_server, former["r1"] + former["r2"], tapes[SERVER], draw),
        "r0": Forger(
            KEYS,
            "r0",
            SERVER,
            "r0",
            "r1",
            to_robot,
            shared_out(former[SERVER], ends["r0"])[0],
            to_others + to_server,
            draw,
        ),
    }


def strike(rig: Rig, end: End, name: str, forger: Forger, total: int, through: int, tried: Tried) -> None:
    """So many of each kind through the transport, and the rest of `total` into the end's wire."""
    start = {kind: end.counts[kind] for kind in JUDGED}
    kinds = list(forger.made)

    def judged() -> int:
        return sum(end.counts[kind] - start[kind] for kind in JUDGED)

    turn = 0
    while turn < through * len(kinds):
        chosen = [kinds[(turn + step) % len(kinds)] for step in range(CHUNK)]
        turn += CHUNK
        expected = judged() + CHUNK
        rig.strike(name, [forger.made[kind]() for kind in chosen])
        deadline = time.monotonic() + 2.0
        while judged() < expected and time.monotonic() < deadline:
            end.receive(0.0)
        tried.lost += expected - judged()
        for kind in chosen:
            tried.kinds[kind] = tried.kinds.get(kind, 0) + 1
    while judged() < total:
        for make in forger.made.values():
            end.wire.decode(make())
    end.wire.repeated.clear()
    for kind in JUDGED:
        tried.verdicts[kind] = tried.verdicts.get(kind, 0) + end.counts[kind] - start[kind]
    tried.accepted = tried.verdicts["received"]
    tried.judged += judged()


def converse(ends: dict[str, End], talk: Iterable[list[Said]]) -> None:
    """Say what was said, cycle by cycle; everything must be heard."""
    for cycle in talk:
        for upward in (True, False):
            said = [words for words in cycle if (words[1] == SERVER) == upward]
            for sender, receiver, body, stamp in said:
                assert ends[sender].send(receiver, body, stamp), f"{sender} does not reach {receiver}"
            for receiver in {words[1] for words in said}:
                expected = sum(words[1] == receiver for words in said)
                heard: list[Received] = []
                deadline = time.monotonic() + 10.0
                while len(heard) < expected and time.monotonic() < deadline:
                    heard += ends[receiver].receive(0.05)
                assert len(heard) == expected, f"{receiver} heard {len(heard)} of {expected}"
    for end in ends.values():
        drain(end)


def drain(end: End) -> None:
    """Take all acknowledgements that are still under way."""
    for _ in range(3):
        assert end.receive(0.01) == []


def tap(wire: Wire, tapes: dict[str, list[bytes]]) -> None:
    """Record what an end says, but for acknowledgements, which its peer may not have taken yet."""
    encode = wire.encode

    def taped(receiver: str, body: msgspec.Struct, stamp: int, *, signed: bool = True) -> bytes:
        frame = encode(receiver, body, stamp, signed=signed)
        if not isinstance(body, Heard):
            tapes[wire.me].append(frame)
        return frame

    wire.encode = taped


def shared_out(frames: Iterable[bytes], end: End) -> tuple[list[bytes], list[bytes]]:
    """Those that were meant for an end, and those for others: a `Wire` of its name that has heard nothing tells."""
    shared: tuple[list[bytes], list[bytes]] = ([], [])
    for frame in frames:
        shared[Wire(end.wire.me, KEYS, server=False).decode(frame) is None].append(frame)
    return shared


def rehearsed(folder: Path, cycles: int) -> list[list[Said]]:
    """What robots, a person and the coordinator say to each other while tasks are done, by cycles."""
    site = floor(*["............", ".@@@.@@@@.@.", "............", ".@@@.@@@@.@.", "............"])
    store = Store(folder / "tasks.sqlite")
    core = Taped(Coordinator(site, store))
    stage = Floor(site, core, [0, 11, 48], seed=3)  # type: ignore[arg-type]  # all of a coordinator that a floor uses
    cells = [int(cell) for cell in site.free_cells]
    for number in range(12):
        goals = (
            Leg(cells[7 * number % len(cells)], LegKind.FETCH),
            Leg(cells[11 * number % len(cells)], LegKind.DELIVER),
        )
        core.handle("r0", Submit(f"q{number}", (Task(task_id(number), goals),)), stage.now)
    talk = []
    for number in range(cycles):
        if number % 5 == 0:
            core.handle("r0", Query(f"p{number}"), stage.now)
        stage.cycle()
        talk.append(list(core.take()))
    store.close()
    return talk


class Taped:
    """A coordinator, and what was said to it and what it said."""

    def __init__(self, core: Coordinator) -> None:
        self.core = core
        self.store = core.store
        self._tape: list[Said] = []

    def handle(self, sender: str, message: msgspec.Struct, now: int) -> list[tuple[str, msgspec.Struct]]:
        self._tape.append((sender, SERVER, message, now))
        return self._say(self.core.handle(sender, message, now), now)

    def tick(self, now: int) -> list[tuple[str, msgspec.Struct]]:
        return self._say(self.core.tick(now), now)

    def take(self) -> Iterator[Said]:
        """What was said since the last call."""
        yield from self._tape
        self._tape = []

    def _say(self, out: Iterable[tuple[str, msgspec.Struct]], now: int) -> list[tuple[str, msgspec.Struct]]:
        said = list(out)
        self._tape += [(SERVER, peer, body, now) for peer, body in said]
        return said
