import os
from pathlib import Path

import pytest

from coordination.keys import read_keys
from fleet import cli
from fleet.judge.verdict import replay
from fleet.registry.store import Registry
from fleet.rollout import demo, makers
from fleet.rollout.events import FILE, Store
from fleet.rollout.pinned import SITE
from fleet.rollout.record import State
from fleet.rundir import ENVIRONMENT, create_run


def rolled_out(root: Path, policy: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, State, Path]:
    """A demo with this policy alone: exit code, last state, run."""
    run = create_run(root)
    monkeypatch.setenv(ENVIRONMENT, str(run.root))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    code = demo.run(demo.Config(first=policy, second=Path("none"), zones=2))
    folder = run.root / "rollouts" / "first"
    return code, Store(folder / FILE, read_keys(run.key), lambda: 0).state(), run.root


@pytest.mark.slow
def test_another_policy_file_in_the_demo_changes_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "candidate"
    makers.write_policy(policy, makers.Law(share=0.585, side=0.12))
    code, state, root = rolled_out(tmp_path, policy, monkeypatch)
    assert (code, state.status) == (0, "rolled_back")
    assert state.stage.name.startswith("PART_")
    assert "since mission" in state.reason
    registry = Registry(root / "registry", read_only=True)
    (alias,) = registry.aliases()
    assert (alias.site, alias.alias, alias.release) == (SITE, "production", state.baseline.release)
    registry.close()
    last = max((root / "rollouts" / "first" / "verdicts").iterdir())
    assert replay(last).same
    assert "rolled back" in (root / "report.html").read_text()

    makers.write_policy(policy, makers.GOOD)  # the same directory, another file
    code, state, root = rolled_out(tmp_path, policy, monkeypatch)
    assert (code, state.status) == (1, "confirmed")
    registry = Registry(root / "registry", read_only=True)
    (alias,) = registry.aliases()
    assert alias.release == state.candidate.release
    registry.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--zones", "0"], "expected 1 to 100 zones"),
        (["--workers", "-1"], "expected 0 or more processes"),
        (["--first", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["rollout-demo", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_made_policy_answers_within_its_range_and_the_law_is_in_its_manifest(tmp_path: Path) -> None:
    policy = makers.write_policy(tmp_path, makers.REGRESSED)
    assert policy.manifest["training"]["made"] == {"share": 0.582, "side": 0.10}
    assert policy.hash != makers.write_policy(tmp_path / "other", makers.GOOD).hash
