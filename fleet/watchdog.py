"""The watchdog: a process of its own that brings robots to rest when their loop dies or hangs.

The loop publishes, after each released command, the stored stopping plan (commands for the coming periods, verified by
the shield together with that command) and, at every turn of its own loop, a heartbeat, in memory that both processes
share. It joins the plant only once the watchdog has said there that it is up, so that no robot drives unwatched, and
says there in turn by which clock the plant runs. When the heartbeat stands still for longer than it may, the watchdog
joins the plant in that role, plays the plan from where it stands and then the last command of every plan: rest. The
plant hears the loop again only after a new join. It takes a watchdog that the robot itself named when it joined, and no
other.

Shared memory: an anonymous file that the child inherits, one region per robot. A plan is written into one of two slots
in turn, each with a checksum, so that a writer killed half way leaves the other one whole. The reader takes the newer
valid one; a reader without any valid plan commands a stop, which is the best that is left.

This module knows nothing about policies and shields: it imports the wire alone.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordination.keys import Keys, read_keys
from coordination.messages import Done, Join, Leave
from coordination.transport import Transport
from coordination.zmq_transport import ZmqClient

PLAN_COMMANDS = 40
"""Room for a plan: 1.5 m/s at 1.5 m/s^2 are 10 periods; turning and slower brakes fit as well."""
POLL = 0.02
"""Between two looks at the heartbeats, s: a fifth of the period."""
WALL_PERIODS = 2
"""A loop is dead after so many periods without heartbeat in wall time."""
LOCKSTEP_SILENCE = 1.0
"""And after this long in lockstep, s: half of the plant's patience (2 s), many times what a loaded host holds up."""
ORPHANED = 20.0
"""A watchdog whose loop is gone for good ends this long after it took over, s: its robots have long been at rest."""
START = 20.0
"""A watchdog that is not up this long after its start never will be, s: a loaded host takes a second or two."""
PLANT = "plant"

_UP, _CLOCK, _HEAD = 0, 1, 8
"""Before the regions, two bytes: 1 once the watchdog is up, and the place in CLOCKS of the plant's clock."""
CLOCKS = ("", "wall", "lockstep")
_BEAT = struct.Struct("<qq")
"""heartbeat (monotonic ns), 1 while the loop drives"""
_PLAN = struct.Struct(f"<qqqi{2 * PLAN_COMMANDS}f")
"""published (monotonic ns), period (ns), round, commands in use, commands"""
_SUM = struct.Struct("<I")
_SLOT = _PLAN.size + _SUM.size
_REGION = _BEAT.size + 2 * _SLOT


