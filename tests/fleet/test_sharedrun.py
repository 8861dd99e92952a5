"""One run directory for processes that no `muster launch` has started."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from coordination.keys import read_keys
from fleet.rundir import discard_unused, join_run
from fleet.sharedrun import make_named_run


def test_the_first_of_many_makes_the_run_that_all_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    discard_unused()  # what other tests of this process made
    named = tmp_path / "runs" / "run_1"
    monkeypatch.setenv("MUSTER_RUN", str(named))
    start = threading.Barrier(8)

    def come() -> None:
        start.wait()
        make_named_run()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(named.parent.iterdir()) == [named]
    assert join_run().root == named
    assert json.loads((named / "run.json").read_text())["run"] == "run_1"
    assert read_keys(named / "fleet.key").fleet is not None
    assert discard_unused() == ()
    assert named.exists()


def test_what_is_there_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_RUN", str(tmp_path))
    make_named_run()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MUSTER_RUN", "")
    monkeypatch.chdir(tmp_path)
    make_named_run()
    assert list(tmp_path.iterdir()) == []


def test_the_coordinator_of_another_launcher_finds_its_place(tmp_path: Path, root: Path) -> None:
    """It alone makes no run directory, and stores its tasks in the one that its launch file names."""
    code = f"""
        import os, signal, sys, threading
        sys.path.insert(0, {str(root)!r})
        os.environ["MUSTER_RUN"] = "runs/run_2"
        from fleet import cli
        from coordination import serve
        serve.run = lambda config: print(sorted(os.listdir(os.environ["MUSTER_RUN"])))
        sys.exit(cli.main(["coordinate", "--site", "generate:7"]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fleet.key" in done.stdout
    assert "run.json" in done.stdout
