"""`muster jog`: drive one robot by hand, under its shield, and hand it back.

    muster jog                                     which robots ask for an operator, and who has one
    muster jog r3                                  take r3 and drive it with the keys (a terminal is needed)
    muster jog r3 --speed -0.2 --seconds 2         take r3 and drive it so for two seconds
    muster jog r3 --release                        hand r3 back: it plans from where it stands
    muster jog r3 --bus auto                       of a fleet that talks over ROS 2

A robot can be taken that asks for an operator or stands stopped (after `muster estop raise` all do). It moves only
while a key is held, at 0.3 m/s at most, never where its shield lets nobody drive. It stays the operator's until it is
handed back: when the lease has ended it stands. The key must be an operator's, as for `muster estop reset`.

Exit code 1 where --seconds went by and the robot had not answered.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional, Suppress

from coordination.client import ADDRESS, FleetClient
from coordination.estop import OPERATOR
from coordination.jogclient import SEND, JogClient
from coordination.requests import FleetState, JogState
from fleet.estop import find_keys, who
from fleet.reach import reach
from fleet.ros.bus import BusKind
from safety.manual import JOG_SPEED
from safety.supervisor import Cause, Mode
from sim.errors import MusterError
from sim.robot import SECOND

HOLD = 0.5
"""s that a key counts as held: terminals tell presses alone, and repeat a held key first after 0.25 to 0.5 s."""

TURN = 0.5
"""rad/s of the keys for turning: the rim of a robot of 0.4 m at two thirds of its cap."""

KEYS = {
    "w": (JOG_SPEED, 0.0), "\x1b[A": (JOG_SPEED, 0.0),
    "s": (-JOG_SPEED, 0.0), "\x1b[B": (-JOG_SPEED, 0.0),
    "a": (0.0, TURN), "\x1b[D": (0.0, TURN),
    "d": (0.0, -TURN), "\x1b[C": (0.0, -TURN),
}  # fmt: skip
"""v (m/s), w (rad/s) by key: letters and arrows."""

HELP = "w/s or arrows drive, a/d turn, any other key stops; r hands back and ends, q ends"


class JogError(MusterError):
    """The command line cannot be done."""


@dataclass(frozen=True)
class Config:
    """Drive one robot by hand."""

    robot: Positional[str] = ""
    """Its name; without one, who asks and who has whom is listed"""
    release: bool = False
    """Hand it back"""
    speed: float = 0.0
    """m/s, negative backwards; with --seconds"""
    turn: float = 0.0
    """rad/s, positive to the left; with --seconds"""
    seconds: float = 0.0
    """Drive at --speed and --turn for so long; the keys do otherwise"""
    address: str = ADDRESS
    """Of the coordinator; over a bus ros or ros:/SPACE"""
    bus: BusKind = "none"
    """How the coordinator is reached: none: at --address; else over ROS 2"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments"""
    key: Path | None = None
    """An operator's key file; $MUSTER_RUN/fleet.key if not given and there"""
    name: str = ""
    """Who speaks, if the key is the fleet's: operator_ and more; this terminal's own name if not given"""
    timeout: float = 5.0
    """s to wait for the coordinator"""


def run(config: Config) -> int:
    """Do what the command line says and print how it stands; raises MusterError where that cannot be."""
    keys = find_keys(config.key)
    if keys is None:
        raise JogError("expected a key, got none; name an operator's key file with --key")
    numbers = (config.speed, config.turn, config.seconds)
    if not all(map(math.isfinite, numbers)) or config.seconds < 0.0:
        raise JogError(f"expected numbers, and a time from 0 s up, got {numbers}; give for example --seconds 2")
    if not config.robot and (config.release or any(numbers)):
        raise JogError("expected the name of a robot, got none; give one, as in `muster jog r3`")
    if any(numbers[:2]) and not config.seconds:
        raise JogError("--speed and --turn: expected for how long, got no --seconds; give for example --seconds 2")
    by_keys = bool(config.robot) and not config.release and not config.seconds
    if by_keys and not sys.stdin.isatty():
        raise JogError("the keys: expected a terminal, got none; give --speed, --turn and --seconds")
    name = (config.name or own_name()) if keys.fleet is not None else next(iter(keys.nodes))
    with contextlib.ExitStack() as stack:
        end = reach(stack, "jog", name, keys, config.address, config.bus, config.ros_arguments, config.timeout)
        client = JogClient(end, terminal())
        if not config.robot:
            print(listing(FleetClient(end).query(config.timeout)))
        elif config.release:
            client.release(config.robot, config.timeout)
            print(f"{config.robot} is handed back")
        else:
            state = client.take(config.robot, config.timeout)
            print(describe(state), flush=True)
            if by_keys:
                print(HELP, flush=True)
                with raw_keys() as pressed:
                    _drive_by_keys(client, pressed, config.timeout)
            else:
                drive(client, config.speed, config.turn, config.seconds, config.timeout)
                print(describe(client.state))
                return 0 if client.state.obeyed else 1
    return 0


