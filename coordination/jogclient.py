"""An operator's side of driving by hand: take a robot, say again and again how it is to move, hand it back.

A wish is never repeated by anyone: who wants the robot to go on says so again (`move`, every SEND), and silence stops
it (`safety/manual.py`). Each wish brings back the stamp of the newest answer, so that the coordinator can tell how old
it is; the lease is renewed on the way when half of it is gone. One that has ended, while a terminal slept, is not taken
anew by that: a person does so.
"""

from __future__ import annotations

import secrets
import time

from coordination.client import COORDINATOR, RefusedError, ask
from coordination.requests import JogMove, JogRelease, JogState, JogTake
from coordination.rules import LEASE
from coordination.transport import Transport

SEND = 0.05
"""s between wishes: several within the dead-man, so that one that is lost stops nothing."""


class JogClient:
    """Owns an operator's link to the coordinator and what it said last of one robot."""

    def __init__(self, transport: Transport, by: str, server: str = COORDINATOR) -> None:
        """`transport` is the operator's end, the caller's to close; `by` says which person and terminal."""
        self.transport, self.by, self.server = transport, by, server
        self.state = JogState("", "")
        """The newest answer"""
        self.lease = 0
        """What was taken, by its number; 0 for nothing"""
        self.answered = time.monotonic()
        """Wall time at which it came"""

    def take(self, robot: str, timeout: float = 5.0) -> JogState:
        """Have a robot; when this returns the lease is on the coordinator's disk.

        Raises RefusedError with the coordinator's reason and NoAnswerError.
        """
        return self._ask(JogTake(secrets.token_hex(8), robot, self.by), "is not taken", timeout)

    def release(self, robot: str, timeout: float = 5.0) -> JogState:
        """Hand a robot back; when this returns that is on disk. Raises as `take` does."""
        return self._ask(JogRelease(secrets.token_hex(8), robot, self.by), "is not handed back", timeout)

    def move(self, v: float, w: float) -> JogState:
        """Say how the robot that was taken is to move, m/s and rad/s; does not wait. Returns what is known of it."""
        self.listen()
        state = self.state
        if self.lease and state.expires - state.stamp < LEASE // 2:
            self.transport.send(self.server, JogTake(secrets.token_hex(8), state.robot, self.by, self.lease), 0)
        # numbers rise from one process of this terminal to the next
        wish = JogMove("", state.robot, self.lease, time.monotonic_ns(), state.stamp, v, w)
        self.transport.send(self.server, wish, 0)
        return state

    def listen(self, timeout: float = 0.0) -> None:
        """Take in what the coordinator said, waiting at most `timeout` seconds for it."""
        for message in self.transport.receive(timeout):
            body = message.body
            if isinstance(body, JogState) and body.robot == self.state.robot and body.stamp >= self.state.stamp:
                self.state, self.answered = body, time.monotonic()

    def _ask(self, message: JogTake | JogRelease, what: str, timeout: float) -> JogState:
        state = ask(self.transport, self.server, message, JogState, timeout)
        if state.error:
            raise RefusedError(f"{message.robot} {what}: {state.error}")
        self.state, self.answered, self.lease = state, time.monotonic(), state.lease
        return state
