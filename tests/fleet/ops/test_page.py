"""The operator page in a real browser: what a person sees of a fleet, and what the buttons do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fleet.rollout.events import FILE, Store
from tests.fleet.browser import Tab, browse, needs_chromium
from tests.fleet.ops.smallfleet import Served, SmallFleet, served, small_fleet
from tests.fleet.rollout.rollouts import started

pytestmark = [needs_chromium, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]

DRIVING, LATCHED = (0x1F, 0x8F, 0x4D), (0x8E, 0x17, 0x10)
DESKTOP, PHONE = (1280, 860), (390, 844)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SmallFleet]:
    with small_fleet(tmp_path / "run") as made:
        yield made


@contextlib.contextmanager
def opened(page: Served, folder: Path, size: tuple[int, int], link: str) -> Iterator[Tab]:
    """A browser of this size that shows a link of the page, once it has shown robots."""
    folder.mkdir()
    with browse("about:blank", folder, size) as tab:
        tab.ask("Network.enable")
        tab.ask(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[0] < 600,
        )
        tab.ask("Page.navigate", url=link)
        until(tab, "live")
        yield tab


def value(tab: Tab, expression: str) -> object:
    return tab.ask("Runtime.evaluate", expression=expression, awaitPromise=True)["result"].get("value")


def until(tab: Tab, words: str, seconds: float = 40.0) -> str:
    """All of the page's words, once these are among them."""
    end = time.monotonic() + seconds
    while words not in (text := tab.text()):
        assert time.monotonic() < end, f"{words!r} is not in: {text}"
        time.sleep(0.1)
    return text


def click(tab: Tab, selector: str) -> None:
    """As a person does it: in the middle of what is seen there."""
    place = value(
        tab,
        f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        " return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2]); })()",
    )
    x, y = json.loads(str(place))
    for kind in ("mousePressed", "mouseReleased"):
        tab.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def of_colour(colour: tuple[int, int, int]) -> Callable[[NDArray[np.uint8]], int]:
    return lambda picture: int((np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_shows_floor_robots_reasons_tasks_and_alarms(
    fleet: SmallFleet, tmp_path: Path, size: tuple[int, int]
) -> None:
    with served(str(fleet.folder)) as page, opened(page, tmp_path / "browser", size, page.link) as tab:
        text = until(tab, "r1 stands latched: its bumper was touched")
        for words in ("1 of 3 done", "read-only", "83 %", "on its way", "1 latched", "r0"):
            assert words in text, words
        for words in ("EMERGENCY STOP", "Acknowledge", "Reset", "Kill"):
            assert words not in text, words
        canvas = json.loads(str(value(tab, "JSON.stringify(document.querySelector('canvas').getBoundingClientRect())")))
        assert canvas["width"] > 0.6 * min(size[0], 900)
        value(tab, "document.querySelector('canvas').scrollIntoView()")
        drawn = tab.wait(lambda picture: of_colour(DRIVING)(picture) > 40 and of_colour(LATCHED)(picture) > 40)
        assert of_colour(DRIVING)(drawn) > 40
        assert of_colour(LATCHED)(drawn) > 40
        wide = value(tab, "document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, "nothing is beside the screen"
        hosts = value(
            tab, "JSON.stringify(performance.getEntriesByType('resource').map(one => new URL(one.name).host))"
        )
        assert set(json.loads(str(hosts))) == {f"127.0.0.1:{page.port}"}


def test_an_operator_stops_resets_and_acknowledges(fleet: SmallFleet, tmp_path: Path) -> None:
    key = str(fleet.folder / "operator_ann.key")
    with served(str(fleet.folder), "--key", key) as page, opened(page, tmp_path / "browser", DESKTOP, page.link) as tab:
        until(tab, "operator_ann")
        assert "#" not in str(value(tab, "location.href")), "the token is not to stand in the history"
        until(tab, "Acknowledge")
        click(tab, "#alarms button")
        until(tab, "acknowledged by operator_ann")
        click(tab, "#stop")
        until(tab, "Emergency stop 1 is latched")
        until(tab, "STOPPED")
        click(tab, "#reset")
        until(tab, "Reset emergency stop 1?")
        click(tab, "dialog button[value=no]")
        time.sleep(0.5)
        assert "STOPPED" in tab.text()
        click(tab, "#reset")
        until(tab, "Reset emergency stop 1?")
        click(tab, "#ask-yes")
        until(tab, "not stopped (stops so far: 1)")
        until(tab, "live")
        tab.ask("Page.reload")
        until(tab, "operator_ann")  # the browser stays the operator's


def test_an_operator_kills_a_rollout_and_a_page_that_reads_does_not(fleet: SmallFleet, tmp_path: Path) -> None:
    store = Store(fleet.folder / FILE, fleet.keys)
    store.append(started())
    hidden = "document.querySelector('#kill').hidden"
    with served(str(fleet.folder)) as page, opened(page, tmp_path / "reader", DESKTOP, page.link) as tab:
        until(tab, "offline")
        assert value(tab, hidden) is True
    key = str(fleet.folder / "operator_ann.key")
    with served(str(fleet.folder), "--key", key) as page, opened(page, tmp_path / "browser", DESKTOP, page.link) as tab:
        until(tab, "Kill rollout")
        click(tab, "#kill")
        until(tab, "Every robot drives the old release again")
        click(tab, "dialog button[value=no]")
        time.sleep(0.5)
        assert store.state().status == "running"
        click(tab, "#kill")
        until(tab, "Every robot drives the old release again")
        tab.ask("Input.insertText", text="it brushed a rack")
        click(tab, "#ask-yes")
        until(tab, "Killed: it brushed a rack")
        assert value(tab, hidden) is True
    state = store.state()
    assert (state.status, state.reason) == ("killed", "it brushed a rack (operator_ann)")


def test_a_link_that_was_used_shows_the_fleet_and_lets_nobody_act(fleet: SmallFleet, tmp_path: Path) -> None:
    key = str(fleet.folder / "operator_ann.key")
    with served(str(fleet.folder), "--key", key) as page:
        assert page.ask("POST", "/login", {"token": page.token})[0] == 200
        with opened(page, tmp_path / "browser", PHONE, page.link) as tab:
            text = until(tab, "used before")
            assert "watching" in text
            assert "EMERGENCY STOP" in text  # which anyone may raise
            assert "Acknowledge" not in text


def test_a_page_whose_process_is_gone_says_that_it_is_old(fleet: SmallFleet, tmp_path: Path) -> None:
    with served(str(fleet.folder)) as page, opened(page, tmp_path / "browser", DESKTOP, page.link) as tab:
        until(tab, "r1 stands latched")
        page.process.terminate()
        page.process.wait(20.0)
        assert "r1 stands latched" in until(tab, "This page has lost its process: what it shows is old.")
        assert "no connection" in tab.text()


def test_a_robot_with_a_hostile_name_or_reason_is_text(fleet: SmallFleet, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title='owned'>"
    key = str(fleet.folder / "operator_ann.key")
    with served(str(fleet.folder), "--key", key) as page, opened(page, tmp_path / "browser", DESKTOP, page.link) as tab:
        assert page.ask("POST", "/stop", {"reason": hostile})[0] == 200
        until(tab, hostile)
        assert value(tab, "document.querySelectorAll('img').length") == 0
        assert "owned" not in str(value(tab, "document.title"))
