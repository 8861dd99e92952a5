"""A headless Chromium that a test looks at a page with, by its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/: commands and answers are JSON over a web socket.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), "")

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium (Debian: apt-get install chromium)")

FLAGS = (
    "--headless=new",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


class RefusedError(Exception):
    """The browser could not do what it was asked, as while a page is being loaded."""


class Tab:
    """One page of the browser. Owns its connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def ask(self, method: str, **arguments: object) -> dict[str, Any]:
        """The answer to a command; events in between are dropped."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60.0))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RefusedError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def picture(self) -> NDArray[np.uint8]:
        """What the page shows, (height, width, 3)."""
        data = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def text(self) -> str:
        """Every word on the page."""
        return str(self.ask("Runtime.evaluate", expression="document.body.innerText")["result"].get("value", ""))

    def wait(self, until: Callable[[NDArray[np.uint8]], bool], seconds: float = 60.0) -> NDArray[np.uint8]:
        """The first picture that will do; the last one, for the assertion, when time is over."""
        end = time.monotonic() + seconds
        while True:
            try:
                picture = self.picture()
                if until(picture) or time.monotonic() > end:
                    return picture
            except RefusedError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.5)


@contextmanager
def browse(url: str, folder: Path, size: tuple[int, int] = (1000, 640)) -> Iterator[Tab]:
    """A browser of its own that shows a page; `folder` is for its profile."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        note = folder / "DevToolsActivePort"
        end = time.monotonic() + 60.0
        while not note.exists() or not note.read_text().strip():
            assert process.poll() is None, "chromium ended"
            assert time.monotonic() < end, "chromium did not start in 60 s"
            time.sleep(0.1)
        port = note.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30.0) as answer:
            tabs = json.loads(answer.read())
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address, max_size=2**26, proxy=None) as socket:
            tab = Tab(socket)
            tab.ask("Page.enable")
            tab.ask("Page.navigate", url=url)
            yield tab
    finally:
        process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
