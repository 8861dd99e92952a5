"""A forger: changes a black box and makes anew all that needs no key (CRCs, tables, chain, indexes)."""

from dataclasses import dataclass

import msgspec

from fleet.box import chain
from fleet.box.chain import CHAIN, OWN, Link, Seal
from fleet.box.layout import Message, counted, encode_body, end_of_file, note, tie
from fleet.box.recover import scan


@dataclass(frozen=True)
class Parts:
    """A file taken apart."""

    start: bytes
    links: list[Link]
    chunks: list[list[Message]]
    """Messages of each, seals too"""
    attachments: int


def apart(data: bytes) -> Parts:
    found = scan(data)
    links, chunks = [], []
    for piece in found.pieces:
        assert piece.link is not None
        links.append(piece.link)
        chunks.append([(each.channel, each.cycle, each.stamp, each.data) for each in piece.records])
    return Parts(data[: found.pieces[0].start], links, chunks, len(found.attachments))


def forged(parts: Parts, *, closed: bool = True) -> bytes:
    """A file of these parts, whole in all but the MACs of its seals."""
    out = bytearray(parts.start)
    head, crc, count = chain.first_head(parts.start), 0, 0
    notes, counts = [], dict.fromkeys([*range(1, len(parts.links[0].topics) + 1), *OWN], 0)
    for number, (link, messages) in enumerate(zip(parts.links, parts.chunks, strict=True)):
        link = msgspec.structs.replace(link, number=number, at=len(out), crc=crc, count=count)
        told = []
        for channel, cycle, stamp, data in messages:
            if channel == CHAIN and isinstance(seal := chain.decode(data), Seal):
                data = chain.encode(msgspec.structs.replace(seal, chunk=number, head=head, count=count))
            told.append((channel, cycle, stamp, data))
        body = encode_body(link, told, told[0][2] if told else 0)
        tied = tie(body, head)
        notes.append(note(body, tied, len(out)))
        out += b"".join(tied.parts(body))
        head, crc = tied.head, body.crc
        for channel, more in counted(body).items():
            counts[channel] += more
            count += more if channel not in OWN else 0
    if closed:
        out += end_of_file(len(out), parts.links[0].topics, notes, counts, parts.attachments)
    return bytes(out)
