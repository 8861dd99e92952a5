"""Levels, how they compare with their twins, and whether they were trained on each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierarchy.curriculum import ChainError, Comparison, check_chain, read_comparison, read_comparisons

MOTOR = Comparison("motor", "mean speed error", "m/s", 0.012, 0.03, 0.8, "lower", 100)
NAVIGATE = Comparison("navigate", "success x speed", "m/s", 0.95, 1.0, 1.0, "higher", 100)


def manifest(digest: str, **below: str) -> dict[str, object]:
    return {"onnx_sha256": digest, "training": {"below": below}}


def test_lower_is_better_for_an_error_and_higher_for_work() -> None:
    assert MOTOR.ratio == pytest.approx(0.4)
    assert MOTOR.reached
    assert NAVIGATE.ratio == pytest.approx(0.95)
    assert not NAVIGATE.reached


def test_a_twin_that_did_nothing_is_no_goal_reached() -> None:
    assert not Comparison("meta", "lines per hour", "1/h", 5.0, 0.0, 1.0, "higher", 10).reached


def test_comparisons_of_a_run_come_bottom_up(tmp_path: Path) -> None:
    for comparison in (NAVIGATE, MOTOR):
        (tmp_path / comparison.level).mkdir()
        comparison.write(tmp_path / comparison.level)
    assert read_comparisons(tmp_path) == [MOTOR, NAVIGATE]


@pytest.mark.parametrize("text", ["", "[]", '{"muster": 1, "level": "motor"}', '{"muster": 1, "colour": 2}'])
def test_a_damaged_comparison_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ChainError, match="is damaged"):
        read_comparison(tmp_path)


def test_levels_that_were_trained_on_each_other_close() -> None:
    check_chain(
        {
            "motor": manifest("a" * 64),
            "navigate": manifest("b" * 64, motor="a" * 64),
            "meta": manifest("c" * 64, motor="a" * 64, navigate="b" * 64),
        }
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"motor": manifest("a" * 64), "navigate": manifest("b" * 64, motor="d" * 64)},
        {"motor": manifest("a" * 64), "navigate": manifest("b" * 64)},
        {"navigate": manifest("b" * 64), "meta": manifest("c" * 64, navigate="a" * 64)},
    ],
)
def test_a_level_on_another_one_is_refused(broken: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ChainError, match="again on it"):
        check_chain(broken)
