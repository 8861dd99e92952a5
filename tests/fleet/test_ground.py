from pathlib import Path

import numpy as np
import pytest

from coordination.tasks import Store
from fleet.ground import covered_cells, judge_ground
from sim.robot import SECOND
from sim.site import make_site
from sim.trace import Trace


def drive(*ways: list[tuple[float, float, float]]) -> Trace:
    """Robots on a floor of 2 x 6 cells of 1 m, one pose a second."""
    poses = np.array(ways, np.float32).transpose(1, 0, 2)
    return Trace(
        site=make_site("floor", np.zeros((2, 6), bool), cell=1.0),
        stamps=np.arange(len(poses), dtype=np.int64) * SECOND,
        poses=poses,
        people=np.zeros((len(poses), 0, 2), np.float32),
        footprint=(0.64, 0.48, 0.3),
        names=tuple(f"r{k}" for k in range(poses.shape[1])),
    )


def grants(path: Path, *events: tuple[int, str, str, int]) -> Path:
    """A store with these (second, grant or release, robot, cell)."""
    store = Store(path / "tasks.sqlite")
    for number, (second, event, robot, cell) in enumerate(events):
        if event == "grant":
            store.hold(robot, [cell], number + 1, second * SECOND)
        else:
            store.release(robot, [cell], second * SECOND)
    store.close()
    return path / "tasks.sqlite"


ALONG = [(0.5, 0.5, 0.0), (1.0, 0.5, 0.0), (1.5, 0.5, 0.0)]
"""From cell 6 (bottom left) over the border at x = 1 into cell 7."""


def test_covered_cells_are_those_under_the_rectangle() -> None:
    period, robot, cell = covered_cells(drive(ALONG))
    assert robot.tolist() == [0] * 4
    assert sorted(zip(period.tolist(), cell.tolist(), strict=True)) == [(0, 6), (1, 6), (1, 7), (2, 7)]
    _, _, turned = covered_cells(drive([(1.5, 0.75, np.pi / 2)]))  # reaches y = 1.07
    assert sorted(turned.tolist()) == [1, 7]


def test_a_robot_on_its_own_cells_is_no_finding(tmp_path: Path) -> None:
    store = grants(tmp_path, (0, "grant", "r0", 6), (1, "grant", "r0", 7), (2, "release", "r0", 6))
    assert judge_ground(drive(ALONG), store) == []


@pytest.mark.parametrize(
    ("events", "detail"),
    [
        ([(0, "grant", "r0", 6)], "1.0 s: r0 covers cell 7, held by nobody"),
        ([(0, "grant", "r0", 6), (2, "grant", "r0", 7)], "1.0 s: r0 covers cell 7, held by nobody"),
        ([(0, "grant", "r0", 6), (0, "grant", "r1", 7)], "1.0 s: r0 covers cell 7, held by r1"),
        (
            [(0, "grant", "r0", 6), (0, "grant", "r0", 7), (1, "release", "r0", 6)],
            "1.0 s: r0 covers cell 6, held by nobody",
        ),
    ],
)
def test_a_planted_fault_is_found_once(tmp_path: Path, events: list[tuple[int, str, str, int]], detail: str) -> None:
    (found,) = judge_ground(drive(ALONG), grants(tmp_path, *events))
    assert (found.kind, found.detail) == ("off_grant", detail)


def test_a_cell_under_two_robots_is_found(tmp_path: Path) -> None:
    trace = drive([(0.5, 0.5, 0.0)], [(1.2, 0.5, 0.0)])
    found = judge_ground(trace, grants(tmp_path, (0, "grant", "r0", 6), (0, "grant", "r1", 7)))
    assert {one.kind for one in found} == {"shared", "off_grant"}


def test_a_robot_is_judged_from_its_first_grant_on(tmp_path: Path) -> None:
    assert judge_ground(drive(ALONG), grants(tmp_path, (2, "grant", "r0", 7))) == []
