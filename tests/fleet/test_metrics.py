"""The metrics page: what a robot process serves is what docs/metrics.md lists."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from fleet.metrics import RobotMetrics, TrainingMetrics
from sim.errors import MusterError


def listed(root: Path, process: str = "Robots") -> set[str]:
    """Names in a process's table of the page."""
    text = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = text.split(f"## {process}")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(muster_[a-z_]+)`", section, re.MULTILINE))


def test_every_metric_is_listed_and_every_listed_one_is_served(root: Path) -> None:
    served = {family.name for family in RobotMetrics(("r0",)).registry.collect()}
    assert served == listed(root)
    assert {family.name for family in TrainingMetrics().registry.collect()} == listed(root, "Training")


def test_a_trainings_totals_become_counters_and_rates() -> None:
    metrics = TrainingMetrics()
    read = metrics.registry.get_sample_value
    labels = {"level": "motor"}
    metrics.show("motor", 4096, 2.0, diverged=1)  # resumed: the first totals count from 0
    metrics.show("motor", 8192, 4.0, diverged=3, success=0.5, held_out=0.25)
    metrics.show("motor", 12288, 5.0, diverged=3, success=0.75)
    metrics.show("meta", 64, 1.0)
    assert read("muster_training_steps_total", labels) == 12288
    assert read("muster_training_diverged_worlds_total", labels) == 3
    assert read("muster_training_steps_per_second", labels) == 4096
    assert read("muster_training_success_ratio", labels) == 0.75
    assert read("muster_training_held_out_ratio", labels) == 0.25, "the last check stands"
    assert read("muster_training_steps_total", {"level": "meta"}) == 64
    assert read("muster_training_diverged_worlds_total", {"level": "meta"}) == 0
    assert read("muster_training_success_ratio", {"level": "meta"}) is None, "what is no number is not served"


def test_the_page_shows_what_was_counted() -> None:
    metrics = RobotMetrics(("r0", "r1"))
    metrics.step["r1"].observe(0.0004)
    metrics.intervention("r1", "person")
    metrics.message("r0", "plant", "malformed", 3)
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    metrics.serve(port)
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    assert 'muster_control_step_seconds_bucket{le="0.0005",robot="r1"} 1.0' in page
    assert 'muster_shield_interventions_total{reason="person",robot="r1"} 1.0' in page
    assert 'muster_robot_messages_total{kind="malformed",peer="plant",robot="r0"} 3.0' in page
    assert "process_resident_memory_bytes" in page
    with pytest.raises(MusterError, match=f"port {port}"):
        RobotMetrics(("r2",)).serve(port)
