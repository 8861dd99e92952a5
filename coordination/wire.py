"""From bodies to bytes and back: the signed envelope, and the doubts about everything that comes in.

A frame is the msgpack encoding of `Envelope` followed by 16 bytes: BLAKE2b-128 over the encoding, keyed for this
sender and receiver (see `keys`), or zeros when it is unsigned. Only an emergency stop may come unsigned. What is too
long, not parseable, wrongly or not signed, seen before, of another major version or of no known name is counted by
kind and dropped; nothing that comes from outside raises.

Each start of a process draws an epoch; sequence numbers count up within it. A receiver takes each (sender, epoch,
sequence) once, out of order within a window, and hears no epoch again that a later one has replaced. A server keeps the
epochs in its store (`know`), so that no recording of a former epoch silences a robot after a restart; the window of the
newest epoch it forgets: that one's frames could be played to it once more. Links that others can listen to need CURVE
or a tunnel.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from coordination.keys import NAME, Keys
from coordination.messages import (
    MAX_MESSAGE,
    Cycle,
    Done,
    Envelope,
    Heard,
    Join,
    Joined,
    Lease,
    LeaseAsk,
    Leave,
    Picture,
    Report,
    Round,
)
from coordination.requests import (
    Cancel,
    FleetState,
    JogMove,
    JogRelease,
    JogState,
    JogTake,
    Query,
    StopRaise,
    StopReset,
    StopState,
    Submit,
    Submitted,
)
from sim.errors import MusterError

MAC_BYTES = 16
"""128 bits: a forger's chance per try is 2^-128."""

UNSIGNED = bytes(MAC_BYTES)
"""What stands in the place of the MAC of an unsigned frame."""

WINDOW = 1024
"""Sequence numbers that may arrive out of order; more than one receive call drains."""

LAST_EPOCH = 2**62 - 1
"""Epochs are drawn from 62 bits; the store keeps 63."""

EPOCHS_REMEMBERED = 256
"""Replaced epochs remembered for each sender: as many restarts as a run of a receiver plausibly sees."""

FAR_OFF = 1e6
"""m, m/s, rad or rad/s: no robot is or drives beyond it."""

HIGHEST_GRANT = 2**53
"""A grant id that a report may name: the next ones still fit the store after it."""

LATEST = 2**62
"""ns; 146 years. Leases and patiences added to it still fit 64 bits."""

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over bytes from outside; RecursionError where arrays nest a thousand deep, unknown ones too."""

BODIES: dict[str, type[msgspec.Struct]] = {
    "join/1": Join,
    "joined/1": Joined,
    "cycle/1": Cycle,
    "done/1": Done,
    "round/1": Round,
    "leave/1": Leave,
    "heard/1": Heard,
    "report/1": Report,
    "picture/1": Picture,
    "submit/1": Submit,
    "submitted/1": Submitted,
    "cancel/1": Cancel,
    "query/1": Query,
    "fleet_state/1": FleetState,
    "stop_raise/1": StopRaise,
    "stop_reset/1": StopReset,
    "stop_state/1": StopState,
    "jog_take/1": JogTake,
    "jog_move/1": JogMove,
    "jog_release/1": JogRelease,
    "jog_state/1": JogState,
    "lease_ask/1": LeaseAsk,
    "lease/1": Lease,
}
"""Every body by its wire name."""

SAID_BY, SAID = 256, 1024
"""Characters that are kept of who raised a stop and why."""

MAY_BE_UNSIGNED = frozenset({"stop_raise/1"})


class WireError(MusterError):
    """A message of our own cannot be sent."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message that passed every check."""

    sender: str
    """Proven by its signature if `signed`, else a mere claim"""
    name: str
    """`name/major` of the body"""
    body: Any
    """The struct that `BODIES` names"""
    stamp: int
    """ns, the sender's"""
    sequence: int
    signed: bool
    peer: str = ""
    """Where an answer goes: the sender's name, or the connection of an unsigned one"""


