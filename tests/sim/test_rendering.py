from __future__ import annotations

import numpy as np
import pytest

from sim import opengl
from sim.drawing import robot_colour
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.opengl import OpenGLError
from sim.overlay import ahead_of, strips
from sim.rendering import Renderer
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.tasks.pick import PickConfig
from tests.sim.records import needs_opengl


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(6, blocks=(1, 2))


def make(site: Site, worlds: int = 2, robots: int = 2) -> BatchEnv:
    env = BatchEnv(site, NavigateConfig(paths=64), worlds=worlds, robots=robots, seed=3, threads=1)
    env.reset()
    return env


def near(frame: np.ndarray, colour: tuple[float, ...]) -> np.ndarray:
    """Pixels of a hue: the same shares of red, green and blue, whatever the light."""
    pixels = frame.astype(float) + 1.0
    wanted = np.array(colour[:3]) + 0.01
    cosine = pixels @ wanted / np.linalg.norm(pixels, axis=-1) / np.linalg.norm(wanted)
    return cosine > 0.995


@needs_opengl
def test_a_frame_shows_the_robots_where_they_are(site: Site) -> None:
    env = make(site)
    renderer = Renderer(env, 480, 360)
    try:
        before = renderer.frame(0)
        assert before.shape == (360, 480, 3)
        assert before.dtype == np.uint8
        for robot in range(2):
            assert near(before, robot_colour(robot)).sum() > 20
        assert (renderer.frame(1) != before).any()  # another world
        np.testing.assert_array_equal(renderer.frame(0), before)
        action = np.ones((4, 2), np.float32) * np.array([1.0, 0.0], np.float32)
        for _ in range(10):
            env.step(action)
        assert (renderer.frame(0) != before).any()
    finally:
        renderer.close()


@needs_opengl
def test_drawing_leaves_the_simulation_as_it_is(site: Site) -> None:
    plain, drawn = make(site, 1, 1), make(site, 1, 1)
    colours = drawn.scene.model.geom_rgba.copy()
    renderer = Renderer(drawn, 160, 120)
    action = np.array([[0.7, 0.3]], np.float32)
    for _ in range(20):
        a, b = plain.step(action), drawn.step(action)
        renderer.frame()
        np.testing.assert_array_equal(a.observation, b.observation)
    renderer.close()
    renderer.close()
    np.testing.assert_array_equal(drawn.scene.model.geom_rgba, colours)


def test_without_opengl_a_picture_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    opengl.find_library.cache_clear()
    monkeypatch.setattr(opengl, "LIBRARIES", ("no_such_library",))
    with pytest.raises(OpenGLError, match=r"expected OpenGL by EGL or OSMesa .*; install libegl1 .* or libosmesa6"):
        Renderer(make(site, 1, 1))


def test_what_lies_ahead_begins_at_the_robot_and_ends_at_the_goal(site: Site) -> None:
    env = make(site, 1, 1)
    ahead = ahead_of(env, 0)
    assert ahead is not None
    x, y = env.state.pose.numpy()[0, :2]
    assert np.hypot(*(ahead.way[0] - (x, y))) < site.cell  # from the cell that it stands in
    assert ahead.arrived
    assert any(abs(part.x - x) < site.cell and abs(part.y - y) < site.cell for part in ahead.corridor)


def test_a_segment_is_drawn_with_its_square_caps() -> None:
    (one,) = strips(np.array([[1.0, 1.0], [1.0, 4.0]]), np.array([0.5, 0.6]))
    assert (one.x, one.y) == (1.0, 2.5)
    assert one.yaw == pytest.approx(np.pi / 2)
    assert one.half_length == pytest.approx(1.5 + 0.6)
    assert one.half_width == pytest.approx(0.6)
    (point,) = strips(np.array([[1.0, 2.0]]), np.array([0.5]))
    assert (point.half_length, point.half_width) == (0.5, 0.5)


@needs_opengl
def test_a_robot_that_works_where_it_stands_fills_the_picture(site: Site) -> None:
    shares = []
    for config in (PickConfig(), NavigateConfig(paths=64)):
        env = BatchEnv(site, config, worlds=1, seed=3, threads=1)
        env.reset()
        renderer = Renderer(env, 320, 240)
        shares.append(near(renderer.frame(), robot_colour(0)).mean())
        renderer.close()
    assert shares[0] > 5 * shares[1]
