"""Another version in a running loop: taken between two steps, refused in one line, taken back at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.serving import Change, Outcome, Serving
from sim.errors import MusterError


@dataclass(frozen=True)
class Version:
    name: str


class Loader:
    """Loads what a path is named after; waits while `hold` is not set."""

    def __init__(self) -> None:
        self.hold = threading.Event()
        self.hold.set()
        self.threads: set[str] = set()

    def __call__(self, place: Path) -> Version:
        self.threads.add(threading.current_thread().name)
        assert self.hold.wait(10.0)
        if place.name == "bad":
            raise MusterError("expected a policy,\nbad is none")
        if place.name == "broken":
            raise RuntimeError("a library's own words\nand its stack")
        return Version(place.name)


@pytest.fixture
def load() -> Loader:
    return Loader()


@pytest.fixture
def serving(load: Loader) -> Iterator[Serving[Version]]:
    made = Serving(Version("a"), load)
    made.start()
    yield made
    load.hold.set()
    made.close()


def change(serving: Serving[Version]) -> Change:
    """What becomes of the next request."""
    return until(serving.take)


def until(look: Callable[[], Change | None]) -> Change:
    deadline = time.monotonic() + 10.0
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found


def test_the_version_before_is_taken_by_its_name_alone(serving: Serving[Version]) -> None:
    assert serving.back(1, "a") == Change(Outcome.SAME, 1, "a drives already")
    serving.request(Path("b"))
    assert change(serving).swapped
    done = serving.back(2, "c")
    assert (done.outcome, serving.current) == (Outcome.REFUSED, Version("b"))
    assert done.line == "expected c to be kept warm, a is; b drives on"
    serving.request_back(3, "a")
    assert serving.take() == Change(Outcome.BACK, 3, "a drives again, b is kept warm")


def test_a_version_is_loaded_on_another_thread_and_drives_when_the_loop_takes_it(
    serving: Serving[Version], load: Loader
) -> None:
    load.hold.clear()
    serving.request(Path("b"), number=7)
    for _ in range(50):  # the loop goes on meanwhile
        assert serving.take() is None
        assert serving.current == Version("a")
    load.hold.set()
    done = change(serving)
    assert done == Change(Outcome.SWAPPED, 7, "b drives, a is kept warm")
    assert (serving.current, serving.previous) == (Version("b"), Version("a"))
    assert load.threads == {"policies"}


def test_nothing_changes_between_two_calls_of_take(serving: Serving[Version]) -> None:
    first = serving.current
    serving.request(Path("b"))
    time.sleep(0.1)
    assert serving.current is first


def test_going_back_needs_no_loading_and_can_be_undone(serving: Serving[Version], load: Loader) -> None:
    serving.request(Path("b"))
    before = serving.current
    change(serving)
    load.hold.clear()  # nothing can be loaded now
    assert serving.back(3) == Change(Outcome.BACK, 3, "a drives again, b is kept warm")
    assert serving.current is before
    assert serving.back().swapped
    assert serving.current == Version("b")


def test_there_is_no_way_back_from_the_first_version(serving: Serving[Version]) -> None:
    done = serving.back()
    assert (done.outcome, done.swapped) == (Outcome.REFUSED, False)
    assert "none drove" in done.line
    assert serving.current == Version("a")


@pytest.mark.parametrize(("place", "said"), [("bad", "bad is none"), ("broken", "broken: a library's own words")])
def test_what_cannot_be_loaded_is_refused_in_one_line_and_the_loader_lives_on(
    serving: Serving[Version], place: str, said: str
) -> None:
    serving.request(Path(place), number=2)
    done = change(serving)
    assert (done.outcome, done.number, done.swapped) == (Outcome.REFUSED, 2, False)
    assert done.line.startswith("refused, a drives on: ")
    assert done.line.endswith(said)
    assert "\n" not in done.line
    assert (serving.current, serving.previous) == (Version("a"), None)
    serving.request(Path("b"))
    assert change(serving).outcome is Outcome.SWAPPED


def test_what_drives_already_is_not_swapped_and_the_version_before_stays(serving: Serving[Version]) -> None:
    for place, outcome in (("b", Outcome.SWAPPED), ("b", Outcome.SAME)):
        serving.request(Path(place))
        assert change(serving).outcome is outcome
    assert serving.previous == Version("a")


def test_requests_are_taken_in_order_and_one_at_a_time(serving: Serving[Version]) -> None:
    for name in ("b", "c", "d"):
        serving.request(Path(name))
    time.sleep(0.1)
    for name in ("b", "c", "d"):
        assert change(serving).swapped
        assert serving.current == Version(name)


def test_a_version_that_is_let_go_is_freed_on_the_loaders_thread() -> None:
    freed: list[str] = []

    class Large:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            freed.append(f"{self.name} {threading.current_thread().name}")

    serving: Serving[Large] = Serving(Large("a"), lambda place: Large(place.name))
    serving.start()
    for name in ("b", "c"):
        serving.request(Path(name))
        until(serving.take)
    deadline = time.monotonic() + 10.0
    while not freed and time.monotonic() < deadline:
        time.sleep(0.001)
    serving.close()
    assert freed == ["a policies"]


def test_a_mistake_in_a_job_is_told_and_ends_nothing(
    serving: Serving[Version], capsys: pytest.CaptureFixture[str]
) -> None:
    def mistaken() -> None:
        raise ZeroDivisionError("division by zero")

    def full() -> None:
        raise MusterError("cannot write: no space left on device")

    serving.later(mistaken)
    serving.later(full)
    serving.request(Path("b"))
    assert change(serving).outcome is Outcome.SWAPPED
    told = capsys.readouterr()
    assert "ZeroDivisionError" in told.err
    assert told.out == "cannot write: no space left on device\n"
