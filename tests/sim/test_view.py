import json
import math
from pathlib import Path

import numpy as np
import pytest

from sim import view
from sim.files import FileError
from sim.generate import generate_warehouse
from sim.site import make_site
from sim.view import Config, Trace, ViewError, camera_distance, film, moments, read_cargo, read_trace


def write_trace(folder: Path, periods: int = 21, robots: int = 2) -> None:
    """Robots that drive east through the lowest aisle of a small warehouse, 0.1 m a period."""
    site = generate_warehouse(3, width=12, height=11, stations=2, chargers=0)
    poses = np.zeros((periods, robots, 3), np.float32)
    poses[..., 0] = 2.0 + 0.1 * np.arange(periods)[:, None] + 2.0 * np.arange(robots)
    poses[..., 1] = 3.0
    np.savez(
        folder / "plant.npz",
        names=np.array([f"r{k}" for k in range(robots)]),
        stamps=np.arange(periods) * 100_000_000,
        poses=poses,
        people=np.full((periods, 1, 2), 3.0, np.float32),
        footprint=np.array([0.64, 0.48, 0.3], np.float32),
        blocked=site.blocked,
        person_free=site.person_free,
        stations=site.stations,
        chargers=site.chargers,
        cell=np.array(site.cell),
    )


def has_gl() -> bool:
    try:
        import subprocess
        import sys

        code = "import mujoco; mujoco.GLContext(8, 8).free()"
        return any(
            subprocess.run(
                [sys.executable, "-c", code], env={**view.os.environ, "MUJOCO_GL": library}, capture_output=True
            ).returncode
            == 0
            for library in view.LIBRARIES
        )
    except OSError:
        return False


needs_gl = pytest.mark.skipif(not has_gl(), reason="neither EGL nor OSMesa is installed")


@needs_gl
def test_a_still_shows_the_floor_the_stations_and_the_people(tmp_path: Path) -> None:
    from PIL import Image

    write_trace(tmp_path)
    film(tmp_path, tmp_path / "still.png", Config(tmp_path, still=1.0, width=320, height=200))
    picture = np.asarray(Image.open(tmp_path / "still.png").convert("RGB")).astype(int)
    assert picture.shape == (200, 320, 3)
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert ((blue > 1.5 * red) & (blue > 120)).sum() > 50  # stations
    assert ((red > 2 * blue) & (red > 1.5 * green)).sum() > 20  # the orange vest
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


@needs_gl
def test_a_video_has_a_frame_for_each_of_its_moments(tmp_path: Path) -> None:
    import imageio_ffmpeg

    write_trace(tmp_path)
    film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path, speed=2.0, rate_hz=10, width=320, height=200))
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "fleet.mp4"))
    assert frames == 10  # 2 s of run, 0.2 s a frame
    assert seconds == pytest.approx(1.0, abs=0.05)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["fleet.mp4", "plant.npz"]


def test_without_opengl_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_trace(tmp_path)
    monkeypatch.setattr(view, "LIBRARIES", ("no_such_library",))
    with pytest.raises(
        ViewError, match=r"expected OpenGL by EGL or OSMesa .*no_such_library.*; install libegl1"
    ) as caught:
        film(tmp_path, tmp_path / "fleet.mp4", Config(tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fleet.mp4").exists()


def test_a_run_without_a_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*plant\.npz: No such file"):
        view.run(Config(tmp_path))


def test_a_truncated_record_is_refused(tmp_path: Path) -> None:
    write_trace(tmp_path)
    whole = (tmp_path / "plant.npz").read_bytes()
    (tmp_path / "plant.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ViewError, match="expected a plant's record"):
        read_trace(tmp_path)


def test_frames_lie_evenly_in_the_record(tmp_path: Path) -> None:
    write_trace(tmp_path)
    # 2 s of run at 4 times speed and 20 frames a second: one frame each 0.2 s, two periods
    assert moments(read_trace(tmp_path), 4.0, 20).tolist() == pytest.approx(list(range(0, 20, 2)))
    assert moments(read_trace(tmp_path), 1.0, 20)[:3].tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_cargo_is_carried_between_its_stamps(tmp_path: Path) -> None:
    write_trace(tmp_path)
    entries = [
        {"robot": "r1", "from": 300_000_000, "to": 600_000_000},
        {"robot": "elsewhere", "from": 0, "to": 1},
    ]
    (tmp_path / "cargo.json").write_text(json.dumps(entries))
    carrying = read_cargo(tmp_path, read_trace(tmp_path))
    assert np.flatnonzero(carrying[:, 1]).tolist() == [3, 4, 5]
    assert not carrying[:, 0].any()


@pytest.mark.parametrize(("width", "height"), [(32, 22), (10, 40), (161, 63)])
def test_the_camera_sees_every_corner_and_is_no_further_than_needed(width: int, height: int) -> None:
    site = make_site("floor", np.zeros((height, width), bool), cell=1.2)
    tilt, half = math.radians(60.0), math.tan(math.radians(9.0))

    def fits(distance: float) -> bool:
        for x in (-width * 0.6, width * 0.6):
            for y in (-height * 0.6, height * 0.6):
                # camera at distance behind and above the middle, looking down by the tilt
                depth = distance + y * math.cos(tilt)
                if abs(y * math.sin(tilt)) > depth * half or abs(x) > depth * half * 1.6:
                    return False
        return True

    distance = camera_distance(site, 1.6, 18.0, 60.0)
    assert fits(distance)
    assert not fits(distance * 0.85)


def test_an_empty_record_is_refused(tmp_path: Path) -> None:
    write_trace(tmp_path, periods=0)
    with pytest.raises(ViewError, match="at least one period"):
        read_trace(tmp_path)


def test_the_picture_of_a_large_floor_stays_small() -> None:
    blocked = np.random.default_rng(0).random((63, 161)) < 0.4
    trace = Trace(
        site=make_site("large", blocked),
        stamps=np.zeros(1, np.int64),
        poses=np.zeros((1, 3, 3), np.float32),
        people=np.zeros((1, 2, 2), np.float32),
        footprint=(0.64, 0.48, 0.3),
        names=("a", "b", "c"),
    )
    model = view.build_picture(trace)
    assert model.nmocap == 5
    assert model.ngeom < blocked.sum()
