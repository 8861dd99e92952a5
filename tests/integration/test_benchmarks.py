"""The benchmark runner: what it prints, what --quick does for slow ids, and that docs/benchmarks.md can be read."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import pytest

IDS = (
    "nav_success", "nav_collisions", "shield_adversarial", "nav_train_seconds", "env_layer_1", "env_layer_8",
    "observation_cost", "demo", "real_map", "real_errands", "control_step", "coordinator_kill", "loop_kill",
    "pibt_tick", "replay", "planted_faults", "gpu_env_layer", "gpu_rate", "gpu_train_seconds",
)  # fmt: skip


@pytest.fixture
def runner(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """run.py with benchmarks of our own beside it."""
    spec = importlib.util.spec_from_file_location("benchmark_runner", root / "tests" / "benchmarks" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    head = "from figure import Figure\n"
    (tmp_path / "fast.py").write_text(
        head + "def measure(quick):\n"
        "    yield Figure('few', 1.0 if quick else 2.0, 's')\n"
        "    yield Figure('share', 0.5, '1', 'rival', 0.25)\n"
    )
    (tmp_path / "long.py").write_text(head + "SLOW = True\ndef measure(quick):\n    yield Figure('all', 9.0, 's')\n")
    (tmp_path / "broken.py").write_text("def measure(quick):\n    raise RuntimeError('no such luck')\n")
    (tmp_path / "helper.py").write_text("def prepare():\n    pass\n")
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "COMMITTED", tmp_path / "benchmarks.md")
    return module


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_number_is_one_json_line(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["fast", "--json"]) == 0
    first, second = lines(capsys)
    assert list(first) == ["id", "part", "value", "unit", "rival", "rival_value", "seconds", "commit"]
    assert (first["id"], first["part"], first["value"], first["rival_value"]) == ("fast", "few", 2.0, None)
    assert (second["rival"], second["rival_value"]) == ("rival", 0.25)
    assert re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?|unknown", first["commit"])


def test_quick_measures_less(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["fast", "--quick", "--json"]) == 0
    assert lines(capsys)[0]["value"] == 1.0


def test_a_slow_id_answers_quick_with_its_last_committed_figure(
    runner: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = {"id": "long", "part": "all", "value": 7.0, "unit": "s", "rival": "", "rival_value": None, "seconds": 80.0}
    old, new = {**figure, "value": 8.0, "commit": "aaaaaaa"}, {**figure, "commit": "bbbbbbb"}
    page = f"# Benchmarks\n\n```jsonl\n{json.dumps(old)}\n{json.dumps(new)}\n```\n"
    (tmp_path / "benchmarks.md").write_text(page)
    assert runner.main(["long", "--quick", "--json"]) == 0
    (line,) = lines(capsys)
    assert (line["value"], line["commit"]) == (7.0, "bbbbbbb")
    assert runner.main(["long", "--json"]) == 0
    assert lines(capsys)[0]["value"] == 9.0


def test_a_slow_id_without_a_committed_figure_says_so(
    runner: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "benchmarks.md").write_text("# Benchmarks\n")
    assert runner.main(["long", "--quick"]) == 1
    assert "long is slow and docs/benchmarks.md holds no figure of it" in capsys.readouterr().err


def test_a_broken_benchmark_does_not_hide_the_others(
    runner: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["broken", "fast", "--json"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "no such luck" in captured.err


def test_an_id_that_cannot_be_measured_here_stays_open(
    runner: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere.py").write_text(
        "from figure import NotHere\ndef measure(quick):\n    raise NotHere('no moon is at hand')\n    yield\n"
    )
    assert runner.main(["elsewhere", "fast", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "elsewhere stays open: no moon is at hand\n"
    assert len(captured.out.splitlines()) == 2


def test_an_unknown_id_names_the_known_ones(runner: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["fats"]) == 2
    assert capsys.readouterr().err == "unknown benchmark fats; known: broken, fast, long\n"


def test_every_committed_figure_can_be_read(root: Path) -> None:
    for line in (root / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("{"):
            figure = json.loads(line)
            assert set(figure) == {"id", "part", "value", "unit", "rival", "rival_value", "seconds", "commit"}
            assert (root / "tests" / "benchmarks" / f"{figure['id']}.py").is_file()


def test_every_id_of_the_page_has_its_script(root: Path) -> None:
    page = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for identity in IDS:
        assert f"`{identity}`" in page
        assert (root / "tests" / "benchmarks" / f"{identity}.py").is_file(), identity
