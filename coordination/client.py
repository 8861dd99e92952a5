"""The other side of the coordinator: a robot that keeps its lease, and a client that gives work.

A robot reports every cycle and keeps the newest picture it was sent. It owns no clock: the caller passes `now` and gets
the picture with its age, and its grant only while the lease runs. Nothing needs to arrive for the robot to stop:
silence ends the lease.

A client's requests carry an id and are sent again until they are answered; every one of them is idempotent.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from coordination.messages import BoxHead, Grant, Picture, Report
from coordination.requests import (
    Cancel,
    FleetState,
    JogRelease,
    JogState,
    JogTake,
    Query,
    StopRaise,
    StopReset,
    StopState,
    Submit,
    Submitted,
    Task,
)
from coordination.statepages import together
from coordination.transport import Transport
from sim.errors import MusterError
from sim.robot import SECOND

COORDINATOR = "coordinator"
"""The coordinator's name on the wire."""

ADDRESS = "tcp://127.0.0.1:7410"
"""Where the coordinator listens unless told otherwise."""

REPORT_AGAIN = 0.1
"""s; a robot that waits for its picture repeats its report, which may have gone to a coordinator that is no more."""

RESEND = 0.5
"""s; an unanswered request is sent again, because delivery is at most once."""

TASKS_PER_SUBMIT = 50
"""Tasks in one message: with 16 legs each they stay far below MAX_MESSAGE."""

PAGES_MAX = 64
"""Of a fleet state: 12,000 robots. More would be a coordinator that never ends."""

Request = Submit | Cancel | Query | StopRaise | StopReset | JogTake | JogRelease
"""What is asked until it is answered."""

Answer = TypeVar("Answer", Submitted, FleetState, StopState, JogState)


class NoAnswerError(MusterError):
    """The coordinator did not answer in time."""


class RefusedError(MusterError):
    """The coordinator answered that it will not."""


@dataclass(frozen=True)
class View:
    """What a robot knows of the fleet now."""

    picture: Picture | None
    """The newest that came; None before the first"""
    age: float
    """Since its stamp, s; infinite before the first"""
    grant: Grant | None
    """The picture's grant while its lease runs and no stop is latched; None is no permission to move"""
    stopped: bool
    """The emergency stop was latched when the picture was made"""


