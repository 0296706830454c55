"""Which words in Content-Encoding are compressions, and how far they are decompressed."""

import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model.errors import HttpRejected
from connector.web.body_coding import body_coding, decompress

BODY = b'{"content":"STOP"}'
GZIPPED = gzip.compress(BODY, mtime=0)  # the time of day must not become part of the names of tests


def raw_deflate(body):
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(body) + packing.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", GZIPPED),
        ("x-gzip", GZIPPED),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
    ],
)
def test_a_compressed_body_is_decompressed(coding, packed):
    assert body_coding(coding) == coding
    assert decompress(packed, coding, len(BODY)) == BODY
    with pytest.raises(HttpRejected) as refused:
        decompress(packed, coding, len(BODY) - 1)
    assert refused.value.status == 413


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [BODY, b"", b"id=7&message=STOP"])
def test_an_uncompressed_body_is_read_unchanged(coding, body):
    assert decompress(body, coding, 1000) == body


@pytest.mark.parametrize("packed", [GZIPPED[:-5], GZIPPED[:12], GZIPPED + b"x"])
def test_an_invalid_compressed_body_is_refused(packed):
    with pytest.raises(HttpRejected) as refused:
        decompress(packed, "gzip", 1000)
    assert (refused.value.status, refused.value.why) == (400, "broken body")


def test_a_compression_bomb_is_decompressed_only_up_to_the_limit():
    bomb = gzip.compress(b"0" * 10_000_000)
    tracemalloc.start()
    with pytest.raises(HttpRejected):
        decompress(bomb, "gzip", 64 * 1024)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate"]), st.sampled_from([b"", b"\x1f\x8b", b"\x78\x9c"]))
def test_any_bytes_become_a_body_within_the_limit_or_are_refused(body, coding, head):
    with suppress(HttpRejected):
        assert len(decompress(head + body, coding, 1000)) <= 1000
