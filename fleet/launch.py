"""The launch runner, `muster launch FILE name:=value ...`: starts the processes of a launch file and ends them all.

Before anything is made it reads the whole file and lets each muster command check its own words (fleet/preflight.py).
Then it makes the run directory and the fleet key, compiles kernels once, and starts every process with MUSTER_RUN in
its environment (fleet/processes.py). Where a process refused its input (exit code 2) before anything had happened, the
run directory is removed.

Free ports for the servers stand in the environment of the file (`$(env MUSTER_PLANT tcp://127.0.0.1:7411)`), so that
two launches do not meet and the same file works under `ros2 launch`; MUSTER_POLICY is the newest run with a policy.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from coordination.keys import ensure_keys
from fleet.launchfile import read_plan, split_assignments
from fleet.launchplan import Plan
from fleet.launchyaml import LaunchError
from fleet.preflight import check, describe_randomization
from fleet.processes import Launch, resolve, tell
from fleet.rundir import ENVIRONMENT, amend_record, create_run, discard_unused, open_run

PORTS = ("MUSTER_PLANT", "MUSTER_COORDINATOR")
"""Variables that get the address of a free loopback port, unless they are set already."""


@dataclass(frozen=True)
class Config:
    """Start the processes of a launch file."""

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """The launch file, then its arguments as name:=value."""
    show_args: bool = False
    """Print the file's arguments with defaults and descriptions, and end."""
    show_randomization: bool = False
    """Print what varies in the file's task, with the arguments applied, and end."""
    runs: Path = Path("runs")
    """Where the run directory is made."""
    warm: bool = True
    """Compile kernels in one process before the others start."""


def run(config: Config) -> int:
    """Read the file, make the run directory, run the processes; returns the exit code of the launch."""
    if not config.words or ":=" in config.words[0]:
        raise LaunchError("expected a launch file: muster launch FILE name:=value ...")
    path, given = Path(config.words[0]), split_assignments(config.words[1:])
    environment = {**os.environ, **free_addresses(os.environ), **newest_policy(os.environ, config.runs)}
    if config.show_args:
        print(describe(path, read_plan(path, given, environment, listing=True)))
        return 0
    checked = read_plan(path, given, {**environment, ENVIRONMENT: os.environ.get(ENVIRONMENT, str(config.runs))})
    if config.show_randomization:
        print(describe_randomization(path, checked))
        return 0
    for process in checked.processes:
        resolve(process)  # a missing program is said before anything starts
    check(checked)
    if ENVIRONMENT in os.environ:
        directory = open_run(Path(os.environ[ENVIRONMENT]))
    else:
        seed = checked.values.get("seed", "")
        directory = create_run(
            config.runs,
            arguments=["muster", "launch", *config.words],
            config=dict(checked.values),
            seed=int(seed) if seed.isdecimal() else None,
            clock=checked.values.get("clock", "lockstep"),
        )
        ensure_keys(directory.key)
    environment[ENVIRONMENT] = str(directory.root)
    plan = read_plan(path, given, environment)
    addresses = {name: environment[name] for name in PORTS}
    amend_record(directory, addresses=addresses)
    print(f"run directory: {directory.root}", flush=True)
    print(", ".join(f"{name}={address}" for name, address in addresses.items()), flush=True)
    if config.warm and any(process.command[0] == "muster" for process in plan.processes):
        warm_kernels(environment)
    launch = Launch(plan, environment, directory)
    code = launch.run()
    removed = code == 2 and bool(discard_unused())
    if launch.failed is not None:
        tell(launch.failed, removed)
    return code


def free_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """tcp://127.0.0.1:PORT for each of `PORTS` that is not set; all ports are held while they are chosen."""
    with contextlib.ExitStack() as stack:
        addresses = {}
        for name in PORTS:
            if name not in environment:
                holder = stack.enter_context(socket.socket())
                holder.bind(("127.0.0.1", 0))
                addresses[name] = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        return addresses


def newest_policy(environment: Mapping[str, str], runs: Path) -> dict[str, str]:
    """MUSTER_POLICY: the newest run directory with a frozen policy, unless it is set or there is none."""
    manifests = sorted(runs.glob("*/policy.json"))  # run directories are named by their time
    return {"MUSTER_POLICY": str(manifests[-1].parent)} if manifests and "MUSTER_POLICY" not in environment else {}


def describe(path: Path, plan: Plan) -> str:
    """The text of --show-args."""
    lines = [f"Arguments of {path} (name:=value):"]
    for argument in plan.arguments:
        default = "required" if argument.default is None else f"default: {argument.default or '(empty)'}"
        choices = f"; one of {', '.join(argument.choices)}" if argument.choices else ""
        lines.append(f"  {argument.name}  ({default}{choices})")
        if argument.description:
            lines.append(f"      {argument.description}")
    return "\n".join(lines if plan.arguments else [f"{path} takes no arguments."])


def warm_kernels(environment: Mapping[str, str]) -> None:
    """Fill the kernel caches before many processes look for them at once."""
    result = subprocess.run(
        [sys.executable, "-m", "fleet.warm"], env=dict(environment), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"kernels do not compile:\n{result.stdout}{result.stderr}")
    print(result.stdout.strip().splitlines()[-1], flush=True)
