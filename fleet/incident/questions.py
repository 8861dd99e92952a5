"""`muster replay` with a question: `--policy` of another version, `--speed-assumption`, `--sim`, `--to-test`."""

from __future__ import annotations

import importlib

from agents.policy import Policy
from fleet.incident import policies, whatif
from fleet.incident.walk import Log, read_logs
from fleet.incident.whatif import QuestionError
from fleet.replay import Config


def answer(config: Config) -> int | Policy:
    """Answer and return the exit code; the policy where nothing is asked but a plain replay with the one that drove.

    Raises MusterError, one line, for whatever the user can mend.
    """
    asked = {
        "--speed-assumption": config.speed_assumption is not None,
        "--sim": config.sim is not None,
        "--to-test": config.to_test is not None,
    }
    if sum(asked.values()) > 1:
        raise QuestionError(
            f"expected one question, got {' and '.join(k for k, v in asked.items() if v)}; ask them in turn"
        )
    if config.to_test is not None:
        from fleet.incident.cutting import cut_test

        return cut_test(config)
    if config.sim is not None:
        return int(importlib.import_module("fleet.incident.playon").play(config))
    logs = read_logs(config.path, config.robot)
    zero = min(log.span[0] for log in logs)
    if config.speed_assumption is not None:
        for log in logs:
            what = (
                f"{log.path}: with people assumed at {config.speed_assumption:g} m/s instead of "
                f"{log.header.config.person_speed:g}"
            )
            print(
                *whatif.tally(what, whatif.other_speed(log, config.speed_assumption)).lines(zero), sep="\n", flush=True
            )
        return 0
    assert config.policy is not None
    policy = policies.find(config.policy, policies.run_of(logs[0].path), config.registry, logs[0].header)
    if all(log.header.policy_hash == policy.hash for log in logs):
        return policy
    for log in logs:
        print(*_policy(log, policy, zero), sep="\n", flush=True)
    return 0


def _policy(log: Log, policy: Policy, zero: int) -> list[str]:
    was = log.header.policy_hash[:12] or "none"
    what = f"{log.path}: with policy {policy.hash[:12]} instead of {was}"
    return whatif.tally(what, whatif.other_policy(log, policy)).lines(zero)
