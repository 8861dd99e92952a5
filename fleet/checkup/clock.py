"""The computer's clocks: what a control loop is timed by, and what dates its logs and its calibration.

The loop runs by CLOCK_MONOTONIC; wall time dates calibrations and stamps of ROS messages. The kernel knows whether
something keeps its wall clock (adjtimex(2)); a clock that is being stepped shows against the monotonic one.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.checkup.finding import Finding, Section

SECTION = Section("clock")

STEP = 1e-3
"""s that the wall clock may gain on the monotonic one in a look of 1 s, twice the 500 ppm by which NTP slews."""
RESOLUTION = 1_000_000
"""ns; a twentieth of a motor period of 20 ms"""
PLAUSIBLE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No muster ran before: a computer without a battery for its clock begins in 1970 or with its image."""
ERROR = 0.1
"""s of the wall clock's estimated error: one control period, as other computers' stamps are compared with it"""
LATE_USUAL, LATE_WORST = 0.005, 0.020
"""s by which a wake-up may be late, 99 of 100 and all: a quarter and the whole of a motor period of 20 ms"""

_UNSYNCHRONISED = 0x40  # STA_UNSYNC of <sys/timex.h>
_TIME_ERROR = 5


@dataclass(frozen=True)
class ClockFacts:
    """What was seen of the clocks."""

    resolution: int
    """Smallest step of CLOCK_MONOTONIC that was seen, ns"""
    backwards: int
    """Times that it went back"""
    step: float
    """What the wall clock gained on it meanwhile, s"""
    wall: float
    """The wall clock, s since 1970"""
    synchronised: bool | None
    """Whether the kernel says that something keeps the wall clock; None where it is not told"""
    error: float
    """Its estimate of the wall clock's error, s; NaN where it is not told"""
    late: tuple[float, ...]
    """By how much each wake-up was late, s"""


def look(waits: int = 100, period: float = 0.01) -> ClockFacts:
    """Look at the clocks for `waits` times `period` seconds."""
    began, wall = time.monotonic_ns(), time.time_ns()
    smallest, backwards, before = 1 << 62, 0, began
    for _ in range(20_000):  # some milliseconds
        now = time.monotonic_ns()
        if now > before:
            smallest = min(smallest, now - before)
        backwards += now < before
        before = now
    late = []
    due = time.monotonic()
    for _ in range(waits):
        due += period
        time.sleep(max(due - time.monotonic(), 0.0))
        late.append(max(time.monotonic() - due, 0.0))
        due = max(due, time.monotonic() - period)  # one long stall is one late wake-up
    gained = (time.time_ns() - wall) - (time.monotonic_ns() - began)
    synchronised, error = kernel_state()
    return ClockFacts(smallest, backwards, gained / 1e9, time.time(), synchronised, error, tuple(late))


def check(facts: ClockFacts) -> list[Finding]:
    """Judge them."""
    late = sorted(facts.late) or [math.nan]
    usual, worst = late[max(math.ceil(0.99 * len(late)) - 1, 0)], late[-1]
    day = datetime.fromtimestamp(facts.wall, UTC)
    said = {True: "kept by NTP or PTP", False: "kept by nothing", None: "not told by this kernel"}[facts.synchronised]
    about = "" if math.isnan(facts.error) else f", off by {facts.error * 1e3:.3g} ms at an estimate"
    findings = [
        SECTION.judged(
            facts.backwards == 0 and facts.resolution <= RESOLUTION, "monotonic",
            f"steps of {facts.resolution} ns" + (f", went back {facts.backwards} times" if facts.backwards else ""),
            f"steps of at most {RESOLUTION} ns, never back",
            "choose another clock source (cat /sys/devices/system/clocksource/clocksource0/available_clocksource)",
        ),
        SECTION.judged(
            facts.wall >= PLAUSIBLE, "date", f"{day:%Y-%m-%d %H:%M} UTC", "a date after 2025",
            "set the clock (timedatectl set-time ..., or NTP): calibrations end by it",
        ),
        SECTION.judged(
            abs(facts.step) <= STEP, "wall clock", f"{facts.step * 1e3:+.3f} ms against the monotonic clock meanwhile",
            f"at most {STEP * 1e3:g} ms in a second",
            "something steps the clock: let one daemon alone keep it (chronyd, or systemd-timesyncd), by slewing",
        ),
    ]  # fmt: skip
    if facts.synchronised and not facts.error > ERROR:
        findings.append(SECTION.ok("synchronised", said + about))
    elif facts.synchronised is None:
        findings.append(SECTION.note("synchronised", said, "NTP or PTP", "look at it by timedatectl"))
    else:  # one computer alone drives by its monotonic clock; several compare stamps
        findings.append(
            SECTION.note("synchronised", said + about, f"kept by NTP or PTP within {ERROR * 1e3:g} ms where sensors or "
                         "localisation come from another computer", "timedatectl set-ntp true, or chronyd")
        )  # fmt: skip
    findings.append(
        SECTION.judged(
            usual <= LATE_USUAL and worst <= LATE_WORST, "wake-ups",
            f"99 of 100 at most {usual * 1e3:.2f} ms late, the worst {worst * 1e3:.2f} ms ({len(late)} waits)",
            f"at most {LATE_USUAL * 1e3:g} ms and {LATE_WORST * 1e3:g} ms",
            "end what else runs, give the robot's process a core of its own (taskset, isolcpus) or a real-time "
            "priority (chrt -f 20), set the governor to performance",
        )
    )  # fmt: skip
    return findings


class _Timex(ctypes.Structure):
    """struct timex of Linux on 64 bits (<sys/timex.h>), as far as it is read, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_char * 256),
    )  # fmt: skip


def kernel_state() -> tuple[bool | None, float]:
    """Whether the kernel's clock is synchronised, and its estimated error in s; None and NaN where it is not told."""
    if not sys.platform.startswith("linux"):
        return None, math.nan
    state = _Timex(modes=0)  # reads, changes nothing
    try:
        code = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (AttributeError, OSError):
        return None, math.nan
    if code < 0:
        return None, math.nan
    good = code != _TIME_ERROR and not state.status & _UNSYNCHRONISED
    return good, state.esterror / 1e6 if good else math.nan
