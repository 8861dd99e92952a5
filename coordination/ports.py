"""Where a process will listen, looked at before anything is made for a run.

A server finds a port in use only when it binds, which is after a run directory was made and kernels were compiled. A
command therefore names what it will listen on (`listeners`), and its check tries each address and lets go of it. That
reserves nothing: who loses a race for a port is still told so by the server.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Mapping

from coordination.transport import TransportError


def listeners(address: str = "", metrics_port: int = 0) -> dict[str, str]:
    """What a command listens on, by option. Raises TransportError for a port that there cannot be."""
    found = {"--address": address} if address else {}
    if metrics_port:
        if not 0 < metrics_port < 65536:
            raise TransportError(
                f"--metrics-port: expected a port from 1 to 65535, or 0 for none, got {metrics_port}; choose another"
            )
        found["--metrics-port"] = f"tcp://127.0.0.1:{metrics_port}"
    return found


def check_free(addresses: Mapping[str, str]) -> None:
    """Raise TransportError, naming the option, for the first address that a process here cannot listen on."""
    for option, address in addresses.items():
        if not re.fullmatch(r"tcp://.+:(\d+|\*)|ipc://.+", address):
            raise TransportError(f"{option}: expected tcp://ADDRESS:PORT or ipc://PATH, got {address!r}; correct it")
        match = re.fullmatch(r"tcp://([^:/]+|\[.+\]):(\d+)", address)
        if not match:
            continue  # a free port of the system's choice, or ipc
        host, port = match.group(1).strip("[]").replace("*", ""), int(match.group(2))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as the servers do: old connections do not count
            try:
                probe.bind((host, port))
                probe.listen(1)  # where another one listens, Linux may refuse only this
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise TransportError(
                        f"{option}: {address} is in use by another process; stop that process or choose another port"
                    ) from None
                raise TransportError(
                    f"{option}: cannot listen on {address}: {error.strerror}; expected an address of this machine"
                ) from None
            except OverflowError:
                raise TransportError(f"{option}: expected a port from 1 to 65535, got {port}; choose another") from None
