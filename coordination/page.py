"""A process's Prometheus page: its own meters, and what the system says of it (memory, CPU time, open files).

The names that begin with `process_` are prometheus_client's, as every exporter of a process has them; all others are
listed in docs/metrics.md. The page is on the loopback interface alone.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from coordination.transport import TransportError


def serve_page(registry: CollectorRegistry, port: int) -> None:
    """Answer scrapes from a thread; raises TransportError when the port is in use."""
    try:
        start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise TransportError(
            f"expected port {port} for /metrics to be free, {error.strerror}; choose another with --metrics-port"
        ) from None
    ProcessCollector(registry=registry)
