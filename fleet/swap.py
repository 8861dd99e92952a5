"""`muster swap RUN --policy DIR | --back`: another policy for the robots of a run, while they drive.

    muster swap ---> RUN/swap.json: a numbered request
    each host   ---> RUN/serving-<first robot>.json: which version answers, which is kept warm, what became of it

Both files are in the run directory, whose key is there too: who may write there may tell its robots what to do. A host
(`muster robot`) looks on its loader's thread once a second; the control loop reads no file. The request that stands in
the run is also what a robot takes up that is started again; one to go back names the version, so that robots that have
not the same one behind them do not end up with two.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tyro.conf import Positional

from fleet.rollout.leasing import Tether
from fleet.rundir import open_run
from fleet.seat import Seat
from fleet.served import POLICIES, Served, kept
from fleet.serving import Change, Outcome, Serving
from sim.errors import MusterError, printable
from sim.files import FileError, read_file, write_atomic

REQUEST = "swap.json"
VERSION = 1
"""Of both files; stands under `muster`."""
SIZE_MAX = 1 << 20
"""Bytes of either; each has some hundred."""
PERIOD = 0.1
"""Between two looks for answers, s."""


class SwapError(MusterError):
    """A swap cannot be asked for, or was refused."""


@dataclass(frozen=True)
class Config:
    """Give the robots of a run another policy while they drive."""

    run: Positional[Path]
    """The run directory"""
    policy: Path | None = None
    """Directory with policy.onnx and policy.json of the policy that is to drive"""
    back: bool = False
    """Let the version before drive again, at once"""
    patience: float = 30.0
    """How long the robots' answers are waited for, s"""


class Request(msgspec.Struct, frozen=True):
    """swap.json."""

    muster: int
    number: int
    policy: str = ""
    """Empty to go back to the version before"""
    version: str = ""
    """Name of that version"""


class Status(msgspec.Struct, frozen=True):
    """serving-<first robot>.json."""

    muster: int
    pid: int
    robots: tuple[str, ...]
    current: str
    """Version that answers"""
    previous: str = ""
    """Version that is kept warm"""
    number: int = 0
    """The newest request that it answered"""
    outcome: str = ""
    """What became of that (fleet.serving.Outcome)"""
    line: str = ""


def run(config: Config) -> int:
    """Ask every host of the run and print what each says; raises SwapError when one refuses or does not answer."""
    if (config.policy is None) == (not config.back):
        raise SwapError("expected either --policy DIR or --back; give one of them")
    if not config.patience > 0.0:
        raise SwapError(f"--patience: expected a time above 0 s, got {config.patience:g}; give for example 30")
    root = open_run(config.run).root
    hosts = _hosts(root)
    if not hosts:
        raise SwapError(f"expected robots that drive in {root}, none do; start them with `muster robot`")
    standing = read_request(root)
    request = Request(
        VERSION,
        max([standing.number if standing is not None else 0, *(host.number for host in hosts.values())]) + 1,
        *((str(config.policy.resolve()), "") if config.policy is not None else ("", version_before(hosts.values()))),
    )
    write_atomic(root / REQUEST, _text(request))
    waiting, refused = set(hosts), []
    deadline = time.monotonic() + config.patience
    while waiting and time.monotonic() < deadline:
        time.sleep(PERIOD)
        for path in sorted(waiting):
            status = _read_status(path)
            if status is not None and status.number >= request.number:
                waiting.discard(path)
                print(printable(f"{', '.join(status.robots)}: {status.line}"), flush=True)
                refused += [status] if status.outcome == Outcome.REFUSED.value else []
    if waiting:
        silent = ", ".join(robot for path in sorted(waiting) for robot in hosts[path].robots)
        raise SwapError(f"expected an answer within {config.patience:g} s, {silent} gave none; are they alive?")
    if refused:
        names = ", ".join(robot for status in refused for robot in status.robots)
        raise SwapError(f"{names} drive on with what they had; give another policy or ask again")
    return 0


def version_before(hosts: Iterable[Status]) -> str:
    """The one version that some hosts keep warm, and that all others drive by already or keep warm too.

    Raises SwapError where there is none or more than one: hosts that refused a swap have other versions behind them.
    """
    told = tuple(hosts)
    common = set.intersection(*({host.current, host.previous} for host in told)) - {""}
    found = sorted(common & {host.previous for host in told})
    if len(found) == 1:
        return found[0]
    stand = "; ".join(f"{', '.join(host.robots)} by {host.current} after {host.previous or 'none'}" for host in told)
    raise SwapError(printable(f"expected one version to go back to, robots drive {stand}; name one by --policy"))


