"""Every command that README.md and docs/ show is one: each is read as the command line would read it.

Shown commands are the indented and fenced lines that call `muster`, `ros2 run muster_ros` or `ros2 launch muster_ros`;
commands named within prose are checked for their names and options. What stands for a reader's own value (`<run>`, DIR,
PORT) gets one that fits.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from fleet import cli
from fleet.commands import COMMANDS
from fleet.launchfile import read_plan, split_assignments
from fleet.launchpackages import OWN, PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/deploy.md", "docs/metrics.md", "docs/operations.md", "docs/decisions.md")
STANDS_FOR = {"PORT": "7410", "NUMBER": "3", "EPOCH": "3"}
"""Words in capitals that are a number; others may be any text."""
SHOWN = re.compile(r"(?:^|[\s;&|(])(?:\.venv/bin/|\$VENV/bin/)?(muster|ros2 (?:run|launch) muster_ros) (.*)")
NAMED = re.compile(r"`(?:\.venv/bin/)?muster ([a-z][a-z-]*)([^`]*)`")


def commands(text: str) -> list[str]:
    """The shown commands of a page, each `muster WORDS`, continued lines joined and comments cut."""
    lines, found, fenced = text.replace("\\\n", " ").splitlines(), [], False
    for line in lines:
        fenced ^= line.startswith("```")
        if not (fenced or line.startswith("    ")):
            continue
        if match := SHOWN.search(line.partition("#")[0] if line.lstrip().startswith("#") else line):
            found.append(translated(match[1], match[2]))
    return found


def translated(program: str, words: str) -> str:
    """As a muster command: what ROS 2 starts of muster_ros is one."""
    words = re.split(r"\s#|[;|]|&&|>", re.sub(r"<(\w+)>", r"\1", words))[0].strip()
    if program == "muster":
        return f"muster {words}"
    if program == f"ros2 launch {OWN}":
        return f"muster launch launch/{words}"
    name, _, rest = words.partition(" ")
    assert name in PROGRAMS, f"ros2 run {OWN} {name}: the package has no such program"
    return f"muster {PROGRAMS[name]} {rest}"


def problem(command: str) -> str:
    """What is wrong with a shown command; empty where it can be read."""
    for word, value in STANDS_FOR.items():
        command = re.sub(rf"\b{word}\b", value, command)
    _, words = cli.split_when(shlex.split(command)[1:])
    if not words or words[0] in ("COMMAND", "--help", "--version") or "--help" in words:
        return ""
    try:
        _, config = cli.understand(words)
        if words[0] == "launch" and not config.show_args:
            read_launch(config.words)
    except Exception as error:  # whatever it is, the page shows what cannot be typed
        return f"{command}: {error}"
    return ""


def read_launch(words: tuple[str, ...]) -> None:
    """Raise where a shown launch file is none, or does not know an argument."""
    path = ROOT / words[0]
    if words[0] in ("FILE", "FILE.launch.yaml"):
        return
    plan = read_plan(path, {}, {}, listing=True)
    unknown = set(split_assignments(words[1:])) - {argument.name for argument in plan.arguments}
    assert not unknown, f"{words[0]} has no {', '.join(sorted(unknown))}"


def options(command: str) -> set[str]:
    """The options of a subcommand, as they are typed."""
    config = cli.load(command).Config
    names = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(config)}
    return names | {name.replace("--", "--no-", 1) for name in names} | {"--ros-args", "--help"}


def pages() -> list[str]:
    return [page for page in PAGES if (ROOT / page).exists()]


@pytest.mark.parametrize("page", pages())
def test_every_command_that_a_page_shows_can_be_typed(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = commands((ROOT / page).read_text(encoding="utf-8"))
    assert [fault for fault in map(problem, shown) if fault] == []
    assert len(shown) >= {"README.md": 30, "docs/deploy.md": 20}.get(page, 0), "the pages are read no more"


@pytest.mark.parametrize("page", pages())
def test_every_command_that_a_page_names_is_there(page: str) -> None:
    for name, rest in NAMED.findall((ROOT / page).read_text(encoding="utf-8")):
        assert name in COMMANDS, f"{page}: `muster {name}`"
        named = set(re.findall(r"(?<!\S)(--[a-z][a-z-]*)", rest.partition("--ros-args")[0]))
        assert named <= options(name), f"{page}: `muster {name}{rest}`: {named - options(name)}"


@pytest.mark.parametrize(
    "command",
    [
        "muster robots --robots r1",
        "muster robot --robot r1",
        "muster robot --body flying",
        "muster launch launch/none.launch.yaml",
        "muster launch launch/warehouse.launch.yaml robotts:=3",
        "muster keys make",
    ],
)
def test_a_command_that_is_none_is_found(command: str) -> None:
    assert problem(command)


def test_what_a_page_shows_is_read_with_its_continuation_and_without_its_comment() -> None:
    text = (
        "Text muster no\n\n    .venv/bin/muster keys derive r1 \\\n        --out DIR     # and more\n    # muster is\n"
    )
    assert commands(text) == ["muster keys derive r1          --out DIR"]
    assert commands("```\n$ ros2 run muster_ros sim --robots r0 > log\n```\n") == ["muster sim --robots r0"]
