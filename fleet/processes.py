"""The processes of one launch, each in a group of its own, from their start until the last group is gone.

Each writes to runs/<run>/logs/<process>.log; `output: both` copies it to the console with a prefix, `output: screen` as
it comes (on a terminal, so that a progress bar stays alive).

The launch ends when every process has ended, those with `respawn` aside: they are services and are ended then (one
that ends with 0 has said goodbye and is, unlike under ROS, not started again); where there are only services, when the
last has said goodbye. It ends before that where a `shutdown` is due or a process with `on_exit: shutdown` has ended. A
process that fails ends the launch at once: the others are stopped, its last lines are shown, and its exit code is the
launch's. Ctrl-C and SIGTERM stop all: SIGINT to each group, SIGTERM after 10 s, SIGKILL after 5 s more.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fleet.launchplan import Message, Plan, Process
from fleet.launchros import document
from fleet.launchyaml import LaunchError
from fleet.rundir import RunDirectory, amend_record
from sim.files import write_atomic

STOPPING = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a process group is ended, and how many seconds each signal gets: writing a trace takes well under 10 s."""

LAST_LINES = 20
"""Lines of a failed process that are shown."""


class Launch:
    """Owns the processes of one launch, from their start until the last one is gone."""

    def __init__(self, plan: Plan, environment: Mapping[str, str], directory: RunDirectory) -> None:
        """`environment` is what each process gets, its own additions on top."""
        self.environment = {**environment, "PYTHONUNBUFFERED": "1", "MUSTER_LAUNCHER": str(os.getpid())}
        self.directory = directory
        folder = directory.parameters
        self.members = [
            Member(process, write_documents(process, resolve(process), folder)) for process in plan.processes
        ]
        self.messages: deque[Message] = deque(plan.messages)
        self.shutdown = plan.shutdown
        self.lock = threading.Lock()  # console lines of several processes
        self.failed: Member | None = None
        """The first process that failed, once the launch has ended"""

    def run(self) -> int:
        """Start all, wait, stop all; the exit code of the launch."""
        self.failed = None
        interrupted: list[int] = []
        former = {
            number: signal.signal(number, lambda number, _: interrupted.append(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        begin = time.monotonic()
        code = 0
        try:
            while not interrupted and self.failed is None:
                if self._begin_what_is_due(time.monotonic() - begin) or self._is_over():
                    break
                time.sleep(0.05)
                self.failed = self._look_after()
        finally:
            self.stop()
            for number, handler in former.items():
                signal.signal(number, handler)
        if self.failed is not None:
            assert self.failed.code is not None
            code = self.failed.code if self.failed.code >= 0 else 128 - self.failed.code
        elif interrupted:
            code = 128 + interrupted[0]
        amend_record(
            self.directory,
            ended={member.process.name: member.code for member in self.members},
            seconds={member.process.name: round(member.seconds, 1) for member in self.members},
            wall_seconds=round(time.monotonic() - begin, 1),
            exit_code=code,
        )
        return code

    def _begin_what_is_due(self, now: float) -> bool:
        """Start processes and say messages whose time has come; whether a `shutdown` was among them."""
        while self.messages and self.messages[0].start <= now:
            self.print(f"{self.messages.popleft().text}\n".encode())
        due = [member for member in self.members if not member.leaders and member.process.start <= now]
        for member in due:
            member.start(self)
        if due:
            started = {member.process.name: member.leaders[-1].pid for member in self.members if member.leaders}
            commands = {member.process.name: member.process.command for member in self.members}
            amend_record(self.directory, pids=started, processes=commands)
        if self.shutdown is None or self.shutdown.start > now:
            return False
        self.print(f"shutdown: {self.shutdown.text}\n".encode())
        return True

    def _is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        if any(member.ended and member.process.ends_launch for member in self.members):
            return True
        jobs = [member for member in self.members if not member.process.respawn] or self.members
        return self.shutdown is None and not self.messages and all(member.ended for member in jobs)

    def _look_after(self) -> Member | None:
        """Note ends, start again what is to be respawned; the first member that failed."""
        failed = None
        for member in self.members:
            if member.code is None or member.ended:
                continue
            if member.process.respawn and member.code != 0:
                member.start_again(self)
                continue
            member.end()
            if member.code != 0 and failed is None:
                failed = member
        return failed

    def stop(self) -> None:
        """End every process group that is still there."""
        for number, grace in STOPPING:
            alive = [member for member in self.members if member.signal(number)]
            deadline = time.monotonic() + grace
            while any(member.code is None for member in alive) and time.monotonic() < deadline:
                time.sleep(0.02)
        for member in self.members:
            member.reap()

    def print(self, text: bytes) -> None:
        """Write to the console, one caller at a time."""
        with self.lock:
            sys.stdout.buffer.write(text)
            sys.stdout.flush()


def resolve(process: Process) -> list[str]:
    """The program and its arguments; raises `LaunchError` when there is no such program."""
    program, *rest = process.command
    if program == "muster":
        return [sys.executable, "-m", "fleet.cli", *rest]
    if program == "python":
        if rest[:1] == ["-m"] and len(rest) > 1:
            try:
                found = importlib.util.find_spec(rest[1])
            except ModuleNotFoundError:
                found = None
            if found is None:
                raise LaunchError(f"{process.where}: there is no Python module {rest[1]}; correct pkg and exec")
        return [sys.executable, *rest]
    found_program = shutil.which(program)
    if found_program is None:
        raise LaunchError(f"{process.where}: there is no program {program}; install it or correct cmd")
    return [found_program, *rest]


def write_documents(process: Process, command: list[str], folder: Path) -> list[str]:
    """The words of a command with the paths of its parameter files, which are written into `folder`."""
    paths = {}
    for number, text in enumerate(process.documents):
        folder.mkdir(exist_ok=True)
        path = folder / f"{process.name}-{number}.yaml"
        write_atomic(path, text)
        paths[document(number)] = str(path.absolute())
    return [paths.get(word, word) for word in command]


def tell(member: Member, removed: bool) -> None:
    """Say on stderr which process failed and how, with the end of its log unless that stands on the console already."""
    assert member.code is not None
    how = f"exit code {member.code}" if member.code >= 0 else f"killed by {signal.Signals(-member.code).name}"
    rest = "nothing had happened yet, the run directory is removed" if removed else f"its log is {member.log_path}"
    print(f"muster launch: {member.process.name} failed ({how}); {rest}", file=sys.stderr)
    for line in member.tail if member.process.output == "log" else ():
        print(f"    {line.decode(errors='replace').rstrip()}", file=sys.stderr)


class Member:
    """One process, its log and the thread that copies its output."""

    def __init__(self, process: Process, command: list[str]) -> None:
        self.process = process
        self.command = command
        self.ended = False
        self.begun = self.seconds = 0.0
        self.tail: deque[bytes] = deque(maxlen=LAST_LINES)
        self.again = float("inf")  # monotonic time of the next start
        self.leaders: list[subprocess.Popen[bytes]] = []  # the running one last, those it replaced before
        self._code: int | None = None

    def start(self, launch: Launch) -> None:
        """Start it; raises `LaunchError` where that fails."""
        self.log_path = launch.directory.logs / f"{self.process.name}.log"
        on_terminal = self.process.output == "screen" and sys.stdout.isatty()
        environment = {**launch.environment, **self.process.environment}
        if on_terminal:
            reading, writing = pty.openpty()
            termios.tcsetwinsize(writing, termios.tcgetwinsize(sys.stdout.fileno()))
        else:
            reading, writing = os.pipe()
        try:
            leader = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.process.directory,
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise LaunchError(f"{self.process.where}: cannot start {self.command[0]}: {error.strerror}") from error
        finally:
            os.close(writing)
        self.leaders.append(leader)
        self.begun = time.monotonic()
        self._code = None
        self.again = float("inf")
        self.copier = threading.Thread(target=self._copy, args=(reading, launch), daemon=True)
        self.copier.start()

    def start_again(self, launch: Launch) -> None:
        """Respawn once the delay is over."""
        now = time.monotonic()
        self.again = min(self.again, now + self.process.respawn_delay)
        if now >= self.again:
            launch.print(f"[{self.process.name}] ended with {self.code}; started again\n".encode())
            self.start(launch)

    def end(self) -> None:
        """Note that it has ended for good."""
        if self.leaders and not self.ended:
            self.ended = True
            self.seconds = time.monotonic() - self.begun

    @property
    def code(self) -> int | None:
        """None before its start and while its leader lives, else its exit code, negative for a signal.

        The leader is not reaped before the launch ends: until then nobody else can get its process group's number.
        """
        if not self.leaders:
            return None
        if self._code is None:
            end = os.waitid(os.P_PID, self.leaders[-1].pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is not None:
                self._code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        return self._code

    def signal(self, number: int) -> bool:
        """Signal the group if its leader lives; whether it does."""
        if not self.leaders or self.code is not None:
            return False
        os.killpg(self.leaders[-1].pid, number)
        return True

    def reap(self) -> None:
        """End what the leaders left behind in their groups, then let the groups go."""
        self.end()
        for leader in self.leaders:
            if leader.returncode is None:
                os.killpg(leader.pid, signal.SIGKILL)
                leader.wait()
        if hasattr(self, "copier"):
            self.copier.join(timeout=2.0)  # its last output

    def _copy(self, reading: int, launch: Launch) -> None:
        prefix = f"[{self.process.name}] ".encode()
        rest = b""
        with self.log_path.open("ab") as log, os.fdopen(reading, "rb", buffering=0) as stream:
            while chunk := _read(stream):
                with contextlib.suppress(OSError):  # a full disk must not block the process
                    log.write(chunk)
                    log.flush()
                if self.process.output == "screen":
                    launch.print(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                self.tail.extend(lines)
                if self.process.output == "both":
                    launch.print(b"".join(prefix + line + b"\n" for line in lines))
        if rest:
            self.tail.append(rest)
            if self.process.output == "both":
                launch.print(prefix + rest + b"\n")


def _read(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(65536)
    except OSError:  # a terminal reports the end of its last writer as an error
        return b""
