"""head, headers, target, body: bytes to what a scope needs."""

import pytest
from given import BROWSER, FIELDS, PLAIN, TIMES, chunked


@pytest.mark.parametrize(("request_bytes", "fields"), [(PLAIN, 1), (BROWSER, 12)], ids=["plain", "browser"])
def test_head(benchmark, probe, request_bytes, fields):
    assert benchmark(probe.head_run, request_bytes, TIMES) == fields


def test_headers_seen_before(benchmark, probe):
    found = benchmark(probe.headers_pairs, list(FIELDS), list(FIELDS.values()), TIMES)
    assert found == [(name.lower(), value) for name, value in FIELDS.items()]


def test_headers_never_kept(benchmark, probe):
    found = benchmark(probe.headers_pairs, [b"X-Request-Id"], [b"5f0c7d3a-2f1e-4f57-9d7d-7f3f1f9a2b11"], TIMES)
    assert found[0][0] == b"x-request-id"


@pytest.mark.parametrize("target", [b"/", b"/articles/2026/11/pronghorn?page=2", b"/caf%C3%A9/%2e"])
def test_target(benchmark, probe, target):
    _, raw_path, query = benchmark(probe.target_paths, target, TIMES)
    assert raw_path + (b"?" + query if query else b"") == target


def test_body_of_known_length(benchmark, probe):
    assert benchmark(probe.body_decode, b"x" * 1024, False, TIMES) == 1024


@pytest.mark.parametrize("size", [16, 1024, 16384])
def test_body_in_chunks(benchmark, probe, size):
    assert benchmark(probe.body_decode, chunked(b"x" * 16384, size), True, TIMES) == 16384
