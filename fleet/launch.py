"""The launch runner, `muster launch FILE name:=value ...`: starts the processes of a launch file and ends them all.

Before anything is made it reads the whole file and lets each muster command check its own words, by the function
`check` beside the command's `run`: values, floors, policies and ports are refused at once, under the names of the
launch arguments that they came from. Then it makes the run directory and the fleet key, compiles kernels once, and
starts every process in a group of its own with MUSTER_RUN in its environment. Each writes to
runs/<run>/logs/<process>.log; `output: both` copies it to the console with a prefix, `output: screen` as it comes (on a
terminal, so that a progress bar stays alive).

The launch ends when every process has ended, those with `respawn` aside: they are services and are ended then (one
that ends with 0 has said goodbye and is, unlike under ROS, not started again). A process that fails ends the launch at
once: the others are stopped, its last lines are shown, and its exit code is the launch's; where it refused its input
(exit code 2) before anything had happened, the run directory is removed. Ctrl-C and SIGTERM stop all: SIGINT to each
group, SIGTERM after 10 s, SIGKILL after 5 s more.

Free ports for the servers stand in the environment of the file (`$(env MUSTER_PLANT tcp://127.0.0.1:7411)`), so that
two launches do not meet and the same file works under `ros2 launch`; MUSTER_POLICY is the newest run with a policy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import tyro

from coordination.keys import ensure_keys
from fleet import cli
from fleet.launchfile import Plan, Process, read_plan, split_assignments
from fleet.launchyaml import LaunchError
from fleet.rundir import ENVIRONMENT, RunDirectory, amend_record, create_run, discard_unused, open_run
from sim.errors import MusterError

STOPPING = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a process group is ended, and how many seconds each signal gets: writing a trace takes well under 10 s."""

LAST_LINES = 20
"""Lines of a failed process that are shown."""

PORTS = ("MUSTER_PLANT", "MUSTER_COORDINATOR")
"""Variables that get the address of a free loopback port, unless they are set already."""


@dataclass(frozen=True)
class Config:
    """Start the processes of a launch file."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """The launch file, then its arguments as name:=value."""
    show_args: bool = False
    """Print the file's arguments with defaults and descriptions, and end."""
    show_randomization: bool = False
    """Print what varies in the file's task, with the arguments applied, and end."""
    runs: Path = Path("runs")
    """Where the run directory is made."""
    warm: bool = True
    """Compile kernels in one process before the others start."""


def run(config: Config) -> int:
    """Read the file, make the run directory, run the processes; returns the exit code of the launch."""
    if not config.words or ":=" in config.words[0]:
        raise LaunchError("expected a launch file: muster launch FILE name:=value ...")
    path, given = Path(config.words[0]), split_assignments(config.words[1:])
    environment = {**os.environ, **free_addresses(os.environ), **newest_policy(os.environ, config.runs)}
    if config.show_args:
        print(describe(path, read_plan(path, given, environment, listing=True)))
        return 0
    checked = read_plan(path, given, {**environment, ENVIRONMENT: os.environ.get(ENVIRONMENT, str(config.runs))})
    if config.show_randomization:
        print(describe_randomization(path, checked))
        return 0
    for process in checked.processes:
        resolve(process)  # a missing program is said before anything starts
    check(checked)
    if ENVIRONMENT in os.environ:
        directory = open_run(Path(os.environ[ENVIRONMENT]))
    else:
        seed = checked.values.get("seed", "")
        directory = create_run(
            config.runs,
            arguments=["muster", "launch", *config.words],
            config=dict(checked.values),
            seed=int(seed) if seed.isdecimal() else None,
            clock=checked.values.get("clock", "lockstep"),
        )
        ensure_keys(directory.key)
    environment[ENVIRONMENT] = str(directory.root)
    plan = read_plan(path, given, environment)
    addresses = {name: environment[name] for name in PORTS}
    amend_record(directory, addresses=addresses)
    print(f"run directory: {directory.root}", flush=True)
    print(", ".join(f"{name}={address}" for name, address in addresses.items()), flush=True)
    for message in plan.messages:
        print(message, flush=True)
    if config.warm and any(process.command[0] == "muster" for process in plan.processes):
        warm_kernels(environment)
    launch = Launch(plan.processes, environment, directory)
    code = launch.run()
    removed = code == 2 and bool(discard_unused())
    if launch.failed is not None:
        tell(launch.failed, removed)
    return code


def check(plan: Plan) -> None:
    """Let each muster command of a plan refuse what cannot work; two that want one port are refused too.

    Raises `LaunchError` that names the process and, where one is to blame, the launch argument.
    """
    taken: dict[str, str] = {}
    for process in plan.processes:
        program, *words = process.command
        if program != "muster":
            continue
        try:
            with contextlib.chdir(process.directory or "."):
                listening = _check_command(words)
        except (MusterError, OSError) as error:
            raise LaunchError(_in_words_of_the_file(str(error), process, plan)) from error
        for option, address in listening.items():
            wanted = _in_words_of_the_file(option, process, plan)
            if address in taken and not address.endswith(":*"):
                raise LaunchError(f"{wanted} and {taken[address]} both want {address}; give each a port of its own")
            taken[address] = wanted


def _check_command(words: list[str]) -> dict[str, str]:
    """Check one command line; what it will listen on, by option."""
    when, words = cli.split_when(words)
    if not words or {"-h", "--help", "help", "--version"} & set(words):
        return {}
    module, config = cli.understand(words)
    later = Path(when) if when and not Path(when).exists() else None
    if hasattr(module, "check"):
        module.check(config, later)
    return module.ports(config) if hasattr(module, "ports") else {}


