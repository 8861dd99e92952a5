"""The code that a control step reaches, as one hash: two black boxes of one hash were made by the same rules.

From the source of `fleet.control` every import of ours is followed, those inside functions too; the hash is over the
names and the bytes of all these files. It names code, not its intent: a changed comment changes it. Libraries are not
in it: their versions stand beside it in a black box's header.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

ROOTS = ("agents", "coordination", "fleet", "hierarchy", "safety", "sim")
"""Our packages"""
START = "fleet.control"


@functools.cache
def code_hash(start: str = START) -> str:
    """sha256 (hex) over every module of ours that `start` reaches (the control step); about 0.1 s, once a process."""
    total = hashlib.sha256()
    for name, source in sorted(reached(start).items()):
        total.update(f"{name}\0{len(source)}\0".encode() + source)
    return total.hexdigest()


def reached(start: str) -> dict[str, bytes]:
    """Sources of the module and of all of ours that it imports, however far down, by module name."""
    sources: dict[str, bytes] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in sources or name.partition(".")[0] not in ROOTS:
            continue
        path = _source(name)
        if path is None:
            continue  # a name that `from package import name` gave: no module
        sources[name] = path.read_bytes()
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sources


def _source(name: str) -> Path | None:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(found.origin) if found is not None and found.origin and found.origin.endswith(".py") else None
