"""MCAP as others write it: the conformance suite of the format, byte for byte."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from mcap.reader import make_reader

from fleet.box.mcapwriter import McapWriter, Options
from tests.fleet.box.conformance import read_alike, same, variants, write

SUITE = Path(__file__).resolve().parents[4] / "shared" / "data" / "fleet" / "mcap" / "conformance"


def test_every_variant_of_the_suite_is_written_byte_for_byte_and_read_by_others() -> None:
    found = list(variants(SUITE)) if SUITE.is_dir() else []
    if not found:
        pytest.skip("needs ../shared/data/fleet/mcap")
    wrong = [each.path.stem for each in found if not same(each, data := write(each)) or not read_alike(each, data)]
    assert wrong == []
    assert len(found) > 200
    other = write(replace(found[0], options=replace(found[0].options, statistics=not found[0].options.statistics)))
    assert not same(found[0], other)


def test_a_file_of_several_chunks_is_read_by_its_index() -> None:
    stream = io.BytesIO()
    writer = McapWriter(stream, Options(chunk_bytes=500), "", "muster")
    writer.metadata("m", {"a": "b"})
    writer.channel(1, 0, "numbers", "raw", {})
    for number in range(100):
        writer.message(1, number, 1000 - number, number, hashlib.sha256(bytes([number])).digest())
    writer.attachment(1, 2, "x", "text/plain", b"hello")
    writer.finish()
    stream.seek(0)
    reader = make_reader(stream, validate_crcs=True)
    summary = reader.get_summary()
    assert summary is not None
    assert len(summary.chunk_indexes) > 5
    assert [message.sequence for _, _, message in reader.iter_messages()] == list(range(99, -1, -1))
    assert [each.data for each in reader.iter_attachments()] == [b"hello"]


def test_a_message_of_no_channel_is_refused() -> None:
    writer = McapWriter(io.BytesIO(), Options())
    with pytest.raises(ValueError, match="expected a channel that is defined, got 3"):
        writer.message(3, 0, 0, 0, b"")
