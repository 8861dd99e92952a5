"""`muster estop`: raise, reset or show the fleet's emergency stop.

    muster estop raise --reason "smoke in aisle 4"     anyone; no key is used
    muster estop show                                  needs a key of the fleet
    muster estop reset --epoch 3                       an operator's key; names the stop that it ends
    muster estop raise --bus auto                      of a fleet that talks over ROS 2

A run's fleet key ($MUSTER_RUN/fleet.key) serves every name; elsewhere --key names an operator's own key file.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional, Suppress

from coordination.client import ADDRESS, FleetClient
from coordination.keys import NAME, Keys, read_keys
from coordination.requests import StopState
from fleet.reach import reach
from fleet.ros.bus import BusKind
from sim.errors import MusterError, printable

REASON_MAX, WHO_MAX = 500, 100
"""Characters of a reason, and of who gives it, that are sent: what is too long to travel may keep no stop from being
heard, and coordinators before 2026-11-22 believed none that says more than 1024 and 256."""


class EstopError(MusterError):
    """The command line does not say enough."""


@dataclass(frozen=True)
class Config:
    """Raise, reset or show the fleet's emergency stop."""

    action: Positional[Literal["raise", "reset", "show"]]
    """raise (anyone), reset (an operator) or show"""
    address: str = ADDRESS
    """Of the coordinator; over a bus ros or ros:/SPACE"""
    bus: BusKind = "none"
    """How the coordinator is reached: none: at --address; else over ROS 2"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments"""
    key: Path | None = None
    """Key file; $MUSTER_RUN/fleet.key if not given and there. A raise uses none"""
    name: str = "operator"
    """Who speaks, if the key is the fleet's"""
    reason: str = ""
    """Why the stop is raised"""
    epoch: int = 0
    """Number of the stop that the reset ends, as `show` prints it"""
    timeout: float = 5.0
    """s to wait for the coordinator"""


def run(config: Config) -> int:
    """Do what `config.action` says and print how the stop stands; raises MusterError when that is not known."""
    beside = set(config.ros_arguments) - {"--ros-args", "--"}  # launch gives every node the bare word
    if config.bus == "none" and beside:
        words = " ".join(config.ros_arguments)
        raise EstopError(f"expected no ROS arguments without a bus, got {words}; give --bus auto too")
    # A raise goes out unsigned: nothing that is wrong with a key may keep it from being heard.
    keys = None if config.action == "raise" else find_keys(config.key)
    if keys is None and config.action != "raise":
        raise EstopError(f"{config.action} needs a key; name an operator's key file with --key")
    if config.action == "reset" and config.epoch <= 0:
        raise EstopError("reset names the stop that it ends; look it up with `muster estop show`, then give --epoch")
    name = config.name if keys is None or keys.fleet is not None else next(iter(keys.nodes))
    if config.action == "raise" and not NAME.fullmatch(name):
        name = Config.name  # nobody believes an unsigned name: what it is may keep no stop from being heard
    with contextlib.ExitStack() as stack:
        end = reach(stack, "estop", name, keys, config.address, config.bus, config.ros_arguments, config.timeout)
        client = FleetClient(end)
        if config.action == "raise":
            state = client.stop(who(), printable(config.reason)[:REASON_MAX], config.timeout)
        elif config.action == "reset":
            state = client.reset(who(), config.epoch, config.timeout)
        else:
            fleet = client.query(config.timeout)
            state = StopState("", fleet.stopped, fleet.stop_epoch)
    print(describe(state))
    return 0


def who() -> str:
    """The person at this terminal, as far as the system knows."""
    return printable(os.environ.get("USER", ""))[:WHO_MAX] or f"uid {os.getuid()}"


def find_keys(path: Path | None) -> Keys | None:
    """The keys named, or those of the run that this process belongs to, or none."""
    if path is not None:
        return read_keys(path)
    run_directory = os.environ.get("MUSTER_RUN")
    if run_directory and (Path(run_directory) / "fleet.key").exists():
        return read_keys(Path(run_directory) / "fleet.key")
    return None


def describe(state: StopState) -> str:
    """How the stop stands, in one line."""
    if state.stopped:
        return f"STOPPED: emergency stop {state.stop_epoch} is latched; reset it with --epoch {state.stop_epoch}"
    return f"not stopped (stops so far: {state.stop_epoch})"
