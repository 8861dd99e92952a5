from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim import film as film_module
from sim import opengl
from sim.film import Config, chased, draw, film, moments
from sim.opengl import OpenGLError
from sim.trace import ViewError, read_cargo, read_trace
from tests.sim.records import needs_opengl, write_record


@needs_opengl
def test_a_still_shows_the_floor_the_stations_and_the_people(tmp_path: Path) -> None:
    from PIL import Image

    write_record(tmp_path)
    film(tmp_path, tmp_path / "still.png", Config(tmp_path, still=1.0, width=320, height=200))
    picture = np.asarray(Image.open(tmp_path / "still.png").convert("RGB")).astype(int)
    assert picture.shape == (200, 320, 3)
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert ((blue > 1.5 * red) & (blue > 120)).sum() > 50  # stations
    assert ((red > 2 * blue) & (red > 1.5 * green)).sum() > 20  # the orange vest
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


@needs_opengl
def test_a_video_has_a_frame_for_each_of_its_moments(tmp_path: Path) -> None:
    import imageio_ffmpeg

    write_record(tmp_path)
    film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path, speed=2.0, rate_hz=10, width=320, height=200))
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "fleet.mp4"))
    assert frames == 10  # 2 s of run, 0.2 s a frame
    assert seconds == pytest.approx(1.0, abs=0.05)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["fleet.mp4", "plant.npz"]


@needs_opengl
def test_the_chase_video_stays_behind_its_robot(tmp_path: Path) -> None:
    write_record(tmp_path)
    config = Config(tmp_path, width=320, height=200, chase="r1")
    assert [path.name for path in film(tmp_path, tmp_path / "fleet.mp4", config)] == ["fleet.mp4", "chase.mp4"]
    assert (tmp_path / "chase.mp4").stat().st_size > 1000
    trace = read_trace(tmp_path)
    trace.people[...] = 50.0  # nobody stands in the picture
    times = np.array([0.0, 10.0, 19.0])
    seen = [frames[1].astype(int) for frames in draw(trace, read_cargo(tmp_path, trace), times, config, 1)]
    for frame in seen:
        red, green, blue = np.moveaxis(frame[60:180, 100:220], -1, 0)
        assert ((blue > 1.3 * red) & (blue > 1.3 * green)).sum() > 300  # r1's own colour, in the middle
    assert (seen[0] != seen[2]).mean() > 0.05  # the hall goes by


def test_a_robot_to_follow_is_one_of_the_run(tmp_path: Path) -> None:
    write_record(tmp_path)
    trace = read_trace(tmp_path)
    trace.poses[:, 0] = trace.poses[0, 0]  # r0 stands
    assert chased(trace, "") is None
    assert chased(trace, "r0") == 0
    assert chased(trace, "auto") == 1
    with pytest.raises(ViewError, match='expected a robot of the run to follow, got "r7"; did you mean "r'):
        film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path, chase="r7"))


def test_without_opengl_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path)
    opengl.find_library.cache_clear()
    monkeypatch.setattr(opengl, "LIBRARIES", ("no_such_library",))
    with pytest.raises(
        OpenGLError, match=r"expected OpenGL by EGL or OSMesa .*no_such_library.*; install libegl1"
    ) as caught:
        film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fleet.mp4").exists()


def test_without_an_encoder_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path)
    monkeypatch.setattr(film_module, "find_spec", lambda name: None)
    with pytest.raises(ViewError, match=r"muster video needs .* pip install 'muster\[sim,view\]'"):
        film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path))


def test_a_video_of_no_size_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path)
    with pytest.raises(ViewError, match=r"expected a speed above 0.*got 0,"):
        film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path, speed=0.0))


def test_frames_lie_evenly_in_the_record(tmp_path: Path) -> None:
    write_record(tmp_path)
    # 2 s of run at 4 times speed and 20 frames a second: one frame each 0.2 s, two periods
    assert moments(read_trace(tmp_path), 4.0, 20).tolist() == pytest.approx(list(range(0, 20, 2)))
    assert moments(read_trace(tmp_path), 1.0, 20)[:3].tolist() == pytest.approx([0.0, 0.5, 1.0])
