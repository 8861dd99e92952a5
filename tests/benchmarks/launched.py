"""Run a launch file as a person would and read what it left behind: shared by the benchmarks of whole fleets."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.findings import Findings, read_findings
from fleet.rundir import open_run

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Launched:
    """One launch."""

    findings: Findings
    directory: Path
    """The run directory."""
    seconds: float
    """Wall time of the whole launch, s."""
    code: int
    """Its exit code."""

    @property
    def collisions(self) -> int:
        """Collisions by the count that saw more."""
        return max(self.findings.plant["collisions"], self.findings.plant["oracle_collisions"])

    @property
    def double_grants(self) -> int:
        """Double grants that the auditor found."""
        return self.findings.audit["kinds"].get("double_grant", 0)


def launch(file: str, arguments: Sequence[str], limit: float) -> Launched:
    """`muster launch FILE name:=value ...` with its run under runs/bench/; raises if it leaves none."""
    parent = ROOT / "runs" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    runs = Path(tempfile.mkdtemp(prefix="fleet-", dir=parent))
    command = [
        sys.executable,
        "-m",
        "fleet.cli",
        "launch",
        "--runs",
        str(runs),
        str(ROOT / "launch" / file),
        *arguments,
    ]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, text=True)
    seconds = time.perf_counter() - begun
    print(done.stdout[-3000:], file=sys.stderr)
    directories = sorted(path.parent for path in runs.glob("*/run.json"))
    if not directories:
        raise RuntimeError(f"expected a run directory from {' '.join(command)}, got exit code {done.returncode}")
    findings = read_findings(open_run(directories[-1]))
    if not findings.plant or not findings.audit:
        raise RuntimeError(f"{directories[-1]} holds no finished run; its logs say why")
    return Launched(findings, directories[-1], seconds, done.returncode)
