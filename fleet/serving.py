"""Which version answers in a running control loop, and how another one takes its place between two steps.

    any thread       request(place) ---> loader's thread: load, check, warm up
    the loop         take()         <--- what came of it: the new version is `current`, the one before stays `previous`
    the loop         back()              `previous` is `current` again, at once: it was never let go

The loop waits for nothing: `take` looks at a deque between two steps and moves two references, so a step is answered by
one version whole. What cannot be loaded is refused in one line, and what drives drives on. A version that is let go is
freed on the loader's thread too.

The loader has no lower priority: a thread that holds the interpreter lock and is not scheduled would hold up the loop.
What is served, and what makes it fit, the caller says (`load`; a robot's is in fleet/served.py).
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from sim.errors import MusterError

LOOK = 1.0
"""How often the loader looks for requests (`look`) while it has nothing to do, s."""

CLOSE = 5.0
"""How long the end waits for a load in progress, s."""


class Named(Protocol):
    """What can be served: it has a name that says which one it is."""

    @property
    def name(self) -> str:
        """Of its content: equal names answer alike."""
        ...


V = TypeVar("V", bound=Named)


class Outcome(Enum):
    """What became of a request."""

    SWAPPED = "swapped"
    SAME = "same"
    """It was driving already"""
    BACK = "back"
    REFUSED = "refused"


@dataclass(frozen=True)
class Change:
    """What became of one request."""

    outcome: Outcome
    number: int
    """The request's"""
    line: str
    """For a person"""

    @property
    def swapped(self) -> bool:
        """Another version answers than before."""
        return self.outcome in (Outcome.SWAPPED, Outcome.BACK)


class Serving(Generic[V]):
    """Owns the versions in force and their loader's thread. `take` and `back` belong to the control loop alone."""

    def __init__(self, first: V, load: Callable[[Path], V], look: Callable[[], None] | None = None) -> None:
        """`load` returns what is ready to answer or raises `MusterError`; `look` is called there when it is idle."""
        self.current = first
        self.previous: V | None = None
        """Kept warm: `back` needs nothing but it"""
        self._load = load
        self._look = look
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ready: deque[Callable[[], Change]] = deque()
        self._thread = threading.Thread(target=self._work, name="policies", daemon=True)

    def start(self) -> None:
        """Start the loader's thread."""
        self._thread.start()

    def request(self, place: Path, number: int = 0) -> None:
        """Ask for the version that lies at `place`. From any thread; returns at once."""
        self._jobs.put(partial(self._prepare, place, number))

    def request_back(self, number: int = 0, name: str = "") -> None:
        """Ask for the version before, which is `name` if given. From any thread; the loop does it between two steps."""
        self._ready.append(partial(self.back, number, name))

    def later(self, job: Callable[[], None]) -> None:
        """Let the loader's thread do what would hold up the loop: writing down what changed."""
        self._jobs.put(job)

    def take(self) -> Change | None:
        """What became of the oldest request that is done, None without one. The loop calls it between two steps.

        At most one version changes in a call, in constant time.
        """
        return self._ready.popleft()() if self._ready else None

    def back(self, number: int = 0, name: str = "") -> Change:
        """Make the version before the one in force; the one that drove until now is kept warm in its place.

        Where `name` is given it is refused for any other version.
        """
        if name and name == self.current.name:
            return Change(Outcome.SAME, number, f"{name} drives already")
        if self.previous is not None and name not in ("", self.previous.name):
            line = f"expected {name} to be kept warm, {self.previous.name} is; {self.current.name} drives on"
            return Change(Outcome.REFUSED, number, line)
        if self.previous is None:
            line = f"expected a version before {self.current.name} to go back to, none drove; it drives on"
            return Change(Outcome.REFUSED, number, line)
        self.current, self.previous = self.previous, self.current
        return Change(Outcome.BACK, number, f"{self.current.name} drives again, {self.previous.name} is kept warm")

    def close(self) -> None:
        """End the loader's thread; a load in progress is finished, and nobody takes it."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(CLOSE)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=LOOK)
            except queue.Empty:
                if self._look is None:
                    continue
                job = self._look
            if job is None:
                return
            try:
                job()
            except MusterError as error:  # a request that cannot be read, a full disk
                print(" ".join(str(error).splitlines()), flush=True)
            except Exception:  # our own mistake must not end the thread: requests would go unanswered for ever
                traceback.print_exc()
            del job  # or the next wait would keep what it refers to

    def _prepare(self, place: Path, number: int) -> None:
        try:
            loaded = self._load(place)
        except MusterError as error:
            self._ready.append(partial(self._refuse, number, " ".join(str(error).splitlines())))
        except Exception as error:  # a library's own: whatever it is, what drives drives on
            traceback.print_exc()
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._ready.append(partial(self._refuse, number, f"{place}: {said}"))
        else:
            self._ready.append(partial(self._swap, number, loaded))

    def _refuse(self, number: int, why: str) -> Change:
        return Change(Outcome.REFUSED, number, f"refused, {self.current.name} drives on: {why}")

    def _swap(self, number: int, loaded: V) -> Change:
        if loaded.name == self.current.name:
            return Change(Outcome.SAME, number, f"{loaded.name} drives already")
        if self.previous is not None:
            self._jobs.put(partial(_let_go, self.previous))
        self.current, self.previous = loaded, self.current
        return Change(Outcome.SWAPPED, number, f"{loaded.name} drives, {self.previous.name} is kept warm")


def _let_go(version: object) -> None:
    """Hold the last reference to a version until the loader's thread drops it: freeing a large graph takes long."""
