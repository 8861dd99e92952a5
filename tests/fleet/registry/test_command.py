"""`muster registry` from the outside: what it prints, and one line for whatever is wrong."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from pathlib import Path

import pytest

from coordination.keys import Keys, new_keys, write_keys
from fleet.cli import main
from hierarchy.chooser import META
from sim.robot import DiffDrive, RobotSpec
from sim.specfile import SpecFile, write_spec
from tests.fleet.registry.test_registry import policy


def muster(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    code = main(["registry", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_from_policies_to_a_release_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skill = policy(tmp_path / "run", 1)
    policy(tmp_path / "run" / META, 2, meta=True, below=skill.hash)
    place = f"--registry={tmp_path / 'registry'}"
    code, out, _ = muster(capsys, "add", str(tmp_path / "run"), place)
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()] == ["skill", "meta"]
    versions = [line.split()[0] for line in out.splitlines()]
    code, out, _ = muster(capsys, "release", "spring", *(each[:10] for each in versions), place, "--by=ann")
    assert code == 0
    release = out.split()[0]
    assert muster(capsys, "alias", "hall2", "candidate", release[:12], place)[0] == 0
    _, out, _ = muster(capsys, "list", place)
    assert out.count("\n") == 4
    assert f"{release[:12]}  candidate on hall2" in out
    _, out, _ = muster(capsys, "show", release[:8], place)
    assert json.loads(out)["skills"] == {"navigate": versions[0]}
    assert muster(capsys, "checkout", release[:8], str(tmp_path / "out"), place)[0] == 0
    for name in ("policy.onnx", "policy.json", "meta/policy.onnx"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    _, out, _ = muster(capsys, "log", place)
    assert "ann  release" in out
    code, out, _ = muster(capsys, "verify", place)
    assert code == 0
    assert out.startswith("sound: 2 versions, 1 releases, 4 lines")


def test_directories_are_registered_as_they_are_pinned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy(tmp_path / "run", 1)
    place = f"--registry={tmp_path / 'registry'}"
    assert muster(capsys, "release", "spring", str(tmp_path / "run"), place)[0] == 0
    assert "release" in muster(capsys, "list", place)[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("add",), "expected DIR ..., got nothing"),
        (("alias", "hall2"), "expected SITE ALIAS RELEASE, got hall2"),
        (("list", "x"), "expected nothing more, got x"),
        (("show", "abc"), "expected 8 digits"),
        (("show", "abcdabcd"), "there are none"),
        (("release", "Spring!", "RUN"), "expected a name of small letters"),
        (("release", "spring", "RUN", "OTHER"), "pin one of them"),
        (("release", "spring", "RUN", "--spec=SPEC"), "was trained for contract"),
        (("add", "nowhere"), "expected a trained policy"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(tmp_path / "run", 1)
    policy(tmp_path / "other", 2)
    write_spec(tmp_path / "spec.yaml", SpecFile(RobotSpec(drive=DiffDrive(speed_max=0.8))))
    names = {"RUN": tmp_path / "run", "OTHER": tmp_path / "other", "SPEC": tmp_path / "spec.yaml"}
    for name, path in names.items():
        words = tuple(word.replace(name, str(path)) for word in words)
    place = f"--registry={tmp_path / 'registry'}"
    main(["registry", "add", str(tmp_path / "run"), place])
    capsys.readouterr()
    code, _, err = muster(capsys, *words, place)
    assert code == 2
    assert err.count("\n") == 1
    assert line in err


def test_a_registry_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = muster(capsys, "list", f"--registry={tmp_path / 'none'}")
    assert code == 2
    assert "does not exist" in err
    assert not (tmp_path / "none").exists()


def test_an_operator_signs_an_alias_and_the_fleets_key_proves_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(tmp_path / "run", 1)
    fleet = new_keys()
    write_keys(tmp_path / "fleet.key", fleet)
    write_keys(tmp_path / "operator_ann.key", Keys(nodes={"operator_ann": fleet.node("operator_ann") or b""}))
    place, key = f"--registry={tmp_path / 'registry'}", f"--key={tmp_path / 'operator_ann.key'}"
    release = muster(capsys, "release", "spring", str(tmp_path / "run"), place)[1].split()[-2]
    assert muster(capsys, "alias", "hall2", "production", release, place, key)[0] == 0
    write_keys(tmp_path / "r0.key", Keys(nodes={"r0": fleet.node("r0") or b""}))
    code, _, err = muster(capsys, "alias", "hall2", "production", release, place, f"--key={tmp_path / 'r0.key'}")
    assert code == 2
    assert "no operator's key for r0" in err
    code, _, err = muster(capsys, "alias", "hall2", "production", release, place, "--by=operator_ann")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "operator's signature" in err
    assert "operator_ann  alias" in muster(capsys, "log", place)[1]
    assert muster(capsys, "verify", place, f"--key={tmp_path / 'fleet.key'}")[0] == 0
    write_keys(tmp_path / "other.key", new_keys())
    code, out, _ = muster(capsys, "verify", place, f"--key={tmp_path / 'other.key'}")
    assert code == 1
    assert "production of hall2: line 3 of the log is not signed by operator_ann" in out


@pytest.fixture
def spring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, Path, str]:
    """A registry with a release: its option, its folder, the release."""
    policy(tmp_path / "run", 1)
    place = f"--registry={tmp_path / 'a#b%20c?d'}"
    code, out, _ = muster(capsys, "release", "spring", str(tmp_path / "run"), place, "--by=x\n\x1b[31m")
    assert code == 0
    return place, tmp_path / "a#b%20c?d", out.split()[0]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("UPDATE audit SET what = '{bad'", "line 1 of the log cannot be read"),
        ("UPDATE audit SET what = '[]'", "line 1 of the log cannot be read"),
        ("UPDATE audit SET stamp = 1e30", "line 1 of the log cannot be read"),
        ("DROP TABLE audit", "no such table"),
    ],
)
def test_a_log_that_cannot_be_read_is_one_line(
    tamper: str, said: str, spring: tuple[str, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder, release = spring
    with contextlib.closing(sqlite3.connect(folder / "registry.sqlite")) as file, file:
        file.execute(tamper)
    for words in (("log",), ("alias", "hall2", "production", release)):
        code, _, errors = muster(capsys, *words, place)
        assert code == 2
        assert said in errors
        assert errors.count("\n") == 1
    code, out, errors = muster(capsys, "verify", place)
    assert code in (1, 2)
    assert said in out + errors


def test_an_empty_file_in_the_registrys_place_is_one_line(
    spring: tuple[str, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder, _ = spring
    (folder / "registry.sqlite").write_bytes(b"")
    for words in ("list", "verify", "log"):
        code, _, errors = muster(capsys, words, place)
        assert (code, errors.count("\n")) == (2, 1)
        assert "holds nothing" in errors


def test_a_name_in_the_log_writes_no_line_of_its_own(
    spring: tuple[str, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = muster(capsys, "log", spring[0])
    assert out.count("\n") == 2
    assert "\x1b" not in out


def test_folders_that_cannot_be_made_are_one_line(
    spring: tuple[str, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, _, release = spring
    (tmp_path / "file").touch()
    for words in (
        ("checkout", release, str(tmp_path / "file"), place),
        ("add", str(tmp_path / "run"), f"--registry={tmp_path / 'file'}"),
    ):
        code, _, errors = muster(capsys, *words)
        assert (code, errors.count("\n")) == (2, 1)
        assert "expected a folder that can be made" in errors


@pytest.mark.parametrize("wrong", [{"training": 5}, {"training": {"below": [1]}}, {"evaluation": {"score": math.nan}}])
def test_a_policy_whose_manifest_tells_what_no_registry_can_keep_is_one_line(
    wrong: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy(tmp_path / "run", 1)
    manifest = tmp_path / "run" / "policy.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **wrong}))
    code, _, errors = muster(capsys, "add", str(tmp_path / "run"), f"--registry={tmp_path / 'registry'}")
    assert (code, errors.count("\n")) == (2, 1)
    assert "to be an object of finite numbers and text" in errors