def _in_words_of_the_file(text: str, process: Process, plan: Plan) -> str:
    """A command's complaint with its options replaced by the launch arguments that gave them their values.

    Where none did, the place in the file is named.
    """

    def argument(match: re.Match[str]) -> str:
        name = process.sources.get(match.group(), "")
        return f"{name}:={plan.values[name]}" if name in plan.values else match.group()

    plain = re.sub(rf"^({'|'.join(cli.COMMANDS)}): | \(muster \w+ --help\)$", "", text)
    said = re.sub(r"--[a-z][a-z-]*", argument, plain)
    place = f"{process.where}: " if said == plain and plain.startswith("--") else ""
    return f"{place}{process.name}: {said}"


def free_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """tcp://127.0.0.1:PORT for each of `PORTS` that is not set; all ports are held while they are chosen."""
    with contextlib.ExitStack() as stack:
        addresses = {}
        for name in PORTS:
            if name not in environment:
                holder = stack.enter_context(socket.socket())
                holder.bind(("127.0.0.1", 0))
                addresses[name] = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        return addresses


def newest_policy(environment: Mapping[str, str], runs: Path) -> dict[str, str]:
    """MUSTER_POLICY: the newest run directory with a frozen policy, unless it is set or there is none."""
    manifests = sorted(runs.glob("*/policy.json"))  # run directories are named by their time
    return {"MUSTER_POLICY": str(manifests[-1].parent)} if manifests and "MUSTER_POLICY" not in environment else {}


def describe(path: Path, plan: Plan) -> str:
    """The text of --show-args."""
    lines = [f"Arguments of {path} (name:=value):"]
    for argument in plan.arguments:
        default = "required" if argument.default is None else f"default: {argument.default or '(empty)'}"
        choices = f"; one of {', '.join(argument.choices)}" if argument.choices else ""
        lines.append(f"  {argument.name}  ({default}{choices})")
        if argument.description:
            lines.append(f"      {argument.description}")
    return "\n".join(lines if plan.arguments else [f"{path} takes no arguments."])


def describe_randomization(path: Path, plan: Plan) -> str:
    """The text of --show-randomization: the tables of each command that has some, by `randomization` beside its `run`.

    Raises `LaunchError` where no command has one.
    """
    from sim.vary import Table
    from sim.varyfile import show

    shown = []
    for process in plan.processes:
        _, words = cli.split_when(list(process.command[1:]))
        if process.command[0] != "muster" or not words:
            continue
        try:
            module, command = cli.understand(words)
            if not hasattr(module, "randomization"):
                continue
            tables: dict[str, Table] = module.randomization(command)
        except MusterError as error:
            raise LaunchError(_in_words_of_the_file(str(error), process, plan)) from error
        shown += [f"What varies in {task} ({process.name} of {path}):\n{show(table)}" for task, table in tables.items()]
    if not shown:
        raise LaunchError(
            f"{path}: expected a command that draws its episodes from a table, got none; train or simulate"
        )
    return "\n\n".join(shown)


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


def warm_kernels(environment: Mapping[str, str]) -> None:
    """Fill the kernel caches before many processes look for them at once."""
    result = subprocess.run(
        [sys.executable, "-m", "fleet.warm"], env=dict(environment), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"kernels do not compile:\n{result.stdout}{result.stderr}")
    print(result.stdout.strip().splitlines()[-1], flush=True)


def tell(member: _Member, removed: bool) -> None:
    """Say on stderr which process failed and how, with the end of its log unless that stands on the console already."""
    assert member.code is not None
    how = f"exit code {member.code}" if member.code >= 0 else f"killed by {signal.Signals(-member.code).name}"
    rest = "nothing had happened yet, the run directory is removed" if removed else f"its log is {member.log_path}"
    print(f"muster launch: {member.process.name} failed ({how}); {rest}", file=sys.stderr)
    for line in member.tail if member.process.output == "log" else ():
        print(f"    {line.decode(errors='replace').rstrip()}", file=sys.stderr)


class Launch:
    """Owns the processes of one launch, from their start until the last one is gone."""

    def __init__(self, processes: tuple[Process, ...], environment: Mapping[str, str], directory: RunDirectory) -> None:
        """`environment` is what each process gets, its own additions on top."""
        self.environment = {**environment, "PYTHONUNBUFFERED": "1", "MUSTER_LAUNCHER": str(os.getpid())}
        self.directory = directory
        self.members = [_Member(process, resolve(process)) for process in processes]
        self.lock = threading.Lock()  # console lines of several processes
        self.failed: _Member | None = None
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
            for member in self.members:
                member.start(self)
            amend_record(self.directory, pids={member.process.name: member.leaders[-1].pid for member in self.members})
            while not interrupted and self.failed is None:
                time.sleep(0.05)
                self.failed = self._look_after()
                if all(member.ended for member in self.members if not member.process.respawn):
                    break
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
            processes={member.process.name: member.process.command for member in self.members},
            ended={member.process.name: member.code for member in self.members},
            seconds={member.process.name: round(member.seconds, 1) for member in self.members},
            wall_seconds=round(time.monotonic() - begin, 1),
            exit_code=code,
        )
        return code

    def _look_after(self) -> _Member | None:
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


class _Member:
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
        if not self.ended:
            self.ended = True
            self.seconds = time.monotonic() - self.begun

    @property
    def code(self) -> int | None:
        """None while its leader lives, else its exit code, negative for a signal.

        The leader is not reaped before the launch ends: until then nobody else can get its process group's number.
        """
        if not self.leaders:
            return 0
        if self._code is None:
            end = os.waitid(os.P_PID, self.leaders[-1].pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is not None:
                self._code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        return self._code

    def signal(self, number: int) -> bool:
        """Signal the group if its leader lives; whether it does."""
        if self.code is not None:
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
