"""`muster coordinate`: the coordinator as a process.

It opens the store, warms the planner's kernels, and only then listens: a connection means that it is ready. SIGTERM
ends it cleanly; after kill -9 a new one on the same run directory goes on where the last commit stands, and keeps
every cell that a robot may still be in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coordination.boxheads import FILE, BoxHeads
from coordination.client import ADDRESS, COORDINATOR
from coordination.keys import Keys, keys_of, read_keys
from coordination.meters import Meters
from coordination.ports import check_free, listeners
from coordination.service import PLANT, Service, nothing
from coordination.tasks import Store
from coordination.transport import Transport, TransportError
from coordination.wire import Wire
from coordination.zmq_transport import ZmqClient, ZmqServer, wait_any
from sim.errors import MusterError


@dataclass(frozen=True)
class Config:
    """Give a fleet its work and its right of way."""

    site: str = "generate:1"
    """A site's file or name"""
    cell: float = 1.2
    """Cell size of a file that states none, m"""
    address: str = ADDRESS
    """Where robots and clients connect; loopback unless you say otherwise"""
    plant: str = ""
    """Address of the plant; needed in lockstep, and in wall mode where a plant keeps the site's time"""
    clock: Literal["lockstep", "wall"] = "lockstep"
    """lockstep: rounds end when the plant says so; wall: every 100 ms"""
    run: Path | None = None
    """Run directory for tasks.sqlite and fleet.key; $MUSTER_RUN if not given"""
    time: Literal["monotonic", "system"] = "monotonic"
    """In wall mode without a plant, the site's time: this computer's since it started, or its system clock, which
    robots behind ROS 2 keep too: theirs and its are to be synchronised"""
    once: bool = False
    """End when the plant does, instead of waiting for another one"""
    key: Path | None = None
    """The fleet key, if not the run directory's"""
    metrics_port: int = 0
    """Port of the Prometheus page; 0 for none"""


@dataclass(frozen=True)
class Links:
    """The coordinator's ways to the others, open."""

    server: Transport
    """Where robots and clients come"""
    wire: Wire
    """The server's"""
    plant: Transport | None
    """None where no plant keeps the time"""
    wait: Callable[[float], object]
    """Wait so many seconds at most until something has come at either"""
    place: str
    """Where others find the server, for people"""
    moment: Callable[[], int] = time.monotonic_ns
    """The site's time where no plant keeps it, ns"""


Open = Callable[[contextlib.ExitStack, Keys], Links]
"""Opens links that the stack closes."""


class ServeError(MusterError):
    """The coordinator cannot be what the command line asks for."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    from sim.readers import load_site

    load_site(config.site, config.cell)
    if config.clock == "lockstep" and not config.plant:
        raise TransportError("--plant: lockstep needs the plant's address, got none; give it, or --clock wall")
    if config.key is not None:
        read_keys(config.key)
    check_free(ports(config))


def ports(config: Config) -> dict[str, str]:
    """What the coordinator listens on, by option."""
    return listeners(config.address, config.metrics_port)


def run(config: Config, at: Callable[[str], None] = nothing) -> int:
    """Serve over ZeroMQ until SIGTERM or SIGINT; raises MusterError for what the user can mend."""
    check(config)
    return serve(config, lambda stack, keys: sockets(config, stack, keys), at)


def sockets(config: Config, stack: contextlib.ExitStack, keys: Keys) -> Links:
    """Links over ZeroMQ."""
    server = ZmqServer(COORDINATOR, keys, config.address)
    stack.callback(server.close)
    if not config.plant:
        moment = time.time_ns if config.time == "system" else time.monotonic_ns
        return Links(server, server.wire, None, lambda timeout: wait_any([server], timeout), server.address, moment)
    plant = ZmqClient(COORDINATOR, PLANT, keys, config.plant)
    stack.callback(plant.close)
    return Links(server, server.wire, plant, lambda timeout: wait_any([server, plant], timeout), server.address)


def serve(config: Config, opened: Open, at: Callable[[str], None] = nothing) -> int:
    """Serve over any links until SIGTERM or SIGINT; `config` was checked. `at` is `Service.at`."""
    from coordination.coordinator import Coordinator, warm
    from sim.readers import load_site

    site = load_site(config.site, config.cell)
    place = config.run or os.environ.get("MUSTER_RUN")
    if not place:
        raise ServeError(
            "--run: expected the directory where tasks.sqlite and fleet.key are kept over restarts, got none; "
            "give one (--run . for this one), or start a whole fleet by `muster launch`"
        )
    folder = Path(place)
    keys = keys_of(config.key, folder / "fleet.key")
    meters = Meters()
    with contextlib.ExitStack() as stack:
        store = Store(folder / "tasks.sqlite")
        stack.callback(store.close)
        core = Coordinator(site, store)
        warm()
        links = opened(stack, keys)
        links.wire.know(store.epochs(), store.hear)
        if config.metrics_port:
            meters.serve(config.metrics_port)
        service = Service(
            core,
            store,
            links.server,
            links.plant,
            clock=config.clock,
            wait=links.wait,
            moment=links.moment,
            site=site.hash,
            meters=meters,
            at=at,
            heads=BoxHeads(folder / FILE).take,
        )
        print(f"coordinator ready on {links.place}, {len(store.open_tasks())} open tasks", flush=True)
        with ending_signals() as ended:
            service.run(lambda: ended.is_set() or (config.once and service.left))
    return 0


@contextlib.contextmanager
def ending_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, so that a transaction under way ends before the process does."""
    ended = threading.Event()
    former = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield ended
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
