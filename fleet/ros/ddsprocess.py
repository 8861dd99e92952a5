"""A DDS domain as one process is in it: its configuration, shared by all buses on it, and what Cyclone DDS warns of.

Cyclone allows one configuration for each domain and process, and checks what arrives against the type before anybody
sees it: a message that is too short, or that cannot be of its type, is gone with a line in Cyclone's log. That log goes
into a file in memory here, so that such messages are counted by their topic; what else it says (a peer that cannot be
reached, a socket buffer that cannot be had) is kept for a diagnostic.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter

from cyclonedds.core import DDSException
from cyclonedds.domain import Domain

from fleet.ros.bus import BusError
from fleet.ros.ddsdomain import HIGHEST_INDEX, Discovery, configuration
from fleet.ros.ddssockets import keep_to_loopback, sockets
from fleet.ros.ddstypes import printable
from fleet.ros.names import demangled

LONGEST = 1 << 20
"""Bytes of log after which it starts again: about 5,000 refused messages."""

_FULL = b"Failed to find a free participant index"
_REFUSED = re.compile(rb"deserialization (\S+)/\S+ failed")


class SharedDomain:
    """Owns a domain of this process as long as a bus is on it; get it from `join`, and `leave` it."""

    def __init__(self, discovery: Discovery) -> None:
        """Raises BusError where Cyclone refuses the configuration."""
        self.refused: Counter[str] = Counter()
        """How many messages were refused, by ROS topic; see `read_log`."""
        self.said = (-math.inf, "")
        """What else Cyclone warned of last, and when (s of the monotonic clock)."""
        self.discovery = discovery
        self.buses = 0
        self._log = os.memfd_create("cyclonedds-warnings")
        self._read = 0
        self._rest = b""
        before = sockets()
        try:
            text = configuration(discovery, f"/proc/self/fd/{self._log}", os.getpid())
            self._domain = Domain(discovery.domain, text)
        except (DDSException, UnicodeEncodeError) as error:
            words = os.pread(self._log, LONGEST, 0)
            os.close(self._log)
            raise BusError(_refusal(discovery, words, error)) from error
        self.exposed = keep_to_loopback(before) if discovery.reach in ("LOCALHOST", "OFF") else ""
        """Why others on the network could reach this process although they should not; empty where they cannot."""

    def read_log(self) -> None:
        """Count what was refused since the last call; costs a microsecond where nothing was."""
        if os.fstat(self._log).st_size == self._read:
            return
        while data := os.pread(self._log, LONGEST, self._read):
            self._read += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if match := _REFUSED.search(line):
                    self.refused[demangled(match[1].decode("utf-8", "replace"))] += 1
                elif line:
                    self.said = (
                        time.monotonic(),
                        printable(line.decode("utf-8", "replace").rpartition("]")[2].strip()),
                    )
        if self._read > LONGEST:
            os.ftruncate(self._log, 0)
            self._read = 0

    def leave(self) -> None:
        """One bus is off; the last one ends it."""
        self.buses -= 1
        if not self.buses:
            del _JOINED[self.discovery.domain]
            self._domain.__del__()
            os.close(self._log)


_JOINED: dict[int, SharedDomain] = {}
"""Cyclone's domains are the process's, and so is this."""


def join(discovery: Discovery) -> SharedDomain:
    """The domain, opened by the first bus on it.

    Raises:
        BusError: another bus of this process has it with other settings, or Cyclone refuses them.

    """
    shared = _JOINED.get(discovery.domain)
    if shared is None:
        shared = _JOINED[discovery.domain] = SharedDomain(discovery)
    elif shared.discovery != discovery:
        raise BusError(
            f"domain {discovery.domain} is open in this process with {shared.discovery.reach} and peers "
            f"{list(shared.discovery.peers)}; close that bus first, or open this one with the same settings"
        )
    shared.buses += 1
    return shared


def _refusal(discovery: Discovery, words: bytes, error: Exception) -> str:
    """Why Cyclone does not open a domain, from what it logged."""
    domain = discovery.domain
    if _FULL in words:
        return (
            f"domain {domain} is full: it holds {HIGHEST_INDEX + 1} processes of one machine; give this fleet another "
            "ROS_DOMAIN_ID, or end processes that are left over"
        )
    last = words.decode("utf-8", "replace").strip().splitlines()[-1:]
    if discovery.extra and not last:
        last = ["CYCLONEDDS_URI is no configuration that it takes (its own words are on standard error)"]
    return f"Cyclone DDS does not open domain {domain}: {last[0] if last else error}"
