from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sim import opengl
from sim.actors import ActorKind
from sim.driving.chase import FromBehind, build, sizes_of
from sim.driving.drawn import drawn_road
from sim.driving.figures import BRAKE, EGO
from sim.driving.film import Drive, Look, Side, chosen, film, frames, free_side
from sim.driving.moment import Moment
from sim.driving.picture import FromAbove
from sim.driving.scenery import scenery
from sim.driving.solids import actor
from sim.opengl import OpenGLError
from sim.road import Road
from sim.roadgen import generate_highway
from sim.trace import ViewError
from tests.sim.driving.shows import course_on, moment_at, place_on, somebody
from tests.sim.records import needs_opengl


@pytest.fixture(scope="module")
def road() -> Road:
    return generate_highway(3, length=600.0, lanes=2, ramps=0)


def drive_on(road: Road, seconds: float) -> Drive:
    """Along lane 1 at 20 m/s, a moment each 0.05 s, a braking car ahead."""
    ahead = somebody(ActorKind.CAR, place_on(road, 1, 115.0), (4.5, 1.8), accel=-3.0)
    moments = [
        moment_at(place_on(road, 1, 100.0 + 20.0 * time), time=time, speed=20.0, stop=25.0, others=ahead)
        for time in np.arange(0.0, seconds + 1e-9, 0.05).tolist()
    ]
    return Drive(course_on(road, 1), moments)


def test_moments_are_chosen_by_the_video_s_speed(road: Road) -> None:
    drive = drive_on(road, 2.0)
    assert [m.time for m in chosen(drive, Look(rate_hz=10))] == pytest.approx(np.arange(0.0, 2.01, 0.1))
    assert [m.time for m in chosen(drive, Look(rate_hz=10, speed=4.0))] == pytest.approx(np.arange(0.0, 2.01, 0.4))
    assert [m.time for m in chosen(drive, Look(rate_hz=10, seconds=0.5))] == pytest.approx(np.arange(0.0, 0.51, 0.1))
    assert chosen(Drive(drive.course, []), Look()) == []


def test_the_inset_hides_neither_the_ego_nor_what_lies_ahead(road: Road) -> None:
    above, look = FromAbove(course_on(road, 1), 1280, 720), Look()
    assert above.follows
    side, height, width = Side.LEFT, 0.4 * 720 + 40, 0.4 * 1280 + 40
    for yaw in np.linspace(0.0, 2.0 * np.pi, 33).tolist():
        x, y, _ = place_on(road, 1, 300.0)
        moment = moment_at((x, y, yaw), speed=30.0, time=100.0 * yaw)  # long enough for the frame to settle
        above.frame(moment, words=False)
        side = free_side(side, above, moment, look)
        ahead = np.array([(x + far * np.cos(yaw), y + far * np.sin(yaw)) for far in (0.0, 15.0, 30.0, 45.0)])
        columns, rows = above.window.pixels(ahead).T
        hidden = (rows < height) & ((columns < width) if side is Side.LEFT else (columns > 1280 - width))
        assert not hidden.any(), yaw


@needs_opengl
def test_the_view_from_behind_shows_the_ego_its_plan_and_the_brake_lights_ahead(road: Road) -> None:
    moments = drive_on(road, 0.0).moments
    seen: list[np.ndarray] = []
    for moment in (moments[0], dataclasses.replace(moments[0], plan=np.zeros((0, 3)), others=_calm(moments[0]))):
        behind = FromBehind(course_on(road, 1), sizes_of([moment]), 480, 270)
        seen.append(behind.frame(moment).astype(int))
        behind.close()
    blue = np.abs(seen[0] - EGO).max(axis=-1) < 70
    rows, columns = np.nonzero(blue)
    assert len(rows) > 1000
    assert abs(columns.mean() - 240) < 12
    assert rows.mean() > 135  # below the middle
    red = [(np.abs(frame - BRAKE).max(axis=-1) < 60).sum() for frame in seen]
    assert red[0] > 10
    assert red[1] == 0
    assert (seen[0] != seen[1]).any(axis=-1)[100:200, 200:280].mean() > 0.05  # the ribbon


@needs_opengl
def test_a_video_has_both_views_and_a_frame_for_each_moment(road: Road, tmp_path: Path) -> None:
    import imageio_ffmpeg

    look = Look(width=480, height=270, rate_hz=10)
    done = film([drive_on(road, 0.4), drive_on(road, 0.2)], tmp_path / "drive.mp4", look)
    assert done.trouble == ""
    assert done.frames == 5 + 3
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "drive.mp4"))[0] == 8
    with_inset, _ = next(frames(drive_on(road, 0.0), look))
    alone, _ = next(frames(drive_on(road, 0.0), dataclasses.replace(look, inset=0.0)))
    differs = (with_inset != alone).any(axis=-1)
    assert differs[8:115, 10:196].mean() > 0.9
    assert not differs[:, 220:].any()
    assert not differs[130:].any()


def test_without_opengl_the_view_from_above_is_drawn_alone_and_says_why(
    road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> str:
        raise OpenGLError("expected OpenGL, got none; install libegl1")

    monkeypatch.setattr(opengl, "find_library", nothing)
    done = film([drive_on(road, 0.1)], tmp_path / "drive.mp4", Look(width=320, height=180))
    assert done.trouble == "expected OpenGL, got none; install libegl1"
    assert done.frames == 3
    assert done.path.stat().st_size > 500


@pytest.mark.parametrize(
    "look",
    [Look(speed=0.0), Look(rate_hz=0), Look(width=10), Look(width=321), Look(inset=1.5), Look(speed=float("nan"))],
)
def test_looks_that_cannot_be_are_refused(road: Road, tmp_path: Path, look: Look) -> None:
    with pytest.raises(ViewError, match="expected"):
        film([drive_on(road, 0.1)], tmp_path / "drive.mp4", look)
    assert not list(tmp_path.iterdir())


def test_meshes_keep_the_places_that_they_were_given(road: Road) -> None:
    """MuJoCo turns meshes into their axes of inertia; the model has them back where the road is."""
    drawn = drawn_road(road)
    key = (int(ActorKind.CAR), 4.4, 1.8)
    model, meshes = build(drawn, scenery(road), {key: actor(*key)})
    low, high = model.mesh_vert.min(axis=0), model.mesh_vert.max(axis=0)
    assert low[0] < drawn.bounds[0] + 0.1
    assert high[0] > drawn.bounds[2] - 0.1
    paint = next(mesh for name, mesh in meshes[key] if name == "paint")
    first, many = int(model.mesh_vertadr[paint]), int(model.mesh_vertnum[paint])
    car = model.mesh_vert[first : first + many]
    assert np.ptp(car, axis=0) == pytest.approx([4.4, 1.8, 0.73], abs=0.05)
    assert model.geom_pos[1:] == pytest.approx(0.0)


def _calm(moment: Moment):  # noqa: ANN202
    return dataclasses.replace(moment.others, motion=np.array([[5.0, 0.0, 0.0]]))
