from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from sim.tasks.navigate import NavigateConfig
from sim.vary import Change, VaryError
from sim.varyfile import EXAMPLE, read_changes, show

TABLE = NavigateConfig().table()


def read(tmp_path: Path, text: str) -> tuple[Change, ...]:
    path = tmp_path / "ranges.yaml"
    path.write_text(text)
    return read_changes(path, TABLE)


def test_a_file_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    changes = read(
        tmp_path,
        "muster: 1\nrows:\n  friction: {low: 0.5}\n  mass: {low: 0.9, high: 1.1, distribution: normal}\n",
    )
    table = TABLE.changed(changes)
    assert (table.row("friction").low, table.row("friction").high) == (0.5, 0.9)
    assert table.row("mass").distribution == "normal"
    assert table.row("payload") == TABLE.row("payload")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows: {}\n", 'line 1: expected "muster: 1" as the first key'),
        ("- friction\n", 'line 1: expected keys, "muster: 1" first, got a list'),
        (
            "muster: 1\nrows:\n  - friction: {low: 0.5}\n",
            "line 3: rows: expected a mapping of names to ranges, got a list; write rows: {friction: {low: 0.3,",
        ),
        ("muster: 1\n", 'the key "rows" is missing'),
        ("muster: 1\nrows:\n  frictoin: {low: 0.5}\n", 'line 3: rows: unknown key "frictoin"; did you mean "friction"'),
        ("muster: 1\nrows:\n  payload: {high: 300}\n", "line 3: payload: high: expected a number from 0 to 40 kg, got"),
        ("muster: 1\nrows:\n  friction: {low: 0.8, high: 0.4}\n", "friction: expected low <= high, got 0.8 > 0.4"),
        ("muster: 1\nrows:\n  brake_strength: {low: 0.5}\n", "brake_strength: low: expected a number from 1.8"),
        ("muster: 1\nrows:\n  person_speed: {high: 3}\n", "person_speed: high: expected a number from 0.1 to 1.6 m/s"),
        ("muster: 1\nrows:\n  friction: {lo: 0.5}\n", 'friction: unknown key "lo"; did you mean "low"?'),
        ("muster: 1\nrows:\n  friction: {}\n", "friction: expected low, high or distribution, got nothing"),
        ("muster: 1\nrows:\n  friction: {low: grippy}\n", 'friction: low: expected a number, got "grippy"'),
        ("muster: 1\nrows:\n  friction: {distribution: gauss}\n", "friction: distribution: expected uniform"),
        ("muster: 1\nrows:\n  latency: {high: 1.5}\n", "latency: expected whole numbers for choice, got 0 to 1.5"),
    ],
)  # fmt: skip
def test_what_a_file_gets_wrong_is_one_line_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(VaryError) as caught:
        read(tmp_path, text)
    said = str(caught.value)
    assert words in said
    assert said.startswith(str(tmp_path))
    assert "\n" not in said


def test_the_text_has_a_line_for_each_row() -> None:
    lines = show(TABLE).splitlines()
    assert len(lines) == len(TABLE) + 1
    assert lines[0].split() == [
        "term", "name", "distribution", "low", "high", "unit", "field", "recompute", "bounds", "source",
    ]  # fmt: skip
    mass = next(line for line in lines if line.startswith("MASS") and " mass " in line)
    assert "body_mass" in mass
    assert "SET_CONST" in mass
    assert "0.5..2" in mass


def test_the_examples_for_people_can_be_read(tmp_path: Path) -> None:
    assert [change.name for change in read(tmp_path, f"muster: 1\nrows: {EXAMPLE}\n")] == ["friction", "payload"]
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = readme[readme.index("    muster: 1\n    rows:\n") :].split("\n\n")[0]
    changes = read(tmp_path, textwrap.dedent(example) + "\n")
    assert [change.name for change in changes] == ["friction", "payload", "latency", "motor_strength"]
