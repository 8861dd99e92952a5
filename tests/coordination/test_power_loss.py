"""Power loss at any frame of the write-ahead log loses no commit and leaves no half of one."""

from __future__ import annotations

from pathlib import Path

from tests.coordination.power_cuts import cut_everywhere


def test_after_a_cut_at_any_frame_the_store_is_as_after_its_last_whole_commit(tmp_path: Path) -> None:
    cuts = cut_everywhere(tmp_path, ticks=20, seed=7)
    assert cuts.tried > 200
    assert (cuts.lost, cuts.half) == (0, 0)


def test_a_tick_that_is_not_one_commit_is_found_out(tmp_path: Path) -> None:
    assert cut_everywhere(tmp_path, ticks=3, seed=7, grouped=False).half > 0
