"""A coordinator that answers for a fleet that a test makes up, and the page beside it, in this process's threads."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from coordination.client import COORDINATOR
from coordination.estop import raise_stop, reset_stop
from coordination.keys import Keys, new_keys, write_keys
from coordination.messages import RobotStatus
from coordination.requests import FleetState, Query, RobotLine, StopRaise, StopReset
from coordination.tasks import Store
from coordination.zmq_transport import ZmqServer
from safety.supervisor import Cause, Mode

SITE = "generate:7:16x12"


@dataclass
class SmallFleet:
    """Two robots, three tasks and a stop, as a coordinator tells them. Owns its thread and its store."""

    folder: Path
    lines: list[RobotLine] = field(
        default_factory=lambda: [
            RobotLine("r0", (4.0, 4.0, 0.0), RobotStatus.MOVING, 0.83, "01900000-0000-7000-8000-00000000beef", 0.1),
            RobotLine("r1", (9.0, 8.0, 1.5), RobotStatus.STOPPED, 0.55, "", 0.1),
        ]
    )
    modes: bytes = bytes((Mode.POLICY, Cause.NONE, Mode.LATCHED, Cause.BUMPER))
    silent: bool = False

    def __post_init__(self) -> None:
        (self.folder / "blackbox").mkdir()
        self.keys = new_keys()
        write_keys(self.folder / "fleet.key", self.keys)
        key = self.keys.node("operator_ann")
        assert key is not None
        write_keys(self.folder / "operator_ann.key", Keys(nodes={"operator_ann": key}))
        self.server = ZmqServer(COORDINATOR, self.keys)
        words = ["muster", "coordinate", "--site", SITE, "--address", self.server.address, "--metrics-port", "0"]
        record = {"processes": {"coordinator": words}, "pids": {}}
        (self.folder / "run.json").write_text(json.dumps(record))
        self.store_ready, self.end = threading.Event(), threading.Event()
        self.senders: set[str] = set()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        assert self.store_ready.wait(20.0)

    def _serve(self) -> None:
        with contextlib.closing(Store(self.folder / "tasks.sqlite")) as store:
            self.store_ready.set()
            while not self.end.is_set():
                for message in self.server.receive(0.02):
                    if self.silent:
                        continue
                    self.senders.add(message.sender)
                    stamp = time.monotonic_ns()
                    match message.body:
                        case Query():
                            latch = store.latch()
                            counts = {"QUEUED": 1, "RUNNING": 1, "DONE": 1}
                            answer = FleetState(
                                message.body.request, stamp, counts, tuple(self.lines),
                                stopped=latch.stopped, stop_epoch=latch.stop_epoch, modes=self.modes,
                            )  # fmt: skip
                        case StopRaise():
                            answer = raise_stop(store, message.body, message.sender, stamp)
                        case StopReset():
                            answer = reset_stop(store, message.body, message.sender, message.signed, stamp)
                        case _:
                            continue
                    self.server.send(message.peer, answer, stamp)
        self.server.close()

    def close(self) -> None:
        self.end.set()
        self.thread.join(10.0)


@contextlib.contextmanager
def small_fleet(folder: Path) -> Iterator[SmallFleet]:
    folder.mkdir(exist_ok=True)
    fleet = SmallFleet(folder)
    try:
        yield fleet
    finally:
        fleet.close()


@dataclass
class Served:
    """A page's process and where it is."""

    process: subprocess.Popen[str]
    link: str

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)/", self.link)
        assert found is not None
        return int(found.group(1))

    @property
    def token(self) -> str:
        return self.link.partition("#")[2]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a request as a browser on this page makes it; `headers` replace its own."""
        own = {"host": f"127.0.0.1:{self.port}", "origin": f"http://127.0.0.1:{self.port}"}
        own |= {"content-type": "application/json"} if method == "POST" else {}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in own.items() if value}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20.0)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            data = (body if isinstance(body, bytes) else json.dumps(body).encode()) if body is not None else b""
            for name, value in {**sent, "content-length": str(len(data))}.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


@contextlib.contextmanager
def served(*words: str) -> Iterator[Served]:
    """`muster page WORDS` as a process, ended as Ctrl-C ends it."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("MUSTER_RUN", None)
    command = [sys.executable, "-m", "fleet.cli", "page", *words, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found is not None, said + process.stdout.read()
        served = Served(process, found.group())
        end = time.monotonic() + 30.0
        while True:
            with contextlib.suppress(OSError):
                if served.ask("GET", "/floor")[0] == 200:
                    break
            assert time.monotonic() < end, "the page did not answer in 30 s"
            time.sleep(0.05)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