class CoordinatorClient:
    """Owns a robot's link to the coordinator and the newest picture."""

    def __init__(self, transport: Transport, server: str = COORDINATOR) -> None:
        """`transport` is the robot's end; it is the caller's to close."""
        self.transport = transport
        self.server = server
        self._picture: Picture | None = None
        self._epoch = 0
        """Newest that a picture came from; a clock that begins anew does not change it"""
        self._report: Report | None = None
        self._reported = 0.0
        self.box: BoxHead | None = None
        """Of the robot's black box, to be told with the next report, once"""

    def report(self, report: Report) -> bool:
        """Send the robot's state; False when nobody is there to hear it."""
        if self._epoch:
            report = msgspec.structs.replace(report, epoch=self._epoch)
        if self.box is not None:
            report, self.box = msgspec.structs.replace(report, box=self.box), None
        self._report, self._reported = report, time.monotonic()
        return self.transport.send(self.server, report, report.stamp)

    def poll(self, timeout: float = 0.0) -> None:
        """Take in what has come, waiting at most `timeout` seconds for it. An older picture replaces no newer one.

        Nor does one of an older epoch, whatever its stamp: it is another, former coordinator's. One of a newer epoch
        replaces it, whatever its stamp: that coordinator's time may have begun anew.
        """
        for message in self.transport.receive(timeout):
            body = message.body
            if not isinstance(body, Picture):
                continue
            known = self._picture
            if body.epoch < self._epoch:
                self.transport.counts["older_epoch"] += 1
            elif known is None or (body.epoch, body.stamp) >= (known.epoch, known.stamp):
                self._picture, self._epoch = body, body.epoch

    def forget(self) -> None:
        """The site's clock has begun anew: what was heard and said by the former one holds no more.

        A grant of then would seem to run until that time comes again.
        """
        self._picture = self._report = None

    def wait_for_round(self, number: int, timeout: float) -> bool:
        """Wait (lockstep) until the picture of a round or a later one is here; False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self._picture is None or self._picture.round < number:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.poll(min(left, REPORT_AGAIN))
            self.remind()
        return True

    def remind(self) -> None:
        """For a robot that waits for its picture: send the last report again, every REPORT_AGAIN."""
        if self._report is not None and time.monotonic() - self._reported >= REPORT_AGAIN:
            self.report(self._report)

    def view(self, now: int) -> View:
        """What holds at `now` (site clock, ns)."""
        picture = self._picture
        if picture is None:
            return View(None, float("inf"), None, False)
        leased = picture.grant is not None and now < picture.grant.expires and not picture.stopped
        return View(picture, (now - picture.stamp) / SECOND, picture.grant if leased else None, picture.stopped)


class FleetClient:
    """Gives work to the fleet and asks for its state; each call waits at most its timeout."""

    def __init__(self, transport: Transport, server: str = COORDINATOR) -> None:
        """`transport` is this client's end; it is the caller's to close."""
        self.transport = transport
        self.server = server

    def submit(self, tasks: Sequence[Task], timeout: float = 10.0) -> tuple[str, ...]:
        """Hand tasks over; when this returns they are on the coordinator's disk. Returns their ids.

        Raises RefusedError with the coordinator's reason and NoAnswerError; both leave open how many of several
        hundred tasks were taken: submit the same tasks again, those that are known change nothing.
        """
        accepted: list[str] = []
        for start in range(0, len(tasks), TASKS_PER_SUBMIT):
            part = tuple(tasks[start : start + TASKS_PER_SUBMIT])
            answer = self._ask(Submit(_request(), part), Submitted, timeout)
            if answer.error:
                raise RefusedError(f"the coordinator took no task: {answer.error}")
            accepted += answer.accepted
        return tuple(accepted)

    def query(self, timeout: float = 10.0) -> FleetState:
        """The fleet's state, put together of as many pages as it has; of one that is refused the refusal."""
        deadline = time.monotonic() + timeout
        found = self._ask(Query(_request()), FleetState, timeout)
        for _ in range(PAGES_MAX):
            if found.error or len(found.robots) >= found.of:
                break
            left = max(deadline - time.monotonic(), 0.0)
            more = self._ask(Query(_request(), len(found.robots)), FleetState, left)
            if more.error or not more.robots:
                break  # the coordinator began anew, or robots left meanwhile
            found = together(found, more)
        return found

    def cancel(self, task: str, timeout: float = 10.0) -> None:
        """End a task that has not ended; RefusedError says why it cannot be."""
        answer = self._ask(Cancel(_request(), task), Submitted, timeout)
        if answer.error:
            raise RefusedError(f"task {task} is not cancelled: {answer.error}")

    def stop(self, by: str, reason: str = "", timeout: float = 10.0) -> StopState:
        """Raise the emergency stop; when this returns it is latched on disk."""
        return self._ask(StopRaise(by, reason, _request()), StopState, timeout)

    def reset(self, by: str, stop_epoch: int, timeout: float = 10.0) -> StopState:
        """End the stop of that epoch; RefusedError says why it cannot be."""
        answer = self._ask(StopReset(by, stop_epoch, _request()), StopState, timeout)
        if answer.error:
            raise RefusedError(f"the stop is not reset: {answer.error}")
        return answer

    def _ask(
        self, body: Submit | Cancel | Query | StopRaise | StopReset, answer: type[Answer], timeout: float
    ) -> Answer:
        return ask(self.transport, self.server, body, answer, timeout)


def ask(transport: Transport, server: str, body: Request, answer: type[Answer], timeout: float) -> Answer:
    """Send a request until its answer comes; NoAnswerError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    resend = 0.0
    while (now := time.monotonic()) < deadline:
        if now >= resend:
            # A refused send (no connection yet) is tried again soon, an unanswered one after RESEND.
            resend = now + (RESEND if transport.send(server, body, 0) else 0.02)
        for message in transport.receive(min(resend, deadline) - now):
            if isinstance(message.body, answer) and message.body.request == body.request:
                return message.body
    raise NoAnswerError(f"no answer from {server} within {timeout:g} s; is it running, and is the key its own?")


def new_task_id() -> str:
    """A UUIDv7 (RFC 9562): sorts by time of making, and never meets another."""
    value = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def _request() -> str:
    return secrets.token_hex(8)
