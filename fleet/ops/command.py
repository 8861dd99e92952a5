"""`muster page`: a fleet that runs in the browser, for the people who watch it.

    muster page runs/<run>                                  read-only: nothing can be done from it
    muster page runs/<run> --key operator_ann.key           with emergency stop, reset, acknowledgement, kill switch
    muster page --coordinator tcp://HOST:7410 --site hall.yaml --read-key page_hall.key

The page is served on this machine alone, unless --host says otherwise. With --key the link that is printed is for one
browser and good once; whoever else opens the page can watch, and raise the emergency stop. Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from fleet.ops.access import Access
from fleet.ops.acts import Acts, Operator, acknowledged, read_operator
from fleet.ops.live import Live
from fleet.ops.places import Places, find
from fleet.rundir import ENVIRONMENT
from sim.errors import MusterError

if TYPE_CHECKING:
    from sim.road import Road
    from sim.site import Site

HOST = "127.0.0.1"
"""The page is for whoever sits at this machine."""
CONNECTIONS = 128
"""At once; more are refused."""
BACKLOG = 64


class PageError(MusterError):
    """The page cannot be served."""


@dataclass(frozen=True)
class Config:
    """Show a fleet that runs in the browser: floor, modes, tasks, rollout, alarms; read-only without a key."""

    run: Positional[Path | None] = None
    """The run directory; $MUSTER_RUN if not given and set"""
    coordinator: str = ""
    """Address of the coordinator, instead of the run's"""
    site: str = ""
    """The floor, instead of the run's: a map file or generate:SEED"""
    metrics: tuple[str, ...] = ()
    """More metrics pages, beside the run's: NAME=http://HOST:PORT/metrics"""
    key: Path | None = None
    """An operator's key file: the page can then raise and reset the stop, acknowledge, and kill a rollout"""
    name: str = "operator"
    """Who acts, if that key is the fleet's"""
    read_key: Path | None = None
    """Key file by which the page asks the coordinator; the run's fleet.key, else --key, if not given"""
    host: str = HOST
    """Where it listens; another address than this machine's opens it to the network, unencrypted"""
    port: int = 8090
    """Port of the page; 0 for any free one"""


def run(config: Config) -> int:
    """Serve the page until Ctrl-C; returns 0. Raises `MusterError` for what the user can mend."""
    given = config.run or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    operator = read_operator(config.key, config.name) if config.key is not None else None
    places = find(
        given,
        coordinator=config.coordinator,
        site=config.site,
        read_key=config.read_key,
        metrics=config.metrics,
    )
    if places.keys is None and config.key is not None:
        places = find(
            given, coordinator=config.coordinator, site=config.site, read_key=config.key, metrics=config.metrics
        )
    with contextlib.closing(_listening(config.host, config.port)) as listener:
        return _serve(config, places, operator, listener)


def _serve(config: Config, places: Places, operator: Operator | None, listener: socket.socket) -> int:
    import uvicorn

    from fleet.ops.floorplan import floorplan, on_road, roadplan
    from fleet.ops.server import Board, application
    from fleet.ops.watch import Watcher

    road = road_of(places)
    plan = roadplan(road) if road is not None else floorplan(site_of(places))
    live = Live(time.monotonic, acknowledged(places.run))
    watcher = Watcher(places, live.show)
    if road is not None:
        watcher.moved = on_road(road)
    access = acts = None
    if operator is not None:
        access = Access(time.monotonic)
        acts = Acts(places, operator)
        live.ended = acts.over
    port = int(listener.getsockname()[1])
    place = f"http://{_shown(config.host)}:{port}/"

    def link() -> str:
        return f"{place}#{access.token}" if access is not None else place

    def opened(by: str) -> None:
        print(f"opened by {by}; for another browser: {link()}", flush=True)

    def watched(anybody: bool) -> None:
        watcher.watched = anybody

    board = Board(live, plan, places.title, acts, access, watched, opened)
    settings = uvicorn.Config(
        application(board, config.host),
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16384,
        http="h11",
        ws="none",
    )
    server = uvicorn.Server(settings)
    board.ending = lambda: server.should_exit

    async def main() -> None:
        loop = asyncio.get_running_loop()
        live.tell(lambda: _ring(loop, board.ring))
        watcher.start()
        await server.serve(sockets=[listener])

    if not _is_loopback(config.host):
        print(
            "open to the network, unencrypted: whoever reaches it can watch" + (" and stop the fleet" if acts else "")
        )
    print(f"{link()}   ({'with ' + acts.operator.name + ', ' if acts else 'read-only, '}Ctrl-C ends)", flush=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main())
    finally:
        watcher.close()
    return 0


def site_of(places: Places) -> Site | None:
    """The floor, where it is known. Raises MusterError for one that cannot be read."""
    from sim.readers import load_site

    return load_site(places.site, places.cell) if places.site else None


def road_of(places: Places) -> Road | None:
    """The road that cars are on; None where the run's place is a floor, or not known."""
    if places.coordinated or not places.site:
        return None
    from fleet.venues import read_venues

    return read_venues(places.site)[0].road


def _ring(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended before the last look
        loop.call_soon_threadsafe(ring)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens; raises PageError."""
    if not 0 <= port <= 65535:
        raise PageError(f"--port: expected a port from 1 to 65535, or 0 for any free one, got {port}; choose another")
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise PageError(
            f"--host: expected an address of this machine, got {host!r} ({error}); give 127.0.0.1"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PageError(
            f"--port: expected a free port of {host}, got {port} ({error.strerror}); choose another, or 0 for any"
        ) from None
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
