"""What a picture says of the robots near its receiver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coordination.coordinator import Coordinator
from coordination.messages import Picture, Report, RobotStatus
from coordination.neighbours import NEAR
from coordination.tasks import Store
from sim.robot import SECOND, RobotSpec
from sim.site import make_site


def pictures(
    folder: Path, robots: dict[str, tuple[float, float, float, float, float]], now: int = SECOND
) -> dict[str, Picture]:
    """One tick with each robot at x, y, yaw, v, w."""
    site = make_site("open", np.zeros((30, 30), bool))
    folder.mkdir(exist_ok=True)
    store = Store(folder / "tasks.sqlite")
    core = Coordinator(site, store)
    for name, (x, y, yaw, v, w) in robots.items():
        cells = (int(site.cell_at(np.array((x, y)))),)
        core.handle(name, Report(0, SECOND, (x, y, yaw), (v, w), cells, 1.0, RobotStatus.IDLE, site=site.hash), SECOND)
    told = {peer: body for peer, body in core.tick(now) if isinstance(body, Picture)}
    store.close()
    return told


def test_robot_is_told_where_the_others_will_be_when_it_reads(tmp_path: Path) -> None:
    told = pictures(tmp_path, {"r0": (3.0, 3.0, 0.0, 0.0, 0.0), "r1": (5.0, 3.0, np.pi / 2, 1.0, 0.0)})
    ((x, y, radius),) = told["r0"].robots
    assert (x, y) == pytest.approx((5.0, 3.1))
    spec = RobotSpec()
    # braking 20 % better than guaranteed for 0.1 s: 0.009 m
    assert radius == pytest.approx(spec.radius + spec.localisation_bound + 0.03 + 0.02 + 0.009)
    assert told["r1"].robots[0][:2] == pytest.approx((3.0, 3.0))


def test_silent_robot_may_be_further_from_where_it_was(tmp_path: Path) -> None:
    robots = {"r0": (3.0, 3.0, 0.0, 0.0, 0.0), "r1": (5.0, 3.0, 0.0, 0.0, 0.0)}
    fresh = pictures(tmp_path / "a", robots)
    late = pictures(tmp_path / "b", robots, 2 * SECOND)
    assert late["r0"].robots[0][2] > fresh["r0"].robots[0][2] + 0.9


def test_only_robots_within_the_lidars_range_are_told_nearest_first(tmp_path: Path) -> None:
    robots = {f"r{i}": (1.0 + 1.3 * i, 1.0, 0.0, 0.0, 0.0) for i in range(24)}
    told = pictures(tmp_path, robots)["r12"].robots
    assert len(told) == 14  # seven to each side within 10 m
    distances = [abs(x - (1.0 + 1.3 * 12)) for x, _, _ in told]
    assert distances == sorted(distances)
    assert len(told) <= NEAR
