"""The conformance suite of MCAP, as JSON files beside this project state it: what to write, and the file's hash."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.box.mcapwriter import McapWriter, Options

FEATURES = {
    "ch": "chunks", "mx": "message_index", "chx": "chunk_index", "st": "statistics", "rsh": "repeat_schemas",
    "rch": "repeat_channels", "ax": "attachment_index", "mdx": "metadata_index", "sum": "summary_offsets", "pad": "pad",
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One file of the suite."""

    path: Path
    options: Options
    records: list[tuple[str, dict[str, Any]]]  # JSON values
    """Type and fields, in file order"""
    digest: str
    """sha256 of the file"""
    size: int

    @property
    def padded(self) -> bool:
        """Records have bytes after their content."""
        return self.options.pad


def variants(folder: Path) -> Iterator[Variant]:
    for path in sorted(folder.glob("*/*.json")):
        plain = json.loads(path.read_text())
        names = plain["meta"]["variant"]["features"]
        options = Options(**{field: name in names for name, field in FEATURES.items()})
        pointer = dict(line.split(" ", 1) for line in path.with_suffix(".mcap").read_text().splitlines())
        records = [(each["type"], dict(each["fields"])) for each in plain["records"]]
        yield Variant(path, options, records, pointer["oid"].removeprefix("sha256:"), int(pointer["size"]))


def write(variant: Variant) -> bytes:
    """The file as our writer makes it, from what stands before the data end."""
    stream = io.BytesIO()
    writer: McapWriter | None = None
    for kind, fields in variant.records:
        if kind == "Header":
            writer = McapWriter(stream, variant.options, fields["profile"], fields["library"])
        assert writer is not None
        if kind == "Schema":
            writer.schema(int(fields["id"]), fields["name"], fields["encoding"], _bytes(fields["data"]))
        elif kind == "Channel":
            plain = (fields["topic"], fields["message_encoding"], fields["metadata"])
            writer.channel(int(fields["id"]), int(fields["schema_id"]), *plain)
        elif kind == "Message":
            numbers = (int(fields[name]) for name in ("channel_id", "sequence", "log_time", "publish_time"))
            writer.message(*numbers, _bytes(fields["data"]))
        elif kind == "Attachment":
            times = int(fields["log_time"]), int(fields["create_time"])
            writer.attachment(*times, fields["name"], fields["media_type"], _bytes(fields["data"]))
        elif kind == "Metadata":
            writer.metadata(fields["name"], fields["metadata"])
        elif kind == "DataEnd":
            break
    assert writer is not None
    writer.finish()
    return stream.getvalue()


def same(variant: Variant, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == variant.digest and len(data) == variant.size


def _bytes(numbers: list[str]) -> bytes:
    return bytes(map(int, numbers))


def read_alike(variant: Variant, data: bytes) -> bool:
    """Whether the mcap package reads a file of ours as the records that the suite states."""
    from mcap.stream_reader import StreamReader

    read = list(StreamReader(io.BytesIO(data), validate_crcs=True).records)
    wanted = [each for each in variant.records if each[0] not in ("Chunk", "MessageIndex")]
    got = [each for each in read if type(each).__name__ not in ("MessageIndex",)]
    return len(got) == len(wanted) and all(
        type(one).__name__ == kind and _values(one) == {name: _plain(value) for name, value in fields.items()}
        for one, (kind, fields) in zip(got, wanted, strict=True)
    )


def _values(record: object) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(record).items() if not name.startswith("_")}


def _plain(value: Any) -> Any:
    """Numbers as text and bytes as lists of such, as the suite's JSON has them."""
    if isinstance(value, bytes):
        return [str(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return str(value) if isinstance(value, int) else value
