import json
from pathlib import Path

import msgspec
import pytest

from coordination.keys import Keys, ensure_keys, write_keys
from fleet.cli import main
from fleet.registry.store import Registry
from fleet.rollout.events import FILE, Store
from fleet.rollout.plan import Course, Plan
from fleet.rundir import create_run
from tests.fleet.registry.test_registry import OTHER, SPEC, kept, policy, release_of
from tests.fleet.rollout.rollouts import started


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    keys = ensure_keys(directory.key)
    Store(directory.root / FILE, keys).append(started())
    for name in ("operator_anna", "operator_bert"):
        key = keys.node(name)
        assert key is not None
        write_keys(tmp_path / f"{name}.key", Keys(nodes={name: key}))
    return directory.root


def test_an_operator_holds_resumes_and_kills_and_the_log_tells(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(run.parent / "operator_anna.key")
    for verb in ("hold", "resume", "kill"):
        assert main(["rollout", verb, str(run), "--key", key, "--reason", "a try"]) == 0
    assert main(["rollout", "resume", str(run), "--key", key]) == 2
    assert "start another" in capsys.readouterr().err
    assert main(["rollout", "status", str(run)]) == 0
    assert "killed (a try (operator_anna))" in capsys.readouterr().out
    assert main(["rollout", "log", str(run)]) == 0
    told = capsys.readouterr().out
    assert "kill  a try" in told
    assert "resume refused" in told
    assert main(["rollout", "verify", str(run)]) == 0


def test_a_kill_with_a_strangers_key_or_without_one_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_keys(tmp_path / "stranger.key", Keys(nodes={"operator_anna": b"x" * 32}))
    assert main(["rollout", "kill", str(run)]) == 2
    assert "expected --key" in capsys.readouterr().err
    assert main(["rollout", "kill", str(run), "--key", str(tmp_path / "stranger.key")]) == 2
    said = capsys.readouterr().err
    assert "not signed with that operator's key" in said
    assert len(said.splitlines()) == 1
    assert (
        main(["rollout", "kill", str(run), "--by", "operator_bert", "--key", str(tmp_path / "operator_anna.key")]) == 2
    )
    assert main(["rollout", "status", str(run)]) == 0
    assert "offline, running" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["status", "log", "verify"])
def test_a_run_without_a_rollout_says_so(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    ensure_keys(directory.key)
    assert main(["rollout", verb, str(directory.root)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_rollout_starts_from_files_and_says_what_of_them_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    monkeypatch.setattr("fleet.rundir._made", [])  # a failed command would tidy this process's run away
    key = ensure_keys(directory.key).node("operator_anna")
    assert key is not None
    write_keys(tmp_path / "operator_anna.key", Keys(nodes={"operator_anna": key}))
    (tmp_path / "robots.json").write_text(json.dumps({"r0": 5}))
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode({"holdouts": 0.1}))
    words = ["rollout", "start", str(directory.root), "--key", str(tmp_path / "operator_anna.key")]
    assert main(words) == 2
    assert "expected --robots" in capsys.readouterr().err
    assert main([*words, "--robots", str(tmp_path / "robots.json")]) == 2
    assert "--robots: expected JSON" in capsys.readouterr().err
    assert main([*words, "--robots", str(tmp_path / "robots.json"), "--plan", str(tmp_path / "plan.json")]) == 2
    assert "--plan: expected JSON" in capsys.readouterr().err
    write_keys(tmp_path / "stranger.key", Keys(nodes={"operator_anna": b"x" * 32}))
    words[-1] = str(tmp_path / "stranger.key")
    assert main(words) == 2
    assert "not that of an operator operator_anna" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("", "offline, running"),
        ("embodiment", "another embodiment is another fleet"),
        ("manifest", "it was altered; restore it"),
        ("unknown", "expected one release that begins with 0000000000"),
    ],
)
def test_a_candidate_that_is_altered_unknown_or_for_another_robot_does_not_start(
    tmp_path: Path, spoilt: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = create_run(tmp_path, arguments=["test"], config={}, seed=1, clock="lockstep")
    monkeypatch.setattr("fleet.rundir._made", [])
    key = ensure_keys(directory.key).node("operator_anna")
    assert key is not None
    write_keys(tmp_path / "operator_anna.key", Keys(nodes={"operator_anna": key}))
    registry = Registry(tmp_path / "registry")
    spec = OTHER if spoilt == "embodiment" else SPEC
    policy(tmp_path / "old", 1)
    policy(tmp_path / "new", 2, spec=spec)
    old = registry.release(release_of(kept(registry, tmp_path / "old")), "ann")
    new = registry.release(release_of(kept(registry, tmp_path / "new"), spec=spec), "ann")
    if spoilt == "manifest":
        place = registry.objects.path(new)
        place.chmod(0o600)
        place.write_bytes(place.read_bytes().replace(b"spring", b"sprung"))
    registry.close()
    (tmp_path / "robots.json").write_text(json.dumps({f"r{number}": "hall" for number in range(10)}))
    course = Course(robots=("r0",), fence=(0.0, 0.0, 5.0, 5.0))
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(Plan(course=course)))
    words = {"key": "operator_anna.key", "registry": "registry", "robots": "robots.json", "plan": "plan.json"}
    options = [f"--{option}={tmp_path / name}" for option, name in words.items()]
    candidate = "0" * 10 if spoilt == "unknown" else new
    code = main(["rollout", "start", str(directory.root), f"--candidate={candidate}", f"--baseline={old}", *options])
    told = capsys.readouterr()
    assert code == (2 if spoilt else 0)
    assert said in told.err + told.out
    if spoilt:
        assert len(told.err.splitlines()) == 1
        assert main(["rollout", "status", str(directory.root)]) in (0, 2)
        assert "running" not in capsys.readouterr().out