@dataclass(slots=True)
class ReplayWindow:
    """What one receiver has heard of one sender."""

    epoch: int = -1
    highest: int = -1
    seen: int = 0
    """Bit k is set when sequence number `highest - k` has come."""
    replaced: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def take(self, epoch: int, sequence: int) -> bool:
        """Whether this is new; if so it is remembered."""
        if epoch != self.epoch:
            if epoch in self.replaced:
                return False
            self.replaced[self.epoch] = None
            if len(self.replaced) > EPOCHS_REMEMBERED:
                self.replaced.popitem(last=False)
            self.epoch, self.highest, self.seen = epoch, sequence, 1
            return True
        ahead = sequence - self.highest
        if ahead > 0:
            self.seen = ((self.seen << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self.highest = sequence
            return True
        if -ahead >= WINDOW or self.seen >> -ahead & 1:
            return False
        self.seen |= 1 << -ahead
        return True


class Wire:
    """Owns one end's epoch, sequence numbers, replay windows and counts. No sockets, no clock."""

    def __init__(self, me: str, keys: Keys | None, *, server: bool, epoch: int | None = None) -> None:
        """`me` is this end's name; without keys it sends unsigned and believes what it gets (a bystander's stop).

        Raises WireError when `me` is no name or the keys do not hold this node's.
        """
        if not NAME.fullmatch(me):
            raise WireError(f"{me!r} is no name on the wire; expected a letter, then letters, digits and _ up to 32")
        if keys is not None and not server and keys.node(me) is None:
            raise WireError(f"the key file holds no key for {me}; derive one with `muster keys derive {me}`")
        if keys is not None and server and keys.fleet is None:
            raise WireError(f"{me} serves the fleet and needs the fleet key; the key file holds a node's key")
        self.me = me
        self.keys = keys
        self.server = server
        self.epoch = secrets.randbits(62) if epoch is None else epoch
        self.counts: Counter[str] = Counter()
        """Messages received, and dropped by kind."""
        self._note: Callable[[str, int], None] | None = None
        self.sequence = 0
        """Of the newest message encoded."""
        self.repeated: set[str] = set()
        """Whose messages were heard and came again; for a transport that acknowledges to look at and to empty."""
        self._windows: dict[str, ReplayWindow] = {}
        self._hashes: dict[tuple[str, str], Any] = {}

    def know(self, epochs: Mapping[str, Sequence[int]], note: Callable[[str, int], None]) -> None:
        """Take what was heard before a restart, oldest first by sender; `note` is told each new (sender, epoch).

        It is told before the epoch's first message is handed out, and whatever it raises comes out of `decode`.
        """
        for sender, heard in epochs.items():
            self._windows[sender] = ReplayWindow(heard[-1], replaced=OrderedDict.fromkeys(heard[:-1]))
        self._note = note

    def encode(self, receiver: str, body: msgspec.Struct, stamp: int, *, signed: bool = True) -> bytes:
        """The frame that carries a body to `receiver`.

        Raises WireError when it is too long, has no key, or holds what does not travel: a number of more than 64 bits,
        bytes that are no text.
        """
        name = _NAMES[type(body)]
        try:
            content = _ENCODE(body)
        except (OverflowError, UnicodeEncodeError) as error:
            raise WireError(f"{name} cannot be sent: {error}; say it in text and numbers of 64 bits") from error
        self.sequence += 1
        envelope = Envelope(name, self.me, self.epoch, self.sequence, stamp, content)
        frame = _ENCODE(envelope)
        if len(frame) + MAC_BYTES > MAX_MESSAGE:
            raise WireError(f"{envelope.name} has {len(frame)} bytes and {MAX_MESSAGE} may travel; send it in parts")
        if self.keys is None or not signed:
            return frame + UNSIGNED
        digest = self._hash(self.me, receiver)
        if digest is None:
            raise WireError(f"no key to sign for {receiver}")
        return frame + _mac(digest, frame)

    def heard(self, sender: str) -> Heard:
        """What has come of a sender's messages and is proven to be its, for it to know what need not be sent again."""
        window = self._windows.get(sender)
        if window is None:
            return Heard()
        seen = window.seen.to_bytes((window.seen.bit_length() + 7) // 8, "little")
        return Heard(window.epoch, window.highest, seen)

    def decode(self, frame: bytes) -> Received | None:
        """What a frame says; None when it is dropped (see `counts`). Raises nothing of its own (see `know`)."""
        kind, message = self._judge(frame)
        self.counts[kind] += 1
        return message

    def _judge(self, frame: bytes) -> tuple[str, Received | None]:
        if len(frame) > MAX_MESSAGE:
            return "oversized", None
        payload, mac = frame[:-MAC_BYTES], frame[-MAC_BYTES:]
        try:
            envelope = _ENVELOPE.decode(payload)
        except _MALFORMED:
            return "malformed", None
        if not NAME.fullmatch(envelope.sender) or not 0 <= envelope.epoch <= LAST_EPOCH or envelope.sequence < 0:
            return "malformed", None
        signed = mac != UNSIGNED
        if not signed and self.keys is not None and envelope.name not in MAY_BE_UNSIGNED:
            return "unsigned", None
        if signed and self.keys is not None:
            digest = self._hash(envelope.sender, self.me)
            if digest is None or not hmac.compare_digest(_mac(digest, payload), mac):
                return "forged", None
            self._hashes[(envelope.sender, self.me)] = digest
        decoder = _DECODERS.get(envelope.name)
        if decoder is None:
            known = envelope.name.partition("/")[0] in _BASES
            return ("foreign_major" if known else "unknown"), None
        if signed:
            window = self._windows.setdefault(envelope.sender, ReplayWindow())
            known = window.epoch
            if not window.take(envelope.epoch, envelope.sequence):
                self.repeated.add(envelope.sender)
                return "replayed", None
            if window.epoch != known and self._note is not None:
                self._note(envelope.sender, window.epoch)
        try:
            body = decoder.decode(envelope.body)
        except _MALFORMED:
            return "malformed", None
        if not _sound(body):
            return "malformed", None
        if isinstance(body, StopRaise):  # too much said with a stop may keep none from being heard
            body = msgspec.structs.replace(body, by=body.by[:SAID_BY], reason=body.reason[:SAID])
        if _entries(envelope.body) > len(body.__struct_fields__):
            self.counts["unknown_fields"] += 1
        proven = signed and self.keys is not None
        return "received", Received(
            envelope.sender, envelope.name, body, envelope.stamp, envelope.sequence, proven, envelope.sender
        )

    def _hash(self, sender: str, receiver: str) -> Any:  # hashlib has no public type for its hash objects
        known = self._hashes.get((sender, receiver))
        if known is not None:
            return known
        if self.keys is None:
            return None
        client = self.me if not self.server else (receiver if sender == self.me else sender)
        key = self.keys.link(client, sender, receiver)
        if key is None:
            return None
        digest = hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=b"muster frame")
        if sender == self.me:
            # Incoming senders are remembered once proven, so that made-up names do not fill the memory.
            self._hashes[(sender, receiver)] = digest
        return digest


def _mac(digest: Any, payload: bytes) -> bytes:  # a hashlib object
    keyed = digest.copy()
    keyed.update(payload)
    return keyed.digest()


def _sound(body: msgspec.Struct) -> bool:
    """Whether the numbers are numbers, and such that sums of them still fit where they are kept."""
    match body:
        case Report():
            places = all(abs(number) <= FAR_OFF for number in (*body.pose, *body.twist))  # false for NaN
            said = body.chosen is None or math.isfinite(body.chosen.log_probability)
            return places and said and math.isfinite(body.battery) and 0 <= body.grant <= HIGHEST_GRANT
        case Round() | Joined():
            return 0 <= body.stamp <= LATEST
        case Heard():
            return len(body.seen) <= WINDOW // 8
        case Cycle():
            return all(map(math.isfinite, (*body.pose, *body.twist, body.battery, body.lift, body.yaw_rate)))
        case Done():
            return all(map(math.isfinite, body.command))
        case JogMove():
            asked = math.isfinite(body.v) and math.isfinite(body.w) and 0 <= body.heard <= LATEST
            return asked and NAME.fullmatch(body.robot) is not None
        case LeaseAsk():
            told = max(len(body.release), len(body.fallen)) <= SAID
            return told and 0 <= body.asked <= LATEST and 0 <= body.epoch <= LAST_EPOCH
        case Lease():
            said = len(body.release) <= SAID and 0 <= body.epoch <= LAST_EPOCH
            return said and 0 <= body.asked <= LATEST and 0 <= body.span <= LATEST
        case JogTake() | JogRelease():
            return len(body.by) <= SAID_BY and NAME.fullmatch(body.robot) is not None
        case _:
            return True


def _entries(body: bytes) -> int:
    """Entries of a msgpack map, from its head."""
    head = body[0]
    if head & 0xF0 == 0x80:
        return head & 0x0F
    return int.from_bytes(body[1:3] if head == 0xDE else body[1:5], "big")


_ENCODE = msgspec.msgpack.Encoder().encode
_ENVELOPE = msgspec.msgpack.Decoder(Envelope)
_DECODERS = {name: msgspec.msgpack.Decoder(body) for name, body in BODIES.items()}
_NAMES = {body: name for name, body in BODIES.items()}
_BASES = {name.partition("/")[0] for name in BODIES}
