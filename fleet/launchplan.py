"""What a launch file comes to once it is evaluated: arguments, processes, messages, an end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Argument:
    """An `arg` as declared."""

    name: str
    default: str | None
    """As written, substitutions unresolved; None when the argument must be given."""
    description: str
    choices: tuple[str, ...]
    where: str
    """file:line"""


@dataclass(frozen=True)
class Process:
    """What to start."""

    name: str
    """Unique within the plan; names its log."""
    command: tuple[str, ...]
    """The words after substitution; `muster` or `python -m pkg.exec` in words, not yet resolved to a program."""
    environment: Mapping[str, str]
    """What the file adds to the environment."""
    directory: str | None
    """Working directory; None for the launcher's own."""
    output: str
    """log: to its log alone; both: to the console too, prefixed; screen: to the console as it comes."""
    respawn: bool
    """Start again when it dies, until the launch ends."""
    respawn_delay: float
    """s"""
    where: str
    sources: Mapping[str, str] = field(default_factory=dict)
    """Options of the command whose value has one `$(var name)` in it, with that name."""
    documents: tuple[str, ...] = ()
    """Parameter files to write; `launchros.document(k)` stands in the command for the path of the k-th."""
    start: float = 0.0
    """After the launch's begin, s"""
    ends_launch: bool = False
    """`on_exit: shutdown`"""


@dataclass(frozen=True)
class Message:
    """What a `log` says."""

    text: str
    start: float = 0.0
    """After the launch's begin, s"""


@dataclass(frozen=True)
class Plan:
    """An evaluated launch file."""

    arguments: tuple[Argument, ...]
    """Every argument that was declared on the way, included files' too."""
    values: Mapping[str, str]
    """Values of the top file's arguments."""
    messages: tuple[Message, ...]
    processes: tuple[Process, ...]
    shutdown: Message | None = None
    """When a `shutdown` ends the launch, and its reason."""
