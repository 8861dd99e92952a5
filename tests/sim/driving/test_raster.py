from __future__ import annotations

import numpy as np

from sim.driving import raster
from sim.driving.raster import Brush, Part, Sheet, Window, disc, window_at

SQUARE = np.array([(1.0, 1.0), (3.0, 1.0), (3.0, 2.5), (1.0, 2.5)])


def blank(window: Window) -> np.ndarray:
    return np.zeros((window.height, window.width, 3), np.uint8)


def test_a_pixel_that_is_half_covered_has_half_the_colour() -> None:
    window = Window(left=0.0, top=4.0, scale=1.0, width=5, height=5)
    brush = Brush(blank(window), window)
    brush.fill([SQUARE], (200, 100, 0))
    frame = brush.frame().astype(int)
    assert frame[2, 1].tolist() == [200, 100, 0]  # y from 2 to 1, x from 1 to 2
    assert abs(frame[1, 1, 0] - 100) <= 26  # y from 3 to 2, its lower half
    assert (frame[0] == 0).all()
    assert (frame[:, 4] == 0).all()


def test_opacity_lets_the_ground_through_and_overlaps_are_no_darker() -> None:
    window = Window(0.0, 4.0, 4.0, 16, 16)
    brush = Brush(np.full((16, 16, 3), 100, np.uint8), window)
    brush.fill([SQUARE, SQUARE], (200, 200, 200), 0.5)
    frame = brush.frame().astype(int)
    assert abs(frame[10, 8, 0] - 150) <= 2
    assert frame[0, 0, 0] == 100


def test_what_is_outside_or_not_finite_is_not_drawn() -> None:
    window = Window(0.0, 4.0, 4.0, 16, 16)
    brush = Brush(blank(window), window)
    brush.fill([SQUARE + 100.0], (200, 0, 0))
    brush.fill([SQUARE * np.nan], (200, 0, 0))
    brush.parts([Part(SQUARE - 50.0, (200, 0, 0))])
    brush.line(np.array([(-9.0, -9.0), (-5.0, -9.0)]), 0.5, (200, 0, 0))
    assert (brush.frame() == 0).all()


def test_a_sheet_cut_from_tiles_is_the_picture_drawn_at_once(monkeypatch) -> None:  # noqa: ANN001
    parts = [Part(SQUARE * 3.0 - 4.0, (90, 160, 200)), Part(disc((1.0, 0.5), 1.5), (250, 240, 10))]
    window = window_at(0.31, -0.17, 8.0, 96, 64)
    whole = Sheet(parts, 8.0, (10, 20, 30)).cut(window)
    monkeypatch.setattr(raster, "TILE", 24)
    monkeypatch.setattr(raster, "TILES", 3)  # fewer than a frame needs: each is drawn when it is wanted
    assert (Sheet(parts, 8.0, (10, 20, 30)).cut(window) == whole).all()
    shifted = window_at(0.31 + 1.0, -0.17, 8.0, 96, 64)
    assert (Sheet(parts, 8.0, (10, 20, 30)).cut(shifted)[:, :-8] == whole[:, 8:]).all()  # a metre is eight pixels


def test_windows_say_what_they_see() -> None:
    window = window_at(10.0, 5.0, 4.0, 40, 40)
    assert window.sees(np.array([(10.0, 5.0)]))
    assert not window.sees(np.array([(16.0, 5.0)]))
    assert window.sees(np.array([(16.0, 5.0)]), margin=8.0)
    assert np.allclose(window.pixels(np.array([10.0, 5.0])), (20.0, 20.0), atol=0.5)