class Desk:
    """A host's side of it: owns what answers its robots. The control loop calls `swap`, the loader's thread looks."""

    def __init__(self, root: Path, seats: Sequence[Seat], first: Served, load: Callable[[Path], Served]) -> None:
        self.serving = Serving(first, load, self._look)
        self._root, self._seats = root, tuple(seats)
        self._robots = tuple(seat.name for seat in seats)
        self.tether: Tether[Served] | None = None
        """What ties the versions to a rollout's lease; None where none is asked for"""
        self._path = root / f"serving-{self._robots[0]}.json"
        self._seen = 0
        self._answered = 0
        """The newest request that was answered"""
        self._distrust: set[str] = set()
        """Versions on which a guard opened: none of them is gone back to by itself"""
        self._complaint = ""

    def open(self) -> None:
        """The robots are ready: say what answers them, and look for requests from now on."""
        self.serving.start()
        self.serving.later(self._telling(None))

    def close(self) -> None:
        """Take no more requests."""
        self.serving.close()

    def swap(self) -> None:
        """Between two steps: let all robots be answered by another version, if one is ready or theirs is distrusted.

        Where a lease says what drives, a rollout decides that; a robot whose breaker is open is driven by its fallback.
        """
        if self.tether is None:
            change = self.serving.take() or self._distrusted()
        else:
            change = self.tether.keep([seat.place for seat in self._seats])
            for seat in self._seats:
                seat.speed = self.tether.speed
        if change is None:
            return
        served, self._answered = self.serving.current, max(self._answered, change.number)
        release = self.tether.release if self.tether is not None else ""
        for seat in self._seats:
            seat.release = release[:12]
            seat.metrics.swap(seat.name, change.outcome.value)
            if change.swapped:
                seat.stepper.use(served.policy, served.chooser)
                if seat.box is not None:
                    seat.box.restate(policy=served.policy.hash, contract=served.policy.contract_hash, release=release)
        self.serving.later(self._telling(change))

    def _distrusted(self) -> Change | None:
        """Go back to the version before once the guards of most robots here have opened on the one that answers.

        One robot of many with an open breaker has a fault of its own: its fallback drives it, the others drive on.
        """
        opened = [name for seat in self._seats if (name := seat.opened)]
        current, before = self.serving.current, self.serving.previous
        if not opened or 2 * opened.count(current.policy.hash[:12]) < len(self._seats):
            return None
        self._distrust.add(current.policy.hash)
        if before is None or before.policy.hash in self._distrust:
            return None
        return self.serving.back(self._answered)

    def _look(self) -> None:
        """Pass on a request that is new."""
        try:
            request = read_request(self._root)
        except SwapError as error:
            if str(error) != self._complaint:  # once, not every second
                self._complaint = str(error)
                raise
            return
        if request is None or request.number == self._seen:
            return
        self._seen = request.number
        if request.policy:
            self.serving.request(Path(request.policy), request.number)
        elif self._new_here(request.version) and (place := kept(self._root / POLICIES, request.version)):
            self.serving.request(place, request.number)
        else:
            self.serving.request_back(request.number, request.version)

    def _new_here(self, version: str) -> bool:
        """Whether this process has never had a version that others of the run go back to: it was started since."""
        known = (self.serving.current, self.serving.previous)
        return all(one is None or one.name != version for one in known)

    def _telling(self, change: Change | None) -> Callable[[], None]:
        """The job that says what answers now: files and terminals may block, which the loop must not."""
        current, previous = self.serving.current, self.serving.previous
        status = Status(
            VERSION,
            os.getpid(),
            self._robots,
            current.name,
            previous.name if previous is not None else "",
            change.number if change is not None else 0,
            change.outcome.value if change is not None else "",
            change.line if change is not None else "",
        )

        def tell() -> None:
            if change is not None:
                print(f"{', '.join(self._robots)}: {change.line}", flush=True)
            write_atomic(self._path, _text(status))

        return tell


def read_request(root: Path) -> Request | None:
    """The request that stands in a run; None when there is none. Raises SwapError when it cannot be read."""
    path = root / REQUEST
    try:
        if not path.exists():
            return None
        request = msgspec.json.decode(read_file(path, SIZE_MAX), type=Request)
    except (FileError, msgspec.MsgspecError) as error:
        raise SwapError(f"expected a request in {path}, it cannot be read ({error}); ask with `muster swap`") from error
    if request.muster != VERSION:
        raise SwapError(
            f"expected a request of version {VERSION}, {path} has {request.muster}; ask with the robots' muster"
        )
    return request


def _hosts(root: Path) -> dict[Path, Status]:
    """The hosts of a run whose process lives."""
    found = {path: _read_status(path) for path in sorted(root.glob("serving-*.json"))}
    return {path: status for path, status in found.items() if status is not None and _alive(status.pid)}


def _read_status(path: Path) -> Status | None:
    try:
        return msgspec.json.decode(read_file(path, SIZE_MAX), type=Status)
    except (FileError, msgspec.MsgspecError):
        return None


def _alive(process: int) -> bool:
    if not 0 < process < 1 << 31:  # 0 and below are groups of processes; the file is somebody's
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _text(record: Request | Status) -> str:
    return json.dumps(msgspec.to_builtins(record), indent=2) + "\n"
