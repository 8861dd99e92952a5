"""One run directory for processes that another launcher than `muster launch` has started side by side.

`muster launch` makes the run directory and names it in MUSTER_RUN. `ros2 launch` makes none: there a launch file names
one that is not there yet, by `set_env: {name: MUSTER_RUN, value: $(env MUSTER_RUN runs/$(anon run))}`, and whichever of
the run's processes comes first makes it, with the fleet key in it. It is made under another name and renamed whole, so
that nobody finds half of one; who loses the race uses the winner's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

from coordination.keys import ensure_keys
from fleet.rundir import ENVIRONMENT, create_run, forget_run, read_record
from sim.files import write_atomic


def make_named_run() -> None:
    """Make the run directory that MUSTER_RUN names, where it names one and nothing is there.

    Raises `RunError` where it cannot be made. A folder that is there and is no run is left for its users to refuse.
    """
    named = os.environ.get(ENVIRONMENT, "")
    if not named or Path(named).exists():
        return
    target = Path(named).absolute()
    made = create_run(target.parent, arguments=sys.argv)
    forget_run(made)  # others may have joined it by the time that this process ends
    ensure_keys(made.key)
    write_atomic(made.record, json.dumps({**read_record(made), "run": target.name}, indent=2) + "\n")
    with contextlib.suppress(OSError):  # another process was faster: its directory is there and not empty
        made.root.rename(target)
    if made.root.exists():
        shutil.rmtree(made.root, ignore_errors=True)