@dataclass(frozen=True)
class StoredPlan:
    """What to command when nobody else does: `commands[k]` from `published` + k periods on, then rest."""

    published: int
    """Monotonic clock, ns"""
    period: int
    """ns"""
    round: int
    commands: tuple[tuple[float, float], ...]
    """v (m/s), w (rad/s) of the coming periods, the one in force first"""

    def at(self, now: int) -> tuple[float, float]:
        """The command at `now` (monotonic ns): the plan's, and rest after its end."""
        return self.after(max(now - self.published, 0) // self.period)

    def after(self, periods: int) -> tuple[float, float]:
        """The command `periods` after publication."""
        return self.commands[periods] if periods < len(self.commands) else (0.0, 0.0)


class Board:
    """The shared memory of one host: a region for each robot. Both processes map the same anonymous file."""

    def __init__(self, robots: Sequence[str], handle: int | None = None) -> None:
        """Make the memory, or map the one behind an inherited file handle."""
        self.robots = tuple(robots)
        size = _HEAD + _REGION * len(self.robots)
        if handle is None:
            handle = _anonymous()
            os.ftruncate(handle, size)
        self.handle = handle
        self._map = mmap.mmap(handle, size)
        self._turn = [0] * len(self.robots)

    def beat(self, now: int, driving: bool = True) -> None:
        """The loop is alive (all robots); `driving` False says that it ended by its own will."""
        for index in range(len(self.robots)):
            _BEAT.pack_into(self._map, _region(index), now, int(driving))

    @property
    def watched(self) -> bool:
        """A watchdog is up."""
        return bool(self._map[_UP])

    def watch(self) -> None:
        """The watchdog is up, and reads."""
        self._map[_UP] = 1

    @property
    def clock(self) -> str:
        """The plant's: lockstep or wall; empty until the loop has told."""
        return CLOCKS[self._map[_CLOCK]]

    @clock.setter
    def clock(self, name: str) -> None:
        self._map[_CLOCK] = CLOCKS.index(name)

    def publish(self, index: int, plan: StoredPlan) -> None:
        """Store a robot's plan; costs a few microseconds."""
        commands = plan.commands[:PLAN_COMMANDS]
        values = [value for command in commands for value in command]
        values += [0.0] * (2 * PLAN_COMMANDS - len(values))
        data = _PLAN.pack(plan.published, plan.period, plan.round, len(commands), *values)
        start = _region(index) + _BEAT.size + self._turn[index] * _SLOT
        self._map[start : start + _SLOT] = data + _SUM.pack(zlib.crc32(data))
        self._turn[index] ^= 1

    def heartbeat(self, index: int) -> tuple[int, bool]:
        """Time of the last heartbeat (monotonic ns) and whether the loop drives."""
        beat, driving = _BEAT.unpack_from(self._map, _region(index))
        return beat, bool(driving)

    def plan(self, index: int) -> StoredPlan | None:
        """The newest whole plan; None when there is none."""
        found: StoredPlan | None = None
        for slot in range(2):
            start = _region(index) + _BEAT.size + slot * _SLOT
            data = self._map[start : start + _PLAN.size]
            (checksum,) = _SUM.unpack_from(self._map, start + _PLAN.size)
            published, period, number, count, *values = _PLAN.unpack(data)
            if checksum != zlib.crc32(data) or period <= 0 or not 0 <= count <= PLAN_COMMANDS:
                continue
            if found is None or published >= found.published:
                commands = tuple(zip(values[: 2 * count : 2], values[1 : 2 * count : 2], strict=True))
                found = StoredPlan(published, period, number, commands)
        return found

    def close(self) -> None:
        """Unmap; the memory goes with the last process that has it."""
        self._map.close()
        os.close(self.handle)


@dataclass
class Watch:
    """Decides when the watchdog speaks and what it says; owns nothing but these decisions. No socket, no clock."""

    board: Board
    silence: int
    """A loop is dead after this long without a heartbeat, ns"""
    lockstep: bool
    speaking: set[int] = field(default_factory=set)
    """Robots that the watchdog speaks for"""
    _said: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By robot: the round and the period of its plan for which a command was sent last"""

    def look(self, now: int) -> tuple[str, ...]:
        """Robots that the watchdog newly speaks for (monotonic ns); one whose heart beats again is let go."""
        taken = []
        for index, robot in enumerate(self.board.robots):
            beat, driving = self.board.heartbeat(index)
            dead = driving and now - beat > self.silence
            if dead and index not in self.speaking:
                taken.append(robot)
                self.speaking.add(index)
                self._said.pop(index, None)
            elif not dead:
                self.speaking.discard(index)
        return tuple(taken)

    def commands(self, now: int, newest_round: int) -> list[Done]:
        """What to send now: one command a period in wall time, one a round in lockstep."""
        out = []
        for index in sorted(self.speaking):
            plan = self.board.plan(index) or StoredPlan(0, 100_000_000, newest_round - 1, ())
            periods = max(now - plan.published, 0) // plan.period
            # the plant hears no answer to a round that is over: in wall time its round has gone on with the clock
            open_round = max(newest_round, plan.round + (1 if self.lockstep else 1 + periods))
            turn = (open_round, 0 if self.lockstep else periods)
            if self._said.get(index) == turn:
                continue
            self._said[index] = turn
            command = plan.after(open_round - plan.round) if self.lockstep else plan.at(now)
            out.append(Done(self.board.robots[index], open_round, command, "watchdog"))
        return out

    @property
    def over(self) -> bool:
        """Every loop has begun and ended by its own will."""
        beats = [self.board.heartbeat(index) for index in range(len(self.board.robots))]
        return all(beat > 0 and not driving for beat, driving in beats)


def serve(board: Board, plant: Transport, period: int, loop: int) -> None:
    """Watch until every loop ended by its own will, the plant ended, or a dead loop's robots have long been at rest.

    `period` is the control period, ns; `loop` the process id of the loop.
    """
    board.watch()
    watch = Watch(board, WALL_PERIODS * period, lockstep=False)
    while not board.clock:  # the loop waits for its plant, and no robot drives
        if watch.over or not _alive(loop):
            return
        time.sleep(POLL)
    if board.clock == "lockstep":
        watch = Watch(board, int(LOCKSTEP_SILENCE * 1e9), lockstep=True)
    newest_round = 0
    took_at = time.monotonic()
    while not watch.over:
        for message in plant.receive(POLL):
            if isinstance(message.body, Leave):
                return
            newest_round = max(newest_round, getattr(message.body, "round", 0))
        taken = watch.look(time.monotonic_ns())
        if taken:
            plant.send(PLANT, Join("watchdog", taken), 0)
            print(f"the loop of {', '.join(taken)} is silent: playing the stored plans", flush=True)
            took_at = time.monotonic()
        for done in watch.commands(time.monotonic_ns(), newest_round):
            plant.send(PLANT, done, 0)
        if not _alive(loop) and time.monotonic() - took_at > ORPHANED:
            return


def start(board: Board, address: str, key: Path | None, *, period: int, log: Path | None) -> subprocess.Popen[bytes]:
    """Start the watchdog of this process, in a session of its own so that no signal to the loop's group reaches it."""
    words = [sys.executable, "-m", "fleet.watchdog", str(board.handle), ",".join(board.robots), address]
    words += [str(key) if key else "-", str(period), str(os.getpid())]
    output = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            words, pass_fds=(board.handle,), start_new_session=True, stdout=output, stderr=subprocess.STDOUT
        )
    finally:
        if output:
            output.close()


def main(words: Sequence[str]) -> int:
    """`python -m fleet.watchdog HANDLE ROBOTS ADDRESS KEY PERIOD LOOP`, as `start` calls it."""
    handle, robots, address, key, period, loop = words
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the loop, which says when it is over
    board = Board(robots.split(","), int(handle))
    keys: Keys | None = None if key == "-" else read_keys(key)
    plant = ZmqClient(name_of(board.robots, int(loop)), PLANT, keys, address)
    try:
        serve(board, plant, int(period), int(loop))
    finally:
        plant.close()
    return 0


def name_of(robots: Sequence[str], loop: int) -> str:
    """The name on the wire of the watchdog of these robots, which they give the plant when they join.

    The loop's process id tells it from the watchdog of a loop that died before and may still be speaking. Its key
    follows from that of the first robot (`coordination.keys.GUARD`), whose name is cut where it is longer than some
    16 characters: then only the fleet key gives it.
    """
    return f"watchdog_{loop}_{robots[0]}"[:32]


def _region(index: int) -> int:
    return _HEAD + index * _REGION


def _anonymous() -> int:
    """An open file without a name: memfd on Linux, an unlinked temporary file elsewhere."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("muster-watchdog")
    handle, name = tempfile.mkstemp()
    os.unlink(name)
    return handle


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
