"""Keeping DDS's sockets to the loopback interface.

Cyclone DDS 11.0 sends through the interface that it is told, but receives on all of them: its two unicast sockets are
bound to 0.0.0.0 whatever the configuration says (ddsi_init.c, make_uc_sockets). With discovery kept to this machine
somebody on the network could still write to them. The kernel can tie a socket to an interface (SO_BINDTODEVICE; since
Linux 5.7 without privileges), which is done here right after Cyclone has opened them.
"""

from __future__ import annotations

import os
import socket
import stat

ANY = ("0.0.0.0", "::")


def sockets() -> set[int]:
    """The file descriptors of this process's sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
        except OSError:
            continue  # closed since it was listed
    return found


def keep_to_loopback(before: set[int]) -> str:
    """Tie the UDP sockets that listen on all interfaces, and that were not there before, to `lo`.

    Returns why it could not be done; empty when it was.
    """
    for number in sorted(sockets() - before):
        with socket.socket(fileno=os.dup(number)) as handle:
            udp = handle.family in (socket.AF_INET, socket.AF_INET6) and handle.type == socket.SOCK_DGRAM
            if udp and handle.getsockname()[0] in ANY:
                try:
                    handle.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
                except OSError as error:
                    return f"the kernel does not tie sockets to an interface: {error.strerror}"
    return ""
