"""The alert rules of a fleet: budgets that burn too fast (`burn`), and what wants a person at once.

Every metric that a rule names is looked up among the declared ones, so a rule cannot outlive its metric.
"""

from __future__ import annotations

from typing import Any

from fleet.ops.burn import GOOGLE, Objective, Windows, alerts, recordings
from fleet.ops.declared import checked
from safety.supervisor import Mode

OBJECTIVES = (
    Objective(
        "muster",
        "control-deadlines",
        99.9,
        "sum(rate(muster_missed_deadlines_total[WINDOW]))",
        "sum(rate(muster_control_steps_total[WINDOW]))",
        "Control steps end after their period",
    ),
    Objective(
        "muster",
        "control-latency",
        99.0,
        "sum(rate(muster_control_step_seconds_count[WINDOW]))"
        ' - sum(rate(muster_control_step_seconds_bucket{le="0.01"}[WINDOW]))',
        "sum(rate(muster_control_step_seconds_count[WINDOW]))",
        "Control steps take more than 10 ms",
    ),
    Objective(
        "muster",
        "black-boxes",
        99.99,
        "sum(rate(muster_blackbox_dropped_steps_total[WINDOW]))",
        "sum(rate(muster_control_steps_total[WINDOW]))",
        "Control steps are in no black box",
    ),
    Objective(
        "muster",
        "coordinator-rounds",
        99.9,
        "sum(rate(muster_coordinator_tick_seconds_count[WINDOW]))"
        ' - sum(rate(muster_coordinator_tick_seconds_bucket{le="0.1"}[WINDOW]))',
        "sum(rate(muster_coordinator_tick_seconds_count[WINDOW]))",
        "Rounds of the coordinator take longer than a control period",
    ),
)
"""What a fleet promises of itself."""

DIRECT = (
    ("MusterEmergencyStop", "muster_coordinator_stopped == 1", "0s", "page", "The fleet's emergency stop is latched"),
    (
        "MusterRobotLatched",
        f"muster_supervisor_mode == {int(Mode.LATCHED)}",
        "10s",
        "page",
        "{{ $labels.robot }} stands latched",
    ),
    (
        "MusterCollision",
        "increase(muster_plant_collisions_total[5m]) > 0",
        "0s",
        "page",
        "The simulator counts a collision",
    ),
    (
        "MusterCoordinatorStandsStill",
        "rate(muster_coordinator_rounds_total[1m]) == 0",
        "30s",
        "page",
        "The coordinator ends no rounds",
    ),
    (
        "MusterRobotStandsStill",
        "rate(muster_control_steps_total[1m]) == 0",
        "30s",
        "page",
        "{{ $labels.robot }} makes no control steps",
    ),
    ("MusterProcessGone", 'up{job="muster"} == 0', "30s", "page", "{{ $labels.instance }} serves no metrics"),
    (
        "MusterRobotStopped",
        f"muster_supervisor_mode == {int(Mode.STOPPED)}",
        "1m",
        "ticket",
        "{{ $labels.robot }} has been in a protective stop for a minute",
    ),
    ("MusterTaskWaits", "muster_coordinator_tasks_waiting > 0", "1m", "ticket", "Tasks wait for an operator"),
    (
        "MusterTaskFailed",
        'delta(muster_coordinator_tasks{state="failed"}[10m]) > 0',
        "0s",
        "ticket",
        "Tasks have failed",
    ),
    ("MusterBatteryLow", "muster_battery_ratio < 0.15", "1m", "ticket", "{{ $labels.robot }} is nearly empty"),
    (
        "MusterBlackBoxFails",
        "increase(muster_blackbox_failed_writes_total[5m]) + increase(muster_blackbox_faults_total[5m]) > 0",
        "0s",
        "ticket",
        "{{ $labels.robot }} cannot write its black box",
    ),
    (
        "MusterPolicyRefused",
        'increase(muster_policy_swaps_total{outcome="refused"}[10m]) > 0',
        "0s",
        "ticket",
        "{{ $labels.robot }} refused a policy",
    ),
    (
        "MusterGuardOpen",
        "muster_guard_open == 1",
        "0s",
        "page",
        "{{ $labels.robot }} took a policy back: its breaker is open",
    ),
    (
        "MusterGuardTrips",
        "increase(muster_guard_trips_total[1h]) > 1",
        "0s",
        "ticket",
        "{{ $labels.robot }} saw what is new to its policy ({{ $labels.reason }}) more than once in an hour",
    ),
    (
        "MusterShadowOff",
        'increase(muster_shadow_skipped_total{why="fault"}[10m]) > 2',
        "0s",
        "ticket",
        "{{ $labels.robot }}: the candidate in the shadow raised and is off",
    ),
    (
        "MusterRolloutTakenBack",
        'muster_rollout_status{status=~"rolled_back|killed"} == 1',
        "0s",
        "page",
        "A candidate was taken back ({{ $labels.status }})",
    ),
    (
        "MusterRolloutHeld",
        'muster_rollout_status{status="held"} == 1',
        "0s",
        "ticket",
        "A rollout is held: `muster rollout status` says why",
    ),
    ("MusterRolloutUndecided", "muster_rollout_undecided == 1", "1m", "page", "The rollout's service cannot write"),
    (
        "MusterRolloutSilent",
        'muster_rollout_robots{arm="candidate"} - muster_rollout_asking_robots{arm="candidate"} > 0',
        "5m",
        "ticket",
        "{{ $value }} robots that are to drive the candidate ask for no lease",
    ),
    (
        "MusterForgedMessages",
        'increase(muster_coordinator_messages_total{kind=~"forged|replayed|unsigned"}[10m]) > 100',
        "0s",
        "ticket",
        "Messages come that are nobody's of the fleet",
    ),
)
"""Name, expression, for how long, severity, words."""


def rules(windows: Windows = GOOGLE) -> dict[str, Any]:  # YAML
    """A file of Prometheus's rules. Raises UndeclaredError where one names a metric that is not served."""
    groups = []
    for objective in OBJECTIVES:
        name = f"{objective.service}-{objective.name}"
        groups.append({"name": f"muster-slo-recordings-{name}", "rules": recordings(objective, windows)})
        groups.append({"name": f"muster-slo-alerts-{name}", "rules": alerts(objective, windows)})
    groups.append({"name": "muster-alerts", "rules": [_direct(*each) for each in DIRECT]})
    for group in groups:
        for rule in group["rules"]:
            checked(rule["expr"])
    return {"groups": groups}


def _direct(name: str, expression: str, lasting: str, severity: str, text: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": text},
    }