def drive(client: JogClient, v: float, w: float, seconds: float, timeout: float) -> None:
    """Want the same for a time, then nothing; raises JogError where the robot is lost to us, or nobody answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.move(v, w)
        client.listen(SEND)
        _check(client, timeout)
        time.sleep(SEND)  # an answer comes sooner than that
    client.move(0.0, 0.0)
    client.listen(SEND)


@dataclass
class Held:
    """Which key is held, as far as presses tell: owns the newest one and its time."""

    wish: tuple[float, float] = (0.0, 0.0)
    until: float = 0.0

    def press(self, key: str, now: float) -> None:
        """A key came at `now`, s."""
        self.wish, self.until = KEYS.get(key, (0.0, 0.0)), now + HOLD

    def wanted(self, now: float) -> tuple[float, float]:
        """The wish now: v (m/s), w (rad/s)."""
        return self.wish if now < self.until else (0.0, 0.0)


def _drive_by_keys(client: JogClient, pressed: Callable[[float], str], timeout: float) -> None:
    held = Held()
    while True:
        key = pressed(SEND)
        if key in ("q", "\x03", "\x04"):
            break
        if key == "r":
            client.release(client.state.robot, timeout)
            break
        if key:
            held.press(key, time.monotonic())
        client.move(*held.wanted(time.monotonic()))
        client.listen()
        _check(client, timeout)
        print(f"\r\x1b[K{describe(client.state)}", end="", flush=True)
    client.move(0.0, 0.0)
    print()
    print(
        f"{client.state.robot} is handed back" if key == "r" else f"{describe(client.state)}; --release hands it back"
    )


@contextlib.contextmanager
def raw_keys() -> Iterator[Callable[[float], str]]:
    """A function that waits for a key, at most so many seconds, and returns it; empty for none."""
    import termios  # a terminal's alone: the listing and --seconds work without one
    import tty

    descriptor = sys.stdin.fileno()
    former = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        if not select.select([descriptor], [], [], seconds)[0]:
            return ""
        text = os.read(descriptor, 64).decode(errors="replace")
        if not text:
            return "q"  # the terminal is gone
        return text[-3:] if text[-3:] in KEYS else text[-1]  # of several the newest

    tty.setcbreak(descriptor)
    try:
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, former)


def terminal() -> str:
    """Which person at which terminal this is: the same for two commands of one shell."""
    return f"{who()}@{socket.gethostname()}:{os.getsid(0)}"


def own_name() -> str:
    """An operator's name that is this terminal's alone: a name that speaks from two places is heard from the newer."""
    person = re.sub("[^a-z0-9]", "_", who().lower())[:12]
    return f"{OPERATOR}_{person}_{os.getsid(0)}"[:32]


def _check(client: JogClient, timeout: float) -> None:
    """Raise JogError where the robot is not ours any more, or nobody says so."""
    state = client.state
    if time.monotonic() - client.answered > timeout:
        raise JogError(
            f"no answer for {timeout:g} s, so {state.robot} stands; does the coordinator run, and does nobody else "
            "speak by this name?"
        )
    if state.lease != client.lease or (state.error and state.stamp >= state.expires):
        why = state.error or (f"{state.operator} ({state.by}) has it" if state.lease else "it was handed back")
        raise JogError(f"{state.robot} is not driven any more: {why}")


def describe(state: JogState) -> str:
    """How it stands with a robot, in one line."""
    x, y, _ = state.pose
    left = max(state.expires - state.stamp, 0) / SECOND
    mode = Mode(state.mode).name if state.mode in list(Mode) else f"mode {state.mode}"
    cause = Cause(state.reason).name if state.reason in list(Cause) else f"cause {state.reason}"
    why = f", {cause}" if state.reason else ""
    waits = "" if state.obeyed else ", has not answered yet"
    trouble = f": {state.error}" if state.error else ""
    return (
        f"{state.robot} at {x:.2f} m, {y:.2f} m, {state.twist[0]:.2f} m/s, {mode}{why}{waits}; "
        f"{state.operator} for {left:.0f} s{trouble}"
    )


def listing(fleet: FleetState) -> str:
    """Who asks for an operator, and who has one."""
    lines = [f"{robot} asks for an operator" for robot in fleet.asking]
    for jog in fleet.jogs:
        left = (jog.expires - fleet.stamp) / SECOND
        until = f"for {left:.0f} s more" if left > 0.0 else "the lease has ended: it stands until it is handed back"
        lines.append(f"{jog.robot} is driven by {jog.operator} ({jog.by}), {until}")
    return "\n".join(lines or ["no robot asks for an operator, and none is driven by hand"])
