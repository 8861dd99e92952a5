"""The page of cars and of a rollout's demo: runs without a coordinator, which nothing is asked of and nobody misses."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fleet.carstatus import EVERY, FOLDER, CarStatus, read_statuses, telling
from fleet.ops.alarms import conditions
from fleet.ops.cars import robots_of
from fleet.ops.floorplan import on_road, roadplan
from fleet.ops.places import find
from fleet.ops.seen import Seen
from sim.files import write_atomic
from sim.roadfile import load_road
from tests.fleet.browser import browse, needs_chromium
from tests.fleet.ops.smallfleet import served
from tests.fleet.ops.test_page import DESKTOP, until, value
from tests.fleet.ops.test_server import views

CAR = CarStatus("car1", 5, (100.0, 50.0, 0.5), "POLICY", "", 8.0, True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one car, as a launch leaves it while it goes on."""
    root = tmp_path / "run"
    (root / "blackbox").mkdir(parents=True)
    words = ["muster", "car", "--site", "town:7", "--policy", "p"]
    (root / "run.json").write_text(json.dumps({"processes": {"car1.car": words}, "pids": {}}))
    return root


@contextlib.contextmanager
def driving(run: Path, look: Callable[[], CarStatus | None]) -> Iterator[None]:
    with telling(run, look):
        end = time.monotonic() + 20.0
        while not list((run / FOLDER).glob("*.json")):
            assert time.monotonic() < end
            time.sleep(0.02)
        yield


def test_a_cars_status_is_written_again_and_again_and_goes_with_it(run: Path) -> None:
    stamps = iter(range(1000))
    with driving(run, lambda: CarStatus("car1", next(stamps), (0.0, 0.0, 0.0), "HELD")):
        first = read_statuses(run)[0][0].stamp
        end = time.monotonic() + 20.0
        while read_statuses(run)[0][0].stamp == first:
            assert time.monotonic() < end
            time.sleep(0.2 * EVERY)
    assert read_statuses(run) == []


def test_what_is_no_status_is_left_out_and_an_old_one_is_old(run: Path) -> None:
    (run / FOLDER).mkdir()
    (run / FOLDER / "a.json").write_text("{")
    write_atomic(
        run / FOLDER / "car1.json", json.dumps({"name": "car1", "stamp": 1, "pose": [1, 2, 3], "mode": "STOPPED"})
    )
    when = (run / FOLDER / "car1.json").stat().st_mtime
    (robot,) = robots_of(run, lambda pose: pose, wall=lambda: when + 7.0)
    assert (robot.name, robot.mode, robot.age, robot.battery) == ("car1", "stopped", 7.0, -1.0)
    found = conditions(Seen(answered=True, robots=(robot,), coordinated=False))
    assert [one.key for one in found] == ["silent:car1"], "neither a clock nor a battery is missed"


def test_a_road_is_drawn_from_its_corner_and_cars_stand_where_they_are() -> None:
    road = load_road("town:7")
    plan, moved = roadplan(road), on_road(road)
    points = np.concatenate([np.array(shape[1:]).reshape(-1, 2) for shape in plan["shapes"]])
    assert len(plan["shapes"]) > 20
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low > -5.0).all()
    assert (high < np.array([plan["width"], plan["height"]]) + 5.0).all()
    lane = road.lanes[0]
    x, y = lane.centre[0]
    where = np.array(moved((float(x), float(y), 0.0))[:2])
    assert np.hypot(*(points - where).T).min() < 5.0


def test_a_run_of_cars_has_no_coordinator_and_its_road_is_the_cars(run: Path) -> None:
    places = find(run)
    assert not places.coordinated
    assert places.site == "town:7"
    assert find(run, coordinator="tcp://127.0.0.1:7410").coordinated


def test_a_page_of_cars_asks_nobody_and_has_no_alarm(run: Path) -> None:
    with driving(run, lambda: CAR), served(str(run)) as page:
        view = views(page, lambda view: bool(view["seen"]["robots"]))
        (car,) = view["seen"]["robots"]
        assert (car["name"], car["mode"], car["status"]) == ("car1", "policy", "29 km/h")
        assert view["alarms"] == []
        assert not view["seen"]["coordinated"]


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_browser_shows_the_road_the_car_and_nothing_that_is_not_there(run: Path, tmp_path: Path) -> None:
    (tmp_path / "browser").mkdir()
    with (
        driving(run, lambda: CAR),
        served(str(run)) as page,
        browse("about:blank", tmp_path / "browser", DESKTOP) as tab,
    ):
        tab.ask("Page.navigate", url=page.link)
        text = until(tab, "29 km/h")
        assert "Road" in text
        assert "Cars" in text
        assert "Tasks" not in text
        assert "coordinator" not in text
        until(tab, "live")
        picture = tab.picture()[..., :3].astype(int)
        asphalt = np.abs(picture - np.array([0x93, 0x96, 0x9B])).max(axis=-1) < 8
        assert asphalt.sum() > 2000
        assert value(tab, "document.getElementById('stop').hidden") is True
