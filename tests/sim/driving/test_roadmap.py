from __future__ import annotations

import dataclasses

import numpy as np

from sim.driving.instruments import TONES
from sim.driving.roadmap import WAY, drive_map
from sim.roadgen import generate_highway
from tests.sim.driving.shows import course_on, moment_at, place_on

ROAD = generate_highway(3, length=600.0, lanes=2, ramps=0)


def close(frame: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(frame.astype(int) - colour).max(axis=-1) < 12


def test_the_way_is_drawn_in_the_colours_of_who_drove() -> None:
    moments = [
        moment_at(place_on(ROAD, 1, 100.0 + 2.0 * k), mode="policy" if k < 60 or k > 90 else "shielded", time=0.1 * k)
        for k in range(150)
    ]
    frame = drive_map(course_on(ROAD, 1), moments)
    own, shield = close(frame, WAY).sum(axis=0), close(frame, TONES["shielded"]).sum(axis=0)
    assert own.sum() > 2.5 * shield.sum() > 0
    columns = np.flatnonzero(shield)
    assert 0.3 < columns.mean() / frame.shape[1] < 0.7
    assert own[columns[5:-5]].sum() < 0.2 * shield[columns[5:-5]].sum()
    assert frame.shape[1] == 1100
    assert 150 <= frame.shape[0] <= 480


def test_contacts_are_marked_once_where_they_began() -> None:
    moments = [moment_at(place_on(ROAD, 1, 100.0 + 2.0 * k), time=0.1 * k) for k in range(100)]
    plain = drive_map(course_on(ROAD, 1), moments)
    hit = [dataclasses.replace(m, contact="car" if 50 <= k < 60 else "") for k, m in enumerate(moments)]
    marked = drive_map(course_on(ROAD, 1), hit)
    changed = np.flatnonzero((plain != marked).any(axis=(0, 2)))
    assert len(changed) > 5
    assert np.ptp(changed) < 30
    assert close(marked, TONES["stopped"]).sum() > 50


def test_a_drive_without_moments_shows_its_road() -> None:
    assert drive_map(course_on(ROAD, 1), []).shape[1] == 1100
