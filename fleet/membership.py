"""Who takes part in a plant's rounds: robots, by their own loop or by a watchdog, and the coordinator.

Members join (`join/1`): robots under their own names, the coordinator, watchdogs for robots whose loop is silent.
When a watchdog has joined for a robot, it is heard instead of the robot (`done/1` with role watchdog) until the robot
joins again. It must be the one that the robot named when it joined: no other node, whatever its key, takes a robot
over. The coordinator is treated alike: a silent one is waited for no more until it joins again.

    heard       joined, or a watchdog speaks for it
    gone        silent for too long, or replaced by its watchdog: the next round's message names it
    left        by its own will: it stands still

No sockets and no clocks: rounds and wall times are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coordination.client import COORDINATOR
from coordination.messages import Done, Join


@dataclass
class Member:
    """One robot as the plant knows it."""

    name: str
    joined: bool = False
    """Its loop is heard and waited for."""
    answered: int = -1
    """Newest round that it, or its watchdog, ended."""
    watchdog: str = ""
    """Who speaks for it; empty while its loop does."""
    guard: str = ""
    """Who may: the watchdog that it named when it joined last."""
    heard: float = 0.0
    """Wall time of its last word."""


class Membership:
    """Owns the members of one plant."""

    def __init__(self, names: Iterable[str], embodiment: str) -> None:
        """Robots of that embodiment (hash) may join under these names."""
        self.members = {name: Member(name) for name in names}
        self.coordinator = False
        """Whether the coordinator is a member."""
        self.coordinated = -1
        """Newest round that the coordinator ended."""
        self.left: set[str] = set()
        """Robots that left."""
        self._embodiment = embodiment
        self._newly_gone: list[str] = []

    def loops(self) -> list[str]:
        """Robots whose own loop is heard and waited for."""
        return [name for name, member in self.members.items() if member.joined]

    def watched(self) -> list[str]:
        """Robots that a watchdog speaks for."""
        return [name for name, member in self.members.items() if member.watchdog]

    def somebody(self) -> bool:
        """Whether anybody speaks for any robot."""
        return any(member.joined or member.watchdog for member in self.members.values())

    def peers(self) -> list[str]:
        """Every node that takes part."""
        peers = {member.watchdog or name for name, member in self.members.items() if member.joined or member.watchdog}
        if self.coordinator:
            peers.add(COORDINATOR)
        return sorted(peers)

    def take_gone(self) -> tuple[str, ...]:
        """Robots that are gone since the last call."""
        gone, self._newly_gone = tuple(self._newly_gone), []
        return gone

    def join(self, sender: str, body: Join, number: int, now: float) -> str:
        """Let a node in, in round `number` at wall time `now`; why not, where it may not, else nothing."""
        if body.role == "observer":
            return ""
        if body.role == "coordinator" and sender == COORDINATOR:
            self.coordinator = True
            self.coordinated = max(self.coordinated, number - 1)
            return ""
        if body.role not in ("robot", "watchdog"):
            return f'expected role robot, watchdog, coordinator or observer, got "{body.role}"'
        for name in body.robots:
            if name not in self.members:
                return f"expected one of {', '.join(self.members)}, got {name}; name it in the plant's --robots"
        if body.role == "watchdog":
            return self._join_watchdog(sender, body, now)
        return self._join_robot(sender, body, number, now)

    def leave(self, sender: str) -> bool:
        """Let a node go by its own will; False for one that is no member."""
        if sender in self.members:
            member = self.members[sender]
            if member.joined:
                self._newly_gone.append(sender)
            member.joined = False
            self.left.add(sender)
        elif sender == COORDINATOR:
            self.coordinator = False
        elif any(member.watchdog == sender for member in self.members.values()):
            for member in self.members.values():
                if member.watchdog == sender:
                    member.watchdog = ""
        else:
            return False
        return True

    def lose(self, name: str) -> None:
        """Take a member for gone that has been silent for too long."""
        if name == COORDINATOR:
            self.coordinator = False
            return
        member = self.members[name]
        if not member.watchdog:
            self._newly_gone.append(name)
        member.joined, member.watchdog = False, ""

    def hear(self, sender: str, body: Done, number: int, now: float) -> bool:
        """Whether an answer ends round `number` or a later one for its robot: from who is heard for it, and timely."""
        member = self.members.get(body.robot)
        if member is None or body.round < number:
            return False
        heard = sender == member.watchdog if body.role == "watchdog" else (sender == member.name and member.joined)
        if heard:
            member.answered = body.round
            member.heard = now
        return heard

    def _join_watchdog(self, sender: str, body: Join, now: float) -> str:
        for name in body.robots:
            if self.members[name].guard != sender:
                return (
                    f"expected the watchdog that {name} named when it joined, got {sender}; "
                    f"let {name} join first and name its own"
                )
        for name in body.robots:
            member = self.members[name]
            if member.joined:
                self._newly_gone.append(name)
            member.joined, member.watchdog, member.heard = False, sender, now
        return ""

    def _join_robot(self, sender: str, body: Join, number: int, now: float) -> str:
        if body.robots != (sender,):
            return f"expected robot {sender} to join for itself, got {', '.join(body.robots)}"
        if body.embodiment != self._embodiment:
            return (
                f"expected embodiment {self._embodiment[:12]}, got {body.embodiment[:12] or 'none'}; "
                "give plant and robot the same specification"
            )
        member = self.members[sender]
        member.joined, member.watchdog, member.guard, member.heard = True, "", body.watchdog, now
        # Heard from the round that begins next: what it answers before was never asked of it.
        member.answered = max(member.answered, number - 1)
        self.left.discard(sender)
        return ""
