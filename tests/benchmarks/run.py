"""Run benchmarks: `python tests/benchmarks/run.py [ID ...] [--quick] [--json]`.

An id is a file beside this one that has `measure(quick: bool) -> Iterable[Figure]`. With `--json` each number is one
line {"id", "part", "value", "unit", "rival", "rival_value", "seconds", "commit"}, printed as soon as it is known;
without it a table ends the run. `seconds` is the wall time since the id began or its figure before came; `commit` is
the short hash, with `-dirty` when tracked files differ from it.

`--quick` takes fewer samples of the same measure and ends within 60 s per id. An id whose module sets `SLOW = True`
cannot: it answers `--quick` with its last committed figures, which are the JSON lines in docs/benchmarks.md (any line
there that starts with `{"id": `; of several for one id and part the last one holds).

An id that needs hardware which is not here says so and stays open.

Exit codes: 0 all measured or open, 1 a benchmark failed or has no committed figure, 2 unknown id.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch: spinning pools ruin every timing
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COMMITTED = ROOT / "docs" / "benchmarks.md"
QUICK_LIMIT = 60.0  # s, the promise of --quick per id
KEYS = ("id", "part", "value", "unit", "rival", "rival_value", "seconds", "commit")

sys.path[:0] = [str(HERE), str(ROOT)]  # `from figure import Figure` in every benchmark; the packages from this checkout

from figure import NotHere  # noqa: E402


def known_ids() -> list[str]:
    """Ids of the benchmarks beside this file: each module that defines `measure`."""
    return sorted(path.stem for path in HERE.glob("*.py") if "measure" in _definitions(path))


def committed_figures(text: str) -> dict[tuple[str, str], dict]:
    """The committed figures by (id, part), read from the text of docs/benchmarks.md."""
    figures: dict[tuple[str, str], dict] = {}
    for line in text.splitlines():
        if line.startswith('{"id": '):
            figure = json.loads(line)
            figures[figure["id"], figure["part"]] = {key: figure.get(key) for key in KEYS}
    return figures


def answer(identity: str, quick: bool) -> Iterator[dict]:
    """Figures of one benchmark as the dictionaries that --json prints."""
    if quick and "SLOW" in _definitions(HERE / f"{identity}.py"):
        lines = [
            line for line in committed_figures(COMMITTED.read_text(encoding="utf-8")).values() if line["id"] == identity
        ]
        if not lines:
            raise LookupError(
                f"{identity} is slow and docs/benchmarks.md holds no figure of it; run it without --quick"
            )
        yield from lines
        return
    module = _load(identity)
    commit = current_commit()
    begin = before = time.perf_counter()
    for figure in module.measure(quick):
        now = time.perf_counter()
        yield {
            "id": identity,
            "part": figure.part,
            "value": figure.value,
            "unit": figure.unit,
            "rival": figure.rival,
            "rival_value": figure.rival_value,
            "seconds": round(now - before, 3),
            "commit": commit,
        }
        before = now
    if quick and time.perf_counter() - begin > QUICK_LIMIT:
        print(
            f"{identity}: --quick took {time.perf_counter() - begin:.0f} s, more than {QUICK_LIMIT:.0f}",
            file=sys.stderr,
        )


def current_commit() -> str:
    """Short hash of HEAD, `-dirty` appended when tracked files were changed; `unknown` outside a checkout."""
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=10"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit code of the module docstring."""
    parser = argparse.ArgumentParser(description="Run benchmarks; every id is a module beside this file.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="benchmarks to run; all without one")
    parser.add_argument("--quick", action="store_true", help="fewer samples, at most 60 s per id")
    parser.add_argument("--json", action="store_true", help="one JSON line per number instead of a table")
    parser.add_argument("--list", action="store_true", help="print the known ids and end")
    options = parser.parse_args(arguments)
    known = known_ids()
    if options.list:
        print("\n".join(known))
        return 0
    unknown = [identity for identity in options.ids if identity not in known]
    if unknown:
        print(f"unknown benchmark {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = False
    figures = []
    for identity in options.ids or known:
        try:
            for figure in answer(identity, options.quick):
                figures.append(figure)
                if options.json:
                    print(json.dumps(figure), flush=True)
                else:
                    print(
                        f"{identity} {figure['part']}: {figure['value']} {figure['unit']}", file=sys.stderr, flush=True
                    )
        except LookupError as error:
            print(error, file=sys.stderr)
            failed = True
        except NotHere as error:
            print(f"{identity} stays open: {error}", file=sys.stderr)
        except Exception:  # one benchmark that breaks must not hide the figures of the others
            traceback.print_exc()
            failed = True
    if not options.json:
        print(table(figures))
    return 1 if failed else 0


def table(figures: list[dict]) -> str:
    """The figures for people, one row each."""
    head = ("id", "part", "value", "unit", "rival", "rival value", "seconds", "commit")
    rows = [head] + [tuple(_cell(figure[key]) for key in KEYS) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _definitions(path: Path) -> set[str]:
    """Top-level names of a module, without running it; SLOW only when it is true."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is True:
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def _load(identity: str):  # noqa: ANN202 - a module with measure(quick)
    spec = importlib.util.spec_from_file_location(f"benchmark_{identity}", HERE / f"{identity}.py")
    assert spec is not None
    assert spec.loader is not None
    from sim.device import start_warp

    start_warp()  # or its banner stands between the JSON lines
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
