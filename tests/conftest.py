"""What every test shares: runs and command lines, and what is skipped and why, said at the end of a run."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commandline import contents, one_line

if TYPE_CHECKING:
    from fleet.rundir import RunDirectory
    from tests.fleet.recorded_plant import RecordedPlant

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Run muster with these words in an empty folder; returns the one line that a refused command says.

    In this process, which spares its imports.
    """
    from fleet import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSTER_RUN", raising=False)
    handler = signal.getsignal(signal.SIGTERM)

    def check(*words: object) -> str:
        before = contents(tmp_path)
        capfd.readouterr()
        assert cli.main([str(word) for word in words]) == 2
        captured = capfd.readouterr()
        assert captured.out == ""
        return one_line(captured.err, tmp_path, before)

    yield check
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def recorded_run(tmp_path: Path) -> RunDirectory:
    """A run directory with key, floor, policy and a recorded life."""
    from coordination.keys import new_keys, write_keys
    from fleet.rundir import create_run
    from tests.fleet.recorded_plant import make_recording

    run = create_run(tmp_path)
    write_keys(run.key, new_keys())
    make_recording(run.root, seconds=12.0)
    return run


@pytest.fixture
def recorded_plant(recorded_run: RunDirectory) -> Iterator[RecordedPlant]:
    """What plays that life to a robot."""
    from coordination.keys import read_keys
    from tests.fleet.recorded_plant import RecordedPlant

    plant = RecordedPlant(recorded_run.root, read_keys(recorded_run.key))
    yield plant
    plant.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if any("gpu" in item.keywords for item in items):
        reason = _why_no_cuda()
        for item in items:
            if reason and "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_no_cuda() -> str:
    """Empty when there is a CUDA device."""
    import warp as wp

    from sim.device import start_warp

    start_warp()
    return "" if wp.is_cuda_available() else "needs a CUDA device, this machine has none"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The list of skips and their reasons; a run without skips says so."""
    skipped: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[reason.removeprefix("Skipped: ")].append(report.nodeid)
    deselected = len(terminalreporter.stats.get("deselected", []))
    terminalreporter.section("skipped")
    for reason, tests in sorted(skipped.items()):
        terminalreporter.line(f"{len(tests)} x {reason}")
        for test in sorted(tests):
            terminalreporter.line(f"    {test}")
    if deselected:
        terminalreporter.line(f"{deselected} left out by -m or -k; `make test-all` runs all")
    if not skipped and not deselected:
        terminalreporter.line("nothing")
