"""Frames that must not be believed, made of frames that were: what somebody can do who hears all and holds a robot.

The forger records every frame, makes keys, and has the node key of one robot, but neither the fleet's nor that of the
robot in whose name it speaks. Two kinds take more than it has: `foreign_major` and `oversized` are signed rightly.
Emergency stops are left out: an unsigned one is believed, by design.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from coordination.keys import Keys, new_keys
from coordination.messages import MAX_MESSAGE, Envelope
from coordination.wire import BODIES, LAST_EPOCH, MAC_BYTES, UNSIGNED

ENCODE = msgspec.msgpack.Encoder().encode
ENVELOPE = msgspec.msgpack.Decoder(Envelope)
BIG = 8
"""Oversized frames that are made once and told again: each is 64 KiB."""


@dataclass
class Forger:
    """Owns what was recorded, and the dice."""

    keys: Keys
    """The fleet's, to sign rightly with"""
    client: str
    """Of the link that is attacked: the robot"""
    sender: str
    receiver: str
    traitor: str
    """The robot that the forger holds"""
    heard: Sequence[bytes]
    """What `receiver` heard of `sender` and others in this life of theirs"""
    former: Sequence[bytes]
    """What it heard of former lives"""
    others: Sequence[bytes]
    """What others heard, of `sender` too"""
    draw: random.Random
    made: dict[str, Callable[[], bytes]] = field(init=False)
    """How each kind is made"""

    def __post_init__(self) -> None:
        """Keys are drawn once."""
        self._right = self._hash(self.keys, self.client, self.sender)
        self._wrong = self._hash(new_keys(), self.client, self.sender)
        self._held = self._hash(self.keys, self.traitor, self.sender)
        self._open = [ENVELOPE.decode(frame[:-MAC_BYTES]) for frame in self.heard]
        self._mine = [envelope for envelope in self._open if envelope.sender == self.sender]
        self._sequence = 1 << 20
        self._big = [self._signed(self._right, body=bytes(MAX_MESSAGE + n * 997)) for n in range(BIG)]
        self.made = {
            "bit_flips": self.bit_flips,
            "wrong_key": lambda: self._signed(self._wrong),
            "wrong_sender": self.wrong_sender,
            "replayed": lambda: self.draw.choice(self.heard),
            "stale_epoch": lambda: self.draw.choice(self.former),
            "swapped_body": self.swapped_body,
            "truncated": self.truncated,
            "oversized": lambda: self.draw.choice(self._big),
            "foreign_major": self.foreign_major,
            "unsigned": lambda: self.draw.choice(self.heard)[:-MAC_BYTES] + UNSIGNED,
        }

    def bit_flips(self) -> bytes:
        """A frame with up to 8 bits turned over."""
        frame = bytearray(self.draw.choice(self.heard))
        for place in {self.draw.randrange(8 * len(frame)) for _ in range(self.draw.randrange(1, 9))}:
            frame[place >> 3] ^= 1 << (place & 7)
        return bytes(frame)

    def wrong_sender(self) -> bytes:
        """A new message in the sender's name, signed with the traitor's key; or one that was made for another."""
        return self._signed(self._held) if self.draw.random() < 0.5 else self.draw.choice(self.others)

    def swapped_body(self) -> bytes:
        """One frame's header and signature around another's body."""
        while True:
            one, other = self.draw.randrange(len(self._open)), self.draw.randrange(len(self._open))
            if self._open[one].body != self._open[other].body:
                break
        mac = self.heard[self.draw.choice((one, other))][-MAC_BYTES:]
        return ENCODE(msgspec.structs.replace(self._open[one], body=self._open[other].body)) + mac

    def truncated(self) -> bytes:
        """A frame that lacks bytes, behind or in front, or behind and has its signature."""
        frame = self.draw.choice(self.heard)
        cut = self.draw.randrange(1, len(frame))
        match self.draw.randrange(3):
            case 0:
                return frame[:cut]
            case 1:
                return frame[cut:]
        return frame[: max(0, cut - MAC_BYTES)] + frame[-MAC_BYTES:]

    def foreign_major(self) -> bytes:
        """A body of a version that is not ours."""
        base = self.draw.choice(list(BODIES)).partition("/")[0]
        name = base + self.draw.choice(("/0", "/2", "/10", "", "/1.1", "/-1", "/1/1"))
        return self._signed(self._right, name=name)

    def _signed(self, key: object, **changes: object) -> bytes:
        """A message that was never sent: a real body with a sequence number and now and then an epoch of its own."""
        self._sequence += 1
        envelope = self.draw.choice(self._mine)
        epoch = envelope.epoch if self.draw.random() < 0.7 else self.draw.randrange(LAST_EPOCH)
        changes = {"epoch": epoch, "sequence": self._sequence} | changes
        payload = ENCODE(msgspec.structs.replace(envelope, **changes))
        digest = key.copy()  # type: ignore[attr-defined]  # hashlib has no public type for its hash objects
        digest.update(payload)
        return payload + digest.digest()

    def _hash(self, keys: Keys, client: str, sender: str) -> object:
        key = keys.link(client, sender, self.receiver)
        assert key is not None
        return hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=b"muster frame")
