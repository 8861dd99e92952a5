"""Start Warp without noise: a fleet has many processes, and each log should begin with what matters.

Warp prints its devices and cache at start, and its native part writes a warning to stderr where there is no CUDA
driver, which no setting turns off. `start_warp` is called by whatever first launches kernels in a process; later calls
do nothing. The CPU is then the default device, also where Warp would choose CUDA: what runs elsewhere says so.
"""

from __future__ import annotations

import os
import sys

import warp as wp

from sim.bounds import ConfigError

_started = False


def start_warp() -> None:
    """Initialise Warp; errors are still printed."""
    global _started
    if _started:
        return
    _started = True
    wp.config.log_level = wp.LOG_ERROR
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all, as under some service managers
        wp.init()
        wp.set_device("cpu")
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
        wp.set_device("cpu")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_device(name: str) -> None:
    """Raise `ConfigError` for a device that is not there."""
    start_warp()
    try:
        wp.get_device(name)
    except (ValueError, RuntimeError) as error:
        there = ", ".join(device.alias for device in wp.get_devices())
        raise ConfigError(f'device: expected one of {there}, got "{name}"; take cpu') from error
